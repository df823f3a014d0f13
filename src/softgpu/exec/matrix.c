/* Fragments between registers and memory: wmma.load, wmma.store, ldmatrix, stmatrix, movmatrix. And
 * how lanes come together for these and for matrix products. */
#include <string.h>

#include "softgpu/exec/matrix.h"
#include "softgpu/exec/memory.h"

#define TILE_BYTES 128

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

struct weft_exec_tiling weft_exec_tiling_of(const struct weft_ptx_matrix *form, uint8_t which)
{
    uint32_t wide = weft_ptx_matrix_bits(form->a) == 64 ? 32 : 16;
    switch (which) {
    case WEFT_PTX_MATRIX_A: {
        uint32_t stored = form->sparse ? form->k / 2u : form->k;
        return (struct weft_exec_tiling){form->m, stored * weft_ptx_matrix_bits(form->a) / 8, wide,
                                         false};
    }
    case WEFT_PTX_MATRIX_B:
        return (struct weft_exec_tiling){form->n, form->k * weft_ptx_matrix_bits(form->b) / 8, wide,
                                         true};
    default: {
        uint32_t bytes = weft_ptx_matrix_bits(form->d) / 8;
        return (struct weft_exec_tiling){form->m, form->n * bytes, 8 * bytes, false};
    }
    }
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
        LANES(lane) memcpy(tile + (2 * lane + half) * bytes, row + lane * bytes, bytes);
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
        LANES(lane) memcpy(row + lane * bytes, tile + (2 * lane + half) * bytes, bytes);
    }
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

static void picture_begin(struct picture *picture, const struct weft_ptx_matrix *form)
{
    bool sum = form->which >= WEFT_PTX_MATRIX_C;
    picture->bits = weft_ptx_matrix_bits(form->a);
    picture->tiling = weft_exec_tiling_of(form, form->which);
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
            memcpy(tile + r * tiling->tile_bytes, from + r * tiling->row_bytes, tiling->tile_bytes);
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
            memcpy(to + r * tiling->row_bytes, tile + r * tiling->tile_bytes, tiling->tile_bytes);
    }
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

/* The lines of memory are rows of the picture, or its columns. Only whole bytes lie in columns. */
static void copy_line(const struct picture *picture, char *bytes, uint32_t index, char *memory,
                      bool across, bool to_memory)
{
    uint32_t row_bytes = picture->tiling.row_bytes, element = picture->bits / 8;
    if (!across) {
        char *row = bytes + (uint64_t)index * row_bytes;
        memcpy(to_memory ? memory : row, to_memory ? row : memory, row_bytes);
        return;
    }
    for (uint32_t r = 0; r < picture->tiling.rows; r++) {
        char *cell = bytes + (uint64_t)r * row_bytes + (uint64_t)index * element;
        char *place = memory + (uint64_t)r * element;
        memcpy(to_memory ? place : cell, to_memory ? cell : place, element);
    }
}

/* B is kept turned on its side, so that its columns are lines of the picture. */
static bool lies_across(const struct weft_ptx_matrix *form)
{
    return form->which == WEFT_PTX_MATRIX_B ? !form->a_by_columns : form->a_by_columns;
}

static bool copy_lines(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                       struct picture *picture, const struct weft_ptx_matrix *form, bool to_memory)
{
    bool across = lies_across(form);
    struct lines lines = lines_of(run, insn, picture, across);
    uint32_t align = picture->bits < 8 ? 1 : picture->bits / 8;
    for (uint32_t i = 0; i < lines.lines; i++) {
        char *memory = find_line(run, insn, &lines, i, align);
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
    picture_begin(&picture, &matrix->form);
    if (copy_lines(run, insn, &picture, &matrix->form, false))
        picture_to_registers(run, &picture, matrix->d);
}

COMMON_HANDLER(wmma_store)
{
    const struct weft_exec_matrix *matrix = &run->kernel->matrices[insn->b];
    struct picture picture;
    if (!weft_exec_converge(run))
        return;
    picture_begin(&picture, &matrix->form);
    picture_from_registers(run, &picture, matrix->d);
    copy_lines(run, insn, &picture, &matrix->form, true);
}

static void transpose_tile(char *tile)
{
    uint16_t *cells = (uint16_t *)tile;
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t j = 0; j < i; j++) {
            uint16_t kept = cells[i * 8 + j];
            cells[i * 8 + j] = cells[j * 8 + i];
            cells[j * 8 + i] = kept;
        }
}

/* Row r of matrix number i is 16 bytes at the address that lane 8 i + r holds. */
static char *find_row(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                      const uint64_t *addresses, uint32_t lane)
{
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
