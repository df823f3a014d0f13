/* Fragments between registers and memory: wmma.load, wmma.store, ldmatrix, stmatrix, movmatrix. And
 * how lanes come together for these and for matrix products. */
#include <immintrin.h>
#include <string.h>

#include "softgpu/exec/matrix.h"
#include "softgpu/exec/memory.h"

#define TILE_BYTES 128
#define STRIDE_BYTES_MAX (1u << 30) /* bytes; what is further apart is found line by line */

bool weft_exec_converge(struct weft_exec_run *run)
{
    struct weft_exec_warp *warp = run->warp;
    if (run->mask == warp->live)
        return true;
    uint32_t waiting = weft_exec_waiting(warp, run->pc - 1, run->frame_offset);
    if ((waiting | run->mask) != warp->live) {
        weft_exec_park(run, run->pc - 1, WEFT_EXEC_GROUP_AT_MATRIX, 0);
        return false;
    }
    weft_exec_join_waiting(run, run->pc - 1);
    return true;
}

/* One register's tile, or, of sums of more than 16 bits, the tile of two registers. */
static void read_tile(const struct weft_exec_run *run, const int32_t *rows, uint32_t bytes,
                      uint32_t index, char *tile)
{
    if (bytes == 0) {
        memcpy(tile, weft_exec_source(run, rows[index]), TILE_BYTES);
        return;
    }
    for (uint32_t half = 0; half < 2; half++) {
        const char *row = weft_exec_source(run, rows[2 * index + half]);
        if (bytes == 4)
            LANES(lane) memcpy(tile + (2 * lane + half) * 4, row + lane * 4, 4);
        else
            LANES(lane) memcpy(tile + (2 * lane + half) * 8, row + lane * 8, 8);
    }
}

static void write_tile(struct weft_exec_run *run, const int32_t *rows, uint32_t bytes,
                       uint32_t index, const char *tile)
{
    if (bytes == 0) {
        memcpy(weft_exec_row(run, rows[index]), tile, TILE_BYTES);
        return;
    }
    for (uint32_t half = 0; half < 2; half++) {
        char *row = weft_exec_row(run, rows[2 * index + half]);
        if (bytes == 4)
            LANES(lane) memcpy(row + lane * 4, tile + (2 * lane + half) * 4, 4);
        else
            LANES(lane) memcpy(row + lane * 8, tile + (2 * lane + half) * 8, 8);
    }
}

/* A line of a tile or of a matrix: 16 bytes or a multiple, so that no call is made for it. */
static void copy_line_bytes(char *to, const char *from, uint32_t bytes)
{
    for (uint32_t at = 0; at < bytes; at += 16)
        memcpy(to + at, from + at, 16);
}

/* The matrix of a load or store, from its registers to bytes by rows, or back. Halves of wmma fill
 * eight registers: what is left repeats the tiles. */
struct picture {
    struct weft_exec_tiling tiling;
    uint32_t registers;   /* a tile takes one, or two */
    uint32_t split_bytes; /* of an element, where a tile takes two; else 0 */
    uint32_t columns;     /* elements of a row */
    uint32_t bits;
    char bytes[WEFT_EXEC_IMAGE_BYTES_MAX];
};

static void picture_begin(struct picture *picture, const struct weft_exec_matrix *matrix)
{
    const struct weft_ptx_matrix *form = &matrix->form;
    bool sum = form->which >= WEFT_PTX_MATRIX_C;
    picture->bits = weft_ptx_matrix_bits(form->a);
    picture->tiling = matrix->tiling;
    picture->columns = picture->tiling.row_bytes * 8 / picture->bits;
    picture->split_bytes = sum && picture->bits > 16 ? picture->bits / 8 : 0;
    picture->registers = form->which == WEFT_PTX_MATRIX_A   ? form->a_registers
                         : form->which == WEFT_PTX_MATRIX_B ? form->b_registers
                                                            : form->d_registers;
}

static uint32_t tiles_held(const struct picture *picture)
{
    return picture->split_bytes ? picture->registers / 2 : picture->registers;
}

/* A tile of .f64 factors is twice as long, in one register. */
static uint32_t tile_bytes(const struct picture *picture)
{
    return picture->tiling.tile_bytes * WEFT_EXEC_TILE_ROWS;
}

static void picture_to_registers(struct weft_exec_run *run, const struct picture *picture,
                                 const int32_t *rows)
{
    const struct weft_exec_tiling *tiling = &picture->tiling;
    uint32_t tiles = weft_exec_tile_count(tiling);
    for (uint32_t i = 0; i < tiles_held(picture); i++) {
        char tile[512];
        const char *from = picture->bytes + weft_exec_tile_offset(tiling, i % tiles);
        for (uint32_t r = 0; r < WEFT_EXEC_TILE_ROWS; r++)
            copy_line_bytes(tile + r * tiling->tile_bytes, from + r * tiling->row_bytes,
                            tiling->tile_bytes);
        if (tile_bytes(picture) == 2 * TILE_BYTES && !picture->split_bytes)
            memcpy(weft_exec_row(run, rows[i]), tile, 2 * TILE_BYTES);
        else
            write_tile(run, rows, picture->split_bytes, i, tile);
    }
}

static void picture_from_registers(const struct weft_exec_run *run, struct picture *picture,
                                   const int32_t *rows)
{
    const struct weft_exec_tiling *tiling = &picture->tiling;
    for (uint32_t i = 0; i < weft_exec_tile_count(tiling); i++) {
        char tile[512];
        char *to = picture->bytes + weft_exec_tile_offset(tiling, i);
        read_tile(run, rows, picture->split_bytes, i, tile);
        for (uint32_t r = 0; r < WEFT_EXEC_TILE_ROWS; r++)
            copy_line_bytes(to + r * tiling->row_bytes, tile + r * tiling->tile_bytes,
                            tiling->tile_bytes);
    }
}

/* A tile's rows, `stride_bytes` apart, one after the other. */
static inline void copy_tile(char *to, const char *from, uint32_t row_bytes, uint64_t stride_bytes)
{
    if (row_bytes == 16)
        for (uint32_t r = 0; r < WEFT_EXEC_TILE_ROWS; r++)
            memcpy(to + (uint64_t)r * 16, from + r * stride_bytes, 16);
    else
        for (uint32_t r = 0; r < WEFT_EXEC_TILE_ROWS; r++)
            memcpy(to + (uint64_t)r * 32, from + r * stride_bytes, 32);
}

/* Memory of the matrix: lines of `count` elements, `stride` elements from one to the next. */
struct lines {
    uint64_t address;
    uint32_t lines, line_bytes;
    uint64_t stride_bytes;
    uint32_t lane;
};

static struct lines lines_of(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                             const struct picture *picture, bool across)
{
    uint64_t addresses[WEFT_EXEC_LANES];
    weft_exec_addresses(run, insn, addresses);
    uint32_t lane = (uint32_t)__builtin_ctz(run->mask);
    uint32_t lines = across ? picture->columns : picture->tiling.rows;
    uint32_t length = across ? picture->tiling.rows : picture->columns;
    uint64_t stride = length;
    if (insn->c != WEFT_EXEC_NO_ROW)
        stride = ((const uint32_t *)weft_exec_source(run, insn->c))[lane];
    return (struct lines){.address = addresses[lane],
                          .lines = lines,
                          .line_bytes = length * picture->bits / 8,
                          .stride_bytes = stride * picture->bits / 8,
                          .lane = lane};
}

/* Where line number `index` is; NULL after a fault. */
static char *find_line(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                       const struct lines *lines, uint32_t index, uint32_t align)
{
    uint64_t address = lines->address + index * lines->stride_bytes;
    return weft_exec_reach(run, insn, lines->lane, address, lines->line_bytes, align);
}

/* `count` elements, `step` bytes from one to the next in the picture and side by side in memory. */
static void copy_cells(char *cell, uint32_t step, char *memory, uint32_t element, uint32_t count,
                       bool to_memory)
{
    for (uint32_t i = 0; i < count; i++, cell += step, memory += element) {
        char *to = to_memory ? memory : cell;
        const char *from = to_memory ? cell : memory;
        if (element == 2)
            memcpy(to, from, 2);
        else if (element == 4)
            memcpy(to, from, 4);
        else
            memcpy(to, from, element);
    }
}

/* The lines of memory are rows of the picture, or its columns. Only whole bytes lie in columns. */
static void copy_line(const struct picture *picture, char *bytes, uint32_t index, char *memory,
                      bool across, bool to_memory)
{
    uint32_t row_bytes = picture->tiling.row_bytes, element = picture->bits / 8;
    if (across) {
        copy_cells(bytes + (uint64_t)index * element, row_bytes, memory, element,
                   picture->tiling.rows, to_memory);
        return;
    }
    char *row = bytes + (uint64_t)index * row_bytes;
    copy_line_bytes(to_memory ? memory : row, to_memory ? row : memory, row_bytes);
}

/* B is kept turned on its side, so that its columns are lines of the picture. */
static bool lies_across(const struct weft_ptx_matrix *form)
{
    return form->which == WEFT_PTX_MATRIX_B ? !form->a_by_columns : form->a_by_columns;
}

/* Where line number 0 is, if all lines are in reach as the fast ways of memory.h have it; else
 * NULL, and each line has to be found. */
static char *find_lines(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                        const struct lines *lines, uint32_t align, bool to_memory)
{
    const uint64_t *live = to_memory ? run->writable : run->live;
    uint64_t stride = lines->stride_bytes, last = (lines->lines - 1) * stride;
    uint64_t shared = lines->address, window = lines->address - run->window_base;
    if (insn->space == WEFT_PTX_GENERIC)
        shared -= run->block->launch->memory->shared_base;
    if (lines->address & (align - 1) || stride & (align - 1) || stride > STRIDE_BYTES_MAX)
        return NULL;
    last += lines->line_bytes;
    bool may_be_shared = insn->space == WEFT_PTX_SHARED || insn->space == WEFT_PTX_GENERIC;
    if (may_be_shared && last <= run->fast_shared_bytes && shared <= run->fast_shared_bytes - last)
        return run->shared + shared;
    if (insn->space == WEFT_PTX_SHARED || last > run->fast_window_bytes ||
        window > run->fast_window_bytes - last)
        return NULL;
    for (uint32_t i = 0; i < lines->lines; i++)
        if (!weft_exec_is_live(live, window + i * stride, lines->line_bytes))
            return NULL;
    return (char *)(uintptr_t)(lines->address + (uint64_t)run->alias_delta);
}

/* Lines that are rows of a factor go to its registers without a picture, a row of a tile at a time.
 * False where they are something else, or not all in reach at once. */
static bool load_tiles(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                       const struct weft_exec_matrix *matrix, const struct picture *picture)
{
    const struct weft_exec_tiling *tiling = &picture->tiling;
    if (picture->split_bytes || lies_across(&matrix->form) || tiling->tile_bytes > 32)
        return false;
    const struct lines lines = lines_of(run, insn, picture, false);
    const uint32_t align = picture->bits < 8 ? 1 : picture->bits / 8;
    const char *first = find_lines(run, insn, &lines, align, false);
    if (first == NULL)
        return false;
    const uint32_t down = tiling->rows / WEFT_EXEC_TILE_ROWS, tiles = weft_exec_tile_count(tiling);
    const uint32_t across = tiles / down;
    for (uint32_t i = 0; i < tiles_held(picture); i++) {
        const uint32_t index = i % tiles;
        const uint32_t row = tiling->along_rows ? index / across : index % down;
        const uint32_t column = tiling->along_rows ? index % across : index / down;
        copy_tile(weft_exec_row(run, matrix->d[i]),
                  first + row * WEFT_EXEC_TILE_ROWS * lines.stride_bytes +
                      (uint64_t)column * tiling->tile_bytes,
                  tiling->tile_bytes, lines.stride_bytes);
    }
    return true;
}

static bool copy_lines(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                       struct picture *picture, const struct weft_ptx_matrix *form, bool to_memory)
{
    bool across = lies_across(form);
    struct lines lines = lines_of(run, insn, picture, across);
    uint32_t align = picture->bits < 8 ? 1 : picture->bits / 8;
    char *first = find_lines(run, insn, &lines, align, to_memory);
    for (uint32_t i = 0; i < lines.lines; i++) {
        char *memory =
            first ? first + i * lines.stride_bytes : find_line(run, insn, &lines, i, align);
        if (memory == NULL)
            return false;
        copy_line(picture, picture->bytes, i, memory, across, to_memory);
    }
    return true;
}

/* b: index of the matrix; a: address; c: stride in elements, or none. */
COMMON_HANDLER(wmma_load)
{
    const struct weft_exec_matrix *matrix = &run->kernel->matrices[insn->b];
    struct picture picture;
    if (!weft_exec_converge(run))
        return;
    picture_begin(&picture, matrix);
    if (load_tiles(run, insn, matrix, &picture))
        return;
    if (copy_lines(run, insn, &picture, &matrix->form, false))
        picture_to_registers(run, &picture, matrix->d);
}

COMMON_HANDLER(wmma_store)
{
    const struct weft_exec_matrix *matrix = &run->kernel->matrices[insn->b];
    struct picture picture;
    if (!weft_exec_converge(run))
        return;
    picture_begin(&picture, matrix);
    picture_from_registers(run, &picture, matrix->d);
    copy_lines(run, insn, &picture, &matrix->form, true);
}

/* Three rounds, each of which puts the lower and the upper four rows together cell by cell, move
 * the three bits of a row's number to where those of a column's were. */
static void transpose_tile(char *tile)
{
    __m128i rows[WEFT_EXEC_TILE_ROWS], mixed[WEFT_EXEC_TILE_ROWS];
    memcpy(rows, tile, sizeof(rows));
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < WEFT_EXEC_TILE_ROWS / 2; i++) {
            mixed[2 * i] = _mm_unpacklo_epi16(rows[i], rows[i + 4]);
            mixed[2 * i + 1] = _mm_unpackhi_epi16(rows[i], rows[i + 4]);
        }
        memcpy(rows, mixed, sizeof(rows));
    }
    memcpy(tile, rows, sizeof(rows));
}

/* Row r of matrix number i is 16 bytes at the address that lane 8 i + r holds. */
static char *find_row(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                      const uint64_t *addresses, uint32_t lane)
{
    if (insn->space == WEFT_PTX_SHARED && run->fast_shared_bytes >= 16 &&
        addresses[lane] <= run->fast_shared_bytes - 16 && addresses[lane] % 16 == 0)
        return run->shared + addresses[lane];
    struct lines line = {.address = addresses[lane], .line_bytes = 16, .lane = lane};
    return find_line(run, insn, &line, 0, 16);
}

COMMON_HANDLER(ldmatrix)
{
    const struct weft_exec_matrix *matrix = &run->kernel->matrices[insn->b];
    uint64_t addresses[WEFT_EXEC_LANES];
    char tiles[4][TILE_BYTES] __attribute__((aligned(16)));
    if (!weft_exec_converge(run))
        return;
    weft_exec_addresses(run, insn, addresses);
    for (uint32_t lane = 0; lane < 8u * matrix->form.count; lane++) {
        const char *row = find_row(run, insn, addresses, lane);
        if (row == NULL)
            return;
        memcpy(tiles[lane / 8] + lane % 8 * 16, row, 16);
    }
    for (uint32_t i = 0; i < matrix->form.count; i++) {
        if (matrix->form.transposed)
            transpose_tile(tiles[i]);
        write_tile(run, matrix->d, 0, i, tiles[i]);
    }
}

COMMON_HANDLER(stmatrix)
{
    const struct weft_exec_matrix *matrix = &run->kernel->matrices[insn->b];
    uint64_t addresses[WEFT_EXEC_LANES];
    if (!weft_exec_converge(run))
        return;
    weft_exec_addresses(run, insn, addresses);
    for (uint32_t i = 0; i < matrix->form.count; i++) {
        char tile[TILE_BYTES] __attribute__((aligned(16)));
        read_tile(run, matrix->d, 0, i, tile);
        if (matrix->form.transposed)
            transpose_tile(tile);
        for (uint32_t r = 0; r < WEFT_EXEC_TILE_ROWS; r++) {
            char *row = find_row(run, insn, addresses, 8 * i + r);
            if (row == NULL)
                return;
            memcpy(row, tile + (uint64_t)r * 16, 16);
        }
    }
}

COMMON_HANDLER(movmatrix)
{
    char tile[TILE_BYTES] __attribute__((aligned(16)));
    if (!weft_exec_converge(run))
        return;
    memcpy(tile, weft_exec_source(run, insn->a), TILE_BYTES);
    transpose_tile(tile);
    memcpy(weft_exec_row(run, insn->d), tile, TILE_BYTES);
}
