#include "fake_tenant.h"

#include <stdio.h>
#include <unistd.h>

#include "tenant/arbiter.h"
#include "tenant/gate.h"
#include "tenant/quota.h"

__attribute__((visibility("default"))) struct fake_tenant fake_tenant;

int weft_session_open(struct weft_session *session, struct weft_err *err)
{
    if (fake_tenant.result)
        return weft_fail(err, (enum weft_errno) - fake_tenant.result, "the test wants it so");
    __atomic_add_fetch(&fake_tenant.opened, 1, __ATOMIC_RELAXED);
    fake_tenant.opener = getpid();
    *session = fake_tenant.granted;
    session->fd = dup(STDERR_FILENO);
    return 0;
}

void weft_session_close(struct weft_session *session)
{
    fake_tenant.closed++;
    if (session->fd >= 0)
        close(session->fd);
    session->fd = -1;
}

void weft_session_report(struct weft_session *session, const char *text)
{
    (void)session;
    fake_tenant.reports++;
    snprintf(fake_tenant.report, sizeof(fake_tenant.report), "%s", text);
}

void weft_session_fault(struct weft_session *session, uint32_t device,
                        const struct weft_device_fault *fault)
{
    (void)device;
    weft_session_report(session, fault->text);
}

bool weft_session_share(struct weft_session *session, uint32_t device, uint64_t file, int fd)
{
    (void)session, (void)device, (void)file, (void)fd;
    return true;
}

int weft_quota_install(struct weft_cuda *table, const struct weft_quota_config *config,
                       struct weft_err *err)
{
    (void)table;
    (void)config;
    (void)err;
    fake_tenant.quota_installed++;
    return 0;
}

void weft_quota_drop_after_fork(void)
{
    fake_tenant.quota_dropped++;
}

bool weft_quota_charge_shared(uint32_t ordinal, uint64_t bytes, bool over_limit)
{
    (void)ordinal;
    (void)bytes;
    return over_limit;
}

void weft_quota_discharge_shared(uint32_t ordinal, uint64_t bytes)
{
    (void)ordinal;
    (void)bytes;
}

/* No device has words to share its time by. */
int weft_arbiter_open(const struct weft_device_grant *devices, size_t device_count,
                      const uint32_t *places, size_t place_count, struct weft_gate_arbiter *arbiter,
                      struct weft_err *err)
{
    (void)devices, (void)device_count, (void)places, (void)place_count, (void)err;
    *arbiter = (struct weft_gate_arbiter){0};
    return 0;
}

void weft_arbiter_drop_after_fork(void)
{
}

void weft_gate_install(struct weft_cuda *table, const struct weft_gate_arbiter *arbiter)
{
    (void)table, (void)arbiter;
}

void weft_gate_drop_after_fork(void)
{
}
