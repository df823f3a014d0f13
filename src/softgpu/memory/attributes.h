/* What cuDeviceGetAttribute answers. */
#ifndef WEFT_SOFTGPU_MEMORY_ATTRIBUTES_H
#define WEFT_SOFTGPU_MEMORY_ATTRIBUTES_H

#include "softgpu/soft.h"

/* INVALID_VALUE for an attribute that CUDA 13.0 does not know. */
CUresult weft_soft_attribute_get(const struct weft_soft_device *device,
                                 CUdevice_attribute attribute, int *value);

/* Where the device is said to sit: domain 0, this bus, device 0. */
static inline unsigned int weft_soft_attribute_bus(const struct weft_soft_device *device)
{
    return device->ordinal + 1;
}

#define WEFT_SOFT_PITCH_MAX 2147483647

#endif
