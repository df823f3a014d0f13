/* The calling thread's stack of contexts. Each entry holds a reference, so that a context which
 * another thread destroys is still there to say so. */
#include <stdlib.h>

#include "softgpu/engine/engine.h"
#include "softgpu/engine/injected.h"
#include "softgpu/engine/schedule.h"
#include "softgpu/faults.h"

#define STACK_DEPTH_MAX 1024
#define STACK_DEPTH_FIRST 8

struct stack {
    uint32_t depth, capacity;
    struct weft_soft_context *entries[];
};

static __thread struct stack *stack;
static pthread_key_t stack_key;
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;
static bool stack_usable;

static void drop_stack(void *argument)
{
    struct stack *dropped = argument;
    for (uint32_t i = 0; i < dropped->depth; i++)
        weft_soft_context_put(dropped->entries[i]);
    free(dropped);
    stack = NULL;
}

static void make_stack_key(void)
{
    stack_usable = pthread_key_create(&stack_key, drop_stack) == 0;
}

static bool grow_stack(void)
{
    pthread_once(&stack_once, make_stack_key);
    uint32_t capacity = stack ? stack->capacity * 2 : STACK_DEPTH_FIRST;
    if (!stack_usable || capacity > STACK_DEPTH_MAX)
        return false;
    struct stack *grown = realloc(stack, sizeof(*grown) + capacity * sizeof(grown->entries[0]));
    if (!grown)
        return false;
    if (!stack)
        grown->depth = 0;
    grown->capacity = capacity;
    stack = grown;
    return pthread_setspecific(stack_key, grown) == 0;
}

CUresult weft_soft_current_push(struct weft_soft_context *context)
{
    if ((!stack || stack->depth == stack->capacity) && !grow_stack())
        return CUDA_ERROR_OUT_OF_MEMORY;
    weft_soft_context_retain(context);
    stack->entries[stack->depth++] = context;
    return CUDA_SUCCESS;
}

struct weft_soft_context *weft_soft_current_pop(void)
{
    return stack && stack->depth ? stack->entries[--stack->depth] : NULL;
}

struct weft_soft_context *weft_soft_current_peek(void)
{
    return stack && stack->depth ? stack->entries[stack->depth - 1] : NULL;
}

CUresult weft_soft_call_enter(void)
{
    if (!atomic_load_explicit(&weft_soft.initialised, memory_order_acquire))
        return CUDA_ERROR_NOT_INITIALIZED;
    return weft_soft_host_in_callback() ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS;
}

CUresult weft_soft_context_current(struct weft_soft_context **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    struct weft_soft_context *context = weft_soft_current_peek();
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    result = weft_soft_context_status(context);
    if (result == CUDA_SUCCESS)
        *out = context;
    else if (weft_soft_injected_error(context))
        weft_soft_injected_tell(context);
    return result;
}

CUresult weft_soft_context_current_unsafe(struct weft_soft_context **out)
{
    CUresult result = weft_soft_context_current(out);
    return result ? result : weft_soft_capture_permit();
}

CUresult weft_soft_context_ask(const void *out, struct weft_soft_context **context)
{
    CUresult result = weft_soft_context_current(context);
    return result == CUDA_SUCCESS && !out ? CUDA_ERROR_INVALID_VALUE : result;
}

CUresult weft_soft_device_get(CUdevice ordinal, struct weft_soft_device **out)
{
    if (!atomic_load_explicit(&weft_soft.initialised, memory_order_acquire))
        return CUDA_ERROR_NOT_INITIALIZED;
    if (ordinal < 0 || (size_t)ordinal >= weft_soft.device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    const struct weft_device_page *page = weft_soft.devices[ordinal].place.page;
    if (__atomic_load_n(&page->state, __ATOMIC_ACQUIRE) == WEFT_SOFT_LOST)
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    *out = &weft_soft.devices[ordinal];
    return CUDA_SUCCESS;
}
