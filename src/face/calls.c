/* The few calls that the face answers itself. */
#include "face/face.h"

#include <dlfcn.h>
#include <string.h>

#include "util/log.h"

static CUresult face_init(unsigned int flags)
{
    CUresult result = weft_face.below.cuInit(flags);
    if (result == CUDA_SUCCESS)
        __atomic_store_n(&weft_face.driver_initialised, true, __ATOMIC_RELEASE);
    return result;
}

/* NVRTC asks for a table too, and goes on well without it. */
static bool is_nvrtc(const void *code)
{
    Dl_info info;
    if (!dladdr(code, &info) || !info.dli_fname)
        return false;
    const char *slash = strrchr(info.dli_fname, '/');
    const char *name = slash ? slash + 1 : info.dli_fname;
    return strncmp(name, "libnvrtc", strlen("libnvrtc")) == 0;
}

/* Anybody else who asks for such a table is NVIDIA's runtime, which then fails with an error that
 * does not say why. */
static void tell_of_runtime(const void *caller)
{
    if (is_nvrtc(caller))
        return;
    if (!__atomic_exchange_n(&weft_face.told_of_runtime, true, __ATOMIC_RELAXED))
        weft_session_report(
            &weft_face.session,
            "this program, or a library of it, has NVIDIA's CUDA runtime inside, which works with "
            "NVIDIA's driver alone: relink with -cudart shared, or give it a native GPU");
}

/* The tables are undocumented: the real driver's are handed through untouched, and no other backend
 * has any. */
static CUresult face_get_export_table(const void **table, const CUuuid *id)
{
    if (weft_face_kind() == WEFT_DEVICE_NATIVE)
        return weft_face.below.cuGetExportTable(table, id);
    if (!table || !id)
        return CUDA_ERROR_INVALID_VALUE;
    char text[2 * sizeof(id->bytes) + 1];
    for (size_t i = 0; i < sizeof(id->bytes); i++) {
        static const char digits[] = "0123456789abcdef";
        text[2 * i] = digits[(unsigned char)id->bytes[i] >> 4];
        text[2 * i + 1] = digits[(unsigned char)id->bytes[i] & 15];
    }
    text[2 * sizeof(id->bytes)] = '\0';
    weft_log(WEFT_LOG_WARN, "face", "cuGetExportTable: table %s is refused", text);
    tell_of_runtime(__builtin_return_address(0));
    *table = NULL;
    return CUDA_ERROR_NOT_SUPPORTED;
}

void weft_face_calls_install(struct weft_face *face, struct weft_cuda *table)
{
    face->below = *table;
    __atomic_store_n(&face->kind, face->devices[0].kind, __ATOMIC_RELEASE);
    table->cuInit = face_init;
    table->cuGetExportTable = face_get_export_table;
    table->cuGetProcAddress = weft_face_get_proc_address;
    table->cuGetProcAddress_v2 = weft_face_get_proc_address_v2;
}

int weft_face_driver_version(void)
{
    int version = __atomic_load_n(&weft_face.driver_version, __ATOMIC_RELAXED);
    if (version != 0)
        return version;
    if (!weft_face_kind())
        return WEFT_CUDA_VERSION;
    if (weft_face.below.cuDriverGetVersion(&version) != CUDA_SUCCESS)
        version = WEFT_CUDA_VERSION;
    __atomic_store_n(&weft_face.driver_version, version, __ATOMIC_RELAXED);
    return version;
}

static CUresult refused(void)
{
    return __atomic_load_n(&weft_face.failure, __ATOMIC_RELAXED);
}

void weft_face_calls_remove(struct weft_face *face)
{
    __atomic_store_n(&face->kind, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&face->driver_version, 0, __ATOMIC_RELAXED);
}

static CUresult answer_text(const char *found, const char **text)
{
    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    *text = found;
    return found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult error_name(CUresult result, const char **text)
{
    return answer_text(weft_cuda_result_name(result), text);
}

static CUresult error_string(CUresult result, const char **text)
{
    return answer_text(weft_cuda_result_text(result), text);
}

/* A program that can use nothing must still be able to say what went wrong. CUDA's runtime looks
 * its functions up before it calls cuInit, so that this answers too and cuInit tells the reason. */
weft_cuda_fn weft_face_refusal(uint32_t index)
{
    switch (index) {
    case WEFT_CUDA_INDEX(cuGetErrorName):
        return (weft_cuda_fn)error_name;
    case WEFT_CUDA_INDEX(cuGetErrorString):
        return (weft_cuda_fn)error_string;
    case WEFT_CUDA_INDEX(cuGetProcAddress):
        return (weft_cuda_fn)weft_face_get_proc_address;
    case WEFT_CUDA_INDEX(cuGetProcAddress_v2):
        return (weft_cuda_fn)weft_face_get_proc_address_v2;
    default:
        return (weft_cuda_fn)refused;
    }
}
