/* User objects: what a program ties to graphs, so that it goes when the last of them has gone and
 * run. A destructor runs on a thread of its own, since who gives up the last reference may hold
 * locks of the program. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/graph.h"
#include "softgpu/engine/worker.h"

struct weft_soft_user_object {
    uint64_t handle;
    uint64_t references; /* object_lock; those of the program and of all graphs */
    CUhostFn destroy;
    void *argument;
    struct weft_soft_user_object *next; /* of those that are to be destroyed */
};

/* Taken last but for the handle table's. */
static pthread_mutex_t object_lock = PTHREAD_MUTEX_INITIALIZER;

static void call_destructor(void *argument)
{
    const struct weft_soft_user_object *object = argument;
    object->destroy(object->argument);
}

static void *destroy_all(void *argument)
{
    struct weft_soft_user_object *object = argument;
    while (object) {
        struct weft_soft_user_object *next = object->next;
        weft_soft_host_call(call_destructor, object);
        free(object);
        object = next;
    }
    return NULL;
}

static void destroy_later(struct weft_soft_user_object *first)
{
    if (first && weft_soft_thread_create("weft-object", destroy_all, first))
        destroy_all(first);
}

/* Gives up references; the object if they were the last. */
static struct weft_soft_user_object *give_up(struct weft_soft_user_object *object, uint64_t count)
{
    pthread_mutex_lock(&object_lock);
    object->references -= WEFT_MIN(count, object->references);
    bool last = object->references == 0;
    pthread_mutex_unlock(&object_lock);
    if (!last || !weft_soft_handle_close(WEFT_SOFT_HANDLE_USER_OBJECT, object->handle))
        return NULL;
    object->next = NULL;
    return object;
}

static void retain(struct weft_soft_user_object *object, uint64_t count)
{
    pthread_mutex_lock(&object_lock);
    object->references += count;
    pthread_mutex_unlock(&object_lock);
}

/* What waits for a launch to end before it is given up. */
struct parting {
    struct weft_soft_fence *fence; /* referenced */
    struct weft_soft_held *held;   /* owned */
    size_t count;
};

static void give_up_all(struct weft_soft_held *held, size_t count)
{
    struct weft_soft_user_object *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct weft_soft_user_object *last = give_up(held[i].object, held[i].count);
        if (last) {
            last->next = first;
            first = last;
        }
    }
    free(held);
    destroy_later(first);
}

static void *part(void *argument)
{
    struct parting *parting = argument;
    weft_soft_fence_wait(parting->fence);
    weft_soft_fence_put(parting->fence);
    give_up_all(parting->held, parting->count);
    free(parting);
    return NULL;
}

void weft_soft_graph_objects_finish(struct weft_soft_graph *graph, struct weft_soft_fence *fence)
{
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (node->work.child)
            weft_soft_graph_objects_finish(node->work.child, fence);
    }
    if (graph->held_count == 0)
        return;
    struct weft_soft_held *held = weft_steal(graph->held);
    size_t count = graph->held_count;
    graph->held_count = 0;
    bool waits = fence && !atomic_load(&fence->done);
    struct parting *parting = waits ? malloc(sizeof(*parting)) : NULL;
    if (!parting) {
        if (waits)
            weft_soft_fence_wait(fence);
        give_up_all(held, count);
        return;
    }
    weft_soft_fence_get(fence);
    *parting = (struct parting){fence, held, count};
    if (weft_soft_thread_create("weft-object", part, parting))
        part(parting);
}

CUresult weft_soft_graph_objects_copy(struct weft_soft_graph *graph,
                                      const struct weft_soft_graph *from)
{
    if (from->held_count == 0)
        return CUDA_SUCCESS;
    graph->held = calloc(from->held_count, sizeof(*graph->held));
    if (!graph->held)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(graph->held, from->held, from->held_count * sizeof(*graph->held));
    graph->held_count = from->held_count;
    for (size_t i = 0; i < graph->held_count; i++)
        retain(graph->held[i].object, graph->held[i].count);
    return CUDA_SUCCESS;
}

static bool is_count(unsigned int count)
{
    return count > 0 && count <= INT_MAX;
}

/* Under a new reference of the handle. */
static CUresult enter(CUuserObject handle, unsigned int count, struct weft_soft_user_object **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (!is_count(count))
        return CUDA_ERROR_INVALID_VALUE;
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_USER_OBJECT, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult create(CUuserObject *out, void *argument, CUhostFn destroy, unsigned int count,
                       unsigned int flags)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (!out || !destroy || !is_count(count) || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_user_object *object = calloc(1, sizeof(*object));
    if (!object)
        return CUDA_ERROR_OUT_OF_MEMORY;
    object->destroy = destroy;
    object->argument = argument;
    object->references = count;
    object->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_USER_OBJECT, object, NULL);
    if (!object->handle) {
        free(object);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = (CUuserObject)(uintptr_t)object->handle;
    return CUDA_SUCCESS;
}

static CUresult retain_object(CUuserObject handle, unsigned int count)
{
    struct weft_soft_user_object *object;
    CUresult result = enter(handle, count, &object);
    if (result)
        return result;
    retain(object, count);
    weft_soft_handle_put((uint64_t)(uintptr_t)handle);
    return CUDA_SUCCESS;
}

static CUresult release_object(CUuserObject handle, unsigned int count)
{
    struct weft_soft_user_object *object;
    CUresult result = enter(handle, count, &object);
    if (result)
        return result;
    struct weft_soft_user_object *last = give_up(object, count);
    weft_soft_handle_put((uint64_t)(uintptr_t)handle);
    destroy_later(last);
    return CUDA_SUCCESS;
}

static struct weft_soft_held *find_held(struct weft_soft_graph *graph,
                                        const struct weft_soft_user_object *object)
{
    for (size_t i = 0; i < graph->held_count; i++) {
        if (graph->held[i].object == object)
            return &graph->held[i];
    }
    return NULL;
}

static CUresult hold(struct weft_soft_graph *graph, struct weft_soft_user_object *object,
                     unsigned int count)
{
    struct weft_soft_held *held = find_held(graph, object);
    if (!held) {
        size_t bytes = (graph->held_count + 1) * sizeof(*held);
        struct weft_soft_held *larger = realloc(graph->held, bytes);
        if (!larger)
            return CUDA_ERROR_OUT_OF_MEMORY;
        graph->held = larger;
        held = &larger[graph->held_count++];
        *held = (struct weft_soft_held){.object = object};
    }
    held->count += count;
    return CUDA_SUCCESS;
}

/* Some of the caller's references become the graph's, or new ones do. */
static CUresult graph_retain(CUgraph graph_handle, CUuserObject handle, unsigned int count,
                             unsigned int flags)
{
    struct weft_soft_user_object *object;
    if (flags & ~(unsigned int)CU_GRAPH_USER_OBJECT_MOVE)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = enter(handle, count, &object);
    if (result)
        return result;
    weft_soft_graph_lock();
    struct weft_soft_graph *graph = weft_soft_graph_by_handle(graph_handle);
    result = graph ? hold(graph, object, count) : CUDA_ERROR_INVALID_VALUE;
    weft_soft_graph_unlock();
    if (result == CUDA_SUCCESS && !(flags & CU_GRAPH_USER_OBJECT_MOVE))
        retain(object, count);
    weft_soft_handle_put((uint64_t)(uintptr_t)handle);
    return result;
}

/* False where the graph has not so many. */
static bool let_go(struct weft_soft_graph *graph, const struct weft_soft_user_object *object,
                   unsigned int count)
{
    struct weft_soft_held *held = graph ? find_held(graph, object) : NULL;
    if (!held || held->count < count)
        return false;
    held->count -= count;
    if (held->count == 0)
        *held = graph->held[--graph->held_count];
    return true;
}

static CUresult graph_release(CUgraph graph, CUuserObject handle, unsigned int count)
{
    struct weft_soft_user_object *object;
    CUresult result = enter(handle, count, &object);
    if (result)
        return result;
    weft_soft_graph_lock();
    bool had = let_go(weft_soft_graph_by_handle(graph), object, count);
    weft_soft_graph_unlock();
    struct weft_soft_user_object *last = had ? give_up(object, count) : NULL;
    weft_soft_handle_put((uint64_t)(uintptr_t)handle);
    destroy_later(last);
    return had ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void weft_soft_graph_object_install(struct weft_cuda *table)
{
    table->cuUserObjectCreate = create;
    table->cuUserObjectRetain = retain_object;
    table->cuUserObjectRelease = release_object;
    table->cuGraphRetainUserObject = graph_retain;
    table->cuGraphReleaseUserObject = graph_release;
}
