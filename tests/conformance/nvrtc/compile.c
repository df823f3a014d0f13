/* NVRTC, opened at run time: the few functions of it that are needed here, declared from its
 * documentation. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* The toolkit's headers; NULL where there are none. */
static const char *find_headers(void)
{
    static const char *const folders[] = {"/usr/local/cuda/include",
                                          "/usr/local/cuda-13.0/include"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/mma.h", folders[i]);
        if (access(path, R_OK) == 0)
            return folders[i];
    }
    return NULL;
}

const char *compile_headers_unavailable(void)
{
    return find_headers() ? NULL : "no CUDA toolkit: mma.h is not found";
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

char *compile_kernels(const char *file, unsigned architecture)
{
    const struct nvrtc *nvrtc = get_nvrtc();
    const char *headers = find_headers() ? find_headers() : ".";
    char option[64], include[512], cccl[512];
    snprintf(option, sizeof option, "--gpu-architecture=compute_%u", architecture);
    snprintf(include, sizeof include, "--include-path=%s", headers);
    snprintf(cccl, sizeof cccl, "--include-path=%s/cccl", headers);
    const char *options[] = {option, "-default-device", "--std=c++17", include, cccl};
    const int option_count = (int)(sizeof options / sizeof *options);
    struct nvrtc_program *program = NULL;
    char *source = read_source(file);
    char *ptx = NULL;
    size_t bytes = 0;
    if (!source || nvrtc->create(&program, source, file, 0, NULL, NULL) != 0) {
        free(source);
        return NULL;
    }
    if (nvrtc->compile(program, option_count, options) != 0)
        print_log(nvrtc, program);
    else if (nvrtc->ptx_size(program, &bytes) == 0 && (ptx = calloc(1, bytes + 1)))
        nvrtc->ptx(program, ptx);
    nvrtc->destroy(&program);
    free(source);
    return ptx;
}
