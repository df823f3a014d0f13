#include "softgpu/engine/injected.h"

#include <stdio.h>

#include "softgpu/faults.h"

#define SENTENCE_BYTES 256

static const uint64_t *process_word(const struct weft_soft_context *context)
{
    const struct weft_soft_device *device = context->device;
    return &device->place.page->processes[device->place.slot].fault;
}

static uint64_t read_word(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

void weft_soft_injected_init(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    engine->fault_before = read_word(&context->device->place.page->fault);
    engine->process_fault_before = read_word(process_word(context));
    weft_soft_injected_begin_work(context);
}

void weft_soft_injected_begin_work(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    atomic_store_explicit(&engine->fault_at_work_before,
                          read_word(&context->device->place.page->fault_at_work),
                          memory_order_relaxed);
}

CUresult weft_soft_injected_error(const struct weft_soft_context *context)
{
    const struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    uint64_t fault = read_word(&context->device->place.page->fault);
    if (fault != engine->fault_before)
        return (CUresult)WEFT_DEVICE_FAULT_ERROR(fault);
    fault = read_word(process_word(context));
    return fault == engine->process_fault_before ? CUDA_SUCCESS
                                                 : (CUresult)WEFT_DEVICE_FAULT_ERROR(fault);
}

CUresult weft_soft_injected_error_at_work(const struct weft_soft_context *context)
{
    CUresult error = weft_soft_injected_error(context);
    if (error)
        return error;
    uint64_t fault = read_word(&context->device->place.page->fault_at_work);
    const struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    return fault == atomic_load_explicit(&engine->fault_at_work_before, memory_order_relaxed)
               ? CUDA_SUCCESS
               : (CUresult)WEFT_DEVICE_FAULT_ERROR(fault);
}

void weft_soft_injected_tell(struct weft_soft_context *context)
{
    CUresult error = weft_soft_injected_error_at_work(context);
    const struct weft_soft_xid *xid = weft_soft_xid_find(
        __atomic_load_n(&context->device->place.page->last_xid, __ATOMIC_RELAXED));
    char text[SENTENCE_BYTES];
    snprintf(text, sizeof(text), "weft soft %s: injected Xid %u (%s) ends this context",
             context->device->profile->name, xid ? xid->number : 0, xid ? xid->text : "unknown");
    weft_soft_tell_once(context, &(struct weft_device_fault){.error = (uint32_t)error,
                                                             .xid = xid ? xid->number : 0,
                                                             .text = text});
}
