/* tex and tld4: coordinates to texels, texels to filtered values. Lanes with different textures or
 * levels of detail are served group by group. */
#include "softgpu/exec/vector_address.h"
#include "softgpu/exec/vector_texel.h"
#include "util/util.h"

#define FACES 6

/* One group of lanes that read the same texture with the same sampler. */
struct lookup {
    struct weft_exec_run *run;
    const struct weft_exec_insn *insn;
    const struct weft_exec_sample *sample;
    const struct weft_exec_sampling *sampling;
    bool linear; /* reads two texels an axis */
    uint32_t axes;
    float x[WEFT_EXEC_AXES][WEFT_EXEC_LANES] __attribute__((aligned(64)));
    int32_t offset[WEFT_EXEC_AXES][WEFT_EXEC_LANES] __attribute__((aligned(64)));
    uint32_t layer[WEFT_EXEC_LANES], face[WEFT_EXEC_LANES];
};

static void read_row(const struct weft_exec_run *run, int32_t row, void *values)
{
    memcpy(values, weft_exec_source(run, row), WEFT_EXEC_LANES * sizeof(uint32_t));
}

static void read_operands(struct lookup *lookup)
{
    const struct weft_exec_sample *sample = lookup->sample;
    for (uint32_t axis = 0; axis < sample->axes; axis++) {
        read_row(lookup->run, sample->coordinate[axis], lookup->x[axis]);
        if (sample->offset[0] != WEFT_EXEC_NO_ROW)
            read_row(lookup->run, sample->offset[axis], lookup->offset[axis]);
    }
    if (sample->is_array)
        read_row(lookup->run, sample->layer, lookup->layer);
    lookup->axes = sample->is_cube ? 2 : sample->axes;
    lookup->linear =
        (lookup->sampling->linear || sample->component) && !sample->integer_coordinates;
}

static void locate_axis(const struct lookup *lookup, uint32_t index, uint32_t size,
                        struct axis *axis)
{
    const struct weft_exec_sample *sample = lookup->sample;
    const struct weft_exec_sampling *sampling = lookup->sampling;
    const int32_t *offset = sample->offset[0] == WEFT_EXEC_NO_ROW ? NULL : lookup->offset[index];
    if (sample->integer_coordinates) {
        enum wrapping wrapping = find_wrapping(sampling, index, false);
        locate_whole(wrapping, size, (const int32_t *)lookup->x[index], offset, axis);
    } else if (sample->is_cube) {
        bool crosses = lookup->linear && sampling->seamless;
        locate(crosses ? WRAPPING_FACE : WRAPPING_CLAMP, true, lookup->linear, size,
               lookup->x[index], NULL, axis);
    } else {
        bool normalised = sampling->normalised && !sampling->is_buffer;
        enum wrapping wrapping = find_wrapping(sampling, index, normalised);
        locate(wrapping, normalised, lookup->linear, size, lookup->x[index], offset, axis);
    }
}

/* Layers beyond the last one are the last one. */
static void find_slices(const struct lookup *lookup, uint32_t depth, uint32_t *slice)
{
    const uint32_t faces = lookup->sample->is_cube ? FACES : 1;
    const uint32_t last = depth < faces ? 0 : depth / faces - 1;
    LANES(lane)
    {
        uint32_t layer = lookup->sample->is_array ? lookup->layer[lane] : 0;
        layer = layer > last ? last : layer;
        uint32_t at = layer * faces + (lookup->sample->is_cube ? lookup->face[lane] : 0);
        slice[lane] = at < depth ? at : depth - 1;
    }
}

/* Indices outside of the image are those of the border, which has no memory: they take any
 * texel's. */
static inline uint64_t texel_place(const struct weft_exec_image_level *level, uint32_t texel_bytes,
                                   int32_t i, int32_t j, int32_t k)
{
    return level->address + (uint64_t)(uint32_t)(i < 0 ? 0 : i) * texel_bytes +
           (uint64_t)(uint32_t)(j < 0 ? 0 : j) * level->row_bytes +
           (uint64_t)(uint32_t)(k < 0 ? 0 : k) * level->slice_bytes;
}

static void widen(const int32_t *index, int32_t *least, int32_t *most)
{
    int32_t low = INT32_MAX, high = 0;
    LANES(lane)
    {
        low = index[lane] < low ? index[lane] : low;
        high = index[lane] > high ? index[lane] : high;
    }
    *least = low < *least ? low : *least;
    *most = high > *most ? high : *most;
}

/* Whether the box around all texels of all lanes is live memory: then none needs a look. */
static bool is_box_live(const struct lookup *lookup, const struct weft_exec_image_level *level,
                        const struct axis *axes, const uint32_t *slice)
{
    int32_t least[WEFT_EXEC_AXES] = {0}, most[WEFT_EXEC_AXES] = {0};
    for (uint32_t axis = 0; axis < lookup->axes; axis++) {
        least[axis] = INT32_MAX;
        widen(axes[axis].first, &least[axis], &most[axis]);
        if (lookup->linear)
            widen(axes[axis].second, &least[axis], &most[axis]);
    }
    if (lookup->axes < WEFT_EXEC_AXES) {
        least[2] = INT32_MAX;
        widen((const int32_t *)slice, &least[2], &most[2]);
    }
    const uint32_t bytes = lookup->sampling->texel_bytes;
    return weft_exec_texels_are_live(lookup->run,
                                     texel_place(level, bytes, least[0], least[1], least[2]),
                                     texel_place(level, bytes, most[0], most[1], most[2]), bytes);
}

/* The places of one tap: bit n of its number says which texel of axis n. */
static void place_tap(const struct lookup *lookup, const struct weft_exec_image_level *level,
                      const struct axis *axes, const uint32_t *slice, uint32_t tap,
                      struct weft_exec_footprint *footprint)
{
    static const int32_t zeros[WEFT_EXEC_LANES];
    const int32_t *i = tap & 1 ? axes[0].second : axes[0].first;
    const int32_t *j = lookup->axes < 2 ? zeros : tap & 2 ? axes[1].second : axes[1].first;
    const int32_t *k = lookup->axes < 3 ? (const int32_t *)slice
                       : tap & 4        ? axes[2].second
                                        : axes[2].first;
    const struct weft_exec_image_level at = *level;
    const uint32_t bytes = lookup->sampling->texel_bytes;
    uint64_t *place = footprint->place[tap];
    int32_t outside[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    INDEPENDENT
    LANES(lane) place[lane] = texel_place(&at, bytes, i[lane], j[lane], k[lane]);
    INDEPENDENT
    LANES(lane) outside[lane] = (i[lane] | j[lane] | k[lane]) >> 31;
    footprint->border[tap] = weft_exec_gather_bits(outside);
    footprint->corner[tap] = 0;
}

/* A cube's texels beyond the edges of a face lie on other faces; beyond its corners there are none.
 */
static void cross_edges(const struct lookup *lookup, const struct weft_exec_image_level *level,
                        const struct axis *axes, const uint32_t *slice, uint32_t tap,
                        struct weft_exec_footprint *footprint)
{
    const int32_t *first = tap & 1 ? axes[0].second : axes[0].first;
    const int32_t *second = tap & 2 ? axes[1].second : axes[1].first;
    footprint->border[tap] = 0;
    LANES(lane)
    {
        int32_t size = (int32_t)level->width, i = first[lane], j = second[lane];
        uint32_t face = lookup->face[lane];
        if (!cross_edge(size, &face, &i, &j)) {
            footprint->corner[tap] |= 1u << lane;
            i = i < 0 ? 0 : size - 1;
            j = j < 0 ? 0 : size - 1;
        }
        uint32_t at = slice[lane] - lookup->face[lane] + face;
        at = at < level->depth ? at : level->depth - 1;
        footprint->place[tap][lane] =
            texel_place(level, lookup->sampling->texel_bytes, i, j, (int32_t)at);
    }
}

/* All texels that the lanes of `mask` read of one level, and how much those of each axis weigh.
 * False after a fault. */
static bool find_footprint(const struct lookup *lookup, uint32_t level_index, uint32_t mask,
                           struct axis *axes, struct weft_exec_footprint *footprint)
{
    const struct weft_exec_image_level *level = &lookup->sampling->levels[level_index];
    const uint32_t sizes[] = {level->width, level->height, level->depth};
    uint32_t slice[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    for (uint32_t axis = 0; axis < lookup->axes; axis++)
        locate_axis(lookup, axis, sizes[axis], &axes[axis]);
    find_slices(lookup, level->depth, slice);
    const bool crosses = lookup->sample->is_cube && lookup->linear && lookup->sampling->seamless;
    footprint->count = lookup->linear ? 1u << lookup->axes : 1;
    for (uint32_t tap = 0; tap < footprint->count; tap++) {
        place_tap(lookup, level, axes, slice, tap, footprint);
        if (crosses)
            cross_edges(lookup, level, axes, slice, tap, footprint);
    }
    if (!crosses && is_box_live(lookup, level, axes, slice)) {
        footprint->base = (uint64_t)lookup->run->alias_delta;
        return true;
    }
    return weft_exec_footprint_resolve(lookup->run, lookup->insn, mask,
                                       lookup->sampling->texel_bytes, footprint);
}

/* 1 where what is compared with is at most the texel. */
static void compare_depth(const struct lookup *lookup, weft_exec_texels values)
{
    const float *wanted = weft_exec_source(lookup->run, lookup->sample->compare);
    for (uint32_t channel = 0; channel < lookup->sampling->channels; channel++)
        LANES(lane)
    values[channel][lane] =
        to_bits_f32(wanted[lane] <= from_bits_f32(values[channel][lane]) ? 1.0f : 0.0f);
}

static void read_tap(const struct lookup *lookup, const struct weft_exec_footprint *footprint,
                     uint32_t tap, weft_exec_texels values)
{
    fetch_tap(lookup->sampling, footprint, tap, values);
    if (lookup->sample->compare != WEFT_EXEC_NO_ROW && !lookup->sampling->is_integer)
        compare_depth(lookup, values);
}

/* What lies beyond a cube's corner is the mean of the three texels around it. */
static void fill_corners(const struct weft_exec_footprint *footprint, weft_exec_texels *taps)
{
    for (uint32_t tap = 0; tap < footprint->count; tap++)
        for (uint32_t left = footprint->corner[tap]; left; left &= left - 1) {
            const unsigned lane = (unsigned)__builtin_ctz(left);
            for (uint32_t channel = 0; channel < WEFT_EXEC_CHANNELS; channel++) {
                float sum = 0;
                for (uint32_t other = 0; other < footprint->count; other++)
                    if (other != tap)
                        sum += from_bits_f32(taps[other][channel][lane]);
                taps[tap][channel][lane] = to_bits_f32(sum / 3.0f);
            }
        }
}

static void find_weights(const struct lookup *lookup, const struct axis *axes, uint32_t tap,
                         float *weight)
{
    LANES(lane) weight[lane] = 1.0f;
    for (uint32_t axis = 0; axis < lookup->axes; axis++) {
        const float *fraction = axes[axis].fraction;
        if (tap >> axis & 1)
            LANES(lane) weight[lane] *= fraction[lane];
        else
            LANES(lane) weight[lane] *= 1.0f - fraction[lane];
    }
}

/* The weighted sum of all taps, in their order. */
static void filter(const struct lookup *lookup, const struct axis *axes,
                   const struct weft_exec_footprint *footprint, weft_exec_texels out)
{
    weft_exec_texels taps[WEFT_EXEC_TAPS];
    uint32_t corners = 0;
    for (uint32_t tap = 0; tap < footprint->count; tap++) {
        read_tap(lookup, footprint, tap, taps[tap]);
        corners |= footprint->corner[tap];
    }
    if (corners)
        fill_corners(footprint, taps);
    for (uint32_t tap = 0; tap < footprint->count; tap++) {
        float weight[WEFT_EXEC_LANES] __attribute__((aligned(64)));
        find_weights(lookup, axes, tap, weight);
        for (uint32_t channel = 0; channel < WEFT_EXEC_CHANNELS; channel++) {
            const uint32_t *value = taps[tap][channel];
            uint32_t *sum = out[channel];
            LANES(lane)
            {
                float part = weight[lane] * from_bits_f32(value[lane]);
                sum[lane] = to_bits_f32(tap ? from_bits_f32(sum[lane]) + part : part);
            }
        }
    }
}

/* The same for texels of four floats in a plane, the common case: a texel stays together until its
 * sum is made. */
static void filter_quads(const struct lookup *lookup, const struct axis *axes,
                         const struct weft_exec_footprint *footprint, weft_exec_texels out)
{
    float weight[4][WEFT_EXEC_LANES] __attribute__((aligned(64)));
    for (uint32_t tap = 0; tap < 4; tap++)
        find_weights(lookup, axes, tap, weight[tap]);
    for (unsigned start = 0; start < WEFT_EXEC_LANES; start += 4) {
        __m128 sum[4];
        for (unsigned i = 0; i < 4; i++) {
            const unsigned lane = start + i;
            sum[i] = _mm_setzero_ps();
            for (unsigned tap = 0; tap < 4; tap++) {
                __m128 texel = _mm_loadu_ps(texel_at(footprint->base, footprint->place[tap][lane]));
                __m128 part = _mm_mul_ps(_mm_set1_ps(weight[tap][lane]), texel);
                sum[i] = tap ? _mm_add_ps(sum[i], part) : part;
            }
        }
        _MM_TRANSPOSE4_PS(sum[0], sum[1], sum[2], sum[3]);
        for (unsigned channel = 0; channel < 4; channel++)
            _mm_store_ps((float *)&out[channel][start], sum[channel]);
    }
}

static bool is_plain_quad(const struct lookup *lookup, const struct weft_exec_footprint *footprint)
{
    const struct weft_exec_sampling *sampling = lookup->sampling;
    uint32_t special = 0;
    for (uint32_t tap = 0; tap < footprint->count; tap++)
        special |= footprint->border[tap] | footprint->corner[tap];
    return footprint->count == 4 && sampling->channels == 4 && !special &&
           sampling->channel == WEFT_EXEC_CHANNEL_B32 &&
           lookup->sample->compare == WEFT_EXEC_NO_ROW;
}

/* One component of the four texels that a linear filter would read, counterclockwise from the lower
 * left, where y grows downwards. */
static void gather(const struct lookup *lookup, const struct weft_exec_footprint *footprint,
                   weft_exec_texels out)
{
    static const uint8_t order[] = {2, 3, 1, 0};
    const uint32_t component = lookup->sample->component - 1u;
    weft_exec_texels taps[WEFT_EXEC_TAPS];
    uint32_t corners = 0;
    for (uint32_t tap = 0; tap < footprint->count; tap++) {
        read_tap(lookup, footprint, tap, taps[tap]);
        corners |= footprint->corner[tap];
    }
    if (corners && !lookup->sampling->is_integer)
        fill_corners(footprint, taps);
    for (uint32_t i = 0; i < WEFT_ARRAY_COUNT(order); i++)
        memcpy(out[i], taps[order[i]][component], sizeof(out[i]));
}

/* What the lanes of `mask` read of one level; others get anything. False after a fault. */
static bool sample_level(const struct lookup *lookup, uint32_t level, uint32_t mask,
                         weft_exec_texels out)
{
    struct axis axes[WEFT_EXEC_AXES];
    struct weft_exec_footprint footprint;
    if (!find_footprint(lookup, level, mask, axes, &footprint))
        return false;
    if (lookup->sample->component)
        gather(lookup, &footprint, out);
    else if (!lookup->linear)
        read_tap(lookup, &footprint, 0, out);
    else if (is_plain_quad(lookup, &footprint))
        filter_quads(lookup, axes, &footprint, out);
    else
        filter(lookup, axes, &footprint, out);
    return true;
}

/* How fast the texels' coordinate of one axis changes, squared and summed over the axes. */
static float squared_step(const struct lookup *lookup, const float *direction,
                          const float gradient[WEFT_EXEC_AXES], unsigned lane)
{
    const struct weft_exec_image_level *level = &lookup->sampling->levels[0];
    const float sizes[] = {(float)level->width, (float)level->height, (float)level->depth};
    float sum = 0;
    for (uint32_t axis = 0; axis < lookup->axes; axis++) {
        float step = gradient[axis];
        if (lookup->sample->is_cube) {
            /* The derivative of (s / |m| + 1) / 2. */
            static const uint8_t s_axis[] = {2, 0, 0}, t_axis[] = {1, 2, 1};
            uint32_t major = lookup->face[lane] / 2;
            uint32_t minor = axis == 0 ? s_axis[major] : t_axis[major];
            float length = fabsf(direction[major]);
            float along = direction[major] < 0 ? -gradient[major] : gradient[major];
            step = (gradient[minor] * length - direction[minor] * along) / (2.0f * length * length);
        }
        if (lookup->sample->is_cube || lookup->sampling->normalised)
            step *= sizes[axis];
        sum += step * step;
    }
    return sum;
}

/* The level of detail that derivatives ask for, without regard to their direction. */
static void find_gradient_levels(const struct lookup *lookup, float *lod)
{
    const struct weft_exec_sample *sample = lookup->sample;
    LANES(lane)
    {
        float most = 0, direction[WEFT_EXEC_AXES] = {0};
        for (uint32_t axis = 0; axis < sample->axes; axis++)
            direction[axis] =
                ((const float *)weft_exec_source(lookup->run, sample->coordinate[axis]))[lane];
        for (int i = 0; i < 2; i++) {
            float gradient[WEFT_EXEC_AXES] = {0};
            for (uint32_t axis = 0; axis < sample->axes; axis++)
                gradient[axis] =
                    ((const float *)weft_exec_source(lookup->run, sample->gradient[i][axis]))[lane];
            float step = squared_step(lookup, direction, gradient, lane);
            most = step > most ? step : most;
        }
        lod[lane] = 0.5f * log2f(most);
    }
}

static void find_levels_of_detail(const struct lookup *lookup, float *lod)
{
    const struct weft_exec_sample *sample = lookup->sample;
    if (sample->detail == WEFT_PTX_DETAIL_GRADIENT) {
        find_gradient_levels(lookup, lod);
    } else if (sample->integer_coordinates) {
        const int32_t *row = weft_exec_source(lookup->run, sample->level);
        LANES(lane) lod[lane] = (float)row[lane];
    } else {
        read_row(lookup->run, sample->level, lod);
    }
    const struct weft_exec_sampling *sampling = lookup->sampling;
    const float last = (float)(sampling->level_count - 1);
    LANES(lane)
    {
        float at = lod[lane] + sampling->bias;
        at = at == at ? at : 0.0f;
        at = at < sampling->least_level ? sampling->least_level : at;
        at = at > sampling->most_level ? sampling->most_level : at;
        at = at >= 0.0f ? at : 0.0f;
        lod[lane] = at > last ? last : at;
    }
}

/* The level of each lane, and how much the next one weighs. */
static void choose_levels(const struct lookup *lookup, uint32_t *level, float *blend)
{
    float lod[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    find_levels_of_detail(lookup, lod);
    LANES(lane)
    {
        float whole = floorf(lod[lane]);
        float nearest = ceilf(lod[lane] + 0.5f) - 1.0f;
        float part = floorf((lod[lane] - whole) * WEFT_EXEC_FRACTION + 0.5f);
        bool mixes = lookup->sampling->mipmap_linear;
        level[lane] = (uint32_t)(mixes ? whole : nearest);
        blend[lane] = mixes ? part * (1.0f / WEFT_EXEC_FRACTION) : 0.0f;
    }
}

static void merge(uint32_t mask, const weft_exec_texels from, weft_exec_texels to)
{
    for (uint32_t channel = 0; channel < WEFT_EXEC_CHANNELS; channel++)
        LANES(lane)
    to[channel][lane] = mask & (1u << lane) ? from[channel][lane] : to[channel][lane];
}

/* Adds the next level where it weighs anything. */
static bool blend_level(const struct lookup *lookup, uint32_t level, uint32_t mask,
                        const float *blend, weft_exec_texels values)
{
    weft_exec_texels next;
    int32_t mixes[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    LANES(lane) mixes[lane] = -(blend[lane] > 0.0f);
    mask &= weft_exec_gather_bits(mixes);
    if (!mask)
        return true;
    if (!sample_level(lookup, level + 1, mask, next))
        return false;
    for (uint32_t channel = 0; channel < WEFT_EXEC_CHANNELS; channel++)
        LANES(lane)
        {
            float near = from_bits_f32(values[channel][lane]);
            float far = from_bits_f32(next[channel][lane]);
            float mixed = (1.0f - blend[lane]) * near + blend[lane] * far;
            values[channel][lane] =
                mask & (1u << lane) ? to_bits_f32(mixed) : values[channel][lane];
        }
    return true;
}

static bool sample_levels(const struct lookup *lookup, uint32_t mask, weft_exec_texels out)
{
    uint32_t level[WEFT_EXEC_LANES];
    float blend[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    choose_levels(lookup, level, blend);
    while (mask) {
        weft_exec_texels values;
        const uint32_t at = level[__builtin_ctz(mask)];
        uint32_t same = 0;
        LANES(lane) same |= (uint32_t)(level[lane] == at) << lane;
        same &= mask;
        if (!sample_level(lookup, at, same, values) ||
            !blend_level(lookup, at, same, blend, values))
            return false;
        merge(same, values, out);
        mask &= ~same;
    }
    return true;
}

static bool sample_group(struct lookup *lookup, uint32_t mask, weft_exec_texels out)
{
    const struct weft_exec_sample *sample = lookup->sample;
    bool detailed =
        sample->detail == WEFT_PTX_DETAIL_LEVEL || sample->detail == WEFT_PTX_DETAIL_GRADIENT;
    read_operands(lookup);
    if (sample->is_cube)
        project(lookup->x, lookup->face);
    if (detailed && lookup->sampling->level_count > 1)
        return sample_levels(lookup, mask, out);
    if (mask == lookup->run->mask)
        return sample_level(lookup, 0, mask, out);
    weft_exec_texels values;
    if (!sample_level(lookup, 0, mask, values))
        return false;
    merge(mask, values, out);
    return true;
}

static uint32_t half_bits(const struct weft_exec_sampling *sampling, uint32_t value)
{
    return sampling->is_integer ? value & 0xffff : to_half((double)from_bits_f32(value), 0);
}

static void round_to_halves(const struct weft_exec_sampling *sampling, uint32_t mask,
                            weft_exec_texels values)
{
    for (uint32_t channel = 0; channel < WEFT_EXEC_CHANNELS; channel++)
        LANES(lane)
    if (mask & (1u << lane))
        values[channel][lane] = half_bits(sampling, values[channel][lane]);
}

static void write_results(struct weft_exec_run *run, const struct weft_exec_sample *sample,
                          const weft_exec_texels values)
{
    for (uint32_t i = 0; i < sample->count; i++) {
        if (sample->type == WEFT_PTX_F16) {
            uint16_t *d = ROW(uint16_t, sample->data[i]);
            WRITE_LANES(d, (uint16_t)values[i][lane]);
        } else if (sample->type == WEFT_PTX_F16X2) {
            uint32_t *d = ROW(uint32_t, sample->data[i]);
            WRITE_LANES(d, values[2 * i][lane] | values[2 * i + 1][lane] << 16);
        } else {
            uint32_t *d = ROW(uint32_t, sample->data[i]);
            WRITE_LANES(d, values[i][lane]);
        }
    }
    if (sample->resident != WEFT_EXEC_NO_ROW)
        weft_exec_set_predicate(run, sample->resident, UINT32_MAX);
}

/* The lanes of `mask` that use the same texture and sampler as its first. */
static uint32_t same_handles(const uint64_t *handles, const uint64_t *samplers, uint32_t mask)
{
    const unsigned first = (unsigned)__builtin_ctz(mask);
    uint64_t differ = 0;
    LANES(lane) differ |= (handles[lane] ^ handles[first]) | (samplers[lane] ^ samplers[first]);
    if (!differ)
        return mask;
    uint32_t same = 0;
    LANES(lane)
    same |= (uint32_t)(handles[lane] == handles[first] && samplers[lane] == samplers[first])
            << lane;
    return same & mask;
}

HANDLER(tex)
{
    static const uint64_t no_samplers[WEFT_EXEC_LANES];
    const struct weft_exec_sample *sample = &run->kernel->samples[insn->immediate];
    const uint64_t *handles = SOURCE(uint64_t, sample->image);
    const uint64_t *samplers =
        sample->sampler == WEFT_EXEC_NO_ROW ? no_samplers : SOURCE(uint64_t, sample->sampler);
    weft_exec_texels values;
    for (uint32_t left = run->mask; left;) {
        const unsigned first = (unsigned)__builtin_ctz(left);
        const uint32_t same = same_handles(handles, samplers, left);
        struct weft_exec_sampling sampling;
        struct lookup lookup;
        if (!weft_exec_sampling_init(run, handles[first], samplers[first], &sampling)) {
            weft_exec_raise(run, insn, 1u << first, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS,
                            handles[first]);
            return;
        }
        lookup.run = run;
        lookup.insn = insn;
        lookup.sample = sample;
        lookup.sampling = &sampling;
        if (!sample_group(&lookup, same, values))
            return;
        if (sample->type == WEFT_PTX_F16 || sample->type == WEFT_PTX_F16X2)
            round_to_halves(&sampling, same, values);
        left &= ~same;
    }
    write_results(run, sample, values);
}
