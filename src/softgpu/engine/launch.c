/* From a launching call to an operation of its stream. */
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/fault.h"
#include "softgpu/engine/launch.h"
#include "softgpu/engine/module.h"
#include "softgpu/engine/schedule.h"

#define ATTRIBUTES_MAX 64
#define EXTRA_WORDS_MAX 16
/* What the blocks of one grid may hold of the host's memory at once. */
#define RESIDENT_BYTES_MAX ((uint64_t)256 << 20)
#define REGISTER_BYTES 8
/* A call takes more of the stack here than on a device, which keeps arguments, results and many
 * locals in registers. With so much of the limit's size, programs that fit there fit here. */
#define STACK_ALLOWANCE 8

struct request {
    CUfunction function;
    unsigned int grid[3], block[3];
    unsigned int cluster[3]; /* zeros: as the kernel says, or none */
    unsigned int shared_bytes;
    CUstream stream;
    void **params, **extra;
    bool per_thread, cooperative;
    const CUlaunchAttribute *attributes; /* of a launch with a configuration */
    unsigned int attribute_count;
    uint32_t blocks_per_sm; /* found by check_shape */
};

/* A device has local memory for as many threads as it could hold at once. */
static bool has_local_memory(const struct weft_soft_profile *profile, uint64_t thread_bytes)
{
    uint64_t threads = (uint64_t)profile->sm_count * profile->max_threads_per_sm;
    return thread_bytes <= WEFT_SOFT_LOCAL_BYTES_MAX &&
           thread_bytes <= profile->memory_bytes / threads;
}

/* The cluster of the launch is the kernel's own, where it has one. */
static CUresult check_cluster(struct request *request, const struct weft_soft_function *function)
{
    uint32_t required[3];
    weft_soft_function_cluster(function, required);
    for (int i = 0; i < 3 && required[0]; i++) {
        if (request->cluster[i] && request->cluster[i] != required[i])
            return CUDA_ERROR_INVALID_CLUSTER_SIZE;
        request->cluster[i] = required[i];
    }
    if (request->cluster[0] == 0)
        return function->info.explicit_cluster ? CUDA_ERROR_INVALID_CLUSTER_SIZE : CUDA_SUCCESS;
    uint64_t blocks = 1;
    for (int i = 0; i < 3; i++) {
        if (request->cluster[i] > request->grid[i] || request->grid[i] % request->cluster[i])
            return CUDA_ERROR_INVALID_CLUSTER_SIZE;
        blocks *= request->cluster[i];
        if (blocks > weft_soft_function_cluster_most(function))
            return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    }
    bool known = blocks == 1 || function->module->context->device->profile->cc_major >= 9;
    return known ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult check_shape(struct request *request, const struct weft_soft_function *function)
{
    const struct weft_soft_profile *profile = function->module->context->device->profile;
    uint64_t threads = 1;
    for (int i = 0; i < 3; i++) {
        if (request->grid[i] == 0 || request->grid[i] > profile->max_grid_dim[i] ||
            request->block[i] == 0 || request->block[i] > profile->max_block_dim[i])
            return CUDA_ERROR_INVALID_VALUE;
        threads *= request->block[i];
    }
    const uint32_t *required = function->info.required_block;
    for (int i = 0; i < 3; i++)
        if (required[0] && request->block[i] != WEFT_MAX(required[i], 1u))
            return CUDA_ERROR_INVALID_VALUE;
    if (threads > profile->max_threads_per_block ||
        threads > function->info.max_threads_per_block ||
        request->shared_bytes > atomic_load(&function->dynamic_shared_max))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_cluster(request, function);
    if (result)
        return result;
    request->blocks_per_sm =
        weft_soft_occupancy(profile, &function->info, (uint32_t)threads, request->shared_bytes);
    return request->blocks_per_sm && has_local_memory(profile, function->info.local_bytes)
               ? CUDA_SUCCESS
               : CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

static CUresult copy_from_array(const struct weft_ptx_function *ptx, void **params,
                                unsigned char *target)
{
    for (uint32_t i = 0; i < ptx->parameter_count; i++) {
        if (!params[i])
            return CUDA_ERROR_INVALID_VALUE;
        memcpy(target + ptx->parameters[i].offset, params[i], ptx->parameters[i].bytes);
    }
    return CUDA_SUCCESS;
}

/* The launch's extra list: keys and values up to CU_LAUNCH_PARAM_END. */
static CUresult copy_from_extra(uint32_t param_bytes, void **extra, unsigned char *target)
{
    const void *buffer = NULL;
    const size_t *bytes = NULL;
    int at = 0;
    for (; at < EXTRA_WORDS_MAX && extra[at] != CU_LAUNCH_PARAM_END; at += 2) {
        if (extra[at] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = extra[at + 1];
        else if (extra[at] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = extra[at + 1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (at >= EXTRA_WORDS_MAX || (param_bytes && (!buffer || !bytes || *bytes < param_bytes)))
        return CUDA_ERROR_INVALID_VALUE;
    if (param_bytes)
        memcpy(target, buffer, param_bytes);
    return CUDA_SUCCESS;
}

CUresult weft_soft_launch_pack(const struct weft_soft_function *function, void **params,
                               void **extra, unsigned char *target)
{
    if (params && extra)
        return CUDA_ERROR_INVALID_VALUE;
    if (extra)
        return copy_from_extra(function->info.param_bytes, extra, target);
    const struct weft_ptx_function *ptx = &function->module->image->ptx->functions[function->index];
    if (ptx->parameter_count == 0)
        return CUDA_SUCCESS;
    return params ? copy_from_array(ptx, params, target) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult copy_params(const struct request *request,
                            const struct weft_soft_function *function, struct weft_soft_grid *grid)
{
    uint32_t bytes = function->info.param_bytes;
    unsigned char *target = grid->params;
    if (bytes > sizeof(grid->params)) {
        grid->large_params = aligned_alloc(16, weft_round_up(bytes, 16));
        if (!grid->large_params)
            return CUDA_ERROR_OUT_OF_MEMORY;
        target = grid->large_params;
    }
    grid->launch.params = target;
    return weft_soft_launch_pack(function, request->params, request->extra, target);
}

/* About what one block costs the host; of a stack it rarely touches more than the limit. */
static uint64_t block_bytes(const struct weft_soft_grid *grid,
                            const struct weft_exec_kernel_info *info, uint32_t threads)
{
    uint64_t stack_bytes = grid->launch.stack_bytes / STACK_ALLOWANCE;
    return threads * ((uint64_t)info->registers * REGISTER_BYTES + stack_bytes) +
           info->static_shared_bytes + grid->launch.dynamic_shared_bytes;
}

static void describe_launch(const struct request *request, struct weft_soft_function *function,
                            struct weft_soft_grid *grid)
{
    const struct weft_soft_context *context = function->module->context;
    const struct weft_soft_profile *profile = context->device->profile;
    struct weft_exec_launch *launch = &grid->launch;
    launch->kernel = function->kernel;
    launch->memory = weft_soft_context_view(context);
    launch->dynamic_shared_bytes = request->shared_bytes;
    launch->sm_count = profile->sm_count;
    launch->print = weft_soft_print;
    launch->check = weft_soft.check;
    launch->tell_unwritten = weft_soft_fault_tell_unwritten;
    launch->tell_context = grid;
    uint64_t limit = atomic_load(&weft_soft_engine_of(context)->limits[CU_LIMIT_STACK_SIZE]);
    uint64_t stack = limit * STACK_ALLOWANCE + function->info.local_bytes;
    launch->stack_bytes = (uint32_t)WEFT_MIN(stack, (uint64_t)WEFT_EXEC_LOCAL_WINDOW_BYTES);
    atomic_init(&grid->retired, 0);
    uint32_t threads = 1, blocks = 1;
    for (int i = 0; i < 3; i++) {
        launch->grid[i] = request->grid[i];
        launch->block[i] = request->block[i];
        launch->cluster[i] = request->cluster[i];
        blocks *= WEFT_MAX(request->cluster[i], 1u);
        threads *= request->block[i];
    }
    /* A cluster is run as one. */
    grid->block_count = weft_exec_launch_units(launch);
    uint64_t unit_bytes = blocks * block_bytes(grid, &function->info, threads);
    uint64_t affordable = WEFT_MAX(RESIDENT_BYTES_MAX / unit_bytes, 1u);
    uint64_t at_once = (uint64_t)request->blocks_per_sm * context->device->sm_count / blocks;
    at_once = WEFT_MAX(at_once, 1u);
    if (!request->cooperative)
        at_once = WEFT_MIN(at_once, affordable);
    grid->resident_max = (uint32_t)at_once;
}

static CUresult submit(const struct request *request, struct weft_soft_function *function,
                       struct weft_soft_stream *stream)
{
    struct weft_soft_op *op = weft_soft_op_create(WEFT_SOFT_OP_GRID);
    if (!op)
        return CUDA_ERROR_OUT_OF_MEMORY;
    weft_soft_handle_retain(function->handle);
    op->grid.function = function->handle;
    describe_launch(request, function, &op->grid);
    CUresult result = copy_params(request, function, &op->grid);
    if (result == CUDA_SUCCESS && request->cooperative &&
        op->grid.block_count > op->grid.resident_max)
        result = CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    if (result == CUDA_SUCCESS && request->cooperative)
        result = weft_soft_workspace_take(stream->context, &op->grid);
    if (result == CUDA_SUCCESS && function->info.prints)
        atomic_store_explicit(&weft_soft_engine_of(stream->context)->has_printed, true,
                              memory_order_relaxed);
    if (result == CUDA_SUCCESS && function->info.allocates)
        result = weft_soft_heap_get(stream->context, &op->grid.launch.heap);
    if (result == CUDA_SUCCESS)
        result = weft_soft_workers_start();
    if (result) {
        weft_soft_op_destroy(op);
        return result;
    }
    return weft_soft_op_submit(stream, op);
}

static CUresult launch_into(struct weft_soft_stream *stream, struct request *request)
{
    struct weft_soft_function *function;
    CUresult result = weft_soft_function_get(request->function, stream->context, &function);
    if (result)
        return result;
    if (function->module->context != stream->context)
        result = CUDA_ERROR_INVALID_HANDLE;
    else
        result = check_shape(request, function);
    if (result == CUDA_SUCCESS)
        result = submit(request, function, stream);
    weft_soft_function_put(function);
    return result;
}

static CUresult launch_and_wait(struct weft_soft_stream *stream, struct request *request)
{
    CUresult result = launch_into(stream, request);
    if (result == CUDA_SUCCESS && weft_soft.launch_blocking)
        result = weft_soft_stream_wait(stream);
    return result;
}

static CUresult capture(struct weft_soft_stream *stream, const struct request *request)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_KERNEL,
                                .kernel = {.func = request->function,
                                           .gridDimX = request->grid[0],
                                           .gridDimY = request->grid[1],
                                           .gridDimZ = request->grid[2],
                                           .blockDimX = request->block[0],
                                           .blockDimY = request->block[1],
                                           .blockDimZ = request->block[2],
                                           .sharedMemBytes = request->shared_bytes,
                                           .kernelParams = request->params,
                                           .extra = request->extra,
                                           .ctx = stream->context->handle}};
    CUlaunchAttribute cooperative = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE,
                                     .value.cooperative = request->cooperative};
    if (request->attribute_count)
        return weft_soft_capture_add_kernel(stream, &params, request->attributes,
                                            request->attribute_count);
    return weft_soft_capture_add_kernel(stream, &params, &cooperative, 1);
}

static CUresult launch(struct request *request)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(request->stream, request->per_thread, &stream);
    if (result)
        return result;
    result = weft_soft_stream_captures(stream) ? capture(stream, request)
                                               : launch_and_wait(stream, request);
    weft_soft_stream_put(stream);
    return result;
}

static struct request plain_request(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                    unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                    unsigned int block_z, unsigned int shared_bytes,
                                    CUstream stream, void **params)
{
    return (struct request){.function = function,
                            .grid = {grid_x, grid_y, grid_z},
                            .block = {block_x, block_y, block_z},
                            .shared_bytes = shared_bytes,
                            .stream = stream,
                            .params = params};
}

static struct request request_of(const struct weft_soft_packed_launch *packed)
{
    return (struct request){
        .function = packed->function,
        .grid = {packed->grid[0], packed->grid[1], packed->grid[2]},
        .block = {packed->block[0], packed->block[1], packed->block[2]},
        .cluster = {packed->cluster[0], packed->cluster[1], packed->cluster[2]},
        .shared_bytes = packed->shared_bytes,
        .cooperative = packed->cooperative,
    };
}

CUresult weft_soft_launch_check(const struct weft_soft_packed_launch *packed,
                                const struct weft_soft_function *function)
{
    struct request request = request_of(packed);
    for (int i = 0; i < 3 && function->info.explicit_cluster && !packed->cluster[0]; i++)
        request.cluster[i] = WEFT_MAX(function->info.required_cluster[i], 1u);
    return check_shape(&request, function);
}

CUresult weft_soft_launch_packed(struct weft_soft_stream *stream,
                                 const struct weft_soft_packed_launch *packed)
{
    struct request request = request_of(packed);
    size_t bytes = packed->param_bytes;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, packed->params, CU_LAUNCH_PARAM_BUFFER_SIZE,
                     &bytes, CU_LAUNCH_PARAM_END};
    request.extra = extra;
    return launch_into(stream, &request);
}

static CUresult launch_kernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                              unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                              unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                              void **params, void **extra)
{
    struct request request = plain_request(function, grid_x, grid_y, grid_z, block_x, block_y,
                                           block_z, shared_bytes, stream, params);
    request.extra = extra;
    return launch(&request);
}

static CUresult launch_kernel_ptsz(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                   unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                   unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                                   void **params, void **extra)
{
    struct request request = plain_request(function, grid_x, grid_y, grid_z, block_x, block_y,
                                           block_z, shared_bytes, stream, params);
    request.extra = extra;
    request.per_thread = true;
    return launch(&request);
}

static CUresult launch_cooperative(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                   unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                   unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                                   void **params)
{
    struct request request = plain_request(function, grid_x, grid_y, grid_z, block_x, block_y,
                                           block_z, shared_bytes, stream, params);
    request.cooperative = true;
    return launch(&request);
}

CUresult weft_soft_launch_cooperative(CUfunction function, const unsigned int grid[3],
                                      const unsigned int block[3], unsigned int shared_bytes,
                                      CUstream stream, void **params)
{
    return launch_cooperative(function, grid[0], grid[1], grid[2], block[0], block[1], block[2],
                              shared_bytes, stream, params);
}

static CUresult launch_cooperative_ptsz(CUfunction function, unsigned int grid_x,
                                        unsigned int grid_y, unsigned int grid_z,
                                        unsigned int block_x, unsigned int block_y,
                                        unsigned int block_z, unsigned int shared_bytes,
                                        CUstream stream, void **params)
{
    struct request request = plain_request(function, grid_x, grid_y, grid_z, block_x, block_y,
                                           block_z, shared_bytes, stream, params);
    request.cooperative = true;
    request.per_thread = true;
    return launch(&request);
}

/* Attributes that only hint are heard without effect; what changes results and
 * is not there yet is refused. */
static CUresult read_attributes(const CUlaunchConfig *config, struct request *request)
{
    if (config->numAttrs > ATTRIBUTES_MAX || (config->numAttrs && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < config->numAttrs; i++) {
        const CUlaunchAttributeValue *value = &config->attrs[i].value;
        switch ((int)config->attrs[i].id) {
        case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
            request->cooperative = value->cooperative != 0;
            break;
        case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
            if (!value->clusterDim.x || !value->clusterDim.y || !value->clusterDim.z)
                return CUDA_ERROR_INVALID_VALUE;
            request->cluster[0] = value->clusterDim.x;
            request->cluster[1] = value->clusterDim.y;
            request->cluster[2] = value->clusterDim.z;
            break;
        case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
        case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
        case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
            return CUDA_ERROR_NOT_SUPPORTED;
        case CU_LAUNCH_ATTRIBUTE_IGNORE:
        case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
        case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
        case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
        case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
        case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
            break;
        default:
            return CUDA_ERROR_INVALID_VALUE;
        }
    }
    return CUDA_SUCCESS;
}

static CUresult launch_configured(const CUlaunchConfig *config, CUfunction function, void **params,
                                  void **extra, bool per_thread)
{
    if (!config)
        return CUDA_ERROR_INVALID_VALUE;
    struct request request = plain_request(
        function, config->gridDimX, config->gridDimY, config->gridDimZ, config->blockDimX,
        config->blockDimY, config->blockDimZ, config->sharedMemBytes, config->hStream, params);
    request.extra = extra;
    request.per_thread = per_thread;
    request.attributes = config->attrs;
    request.attribute_count = config->numAttrs;
    CUresult result = read_attributes(config, &request);
    return result ? result : launch(&request);
}

static CUresult launch_ex(const CUlaunchConfig *config, CUfunction function, void **params,
                          void **extra)
{
    return launch_configured(config, function, params, extra, false);
}

static CUresult launch_ex_ptsz(const CUlaunchConfig *config, CUfunction function, void **params,
                               void **extra)
{
    return launch_configured(config, function, params, extra, true);
}

void weft_soft_launch_install(struct weft_cuda *table)
{
    table->cuLaunchKernel = launch_kernel;
    table->cuLaunchKernel_ptsz = launch_kernel_ptsz;
    table->cuLaunchKernelEx = launch_ex;
    table->cuLaunchKernelEx_ptsz = launch_ex_ptsz;
    table->cuLaunchCooperativeKernel = launch_cooperative;
    table->cuLaunchCooperativeKernel_ptsz = launch_cooperative_ptsz;
}
