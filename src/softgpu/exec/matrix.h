/* Matrix instructions, made ready: shapes and types, and the rows of their fragments.
 *
 * A fragment is a set of registers, and a register of 32 lanes is one tile of eight rows: lane l
 * holds the (l mod 4)-th quarter of row l / 4. So a register's row of 128 bytes (256 of .f64), read
 * from front to back, is its tile by rows. The tiles of A, and of B turned on its side, are 16
 * bytes wide (32 of .f64), as many elements as that makes; those of sums are eight elements wide,
 * so that 32-bit sums take two registers, one for even and one for odd columns. These are the
 * layouts of mma in the PTX ISA. That of wmma is open, and the same is used. */
#ifndef WEFT_SOFTGPU_EXEC_MATRIX_H
#define WEFT_SOFTGPU_EXEC_MATRIX_H

#include "softgpu/exec/ops.h"
#include "softgpu/ptx/matrix.h"

#define WEFT_EXEC_FRAGMENT_MAX WEFT_PTX_FRAGMENT_REGISTERS_MAX
#define WEFT_EXEC_TILE_ROWS 8
#define WEFT_EXEC_IMAGE_BYTES_MAX 2048 /* of a factor by rows: 16 × 16 of .f64 */

/* How the registers of a fragment cover a matrix: tiles of eight rows and `tile_bytes` a row, rows
 * of tiles first or columns of tiles first. */
struct weft_exec_tiling {
    uint32_t rows, row_bytes, tile_bytes;
    bool along_rows; /* register r + 1 is to the right of r, else below */
};

struct weft_exec_matrix {
    struct weft_ptx_matrix form;
    int32_t d[WEFT_EXEC_FRAGMENT_MAX], a[WEFT_EXEC_FRAGMENT_MAX];
    int32_t b[WEFT_EXEC_FRAGMENT_MAX], c[WEFT_EXEC_FRAGMENT_MAX];
    struct weft_exec_tiling a_tiling, b_tiling; /* of a product */
    struct weft_exec_tiling tiling;             /* of a load or store */
    int32_t metadata;                           /* of mma.sp; its selector is in `selector` */
    uint32_t selector;
    bool saturates;
};

/* The lanes of the warp execute the instruction together: true once all that live stand at it, and
 * then run->mask has them all. False where the others are waited for. */
bool weft_exec_converge(struct weft_exec_run *run);

/* Where tile number `index` begins in the matrix by rows. */
static inline uint64_t weft_exec_tile_offset(const struct weft_exec_tiling *tiling, uint32_t index)
{
    uint32_t down = tiling->rows / WEFT_EXEC_TILE_ROWS;
    uint32_t across = tiling->row_bytes / tiling->tile_bytes;
    uint32_t row = tiling->along_rows ? index / across : index % down;
    uint32_t column = tiling->along_rows ? index % across : index / down;
    return (uint64_t)row * WEFT_EXEC_TILE_ROWS * tiling->row_bytes +
           (uint64_t)column * tiling->tile_bytes;
}

static inline uint32_t weft_exec_tile_count(const struct weft_exec_tiling *tiling)
{
    return tiling->rows / WEFT_EXEC_TILE_ROWS * (tiling->row_bytes / tiling->tile_bytes);
}

#endif
