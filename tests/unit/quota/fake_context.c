/* Contexts of the fake driver: the first FAKE_DEVICES are the primary ones. */
#include "fake_state.h"

#include <stddef.h>

static __thread CUcontext current;

struct fake_context *fake_context_of(CUcontext context)
{
    struct fake_context *found = (struct fake_context *)context;
    return found && found->live ? found : NULL;
}

CUcontext fake_current(void)
{
    return current;
}

static CUresult ctx_create(CUcontext *context, unsigned int flags, CUdevice device)
{
    (void)flags;
    for (int i = FAKE_DEVICES; i < CONTEXTS_MAX; i++) {
        if (fake_state.contexts[i].live)
            continue;
        fake_state.contexts[i] = (struct fake_context){.live = true, .device = device};
        *context = current = (CUcontext)&fake_state.contexts[i];
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static void context_empty(CUcontext context)
{
    for (uint32_t i = 0; i < fake_state.blocks_used; i++) {
        struct block *block = &fake_state.blocks[i];
        if (block->address && block->context == context) {
            fake.held[block->device] -= block->bytes;
            block->address = 0;
        }
    }
}

static CUresult ctx_destroy(CUcontext context)
{
    CUresult rc = fake_injected();
    struct fake_context *found = fake_context_of(context);
    if (!rc && (!found || found < &fake_state.contexts[FAKE_DEVICES]))
        rc = CUDA_ERROR_INVALID_CONTEXT;
    if (!rc) {
        context_empty(context);
        found->live = false;
    }
    return rc;
}

static CUresult ctx_get_api_version(CUcontext context, unsigned int *version)
{
    *version = 3020;
    return fake_context_of(context) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult ctx_set_current(CUcontext context)
{
    current = context;
    return CUDA_SUCCESS;
}

static CUresult ctx_get_current(CUcontext *context)
{
    *context = current;
    return CUDA_SUCCESS;
}

static CUresult ctx_get_device(CUdevice *device)
{
    struct fake_context *context = fake_context_of(current);
    if (!context)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *device = context->device;
    return CUDA_SUCCESS;
}

/* One deep is all that is asked of it. */
static __thread CUcontext pushed;

static CUresult ctx_push(CUcontext context)
{
    pushed = current;
    current = context;
    return CUDA_SUCCESS;
}

static CUresult ctx_pop(CUcontext *context)
{
    *context = current;
    current = pushed;
    return CUDA_SUCCESS;
}

static CUresult primary_retain(CUcontext *context, CUdevice device)
{
    fake_state.contexts[device].live = true;
    fake_state.contexts[device].device = device;
    fake_state.contexts[device].retained++;
    *context = (CUcontext)&fake_state.contexts[device];
    return CUDA_SUCCESS;
}

static void primary_end(CUdevice device)
{
    context_empty((CUcontext)&fake_state.contexts[device]);
    fake_state.contexts[device].live = false;
    fake_state.contexts[device].retained = 0;
}

static CUresult primary_release(CUdevice device)
{
    if (--fake_state.contexts[device].retained == 0)
        primary_end(device);
    return CUDA_SUCCESS;
}

/* Empties the context but leaves it to those who retain it. */
static CUresult primary_reset(CUdevice device)
{
    context_empty((CUcontext)&fake_state.contexts[device]);
    return CUDA_SUCCESS;
}

static CUresult primary_state(CUdevice device, unsigned int *flags, int *active)
{
    *flags = 0;
    *active = fake_state.contexts[device].live;
    return CUDA_SUCCESS;
}

void fake_context_install(struct weft_cuda *table)
{
    current = NULL;
    table->cuCtxCreate_v2 = ctx_create;
    table->cuCtxDestroy = table->cuCtxDestroy_v2 = table->cuCtxDetach = ctx_destroy;
    table->cuCtxGetApiVersion = ctx_get_api_version;
    table->cuCtxSetCurrent = ctx_set_current;
    table->cuCtxGetCurrent = ctx_get_current;
    table->cuCtxGetDevice = ctx_get_device;
    table->cuCtxPushCurrent_v2 = ctx_push;
    table->cuCtxPopCurrent_v2 = ctx_pop;
    table->cuDevicePrimaryCtxRetain = primary_retain;
    table->cuDevicePrimaryCtxRelease = table->cuDevicePrimaryCtxRelease_v2 = primary_release;
    table->cuDevicePrimaryCtxReset = table->cuDevicePrimaryCtxReset_v2 = primary_reset;
    table->cuDevicePrimaryCtxGetState = primary_state;
}
