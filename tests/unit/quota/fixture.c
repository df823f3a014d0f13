/* A quota layer over the fake driver, as a process of a tenant with one other would have it. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_state.h"
#include "tenant/quota.h"
#include "util/util.h"

CUcontext fake_context_make(struct weft_cuda *table, CUdevice device)
{
    CUcontext context = NULL;
    table->cuCtxCreate_v2(&context, 0, device);
    return context;
}

void fake_driver_pool_forget(CUmemoryPool pool)
{
    ((struct fake_pool *)pool)->live = false;
}

CUmemPoolProps fake_pool_props(int device)
{
    return (CUmemPoolProps){.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
}

CUmemAllocationProp fake_memory_prop(int device)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
}

int fixture_set_up(void **state)
{
    struct fixture *fixture = aligned_alloc(64, weft_round_up(sizeof(*fixture), 64));
    memset(fixture, 0, sizeof(*fixture));
    void *memory =
        mmap(NULL, weft_ledger_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fixture->ledger = weft_ledger_format(memory);
    for (int i = 0; i < WEFT_POLICY_DEVICES; i++)
        fixture->policy.devices[i].memory_limit_bytes = WEFT_POLICY_UNLIMITED;
    if (weft_ledger_slot_take(fixture->ledger, &fixture->slot, NULL) ||
        weft_ledger_slot_take(fixture->ledger, &fixture->other_slot, NULL))
        return -1;
    weft_ledger_account_init(&fixture->other, fixture->ledger, fixture->other_slot);
    fake_driver_reset(&fixture->table);
    struct weft_quota_config config = {.ledger = fixture->ledger,
                                       .slot = fixture->slot,
                                       .policy = &fixture->policy,
                                       .device_count = FAKE_DEVICES};
    *state = fixture;
    return weft_quota_install(&fixture->table, &config, NULL);
}

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    weft_quota_drop_after_fork();
    munmap(fixture->ledger, weft_ledger_bytes());
    free(fixture);
    return 0;
}

void fixture_limit(struct fixture *fixture, uint32_t device, uint64_t bytes)
{
    __atomic_store_n(&fixture->policy.devices[device].memory_limit_bytes, bytes, __ATOMIC_RELEASE);
}

uint64_t fixture_charged(struct fixture *fixture, uint32_t device)
{
    return weft_ledger_slot_held(fixture->ledger, fixture->slot, device);
}
