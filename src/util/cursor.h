/* A bounded cursor over bytes: little-endian, fixed-width. A cursor that ran out of its bounds
 * stays failed and yields zeros, so that a decoder checks once, at its end. No allocation, any
 * thread that owns the cursor. */
#ifndef WEFT_UTIL_CURSOR_H
#define WEFT_UTIL_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct weft_reader {
    const uint8_t *next; /* borrowed */
    size_t left;
    bool failed;
};

struct weft_writer {
    uint8_t *start; /* borrowed */
    size_t used;
    size_t size;
    bool failed;
};

static inline struct weft_reader weft_reader_over(const void *bytes, size_t size)
{
    return (struct weft_reader){.next = bytes, .left = size};
}

static inline struct weft_writer weft_writer_over(void *bytes, size_t size)
{
    return (struct weft_writer){.start = bytes, .size = size};
}

/* The next `count` bytes where they lie; NULL and failed when there are fewer. */
static inline const uint8_t *weft_read_span(struct weft_reader *reader, size_t count)
{
    if (reader->failed || reader->left < count) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *span = reader->next;
    reader->next += count;
    reader->left -= count;
    return span;
}

static inline uint64_t weft_read_number(struct weft_reader *reader, size_t width)
{
    const uint8_t *bytes = weft_read_span(reader, width);
    uint64_t value = 0;
    for (size_t i = 0; bytes && i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline uint8_t weft_read_u8(struct weft_reader *reader)
{
    return (uint8_t)weft_read_number(reader, 1);
}

static inline uint16_t weft_read_u16(struct weft_reader *reader)
{
    return (uint16_t)weft_read_number(reader, 2);
}

static inline uint32_t weft_read_u32(struct weft_reader *reader)
{
    return (uint32_t)weft_read_number(reader, 4);
}

static inline uint64_t weft_read_u64(struct weft_reader *reader)
{
    return weft_read_number(reader, 8);
}

static inline void weft_read_bytes(struct weft_reader *reader, void *out, size_t count)
{
    const uint8_t *bytes = weft_read_span(reader, count);
    if (bytes)
        memcpy(out, bytes, count);
    else
        memset(out, 0, count);
}

/* A u16 length and so many bytes, into `text` of `size` bytes, zero-ended. Fails when it does not
 * fit or holds a zero byte. */
static inline void weft_read_text(struct weft_reader *reader, char *text, size_t size)
{
    size_t length = weft_read_u16(reader);
    const uint8_t *bytes = length < size ? weft_read_span(reader, length) : NULL;
    if (!bytes || memchr(bytes, 0, length)) {
        reader->failed = true;
        length = 0;
    } else {
        memcpy(text, bytes, length);
    }
    text[length] = '\0';
}

static inline void weft_write_bytes(struct weft_writer *writer, const void *bytes, size_t count)
{
    if (writer->failed || writer->size - writer->used < count) {
        writer->failed = true;
        return;
    }
    if (count)
        memcpy(writer->start + writer->used, bytes, count);
    writer->used += count;
}

static inline void weft_write_number(struct weft_writer *writer, uint64_t value, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    weft_write_bytes(writer, bytes, width);
}

static inline void weft_write_u8(struct weft_writer *writer, uint8_t value)
{
    weft_write_number(writer, value, 1);
}

static inline void weft_write_u16(struct weft_writer *writer, uint16_t value)
{
    weft_write_number(writer, value, 2);
}

static inline void weft_write_u32(struct weft_writer *writer, uint32_t value)
{
    weft_write_number(writer, value, 4);
}

static inline void weft_write_u64(struct weft_writer *writer, uint64_t value)
{
    weft_write_number(writer, value, 8);
}

/* The counterpart of weft_read_text. */
static inline void weft_write_text(struct weft_writer *writer, const char *text)
{
    size_t length = strlen(text);
    if (length > UINT16_MAX) {
        writer->failed = true;
        return;
    }
    weft_write_u16(writer, (uint16_t)length);
    weft_write_bytes(writer, text, length);
}

#endif
