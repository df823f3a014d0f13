/* Modules and functions as the engine's files share them. */
#ifndef WEFT_SOFTGPU_ENGINE_MODULE_H
#define WEFT_SOFTGPU_ENGINE_MODULE_H

#include "softgpu/engine/engine.h"

/* What a program hands over as options of the just-in-time compiler, as far as they mean something
 * here. Buffers are the program's. */
struct weft_soft_jit {
    char *info, *error;
    size_t info_bytes, error_bytes;
    void **info_filled, **error_filled; /* where the count of bytes goes; NULL: nobody asks */
    void **wall_time;
    uint32_t target;        /* the architecture to build for, 75 is 7.5; 0: the device's */
    uint32_t registers_max; /* a thread may have; 0: no limit */
    bool verbose;
};
/* INVALID_VALUE for a count without options, an option or a value that CUDA does not have, and for
 * two options that exclude each other. What only says how to compile means nothing here. */
CUresult weft_soft_jit_read(struct weft_soft_jit *jit, unsigned int count, CUjit_option *options,
                            void **values);
/* Fills the program's buffers: `text` goes to the error log, or the info log is emptied. */
void weft_soft_jit_write(const struct weft_soft_jit *jit, const char *error_text,
                         uint64_t started_ns);
/* The architecture to take a module for; NO_BINARY_FOR_GPU where the options want one above the
 * device's. */
CUresult weft_soft_jit_sm(const struct weft_soft_jit *jit, uint32_t device_sm, uint32_t *sm,
                          struct weft_err *err);

/* A parsed module. Immutable, shared by the contexts that load it. */
struct weft_soft_image {
    atomic_uint references;
    struct weft_ptx_module *ptx;
};
/* From memory of the program, whose length its own contents say; `text` tells what was wrong. Of a
 * fat binary's forms the PTX with the highest target at or under `sm` is taken (75 is 7.5).
 * `whole`: errors in bodies are found now, not when a kernel needs them. */
CUresult weft_soft_image_load(struct weft_soft_image **out, const void *image, uint32_t sm,
                              bool whole, struct weft_err *err);
CUresult weft_soft_image_load_file(struct weft_soft_image **out, const char *path, uint32_t sm,
                                   bool whole, struct weft_err *err);
/* The architecture that all devices of the program have at least. */
uint32_t weft_soft_image_common_sm(void);
static inline uint32_t weft_soft_profile_sm(const struct weft_soft_profile *profile)
{
    return profile->cc_major * 10 + profile->cc_minor;
}
/* A file of at most 1 GiB, with a zero behind its `bytes`; the caller frees it. NULL with `err`. */
char *weft_soft_image_read(const char *path, size_t *bytes, struct weft_err *err);
void weft_soft_image_get(struct weft_soft_image *image);
void weft_soft_image_put(struct weft_soft_image *image);
/* Whether a device of this architecture can run it: INVALID_PTX. */
CUresult weft_soft_image_check(const struct weft_soft_image *image, uint32_t sm,
                               struct weft_err *err);

/* The managed variables of a library, which all contexts that it is loaded in have in common; they
 * begin anew when none is left. */
struct weft_soft_managed;
struct weft_soft_managed *weft_soft_managed_create(void);
void weft_soft_managed_put(struct weft_soft_managed *managed);
/* Their address for one more module; *first: they have to be initialised. OUT_OF_MEMORY. */
CUresult weft_soft_managed_use(struct weft_soft_managed *managed, struct weft_soft_context *context,
                               uint64_t bytes, CUdeviceptr *address, bool *first);
void weft_soft_managed_leave(struct weft_soft_managed *managed, struct weft_soft_context *context);

/* An image in a context: its variables have addresses. */
struct weft_soft_module {
    struct weft_soft_context *context; /* referenced */
    uint64_t handle;
    struct weft_soft_child child;
    struct weft_soft_image *image; /* referenced */
    struct weft_exec_program *program;
    CUdeviceptr variables; /* one allocation for all; 0: there are none */
    uint64_t variable_bytes;
    CUdeviceptr managed;              /* another one, for those that the host reaches too */
    struct weft_soft_managed *common; /* what `managed` is a use of; NULL: the module's own */
    atomic_bool left_common;
    uint64_t *variable_addresses; /* one a variable of the image */
    uint32_t registers_max;       /* a thread's, as CU_JIT_MAX_REGISTERS said; 0: no limit */
    pthread_mutex_t lock;
    uint64_t *functions; /* lock; a handle a function of the image, 0: not asked for yet */
    bool *refused;       /* lock; one a function: that it cannot run was told */
    bool closed;         /* lock; no function is added any more */
};

/* What the calls of before CUDA 4.0 set for the launches to come. */
struct weft_soft_settings {
    unsigned int block[3], shared_bytes, param_bytes;
    unsigned char *params; /* owned; NULL until one is set */
};

struct weft_soft_function {
    struct weft_soft_module *module; /* referenced by its handle */
    uint64_t handle;
    uint32_t index; /* in the image */
    const struct weft_exec_kernel *kernel;
    struct weft_exec_kernel_info info;
    atomic_uint dynamic_shared_max; /* bytes, as cuFuncSetAttribute raised it */
    atomic_int carveout;            /* percent; -1: no preference */
    atomic_uint cache_config;
    struct weft_soft_settings settings; /* module->lock */
    atomic_uint cluster[3];             /* as cuFuncSetAttribute set it; 0: as the kernel says */
    atomic_int large_clusters, cluster_policy;
};

/* Takes its own reference to the image. Makes handle and variables; managed ones are those of
 * `common`, or the module's own where that is NULL. */
CUresult weft_soft_module_create(struct weft_soft_context *context, struct weft_soft_image *image,
                                 struct weft_soft_managed *common, struct weft_soft_module **out,
                                 struct weft_err *err);
/* The handle of the kernel `name`; NOT_FOUND, or NOT_SUPPORTED with a report that says why. */
CUresult weft_soft_module_function(struct weft_soft_module *module, const char *name,
                                   uint64_t *handle);
CUresult weft_soft_module_function_at(struct weft_soft_module *module, uint32_t index,
                                      uint64_t *handle);
/* NOT_FOUND. Outputs may be NULL. */
CUresult weft_soft_module_global(struct weft_soft_module *module, const char *name,
                                 CUdeviceptr *address, size_t *bytes);
/* The reference of a variable of type .texref or .surfref. NOT_FOUND. */
CUresult weft_soft_module_reference(struct weft_soft_module *module, const char *name,
                                    bool is_surface, uint64_t *handle);
/* Closes module and functions; work in flight keeps them. False where that is done already. */
bool weft_soft_module_close(uint64_t handle);
/* Waits for the context's work, then closes module and functions. */
CUresult weft_soft_module_unload(uint64_t handle);

/* A function by handle, under a new reference. A CUkernel stands for its function in `context`. */
CUresult weft_soft_function_get(CUfunction handle, struct weft_soft_context *context,
                                struct weft_soft_function **out);
static inline void weft_soft_function_put(struct weft_soft_function *function)
{
    weft_soft_handle_put(function->handle);
}

CUresult weft_soft_function_attribute(struct weft_soft_function *function,
                                      CUfunction_attribute attribute, int *out);
CUresult weft_soft_function_set_attribute(struct weft_soft_function *function,
                                          CUfunction_attribute attribute, int value);
/* cluster_function.c: the blocks of a cluster that the kernel wants, or zeros; and the most that it
 * takes. */
void weft_soft_function_cluster(const struct weft_soft_function *function, uint32_t size[3]);
uint32_t weft_soft_function_cluster_most(const struct weft_soft_function *function);
int weft_soft_function_cluster_attribute(const struct weft_soft_function *function,
                                         CUfunction_attribute attribute);
CUresult weft_soft_function_set_cluster_attribute(struct weft_soft_function *function,
                                                  CUfunction_attribute attribute, int value);
/* How large a cluster of the configuration can be, and how many the device holds at once. */
CUresult weft_soft_function_max_cluster(const struct weft_soft_function *function,
                                        const CUlaunchConfig *config, int *out);
CUresult weft_soft_function_active_clusters(const struct weft_soft_function *function,
                                            const CUlaunchConfig *config, int *out);
/* Where parameter `index` lies in the block of parameters; `bytes` may be NULL. */
CUresult weft_soft_param_info(const struct weft_ptx_function *function, size_t index,
                              size_t *offset, size_t *bytes);
static inline bool weft_soft_is_kernel(const struct weft_ptx_function *function)
{
    return function->entry && function->body;
}
unsigned int weft_soft_count_kernels(const struct weft_ptx_module *ptx);
/* Tells the person why an image was refused, where that is of use beyond the program's own log. */
void weft_soft_module_tell(CUresult result, const struct weft_err *err);

/* Blocks of so many threads and so much dynamic shared memory that an SM of the profile can hold at
 * once; 0 where not even one fits. */
uint32_t weft_soft_occupancy(const struct weft_soft_profile *profile,
                             const struct weft_exec_kernel_info *info, uint32_t threads,
                             uint64_t dynamic_shared_bytes);

#endif
