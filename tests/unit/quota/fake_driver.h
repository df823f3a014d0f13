/* A driver that only counts: what the quota layer is tested against. It has two devices of
 * FAKE_DEVICE_BYTES, keeps pools the way a driver does (reserved by chunks, given back at a wait),
 * and fails when it is told to. */
#ifndef WEFT_TEST_FAKE_DRIVER_H
#define WEFT_TEST_FAKE_DRIVER_H

#include <weft/cuda_table.h>

#include "policy/ledger.h"
#include "policy/page.h"

#define FAKE_DEVICES 2
#define FAKE_DEVICE_BYTES (UINT64_C(1) << 30)
#define FAKE_CHUNK_BYTES (UINT64_C(2) << 20)
#define FAKE_PITCH_BYTES 256
#define FAKE_MIB (UINT64_C(1) << 20)

struct fake_driver {
    CUresult fail_next;   /* what the next allocating, freeing or mapping call returns instead of
                             doing it */
    bool streams_busy;    /* queries say so, and frees stay pending until a wait */
    bool attributes_fail; /* of pools */
    uint64_t held[FAKE_DEVICES]; /* bytes that the devices have out, by this driver's own count */
    uint64_t most_held[FAKE_DEVICES];
};
extern struct fake_driver fake;

/* A quota layer over a fresh fake driver, with a ledger and a policy page of its own. */
struct fixture {
    struct weft_cuda table;
    struct weft_ledger *ledger;
    struct weft_policy_page policy;
    uint32_t slot, other_slot;
    struct weft_ledger_account other; /* another process of the tenant */
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);
void fixture_limit(struct fixture *fixture, uint32_t device, uint64_t bytes);
uint64_t fixture_charged(struct fixture *fixture, uint32_t device);

void fake_driver_reset(struct weft_cuda *table);
/* Makes a context on the device current for this thread. */
CUcontext fake_context_make(struct weft_cuda *table, CUdevice device);
/* Lets the place of a destroyed pool be used for the next one that is created. */
void fake_driver_pool_forget(CUmemoryPool pool);
/* What pool props or memory props of a device look like. */
CUmemPoolProps fake_pool_props(int device);
CUmemAllocationProp fake_memory_prop(int device);

#define QUOTA_TEST(function) \
    cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)

#endif
