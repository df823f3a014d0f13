/* What a program can ask of a stream, and its attributes. */
#include <string.h>

#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

/* What never changes of a stream. */
struct facts {
    unsigned int flags;
    int priority;
    unsigned long long id;
    CUdevice device;
    CUcontext context;
};

/* For a call whose answer goes to `out`; the stream must be right first. */
static CUresult ask(CUstream handle, bool per_thread, const void *out, struct facts *facts)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(handle, per_thread, &stream);
    if (result)
        return result;
    *facts = (struct facts){
        .flags = stream->flags,
        .priority = stream->priority,
        .id = stream->id,
        .device = (CUdevice)stream->context->device->ordinal,
        .context = stream->context->handle,
    };
    weft_soft_stream_put(stream);
    return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_flags(CUstream handle, unsigned int *out, bool per_thread)
{
    struct facts facts;
    CUresult result = ask(handle, per_thread, out, &facts);
    if (result == CUDA_SUCCESS)
        *out = facts.flags;
    return result;
}

static CUresult get_flags_legacy(CUstream handle, unsigned int *out)
{
    return get_flags(handle, out, false);
}

static CUresult get_flags_ptsz(CUstream handle, unsigned int *out)
{
    return get_flags(handle, out, true);
}

static CUresult get_priority(CUstream handle, int *out, bool per_thread)
{
    struct facts facts;
    CUresult result = ask(handle, per_thread, out, &facts);
    if (result == CUDA_SUCCESS)
        *out = facts.priority;
    return result;
}

static CUresult get_priority_legacy(CUstream handle, int *out)
{
    return get_priority(handle, out, false);
}

static CUresult get_priority_ptsz(CUstream handle, int *out)
{
    return get_priority(handle, out, true);
}

static CUresult get_id(CUstream handle, unsigned long long *out, bool per_thread)
{
    struct facts facts;
    CUresult result = ask(handle, per_thread, out, &facts);
    if (result == CUDA_SUCCESS)
        *out = facts.id;
    return result;
}

static CUresult get_id_legacy(CUstream handle, unsigned long long *out)
{
    return get_id(handle, out, false);
}

static CUresult get_id_ptsz(CUstream handle, unsigned long long *out)
{
    return get_id(handle, out, true);
}

static CUresult get_device(CUstream handle, CUdevice *out, bool per_thread)
{
    struct facts facts;
    CUresult result = ask(handle, per_thread, out, &facts);
    if (result == CUDA_SUCCESS)
        *out = facts.device;
    return result;
}

static CUresult get_device_legacy(CUstream handle, CUdevice *out)
{
    return get_device(handle, out, false);
}

static CUresult get_device_ptsz(CUstream handle, CUdevice *out)
{
    return get_device(handle, out, true);
}

static CUresult get_context(CUstream handle, CUcontext *out, CUgreenCtx *green, bool per_thread)
{
    struct facts facts;
    CUresult result = ask(handle, per_thread, out, &facts);
    if (result)
        return result;
    *out = facts.context;
    if (green)
        *green = NULL;
    return CUDA_SUCCESS;
}

static CUresult get_context_legacy(CUstream handle, CUcontext *out)
{
    return get_context(handle, out, NULL, false);
}

static CUresult get_context_ptsz(CUstream handle, CUcontext *out)
{
    return get_context(handle, out, NULL, true);
}

static CUresult get_context_v2_legacy(CUstream handle, CUcontext *out, CUgreenCtx *green)
{
    return get_context(handle, out, green, false);
}

static CUresult get_context_v2_ptsz(CUstream handle, CUcontext *out, CUgreenCtx *green)
{
    return get_context(handle, out, green, true);
}

static CUresult read_attribute(struct weft_soft_stream *stream, CUstreamAttrID attribute,
                               CUstreamAttrValue *out)
{
    CUstreamAttrValue value = {0};
    switch ((int)attribute) {
    case CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        value = stream->access_policy;
        break;
    case CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        value.syncPolicy = stream->synchronization_policy;
        break;
    case CU_STREAM_ATTRIBUTE_PRIORITY:
        value.priority = stream->priority;
        break;
    case CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
        break; /* there is one domain, number 0 */
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    *out = value;
    return CUDA_SUCCESS;
}

static CUresult write_attribute(struct weft_soft_stream *stream, CUstreamAttrID attribute,
                                CUstreamAttrValue *value)
{
    switch ((int)attribute) {
    case CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        stream->access_policy = *value;
        return CUDA_SUCCESS;
    case CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        if (value->syncPolicy < CU_SYNC_POLICY_AUTO ||
            value->syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
            return CUDA_ERROR_INVALID_VALUE;
        stream->synchronization_policy = value->syncPolicy;
        return CUDA_SUCCESS;
    case CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

typedef CUresult attribute_fn(struct weft_soft_stream *stream, CUstreamAttrID attribute,
                              CUstreamAttrValue *value);

static CUresult with_attribute(CUstream handle, CUstreamAttrID attribute, CUstreamAttrValue *value,
                               bool per_thread, attribute_fn *access)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(handle, per_thread, &stream);
    if (result)
        return result;
    pthread_mutex_lock(&stream->context->lock);
    result = value ? access(stream, attribute, value) : CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_unlock(&stream->context->lock);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult get_attribute_legacy(CUstream handle, CUstreamAttrID attribute,
                                     CUstreamAttrValue *value)
{
    return with_attribute(handle, attribute, value, false, read_attribute);
}

static CUresult get_attribute_ptsz(CUstream handle, CUstreamAttrID attribute,
                                   CUstreamAttrValue *value)
{
    return with_attribute(handle, attribute, value, true, read_attribute);
}

static CUresult set_attribute(CUstream handle, CUstreamAttrID attribute,
                              const CUstreamAttrValue *value, bool per_thread)
{
    CUstreamAttrValue copy;
    if (value)
        copy = *value;
    return with_attribute(handle, attribute, value ? &copy : NULL, per_thread, write_attribute);
}

static CUresult set_attribute_legacy(CUstream handle, CUstreamAttrID attribute,
                                     const CUstreamAttrValue *value)
{
    return set_attribute(handle, attribute, value, false);
}

static CUresult set_attribute_ptsz(CUstream handle, CUstreamAttrID attribute,
                                   const CUstreamAttrValue *value)
{
    return set_attribute(handle, attribute, value, true);
}

static CUresult copy_attributes(CUstream to, CUstream from, bool per_thread)
{
    struct weft_soft_stream *target, *source;
    CUresult result = weft_soft_stream_enter(to, per_thread, &target);
    if (result)
        return result;
    result = weft_soft_stream_enter(from, per_thread, &source);
    if (result) {
        weft_soft_stream_put(target);
        return result;
    }
    CUstreamAttrValue policy;
    pthread_mutex_lock(&source->context->lock);
    policy = source->access_policy;
    CUsynchronizationPolicy synchronization = source->synchronization_policy;
    pthread_mutex_unlock(&source->context->lock);
    pthread_mutex_lock(&target->context->lock);
    target->access_policy = policy;
    target->synchronization_policy = synchronization;
    pthread_mutex_unlock(&target->context->lock);
    weft_soft_stream_put(source);
    weft_soft_stream_put(target);
    return CUDA_SUCCESS;
}

static CUresult copy_attributes_legacy(CUstream to, CUstream from)
{
    return copy_attributes(to, from, false);
}

static CUresult copy_attributes_ptsz(CUstream to, CUstream from)
{
    return copy_attributes(to, from, true);
}

void weft_soft_stream_info_install(struct weft_cuda *table)
{
    table->cuStreamGetFlags = get_flags_legacy;
    table->cuStreamGetFlags_ptsz = get_flags_ptsz;
    table->cuStreamGetPriority = get_priority_legacy;
    table->cuStreamGetPriority_ptsz = get_priority_ptsz;
    table->cuStreamGetId = get_id_legacy;
    table->cuStreamGetId_ptsz = get_id_ptsz;
    table->cuStreamGetDevice = get_device_legacy;
    table->cuStreamGetDevice_ptsz = get_device_ptsz;
    table->cuStreamGetCtx = get_context_legacy;
    table->cuStreamGetCtx_ptsz = get_context_ptsz;
    table->cuStreamGetCtx_v2 = get_context_v2_legacy;
    table->cuStreamGetCtx_v2_ptsz = get_context_v2_ptsz;
    table->cuStreamGetAttribute = get_attribute_legacy;
    table->cuStreamGetAttribute_ptsz = get_attribute_ptsz;
    table->cuStreamSetAttribute = set_attribute_legacy;
    table->cuStreamSetAttribute_ptsz = set_attribute_ptsz;
    table->cuStreamCopyAttributes = copy_attributes_legacy;
    table->cuStreamCopyAttributes_ptsz = copy_attributes_ptsz;
    weft_soft_capture_install(table);
}
