/* The granted devices, as the program sees them: 0, 1, … in the order of the grants. The driver
 * counts all cards of the machine, so every call that names a device is translated. The generated
 * part (cuda_view.c) covers devices and locations that are parameters or stand in a struct of their
 * own.
 *
 * Not translated: locations inside batched copies and prefetches, graph nodes
 * and memory range attributes. */
#ifndef WEFT_BACKEND_NATIVE_VIEW_H
#define WEFT_BACKEND_NATIVE_VIEW_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/backend.h>

#include "cuda/entries.h"

/* One for each granted device and one for the host is all that a list
 * of accesses can sensibly hold. */
#define WEFT_NATIVE_ACCESS_MAX (WEFT_DEVICES_MAX + 1)

/* The one state of the backend: the CUDA ABI passes none. Written by open and by the first cuInit
 * that succeeds. */
struct weft_native {
    pthread_mutex_t lock; /* serialises the search for the devices */
    struct weft_device_grant grants[WEFT_DEVICES_MAX];
    size_t grant_count;
    struct weft_cuda driver;
    size_t device_count; /* release/acquire: the devices are written first. 0 before cuInit, when
                            nothing is translated */
    CUdevice devices[WEFT_DEVICES_MAX]; /* in the granted order */
};
extern struct weft_native weft_native;

/* A generated call that stands over the driver's. */
struct weft_native_replacement {
    size_t index;
    weft_cuda_fn function;
};
extern const struct weft_native_replacement weft_native_replacements[];
extern const size_t weft_native_replacement_count;

/* Puts the view over what the driver has. */
void weft_native_view_install(struct weft_cuda *table);
size_t weft_native_device_count(void);

/* The driver's device for the program's; CU_DEVICE_CPU stays, and what is not granted becomes no
 * device at all. */
CUdevice weft_native_device_in(CUdevice device);
CUmemLocation weft_native_location_in(CUmemLocation location);
/* The same in a copy of a struct; returns the copy, or before cuInit
 * what was given. NULL stays NULL. */
CUmemLocation *weft_native_location_copy(const CUmemLocation *given, CUmemLocation *copy);
CUmemAllocationProp *weft_native_property_copy(const CUmemAllocationProp *given,
                                               CUmemAllocationProp *copy);
CUmemPoolProps *weft_native_pool_copy(const CUmemPoolProps *given, CUmemPoolProps *copy);
/* NULL too where there are more than `copy` holds. */
CUmemAccessDesc *weft_native_access_copy(const CUmemAccessDesc *given, size_t count,
                                         CUmemAccessDesc copy[WEFT_NATIVE_ACCESS_MAX]);

/* The program's device for the driver's, in place. */
void weft_native_device_out(CUdevice *device);
void weft_native_property_out(CUmemAllocationProp *property);

#endif
