/* Payloads of fat binaries, unpacked by the libraries that packed them. */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "image/fatbin.h"
#include "util/util.h"

#define FLAG_LZ4 0x2000u
#define FLAG_ZSTD 0x8000u

/* Both give the count of bytes written, or a negative number. */
static int64_t unpack_lz4(char *to, size_t to_bytes, const char *from, size_t from_bytes)
{
    return LZ4_decompress_safe(from, to, (int)from_bytes, (int)to_bytes);
}

static int64_t unpack_zstd(char *to, size_t to_bytes, const char *from, size_t from_bytes)
{
    unsigned long long said = ZSTD_getFrameContentSize(from, from_bytes);
    if (said == ZSTD_CONTENTSIZE_ERROR || (said != ZSTD_CONTENTSIZE_UNKNOWN && said != to_bytes))
        return -1;
    size_t written = ZSTD_decompress(to, to_bytes, from, from_bytes);
    return ZSTD_isError(written) ? -1 : (int64_t)written;
}

static int expand(const struct weft_fatbin_entry *entry, const char *packed, size_t packed_bytes,
                  char *text, size_t text_bytes, struct weft_err *err)
{
    bool lz4 = entry->flags & FLAG_LZ4;
    int64_t written = lz4 ? unpack_lz4(text, text_bytes, packed, packed_bytes)
                          : unpack_zstd(text, text_bytes, packed, packed_bytes);
    if (written == (int64_t)text_bytes)
        return 0;
    return weft_fail(err, WEFT_EPROTO, "an entry of a fat binary does not unpack to %zu bytes (%s)",
                     text_bytes, lz4 ? "LZ4" : "zstd");
}

int weft_fatbin_unpack(const struct weft_fatbin_entry *entry, char **out, size_t *bytes,
                       struct weft_err *err)
{
    bool packed = entry->flags & (FLAG_LZ4 | FLAG_ZSTD);
    uint64_t from_bytes =
        packed && entry->packed_bytes ? entry->packed_bytes : entry->payload_bytes;
    uint64_t text_bytes = packed ? entry->unpacked_bytes : from_bytes;
    if (!packed && entry->packed_bytes)
        return weft_fail(err, WEFT_ENOSYS,
                         "an entry of a fat binary is compressed in an unknown way (flags 0x%llx)",
                         (unsigned long long)entry->flags);
    if (text_bytes > WEFT_FATBIN_TEXT_BYTES_MAX || from_bytes > WEFT_FATBIN_TEXT_BYTES_MAX)
        return weft_fail(err, WEFT_ERANGE, "an entry of a fat binary of %llu bytes is too large",
                         (unsigned long long)WEFT_MAX(text_bytes, from_bytes));
    _cleanup_free_ char *from = malloc(from_bytes + 1);
    if (!from)
        return weft_fail(err, WEFT_ENOMEM, "no memory for %llu bytes of a fat binary",
                         (unsigned long long)from_bytes);
    if (!weft_image_copy(from, entry->payload, from_bytes))
        return weft_fail(err, WEFT_EPROTO, "an entry of a fat binary is not in memory");
    _cleanup_free_ char *text = packed ? malloc(text_bytes + 1) : weft_steal(from);
    if (!text)
        return weft_fail(err, WEFT_ENOMEM, "no memory for %llu bytes of a fat binary",
                         (unsigned long long)text_bytes);
    int rc = packed ? expand(entry, from, from_bytes, text, text_bytes, err) : 0;
    if (rc)
        return rc;
    text[text_bytes] = '\0';
    *bytes = entry->kind == WEFT_FATBIN_PTX ? strlen(text) : text_bytes;
    *out = weft_steal(text);
    return 0;
}
