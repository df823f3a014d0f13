/* Surfaces: raw and formatted access to the texels of an image's first level, lane by lane. */
#include "softgpu/exec/half.h"
#include "softgpu/exec/sample.h"
#include "util/util.h"

#include <math.h>
#include <string.h>

#define ALIGNMENT_MAX 16u

/* One lane's access. */
struct access {
    struct weft_exec_run *run;
    const struct weft_exec_insn *insn;
    const struct weft_exec_sample *sample;
    uint32_t lane;
    struct weft_exec_image_level level;
    CUarray_format format;
    uint32_t channels, texel_bytes;
    uint32_t bytes; /* of the access */
    uint64_t address;
    bool is_texel; /* it is one whole texel, wherever that lies */
};

enum reach { REACH_INSIDE, REACH_OUTSIDE, REACH_FAULT };

static int64_t lane_coordinate(const struct access *access, int32_t row)
{
    return ((const int32_t *)weft_exec_source(access->run, row))[access->lane];
}

static bool clamp(int64_t *at, int64_t last)
{
    bool inside = *at >= 0 && *at <= last;
    *at = *at < 0 ? 0 : WEFT_MIN(*at, last);
    return inside;
}

static void describe(struct access *access, const struct weft_exec_texture *texture)
{
    const struct weft_exec_sample *sample = access->sample;
    struct weft_exec_format format = weft_exec_format_describe(texture->image.format);
    access->level = texture->image.levels[0];
    access->format = texture->image.format;
    access->channels = format.channels ? format.channels : texture->image.channels;
    access->channels = WEFT_MIN(WEFT_MAX(access->channels, 1u), (uint32_t)WEFT_EXEC_CHANNELS);
    access->texel_bytes = texture->image.texel_bytes;
    bool whole = sample->formatted && sample->operation == WEFT_PTX_OP_NONE;
    access->bytes = whole ? access->texel_bytes : weft_ptx_type_bytes(sample->type) * sample->count;
}

/* The device address of the access; coordinates outside are brought inside. False where they were
 * outside. */
static bool find_address(const struct access *access, uint64_t *address)
{
    const struct weft_exec_sample *sample = access->sample;
    const struct weft_exec_image_level *level = &access->level;
    int64_t row_bytes = (int64_t)level->width * access->texel_bytes;
    int64_t x = lane_coordinate(access, sample->coordinate[0]);
    int64_t y = sample->axes > 1 ? lane_coordinate(access, sample->coordinate[1]) : 0;
    int64_t z = sample->axes > 2 ? lane_coordinate(access, sample->coordinate[2]) : 0;
    if (sample->is_array)
        z = (int64_t)(uint32_t)lane_coordinate(access, sample->layer);
    if (sample->formatted)
        x *= access->texel_bytes;
    bool inside = clamp(&x, WEFT_MAX(row_bytes - (int64_t)access->bytes, (int64_t)0));
    inside &= row_bytes >= (int64_t)access->bytes;
    inside &= clamp(&y, (int64_t)WEFT_MAX(level->height, 1u) - 1);
    inside &= clamp(&z, (int64_t)WEFT_MAX(level->depth, 1u) - 1);
    *address = level->address + (uint64_t)x + (uint64_t)y * level->row_bytes +
               (uint64_t)z * level->slice_bytes;
    return inside;
}

static enum reach fail(const struct access *access, enum weft_exec_fault_kind kind,
                       uint64_t address)
{
    weft_exec_raise(access->run, access->insn, 1u << access->lane, kind, address);
    return REACH_FAULT;
}

/* The memory that a lane's access is for. */
static enum reach reach(struct access *access, char **host)
{
    const struct weft_exec_sample *sample = access->sample;
    uint64_t handle =
        ((const uint64_t *)weft_exec_source(access->run, sample->image))[access->lane];
    const struct weft_exec_texture *texture = weft_exec_texture_find(access->run, handle);
    if (texture == NULL || !texture->is_surface)
        return fail(access, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, handle);
    describe(access, texture);
    uint64_t address;
    bool inside = find_address(access, &address);
    if (!inside && sample->outside == WEFT_PTX_OUTSIDE_TRAP)
        return fail(access, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, address);
    if (!inside && sample->outside == WEFT_PTX_OUTSIDE_ZERO)
        return REACH_OUTSIDE;
    if (address % WEFT_MIN(access->bytes, ALIGNMENT_MAX) && !access->is_texel)
        return fail(access, WEFT_EXEC_FAULT_MISALIGNED, address);
    *host = weft_exec_host_pointer(access->run, &(struct weft_exec_touch){.space = WEFT_PTX_GLOBAL,
                                                                          .lane = access->lane,
                                                                          .bytes = access->bytes,
                                                                          .address = address});
    access->address = address;
    return *host ? REACH_INSIDE : fail(access, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, address);
}

/* The checker believes what it has not seen written to be so. */
static void note_written(const struct access *access)
{
    if (access->run->block->launch->check)
        weft_exec_check_note(access->run, access->address, access->bytes);
}

static struct access begin_access(struct weft_exec_run *run, const struct weft_exec_insn *insn)
{
    return (struct access){
        .run = run, .insn = insn, .sample = &run->kernel->samples[insn->immediate]};
}

COMMON_HANDLER(suld)
{
    struct access access = begin_access(run, insn);
    const struct weft_exec_sample *sample = access.sample;
    uint32_t bytes = weft_ptx_type_bytes(sample->type);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        access.lane = (uint32_t)__builtin_ctz(left);
        char *host = NULL;
        enum reach found = reach(&access, &host);
        if (found == REACH_FAULT)
            return;
        for (uint32_t i = 0; i < sample->count; i++) {
            uint64_t value = 0;
            if (found == REACH_INSIDE)
                memcpy(&value, host + i * bytes, bytes);
            weft_exec_lane_write(weft_exec_row(run, sample->data[i]), sample->row_bytes,
                                 access.lane, value);
        }
    }
}

static uint64_t data_of(const struct access *access, uint32_t index)
{
    return weft_exec_lane_read(weft_exec_source(access->run, access->sample->data[index]),
                               access->sample->row_bytes, access->lane);
}

static int64_t clip(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : WEFT_MIN(value, most);
}

/* The bits of one channel made of 32 bits of data, which is a float for formats of floats and of
 * fractions, else a whole number. */
static uint32_t encode_channel(const struct weft_exec_format *format, uint32_t bits,
                               uint32_t channel_bits)
{
    int64_t most = (1ll << (channel_bits - format->is_signed)) - 1;
    int64_t least = format->is_signed ? -most - 1 : 0;
    if (format->is_float)
        return format->channel == WEFT_EXEC_CHANNEL_HALF ? to_half((double)from_bits_f32(bits), 0)
                                                         : bits;
    if (!format->is_normalised)
        return (uint32_t)clip(format->is_signed ? (int64_t)(int32_t)bits : (int64_t)bits, least,
                              most);
    float value = from_bits_f32(bits);
    float low = format->is_signed ? -1.0f : 0.0f;
    value = value > low ? (value < 1.0f ? value : 1.0f) : low; /* NaN is low */
    return (uint32_t)(int64_t)rint((double)value * (double)most);
}

static uint32_t channel_bits(const struct weft_exec_format *format, uint32_t channel)
{
    if (format->channel == WEFT_EXEC_CHANNEL_PACKED10)
        return channel == 3 ? 2 : 10;
    return 8 * weft_exec_channel_bytes(format->channel);
}

/* A texel from the data's elements; channels that have none are 0. */
static void store_formatted(const struct access *access, char *host)
{
    struct weft_exec_format format = weft_exec_format_describe(access->format);
    uint64_t words[2] = {0};
    uint32_t at = 0;
    for (uint32_t channel = 0; channel < access->channels; channel++) {
        uint32_t bits = channel_bits(&format, channel);
        uint64_t value = 0;
        if (channel < access->sample->count)
            value = encode_channel(&format, (uint32_t)data_of(access, channel), bits) &
                    (UINT64_MAX >> (64 - bits));
        words[at / 64] |= value << at % 64;
        at += bits;
    }
    memcpy(host, words, WEFT_MIN(access->texel_bytes, (uint32_t)sizeof(words)));
}

COMMON_HANDLER(sust)
{
    struct access access = begin_access(run, insn);
    const struct weft_exec_sample *sample = access.sample;
    uint32_t bytes = weft_ptx_type_bytes(sample->type);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        access.lane = (uint32_t)__builtin_ctz(left);
        char *host = NULL;
        enum reach found = reach(&access, &host);
        if (found == REACH_FAULT)
            return;
        if (found == REACH_OUTSIDE)
            continue;
        note_written(&access);
        if (sample->formatted) {
            store_formatted(&access, host);
            continue;
        }
        for (uint32_t i = 0; i < sample->count; i++) {
            uint64_t value = data_of(&access, i);
            memcpy(host + i * bytes, &value, bytes);
        }
    }
}

/* What a reduction leaves in its cell. */
static uint64_t combine(uint8_t operation, bool is_signed, uint32_t bytes, uint64_t old,
                        uint64_t value)
{
    unsigned shift = 64 - 8 * bytes;
    bool less = is_signed ? (int64_t)(old << shift) < (int64_t)(value << shift)
                          : old << shift < value << shift;
    switch (operation) {
    case WEFT_PTX_OP_ADD:
        return old + value;
    case WEFT_PTX_OP_MIN:
        return less ? old : value;
    case WEFT_PTX_OP_MAX:
        return less ? value : old;
    case WEFT_PTX_OP_AND:
        return old & value;
    default:
        return old | value;
    }
}

static void reduce(const struct access *access, char *host)
{
    const struct weft_exec_sample *sample = access->sample;
    bool is_signed = sample->formatted
                         ? weft_exec_format_describe(access->format).is_signed
                         : sample->type == WEFT_PTX_S32 || sample->type == WEFT_PTX_S64;
    uint64_t value = data_of(access, 0);
    if (access->bytes == 8) {
        uint64_t *cell = (uint64_t *)host, old = __atomic_load_n(cell, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(cell, &old,
                                            combine(sample->operation, is_signed, 8, old, value),
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            ;
        return;
    }
    uint32_t *cell = (uint32_t *)host, old = __atomic_load_n(cell, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(
        cell, &old, (uint32_t)combine(sample->operation, is_signed, 4, old, value), false,
        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
}

COMMON_HANDLER(sured)
{
    struct access access = begin_access(run, insn);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        access.lane = (uint32_t)__builtin_ctz(left);
        char *host = NULL;
        enum reach found = reach(&access, &host);
        if (found == REACH_FAULT)
            return;
        if (found == REACH_INSIDE) {
            note_written(&access);
            reduce(&access, host);
        }
    }
}
