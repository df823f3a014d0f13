/* Fat binaries as nvcc embeds them, made here byte by byte, and the same with damage: `fat COUNT`
 * loads so many damaged ones after the good ones. What would break it: taking the wrong entry, not
 * unpacking, or reading where an image lies that it has. */
#include <lz4.h>
#include <zstd.h>

#include "check.h"

#define FAT_BYTES_MAX 8192
#define LONG_TEXT_BYTES (80 << 10) /* of such a text bodies are read late */
#define FLAGS 0x11
#define FLAG_LZ4 0x2000
#define FLAG_ZSTD 0x8000

/* A kernel that stores `value`. */
#define PTX_OF(target, value)                                                         \
    ".version 7.0\n.target " target "\n.address_size 64\n"                            \
    ".visible .entry run(.param .u64 out) {\n .reg .b64 %d0;\n .reg .b32 %r0;\n"      \
    " ld.param.u64 %d0, [out];\n mov.u32 %r0, " value ";\n st.global.u32 [%d0], %r0;" \
    "\n ret;\n}\n"

static const char caller[] =
    PTX_HEAD ".extern .func (.param .b32 r) answer();\n"
             ".visible .entry run(.param .u64 out) {\n .reg .b64 %d0;\n .reg .b32 %r0;\n"
             " .param .b32 r0;\n ld.param.u64 %d0, [out];\n call (r0), answer, ();\n"
             " ld.param.b32 %r0, [r0];\n st.global.u32 [%d0], %r0;\n ret;\n}\n";
static const char callee[] = PTX_HEAD ".visible .func (.param .b32 r) answer() {\n"
                                      " st.param.b32 [r], 77;\n ret;\n}\n";

/* A kernel that launches another, and what nvcc links beside it. */
static const char launcher[] =
    PTX_HEAD ".extern .func (.param .b32 r) cudaLaunchDeviceV2(.param .b64 b, .param .b64 s);\n"
             ".visible .entry launch() {\n .param .b32 r0;\n .param .b64 b0;\n .param .b64 s0;\n"
             " call (r0), cudaLaunchDeviceV2, (b0, s0);\n ret;\n}\n";
static const char device_runtime[] =
    ".version 7.8\n.target sm_90\n.address_size 64\n"
    ".visible .global .align 4 .u32 __CNPRT_VERSION_NUMBER__ = 6000;\n"
    ".extern .func (.param .b32 r) cnpLaunchDeviceV2(.param .b64 b, .param .b64 s);\n"
    ".visible .func (.param .b32 r) cudaLaunchDeviceV2(.param .b64 b, .param .b64 s) {\n"
    " call (r), cnpLaunchDeviceV2, (b, s);\n ret;\n}\n";

struct wrapper {
    uint32_t magic, version;
    const void *image, *more;
};

struct fat {
    uint8_t bytes[FAT_BYTES_MAX];
    size_t used;
};

static void put(struct fat *fat, size_t at, uint64_t value, size_t width)
{
    CHECK(at + width <= sizeof(fat->bytes));
    memcpy(fat->bytes + at, &value, width);
}

static void begin(struct fat *fat)
{
    memset(fat, 0, sizeof(*fat));
    put(fat, 0, 0xba55ed50u, 4);
    put(fat, 4, 1, 2);
    put(fat, 6, 16, 2);
    fat->used = 16;
}

/* An entry with a head of `head` bytes; the payload is padded to 8 bytes as nvcc does. */
static void add(struct fat *fat, uint16_t kind, uint32_t sm, uint64_t flags, const char *text,
                uint32_t head)
{
    size_t at = fat->used, length = strlen(text), room = sizeof(fat->bytes) - at - head;
    char *payload = (char *)fat->bytes + at + head;
    size_t packed = 0;
    if (flags & FLAG_LZ4)
        packed = (size_t)LZ4_compress_default(text, payload, (int)length, (int)room);
    else if (flags & FLAG_ZSTD)
        packed = ZSTD_compress(payload, room, text, length, 3);
    else
        memcpy(payload, text, length);
    size_t padded = ((packed ? packed : length + 1) + 7) / 8 * 8;
    put(fat, at, kind, 2);
    put(fat, at + 2, 0x0101, 2);
    put(fat, at + 4, head, 4);
    put(fat, at + 8, padded, 8);
    put(fat, at + 16, packed, 4);
    put(fat, at + 28, sm, 4);
    put(fat, at + 40, flags, 8);
    put(fat, at + 56, packed ? length : 0, 8);
    fat->used += head + padded;
    put(fat, 8, fat->used - 16, 8);
}

static uint32_t run(const void *image)
{
    CUmodule module;
    CUdeviceptr out;
    uint32_t value = 0;
    OK(cuModuleLoadData(&module, image));
    OK(cuMemAlloc(&out, sizeof(value)));
    void *arguments[] = {&out};
    OK(cuLaunchKernel(function_of(module, "run"), 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    OK(cuMemcpyDtoH(&value, out, sizeof(value)));
    OK(cuMemFree(out));
    OK(cuModuleUnload(module));
    return value;
}

static CUresult load(const void *image)
{
    CUmodule module;
    CUresult result = cuModuleLoadData(&module, image);
    if (result == CUDA_SUCCESS)
        OK(cuModuleUnload(module));
    return result;
}

/* Several forms of one module: the newest that the device can run is the one. */
static void check_choice(struct fat *fat)
{
    begin(fat);
    add(fat, 2, 75, FLAGS, "\177ELF", 64);
    add(fat, 1, 50, FLAGS, PTX_OF("sm_50", "50"), 64);
    add(fat, 1, 75, FLAGS | FLAG_ZSTD, PTX_OF("sm_75", "75"), 80);
    add(fat, 1, 70, FLAGS | FLAG_LZ4, PTX_OF("sm_70", "70"), 112);
    add(fat, 1, 999, FLAGS, PTX_OF("sm_999", "999"), 136);
    CHECK(run(fat->bytes) == 75);
    struct wrapper wrapper = {0x466243b1u, 1, fat->bytes, "file.cu"};
    CHECK(run(&wrapper) == 75);
    wrapper = (struct wrapper){0x466243b1u, 2, fat->bytes, NULL};
    CHECK(run(&wrapper) == 75);
    begin(fat);
    add(fat, 1, 70, FLAGS | FLAG_LZ4, PTX_OF("sm_70", "70"), 64);
    CHECK(run(fat->bytes) == 70);
}

static void check_linked(void)
{
    static struct fat stub, first, second;
    const void *linked[] = {first.bytes, second.bytes, NULL};
    struct wrapper wrapper = {0x466243b1u, 2, stub.bytes, linked};
    begin(&stub);
    add(&stub, 2, 75, FLAGS, "\177ELF", 64);
    begin(&first);
    add(&first, 1, 75, FLAGS | FLAG_ZSTD, caller, 96);
    begin(&second);
    add(&second, 1, 75, FLAGS, callee, 64);
    CHECK(run(&wrapper) == 77);
    CUlibrary library;
    CUkernel kernel;
    OK(cuLibraryLoadData(&library, &wrapper, NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetKernel(&kernel, library, "run"));
    OK(cuLibraryUnload(library));
}

/* Of long linked texts an error in a body is told where its kernel is asked for, and the others
 * run; who wants a log is told at once. */
static void check_linked_late(void)
{
    static struct fat stub, first, second;
    static char text[sizeof(caller) + LONG_TEXT_BYTES];
    const void *linked[] = {first.bytes, second.bytes, NULL};
    struct wrapper wrapper = {0x466243b1u, 2, stub.bytes, linked};
    char log[256] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof(log)};
    CUmodule module;
    CUfunction function;
    snprintf(text, sizeof(text), "%s.visible .entry bad() {%*s nonsense;\n}\n", caller,
             LONG_TEXT_BYTES - 64, "");
    begin(&first);
    add(&first, 1, 75, FLAGS | FLAG_ZSTD, text, 64);
    begin(&second);
    add(&second, 1, 75, FLAGS, callee, 64);
    CHECK(run(&wrapper) == 77);
    OK(cuModuleLoadData(&module, &wrapper));
    for (int i = 0; i < 2; i++)
        EXPECT(cuModuleGetFunction(&function, module, "bad"), CUDA_ERROR_INVALID_PTX);
    OK(cuModuleUnload(module));
    EXPECT(cuModuleLoadDataEx(&module, &wrapper, 2, options, values), CUDA_ERROR_INVALID_PTX);
    CHECK(strncmp(log, "fat binary 1: ptx:15:", 21) == 0 && strstr(log, "nonsense"));
}

/* Kernels that launch kernels are refused, the others of such a program run: also where NVIDIA's
 * device runtime, whose PTX is for `sm`, is for newer devices. */
static void check_device_runtime(uint32_t sm)
{
    static struct fat stub, first, second, third, runtime;
    const void *linked[] = {first.bytes, runtime.bytes, second.bytes, third.bytes, NULL};
    struct wrapper wrapper = {0x466243b1u, 2, stub.bytes, linked};
    CUmodule module;
    CUfunction function;
    begin(&first);
    add(&first, 1, 75, FLAGS, launcher, 64);
    begin(&runtime);
    add(&runtime, 2, 75, FLAGS, "\177ELF", 64);
    add(&runtime, 1, sm, FLAGS | FLAG_LZ4, device_runtime, 64);
    begin(&second);
    add(&second, 1, 75, FLAGS, caller, 64);
    begin(&third);
    add(&third, 1, 75, FLAGS, callee, 64);
    CHECK(run(&wrapper) == 77);
    OK(cuModuleLoadData(&module, &wrapper));
    CUresult result = cuModuleGetFunction(&function, module, "launch");
    if (result == CUDA_SUCCESS)
        result = cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
    CHECK(result == CUDA_ERROR_NOT_SUPPORTED);
    OK(cuModuleUnload(module));
}

static void check_refused(struct fat *fat)
{
    begin(fat);
    CHECK(load(fat->bytes) == CUDA_ERROR_NO_BINARY_FOR_GPU); /* empty: the size is 0 */
    add(fat, 2, 75, FLAGS, "\177ELF", 64);
    CHECK(load(fat->bytes) == CUDA_ERROR_NO_BINARY_FOR_GPU);
    add(fat, 1, 999, FLAGS, PTX_OF("sm_999", "999"), 64);
    CHECK(load(fat->bytes) == CUDA_ERROR_NO_BINARY_FOR_GPU);
    begin(fat);
    add(fat, 1, 75, FLAGS | FLAG_ZSTD, PTX_OF("sm_75", "75"), 64);
    put(fat, 16 + 56, 5, 8);
    CHECK(load(fat->bytes) == CUDA_ERROR_INVALID_IMAGE);
    put(fat, 16 + 40, FLAGS, 8);
    CHECK(load(fat->bytes) == CUDA_ERROR_INVALID_IMAGE);
    put(fat, 8, UINT64_MAX, 8);
    CHECK(load(fat->bytes) == CUDA_ERROR_INVALID_IMAGE);
    struct wrapper wrapper = {0x466243b1u, 3, fat->bytes, NULL};
    CHECK(load(&wrapper) == CUDA_ERROR_INVALID_IMAGE);
    wrapper = (struct wrapper){0x466243b1u, 1, (void *)16, NULL};
    CHECK(load(&wrapper) == CUDA_ERROR_INVALID_IMAGE);
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Damage at every place in turn: it loads or it is refused, and nothing else happens. */
static void check_damaged(struct fat *fat, unsigned long count)
{
    static struct fat damaged;
    uint64_t state = 1;
    size_t free_before, free_after, total;
    begin(fat);
    add(fat, 2, 75, FLAGS, "\177ELF", 64);
    add(fat, 1, 75, FLAGS | FLAG_ZSTD, PTX_OF("sm_75", "75"), 80);
    add(fat, 1, 70, FLAGS | FLAG_LZ4, PTX_OF("sm_70", "70"), 64);
    OK(cuMemGetInfo(&free_before, &total));
    for (unsigned long i = 0; i < count; i++) {
        damaged = *fat;
        damaged.bytes[i % fat->used] = (uint8_t)random_next(&state);
        for (uint64_t more = random_next(&state) % 3; more; more--)
            damaged.bytes[random_next(&state) % fat->used] ^= 1u << (random_next(&state) % 8);
        load(damaged.bytes);
    }
    OK(cuMemGetInfo(&free_after, &total));
    CHECK(free_before == free_after);
}

int main(int argc, char **argv)
{
    static struct fat fat;
    start(PTX_HEAD);
    check_choice(&fat);
    check_linked();
    check_linked_late();
    check_device_runtime(75);
    check_device_runtime(90);
    check_refused(&fat);
    check_damaged(&fat, argc > 1 ? strtoul(argv[1], NULL, 10) : 0);
    CHECK(run((begin(&fat), add(&fat, 1, 60, FLAGS, PTX_OF("sm_60", "60"), 64), fat.bytes)) == 60);
    return 0;
}
