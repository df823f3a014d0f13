/* What NVRTC makes of every kernel in tests/conformance/kernels, for each of three architectures
 * and with debugging information, is taken by our parser. Breaks when the parser refuses what a
 * compiler emits. Skipped where there is no NVRTC: it is opened at run time, so that nothing of a
 * toolkit is needed to build. */
#include <dirent.h>
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx/ptx.h"
#include "util/util.h"

#define SKIPPED 77
#define KERNELS_MIN 25

typedef void *program_t;

/* The part of NVRTC's interface that is used here; 0 is success. */
struct nvrtc {
    int (*create)(program_t *, const char *, const char *, int, const char *const *,
                  const char *const *);
    int (*compile)(program_t, int, const char *const *);
    int (*ptx_size)(program_t, size_t *);
    int (*ptx)(program_t, char *);
    int (*log_size)(program_t, size_t *);
    int (*log)(program_t, char *);
    int (*destroy)(program_t *);
};

static void *open_library(void)
{
    static const char *const names[] = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(names); i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
    }
    void *library = NULL;
    glob_t found = {0};
    if (glob("/usr/local/cuda*/lib64/libnvrtc.so", 0, NULL, &found) == 0)
        library = dlopen(found.gl_pathv[found.gl_pathc - 1], RTLD_NOW | RTLD_LOCAL);
    globfree(&found);
    return library;
}

static int load(struct nvrtc *nvrtc)
{
    void *library = open_library();
    if (!library)
        return 0;
    *(void **)&nvrtc->create = dlsym(library, "nvrtcCreateProgram");
    *(void **)&nvrtc->compile = dlsym(library, "nvrtcCompileProgram");
    *(void **)&nvrtc->ptx_size = dlsym(library, "nvrtcGetPTXSize");
    *(void **)&nvrtc->ptx = dlsym(library, "nvrtcGetPTX");
    *(void **)&nvrtc->log_size = dlsym(library, "nvrtcGetProgramLogSize");
    *(void **)&nvrtc->log = dlsym(library, "nvrtcGetProgramLog");
    *(void **)&nvrtc->destroy = dlsym(library, "nvrtcDestroyProgram");
    return nvrtc->create && nvrtc->compile && nvrtc->ptx_size && nvrtc->ptx && nvrtc->log_size &&
           nvrtc->log && nvrtc->destroy;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(1, size + 1);
    size_t got = text ? fread(text, 1, size, file) : 0;
    fclose(file);
    if (got == size)
        return text;
    free(text);
    return NULL;
}

static void print_log(const struct nvrtc *nvrtc, program_t program, const char *name)
{
    size_t size = 0;
    nvrtc->log_size(program, &size);
    _cleanup_free_ char *log = calloc(1, size + 1);
    if (log && nvrtc->log(program, log) == 0)
        printf("%s does not compile: %s\n", name, log);
}

/* The PTX, owned by the caller, or NULL. */
static char *compile(const struct nvrtc *nvrtc, const char *name, const char *source,
                     const char *architecture, const char *extra)
{
    const char *options[] = {architecture, extra};
    program_t program = NULL;
    char *ptx = NULL;
    size_t size = 0;
    if (nvrtc->create(&program, source, name, 0, NULL, NULL) != 0)
        return NULL;
    if (nvrtc->compile(program, extra ? 2 : 1, options) != 0)
        print_log(nvrtc, program, name);
    else if (nvrtc->ptx_size(program, &size) == 0 && (ptx = calloc(1, size)) &&
             nvrtc->ptx(program, ptx) != 0)
        *ptx = '\0';
    nvrtc->destroy(&program);
    return ptx;
}

/* Every .entry of the text is a function with a body and instructions. */
static int check_parsed(const char *name, const char *ptx)
{
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    if (weft_ptx_parse(&module, ptx, strlen(ptx) + 1, &err) < 0) {
        printf("%s: %s\n", name, err.text);
        return 1;
    }
    unsigned entries = 0, parsed = 0;
    for (const char *at = ptx; (at = strstr(at, ".entry ")); at++)
        entries++;
    for (uint32_t i = 0; i < module->function_count; i++)
        parsed += module->functions[i].entry && module->functions[i].insn_count > 0;
    weft_ptx_destroy(module);
    if (entries == parsed && entries > 0)
        return 0;
    printf("%s: %u kernels of %u were parsed\n", name, parsed, entries);
    return 1;
}

static int check_kernel(const struct nvrtc *nvrtc, const char *path)
{
    static const char *const variants[][2] = {{"--gpu-architecture=compute_75", NULL},
                                              {"--gpu-architecture=compute_80", "--use_fast_math"},
                                              {"--gpu-architecture=compute_90", "-lineinfo"},
                                              {"--gpu-architecture=compute_75", "-G"}};
    _cleanup_free_ char *source = read_file(path);
    int failed = !source;
    for (size_t i = 0; source && i < WEFT_ARRAY_COUNT(variants); i++) {
        _cleanup_free_ char *ptx = compile(nvrtc, path, source, variants[i][0], variants[i][1]);
        failed += !ptx || check_parsed(path, ptx);
    }
    return failed;
}

int main(int count, char **arguments)
{
    struct nvrtc nvrtc;
    if (count != 2) {
        printf("usage: corpus_test FOLDER\n");
        return 2;
    }
    if (!load(&nvrtc)) {
        printf("NVRTC is not installed, and this test compiles CUDA C with it\n");
        return SKIPPED;
    }
    DIR *folder = opendir(arguments[1]);
    unsigned kernels = 0;
    int failed = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[4096];
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".cu") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", arguments[1], entry->d_name);
        failed += check_kernel(&nvrtc, path);
        kernels++;
    }
    if (folder)
        closedir(folder);
    printf("%u kernels, %d failures\n", kernels, failed);
    return failed || kernels < KERNELS_MIN;
}
