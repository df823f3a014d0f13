/* CUDA_VISIBLE_DEVICES, on top of the slice that was granted. */
#ifndef WEFT_FACE_VISIBLE_H
#define WEFT_FACE_VISIBLE_H

#include <stddef.h>
#include <stdint.h>

#include <weft/backend.h>

/* The granted devices that the program sees, in its order. */
struct weft_face_visible {
    size_t count;
    uint32_t places[WEFT_DEVICES_MAX]; /* of each in the grants */
};

/* Reads a setting: indices into the grants, or GPU- and MIG- UUIDs, which may be cut short where
 * they stay unique. As with NVIDIA's driver the list ends before the first item that names no
 * device, or one that was named before. NULL: all. */
struct weft_face_visible weft_face_visible_choose(const char *setting,
                                                  const struct weft_device_grant *granted,
                                                  size_t granted_count);

#endif
