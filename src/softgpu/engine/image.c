/* From what a program hands over as a module to a parsed one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image/fatbin.h"
#include "softgpu/engine/fat.h"
#include "softgpu/engine/linked.h"
#include "softgpu/engine/module.h"

/* A text without an end in sight is taken to end here. */
#define IMAGE_BYTES_MAX ((size_t)1 << 30)
#define ELF_MAGIC 0x464c457fu
#define PTX_VERSION_MAX 90 /* 9.0, of CUDA 13.0 */
/* A text, or linked texts, up to here are parsed whole when they are loaded, in a few milliseconds,
 * so that their errors are told of at once. Of longer ones bodies are read when a kernel needs
 * them. */
#define WHOLE_TEXT_BYTES ((size_t)64 << 10)

static uint32_t first_word(const void *image)
{
    /* The bytes after the end of a shorter text are not ours to read. */
    const unsigned char *bytes = image;
    uint32_t word = 0;
    for (unsigned int i = 0; i < sizeof(word); i++) {
        word |= (uint32_t)bytes[i] << (8 * i);
        if (bytes[i] == 0)
            break;
    }
    return word;
}

static CUresult refuse_binary(const void *image, struct weft_err *err)
{
    uint32_t magic = first_word(image);
    if (magic == ELF_MAGIC) {
        weft_fail(err, WEFT_ENOSYS,
                  "the module is a cubin, machine code of a real GPU; the soft GPU runs PTX: build "
                  "with -ptx, or embed PTX");
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    unsigned char first = (unsigned char)(magic & 0xff);
    bool text = first == '\t' || first == '\n' || first == '\r' || (first >= ' ' && first < 0x7f) ||
                first == 0xef; /* a byte order mark */
    if (!text)
        weft_fail(err, WEFT_EINVAL, "the module is neither PTX nor anything else that is known");
    return text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

static CUresult result_of_parse(const struct weft_err *err)
{
    switch (-err->code) {
    case WEFT_ENOMEM:
        return CUDA_ERROR_OUT_OF_MEMORY;
    case WEFT_EVERSION:
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    case WEFT_EPROTO:
        return CUDA_ERROR_INVALID_IMAGE;
    default:
        return CUDA_ERROR_INVALID_PTX;
    }
}

static CUresult check_version(const struct weft_ptx_module *ptx, struct weft_err *err)
{
    if (ptx->version_major * 10 + ptx->version_minor <= PTX_VERSION_MAX)
        return CUDA_SUCCESS;
    weft_fail(err, WEFT_EVERSION, "PTX version %u.%u is newer than %d.%d, the newest known here",
              ptx->version_major, ptx->version_minor, PTX_VERSION_MAX / 10, PTX_VERSION_MAX % 10);
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
}

/* PTX, or what cuLinkComplete made of several. Bodies that are read late have to wait for their
 * errors, which who wants to be told of them cannot. */
static int parse_text(struct weft_ptx_module **out, const char *text, size_t bytes, bool linked,
                      bool whole, struct weft_err *err)
{
    whole |= weft_soft.load_eagerly || bytes <= WHOLE_TEXT_BYTES;
    if (linked)
        return weft_soft_linked_read(out, text, bytes, whole, err);
    return whole ? weft_ptx_parse(out, text, bytes, err)
                 : weft_ptx_parse_heads(out, text, bytes, err);
}

static CUresult parse(struct weft_soft_image **out, const char *text, size_t bytes, bool linked,
                      bool whole, struct weft_err *err)
{
    struct weft_soft_image *image = calloc(1, sizeof(*image));
    if (!image) {
        weft_fail(err, WEFT_ENOMEM, "no memory for a module");
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    atomic_init(&image->references, 1);
    CUresult result = CUDA_SUCCESS;
    if (parse_text(&image->ptx, text, bytes, linked, whole, err))
        result = result_of_parse(err);
    else
        result = check_version(image->ptx, err);
    if (result) {
        weft_soft_image_put(image);
        return result;
    }
    *out = image;
    return CUDA_SUCCESS;
}

/* An image in memory; `bytes` is SIZE_MAX where it says itself how long it is. */
static CUresult load(struct weft_soft_image **out, const void *image, size_t bytes, uint32_t sm,
                     bool whole, struct weft_err *err)
{
    uint32_t magic = first_word(image);
    if (magic == WEFT_SOFT_LINKED_MAGIC)
        return parse(out, image, bytes == SIZE_MAX ? weft_soft_linked_bytes(image) : bytes, true,
                     whole, err);
    if (magic == WEFT_FATBIN_MAGIC || (magic == WEFT_FATBIN_WRAPPER_MAGIC && bytes == SIZE_MAX)) {
        struct weft_soft_fat_content content;
        CUresult result = weft_soft_fat_read(&content, image, bytes, sm, err);
        if (result)
            return result;
        result = parse(out, content.text, content.bytes, content.linked, whole, err);
        free(content.text);
        return result;
    }
    CUresult result = refuse_binary(image, err);
    if (result)
        return result;
    return parse(out, image, strnlen(image, WEFT_MIN(bytes, IMAGE_BYTES_MAX)), false, whole, err);
}

CUresult weft_soft_image_load(struct weft_soft_image **out, const void *image, uint32_t sm,
                              bool whole, struct weft_err *err)
{
    return load(out, image, SIZE_MAX, sm, whole, err);
}

char *weft_soft_image_read(const char *path, size_t *bytes, struct weft_err *err)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) {
        weft_fail(err, WEFT_ENOENT, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (status.st_size < 0 || (uint64_t)status.st_size > IMAGE_BYTES_MAX) {
        weft_fail(err, WEFT_ERANGE, "%s: too large for a module", path);
        return NULL;
    }
    /* The text ends in a zero even where the file is empty. */
    char *text = calloc(1, (size_t)status.st_size + 1);
    if (!text) {
        weft_fail(err, WEFT_ENOMEM, "%s: no memory to read it", path);
        return NULL;
    }
    int64_t read_bytes = weft_read_all(fd, text, (size_t)status.st_size, err);
    if (read_bytes < 0) {
        free(text);
        return NULL;
    }
    *bytes = (size_t)read_bytes;
    return text;
}

CUresult weft_soft_image_load_file(struct weft_soft_image **out, const char *path, uint32_t sm,
                                   bool whole, struct weft_err *err)
{
    size_t bytes;
    struct weft_err own = {0};
    _cleanup_free_ char *text = weft_soft_image_read(path, &bytes, &own);
    if (text)
        return load(out, text, bytes, sm, whole, err);
    *err = own;
    return own.code == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_FILE_NOT_FOUND;
}

uint32_t weft_soft_image_common_sm(void)
{
    uint32_t sm = UINT32_MAX;
    for (size_t i = 0; i < weft_soft.device_count; i++)
        sm = WEFT_MIN(sm, weft_soft_profile_sm(weft_soft.devices[i].profile));
    return sm;
}

void weft_soft_image_get(struct weft_soft_image *image)
{
    atomic_fetch_add(&image->references, 1);
}

void weft_soft_image_put(struct weft_soft_image *image)
{
    if (!image || atomic_fetch_sub(&image->references, 1) != 1)
        return;
    weft_ptx_destroy(image->ptx);
    free(image);
}

CUresult weft_soft_image_check(const struct weft_soft_image *image, uint32_t sm,
                               struct weft_err *err)
{
    if (image->ptx->target_sm <= sm)
        return CUDA_SUCCESS;
    weft_fail(
        err, WEFT_ENOSYS,
        "the module's .target is sm_%u, but it is to run on sm_%u: build for sm_%u, or choose "
        "a newer profile",
        image->ptx->target_sm, sm, sm);
    return CUDA_ERROR_INVALID_PTX;
}
