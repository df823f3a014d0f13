/* Texture and surface instructions as the executor runs them: their operands, the state that a
 * texture is read with, and the way of one group of lanes to its texels. */
#ifndef WEFT_SOFTGPU_EXEC_SAMPLE_H
#define WEFT_SOFTGPU_EXEC_SAMPLE_H

#include "softgpu/exec/memory.h"

#define WEFT_EXEC_AXES 3
#define WEFT_EXEC_CHANNELS 4
#define WEFT_EXEC_TAPS 8          /* texels that a linear filter of three axes reads */
#define WEFT_EXEC_FRACTION 256.0f /* a filter's fractions have eight bits */

/* The operands, as rows; those that are not written are NO_ROW. An instruction's `immediate` is the
 * index of its sample in the kernel. */
struct weft_exec_sample {
    uint8_t axes; /* of coordinates */
    bool is_array, is_cube;
    bool integer_coordinates;
    uint8_t detail;         /* enum weft_ptx_detail */
    uint8_t component;      /* tld4: 1…4, else 0 */
    uint8_t type;           /* of the results, or of a surface's data */
    uint8_t count;          /* results, or elements of a surface's data */
    uint8_t row_bytes;      /* of a lane of the data */
    uint8_t outside;        /* enum weft_ptx_outside, of surfaces */
    bool formatted;         /* surfaces: x counts texels */
    uint8_t operation;      /* sured */
    int32_t image, sampler; /* 64-bit handles */
    int32_t layer;
    int32_t coordinate[WEFT_EXEC_AXES];
    int32_t level;
    int32_t gradient[2][WEFT_EXEC_AXES];
    int32_t offset[WEFT_EXEC_AXES];
    int32_t compare;
    int32_t data[WEFT_EXEC_CHANNELS]; /* destinations, or a surface's sources */
    int32_t resident;
};

/* How a channel lies in memory. */
enum weft_exec_channel {
    WEFT_EXEC_CHANNEL_UNKNOWN,
    WEFT_EXEC_CHANNEL_U8,
    WEFT_EXEC_CHANNEL_S8,
    WEFT_EXEC_CHANNEL_U16,
    WEFT_EXEC_CHANNEL_S16,
    WEFT_EXEC_CHANNEL_B32,
    WEFT_EXEC_CHANNEL_HALF,
    WEFT_EXEC_CHANNEL_PACKED10 /* 10, 10, 10 and 2 bits of one word */
};

/* What is made of it. */
enum weft_exec_decoding {
    WEFT_EXEC_DECODE_NOTHING, /* it is a whole number or a float */
    WEFT_EXEC_DECODE_NORMALISED,
    WEFT_EXEC_DECODE_SRGB
};

/* What one instruction keeps of a texture: a copy, checked against what arrays below can hold, so
 * that a texture which is destroyed meanwhile does no harm. */
struct weft_exec_sampling {
    uint32_t level_count;
    struct weft_exec_image_level levels[WEFT_EXEC_IMAGE_LEVELS_MAX];
    enum weft_exec_channel channel;
    enum weft_exec_decoding decoding;
    uint32_t channels, texel_bytes;
    bool is_integer; /* texels stay whole numbers, and are not filtered */
    bool linear, mipmap_linear;
    bool normalised, seamless, is_buffer;
    uint8_t address_mode[WEFT_EXEC_AXES]; /* CUaddress_mode */
    float bias, least_level, most_level;
    float border[WEFT_EXEC_CHANNELS];
};

/* Bytes of a texel's channel; what a format stands for. */
struct weft_exec_format {
    enum weft_exec_channel channel;
    uint8_t channels; /* 0: as many as the image says */
    bool is_signed, is_float, is_normalised;
};
struct weft_exec_format weft_exec_format_describe(CUarray_format format);
uint32_t weft_exec_channel_bytes(enum weft_exec_channel channel);

/* What a handle, or the address of a module's variable that holds one, names; NULL where it is
 * nothing. */
const struct weft_exec_texture *weft_exec_texture_find(const struct weft_exec_run *run,
                                                       uint64_t handle);

/* The state behind a handle and a sampler (0 for none). False where it names no texture. */
bool weft_exec_sampling_init(const struct weft_exec_run *run, uint64_t handle, uint64_t sampler,
                             struct weft_exec_sampling *sampling);

/* Texels of one level that a group of lanes reads: `count` each, at device addresses that become
 * places relative to `base`. The lanes of `border` have none there. */
struct weft_exec_footprint {
    uint32_t count;
    uint64_t base; /* host address = base + place */
    uint64_t place[WEFT_EXEC_TAPS][WEFT_EXEC_LANES] __attribute__((aligned(64)));
    uint32_t border[WEFT_EXEC_TAPS];
    uint32_t corner[WEFT_EXEC_TAPS]; /* lanes whose texel is beyond a corner of a cube */
};

/* Whether all of the device memory from `low` to `bytes` behind `high` is live; false too where it
 * is more than this looks at. */
bool weft_exec_texels_are_live(const struct weft_exec_run *run, uint64_t low, uint64_t high,
                               uint32_t bytes);
/* Finds the memory of all texels of the lanes in `mask`, or raises the fault of the first lane that
 * has none. */
bool weft_exec_footprint_resolve(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                                 uint32_t mask, uint32_t bytes,
                                 struct weft_exec_footprint *footprint);

/* Values of 32 lanes: whole numbers, or the bits of floats. */
typedef uint32_t weft_exec_texels[WEFT_EXEC_CHANNELS][WEFT_EXEC_LANES] __attribute__((aligned(64)));

#endif
