#include "wire/wire.h"

uint32_t weft_wire_payload_max(uint16_t type)
{
    switch (type) {
#define X(name, number, maximum) \
    case number:                 \
        return maximum;
        WEFT_WIRE_TYPES(X)
#undef X
    default:
        return 0;
    }
}

const char *weft_wire_type_name(uint16_t type)
{
    switch (type) {
#define X(name, number, maximum) \
    case number:                 \
        return #name;
        WEFT_WIRE_TYPES(X)
#undef X
    default:
        return "unknown";
    }
}

void weft_wire_header_encode(const struct weft_wire_header *header,
                             uint8_t bytes[WEFT_WIRE_HEADER_BYTES])
{
    struct weft_writer writer = weft_writer_over(bytes, WEFT_WIRE_HEADER_BYTES);
    weft_write_u32(&writer, WEFT_WIRE_MAGIC);
    weft_write_u16(&writer, header->major);
    weft_write_u16(&writer, header->minor);
    weft_write_u16(&writer, header->type);
    weft_write_u16(&writer, header->fd_count);
    weft_write_u32(&writer, header->length);
}

int weft_wire_header_decode(const uint8_t bytes[WEFT_WIRE_HEADER_BYTES],
                            struct weft_wire_header *header, struct weft_err *err)
{
    struct weft_reader reader = weft_reader_over(bytes, WEFT_WIRE_HEADER_BYTES);
    struct weft_wire_header found;
    if (weft_read_u32(&reader) != WEFT_WIRE_MAGIC)
        return weft_fail(err, WEFT_EPROTO, "what answers there does not speak weft's protocol");
    found.major = weft_read_u16(&reader);
    found.minor = weft_read_u16(&reader);
    found.type = weft_read_u16(&reader);
    found.fd_count = weft_read_u16(&reader);
    found.length = weft_read_u32(&reader);
    if (found.fd_count > WEFT_WIRE_FDS_MAX)
        return weft_fail(err, WEFT_EPROTO,
                         "a message brings %u descriptors; at most %d are allowed", found.fd_count,
                         WEFT_WIRE_FDS_MAX);
    if (found.major != WEFT_WIRE_MAJOR) {
        if (found.type != WEFT_WIRE_ERROR || found.length > WEFT_WIRE_REQUEST_MAX)
            found.length = 0;
        *header = found;
        return weft_fail(err, WEFT_EVERSION,
                         "the peer speaks protocol %u.%u, this weft %d.%d; use one version of weft",
                         found.major, found.minor, WEFT_WIRE_MAJOR, WEFT_WIRE_MINOR);
    }
    uint32_t maximum = weft_wire_payload_max(found.type);
    if (maximum == 0)
        return weft_fail(err, WEFT_EPROTO, "message type %u is not known", found.type);
    if (found.length > maximum)
        return weft_fail(err, WEFT_EPROTO, "a %s message of %u bytes; at most %u are allowed",
                         weft_wire_type_name(found.type), found.length, maximum);
    *header = found;
    return 0;
}
