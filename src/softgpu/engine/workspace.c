/* Where the blocks of a cooperative grid meet: a few words of device memory, which device code
 * finds through %envreg1 and %envreg2. A barrier leaves them as the next one needs them, so they
 * are used again by one grid after the other, and freed with the context's memory. */
#include <stdlib.h>

#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

#define WORKSPACE_BYTES 512

struct weft_soft_workspace {
    struct weft_soft_workspace *next;  /* context.lock */
    struct weft_soft_context *context; /* borrowed; the grid's function keeps it */
    CUdeviceptr address;
};

static struct weft_soft_workspace *take_spare(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    pthread_mutex_lock(&context->lock);
    struct weft_soft_workspace *workspace = engine->workspaces;
    if (workspace)
        engine->workspaces = workspace->next;
    pthread_mutex_unlock(&context->lock);
    return workspace;
}

CUresult weft_soft_workspace_take(struct weft_soft_context *context, struct weft_soft_grid *grid)
{
    struct weft_soft_workspace *workspace = take_spare(context);
    if (!workspace) {
        workspace = calloc(1, sizeof(*workspace));
        if (!workspace)
            return CUDA_ERROR_OUT_OF_MEMORY;
        workspace->context = context;
        CUresult result = weft_soft_memory_allocate(context, WORKSPACE_BYTES, &workspace->address);
        if (result) {
            free(workspace);
            return result;
        }
    }
    grid->workspace = workspace;
    grid->launch.workspace = workspace->address;
    return CUDA_SUCCESS;
}

void weft_soft_workspace_give(struct weft_soft_workspace *workspace)
{
    struct weft_soft_context *context = workspace->context;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    pthread_mutex_lock(&context->lock);
    workspace->next = engine->workspaces;
    engine->workspaces = workspace;
    pthread_mutex_unlock(&context->lock);
}

void weft_soft_workspace_finish(struct weft_soft_context_engine *engine)
{
    while (engine->workspaces) {
        struct weft_soft_workspace *workspace = engine->workspaces;
        engine->workspaces = workspace->next;
        free(workspace);
    }
}
