/* From texture coordinates to the texels that they name, as the CUDA programming guide's appendix
 * on fetching defines it, 32 lanes at a time. Part of vector_sample.c. */
#ifndef WEFT_SOFTGPU_EXEC_VECTOR_ADDRESS_H
#define WEFT_SOFTGPU_EXEC_VECTOR_ADDRESS_H

#include <math.h>

#include "softgpu/exec/sample.h"
#include "softgpu/exec/vector.h"

/* How far beyond the image a coordinate may lie before it is cut; more than any offset reaches. */
#define MARGIN 20.0f

enum wrapping {
    WRAPPING_CLAMP,
    WRAPPING_REPEAT,
    WRAPPING_MIRROR,
    WRAPPING_BORDER,
    WRAPPING_FACE /* a cube's: one texel beyond is on the neighbouring face */
};

/* One axis of one level: two neighbouring texels and how much the second one weighs. A texel of the
 * border is -1. */
struct axis {
    int32_t first[WEFT_EXEC_LANES], second[WEFT_EXEC_LANES];
    float fraction[WEFT_EXEC_LANES];
} __attribute__((aligned(64)));

static inline float without_nan(float value)
{
    return value == value ? value : 0.0f;
}

/* Repeating and mirroring are defined for normalised coordinates alone; buffers have a border of
 * zeros. */
static inline enum wrapping find_wrapping(const struct weft_exec_sampling *sampling, uint32_t axis,
                                          bool repeats)
{
    if (sampling->is_buffer)
        return WRAPPING_BORDER;
    switch (sampling->address_mode[axis]) {
    case CU_TR_ADDRESS_MODE_WRAP:
        return repeats ? WRAPPING_REPEAT : WRAPPING_CLAMP;
    case CU_TR_ADDRESS_MODE_MIRROR:
        return repeats ? WRAPPING_MIRROR : WRAPPING_CLAMP;
    case CU_TR_ADDRESS_MODE_BORDER:
        return WRAPPING_BORDER;
    default:
        return WRAPPING_CLAMP;
    }
}

/* Coordinates in texels; `odd` are the lanes that look at a mirror image. */
static void unnormalise(enum wrapping wrapping, bool normalised, float size, const float *x,
                        float *u, int32_t *odd)
{
    LANES(lane) odd[lane] = 0;
    if (wrapping == WRAPPING_REPEAT) {
        LANES(lane) u[lane] = (x[lane] - floorf(x[lane])) * size;
    } else if (wrapping == WRAPPING_MIRROR) {
        LANES(lane)
        {
            float whole = floorf(x[lane]), part = x[lane] - whole;
            float half = whole * 0.5f;
            bool mirrored = half > floorf(half);
            odd[lane] = mirrored;
            u[lane] = (mirrored ? 1.0f - part : part) * size;
        }
    } else {
        const float scale = normalised ? size : 1.0f;
        LANES(lane) u[lane] = x[lane] * scale;
    }
    LANES(lane) u[lane] = without_nan(u[lane]);
}

/* Texel and fraction; a fraction has eight bits, rounded, so that 1 is one of its values. */
static void split(bool linear, float size, const float *u, struct axis *axis)
{
    const float shift = linear ? 0.5f : 0.0f, most = size + MARGIN;
    LANES(lane)
    {
        float at = u[lane] - shift;
        at = at < -MARGIN ? -MARGIN : at;
        at = at > most ? most : at;
        float whole = floorf(at);
        float parts = floorf((at - whole) * WEFT_EXEC_FRACTION + 0.5f);
        axis->fraction[lane] = parts * (1.0f / WEFT_EXEC_FRACTION);
        axis->first[lane] = (int32_t)whole;
    }
}

/* Offsets are of four bits. A mirror image counts backwards. */
static void add_offset(const int32_t *offset, const int32_t *odd, int32_t *index)
{
    LANES(lane)
    {
        int32_t by = (int32_t)((uint32_t)offset[lane] << 28) >> 28;
        index[lane] += odd[lane] ? -by : by;
    }
}

static inline int32_t repeat_index(int32_t index, int32_t size)
{
    int32_t rest = index % size;
    return rest < 0 ? rest + size : rest;
}

static inline int32_t mirror_index(int32_t index, int32_t size)
{
    int64_t rest = (int64_t)index % (2 * (int64_t)size);
    rest = rest < 0 ? rest + 2 * (int64_t)size : rest;
    return (int32_t)(rest < size ? rest : 2 * (int64_t)size - 1 - rest);
}

/* Without an offset an index is at most one texel outside, where no division is needed. */
static void wrap(enum wrapping wrapping, int32_t size, bool far, int32_t *index)
{
    const int32_t last = size - 1;
    switch (wrapping) {
    case WRAPPING_FACE:
        return;
    case WRAPPING_BORDER:
        LANES(lane) index[lane] = index[lane] < 0 || index[lane] > last ? -1 : index[lane];
        return;
    case WRAPPING_REPEAT:
        if (far)
            LANES(lane) index[lane] = repeat_index(index[lane], size);
        else
            LANES(lane) index[lane] += index[lane] < 0 ? size : index[lane] > last ? -size : 0;
        return;
    case WRAPPING_MIRROR:
        if (far)
            LANES(lane) index[lane] = mirror_index(index[lane], size);
        break;
    default:
        break;
    }
    LANES(lane)
    {
        int32_t at = index[lane] < 0 ? 0 : index[lane];
        index[lane] = at > last ? last : at;
    }
}

static void locate(enum wrapping wrapping, bool normalised, bool linear, uint32_t size,
                   const float *x, const int32_t *offset, struct axis *axis)
{
    float u[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    int32_t odd[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    unnormalise(wrapping, normalised, (float)size, x, u, odd);
    split(linear, (float)size, u, axis);
    if (offset)
        add_offset(offset, odd, axis->first);
    if (linear) {
        LANES(lane) axis->second[lane] = axis->first[lane] + 1;
        wrap(wrapping, (int32_t)size, offset != NULL, axis->second);
    }
    wrap(wrapping, (int32_t)size, offset != NULL, axis->first);
}

/* Whole coordinates count texels, whatever the texture says, and are not filtered. */
static void locate_whole(enum wrapping wrapping, uint32_t size, const int32_t *x,
                         const int32_t *offset, struct axis *axis)
{
    static const int32_t zeros[WEFT_EXEC_LANES];
    LANES(lane)
    {
        int32_t at = x[lane] < -(1 << 30) ? -(1 << 30) : x[lane];
        axis->first[lane] = at > 1 << 30 ? 1 << 30 : at;
    }
    if (offset)
        add_offset(offset, zeros, axis->first);
    wrap(wrapping, (int32_t)size, true, axis->first);
}

/* The face of a cube that a direction points at, and where on it: the guide's table. Of equally
 * long axes z comes before y before x. */
static void project(float x[WEFT_EXEC_AXES][WEFT_EXEC_LANES], uint32_t *face)
{
    LANES(lane)
    {
        const float a = without_nan(x[0][lane]), b = without_nan(x[1][lane]);
        const float c = without_nan(x[2][lane]);
        const float far_a = fabsf(a), far_b = fabsf(b), far_c = fabsf(c);
        const bool on_c = far_c >= far_a && far_c >= far_b;
        const bool on_b = !on_c && far_b >= far_a;
        const float major = on_c ? c : on_b ? b : a;
        const bool back = major < 0.0f;
        const float s = on_c ? (back ? -a : a) : on_b ? a : (back ? c : -c);
        const float t = on_b ? (back ? -c : c) : -b;
        const float length = fabsf(major);
        x[0][lane] = (s / length + 1.0f) * 0.5f;
        x[1][lane] = (t / length + 1.0f) * 0.5f;
        face[lane] = (on_c ? 4u : on_b ? 2u : 0u) + back;
    }
}

/* A texel one beyond the edge of a face, on the face where it is. Directions are counted in halves
 * of texels from the cube's centre; false where it lies beyond a corner. */
static bool cross_edge(int32_t size, uint32_t *face, int32_t *i, int32_t *j)
{
    static const struct {
        int8_t s_axis, s_sign, t_axis, t_sign, axis, sign;
    } frames[6] = {{2, -1, 1, -1, 0, 1}, {2, 1, 1, -1, 0, -1}, {0, 1, 2, 1, 1, 1},
                   {0, 1, 2, -1, 1, -1}, {0, 1, 1, -1, 2, 1},  {0, -1, 1, -1, 2, -1}};
    const bool i_outside = *i < 0 || *i >= size, j_outside = *j < 0 || *j >= size;
    if (i_outside && j_outside)
        return false;
    if (!i_outside && !j_outside)
        return true;
    int32_t at[3];
    at[frames[*face].s_axis] = (2 * *i + 1 - size) * frames[*face].s_sign;
    at[frames[*face].t_axis] = (2 * *j + 1 - size) * frames[*face].t_sign;
    at[frames[*face].axis] = (size - 1) * frames[*face].sign;
    const int axis = i_outside ? frames[*face].s_axis : frames[*face].t_axis;
    *face = (uint32_t)(2 * axis) + (at[axis] < 0);
    *i = (at[frames[*face].s_axis] * frames[*face].s_sign + size - 1) / 2;
    *j = (at[frames[*face].t_axis] * frames[*face].t_sign + size - 1) / 2;
    return true;
}

#endif
