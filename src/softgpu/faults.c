#include "softgpu/faults.h"

#include <weft/cuda_abi.h>

/* After NVIDIA's public list of Xid errors: whom it ends, whether the GPU needs a reset, and
 * whether a program can be the cause. */
static const struct weft_soft_xid xids[] = {
    {8, CUDA_ERROR_LAUNCH_TIMEOUT, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, false, false,
     "GPU stopped processing"},
    {13, CUDA_ERROR_LAUNCH_FAILED, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, false, false,
     "graphics engine exception"},
    {31, CUDA_ERROR_ILLEGAL_ADDRESS, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, false, false,
     "memory page fault"},
    {32, CUDA_ERROR_LAUNCH_FAILED, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, false, true,
     "invalid or corrupted push buffer"},
    {43, CUDA_ERROR_LAUNCH_FAILED, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, false, false,
     "a program's fault stopped its channel"},
    {45, CUDA_ERROR_LAUNCH_FAILED, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, false, true,
     "preemptive cleanup after earlier errors"},
    {WEFT_SOFT_XID_ECC, CUDA_ERROR_ECC_UNCORRECTABLE, WEFT_SOFT_REACH_DEVICE, WEFT_SOFT_HEALTHY,
     true, true, "double-bit ECC error"},
    {62, CUDA_ERROR_UNKNOWN, WEFT_SOFT_REACH_DEVICE, WEFT_SOFT_NEEDS_RESET, false, true,
     "internal micro-controller halt"},
    {63, 0, WEFT_SOFT_REACH_NONE, WEFT_SOFT_HEALTHY, false, false, "row remapping recorded"},
    {64, 0, WEFT_SOFT_REACH_NONE, WEFT_SOFT_HEALTHY, false, false, "row remapping not recorded"},
    {74, CUDA_ERROR_NVLINK_UNCORRECTABLE, WEFT_SOFT_REACH_DEVICE, WEFT_SOFT_HEALTHY, false, true,
     "NVLink error"},
    {WEFT_SOFT_XID_FALLEN_OFF, CUDA_ERROR_DEVICE_UNAVAILABLE, WEFT_SOFT_REACH_DEVICE,
     WEFT_SOFT_LOST, false, true, "GPU has fallen off the bus"},
    {92, 0, WEFT_SOFT_REACH_NONE, WEFT_SOFT_HEALTHY, false, false,
     "high rate of single-bit ECC errors"},
    {94, CUDA_ERROR_ECC_UNCORRECTABLE, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, true, true,
     "contained memory error"},
    {95, CUDA_ERROR_ECC_UNCORRECTABLE, WEFT_SOFT_REACH_DEVICE, WEFT_SOFT_NEEDS_RESET, true, true,
     "uncontained memory error"},
    {109, CUDA_ERROR_LAUNCH_TIMEOUT, WEFT_SOFT_REACH_AT_WORK, WEFT_SOFT_HEALTHY, false, true,
     "context switch timed out"},
    {119, CUDA_ERROR_UNKNOWN, WEFT_SOFT_REACH_DEVICE, WEFT_SOFT_NEEDS_RESET, false, true,
     "system processor does not answer"},
};

const struct weft_soft_xid *weft_soft_xids(size_t *count)
{
    *count = sizeof(xids) / sizeof(xids[0]);
    return xids;
}

const struct weft_soft_xid *weft_soft_xid_find(uint32_t number)
{
    for (size_t i = 0; i < sizeof(xids) / sizeof(xids[0]); i++) {
        if (xids[i].number == number)
            return &xids[i];
    }
    return NULL;
}

const char *weft_soft_state_name(uint32_t state)
{
    static const char *const names[] = {
        [WEFT_SOFT_HEALTHY] = "healthy",
        [WEFT_SOFT_NEEDS_RESET] = "needs reset",
        [WEFT_SOFT_LOST] = "lost",
    };
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
