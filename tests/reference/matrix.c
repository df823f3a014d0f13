/* Matrix instructions, element by element: where the ISA says that an element of a fragment lies,
 * and sums in exact arithmetic, rounded once a step. */
#include <string.h>

#include "machine.h"

#include "matrix.h"
#include "real.h"
#include "softgpu/ptx/matrix.h"
#include "types.h"

#define LANES WEFT_EXEC_WARP_LANES
#define ROWS_MAX 256
#define COLUMNS_MAX 256

struct place {
    unsigned row, column;
};

/* Raw elements of one matrix. */
struct cells {
    uint64_t at[ROWS_MAX][COLUMNS_MAX];
};

struct warp {
    struct thread **lanes; /* NULL where there is none */
    const struct weft_ptx_insn *insn;
    struct weft_ptx_matrix form;
};

static unsigned lanes_register_bits(uint8_t type)
{
    return weft_ptx_matrix_bits(type) == 64 ? 64 : 32;
}

/* The operand's own layout of wmma is open: here the elements stand by rows, lane after lane. */
static struct place place_of_wmma(unsigned lane, unsigned i, unsigned rows, unsigned columns)
{
    unsigned number = (i * LANES + lane) % (rows * columns);
    return (struct place){number / columns, number % columns};
}

/* mma.m8n8k4 with .f16: the rows that the four lanes of each half have. */
static struct place place_of_quad(const struct weft_ptx_matrix *form, uint8_t which, unsigned lane,
                                  unsigned i)
{
    unsigned high = lane < 16 ? 0 : 4;
    unsigned x = (lane & 1) + (i & 2);
    switch (which) {
    case WEFT_PTX_MATRIX_A:
        return form->a_by_columns ? (struct place){i % 4 + high, lane % 4}
                                  : (struct place){lane % 4 + high, i};
    case WEFT_PTX_MATRIX_B:
        return form->b_by_columns ? (struct place){i, lane % 4 + high}
                                  : (struct place){lane % 4, i + high};
    default:
        break;
    }
    uint8_t type = which == WEFT_PTX_MATRIX_C ? form->c : form->d;
    return type == WEFT_PTX_F16 ? (struct place){lane % 4 + high, i}
                                : (struct place){x + high, (i & 4) + (lane & 2) + (i & 1)};
}

/* Elements of a factor that one register has, times four threads, make one step in k. */
static struct place place_of_factor(const struct weft_ptx_matrix *form, uint8_t which,
                                    unsigned lane, unsigned i)
{
    unsigned group = lane / 4;
    unsigned thread = lane % 4;
    uint8_t type = which == WEFT_PTX_MATRIX_A ? form->a : form->b;
    unsigned each = lanes_register_bits(type) / weft_ptx_matrix_bits(type);
    unsigned number = i / each;
    if (which == WEFT_PTX_MATRIX_B)
        return (struct place){thread * each + i % each + number * 4 * each, group};
    if (form->m == 8)
        return (struct place){group, thread * each + i % each + number * 4 * each};
    return (struct place){number % 2 ? group + 8 : group,
                          thread * each + i % each + number / 2 * 4 * each};
}

static struct place place_of_sum(unsigned lane, unsigned i)
{
    return (struct place){i < 2 ? lane / 4 : lane / 4 + 8, lane % 4 * 2 + (i & 1)};
}

static void size_of(const struct weft_ptx_matrix *form, uint8_t which, unsigned *rows,
                    unsigned *columns)
{
    *rows = which == WEFT_PTX_MATRIX_B ? form->k : form->m;
    *columns = which == WEFT_PTX_MATRIX_A ? form->k : form->n;
}

static bool is_quads(const struct warp *warp)
{
    return warp->insn->opcode == WEFT_PTX_MMA && warp->form.k == 4 && warp->form.a == WEFT_PTX_F16;
}

static struct place place_in(const struct warp *warp, uint8_t which, unsigned lane, unsigned i)
{
    const struct weft_ptx_matrix *form = &warp->form;
    unsigned rows;
    unsigned columns;
    size_of(form, which, &rows, &columns);
    if (warp->insn->opcode != WEFT_PTX_MMA)
        return place_of_wmma(lane, i, rows, columns);
    if (is_quads(warp))
        return place_of_quad(form, which, lane, i);
    if (which >= WEFT_PTX_MATRIX_C)
        return place_of_sum(lane, i);
    return place_of_factor(form, which, lane, i);
}

static const struct weft_ptx_operand *element_operand(const struct weft_ptx_operand *operand,
                                                      unsigned number)
{
    return operand->kind == WEFT_PTX_OPERAND_VECTOR ? &operand->elements[number] : operand;
}

static unsigned registers_of(const struct weft_ptx_operand *operand)
{
    return operand->kind == WEFT_PTX_OPERAND_VECTOR ? operand->element_count : 1;
}

static uint8_t register_type(uint8_t type)
{
    return lanes_register_bits(type) == 64 ? WEFT_PTX_B64 : WEFT_PTX_B32;
}

/* One lane's operand, element after element, into the matrix; or the matrix into the operand. */
static void read_fragment(const struct warp *warp, unsigned operand, uint8_t which, uint8_t type,
                          unsigned lane, struct cells *cells)
{
    const struct weft_ptx_operand *from = &warp->insn->operands[operand];
    unsigned bits = weft_ptx_matrix_bits(type);
    unsigned each = lanes_register_bits(type) / bits;
    for (unsigned i = 0; i < registers_of(from) * each; i++) {
        uint64_t word =
            operand_read(warp->lanes[lane], element_operand(from, i / each), register_type(type));
        struct place place = place_in(warp, which, lane, i);
        cells->at[place.row][place.column] = low_bits(word >> (i % each * bits), bits);
    }
}

static void write_fragment(const struct warp *warp, unsigned operand, uint8_t which, uint8_t type,
                           unsigned lane, const struct cells *cells)
{
    const struct weft_ptx_operand *to = &warp->insn->operands[operand];
    unsigned bits = weft_ptx_matrix_bits(type);
    unsigned each = lanes_register_bits(type) / bits;
    for (unsigned number = 0; number < registers_of(to); number++) {
        uint64_t word = 0;
        for (unsigned i = 0; i < each; i++) {
            struct place place = place_in(warp, which, lane, number * each + i);
            word |= cells->at[place.row][place.column] << (i * bits);
        }
        operand_write(warp->lanes[lane], element_operand(to, number), register_type(type), word);
    }
}

static struct real real_of(uint8_t type, uint64_t bits)
{
    struct real value = {.class = REAL_FINITE, .negative = bits >> 7 & 1};
    switch (type) {
    case WEFT_PTX_TF32:
        return real_unpack(real_format_of(WEFT_PTX_F32), bits & 0xffffe000);
    case WEFT_PTX_E5M2:
        return real_unpack((struct real_format){5, 2}, bits);
    case WEFT_PTX_E4M3: {
        unsigned exponent = bits >> 3 & 15;
        value.significand = (bits & 7) | (exponent ? 8 : 0);
        value.exponent = (int)(exponent ? exponent : 1) - 7 - 3;
        if ((bits & 127) == 127)
            value.class = REAL_NAN;
        else if (value.significand == 0)
            value.class = REAL_ZERO;
        return value;
    }
    default:
        return real_unpack(real_format_of(type), bits);
    }
}

static int64_t integer_of(uint8_t type, uint64_t bits)
{
    switch (type) {
    case WEFT_PTX_S4:
        return sign_extend(bits, 4);
    case WEFT_PTX_S8:
        return sign_extend(bits, 8);
    case WEFT_PTX_S32:
        return sign_extend(bits, 32);
    default:
        return (int64_t)bits;
    }
}

/* The sum of one element in the type that it is kept in between steps. */
static uint64_t float_sum(const struct warp *warp, const struct cells *a, const struct cells *b,
                          uint64_t c, struct place place)
{
    const struct weft_ptx_matrix *form = &warp->form;
    bool wide = form->a == WEFT_PTX_F64;
    uint8_t kept = wide ? WEFT_PTX_F64 : WEFT_PTX_F32;
    uint8_t rounding = wide && warp->insn->rounding ? warp->insn->rounding : WEFT_PTX_RN;
    struct real sum = real_of(form->c, c);
    for (unsigned k = 0; k < form->k; k++) {
        struct real product = real_multiply(real_of(form->a, a->at[place.row][k]),
                                            real_of(form->b, b->at[k][place.column]));
        uint64_t bits = real_pack(real_format_of(kept), real_add(product, sum, rounding), rounding);
        sum = real_unpack(real_format_of(kept), bits);
    }
    return real_pack(real_format_of(form->d), sum, WEFT_PTX_RN);
}

static uint64_t whole_sum(const struct warp *warp, const struct cells *a, const struct cells *b,
                          uint64_t c, struct place place)
{
    const struct weft_ptx_matrix *form = &warp->form;
    int64_t sum = integer_of(WEFT_PTX_S32, c);
    for (unsigned k = 0; k < form->k; k++) {
        int64_t x = integer_of(form->a, a->at[place.row][k]);
        int64_t y = integer_of(form->b, b->at[k][place.column]);
        sum += form->operation == WEFT_PTX_OP_XOR ? (x ^ y) : form->operation ? (x & y) : x * y;
    }
    if (warp->insn->flags & WEFT_PTX_SATFINITE)
        sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
    return (uint32_t)sum;
}

static void multiply(const struct warp *warp, const struct cells *a, const struct cells *b,
                     const struct cells *c, struct cells *d)
{
    for (unsigned row = 0; row < warp->form.m; row++)
        for (unsigned column = 0; column < warp->form.n; column++) {
            struct place place = {row, column};
            d->at[row][column] = warp->form.d == WEFT_PTX_S32
                                     ? whole_sum(warp, a, b, c->at[row][column], place)
                                     : float_sum(warp, a, b, c->at[row][column], place);
        }
}

/* Of stored element `i` of a row of A in mma.sp: which thread of the row's quad has its index, and
 * at which bit. In the order of the ISA's figures. */
static void metadata_place(const struct warp *warp, unsigned row, unsigned i, uint64_t selector,
                           unsigned *lane, unsigned *bit)
{
    const struct weft_ptx_matrix *form = &warp->form;
    unsigned quad = row % 8 * 4;
    unsigned lower = row < 8 ? 0 : 1;
    bool pair = selector & 1;
    switch (form->a) {
    case WEFT_PTX_TF32:
        *lane = quad + (form->k == 8 ? (unsigned)selector : (pair ? 2u : 0u) + i / 4);
        *bit = 16 * lower + i % 4 * 4;
        break;
    case WEFT_PTX_F16:
    case WEFT_PTX_BF16:
        *lane = quad + (form->k == 16 ? (unsigned)selector : (pair ? 2u : 0u) + i / 8);
        *bit = 16 * lower + i % 8 * 2;
        break;
    case WEFT_PTX_S4:
    case WEFT_PTX_U4:
        *lane = quad + lower + (form->k == 64 ? (pair ? 2 : 0) : i / 2 / 16 * 2);
        *bit = i / 2 % 16 * 2;
        break;
    default:
        *lane = quad + lower + (form->k == 32 ? (pair ? 2 : 0) : i / 16 * 2);
        *bit = i % 16 * 2;
        break;
    }
}

/* The column that a stored element has in the whole matrix. */
static unsigned column_of_stored(const struct warp *warp, unsigned row, unsigned i)
{
    const struct weft_ptx_insn *insn = warp->insn;
    unsigned lane;
    unsigned bit;
    metadata_place(warp, row, i, insn->operands[5].bits, &lane, &bit);
    struct thread *holder = warp->lanes[lane];
    uint64_t word = holder ? operand_read(holder, &insn->operands[4], WEFT_PTX_B32) : 0;
    switch (warp->form.a) {
    case WEFT_PTX_TF32:
        return 2 * i + ((word >> bit & 15) == 14);
    case WEFT_PTX_S4:
    case WEFT_PTX_U4:
        return i / 4 * 8 + (unsigned)(word >> bit & 3) * 2 + i % 2;
    default:
        return i / 2 * 4 + (unsigned)(word >> bit & 3);
    }
}

static void spread(const struct warp *warp, struct cells *a)
{
    static struct cells whole;
    memset(&whole, 0, sizeof whole);
    for (unsigned row = 0; row < warp->form.m; row++)
        for (unsigned i = 0; i < warp->form.k / 2u; i++)
            whole.at[row][column_of_stored(warp, row, i)] = a->at[row][i];
    *a = whole;
}

static bool takes_part(const struct warp *warp, unsigned lane, unsigned product)
{
    return warp->lanes[lane] && (!is_quads(warp) || lane / 4 % 4 == product);
}

static void perform_product(const struct warp *warp)
{
    static struct cells a, b, c, d;
    const struct weft_ptx_matrix *form = &warp->form;
    for (unsigned product = 0; product < (is_quads(warp) ? 4u : 1u); product++) {
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        memset(&c, 0, sizeof c);
        for (unsigned lane = 0; lane < LANES; lane++) {
            if (!takes_part(warp, lane, product))
                continue;
            read_fragment(warp, 1, WEFT_PTX_MATRIX_A, form->a, lane, &a);
            read_fragment(warp, 2, WEFT_PTX_MATRIX_B, form->b, lane, &b);
            read_fragment(warp, 3, WEFT_PTX_MATRIX_C, form->c, lane, &c);
        }
        if (form->sparse)
            spread(warp, &a);
        multiply(warp, &a, &b, &c, &d);
        for (unsigned lane = 0; lane < LANES; lane++)
            if (takes_part(warp, lane, product))
                write_fragment(warp, 0, WEFT_PTX_MATRIX_D, form->d, lane, &d);
    }
}

/* The first lane's address and stride are those of all. */
static uint8_t *element_address(const struct warp *warp, struct thread *thread, unsigned operand,
                                struct place place, unsigned *shift)
{
    const struct weft_ptx_insn *insn = warp->insn;
    unsigned rows;
    unsigned columns;
    size_of(&warp->form, warp->form.which, &rows, &columns);
    uint64_t stride = warp->form.a_by_columns ? rows : columns;
    if (insn->operand_count == 3)
        stride = operand_read(thread, &insn->operands[2], WEFT_PTX_B32);
    uint64_t number = warp->form.a_by_columns ? place.column * stride + place.row
                                              : place.row * stride + place.column;
    uint64_t bits = number * weft_ptx_matrix_bits(warp->form.a);
    *shift = (unsigned)(bits % 8);
    unsigned bytes = (weft_ptx_matrix_bits(warp->form.a) + 7) / 8;
    uint64_t address = operand_address(thread, &insn->operands[operand]) + bits / 8;
    return memory_find(thread, insn->space, address, bytes, bytes);
}

static enum step perform_transfer(const struct warp *warp, struct thread *first, bool stores)
{
    static struct cells cells;
    const struct weft_ptx_matrix *form = &warp->form;
    unsigned rows;
    unsigned columns;
    unsigned bits = weft_ptx_matrix_bits(form->a);
    size_of(form, form->which, &rows, &columns);
    for (unsigned lane = 0; lane < LANES && stores; lane++)
        if (warp->lanes[lane])
            read_fragment(warp, 1, form->which, form->a, lane, &cells);
    for (unsigned row = 0; row < rows; row++)
        for (unsigned column = 0; column < columns; column++) {
            unsigned shift;
            uint64_t word = 0;
            uint8_t *at =
                element_address(warp, first, !stores, (struct place){row, column}, &shift);
            if (!at)
                return STEP_FAULT;
            memcpy(stores ? (void *)at : &word, stores ? (void *)&cells.at[row][column] : at,
                   (bits + 7) / 8);
            if (!stores)
                cells.at[row][column] = low_bits(word >> shift, bits);
        }
    for (unsigned lane = 0; lane < LANES && !stores; lane++)
        if (warp->lanes[lane])
            write_fragment(warp, 0, form->which, form->a, lane, &cells);
    return STEP_NEXT;
}

/* ldmatrix: thread t of the warp gets elements 2 (t mod 4) and the next of row t / 4; with .trans
 * of the matrix turned over. */
static struct place place_in_tile(const struct warp *warp, unsigned lane, unsigned i)
{
    struct place place = {lane / 4, lane % 4 * 2 + i};
    return warp->form.transposed ? (struct place){place.column, place.row} : place;
}

static enum step perform_tiles(const struct warp *warp, bool stores)
{
    for (unsigned lane = 0; lane < LANES; lane++)
        for (unsigned number = 0; number < warp->form.count && warp->lanes[lane]; number++) {
            const struct weft_ptx_operand *own =
                element_operand(&warp->insn->operands[stores], number);
            uint64_t word = operand_read(warp->lanes[lane], own, WEFT_PTX_B32);
            for (unsigned i = 0; i < 2; i++) {
                struct place place = place_in_tile(warp, lane, i);
                struct thread *holder = warp->lanes[number * 8 + place.row];
                uint64_t row = operand_address(holder, &warp->insn->operands[!stores]);
                uint8_t *at = memory_find(holder, warp->insn->space, row, 16, 16);
                if (!at)
                    return STEP_FAULT;
                uint16_t half = (uint16_t)(word >> (16 * i));
                memcpy(stores ? (void *)(at + 2 * place.column) : &half,
                       stores ? (void *)&half : at + 2 * place.column, 2);
                word = (word & ~(0xffffull << (16 * i))) | (uint64_t)half << (16 * i);
            }
            if (!stores)
                operand_write(warp->lanes[lane], own, WEFT_PTX_B32, word);
        }
    return STEP_NEXT;
}

static void perform_move(const struct warp *warp)
{
    uint64_t words[LANES];
    for (unsigned lane = 0; lane < LANES; lane++)
        words[lane] = operand_read(warp->lanes[lane], &warp->insn->operands[1], WEFT_PTX_B32);
    for (unsigned lane = 0; lane < LANES; lane++) {
        uint64_t word = 0;
        for (unsigned i = 0; i < 2; i++) {
            unsigned row = lane % 4 * 2 + i;
            unsigned column = lane / 4;
            word |= (words[row * 4 + column / 2] >> (column % 2 * 16) & 0xffff) << (16 * i);
        }
        operand_write(warp->lanes[lane], &warp->insn->operands[0], WEFT_PTX_B32, word);
    }
}

enum step matrix_perform(struct thread *lanes[LANES], const struct weft_ptx_insn *insn)
{
    struct warp warp = {.lanes = lanes, .insn = insn};
    struct thread *first = NULL;
    for (unsigned lane = LANES; lane > 0; lane--)
        first = lanes[lane - 1] ? lanes[lane - 1] : first;
    if (weft_ptx_matrix_decode(insn, &warp.form))
        return STEP_UNKNOWN;
    switch (insn->opcode) {
    case WEFT_PTX_WMMA_LOAD:
    case WEFT_PTX_WMMA_STORE:
        return perform_transfer(&warp, first, insn->opcode == WEFT_PTX_WMMA_STORE);
    case WEFT_PTX_LDMATRIX:
    case WEFT_PTX_STMATRIX:
        return perform_tiles(&warp, insn->opcode == WEFT_PTX_STMATRIX);
    case WEFT_PTX_MOVMATRIX:
        perform_move(&warp);
        return STEP_NEXT;
    default:
        perform_product(&warp);
        return STEP_NEXT;
    }
}
