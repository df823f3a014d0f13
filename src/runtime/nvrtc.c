/* NVRTC's two calls that hand out machine code, for programs on a GPU that runs PTX. NVRTC itself
 * compiles: it keeps the PTX from which it made the machine code, and that is what a program gets
 * here. Preloaded by `weft run` where no device is native; a program that finds NVRTC by dlsym in a
 * library that it opened itself gets NVRTC's own calls. */
#include <dlfcn.h>
#include <stddef.h>

#define NVRTC_ERROR_INTERNAL 11 /* NVRTC_ERROR_INTERNAL_ERROR */
#define PTX_BYTES_MIN 2         /* one byte is an empty text with its end */

/* As NVRTC has it: the bytes that nvrtcGetCUBIN writes. */
__attribute__((visibility("default"))) int nvrtcGetCUBINSize(void *program, size_t *size);
/* As NVRTC has it, but PTX, with its terminating zero. */
__attribute__((visibility("default"))) int nvrtcGetCUBIN(void *program, char *bytes);

typedef int (*weft_nvrtc_size_fn)(void *program, size_t *size);
typedef int (*weft_nvrtc_get_fn)(void *program, char *bytes);

/* NVRTC's own function, in whichever library comes after this one. */
static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* Whether there is machine code at all, and PTX to take its place: a program compiled for a virtual
 * architecture has only the latter, one for link-time optimisation neither. */
static int replaced(void *program, size_t *size, int *result)
{
    weft_nvrtc_size_fn cubin_size = (weft_nvrtc_size_fn)next("nvrtcGetCUBINSize");
    weft_nvrtc_size_fn ptx_size = (weft_nvrtc_size_fn)next("nvrtcGetPTXSize");
    size_t ptx_bytes = 0;
    *result = cubin_size ? cubin_size(program, size) : NVRTC_ERROR_INTERNAL;
    if (*result || !size || *size == 0 || !ptx_size || ptx_size(program, &ptx_bytes) ||
        ptx_bytes < PTX_BYTES_MIN)
        return 0;
    *size = ptx_bytes;
    return 1;
}

int nvrtcGetCUBINSize(void *program, size_t *size)
{
    int result;
    replaced(program, size, &result);
    return result;
}

int nvrtcGetCUBIN(void *program, char *bytes)
{
    size_t size = 0;
    int result;
    const char *name = replaced(program, &size, &result) ? "nvrtcGetPTX" : "nvrtcGetCUBIN";
    weft_nvrtc_get_fn get = (weft_nvrtc_get_fn)next(name);
    return get ? get(program, bytes) : NVRTC_ERROR_INTERNAL;
}
