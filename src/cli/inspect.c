#include "cli/inspect.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "image/program.h"
#include "softgpu/exec/exec.h"
#include "softgpu/ptx/link.h"
#include "util/util.h"

#define PATH_BYTES 4096

/* Libraries that have NVIDIA's runtime inside, by the start of their names. */
static const char *const native_only[] = {"libcublas",   "libcudnn", "libcusolver",
                                          "libcusparse", "libnccl",  "libnvinfer"};

struct inspector {
    struct weft_inspection *out;
    struct weft_err *err;
    uint32_t count;
    char *paths[WEFT_INSPECT_FILES_MAX]; /* owned; looked at, or to be looked at */
};

/* One file, mapped. */
struct file {
    const void *bytes;
    size_t size;
};

static void add_reason(struct inspector *inspector, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_reason(struct inspector *inspector, const char *format, ...)
{
    struct weft_inspection *out = inspector->out;
    if (out->reason_count == WEFT_INSPECT_REASONS_MAX) {
        out->more_reasons++;
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->reasons[out->reason_count++], WEFT_INSPECT_REASON_BYTES, format, arguments);
    va_end(arguments);
}

static int map_file(struct file *file, const char *path, struct weft_err *err)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status))
        return weft_fail(err, WEFT_ENOENT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode) || status.st_size == 0)
        return weft_fail(err, WEFT_EPROTO, "%s: not an ELF file", path);
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "%s: %s", path, strerror(errno));
    *file = (struct file){bytes, (size_t)status.st_size};
    return 0;
}

static void unmap_file(const struct file *file)
{
    if (file->bytes)
        munmap((void *)(uintptr_t)file->bytes, file->size);
}

static void queue_path(struct inspector *inspector, const char *path)
{
    char *real = realpath(path, NULL);
    for (uint32_t i = 0; real && i < inspector->count; i++) {
        if (strcmp(inspector->paths[i], real) == 0) {
            free(real);
            return;
        }
    }
    if (real && inspector->count < WEFT_INSPECT_FILES_MAX)
        inspector->paths[inspector->count++] = real;
    else
        free(real);
}

/* The first folder of a list parted by ':' that has the library; $ORIGIN is the folder of `owner`.
 */
static bool queue_from(struct inspector *inspector, const char *folders, const char *owner,
                       const char *name)
{
    while (folders && *folders) {
        char path[PATH_BYTES];
        size_t length = strcspn(folders, ":");
        const char *rest = folders;
        int origin = 0;
        if (strncmp(folders, "$ORIGIN", 7) == 0 || strncmp(folders, "${ORIGIN}", 9) == 0) {
            rest = folders + (folders[1] == '{' ? 9 : 7);
            origin = (int)(strrchr(owner, '/') - owner);
        }
        int rest_length = (int)(folders + length - rest);
        int used =
            snprintf(path, sizeof(path), "%.*s%.*s/%s", origin, owner, rest_length, rest, name);
        if (used > 0 && used < (int)sizeof(path) && access(path, R_OK) == 0) {
            queue_path(inspector, path);
            return true;
        }
        folders += length + (folders[length] == ':');
    }
    return false;
}

/* Where the loader would look, but for its cache: a library that is found nowhere is passed over.
 */
static void queue_library(struct inspector *inspector, const struct weft_elf *elf,
                          const char *owner, const char *name)
{
    const char *run_path = weft_elf_dynamic_text(elf, DT_RUNPATH, 0);
    const char *places[] = {run_path ? run_path : weft_elf_dynamic_text(elf, DT_RPATH, 0),
                            getenv("LD_LIBRARY_PATH"),
                            "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/usr/local/lib:/lib64:"
                            "/usr/lib64:/usr/local/cuda/lib64"};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(places); i++)
        if (queue_from(inspector, places[i], owner, name))
            return;
}

/* The runtime's own libraries stand for what they do; the others are looked into. */
static void look_at_libraries(struct inspector *inspector, const struct weft_elf *elf,
                              const char *path)
{
    const char *name;
    for (uint32_t i = 0; (name = weft_elf_dynamic_text(elf, DT_NEEDED, i)); i++) {
        bool known = strncmp(name, "libcuda", 7) == 0;
        for (size_t k = 0; k < WEFT_ARRAY_COUNT(native_only); k++) {
            if (strncmp(name, native_only[k], strlen(native_only[k])) != 0)
                continue;
            add_reason(inspector, "%s needs %s, which has NVIDIA's runtime inside", path, name);
            known = true;
        }
        if (!known)
            queue_library(inspector, elf, path, name);
    }
}

/* Every kernel of a module is made ready as it would be for a launch. */
static void try_kernels(struct inspector *inspector, const char *path,
                        const struct weft_ptx_module *ptx)
{
    _cleanup_free_ uint64_t *addresses = calloc(ptx->variable_count + 1, sizeof(*addresses));
    struct weft_exec_program *program;
    struct weft_err err = {0};
    if (!addresses || weft_exec_program_create(&program, ptx, addresses, &err))
        return;
    for (uint32_t i = 0; i < ptx->function_count; i++) {
        const struct weft_exec_kernel *kernel;
        if (!ptx->functions[i].entry || !ptx->functions[i].body)
            continue;
        inspector->out->kernel_count++;
        if (weft_exec_program_kernel(program, i, &kernel, &err))
            add_reason(inspector, "%s: kernel %s: %s", path, ptx->functions[i].name, err.text);
    }
    weft_exec_program_destroy(program);
}

/* The modules of a program that are linked before they are used. */
struct linkage {
    uint32_t count;
    struct weft_ptx_link_input inputs[WEFT_PTX_LINK_INPUTS_MAX];
};

static void try_text(struct inspector *inspector, const char *path, const char *text, size_t bytes,
                     struct linkage *linkage)
{
    struct weft_ptx_module *ptx;
    struct weft_err err = {0};
    bool links = linkage && linkage->count < WEFT_PTX_LINK_INPUTS_MAX;
    if (links ? weft_ptx_parse_heads(&ptx, text, bytes, &err)
              : weft_ptx_parse(&ptx, text, bytes, &err)) {
        add_reason(inspector, "%s: a module's PTX: %s", path, err.text);
        return;
    }
    if (links) {
        linkage->inputs[linkage->count++] = (struct weft_ptx_link_input){path, ptx};
        return;
    }
    try_kernels(inspector, path, ptx);
    weft_ptx_destroy(ptx);
}

static void try_linked(struct inspector *inspector, const char *path, struct linkage *linkage)
{
    struct weft_ptx_module *ptx;
    struct weft_err err = {0};
    if (linkage->count == 0)
        return;
    if (weft_ptx_link(&ptx, linkage->inputs, linkage->count, &err)) {
        add_reason(inspector, "%s: %s", path, err.text);
        return;
    }
    if (weft_ptx_read_bodies(ptx, &err))
        add_reason(inspector, "%s", err.text);
    else
        try_kernels(inspector, path, ptx);
    weft_ptx_destroy(ptx);
}

static void look_at_module(struct inspector *inspector, const char *path,
                           const struct weft_program_module *module, struct linkage *linkage)
{
    struct weft_fatbin fatbin;
    struct weft_fatbin_entry entry;
    struct weft_err err = {0};
    uint32_t cubins = 0, lowest_sm = 0;
    char *text;
    size_t bytes;
    inspector->out->module_count++;
    int rc = weft_fatbin_open(&fatbin, module->fatbin, module->bytes, &err);
    if (rc == 0)
        rc = weft_fatbin_choose(fatbin, inspector->out->sm, &entry, &cubins, &lowest_sm, &err);
    if (rc == 0 && lowest_sm)
        add_reason(inspector, "%s: a module's PTX is for sm_%u and newer, the device is sm_%u",
                   path, lowest_sm, inspector->out->sm);
    else if (rc == 0 && cubins)
        add_reason(inspector,
                   "%s: a module has no PTX, only machine code (%u images); build with "
                   "-gencode arch=compute_%u,code=compute_%u",
                   path, cubins, inspector->out->sm, inspector->out->sm);
    else if (rc < 0 || (rc > 0 && weft_fatbin_unpack(&entry, &text, &bytes, &err)))
        add_reason(inspector, "%s: %s", path, err.text);
    else if (rc > 0) {
        try_text(inspector, path, text, bytes, module->is_relocatable ? linkage : NULL);
        free(text);
    }
}

/* The stub that nvcc links to every program has a wrapper of version 2 and no kernel; where it
 * stands for linked objects, these are modules of their own. */
static void look_at_modules(struct inspector *inspector, const char *path,
                            const struct weft_program *program)
{
    _cleanup_free_ struct linkage *linkage = calloc(1, sizeof(*linkage));
    if (!linkage)
        return;
    for (uint32_t i = 0; i < program->module_count; i++)
        if (program->modules[i].version == 1 || program->modules[i].has_ptx)
            look_at_module(inspector, path, &program->modules[i], linkage);
    try_linked(inspector, path, linkage);
}

static int look_at_file(struct inspector *inspector, const char *path)
{
    struct weft_program program;
    _cleanup_(unmap_file) struct file file = {0};
    int rc = map_file(&file, path, inspector->err);
    if (rc)
        return rc;
    rc = weft_program_open(&program, file.bytes, file.size, inspector->err);
    if (rc)
        return weft_wrap(inspector->err, rc, "%s", path);
    inspector->out->file_count++;
    inspector->out->uses_cuda |= program.has_shared_runtime || program.has_static_runtime ||
                                 program.has_own_runtime || program.needs_driver;
    if (program.has_static_runtime)
        add_reason(inspector,
                   "%s has NVIDIA's static runtime inside, which works with NVIDIA's driver alone: "
                   "relink with -cudart shared",
                   path);
    look_at_modules(inspector, path, &program);
    look_at_libraries(inspector, &program.elf, path);
    weft_program_finish(&program);
    return 0;
}

int weft_inspect(struct weft_inspection *out, const char *path, uint32_t sm, struct weft_err *err)
{
    struct inspector inspector = {.out = out, .err = err};
    *out = (struct weft_inspection){.sm = sm};
    queue_path(&inspector, path);
    int rc = inspector.count ? 0 : weft_fail(err, WEFT_ENOENT, "%s: %s", path, strerror(errno));
    for (uint32_t i = 0; i < inspector.count && rc == 0; i++) {
        struct weft_err later = {0};
        inspector.err = i == 0 ? err : &later;
        int looked = look_at_file(&inspector, inspector.paths[i]);
        /* A library that cannot be looked into is the loader's concern. */
        rc = i == 0 ? looked : 0;
    }
    for (uint32_t i = 0; i < inspector.count; i++)
        free(inspector.paths[i]);
    return rc;
}

const char *const weft_inspect_runtime_names[WEFT_INSPECT_RUNTIMES] = {
    "libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"};

static uint32_t runtimes_of(struct inspector *inspector, const char *path)
{
    _cleanup_(unmap_file) struct file file = {0};
    struct weft_elf elf;
    const char *name;
    uint32_t found = 0;
    if (map_file(&file, path, NULL) || weft_elf_open(&elf, file.bytes, file.size, NULL))
        return 0;
    for (uint32_t i = 0; (name = weft_elf_dynamic_text(&elf, DT_NEEDED, i)); i++)
        for (uint32_t k = 0; k < WEFT_INSPECT_RUNTIMES; k++)
            if (strcmp(name, weft_inspect_runtime_names[k]) == 0)
                found |= 1u << k;
    look_at_libraries(inspector, &elf, path);
    return found;
}

/* As the shell finds it. */
static void queue_program(struct inspector *inspector, const char *program)
{
    if (strchr(program, '/'))
        queue_path(inspector, program);
    else
        queue_from(inspector, getenv("PATH"), "/", program);
}

uint32_t weft_inspect_runtimes(const char *program)
{
    struct weft_inspection nobody_asks = {0};
    struct inspector inspector = {.out = &nobody_asks};
    uint32_t found = 0;
    queue_program(&inspector, program);
    for (uint32_t i = 0; i < inspector.count; i++)
        found |= runtimes_of(&inspector, inspector.paths[i]);
    for (uint32_t i = 0; i < inspector.count; i++)
        free(inspector.paths[i]);
    return found;
}
