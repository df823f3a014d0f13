/* A session as weftd would grant it, with a limit and a ledger, but without weftd: a benchmark of
 * calls needs none. */
#include <sys/mman.h>

#include "tenant/session.h"
#include "util/util.h"

#define LIMIT_BYTES (1ull << 30)

int weft_session_open(struct weft_session *session, struct weft_err *err)
{
    static struct weft_policy_page policy = {
        .magic = WEFT_POLICY_MAGIC,
        .major = WEFT_POLICY_MAJOR,
        .bytes = sizeof(policy),
        .device_count = 1,
        .devices[0].memory_limit_bytes = LIMIT_BYTES,
    };
    *session =
        (struct weft_session){.fd = -1, .tenant = "bench", .device_count = 1, .policy = &policy};
    session->devices[0] =
        (struct weft_device_grant){.kind = WEFT_DEVICE_NATIVE, .arena_fd = -1, .page_fd = -1};
    session->ledger_bytes = weft_ledger_bytes();
    void *memory = mmap(NULL, session->ledger_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "no memory for the ledger");
    session->ledger = weft_ledger_format(memory);
    return weft_ledger_slot_take(session->ledger, &session->slot, err);
}

void weft_session_close(struct weft_session *session)
{
    (void)session;
}

void weft_session_fault(struct weft_session *session, uint32_t device,
                        const struct weft_device_fault *fault)
{
    (void)device;
    weft_session_report(session, fault->text);
}

void weft_session_report(struct weft_session *session, const char *text)
{
    (void)session;
    (void)text;
}

bool weft_session_share(struct weft_session *session, uint32_t device, uint64_t file, int fd)
{
    (void)session, (void)device, (void)file, (void)fd;
    return true;
}
