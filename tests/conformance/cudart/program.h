/* What the programs of these tests share: checks, and the registration of PTX text as nvcc does it.
 */
#ifndef TESTS_CONFORMANCE_CUDART_PROGRAM_H
#define TESTS_CONFORMANCE_CUDART_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/register.h"

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)
#define OK(call) CHECK((call) == cudaSuccess)
#define FAILS(call, error) CHECK((call) == (error))

struct program_fat {
    uint32_t magic;
    uint16_t version, head_bytes;
    uint64_t bytes;
    uint16_t kind, entry_version;
    uint32_t entry_bytes;
    uint64_t payload_bytes;
    uint32_t packed_bytes, unused[2], sm;
    uint64_t unused_too, flags, unused_three, unpacked_bytes;
    char text[];
} __attribute__((packed));

struct program_wrapper {
    uint32_t magic, version;
    const void *fat, *more;
};

/* Each program has this header once. */
#define PROGRAM_WRAPPERS_MAX 2048
struct program_wrapper *program_kept[PROGRAM_WRAPPERS_MAX];
size_t program_kept_count;

/* The head of a fat binary with one entry of that many bytes and that kind: 1 is PTX, 2 a cubin. */
static inline struct program_fat program_head(size_t bytes, uint16_t kind)
{
    return (struct program_fat){.magic = 0xba55ed50u,
                                .version = 1,
                                .head_bytes = 16,
                                .bytes = 64 + bytes,
                                .kind = kind,
                                .entry_version = 0x101,
                                .entry_bytes = 64,
                                .payload_bytes = bytes,
                                .sm = 75,
                                .flags = 0x11};
}

/* Kept until the program ends, like those that are compiled in. */
static inline struct program_wrapper *program_wrap(const void *content, size_t bytes, uint16_t kind)
{
    struct program_fat *fat = calloc(1, sizeof(*fat) + bytes);
    struct program_wrapper *wrapper = malloc(sizeof(*wrapper));
    CHECK(fat && wrapper && program_kept_count < PROGRAM_WRAPPERS_MAX);
    program_kept[program_kept_count++] = wrapper;
    *fat = program_head(bytes, kind);
    memcpy(fat->text, content, bytes);
    *wrapper = (struct program_wrapper){0x466243b1u, 1, fat, NULL};
    return wrapper;
}

static inline void **program_register(const char *ptx)
{
    void **handle = __cudaRegisterFatBinary(program_wrap(ptx, strlen(ptx) + 1, 1));
    CHECK(handle);
    return handle;
}

/* In a library that is closed: its images go with it. */
static inline void program_forget(void)
{
    while (program_kept_count) {
        struct program_wrapper *wrapper = program_kept[--program_kept_count];
        free((void *)(uintptr_t)wrapper->fat);
        free(wrapper);
    }
}

/* `stub` is any address; it stands for the kernel from now on. */
static inline void program_kernel(void **handle, const void *stub, const char *name)
{
    __cudaRegisterFunction(handle, stub, (char *)(uintptr_t)name, name, -1, NULL, NULL, NULL, NULL,
                           NULL);
}

#endif
