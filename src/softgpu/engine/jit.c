/* The options of the just-in-time compiler. */
#include <stdio.h>
#include <string.h>

#include "softgpu/engine/module.h"

#define OPTIONS_MAX 256

CUresult weft_soft_jit_read(struct weft_soft_jit *jit, unsigned int count, CUjit_option *options,
                            void **values)
{
    *jit = (struct weft_soft_jit){0};
    if (count > OPTIONS_MAX || (count && (!options || !values)))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < count; i++) {
        switch ((int)options[i]) {
        case CU_JIT_INFO_LOG_BUFFER:
            jit->info = values[i];
            break;
        case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
            jit->info_bytes = (uint32_t)(uintptr_t)values[i];
            jit->info_filled = &values[i];
            break;
        case CU_JIT_ERROR_LOG_BUFFER:
            jit->error = values[i];
            break;
        case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
            jit->error_bytes = (uint32_t)(uintptr_t)values[i];
            jit->error_filled = &values[i];
            break;
        case CU_JIT_WALL_TIME:
            jit->wall_time = &values[i];
            break;
        default:
            break; /* how to compile does not change what is computed */
        }
    }
    return CUDA_SUCCESS;
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
    fill(jit->info, jit->info_bytes, jit->info_filled, "");
    fill(jit->error, jit->error_bytes, jit->error_filled, error_text ? error_text : "");
    if (jit->wall_time) {
        /* A float in the bits of the pointer: so is the option defined. */
        float milliseconds = (float)((double)(weft_clock_ns() - started_ns) / 1e6);
        uint32_t bits;
        memcpy(&bits, &milliseconds, sizeof(bits));
        *jit->wall_time = (void *)(uintptr_t)bits;
    }
}
