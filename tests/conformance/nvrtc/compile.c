/* NVRTC, opened at run time: the few functions of it that are needed here, declared from its
 * documentation. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "stage.h"

#define SOURCE_BYTES_MAX (64u << 10)

struct nvrtc_program;
struct nvrtc {
    int (*create)(struct nvrtc_program **out, const char *source, const char *name, int headers,
                  const char *const *header_sources, const char *const *header_names);
    int (*compile)(struct nvrtc_program *program, int count, const char *const *options);
    int (*ptx_size)(struct nvrtc_program *program, size_t *bytes);
    int (*ptx)(struct nvrtc_program *program, char *text);
    int (*log_size)(struct nvrtc_program *program, size_t *bytes);
    int (*log)(struct nvrtc_program *program, char *text);
    int (*destroy)(struct nvrtc_program **program);
};

static void *open_library(void)
{
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so",
                                        "/usr/local/cuda/lib64/libnvrtc.so",
                                        "/usr/local/cuda-13.0/lib64/libnvrtc.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
    }
    return NULL;
}

static const struct nvrtc *get_nvrtc(void)
{
    static struct nvrtc nvrtc;
    void *library = nvrtc.destroy ? NULL : open_library();
    if (library) {
        nvrtc.create = (__typeof__(nvrtc.create))dlsym(library, "nvrtcCreateProgram");
        nvrtc.compile = (__typeof__(nvrtc.compile))dlsym(library, "nvrtcCompileProgram");
        nvrtc.ptx_size = (__typeof__(nvrtc.ptx_size))dlsym(library, "nvrtcGetPTXSize");
        nvrtc.ptx = (__typeof__(nvrtc.ptx))dlsym(library, "nvrtcGetPTX");
        nvrtc.log_size = (__typeof__(nvrtc.log_size))dlsym(library, "nvrtcGetProgramLogSize");
        nvrtc.log = (__typeof__(nvrtc.log))dlsym(library, "nvrtcGetProgramLog");
        nvrtc.destroy = (__typeof__(nvrtc.destroy))dlsym(library, "nvrtcDestroyProgram");
    }
    return nvrtc.destroy ? &nvrtc : NULL;
}

const char *compile_unavailable(void)
{
    return get_nvrtc() ? NULL : "no CUDA toolkit: libnvrtc.so is not found";
}

static void print_log(const struct nvrtc *nvrtc, struct nvrtc_program *program)
{
    size_t bytes = 0;
    nvrtc->log_size(program, &bytes);
    char *log = calloc(1, bytes + 1);
    if (log && nvrtc->log(program, log) == 0)
        printf("%s\n", log);
    free(log);
}

static char *read_source(const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.cu", KERNELS, file);
    FILE *stream = fopen(path, "r");
    char *text = calloc(1, SOURCE_BYTES_MAX);
    if (!stream || !text) {
        printf("%s is not there\n", path);
        free(text);
        return NULL;
    }
    fread(text, 1, SOURCE_BYTES_MAX - 1, stream);
    fclose(stream);
    return text;
}

char *compile_kernels(const char *file, const char *architecture)
{
    const struct nvrtc *nvrtc = get_nvrtc();
    char option[64];
    snprintf(option, sizeof option, "--gpu-architecture=%s", architecture);
    const char *options[] = {option, "-default-device"};
    struct nvrtc_program *program = NULL;
    char *source = read_source(file);
    char *ptx = NULL;
    size_t bytes = 0;
    if (!source || nvrtc->create(&program, source, file, 0, NULL, NULL) != 0) {
        free(source);
        return NULL;
    }
    if (nvrtc->compile(program, 2, options) != 0)
        print_log(nvrtc, program);
    else if (nvrtc->ptx_size(program, &bytes) == 0 && (ptx = calloc(1, bytes + 1)))
        nvrtc->ptx(program, ptx);
    nvrtc->destroy(&program);
    free(source);
    return ptx;
}
