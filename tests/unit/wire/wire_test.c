/* Breaks when a byte on the wire moves, when a cut, overlong or invented message is accepted, or
 * when a newer minor is refused. The golden bytes were written down by hand from docs/protocol.md,
 * not taken from the encoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/util.h"
#include "wire/wire.h"

#define ROOM 8192

static const struct weft_wire_error error_message = {.code = WEFT_ELIMIT, .text = "no"};
static const struct weft_wire_hello hello_message = {.start_ticks = 0x1122334455667788,
                                                     .version = "0.1.0"};
static const struct weft_wire_welcome welcome_message = {
    .slot = 7,
    .device_count = 2,
    .tenant = "alice",
    .devices = {{.kind = WEFT_DEVICE_SOFT,
                 .has_arena = true,
                 .has_page = true,
                 .page_slot = 9,
                 .uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                 .profile = "small"},
                {.kind = WEFT_DEVICE_NATIVE,
                 .native_index = 3,
                 .uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}}};
static const struct weft_wire_report report_message = {
    .pid = 4242, .text = "hello", .error = 214, .device = 1, .xid = 48};
static const struct weft_wire_run_begin run_begin_message = {
    .tenant = "bob",
    .limits = {.given = 1u << WEFT_LIMIT_MEMORY | 1u << WEFT_LIMIT_WEIGHT,
               .memory_bytes = 64 << 20,
               .guarantee_bytes = 0,
               .weight = 300,
               .class = WEFT_CLASS_NORMAL,
               .compute_cap_e4 = 10000,
               .sm_percent = 100},
    .gpus = {.wanted = 2,
             .placement = WEFT_PLACEMENT_PACK,
             .count = 2,
             .items = {{.kind = WEFT_GPU_SOFT, .count = 2, .place = "t4"},
                       {.kind = WEFT_GPU_UUID,
                        .count = 1,
                        .uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}}}};
static const struct weft_wire_run_ready run_ready_message = {.joined = true,
                                                             .device_count = 2,
                                                             .tenant = "bob",
                                                             .socket = "/run/x.sock",
                                                             .mps_percent = 40,
                                                             .soft = true};
static const struct weft_wire_run_child run_child_message = {.pid = 77};
static const struct weft_wire_done done_message = {.note = "note"};
static const struct weft_wire_query query_message = {.kind = WEFT_WIRE_QUERY_PS};
static const struct weft_wire_set set_message = {
    .tenant = "bob",
    .limits = {.given = 0x7f,
               .memory_bytes = 1 << 30,
               .guarantee_bytes = 0x0807060504030201,
               .weight = 10000,
               .class = WEFT_CLASS_IDLE,
               .compute_cap_e4 = 1250,
               .sm_percent = 50,
               .kernel_timeout_us = 2000000},
    .run = {.given = true, .uid_count = 1, .uids = {77}}};
static const struct weft_wire_fault fault_message = {
    .xid = 48, .pid = 77, .tenant = "bob", .device = "t4:1"};
static const struct weft_wire_share share_message = {.device = 1, .file = 0x1122334455667788};
static const struct weft_wire_tenant_add tenant_add_message = {
    .asked = {.tenant = "bob",
              .limits = {.weight = 100,
                         .class = WEFT_CLASS_NORMAL,
                         .compute_cap_e4 = 10000,
                         .sm_percent = 100,
                         .memory_bytes = WEFT_MEMORY_WHOLE},
              .run = {.given = true, .uid_count = 2, .uids = {7, 8}, .gid_count = 1, .gids = {9}},
              .change = {.given = true}},
    .owner = 1000};
static const struct weft_wire_tenant_remove tenant_remove_message = {.force = true,
                                                                     .tenant = "bob"};
static const struct weft_wire_resume resume_message = {
    .tenant = "bob", .slot = 3, .start_ticks = 0x1122334455667788};

/* X(name, the bytes of name_message in hexadecimal). */
#define SAMPLES(X)                                                                      \
    X(error, "030002006e6f")                                                            \
    X(hello, "88776655443322110500302e312e30")                                          \
    X(welcome, "070000000500616c69636502000000"                                         \
               "0201010000000009000000000102030405060708090a0b0c0d0e0f0500736d616c6c"   \
               "0100000300000000000000000102030405060708090a0b0c0d0e0f0000")            \
    X(report, "92100000050068656c6c6fd60000000100000030000000")                         \
    X(run_begin, "0300626f62000000040000000002000000"                                   \
                 "0400000000020000000000000000000000000000000000000002007434"           \
                 "020000000001000000000102030405060708090a0b0c0d0e0f0000"               \
                 "0500000000000000000000002c010000030000001027000064000000000000000000" \
                 "0200000002")                                                          \
    X(run_ready, "01020000000300626f620b002f72756e2f782e736f636b2800000001")            \
    X(run_child, "4d000000")                                                            \
    X(done, "04006e6f7465")                                                             \
    X(query, "01")                                                                      \
    X(set, "0300626f6200000040000000007f000000010203040506070810270000"                 \
           "05000000e20400003200000080841e0001010000004d0000000000000000")              \
    X(fault, "300000004d0000000300626f62040074343a31")                                  \
    X(share, "010000008877665544332211")                                                \
    X(tenant_add, "e80300000300626f62000000000000000000000000"                          \
                  "0000000000000000000000006400000003000000102700006400000000000000"    \
                  "010200000007000000080000000100000009000000"                          \
                  "0100000000000000000000000000")                                       \
    X(tenant_remove, "010300626f62")                                                    \
    X(resume, "0300626f62030000008877665544332211")

struct sample {
    const char *name, *hex;
    void (*encode)(struct weft_writer *writer);
    int (*decode)(struct weft_reader reader, uint16_t minor, struct weft_err *err);
    /* Decodes, then encodes what was decoded. */
    void (*again)(struct weft_reader reader, struct weft_writer *writer);
};

#define X(name, hex)                                                                             \
    static void encode_##name(struct weft_writer *writer)                                        \
    {                                                                                            \
        weft_wire_##name##_encode(&name##_message, writer);                                      \
    }                                                                                            \
    static int decode_##name(struct weft_reader reader, uint16_t minor, struct weft_err *err)    \
    {                                                                                            \
        struct weft_wire_##name message;                                                         \
        return weft_wire_##name##_decode(reader, minor, &message, err);                          \
    }                                                                                            \
    static void again_##name(struct weft_reader reader, struct weft_writer *writer)              \
    {                                                                                            \
        struct weft_wire_##name message;                                                         \
        assert_int_equal(weft_wire_##name##_decode(reader, WEFT_WIRE_MINOR, &message, NULL), 0); \
        weft_wire_##name##_encode(&message, writer);                                             \
    }
SAMPLES(X)
#undef X

static const struct sample samples[] = {
#define X(name, hex) {#name, hex, encode_##name, decode_##name, again_##name},
    SAMPLES(X)
#undef X
};

static size_t golden(const struct sample *sample, uint8_t *bytes)
{
    size_t size = strlen(sample->hex) / 2;
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {sample->hex[2 * i], sample->hex[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static void bytes_are_golden(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_ARRAY_COUNT(samples); s++) {
        uint8_t expected[ROOM], encoded[ROOM], twice[ROOM];
        size_t size = golden(&samples[s], expected);
        struct weft_writer writer = weft_writer_over(encoded, sizeof(encoded));
        samples[s].encode(&writer);
        assert_false(writer.failed);
        assert_int_equal(writer.used, size);
        assert_memory_equal(encoded, expected, size);
        struct weft_writer again = weft_writer_over(twice, sizeof(twice));
        samples[s].again(weft_reader_over(expected, size), &again);
        assert_int_equal(again.used, size);
        assert_memory_equal(twice, expected, size);
    }
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_ARRAY_COUNT(samples); s++) {
        uint8_t bytes[ROOM];
        size_t size = golden(&samples[s], bytes);
        for (size_t cut = 0; cut < size; cut++) {
            struct weft_err err = {0};
            /* An exact copy, so that a sanitizer sees a read past the end. */
            uint8_t *copy = malloc(cut ? cut : 1);
            memcpy(copy, bytes, cut);
            assert_int_equal(samples[s].decode(weft_reader_over(copy, cut), WEFT_WIRE_MINOR, &err),
                             -WEFT_EPROTO);
            free(copy);
        }
    }
}

static void only_a_newer_minor_may_append(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_ARRAY_COUNT(samples); s++) {
        uint8_t bytes[ROOM];
        size_t size = golden(&samples[s], bytes);
        bytes[size] = 1;
        struct weft_reader reader = weft_reader_over(bytes, size + 1);
        assert_int_equal(samples[s].decode(reader, WEFT_WIRE_MINOR, NULL), -WEFT_EPROTO);
        assert_int_equal(samples[s].decode(reader, WEFT_WIRE_MINOR + 1, NULL), 0);
    }
}

static void encoders_stop_at_their_room(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_ARRAY_COUNT(samples); s++) {
        uint8_t expected[ROOM];
        size_t size = golden(&samples[s], expected);
        uint8_t *room = malloc(size);
        struct weft_writer writer = weft_writer_over(room, size - 1);
        samples[s].encode(&writer);
        assert_true(writer.failed);
        free(room);
    }
}

/* Changes one byte of a sample and says what the decoder thinks of it. */
static int decode_changed(const char *name, size_t at, uint8_t value)
{
    for (size_t s = 0; s < WEFT_ARRAY_COUNT(samples); s++) {
        if (strcmp(samples[s].name, name) != 0)
            continue;
        uint8_t bytes[ROOM];
        size_t size = golden(&samples[s], bytes);
        bytes[at] = value;
        return samples[s].decode(weft_reader_over(bytes, size), WEFT_WIRE_MINOR, NULL);
    }
    fail();
    return 0;
}

static void invented_values_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_changed("welcome", 11, 17), -WEFT_EPROTO); /* 17 devices */
    assert_int_equal(decode_changed("welcome", 15, 4), -WEFT_EPROTO);  /* a kind of device */
    assert_int_equal(decode_changed("welcome", 16, 2), -WEFT_EPROTO);  /* neither true nor false */
    assert_int_equal(decode_changed("welcome", 6, 0), -WEFT_EPROTO);   /* a zero byte in a text */
    assert_int_equal(decode_changed("run_begin", 13, 17), -WEFT_EPROTO);
    assert_int_equal(decode_changed("run_begin", 17, 0), -WEFT_EPROTO);  /* a kind of item */
    assert_int_equal(decode_changed("run_begin", 22, 0), -WEFT_EPROTO);  /* no device at all */
    assert_int_equal(decode_changed("run_begin", 22, 17), -WEFT_EPROTO); /* too many */
    assert_int_equal(decode_changed("run_ready", 0, 2), -WEFT_EPROTO);
    assert_int_equal(decode_changed("hello", 8, 33), -WEFT_EPROTO); /* a text over its maximum */
}

/* Breaks when a command of before the limits is refused, or gets other limits than it asked for. */
static void an_older_minor_has_the_ceiling_alone(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {3, 0, 'b', 'o', 'b', 0, 0, 0, 64, 0, 0, 0, 0};
    struct weft_wire_set set;
    struct weft_reader reader = weft_reader_over(bytes, sizeof(bytes));
    assert_int_equal(weft_wire_set_decode(reader, 1, &set, NULL), 0);
    assert_int_equal(set.limits.given, 1u << WEFT_LIMIT_MEMORY);
    assert_int_equal(set.limits.memory_bytes, 64 << 24);
    assert_int_equal(set.limits.weight, WEFT_WEIGHT_DEFAULT);
    assert_int_equal(weft_wire_set_decode(reader, 2, &set, NULL), -WEFT_EPROTO);
}

static int decode_header(const char *bytes, struct weft_wire_header *header, struct weft_err *err)
{
    return weft_wire_header_decode((const uint8_t *)bytes, header, err);
}

static void headers(void **state)
{
    (void)state;
    struct weft_wire_header header = {
        .major = 1, .type = WEFT_WIRE_WELCOME, .fd_count = 4, .length = 0x102};
    struct weft_err err = {0};
    uint8_t bytes[WEFT_WIRE_HEADER_BYTES];
    weft_wire_header_encode(&header, bytes);
    assert_memory_equal(bytes, "WEFT\1\0\0\0\3\0\4\0\2\1\0\0", sizeof(bytes));
    assert_int_equal(decode_header("WEFT\1\0\7\0\3\0\4\0\2\1\0\0", &header, &err), 0);
    assert_int_equal(header.minor, 7);
    assert_int_equal(header.fd_count, 4);
    assert_int_equal(header.length, 0x102);
    assert_int_equal(decode_header("weft\1\0\0\0\3\0\4\0\2\1\0\0", &header, &err), -WEFT_EPROTO);
    assert_int_equal(decode_header("WEFT\1\0\0\0\143\0\0\0\2\1\0\0", &header, &err), -WEFT_EPROTO);
    assert_int_equal(decode_header("WEFT\1\0\0\0\3\0\43\0\2\1\0\0", &header, &err), -WEFT_EPROTO);
    assert_int_equal(decode_header("WEFT\1\0\0\0\2\0\0\0\1\40\0\0", &header, &err), -WEFT_EPROTO);
    assert_int_equal(decode_header("WEFT\1\0\0\0\13\0\0\0\1\0\0\1", &header, &err), -WEFT_EPROTO);
    assert_int_equal(decode_header("WEFT\2\0\0\0\1\0\0\0\4\0\0\0", &header, &err), -WEFT_EVERSION);
    assert_int_equal(header.length, 4); /* the words of another major are read */
    assert_int_equal(decode_header("WEFT\2\0\0\0\2\0\0\0\4\0\0\0", &header, &err), -WEFT_EVERSION);
    assert_int_equal(header.length, 0); /* its other messages are not */
    assert_non_null(strstr(err.text, "2.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_golden),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(only_a_newer_minor_may_append),
        cmocka_unit_test(an_older_minor_has_the_ceiling_alone),
        cmocka_unit_test(encoders_stop_at_their_room),
        cmocka_unit_test(invented_values_are_refused),
        cmocka_unit_test(headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
