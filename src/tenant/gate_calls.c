/* The calls that launch: each is told to the gate in the same words, and made through it. */
#include "tenant/gate_layer.h"

#include <stddef.h>

#include "softgpu/flavours.h"

static CUresult call_plain(const struct weft_gate_launch *launch)
{
    const unsigned int *shape = launch->shape;
    return (launch->stream.per_thread ? weft_gate.next.cuLaunchKernel_ptsz
                                      : weft_gate.next.cuLaunchKernel)(
        launch->function, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        launch->stream.handle, launch->params, launch->extra);
}

static CUresult call_cooperative(const struct weft_gate_launch *launch)
{
    const unsigned int *shape = launch->shape;
    return (launch->stream.per_thread ? weft_gate.next.cuLaunchCooperativeKernel_ptsz
                                      : weft_gate.next.cuLaunchCooperativeKernel)(
        launch->function, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        launch->stream.handle, launch->params);
}

static CUresult call_configured(const struct weft_gate_launch *launch)
{
    return (launch->stream.per_thread ? weft_gate.next.cuLaunchKernelEx_ptsz
                                      : weft_gate.next.cuLaunchKernelEx)(
        launch->config, launch->function, launch->params, launch->extra);
}

static CUresult call_graph(const struct weft_gate_launch *launch)
{
    return (launch->stream.per_thread
                ? weft_gate.next.cuGraphLaunch_ptsz
                : weft_gate.next.cuGraphLaunch)(launch->graph, launch->stream.handle);
}

static CUresult call_single(const struct weft_gate_launch *launch)
{
    return weft_gate.next.cuLaunch(launch->function);
}

static CUresult call_grid(const struct weft_gate_launch *launch)
{
    return weft_gate.next.cuLaunchGrid(launch->function, (int)launch->shape[0],
                                       (int)launch->shape[1]);
}

static CUresult call_grid_async(const struct weft_gate_launch *launch)
{
    return weft_gate.next.cuLaunchGridAsync(launch->function, (int)launch->shape[0],
                                            (int)launch->shape[1], launch->stream.handle);
}

static CUresult call_on_devices(const struct weft_gate_launch *launch)
{
    return weft_gate.next.cuLaunchCooperativeKernelMultiDevice(launch->parts, launch->part_count,
                                                               launch->flags);
}

WEFT_SOFT_PAIR(plain,
               (CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
                void **params, void **extra),
               weft_gate_pass(&(struct weft_gate_launch){.call = call_plain,
                                                         .stream = {stream, per_thread},
                                                         .function = f,
                                                         .shape = {gx, gy, gz, bx, by, bz, shared},
                                                         .params = params,
                                                         .extra = extra}))
WEFT_SOFT_PAIR(cooperative,
               (CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
                void **params),
               weft_gate_pass(&(struct weft_gate_launch){.call = call_cooperative,
                                                         .stream = {stream, per_thread},
                                                         .function = f,
                                                         .shape = {gx, gy, gz, bx, by, bz, shared},
                                                         .params = params}))
WEFT_SOFT_PAIR(configured,
               (const CUlaunchConfig *config, CUfunction f, void **params, void **extra),
               weft_gate_pass(&(struct weft_gate_launch){
                   .call = call_configured,
                   .stream = {config ? config->hStream : NULL, per_thread},
                   .function = f,
                   .config = config,
                   .params = params,
                   .extra = extra}))
WEFT_SOFT_PAIR(graph, (CUgraphExec graph, CUstream stream),
               weft_gate_pass(&(struct weft_gate_launch){
                   .call = call_graph, .stream = {stream, per_thread}, .graph = graph}))

static CUresult single(CUfunction f)
{
    return weft_gate_pass(&(struct weft_gate_launch){.call = call_single, .function = f});
}

static CUresult grid(CUfunction f, int width, int height)
{
    return weft_gate_pass(&(struct weft_gate_launch){
        .call = call_grid, .function = f, .shape = {(unsigned int)width, (unsigned int)height}});
}

static CUresult grid_async(CUfunction f, int width, int height, CUstream stream)
{
    return weft_gate_pass(
        &(struct weft_gate_launch){.call = call_grid_async,
                                   .stream = {stream, false},
                                   .function = f,
                                   .shape = {(unsigned int)width, (unsigned int)height}});
}

static CUresult on_devices(CUDA_LAUNCH_PARAMS *parts, unsigned int count, unsigned int flags)
{
    return weft_gate_pass(&(struct weft_gate_launch){
        .call = call_on_devices, .parts = parts, .part_count = count, .flags = flags});
}

void weft_gate_calls_install(struct weft_cuda *table)
{
    table->cuLaunchKernel = plain_legacy;
    table->cuLaunchKernel_ptsz = plain_thread;
    table->cuLaunchCooperativeKernel = cooperative_legacy;
    table->cuLaunchCooperativeKernel_ptsz = cooperative_thread;
    table->cuLaunchKernelEx = configured_legacy;
    table->cuLaunchKernelEx_ptsz = configured_thread;
    table->cuGraphLaunch = graph_legacy;
    table->cuGraphLaunch_ptsz = graph_thread;
    table->cuLaunch = single;
    table->cuLaunchGrid = grid;
    table->cuLaunchGridAsync = grid_async;
    table->cuLaunchCooperativeKernelMultiDevice = on_devices;
}
