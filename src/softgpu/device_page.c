#include "softgpu/device_page.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

int weft_device_page_wake(struct weft_device_page *page, uint32_t sm, int most)
{
    __atomic_add_fetch(&page->sm_released, 1, __ATOMIC_SEQ_CST);
    return (int)syscall(SYS_futex, &page->sm_released, FUTEX_WAKE_BITSET, most, NULL, NULL,
                        1u << (sm % 32));
}

void weft_device_page_free_sms(struct weft_device_page *page, uint32_t slot)
{
    bool freed = false;
    for (uint32_t i = 0; i < WEFT_DEVICE_SMS_MAX; i++) {
        uint64_t owner = __atomic_load_n(&page->sms[i].owner, __ATOMIC_ACQUIRE);
        if (owner && WEFT_DEVICE_OWNER_SLOT(owner) == slot)
            freed |= __atomic_compare_exchange_n(&page->sms[i].owner, &owner, 0, false,
                                                 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    if (!freed)
        return;
    __atomic_add_fetch(&page->sm_released, 1, __ATOMIC_ACQ_REL);
    syscall(SYS_futex, &page->sm_released, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
