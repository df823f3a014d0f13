/* Textures as the CUDA programming guide's appendix on fetching and the ISA define them: one
 * thread, one texel at a time. */
#include <math.h>
#include <string.h>

#include "machine.h"

#include "real.h"

#define FACES 6

struct sampler {
    CUaddress_mode mode[3];
    bool linear, mipmap_linear, normalised;
    float bias, least, most;
    float border[4];
};

/* One fetch. */
struct fetch {
    struct thread *thread;
    const struct weft_ptx_insn *insn;
    const struct weft_exec_texture *texture;
    struct sampler sampler;
    unsigned axes;
    bool array, cube, whole_coordinates;
    int32_t whole[3];
    float x[3];
    int32_t offset[3];
    uint32_t layer, face;
    bool compares;
    float compare;
    bool failed;
};

uint64_t image_handle(struct thread *thread, const struct weft_ptx_operand *operand)
{
    if (operand->kind == WEFT_PTX_OPERAND_REGISTER)
        return operand_read(thread, operand, WEFT_PTX_B64);
    if (operand->register_base)
        return operand_address(thread, operand);
    uint8_t space = operand->symbol == WEFT_PTX_SYMBOL_PARAMETER ? WEFT_PTX_PARAM : WEFT_PTX_GLOBAL;
    struct weft_ptx_operand place = *operand;
    place.elements = NULL;
    const void *cell = memory_find(thread, space, operand_address(thread, &place), 8, 8);
    uint64_t handle = 0;
    if (cell)
        memcpy(&handle, cell, sizeof handle);
    return handle;
}

/* 64 bits of device memory without a fault. */
static uint64_t peek(struct thread *thread, uint64_t address)
{
    struct weft_exec_fault before = thread->block->fault;
    const void *cell = address % 8 ? NULL : memory_find(thread, WEFT_PTX_GLOBAL, address, 8, 8);
    uint64_t word = 0;
    if (cell)
        memcpy(&word, cell, sizeof word);
    thread->block->fault = before;
    return word;
}

const struct weft_exec_texture *image_find(struct thread *thread, uint64_t handle)
{
    const struct weft_exec_memory *memory = thread->block->launch->memory;
    if (!memory->texture)
        return NULL;
    const struct weft_exec_texture *texture = memory->texture(handle);
    return texture ? texture : memory->texture(peek(thread, handle));
}

static struct sampler sampler_of(const struct weft_exec_texture *texture)
{
    return (struct sampler){
        .mode = {texture->address_mode[0], texture->address_mode[1], texture->address_mode[2]},
        .linear = texture->filter == CU_TR_FILTER_MODE_LINEAR,
        .mipmap_linear = texture->mipmap_filter == CU_TR_FILTER_MODE_LINEAR,
        .normalised = texture->normalised_coordinates,
        .bias = texture->mipmap_bias,
        .least = texture->mipmap_clamp_min,
        .most = texture->mipmap_clamp_max,
        .border = {texture->border[0], texture->border[1], texture->border[2], texture->border[3]},
    };
}

static bool is_initialised_sampler(uint64_t bits)
{
    return (bits & WEFT_PTX_SAMPLER_TAG_MASK) == WEFT_PTX_SAMPLER_TAG;
}

static void use_sampler(struct fetch *fetch, uint64_t handle)
{
    static const CUaddress_mode modes[] = {CU_TR_ADDRESS_MODE_WRAP, CU_TR_ADDRESS_MODE_MIRROR,
                                           CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_CLAMP,
                                           CU_TR_ADDRESS_MODE_BORDER};
    const struct weft_exec_texture *texture = image_find(fetch->thread, handle);
    if (texture) {
        fetch->sampler = sampler_of(texture);
        return;
    }
    uint64_t bits = is_initialised_sampler(handle) ? handle : peek(fetch->thread, handle);
    if (!is_initialised_sampler(bits))
        return;
    for (int axis = 0; axis < 3; axis++)
        fetch->sampler.mode[axis] = modes[bits >> WEFT_PTX_SAMPLER_ADDRESS_SHIFT(axis) & 15];
    fetch->sampler.linear = bits & WEFT_PTX_SAMPLER_LINEAR;
    if (bits & WEFT_PTX_SAMPLER_UNNORMALISED)
        fetch->sampler.normalised = false;
}

static float read_float(struct thread *thread, const struct weft_ptx_operand *operand)
{
    uint32_t bits = (uint32_t)operand_read(thread, operand, WEFT_PTX_F32);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct weft_ptx_operand item(const struct weft_ptx_operand *tuple, unsigned index)
{
    return tuple->kind == WEFT_PTX_OPERAND_VECTOR ? tuple->elements[index] : *tuple;
}

static void read_coordinates(struct fetch *fetch, const struct weft_ptx_operand *tuple)
{
    struct weft_ptx_operand first = item(tuple, 0);
    if (fetch->array)
        fetch->layer = (uint32_t)operand_read(fetch->thread, &first, WEFT_PTX_U32);
    for (unsigned axis = 0; axis < fetch->axes; axis++) {
        struct weft_ptx_operand at = item(tuple, fetch->array + axis);
        if (fetch->whole_coordinates)
            fetch->whole[axis] = (int32_t)operand_read(fetch->thread, &at, WEFT_PTX_S32);
        else
            fetch->x[axis] = read_float(fetch->thread, &at);
    }
}

/* A fraction has eight bits, and 1 is among its values. */
static float eighth_bit(double fraction)
{
    return (float)(floor(fraction * 256 + 0.5) / 256);
}

static float without_nan(float value)
{
    return isnan(value) ? 0 : value;
}

/* The texel of one axis that index `index` means under an address mode; -1 is the border. */
static int64_t remap(CUaddress_mode mode, int64_t index, int64_t size)
{
    switch (mode) {
    case CU_TR_ADDRESS_MODE_WRAP:
        while (index < 0)
            index += size;
        return index % size;
    case CU_TR_ADDRESS_MODE_MIRROR:
        while (index < 0)
            index += 2 * size;
        index %= 2 * size;
        return index < size ? index : 2 * size - 1 - index;
    case CU_TR_ADDRESS_MODE_BORDER:
        return index < 0 || index >= size ? -1 : index;
    default:
        return index < 0 ? 0 : index >= size ? size - 1 : index;
    }
}

struct place {
    int64_t first, second; /* before remapping on a cube, after it elsewhere */
    float fraction;
};

static CUaddress_mode mode_of(const struct fetch *fetch, unsigned axis, bool normalised)
{
    CUaddress_mode mode = fetch->sampler.mode[axis];
    if (fetch->texture->image.shape == WEFT_EXEC_IMAGE_LINEAR)
        return CU_TR_ADDRESS_MODE_BORDER;
    bool repeats = mode == CU_TR_ADDRESS_MODE_WRAP || mode == CU_TR_ADDRESS_MODE_MIRROR;
    return repeats && !normalised ? CU_TR_ADDRESS_MODE_CLAMP : mode;
}

static bool reads_two(const struct fetch *fetch)
{
    if (fetch->insn->opcode == WEFT_PTX_TLD4)
        return true;
    bool buffer = fetch->texture->image.shape == WEFT_EXEC_IMAGE_LINEAR;
    return fetch->sampler.linear && !fetch->whole_coordinates && !buffer &&
           !texel_is_whole(fetch->texture);
}

static int32_t offset_of(const struct fetch *fetch, unsigned axis)
{
    int32_t low = fetch->offset[axis] & 15;
    return low < 8 ? low : low - 16;
}

static struct place locate(const struct fetch *fetch, unsigned axis, uint32_t size)
{
    bool buffer = fetch->texture->image.shape == WEFT_EXEC_IMAGE_LINEAR;
    bool normalised = fetch->cube || (fetch->sampler.normalised && !buffer);
    CUaddress_mode mode = fetch->cube
                              ? CU_TR_ADDRESS_MODE_CLAMP
                              : mode_of(fetch, axis, normalised && !fetch->whole_coordinates);
    int64_t offset = offset_of(fetch, axis);
    if (fetch->whole_coordinates)
        return (struct place){.first = remap(mode, fetch->whole[axis] + offset, size)};
    float x = fetch->x[axis], u;
    if (mode == CU_TR_ADDRESS_MODE_WRAP) {
        u = (x - floorf(x)) * (float)size;
    } else if (mode == CU_TR_ADDRESS_MODE_MIRROR) {
        float part = x - floorf(x);
        bool odd = isfinite(x) && fmodf(floorf(x), 2) != 0;
        u = (odd ? 1 - part : part) * (float)size;
        offset = odd ? -offset : offset;
    } else {
        u = normalised ? x * (float)size : x;
    }
    u = without_nan(u);
    float at = reads_two(fetch) ? u - 0.5f : u;
    float far = (float)size + 20;
    at = at < -20 ? -20 : at > far ? far : at;
    struct place place = {.first = (int64_t)floorf(at) + offset,
                          .fraction = eighth_bit((double)at - floor((double)at))};
    place.second = place.first + 1;
    if (fetch->cube && reads_two(fetch) && fetch->texture->seamless_cube)
        return place;
    place.first = remap(mode, place.first, size);
    place.second = remap(mode, place.second, size);
    return place;
}

/* s, t and the major axis of each face, as the guide's table gives them. */
static void face_vector(unsigned face, double s, double t, double m, double out[3])
{
    const double vectors[FACES][3] = {{m, -t, -s}, {-m, -t, s}, {s, m, t},
                                      {s, -m, -t}, {s, -t, m},  {-s, -t, -m}};
    memcpy(out, vectors[face], sizeof vectors[face]);
}

static unsigned face_of(const double v[3])
{
    double a = fabs(v[0]), b = fabs(v[1]), c = fabs(v[2]);
    if (c >= a && c >= b)
        return v[2] < 0 ? 5 : 4;
    if (b >= a)
        return v[1] < 0 ? 3 : 2;
    return v[0] < 0 ? 1 : 0;
}

static void face_coordinates(unsigned face, const double v[3], double *s, double *t)
{
    const double table[FACES][2] = {{-v[2], -v[1]}, {v[2], -v[1]}, {v[0], v[2]},
                                    {v[0], -v[2]},  {v[0], -v[1]}, {-v[0], -v[1]}};
    *s = table[face][0];
    *t = table[face][1];
}

static void project(struct fetch *fetch)
{
    for (int axis = 0; axis < 3; axis++)
        fetch->x[axis] = without_nan(fetch->x[axis]);
    double v[3] = {(double)fetch->x[0], (double)fetch->x[1], (double)fetch->x[2]}, s, t;
    fetch->face = face_of(v);
    face_coordinates(fetch->face, v, &s, &t);
    float length = fabsf(fetch->x[fetch->face / 2]);
    fetch->x[0] = ((float)s / length + 1) * 0.5f;
    fetch->x[1] = ((float)t / length + 1) * 0.5f;
}

/* The texel at i, j of a slice; -1 is the border. */
static struct texel read_texel(struct fetch *fetch, const struct weft_exec_image_level *level,
                               int64_t i, int64_t j, int64_t k)
{
    uint8_t bytes[16] = {0};
    if (fetch->failed || i < 0 || j < 0 || k < 0)
        return texel_border(fetch->texture, fetch->sampler.border);
    uint32_t size = texel_bytes(&fetch->texture->image);
    uint64_t address = level->address + (uint64_t)i * size + (uint64_t)j * level->row_bytes +
                       (uint64_t)k * level->slice_bytes;
    const void *from = memory_find(fetch->thread, WEFT_PTX_GLOBAL, address, size, 1);
    fetch->failed = from == NULL;
    if (from)
        memcpy(bytes, from, size);
    return texel_decode(fetch->texture, bytes);
}

static struct texel read_compared(struct fetch *fetch, const struct weft_exec_image_level *level,
                                  int64_t i, int64_t j, int64_t k)
{
    struct texel texel = read_texel(fetch, level, i, j, k);
    uint32_t channels = texel_channels(&fetch->texture->image);
    for (uint32_t c = 0; c < channels && fetch->compares && !texel.whole; c++)
        texel.real[c] = fetch->compare <= texel.real[c];
    return texel;
}

static uint32_t slice_of(const struct fetch *fetch, const struct weft_exec_image_level *level,
                         uint32_t face)
{
    uint32_t faces = fetch->cube ? FACES : 1;
    uint32_t layers = level->depth / faces ? level->depth / faces : 1;
    uint32_t layer = !fetch->array ? 0 : fetch->layer < layers ? fetch->layer : layers - 1;
    uint32_t slice = layer * faces + (fetch->cube ? face : 0);
    return slice < level->depth ? slice : level->depth - 1;
}

/* One texel of a cube's footprint. Beyond an edge the direction of its centre says where it is;
 * *corner: beyond two edges there is none. */
static struct texel read_cube(struct fetch *fetch, const struct weft_exec_image_level *level,
                              int64_t i, int64_t j, bool *corner)
{
    int64_t size = level->width;
    bool outside_i = i < 0 || i >= size, outside_j = j < 0 || j >= size;
    unsigned face = fetch->face;
    *corner = outside_i && outside_j;
    if (outside_i != outside_j) {
        double v[3], s, t;
        face_vector(face, (double)(2 * i + 1 - size) / (double)size,
                    (double)(2 * j + 1 - size) / (double)size, 1, v);
        face = face_of(v);
        face_coordinates(face, v, &s, &t);
        double length = fabs(v[face / 2]);
        i = (int64_t)floor((s / length + 1) / 2 * (double)size);
        j = (int64_t)floor((t / length + 1) / 2 * (double)size);
    }
    return read_compared(fetch, level, remap(CU_TR_ADDRESS_MODE_CLAMP, i, size),
                         remap(CU_TR_ADDRESS_MODE_CLAMP, j, size), slice_of(fetch, level, face));
}

static void average_corner(struct texel *taps, const bool *corner)
{
    for (int tap = 0; tap < 4; tap++) {
        if (!corner[tap] || taps[tap].whole)
            continue;
        for (int c = 0; c < 4; c++) {
            float sum = 0;
            for (int other = 0; other < 4; other++)
                sum += other == tap ? 0 : taps[other].real[c];
            taps[tap].real[c] = sum / 3;
        }
    }
}

/* The texels of a footprint: bit n of a tap's number says which of axis n. */
static unsigned read_taps(struct fetch *fetch, const struct weft_exec_image_level *level,
                          const struct place place[3], struct texel taps[8])
{
    unsigned axes = fetch->cube ? 2 : fetch->axes, count = reads_two(fetch) ? 1u << axes : 1;
    bool corner[8] = {false};
    for (unsigned tap = 0; tap < count; tap++) {
        int64_t at[3] = {0, 0, slice_of(fetch, level, fetch->face)};
        for (unsigned axis = 0; axis < axes; axis++)
            at[axis] = tap >> axis & 1 ? place[axis].second : place[axis].first;
        taps[tap] = fetch->cube ? read_cube(fetch, level, at[0], at[1], &corner[tap])
                                : read_compared(fetch, level, at[0], at[1], at[2]);
    }
    if (fetch->cube && count == 4)
        average_corner(taps, corner);
    return count;
}

static struct texel weigh(const struct fetch *fetch, const struct place place[3],
                          const struct texel *taps, unsigned count)
{
    struct texel result = taps[0];
    unsigned axes = fetch->cube ? 2 : fetch->axes;
    for (int c = 0; c < 4 && count > 1; c++) {
        for (unsigned tap = 0; tap < count; tap++) {
            float weight = 1;
            for (unsigned axis = 0; axis < axes; axis++)
                weight *= tap >> axis & 1 ? place[axis].fraction : 1 - place[axis].fraction;
            float part = weight * taps[tap].real[c];
            result.real[c] = tap ? result.real[c] + part : part;
        }
    }
    return result;
}

/* tld4: counterclockwise from the lower left. */
static struct texel pick_component(const struct fetch *fetch, const struct texel *taps)
{
    unsigned component = fetch->insn->mode - WEFT_PTX_COMPONENT_R;
    const struct texel *turn[] = {&taps[2], &taps[3], &taps[1], &taps[0]};
    struct texel result = {.whole = taps[0].whole};
    for (int i = 0; i < 4; i++) {
        result.real[i] = turn[i]->real[component];
        result.integer[i] = turn[i]->integer[component];
    }
    return result;
}

static struct texel sample_level(struct fetch *fetch, uint32_t index)
{
    const struct weft_exec_image_level *level = &fetch->texture->image.levels[index];
    const uint32_t sizes[] = {level->width, level->height, level->depth};
    struct place place[3] = {{0}};
    struct texel taps[8];
    for (unsigned axis = 0; axis < (fetch->cube ? 2 : fetch->axes); axis++)
        place[axis] = locate(fetch, axis, sizes[axis]);
    unsigned count = read_taps(fetch, level, place, taps);
    return fetch->insn->opcode == WEFT_PTX_TLD4 ? pick_component(fetch, taps)
                                                : weigh(fetch, place, taps, count);
}

/* The larger of the two lengths that a step of the screen has in texels, as a logarithm. */
static float gradient_level(struct fetch *fetch, const float direction[3],
                            const struct weft_ptx_operand *gradients)
{
    const struct weft_exec_image_level *level = &fetch->texture->image.levels[0];
    const float sizes[] = {(float)level->width, (float)level->height, (float)level->depth};
    float longest = 0;
    for (int g = 0; g < 2; g++) {
        float d[3] = {0}, sum = 0;
        for (unsigned axis = 0; axis < fetch->axes; axis++) {
            struct weft_ptx_operand at = item(&gradients[g], axis);
            d[axis] = read_float(fetch->thread, &at);
        }
        for (unsigned axis = 0; axis < (fetch->cube ? 2 : fetch->axes); axis++) {
            float step = d[axis];
            if (fetch->cube) {
                unsigned major = fetch->face / 2;
                unsigned minor = axis == 0 ? (major == 0 ? 2 : 0) : major == 1 ? 2 : 1;
                float m = fabsf(direction[major]);
                float dm = direction[major] < 0 ? -d[major] : d[major];
                step = (d[minor] * m - direction[minor] * dm) / (2 * m * m);
            }
            step *= fetch->cube || fetch->sampler.normalised ? sizes[axis] : 1;
            sum += step * step;
        }
        longest = sum > longest ? sum : longest;
    }
    return 0.5f * log2f(longest);
}

static float clamp_level(const struct fetch *fetch, float lod)
{
    float last = (float)(fetch->texture->image.level_count - 1);
    lod = without_nan(lod + fetch->sampler.bias);
    lod = lod < fetch->sampler.least ? fetch->sampler.least : lod;
    lod = lod > fetch->sampler.most ? fetch->sampler.most : lod;
    return !(lod >= 0) ? 0 : lod > last ? last : lod;
}

static struct texel sample_lod(struct fetch *fetch, float lod)
{
    lod = clamp_level(fetch, lod);
    if (!fetch->sampler.mipmap_linear || texel_is_whole(fetch->texture))
        return sample_level(fetch, (uint32_t)(ceilf(lod + 0.5f) - 1));
    uint32_t level = (uint32_t)floorf(lod);
    float blend = eighth_bit((double)lod - floor((double)lod));
    struct texel near = sample_level(fetch, level);
    if (blend == 0)
        return near;
    struct texel far = sample_level(fetch, level + 1);
    for (int c = 0; c < 4; c++)
        near.real[c] = (1 - blend) * near.real[c] + blend * far.real[c];
    return near;
}

static uint32_t result_bits(const struct texel *texel, int component)
{
    uint32_t bits;
    memcpy(&bits, &texel->real[component], sizeof bits);
    return texel->whole ? texel->integer[component] : bits;
}

static uint32_t result_half(const struct texel *texel, int component)
{
    uint32_t bits = result_bits(texel, component);
    if (texel->whole)
        return bits & 0xffff;
    return (uint32_t)real_pack(real_format_of(WEFT_PTX_F16),
                               real_unpack(real_format_of(WEFT_PTX_F32), bits), WEFT_PTX_RN);
}

static void write_result(struct fetch *fetch, const struct texel *texel)
{
    const struct weft_ptx_insn *insn = fetch->insn;
    uint8_t type = insn->types[0];
    for (int i = 0; i < insn->vector; i++) {
        struct weft_ptx_operand to = operand_element(&insn->operands[0], (unsigned)i);
        uint32_t bits = type == WEFT_PTX_F16X2
                            ? result_half(texel, 2 * i) | result_half(texel, 2 * i + 1) << 16
                        : type == WEFT_PTX_F16 ? result_half(texel, i)
                                               : result_bits(texel, i);
        operand_write(fetch->thread, &to, type, bits);
    }
    if (insn->paired)
        operand_write(fetch->thread, &insn->operands[1], WEFT_PTX_PRED, 1);
}

static unsigned axes_of(uint8_t geometry)
{
    switch (geometry) {
    case WEFT_PTX_GEOMETRY_1D:
    case WEFT_PTX_GEOMETRY_A1D:
        return 1;
    case WEFT_PTX_GEOMETRY_2D:
    case WEFT_PTX_GEOMETRY_A2D:
        return 2;
    default:
        return 3;
    }
}

static void read_rest(struct fetch *fetch, const struct weft_ptx_operand *operand,
                      const struct weft_ptx_operand *end)
{
    if (operand < end && operand->kind == WEFT_PTX_OPERAND_VECTOR) {
        for (unsigned axis = 0; axis < fetch->axes; axis++)
            fetch->offset[axis] =
                (int32_t)operand_read(fetch->thread, &operand->elements[axis], WEFT_PTX_S32);
        operand++;
    }
    fetch->compares = operand < end;
    if (fetch->compares)
        fetch->compare = read_float(fetch->thread, operand);
}

enum step image_sample(struct thread *thread, const struct weft_ptx_insn *insn)
{
    const struct weft_ptx_operand *address = &insn->operands[1 + insn->paired];
    const struct weft_ptx_operand *detail = address + 1;
    uint8_t geometry = insn->geometry;
    struct fetch fetch = {.thread = thread, .insn = insn, .axes = axes_of(geometry)};
    fetch.array = geometry == WEFT_PTX_GEOMETRY_A1D || geometry == WEFT_PTX_GEOMETRY_A2D ||
                  geometry == WEFT_PTX_GEOMETRY_ACUBE;
    fetch.cube = geometry == WEFT_PTX_GEOMETRY_CUBE || geometry == WEFT_PTX_GEOMETRY_ACUBE;
    fetch.whole_coordinates = insn->types[1] == WEFT_PTX_S32;
    uint64_t handle = image_handle(thread, address);
    fetch.texture = image_find(thread, handle);
    if (!fetch.texture || fetch.texture->is_surface)
        return thread_fault(thread, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, handle);
    fetch.sampler = sampler_of(fetch.texture);
    uint64_t sampler =
        address->element_count == 2 ? image_handle(thread, &address->elements[0]) : 0;
    if (sampler)
        use_sampler(&fetch, sampler);
    read_coordinates(&fetch, &address->elements[address->element_count - 1]);
    float direction[3] = {fetch.x[0], fetch.x[1], fetch.x[2]};
    if (fetch.cube)
        project(&fetch);
    unsigned details = insn->detail == WEFT_PTX_DETAIL_LEVEL      ? 1
                       : insn->detail == WEFT_PTX_DETAIL_GRADIENT ? 2
                                                                  : 0;
    read_rest(&fetch, detail + details, insn->operands + insn->operand_count);
    struct texel texel;
    if (details == 0 || fetch.texture->image.level_count <= 1)
        texel = sample_level(&fetch, 0);
    else if (details == 2)
        texel = sample_lod(&fetch, gradient_level(&fetch, direction, detail));
    else if (fetch.whole_coordinates)
        texel = sample_lod(&fetch, (float)(int32_t)operand_read(thread, detail, WEFT_PTX_S32));
    else
        texel = sample_lod(&fetch, read_float(thread, detail));
    if (fetch.failed)
        return STEP_FAULT;
    write_result(&fetch, &texel);
    return STEP_NEXT;
}

static uint32_t mode_number(CUaddress_mode mode)
{
    static const uint32_t numbers[] = {WEFT_PTX_ADDRESS_WRAP, WEFT_PTX_ADDRESS_CLAMP_TO_EDGE,
                                       WEFT_PTX_ADDRESS_MIRROR, WEFT_PTX_ADDRESS_CLAMP_TO_BORDER};
    return numbers[mode & 3];
}

static uint32_t texture_answer(const struct weft_exec_texture *texture, uint8_t query, uint32_t lod)
{
    const struct weft_exec_image *image = &texture->image;
    const struct weft_exec_image_level *level = &image->levels[lod < image->level_count ? lod : 0];
    bool layered = image->shape >= WEFT_EXEC_IMAGE_1D_LAYERED;
    bool flat = image->shape == WEFT_EXEC_IMAGE_LINEAR || image->shape == WEFT_EXEC_IMAGE_1D ||
                image->shape == WEFT_EXEC_IMAGE_1D_LAYERED;
    bool cube = image->shape == WEFT_EXEC_IMAGE_CUBE_LAYERED;
    switch (query) {
    case WEFT_PTX_QUERY_WIDTH:
        return level->width;
    case WEFT_PTX_QUERY_HEIGHT:
        return flat ? 0 : level->height;
    case WEFT_PTX_QUERY_DEPTH:
        return image->shape == WEFT_EXEC_IMAGE_3D ? level->depth : 0;
    case WEFT_PTX_QUERY_CHANNEL_DATA_TYPE:
        return texel_type_number(image);
    case WEFT_PTX_QUERY_CHANNEL_ORDER:
        return texel_order_number(image);
    case WEFT_PTX_QUERY_NORMALIZED_COORDS:
        return texture->normalised_coordinates;
    case WEFT_PTX_QUERY_FORCE_UNNORMALIZED_COORDS:
        return !texture->normalised_coordinates;
    case WEFT_PTX_QUERY_ARRAY_SIZE:
        return layered ? image->levels[0].depth / (cube ? FACES : 1) : 0;
    case WEFT_PTX_QUERY_MIPMAP_LEVELS:
        return image->level_count > 1 ? image->level_count : 0;
    case WEFT_PTX_QUERY_MEMORY_LAYOUT:
        return image->shape == WEFT_EXEC_IMAGE_LINEAR;
    case WEFT_PTX_QUERY_FILTER_MODE:
        return texture->filter == CU_TR_FILTER_MODE_LINEAR;
    case WEFT_PTX_QUERY_ADDRESS_MODE_0:
    case WEFT_PTX_QUERY_ADDRESS_MODE_1:
    case WEFT_PTX_QUERY_ADDRESS_MODE_2:
        return mode_number(texture->address_mode[query - WEFT_PTX_QUERY_ADDRESS_MODE_0]);
    default:
        return 0;
    }
}

static uint32_t sampler_answer(uint64_t bits, uint8_t query)
{
    switch (query) {
    case WEFT_PTX_QUERY_FORCE_UNNORMALIZED_COORDS:
        return !!(bits & WEFT_PTX_SAMPLER_UNNORMALISED);
    case WEFT_PTX_QUERY_FILTER_MODE:
        return !!(bits & WEFT_PTX_SAMPLER_LINEAR);
    case WEFT_PTX_QUERY_ADDRESS_MODE_0:
        return bits >> 8 & 15;
    case WEFT_PTX_QUERY_ADDRESS_MODE_1:
        return bits >> 12 & 15;
    case WEFT_PTX_QUERY_ADDRESS_MODE_2:
        return bits >> 16 & 15;
    default:
        return 0;
    }
}

enum step image_query(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t handle = image_handle(thread, &insn->operands[1]);
    const struct weft_exec_texture *texture = image_find(thread, handle);
    uint64_t bits = is_initialised_sampler(handle) ? handle : peek(thread, handle);
    if (!texture && !is_initialised_sampler(bits))
        return thread_fault(thread, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, handle);
    uint32_t lod =
        insn->detail ? (uint32_t)operand_read(thread, &insn->operands[2], WEFT_PTX_B32) : 0;
    uint32_t answer =
        texture ? texture_answer(texture, insn->mode, lod) : sampler_answer(bits, insn->mode);
    struct weft_ptx_operand to = item(&insn->operands[0], 0);
    operand_write(thread, &to, WEFT_PTX_B32, answer);
    return STEP_NEXT;
}

enum step image_is_type(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t handle = image_handle(thread, &insn->operands[1]);
    const struct weft_exec_texture *texture = image_find(thread, handle);
    bool sampler = is_initialised_sampler(handle) || is_initialised_sampler(peek(thread, handle));
    bool is = insn->types[0] == WEFT_PTX_SAMPLERREF ? sampler
              : texture ? texture->is_surface == (insn->types[0] == WEFT_PTX_SURFREF)
                        : false;
    operand_write(thread, &insn->operands[0], WEFT_PTX_PRED, is);
    return STEP_NEXT;
}
