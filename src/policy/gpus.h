/* The device list of a person: `--gpu LIST`, item by item. Pure text; whether such a device exists
 * is weftd's to say. */
#ifndef WEFT_POLICY_GPUS_H
#define WEFT_POLICY_GPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/place.h"
#include <weft/backend.h>
#include <weft/err.h>

#define WEFT_GPU_PLACE_BYTES 256

enum weft_gpu_item_kind {
    WEFT_GPU_INDEX = 1, /* N */
    WEFT_GPU_UUID = 2,  /* GPU-… */
    WEFT_GPU_MIG = 3,   /* MIG-… */
    WEFT_GPU_SOFT = 4,  /* soft[=PROFILE[xN]] */
    WEFT_GPU_ANY = 5,   /* any */
    WEFT_GPU_UNIX = 6,  /* unix:PATH[/N] */
    WEFT_GPU_SHM = 7,   /* shm:PATH[/N] */
    WEFT_GPU_TLS = 8,   /* tls://HOST[:PORT][/N], and a bare HOST:PORT */
    WEFT_GPU_TCP = 9,   /* tcp://HOST[:PORT][/N] */
};

struct weft_gpu_item {
    enum weft_gpu_item_kind kind;
    uint32_t index;                   /* INDEX */
    uint32_t count;                   /* SOFT: how many devices; 1 elsewhere */
    uint8_t uuid[WEFT_UUID_BYTES];    /* UUID, MIG */
    char place[WEFT_GPU_PLACE_BYTES]; /* SOFT: the profile's name; UNIX … TCP: what follows the
                                         scheme */
};

struct weft_gpu_list {
    size_t count; /* 0: nothing was asked for */
    struct weft_gpu_item items[WEFT_DEVICES_MAX];
    uint32_t wanted;               /* --gpus N: so many of them, which weftd chooses; 0: all */
    enum weft_placement placement; /* how it chooses these, and what `any` stands for */
};

/* WEFT_ESYNTAX with a text that quotes the item and says what may stand there. More devices than
 * WEFT_DEVICES_MAX are refused. Leaves `wanted` and `placement` as they are. */
int weft_gpu_list_parse(const char *text, struct weft_gpu_list *list, struct weft_err *err);

/* The number of --gpus. WEFT_EINVAL. */
int weft_gpu_count_parse(const char *text, uint32_t *wanted, struct weft_err *err);
/* Whether weftd chooses among the devices. */
bool weft_gpu_list_is_choice(const struct weft_gpu_list *list);
/* Of all parts together: WEFT_EINVAL where a placement is given and nothing is to be chosen. */
int weft_gpu_list_check(const struct weft_gpu_list *list, struct weft_err *err);

/* "8-4-4-4-12" hexadecimal digits, as NVML prints them after its prefix. `text` holds
 * WEFT_UUID_TEXT_BYTES. Returns text. */
#define WEFT_UUID_TEXT_BYTES 37
char *weft_uuid_format(const uint8_t uuid[WEFT_UUID_BYTES], char *text);
int weft_uuid_parse(const char *text, uint8_t uuid[WEFT_UUID_BYTES], struct weft_err *err);

#endif
