/* cuGraphDebugDotPrint: a graph as text for Graphviz. */
#include <inttypes.h>
#include <stdio.h>

#include "softgpu/engine/graph.h"

struct printing {
    FILE *file;
    unsigned int flags;
    unsigned int graphs; /* printed so far: their numbers */
};

#define FLAG(name) CU_GRAPH_DEBUG_DOT_FLAGS_##name

static const char *const type_names[] = {
    [CU_GRAPH_NODE_TYPE_KERNEL] = "KERNEL",
    [CU_GRAPH_NODE_TYPE_MEMCPY] = "MEMCPY",
    [CU_GRAPH_NODE_TYPE_MEMSET] = "MEMSET",
    [CU_GRAPH_NODE_TYPE_HOST] = "HOST",
    [CU_GRAPH_NODE_TYPE_GRAPH] = "GRAPH",
    [CU_GRAPH_NODE_TYPE_EMPTY] = "EMPTY",
    [CU_GRAPH_NODE_TYPE_WAIT_EVENT] = "EVENT_WAIT",
    [CU_GRAPH_NODE_TYPE_EVENT_RECORD] = "EVENT_RECORD",
    [CU_GRAPH_NODE_TYPE_MEM_ALLOC] = "MEM_ALLOC",
    [CU_GRAPH_NODE_TYPE_MEM_FREE] = "MEM_FREE",
    [CU_GRAPH_NODE_TYPE_BATCH_MEM_OP] = "BATCH_MEM_OP",
};

static bool wants(const struct printing *printing, unsigned int flag)
{
    return printing->flags & (flag | FLAG(VERBOSE));
}

static void print_kernel(struct printing *printing, const struct weft_soft_graph_work *work)
{
    const CUDA_KERNEL_NODE_PARAMS_v3 *kernel = &work->params.kernel;
    struct weft_soft_context *context;
    struct weft_soft_function *function;
    if (weft_soft_context_get(kernel->ctx, &context) == CUDA_SUCCESS) {
        if (weft_soft_function_get(work->kernel.function, context, &function) == CUDA_SUCCESS) {
            fprintf(printing->file, "\\n%s", weft_exec_kernel_describe(function->kernel).name);
            weft_soft_function_put(function);
        }
        weft_soft_context_put(context);
    }
    if (wants(printing, FLAG(KERNEL_NODE_PARAMS)))
        fprintf(printing->file, "\\ngrid (%u,%u,%u)\\nblock (%u,%u,%u)\\nshared %u bytes",
                kernel->gridDimX, kernel->gridDimY, kernel->gridDimZ, kernel->blockDimX,
                kernel->blockDimY, kernel->blockDimZ, kernel->sharedMemBytes);
    if (wants(printing, FLAG(KERNEL_NODE_ATTRIBUTES)))
        fprintf(printing->file, "\\ncooperative %d\\npriority %d", work->kernel.cooperative,
                work->attributes ? work->attributes[CU_LAUNCH_ATTRIBUTE_PRIORITY].priority : 0);
}

static void print_copy(struct printing *printing, const CUDA_MEMCPY3D *copy)
{
    uint64_t from =
        copy->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)copy->srcHost : copy->srcDevice;
    uint64_t to =
        copy->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)copy->dstHost : copy->dstDevice;
    fprintf(printing->file, "\\nfrom 0x%" PRIx64 "\\nto 0x%" PRIx64 "\\n%zu x %zu x %zu bytes",
            from, to, copy->WidthInBytes, copy->Height, copy->Depth);
}

/* What the flags ask for of a node, besides its type. */
static void print_details(struct printing *printing, const struct weft_soft_graph_node *node)
{
    const CUgraphNodeParams *params = &node->work.params;
    FILE *file = printing->file;
    if (params->type == CU_GRAPH_NODE_TYPE_KERNEL)
        print_kernel(printing, &node->work);
    if (wants(printing, FLAG(HANDLES)))
        fprintf(file, "\\nhandle 0x%" PRIx64, node->handle);
    if (params->type == CU_GRAPH_NODE_TYPE_MEMCPY && wants(printing, FLAG(MEMCPY_NODE_PARAMS)))
        print_copy(printing, &params->memcpy.copyParams);
    if (params->type == CU_GRAPH_NODE_TYPE_MEMSET && wants(printing, FLAG(MEMSET_NODE_PARAMS)))
        fprintf(file, "\\nto 0x%llx\\nvalue %u, %u bytes each\\n%zu x %zu",
                (unsigned long long)params->memset.dst, params->memset.value,
                params->memset.elementSize, params->memset.width, params->memset.height);
    if (params->type == CU_GRAPH_NODE_TYPE_HOST && wants(printing, FLAG(HOST_NODE_PARAMS)))
        fprintf(file, "\\nfunction 0x%" PRIxPTR "\\ndata %p", (uintptr_t)params->host.fn,
                params->host.userData);
    if ((params->type == CU_GRAPH_NODE_TYPE_WAIT_EVENT ||
         params->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD) &&
        wants(printing, FLAG(EVENT_NODE_PARAMS)))
        fprintf(file, "\\nevent %p", (void *)params->eventWait.event);
    if (params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC &&
        wants(printing, FLAG(MEM_ALLOC_NODE_PARAMS)))
        fprintf(file, "\\nat 0x%llx\\n%zu bytes", (unsigned long long)params->alloc.dptr,
                params->alloc.bytesize);
    if (params->type == CU_GRAPH_NODE_TYPE_MEM_FREE && wants(printing, FLAG(MEM_FREE_NODE_PARAMS)))
        fprintf(file, "\\nat 0x%llx", (unsigned long long)params->free.dptr);
}

static void print_graph(struct printing *printing, struct weft_soft_graph *graph);

static void print_node(struct printing *printing, const struct weft_soft_graph_node *node,
                       unsigned int number)
{
    unsigned int child = printing->graphs + 1;
    if (node->work.child)
        print_graph(printing, node->work.child);
    fprintf(printing->file, "\"graph_%u_node_%zu\"[shape=\"%s\" label=\"%zu\\n%s", number,
            node->index, node->work.params.type == CU_GRAPH_NODE_TYPE_KERNEL ? "octagon" : "box",
            node->index, type_names[node->work.params.type]);
    if (node->work.child)
        fprintf(printing->file, "\\ngraph_%u", child);
    print_details(printing, node);
    fprintf(printing->file, "\"];\n");
}

static void print_edges(const struct printing *printing, const struct weft_soft_graph_node *node,
                        unsigned int number)
{
    for (size_t i = 0; i < node->dependency_count; i++)
        fprintf(printing->file, "\"graph_%u_node_%zu\" -> \"graph_%u_node_%zu\";\n", number,
                node->dependencies[i]->index, number, node->index);
}

static void print_graph(struct printing *printing, struct weft_soft_graph *graph)
{
    unsigned int number = ++printing->graphs;
    fprintf(printing->file, "subgraph cluster_%u {\nlabel=\"graph_%u\"; graph[style=\"dashed\"];\n",
            number, number);
    weft_soft_graph_number(graph);
    WEFT_SOFT_GRAPH_EACH(node, graph)
    print_node(printing, node, number);
    WEFT_SOFT_GRAPH_EACH(node, graph)
    print_edges(printing, node, number);
    fprintf(printing->file, "}\n");
}

static CUresult print(struct weft_soft_graph *graph, const char *path, unsigned int flags)
{
    struct printing printing = {.file = fopen(path, "we"), .flags = flags};
    if (!printing.file)
        return CUDA_ERROR_OPERATING_SYSTEM;
    fprintf(printing.file, "digraph dot {\n");
    print_graph(&printing, graph);
    fprintf(printing.file, "}\n");
    return fclose(printing.file) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

static CUresult debug_print(CUgraph handle, const char *path, unsigned int flags)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph *graph = weft_soft_graph_by_handle(handle);
    if (!graph || !path || flags >= 2 * FLAG(CONDITIONAL_NODE_PARAMS))
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    return weft_soft_graph_leave(print(graph, path, flags));
}

void weft_soft_graph_dot_install(struct weft_cuda *table)
{
    table->cuGraphDebugDotPrint = debug_print;
}
