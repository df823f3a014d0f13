/* The demo's tenant: an ordinary CUDA driver-API program that knows nothing of weft. It computes
 * three things and checks them, and with `--over` it asks for memory until it is refused. One word
 * and its facts a line on stdout: ready          waits for a line on stdin matmul ok …    (or
 * `wrong`), likewise reduction and histogram limit ok …     refused exactly where nothing was left
 *   done */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#define MATRIX_SIDE 128
#define VALUE_COUNT (1u << 18)
#define BIN_COUNT 256
#define CHUNK_BYTES (1u << 20)
#define CHUNKS_MAX (1u << 20)
#define SMALLEST_CHARGE_BYTES 512

/* Ends the program at the first failed call: it is an example, and nothing can go on without its
 * device. */
#define CU(call)                                                    \
    do {                                                            \
        CUresult cu_result = (call);                                \
        if (cu_result != CUDA_SUCCESS) {                            \
            printf("failed %s: error %d\n", #call, (int)cu_result); \
            exit(1);                                                \
        }                                                           \
    } while (0)

/* The assembler puts examples/kernels.ptx into the program, with the zero that ends a string. */
__asm__(".section .rodata\n"
        "kernels_ptx: .incbin \"" KERNELS_PTX "\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char kernels_ptx[];

static CUdeviceptr upload(const void *data, size_t bytes)
{
    CUdeviceptr address;
    CU(cuMemAlloc(&address, bytes));
    CU(cuMemcpyHtoD(address, data, bytes));
    return address;
}

static CUdeviceptr zeroed(size_t bytes)
{
    CUdeviceptr address;
    CU(cuMemAlloc(&address, bytes));
    CU(cuMemsetD8(address, 0, bytes));
    return address;
}

static CUfunction kernel(CUmodule module, const char *name)
{
    CUfunction function;
    CU(cuModuleGetFunction(&function, module, name));
    return function;
}

static double product_error(const float *a, const float *b, const float *c, uint32_t n)
{
    double worst = 0;
    for (uint32_t row = 0; row < n; row++) {
        for (uint32_t column = 0; column < n; column++) {
            double expected = 0;
            for (uint32_t k = 0; k < n; k++)
                expected += (double)a[row * n + k] * b[k * n + column];
            worst = fmax(worst, fabs(expected - c[row * n + column]));
        }
    }
    return worst;
}

static bool check_matmul(CUmodule module)
{
    static float a[MATRIX_SIDE * MATRIX_SIDE], b[MATRIX_SIDE * MATRIX_SIDE],
        c[MATRIX_SIDE * MATRIX_SIDE];
    uint32_t n = MATRIX_SIDE;
    for (uint32_t i = 0; i < n * n; i++) {
        a[i] = (float)(i % 17) / 17;
        b[i] = (float)(i % 23) / 23;
    }
    CUdeviceptr device_a = upload(a, sizeof(a)), device_b = upload(b, sizeof(b)),
                device_c = zeroed(sizeof(c));
    void *arguments[] = {&device_a, &device_b, &device_c, &n};
    CU(cuLaunchKernel(kernel(module, "matmul"), n / 16, n / 16, 1, 16, 16, 1, 0, NULL, arguments,
                      NULL));
    CU(cuMemcpyDtoH(c, device_c, sizeof(c)));
    double error = product_error(a, b, c, n);
    CU(cuMemFree(device_a));
    CU(cuMemFree(device_b));
    CU(cuMemFree(device_c));
    bool ok = error < 1e-4;
    printf("matmul %s largest error %.1e\n", ok ? "ok" : "wrong", error);
    return ok;
}

static bool check_reduction(CUmodule module, CUdeviceptr values, const uint32_t *host_values)
{
    uint32_t count = VALUE_COUNT, expected = 0, total;
    for (uint32_t i = 0; i < count; i++)
        expected += host_values[i];
    CUdeviceptr device_total = zeroed(sizeof(total));
    void *arguments[] = {&values, &count, &device_total};
    CU(cuLaunchKernel(kernel(module, "reduce"), 64, 1, 1, 256, 1, 1, 0, NULL, arguments, NULL));
    CU(cuMemcpyDtoH(&total, device_total, sizeof(total)));
    CU(cuMemFree(device_total));
    printf("reduction %s %u of %u\n", total == expected ? "ok" : "wrong", total, expected);
    return total == expected;
}

static bool check_histogram(CUmodule module, CUdeviceptr values, const uint32_t *host_values)
{
    uint32_t count = VALUE_COUNT, expected[BIN_COUNT] = {0}, bins[BIN_COUNT];
    for (uint32_t i = 0; i < count; i++)
        expected[host_values[i] % BIN_COUNT]++;
    CUdeviceptr device_bins = zeroed(sizeof(bins));
    void *arguments[] = {&values, &count, &device_bins};
    CU(cuLaunchKernel(kernel(module, "histogram"), count / 256, 1, 1, 256, 1, 1, 0, NULL, arguments,
                      NULL));
    CU(cuMemcpyDtoH(bins, device_bins, sizeof(bins)));
    CU(cuMemFree(device_bins));
    bool ok = memcmp(bins, expected, sizeof(bins)) == 0;
    printf("histogram %s %u values in %u bins\n", ok ? "ok" : "wrong", count, BIN_COUNT);
    return ok;
}

/* Takes memory until refused, then the rest to the last 512 bytes: the limit holds exactly, or this
 * is wrong. */
static bool check_limit(void)
{
    static CUdeviceptr chunks[CHUNKS_MAX];
    size_t count = 0, left, total;
    CUresult refusal = CUDA_SUCCESS;
    while (count < CHUNKS_MAX &&
           (refusal = cuMemAlloc(&chunks[count], CHUNK_BYTES)) == CUDA_SUCCESS)
        count++;
    CU(cuMemGetInfo(&left, &total));
    bool ok = refusal == CUDA_ERROR_OUT_OF_MEMORY && left < CHUNK_BYTES;
    CUdeviceptr rest = 0, more;
    if (left > 0)
        ok = cuMemAlloc(&rest, left) == CUDA_SUCCESS && ok;
    ok = cuMemAlloc(&more, SMALLEST_CHARGE_BYTES) == CUDA_ERROR_OUT_OF_MEMORY && ok;
    if (rest)
        CU(cuMemFree(rest));
    for (size_t i = 0; i < count; i++)
        CU(cuMemFree(chunks[i]));
    printf("limit %s refused with error %d at %zu bytes\n", ok ? "ok" : "wrong", (int)refusal,
           total);
    return ok;
}

static bool check_all(CUmodule module, const uint32_t *host_values)
{
    CUdeviceptr values = upload(host_values, VALUE_COUNT * sizeof(*host_values));
    bool ok = check_matmul(module);
    ok = check_reduction(module, values, host_values) && ok;
    ok = check_histogram(module, values, host_values) && ok;
    CU(cuMemFree(values));
    return ok;
}

int main(int argument_count, char **arguments)
{
    static uint32_t values[VALUE_COUNT];
    bool over = argument_count > 1 && strcmp(arguments[1], "--over") == 0;
    char line[16], name[64];
    CUdevice device;
    CUcontext context;
    CUmodule module;

    setvbuf(stdout, NULL, _IOLBF, 0);
    CU(cuInit(0));
    CU(cuDeviceGet(&device, 0));
    CU(cuDeviceGetName(name, sizeof(name), device));
    CU(cuDevicePrimaryCtxRetain(&context, device));
    CU(cuCtxSetCurrent(context));
    CU(cuModuleLoadData(&module, kernels_ptx));
    printf("device %s\n", name);
    for (uint32_t i = 0; i < VALUE_COUNT; i++)
        values[i] = i * 2654435761u >> 7;

    printf("ready\n");
    if (!fgets(line, sizeof(line), stdin))
        return 1;
    bool ok = check_all(module, values);
    if (over) {
        ok = check_limit() && ok;
        ok = check_all(module, values) && ok; /* and all is well afterwards */
    }
    CU(cuModuleUnload(module));
    CU(cuDevicePrimaryCtxRelease(device));
    printf("done\n");
    return ok ? 0 : 1;
}
