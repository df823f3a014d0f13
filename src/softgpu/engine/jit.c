/* The options of the just-in-time compiler. */
#include <stdio.h>
#include <string.h>

#include "softgpu/engine/module.h"

#define OPTIONS_MAX 256
#define TARGET_MASK 0xffffu
#define TARGET_MAX 121
#define INFO_BYTES 64

/* What bounds the value of an option that is a small number; the others take any. */
static const struct {
    CUjit_option option;
    uint32_t most;
} bounds[] = {
    {CU_JIT_OPTIMIZATION_LEVEL, 4},
    {CU_JIT_FALLBACK_STRATEGY, CU_PREFER_BINARY},
    {CU_JIT_CACHE_MODE, CU_JIT_CACHE_OPTION_CA},
};

static bool is_in_bounds(CUjit_option option, const void *value)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(bounds); i++)
        if (bounds[i].option == option)
            return (uint32_t)(uintptr_t)value <= bounds[i].most;
    return true;
}

/* sm_90a is 90 with a flag above it, sm_100f with another. */
static bool read_target(struct weft_soft_jit *jit, const void *value)
{
    jit->target = (uint32_t)(uintptr_t)value & TARGET_MASK;
    return jit->target >= CU_TARGET_COMPUTE_30 && jit->target <= TARGET_MAX;
}

static bool read_option(struct weft_soft_jit *jit, CUjit_option option, void **value)
{
    uint32_t number = (uint32_t)(uintptr_t)*value;
    switch ((int)option) {
    case CU_JIT_INFO_LOG_BUFFER:
        jit->info = *value;
        break;
    case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
        jit->info_bytes = number;
        jit->info_filled = value;
        break;
    case CU_JIT_ERROR_LOG_BUFFER:
        jit->error = *value;
        break;
    case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
        jit->error_bytes = number;
        jit->error_filled = value;
        break;
    case CU_JIT_WALL_TIME:
        jit->wall_time = value;
        break;
    case CU_JIT_MAX_REGISTERS:
        jit->registers_max = number;
        break;
    case CU_JIT_LOG_VERBOSE:
        jit->verbose = number;
        break;
    case CU_JIT_TARGET:
        return read_target(jit, *value);
    default:
        return is_in_bounds(option, *value);
    }
    return true;
}

/* The header says of each of these that the target cannot be combined with it. */
static bool excludes_target(CUjit_option option)
{
    return option == CU_JIT_TARGET_FROM_CUCONTEXT || option == CU_JIT_THREADS_PER_BLOCK;
}

CUresult weft_soft_jit_read(struct weft_soft_jit *jit, unsigned int count, CUjit_option *options,
                            void **values)
{
    bool without_target = false;
    *jit = (struct weft_soft_jit){0};
    if (count > OPTIONS_MAX || (count && (!options || !values)))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < count; i++) {
        if ((unsigned int)options[i] >= CU_JIT_NUM_OPTIONS ||
            !read_option(jit, options[i], &values[i]))
            return CUDA_ERROR_INVALID_VALUE;
        without_target |= excludes_target(options[i]);
    }
    return jit->target && without_target ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult weft_soft_jit_sm(const struct weft_soft_jit *jit, uint32_t device_sm, uint32_t *sm,
                          struct weft_err *err)
{
    *sm = jit && jit->target ? jit->target : device_sm;
    if (*sm <= device_sm)
        return CUDA_SUCCESS;
    weft_fail(err, WEFT_ENOSYS, "CU_JIT_TARGET asks for sm_%u, but the device is sm_%u", *sm,
              device_sm);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

static void fill(char *buffer, size_t bytes, void **filled, const char *text)
{
    size_t length = 0;
    if (buffer && bytes) {
        length = WEFT_MIN(strlen(text), bytes - 1);
        memcpy(buffer, text, length);
        buffer[length] = '\0';
    }
    if (filled)
        *filled = (void *)(uintptr_t)length;
}

void weft_soft_jit_write(const struct weft_soft_jit *jit, const char *error_text,
                         uint64_t started_ns)
{
    char info[INFO_BYTES] = "";
    if (jit->verbose && !error_text)
        snprintf(info, sizeof(info), "weft: %.3f ms for the soft GPU",
                 (double)(weft_clock_ns() - started_ns) / 1e6);
    fill(jit->info, jit->info_bytes, jit->info_filled, info);
    fill(jit->error, jit->error_bytes, jit->error_filled, error_text ? error_text : "");
    if (jit->wall_time) {
        /* A float in the bits of the pointer: so is the option defined. */
        float milliseconds = (float)((double)(weft_clock_ns() - started_ns) / 1e6);
        uint32_t bits;
        memcpy(&bits, &milliseconds, sizeof(bits));
        *jit->wall_time = (void *)(uintptr_t)bits;
    }
}
