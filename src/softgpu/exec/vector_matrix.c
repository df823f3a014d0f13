/* Products of matrices.
 *
 * A and B (turned on its side) are put together by rows from their registers and widened to float;
 * then tiles of 8 × 8 sums run over k, one fused multiply-add a step. So each sum begins with C's
 * element and takes the exact products in the order of k, rounded to float32 after each (float64
 * for .f64, in the instruction's rounding); sums of .f16 are rounded once more at the end. Products
 * of whole numbers and their sums fit the 24 bits of a float, and C is added as a whole number. NaN
 * is the canonical one. */
#include "softgpu/exec/matrix.h"
#include "softgpu/exec/small_float.h"
#include "softgpu/exec/vector_float.h"

#define ELEMENTS_MAX 2048 /* of a factor: mma.sp m16n8k128 */
#define TILES_MAX 4       /* of sums, 256 of them at most */
#define TILE_SIDE 8
#define TILE_SUMS (TILE_SIDE * TILE_SIDE)

#define DOUBLE_ROWS 4 /* of sums in registers */
#define TILE_STEPS 4  /* of .f64 factors: what a tile is long */

typedef float floats __attribute__((vector_size(32), aligned(4)));
typedef double doubles __attribute__((vector_size(32), aligned(8)));

/* c = a × b + c */
static inline void fuse(float a, const floats *b, floats *c)
{
    const floats all = {a, a, a, a, a, a, a, a};
#if defined(__FMA__)
    *c = (floats)_mm256_fmadd_ps((__m256)all, (__m256)*b, (__m256)*c);
#else
    for (int i = 0; i < TILE_SIDE; i++)
        (*c)[i] = __builtin_fmaf(all[i], (*b)[i], (*c)[i]);
#endif
}

/* sums[8][8] += a[8][k] × b[k][8]; a row of `a` is `k` long, one of `b` is `columns`. */
static void add_products(const float *a, const float *b, uint32_t k, uint32_t columns, float *sums)
{
    floats rows[TILE_SIDE];
    for (uint32_t r = 0; r < TILE_SIDE; r++)
        rows[r] = ((const floats *)sums)[r];
    for (uint32_t step = 0; step < k; step++) {
        const floats line = *(const floats *)(b + (uint64_t)step * columns);
#pragma GCC unroll 8
        for (uint32_t r = 0; r < TILE_SIDE; r++)
            fuse(a[r * k + step], &line, &rows[r]);
    }
    for (uint32_t r = 0; r < TILE_SIDE; r++)
        ((floats *)sums)[r] = rows[r];
}

/* A factor's registers, one after the other, as bytes by rows. */
static void gather(const struct weft_exec_run *run, const struct weft_exec_tiling *tiling,
                   const int32_t *rows, char *image)
{
    uint32_t tiles = weft_exec_tile_count(tiling);
    for (uint32_t i = 0; i < tiles; i++) {
        char *to = image + weft_exec_tile_offset(tiling, i);
        const char *from = weft_exec_source(run, rows[i]);
        if (tiling->tile_bytes == 16)
            for (uint32_t r = 0; r < WEFT_EXEC_TILE_ROWS; r++)
                memcpy(to + r * tiling->row_bytes, from + r * 16, 16);
        else
            for (uint32_t r = 0; r < WEFT_EXEC_TILE_ROWS; r++)
                memcpy(to + r * tiling->row_bytes, from + r * 32, 32);
    }
}

/* Halves to floats. That the host makes a signalling NaN a quiet one does not show: sums have one
 * NaN. */
static void widen_halves(const uint16_t *halves, float *out, uint32_t count)
{
#if defined(__F16C__)
    for (uint32_t i = 0; i < count; i += 8) {
        __m128i eight = _mm_loadu_si128((const __m128i *)(halves + i));
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(eight));
    }
#else
    for (uint32_t i = 0; i < count; i++)
        out[i] = half_to_float(halves[i]);
#endif
}

static void widen_words(uint8_t type, const char *image, float *out, uint32_t count)
{
    const uint16_t *halves = (const uint16_t *)image;
    const uint32_t *words = (const uint32_t *)image;
    if (type == WEFT_PTX_F16)
        widen_halves(halves, out, count);
    else if (type == WEFT_PTX_BF16)
        for (uint32_t i = 0; i < count; i++)
            out[i] = from_bits_f32((uint32_t)halves[i] << 16);
    else /* of tf32 the lowest 13 bits do not count */
        for (uint32_t i = 0; i < count; i++)
            out[i] = from_bits_f32(words[i] & 0xffffe000);
}

/* `count` elements of a factor as floats. */
static void widen(uint8_t type, const char *image, float *out, uint32_t count)
{
    const uint8_t *bytes = (const uint8_t *)image;
    const int8_t *signed_bytes = (const int8_t *)image;
    switch (type) {
    case WEFT_PTX_U8:
        for (uint32_t i = 0; i < count; i++)
            out[i] = bytes[i];
        break;
    case WEFT_PTX_S8:
        for (uint32_t i = 0; i < count; i++)
            out[i] = signed_bytes[i];
        break;
    case WEFT_PTX_U4:
        for (uint32_t i = 0; i < count; i++)
            out[i] = (float)(bytes[i / 2] >> i % 2 * 4 & 15);
        break;
    case WEFT_PTX_S4:
        for (uint32_t i = 0; i < count; i++)
            out[i] = (float)((int32_t)((uint32_t)bytes[i / 2] << (i % 2 ? 24 : 28)) >> 28);
        break;
    case WEFT_PTX_E4M3:
        for (uint32_t i = 0; i < count; i++)
            out[i] = e4m3_to_float(bytes[i]);
        break;
    case WEFT_PTX_E5M2:
        for (uint32_t i = 0; i < count; i++)
            out[i] = e5m2_to_float(bytes[i]);
        break;
    default:
        widen_words(type, image, out, count);
    }
}

/* Of the lane and the bits in its metadata where the positions of a row begin: `unit` counts the
 * stored elements of the row (pairs of .s4 and .u4). The threads are those that the ISA lists for a
 * selector: where a row takes 16 bits a thread has two rows, where it takes 32 a thread has one. */
static uint32_t position(const struct weft_exec_matrix *matrix, const uint32_t *metadata,
                         uint32_t row, uint32_t unit)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    uint32_t bits = form->a == WEFT_PTX_TF32 ? 4 : 2, high = row / 8, lane = row % 8 * 4;
    bool halves = weft_ptx_matrix_bits(form->a) >= 16;
    uint32_t at = unit * bits, per_lane = halves ? 16 : 32;
    uint32_t blocks = form->k * weft_ptx_matrix_bits(form->a) / 256; /* 1 or 2 of them */
    uint32_t shift = at % per_lane + (halves ? 16 * high : 0);
    if (halves)
        lane += blocks == 1 ? matrix->selector : 2 * (matrix->selector & 1) + at / per_lane;
    else
        lane += blocks == 1 ? 2 * (matrix->selector & 1) + high : 2 * (at / per_lane) + high;
    return metadata[lane] >> shift & ((1u << bits) - 1);
}

/* The stored half of A to its places among zeros. */
static void expand(const struct weft_exec_run *run, const struct weft_exec_matrix *matrix,
                   const float *stored, float *out)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    const uint32_t *metadata = weft_exec_source(run, matrix->metadata);
    uint32_t k = form->k, run_length = weft_ptx_matrix_bits(form->a) == 4 ? 2 : 1;
    bool single = form->a == WEFT_PTX_TF32; /* one of two, else two of four */
    memset(out, 0, (uint64_t)form->m * k * sizeof(*out));
    for (uint32_t row = 0; row < form->m; row++)
        for (uint32_t unit = 0; unit < k / 2 / run_length; unit++) {
            uint32_t code = position(matrix, metadata, row, unit);
            uint32_t place = single ? 2 * unit + (code >> 3) : unit / 2 * 4 + code;
            memcpy(out + (uint64_t)row * k + (uint64_t)place * run_length,
                   stored + (uint64_t)row * (k / 2) + (uint64_t)unit * run_length,
                   run_length * sizeof(*out));
        }
}

/* Eight floats, stored at once: in halves they could not be forwarded to the load of a line. */
static inline void store_line(float *to, __m128 low, __m128 high)
{
#if defined(__AVX2__)
    _mm256_storeu_ps(to, _mm256_set_m128(high, low));
#else
    _mm_storeu_ps(to, low);
    _mm_storeu_ps(to + 4, high);
#endif
}

/* Columns to rows, eight columns of four steps at a time; there are multiples of both. */
static void turn(const float *by_columns, float *by_steps, uint32_t columns, uint32_t steps)
{
    for (uint32_t column = 0; column < columns; column += TILE_SIDE)
        for (uint32_t step = 0; step < steps; step += 4) {
            const float *from = by_columns + (uint64_t)column * steps + step;
            float *to = by_steps + (uint64_t)step * columns + column;
            __m128 line[TILE_SIDE];
            for (uint32_t i = 0; i < TILE_SIDE; i++)
                line[i] = _mm_loadu_ps(from + (uint64_t)i * steps);
            _MM_TRANSPOSE4_PS(line[0], line[1], line[2], line[3]);
            _MM_TRANSPOSE4_PS(line[4], line[5], line[6], line[7]);
            for (uint32_t i = 0; i < 4; i++)
                store_line(to + (uint64_t)i * columns, line[i], line[4 + i]);
        }
}

struct factors {
    float a[ELEMENTS_MAX], b[ELEMENTS_MAX]; /* [m][k], [k][n] */
} __attribute__((aligned(64)));

static void read_factors(const struct weft_exec_run *run, const struct weft_exec_matrix *matrix,
                         struct factors *factors)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    char image[WEFT_EXEC_IMAGE_BYTES_MAX] __attribute__((aligned(64)));
    float sideways[ELEMENTS_MAX] __attribute__((aligned(64)));
    gather(run, &matrix->a_tiling, matrix->a, image);
    if (form->sparse) {
        widen(form->a, image, sideways, form->m * form->k / 2u);
        expand(run, matrix, sideways, factors->a);
    } else {
        widen(form->a, image, factors->a, (uint32_t)form->m * form->k);
    }
    gather(run, &matrix->b_tiling, matrix->b, image);
    widen(form->b, image, sideways, (uint32_t)form->n * form->k);
    turn(sideways, factors->b, form->n, form->k);
}

/* Tile `i` of C as floats, by rows; and of D back into its registers. */
static void read_sums(const struct weft_exec_run *run, const struct weft_exec_matrix *matrix,
                      uint32_t i, float *sums)
{
    if (matrix->form.c == WEFT_PTX_F16) {
        const uint32_t *row = SOURCE(uint32_t, matrix->c[i]);
        LANES(lane)
        {
            sums[2 * lane] = half_to_float(row[lane] & 0xffff);
            sums[2 * lane + 1] = half_to_float(row[lane] >> 16);
        }
        return;
    }
    const float *even = SOURCE(float, matrix->c[2 * i]);
    const float *odd = SOURCE(float, matrix->c[2 * i + 1]);
    LANES(lane)
    {
        sums[2 * lane] = even[lane];
        sums[2 * lane + 1] = odd[lane];
    }
}

static void write_sums(struct weft_exec_run *run, const struct weft_exec_matrix *matrix, uint32_t i,
                       const float *sums)
{
    if (matrix->form.d == WEFT_PTX_F16) {
        uint32_t *row = ROW(uint32_t, matrix->d[i]);
        LANES(lane)
        row[lane] = float_to_half(sums[2 * lane]) | float_to_half(sums[2 * lane + 1]) << 16;
        return;
    }
    float *even = ROW(float, matrix->d[2 * i]);
    float *odd = ROW(float, matrix->d[2 * i + 1]);
    LANES(lane)
    {
        even[lane] = canonical_f32(sums[2 * lane]);
        odd[lane] = canonical_f32(sums[2 * lane + 1]);
    }
}

static const float *tile_of_a(const struct weft_ptx_matrix *form, const float *a, uint32_t i)
{
    return a + (uint64_t)(i % (form->m / TILE_SIDE)) * TILE_SIDE * form->k;
}

static const float *tile_of_b(const struct weft_ptx_matrix *form, const float *b, uint32_t i)
{
    return b + (uint64_t)(i / (form->m / TILE_SIDE)) * TILE_SIDE;
}

static uint32_t sum_tiles(const struct weft_ptx_matrix *form)
{
    return (uint32_t)form->m * form->n / TILE_SUMS;
}

static void multiply_floats(struct weft_exec_run *run, const struct weft_exec_matrix *matrix)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    struct factors factors;
    float sums[TILES_MAX][TILE_SUMS] __attribute__((aligned(64)));
    read_factors(run, matrix, &factors);
    for (uint32_t i = 0; i < sum_tiles(form); i++) {
        read_sums(run, matrix, i, sums[i]);
        add_products(tile_of_a(form, factors.a, i), tile_of_b(form, factors.b, i), form->k, form->n,
                     sums[i]);
    }
    for (uint32_t i = 0; i < sum_tiles(form); i++)
        write_sums(run, matrix, i, sums[i]);
}

static int32_t add_whole(int32_t a, int32_t b, bool saturates)
{
    int32_t wrapped = (int32_t)((uint32_t)a + (uint32_t)b);
    bool over = ((a ^ wrapped) & (b ^ wrapped)) < 0;
    return saturates && over ? (a < 0 ? INT32_MIN : INT32_MAX) : wrapped;
}

/* d = c + products, of whole numbers that are in `products` by tiles. */
static void finish_whole(struct weft_exec_run *run, const struct weft_exec_matrix *matrix,
                         int32_t products[TILES_MAX][TILE_SUMS])
{
    uint32_t tiles = sum_tiles(&matrix->form);
    for (uint32_t i = 0; i < tiles; i++)
        for (uint32_t half = 0; half < 2; half++) {
            const int32_t *c = SOURCE(int32_t, matrix->c[2 * i + half]);
            LANES(lane)
            products[i][2 * lane + half] =
                add_whole(c[lane], products[i][2 * lane + half], matrix->saturates);
        }
    for (uint32_t i = 0; i < tiles; i++)
        for (uint32_t half = 0; half < 2; half++) {
            int32_t *d = ROW(int32_t, matrix->d[2 * i + half]);
            LANES(lane) d[lane] = products[i][2 * lane + half];
        }
}

static void multiply_whole(struct weft_exec_run *run, const struct weft_exec_matrix *matrix)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    struct factors factors;
    int32_t products[TILES_MAX][TILE_SUMS];
    read_factors(run, matrix, &factors);
    for (uint32_t i = 0; i < sum_tiles(form); i++) {
        float sums[TILE_SUMS] __attribute__((aligned(64))) = {0};
        add_products(tile_of_a(form, factors.a, i), tile_of_b(form, factors.b, i), form->k, form->n,
                     sums);
        for (uint32_t s = 0; s < TILE_SUMS; s++)
            products[i][s] = (int32_t)sums[s];
    }
    finish_whole(run, matrix, products);
}

/* The set bits of (row of A) ^ or & (column of B). */
static int32_t count_bits(const char *a, const char *b, uint32_t bytes, bool both)
{
    int32_t count = 0;
    for (uint32_t at = 0; at < bytes; at += 8) {
        uint64_t x, y;
        memcpy(&x, a + at, 8);
        memcpy(&y, b + at, 8);
        count += __builtin_popcountll(both ? x & y : x ^ y);
    }
    return count;
}

static void multiply_bits(struct weft_exec_run *run, const struct weft_exec_matrix *matrix)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    const struct weft_exec_tiling a = matrix->a_tiling, b = matrix->b_tiling;
    char image_a[WEFT_EXEC_IMAGE_BYTES_MAX], image_b[WEFT_EXEC_IMAGE_BYTES_MAX];
    int32_t products[TILES_MAX][TILE_SUMS];
    gather(run, &a, matrix->a, image_a);
    gather(run, &b, matrix->b, image_b);
    for (uint32_t row = 0; row < form->m; row++)
        for (uint32_t column = 0; column < TILE_SIDE; column++)
            products[row / TILE_SIDE][row % TILE_SIDE * TILE_SIDE + column] = count_bits(
                image_a + (uint64_t)row * a.row_bytes, image_b + (uint64_t)column * b.row_bytes,
                a.row_bytes, form->operation == WEFT_PTX_OP_AND);
    finish_whole(run, matrix, products);
}

static inline void fuse_doubles(double a, const doubles *b, doubles *c)
{
    const doubles all = {a, a, a, a};
#if defined(__FMA__)
    *c = (doubles)_mm256_fmadd_pd((__m256d)all, (__m256d)*b, (__m256d)*c);
#else
    for (int i = 0; i < 4; i++)
        (*c)[i] = __builtin_fma(all[i], (*b)[i], (*c)[i]);
#endif
}

/* sums += a[m][k] × b[k][8], with a function's borders so that the rounding is set around it. */
static __attribute__((noinline)) void add_double_products(const double *a, const double *b,
                                                          uint32_t m, uint32_t k, double *sums)
{
    for (uint32_t row = 0; row < m; row += DOUBLE_ROWS) {
        doubles rows[DOUBLE_ROWS][2];
        memcpy(rows, sums + (uint64_t)row * TILE_SIDE, sizeof(rows));
        for (uint32_t step = 0; step < k; step++) {
            const doubles *line = (const doubles *)(b + (uint64_t)step * TILE_SIDE);
            const doubles low = line[0], high = line[1];
#pragma GCC unroll 4
            for (uint32_t r = 0; r < DOUBLE_ROWS; r++) {
                fuse_doubles(a[(row + r) * k + step], &low, &rows[r][0]);
                fuse_doubles(a[(row + r) * k + step], &high, &rows[r][1]);
            }
        }
        memcpy(sums + (uint64_t)row * TILE_SIDE, rows, sizeof(rows));
    }
}

/* sums[column parity][row] += a[row][step] × b[step][columns of the parity] */
static __attribute__((noinline)) void add_one_tile(const double *a, const doubles b[2][TILE_STEPS],
                                                   doubles sums[2][TILE_SIDE])
{
    for (uint32_t odd = 0; odd < 2; odd++)
        for (uint32_t row = 0; row < TILE_SIDE; row++)
            for (uint32_t step = 0; step < TILE_STEPS; step++)
                fuse_doubles(a[row * TILE_STEPS + step], &b[odd][step], &sums[odd][row]);
}

/* m8n8k4: each factor is one register, by rows as it stands, and the sums of the even and of the
 * odd columns are one register each. */
static void multiply_tile_of_doubles(struct weft_exec_run *run,
                                     const struct weft_exec_matrix *matrix,
                                     const struct weft_exec_insn *insn)
{
    const double *columns = SOURCE(double, matrix->b[0]);
    doubles b[2][TILE_STEPS], sums[2][TILE_SIDE];
    for (uint32_t odd = 0; odd < 2; odd++) {
        memcpy(sums[odd], weft_exec_source(run, matrix->c[odd]), sizeof(sums[odd]));
        for (uint32_t step = 0; step < TILE_STEPS; step++) {
            const double *first = columns + odd * TILE_STEPS + step;
            b[odd][step] = (doubles){first[0], first[8], first[16], first[24]};
        }
    }
    const uint32_t saved = weft_exec_enter_rounding(insn);
    add_one_tile(SOURCE(double, matrix->a[0]), b, sums);
    weft_exec_leave_rounding(saved);
    for (uint32_t odd = 0; odd < 2; odd++) {
        const double *sum = (const double *)sums[odd];
        double *d = ROW(double, matrix->d[odd]);
        LANES(lane) d[lane] = canonical_f64(sum[lane]);
    }
}

static void multiply_doubles(struct weft_exec_run *run, const struct weft_exec_matrix *matrix,
                             const struct weft_exec_insn *insn)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    double a[16 * 16], sideways[8 * 16];
    double b[16 * 8] __attribute__((aligned(64))), sums[2][TILE_SUMS] __attribute__((aligned(64)));
    gather(run, &matrix->a_tiling, matrix->a, (char *)a);
    gather(run, &matrix->b_tiling, matrix->b, (char *)sideways);
    for (uint32_t step = 0; step < form->k; step++)
        for (uint32_t column = 0; column < TILE_SIDE; column++)
            b[step * TILE_SIDE + column] = sideways[column * form->k + step];
    for (uint32_t i = 0; i < sum_tiles(form); i++)
        for (uint32_t half = 0; half < 2; half++) {
            const double *c = SOURCE(double, matrix->c[2 * i + half]);
            LANES(lane) sums[i][2 * lane + half] = c[lane];
        }
    const uint32_t saved = weft_exec_enter_rounding(insn);
    add_double_products(a, b, form->m, form->k, sums[0]);
    weft_exec_leave_rounding(saved);
    for (uint32_t i = 0; i < sum_tiles(form); i++)
        for (uint32_t half = 0; half < 2; half++) {
            double *d = ROW(double, matrix->d[2 * i + half]);
            LANES(lane) d[lane] = canonical_f64(sums[i][2 * lane + half]);
        }
}

/* m8n8k4 of halves: four products, each by four lanes and by the four that stand 16 above. */
static uint32_t quad_lane(uint32_t product, uint32_t line)
{
    return 4 * product + line % 4 + (line < 4 ? 0 : 16);
}

static float quad_half(const struct weft_exec_run *run, const int32_t *rows, uint32_t lane,
                       uint32_t i)
{
    const uint32_t *row = weft_exec_source(run, rows[i / 2]);
    return half_to_float(row[lane] >> i % 2 * 16 & 0xffff);
}

/* A line of A is a row, one of B a column. The line's lane has its four elements; where the factor
 * lies the other way each of four lanes has one step of four lines. */
static float quad_factor(const struct weft_exec_run *run, const int32_t *rows, uint32_t product,
                         bool by_lines, uint32_t line, uint32_t step)
{
    if (by_lines)
        return quad_half(run, rows, quad_lane(product, line), step);
    return quad_half(run, rows, quad_lane(product, step + (line & 4)), line % 4);
}

/* Where a sum of .f32 is held: the inverse of the ISA's formulas for row and column. */
static uint32_t quad_sum_lane(uint32_t product, uint32_t row, uint32_t column)
{
    return quad_lane(product, (row & 1) + (column & 2) + (row & 4));
}

static uint32_t quad_sum_index(uint32_t row, uint32_t column)
{
    return (row & 2) + (column & 4) + (column & 1);
}

static void read_quad_sums(const struct weft_exec_run *run, const struct weft_exec_matrix *matrix,
                           uint32_t product, float *sums)
{
    for (uint32_t row = 0; row < TILE_SIDE; row++)
        for (uint32_t column = 0; column < TILE_SIDE; column++) {
            float *sum = &sums[row * TILE_SIDE + column];
            if (matrix->form.c == WEFT_PTX_F16) {
                *sum = quad_half(run, matrix->c, quad_lane(product, row), column);
                continue;
            }
            const float *c = weft_exec_source(run, matrix->c[quad_sum_index(row, column)]);
            *sum = c[quad_sum_lane(product, row, column)];
        }
}

static void write_quad_sums(struct weft_exec_run *run, const struct weft_exec_matrix *matrix,
                            uint32_t product, const float *sums)
{
    for (uint32_t row = 0; row < TILE_SIDE; row++)
        for (uint32_t column = 0; column < TILE_SIDE; column++) {
            float sum = sums[row * TILE_SIDE + column];
            if (matrix->form.d == WEFT_PTX_F16) {
                uint16_t *d = weft_exec_row(run, matrix->d[column / 2]);
                d[2 * quad_lane(product, row) + column % 2] = (uint16_t)float_to_half(sum);
                continue;
            }
            float *d = weft_exec_row(run, matrix->d[quad_sum_index(row, column)]);
            d[quad_sum_lane(product, row, column)] = canonical_f32(sum);
        }
}

static void multiply_quads(struct weft_exec_run *run, const struct weft_exec_matrix *matrix)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    float sums[4][TILE_SUMS];
    for (uint32_t product = 0; product < 4; product++) {
        float a[8 * 4], b[4 * 8];
        for (uint32_t line = 0; line < TILE_SIDE; line++)
            for (uint32_t step = 0; step < 4; step++) {
                a[line * 4 + step] =
                    quad_factor(run, matrix->a, product, !form->a_by_columns, line, step);
                b[step * 8 + line] =
                    quad_factor(run, matrix->b, product, form->b_by_columns, line, step);
            }
        read_quad_sums(run, matrix, product, sums[product]);
        add_products(a, b, 4, 8, sums[product]);
    }
    for (uint32_t product = 0; product < 4; product++)
        write_quad_sums(run, matrix, product, sums[product]);
}

/* b: index of the matrix. */
HANDLER(mma)
{
    const struct weft_exec_matrix *matrix = &run->kernel->matrices[insn->b];
    if (!weft_exec_converge(run))
        return;
    switch (matrix->form.a) {
    case WEFT_PTX_F64:
        if (matrix->form.m == TILE_SIDE)
            multiply_tile_of_doubles(run, matrix, insn);
        else
            multiply_doubles(run, matrix, insn);
        break;
    case WEFT_PTX_B1:
        multiply_bits(run, matrix);
        break;
    case WEFT_PTX_F16:
        if (matrix->form.k == 4)
            multiply_quads(run, matrix);
        else
            multiply_floats(run, matrix);
        break;
    default:
        if (matrix->form.d == WEFT_PTX_S32)
            multiply_whole(run, matrix);
        else
            multiply_floats(run, matrix);
    }
}
