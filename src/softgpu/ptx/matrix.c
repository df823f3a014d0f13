/* The words of matrix instructions, and which shapes go with which types. */
#include "softgpu/ptx/matrix.h"

#include <string.h>

#include "softgpu/ptx/sets.h"
#include "util/util.h"

#define WORDS_MAX 24
#define WARP_LANES 32

enum {
    WMMA = 1 << 0,
    MMA = 1 << 1,
    SPARSE = 1 << 2,
    ANY_LAYOUT = 1 << 3, /* else A by rows and B by columns */
    MIXED = 1 << 4,      /* A and B may differ, within `types` */
    MIXED_SUMS = 1 << 5  /* C and D may differ, within `sums` */
};

struct shape {
    uint8_t kinds;
    uint8_t m, n;
    uint16_t k;
    uint64_t types, sums;
    uint8_t least_sm;
};

#define T_E (T(E4M3) | T(E5M2))
#define T_8 (T(S8) | T(U8))
#define T_4 (T(S4) | T(U4))
#define T_SUM (T(F16) | T(F32))

static const struct shape shapes[] = {
    {WMMA | ANY_LAYOUT | MIXED_SUMS, 16, 16, 16, T(F16), T_SUM, 70},
    {WMMA | ANY_LAYOUT | MIXED_SUMS, 32, 8, 16, T(F16), T_SUM, 70},
    {WMMA | ANY_LAYOUT | MIXED_SUMS, 8, 32, 16, T(F16), T_SUM, 70},
    {WMMA | ANY_LAYOUT, 16, 16, 16, T(BF16), T(F32), 80},
    {WMMA | ANY_LAYOUT, 32, 8, 16, T(BF16), T(F32), 80},
    {WMMA | ANY_LAYOUT, 8, 32, 16, T(BF16), T(F32), 80},
    {WMMA | ANY_LAYOUT, 16, 16, 16, T_8, T(S32), 72},
    {WMMA | ANY_LAYOUT, 32, 8, 16, T_8, T(S32), 72},
    {WMMA | ANY_LAYOUT, 8, 32, 16, T_8, T(S32), 72},
    {WMMA | ANY_LAYOUT, 16, 16, 8, T(TF32), T(F32), 80},
    {WMMA | ANY_LAYOUT, 8, 8, 4, T(F64), T(F64), 80},
    {WMMA, 8, 8, 32, T_4, T(S32), 75},
    {WMMA, 8, 8, 128, T(B1), T(S32), 75},
    {MMA | ANY_LAYOUT | MIXED_SUMS, 8, 8, 4, T(F16), T_SUM, 70},
    {MMA, 16, 8, 8, T(F16), T_SUM, 75},
    {MMA, 16, 8, 16, T(F16), T_SUM, 80},
    {MMA, 16, 8, 8, T(BF16), T(F32), 80},
    {MMA, 16, 8, 16, T(BF16), T(F32), 80},
    {MMA, 16, 8, 4, T(TF32), T(F32), 80},
    {MMA, 16, 8, 8, T(TF32), T(F32), 80},
    {MMA, 8, 8, 4, T(F64), T(F64), 80},
    {MMA, 16, 8, 4, T(F64), T(F64), 90},
    {MMA, 16, 8, 8, T(F64), T(F64), 90},
    {MMA, 16, 8, 16, T(F64), T(F64), 90},
    {MMA | MIXED, 8, 8, 16, T_8, T(S32), 75},
    {MMA | MIXED, 16, 8, 16, T_8, T(S32), 80},
    {MMA | MIXED, 16, 8, 32, T_8, T(S32), 80},
    {MMA | MIXED, 8, 8, 32, T_4, T(S32), 75},
    {MMA | MIXED, 16, 8, 32, T_4, T(S32), 80},
    {MMA | MIXED, 16, 8, 64, T_4, T(S32), 80},
    {MMA, 8, 8, 128, T(B1), T(S32), 75},
    {MMA, 16, 8, 128, T(B1), T(S32), 80},
    {MMA, 16, 8, 256, T(B1), T(S32), 80},
    {MMA | MIXED, 16, 8, 16, T_E, T_SUM, 89},
    {MMA | MIXED, 16, 8, 32, T_E, T_SUM, 89},
    {SPARSE, 16, 8, 16, T(F16), T_SUM, 80},
    {SPARSE, 16, 8, 32, T(F16), T_SUM, 80},
    {SPARSE, 16, 8, 16, T(BF16), T(F32), 80},
    {SPARSE, 16, 8, 32, T(BF16), T(F32), 80},
    {SPARSE, 16, 8, 8, T(TF32), T(F32), 80},
    {SPARSE, 16, 8, 16, T(TF32), T(F32), 80},
    {SPARSE | MIXED, 16, 8, 32, T_8, T(S32), 80},
    {SPARSE | MIXED, 16, 8, 64, T_8, T(S32), 80},
    {SPARSE | MIXED, 16, 8, 64, T_4, T(S32), 80},
    {SPARSE | MIXED, 16, 8, 128, T_4, T(S32), 80},
    {SPARSE | MIXED, 16, 8, 64, T_E, T_SUM, 89},
};

bool weft_ptx_is_matrix(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_WMMA_LOAD:
    case WEFT_PTX_WMMA_STORE:
    case WEFT_PTX_WMMA_MMA:
    case WEFT_PTX_MMA:
    case WEFT_PTX_LDMATRIX:
    case WEFT_PTX_STMATRIX:
    case WEFT_PTX_MOVMATRIX:
        return true;
    default:
        return false;
    }
}

uint32_t weft_ptx_matrix_bits(uint8_t type)
{
    switch (type) {
    case WEFT_PTX_B1:
        return 1;
    case WEFT_PTX_S4:
    case WEFT_PTX_U4:
        return 4;
    default:
        return 8 * weft_ptx_type_bytes(type);
    }
}

struct words {
    uint32_t shapes, layouts, popcounts;
    struct weft_ptx_matrix *matrix;
    const char *broken;
};

static const char *read_number(const char *text, const char *end, uint16_t *out)
{
    uint32_t value = 0;
    while (text < end && *text >= '0' && *text <= '9' && value < 1000)
        value = 10 * value + (uint32_t)(*text++ - '0');
    *out = (uint16_t)value;
    return text;
}

/* m16n8k16, or m8n8 of a single matrix. */
static bool read_shape(const char *text, const char *end, struct weft_ptx_matrix *matrix)
{
    uint16_t *const numbers[] = {&matrix->m, &matrix->n, &matrix->k};
    for (uint32_t i = 0; i < 3 && text < end; i++) {
        if (*text != "mnk"[i])
            return false;
        text = read_number(text + 1, end, numbers[i]);
        if (*numbers[i] == 0)
            return false;
    }
    return text == end && matrix->n;
}

static void read_layout(struct words *words, bool by_columns)
{
    if (words->layouts == 0)
        words->matrix->a_by_columns = by_columns;
    else
        words->matrix->b_by_columns = by_columns;
    words->layouts++;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static void read_operation(struct words *words, uint8_t operation)
{
    if (words->matrix->operation)
        words->broken = "a matrix instruction has one operation";
    words->matrix->operation = operation;
}

static void read_word(struct words *words, const char *text, size_t length)
{
    struct weft_ptx_matrix *matrix = words->matrix;
    const char *letter = length == 1 ? memchr("abcd", *text, 4) : NULL;
    if (letter)
        matrix->which = (uint8_t)(strchr("abcd", *letter) - "abcd" + WEFT_PTX_MATRIX_A);
    else if (is_word(text, length, "row") || is_word(text, length, "col"))
        read_layout(words, *text == 'c');
    else if (is_word(text, length, "trans"))
        matrix->transposed = true;
    else if (is_word(text, length, "sp") || is_word(text, length, "sp::ordered_metadata"))
        matrix->sparse = true;
    else if (is_word(text, length, "popc"))
        words->popcounts++;
    else if (is_word(text, length, "xor"))
        read_operation(words, WEFT_PTX_OP_XOR);
    else if (is_word(text, length, "and"))
        read_operation(words, WEFT_PTX_OP_AND);
    else if (length == 2 && *text == 'x' && text[1] >= '1' && text[1] <= '4')
        matrix->count = (uint8_t)(text[1] - '0');
    else if (*text == 'm' && length > 1 && text[1] >= '0' && text[1] <= '9') {
        words->shapes++;
        if (!read_shape(text, text + length, matrix))
            words->broken = "this matrix instruction does not take the shape";
    } else if (length > 4 && (memcmp(text, "kind", 4) == 0 || memcmp(text, "bloc", 4) == 0))
        matrix->is_newer = true;
}

static const char *read_words(const struct weft_ptx_insn *insn, struct words *words)
{
    const char *text = insn->text;
    for (uint32_t n = 0; n < WORDS_MAX && text && !words->broken; n++) {
        const char *dot = strchr(text, '.');
        size_t length = dot ? (size_t)(dot - text) : strlen(text);
        read_word(words, text, length);
        text = dot ? dot + 1 : NULL;
    }
    if (!words->broken && words->shapes != 1)
        return "a matrix instruction needs one shape";
    return words->broken;
}

static const struct shape *find_shape(const struct weft_ptx_matrix *matrix, uint8_t kind,
                                      uint8_t type)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(shapes); i++) {
        const struct shape *shape = &shapes[i];
        if ((shape->kinds & kind) && shape->m == matrix->m && shape->n == matrix->n &&
            shape->k == matrix->k && (shape->types >> type & 1))
            return shape;
    }
    return NULL;
}

/* Registers that hold rows × columns elements, 32 lanes to a register; the halves of wmma fill
 * eight whatever their shape, the same elements several times. */
static uint8_t registers_for(uint32_t elements, uint8_t type)
{
    uint32_t bits = weft_ptx_matrix_bits(type);
    return (uint8_t)(elements * bits / (WARP_LANES * (bits == 64 ? 64 : 32)));
}

static void count_registers(struct weft_ptx_matrix *matrix, bool wmma)
{
    uint32_t stored = matrix->sparse ? matrix->k / 2u : matrix->k;
    uint32_t sums = (uint32_t)matrix->m * matrix->n;
    matrix->a_registers = registers_for(matrix->m * stored, matrix->a);
    matrix->b_registers = registers_for((uint32_t)matrix->n * matrix->k, matrix->b);
    matrix->c_registers = registers_for(sums, matrix->c);
    matrix->d_registers = registers_for(sums, matrix->d);
    if (wmma && matrix->a == WEFT_PTX_F16)
        matrix->a_registers = matrix->b_registers = 8;
    if (!wmma && matrix->a == WEFT_PTX_F16 && matrix->k == 4) {
        matrix->a_registers = matrix->b_registers = 2;
        matrix->c_registers = matrix->c == WEFT_PTX_F16 ? 4 : 8;
        matrix->d_registers = matrix->d == WEFT_PTX_F16 ? 4 : 8;
    }
}

/* .d.c for halves in wmma, else .d.a.b.c */
static const char *read_types(const struct weft_ptx_insn *insn, struct weft_ptx_matrix *matrix)
{
    bool halves = insn->opcode == WEFT_PTX_WMMA_MMA && insn->type_count == 2;
    if (!halves && insn->type_count != 4)
        return "a matrix product needs four types";
    matrix->d = insn->types[0];
    matrix->a = halves ? WEFT_PTX_F16 : insn->types[1];
    matrix->b = halves ? WEFT_PTX_F16 : insn->types[2];
    matrix->c = insn->types[halves ? 1 : 3];
    return NULL;
}

static const char *broken_operation(const struct weft_ptx_insn *insn, const struct words *words)
{
    const struct weft_ptx_matrix *matrix = words->matrix;
    bool bits = matrix->a == WEFT_PTX_B1;
    bool integers = matrix->d == WEFT_PTX_S32;
    if (bits != (words->popcounts == 1 && matrix->operation))
        return "a product of .b1 counts by .xor.popc or .and.popc, another does not";
    if ((insn->flags & WEFT_PTX_SATFINITE) && (!integers || bits))
        return ".satfinite does not go with these types";
    if (insn->rounding && matrix->a != WEFT_PTX_F64)
        return "only a product of .f64 takes a rounding";
    return NULL;
}

static const char *decode_product(const struct weft_ptx_insn *insn, struct words *words)
{
    struct weft_ptx_matrix *matrix = words->matrix;
    bool wmma = insn->opcode == WEFT_PTX_WMMA_MMA;
    const char *broken = read_types(insn, matrix);
    if (broken)
        return broken;
    uint8_t kind = matrix->sparse ? SPARSE : wmma ? WMMA : MMA;
    const struct shape *shape = find_shape(matrix, kind, matrix->a);
    if (!shape || !(shape->types >> matrix->b & 1) || !(shape->sums >> matrix->c & 1) ||
        !(shape->sums >> matrix->d & 1) || (matrix->a != matrix->b && !(shape->kinds & MIXED)) ||
        (matrix->c != matrix->d && !(shape->kinds & MIXED_SUMS)))
        return "this shape does not go with these types";
    if (words->layouts != 2)
        return "a matrix product needs the layouts of both factors";
    if (!(shape->kinds & ANY_LAYOUT) && (matrix->a_by_columns || !matrix->b_by_columns))
        return "this product takes the layouts .row.col alone";
    matrix->least_sm = shape->least_sm;
    if (matrix->operation == WEFT_PTX_OP_AND)
        matrix->least_sm = 80;
    count_registers(matrix, wmma);
    return broken_operation(insn, words);
}

/* Loads and stores of wmma: the type is that of the one matrix. */
static const char *decode_transfer(const struct weft_ptx_insn *insn, struct words *words)
{
    struct weft_ptx_matrix *matrix = words->matrix;
    bool sum = matrix->which >= WEFT_PTX_MATRIX_C;
    bool stores = insn->opcode == WEFT_PTX_WMMA_STORE;
    if (insn->type_count != 1 || words->layouts != 1)
        return "a matrix needs its layout and its type";
    if (!matrix->which || stores != (matrix->which == WEFT_PTX_MATRIX_D))
        return stores ? "only .d is stored" : "only .a, .b and .c are loaded";
    uint8_t type = insn->types[0];
    const struct shape *shape = NULL;
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(shapes) && !shape; i++) {
        const struct shape *at = &shapes[i];
        bool fits = (at->kinds & WMMA) && at->m == matrix->m && at->n == matrix->n &&
                    at->k == matrix->k && ((sum ? at->sums : at->types) >> type & 1);
        shape = fits ? at : NULL;
    }
    if (!shape)
        return "this shape does not go with this type";
    bool by_rows = matrix->which == WEFT_PTX_MATRIX_A;
    if (!sum && !(shape->kinds & ANY_LAYOUT) && matrix->a_by_columns == by_rows)
        return "this matrix takes the layout .row of A, .col of B alone";
    matrix->a = matrix->b = matrix->c = matrix->d = type;
    matrix->least_sm = shape->least_sm;
    count_registers(matrix, !sum);
    return NULL;
}

/* ldmatrix, stmatrix, movmatrix: matrices of 8 × 8 halves. */
static const char *decode_tiles(const struct weft_ptx_insn *insn, struct words *words)
{
    struct weft_ptx_matrix *matrix = words->matrix;
    bool moves = insn->opcode == WEFT_PTX_MOVMATRIX;
    matrix->is_newer = !moves && matrix->n == 16 && !matrix->k;
    if (matrix->is_newer)
        return NULL;
    if (matrix->m != 8 || matrix->n != 8 || matrix->k || insn->type_count != 1 ||
        insn->types[0] != WEFT_PTX_B16)
        return "this instruction takes .m8n8 of .b16 alone on architectures up to sm_90";
    if (moves ? !matrix->transposed || matrix->count : !matrix->count || matrix->count == 3)
        return moves ? "movmatrix needs .trans" : "this instruction needs .x1, .x2 or .x4";
    matrix->least_sm = insn->opcode == WEFT_PTX_STMATRIX ? 90 : 75;
    matrix->a = WEFT_PTX_B16;
    matrix->a_registers = moves ? 1 : matrix->count;
    return NULL;
}

const char *weft_ptx_matrix_decode(const struct weft_ptx_insn *insn, struct weft_ptx_matrix *out)
{
    *out = (struct weft_ptx_matrix){0};
    struct words words = {.matrix = out};
    const char *broken = read_words(insn, &words);
    if (broken || out->is_newer)
        return broken;
    switch (insn->opcode) {
    case WEFT_PTX_WMMA_LOAD:
    case WEFT_PTX_WMMA_STORE:
        return decode_transfer(insn, &words);
    case WEFT_PTX_WMMA_MMA:
    case WEFT_PTX_MMA:
        return decode_product(insn, &words);
    default:
        return decode_tiles(insn, &words);
    }
}

static bool has_registers(const struct weft_ptx_operand *operand, uint32_t count)
{
    if (operand->kind == WEFT_PTX_OPERAND_VECTOR)
        return operand->element_count == count;
    return operand->kind == WEFT_PTX_OPERAND_REGISTER && count == 1;
}

static bool product_fits(const struct weft_ptx_insn *insn, const struct weft_ptx_matrix *matrix)
{
    const uint8_t counts[] = {matrix->d_registers, matrix->a_registers, matrix->b_registers,
                              matrix->c_registers};
    if (insn->operand_count != (matrix->sparse ? 6 : 4))
        return false;
    for (uint32_t i = 0; i < 4; i++)
        if (!has_registers(&insn->operands[i], counts[i]))
            return false;
    if (!matrix->sparse)
        return true;
    return insn->operands[4].kind == WEFT_PTX_OPERAND_REGISTER &&
           insn->operands[5].kind == WEFT_PTX_OPERAND_INTEGER && insn->operands[5].bits < 4;
}

static uint32_t transfer_registers(const struct weft_ptx_matrix *matrix)
{
    switch (matrix->which) {
    case WEFT_PTX_MATRIX_B:
        return matrix->b_registers;
    case WEFT_PTX_MATRIX_C:
    case WEFT_PTX_MATRIX_D:
        return matrix->d_registers;
    default:
        return matrix->a_registers;
    }
}

const char *weft_ptx_matrix_operands(const struct weft_ptx_insn *insn,
                                     const struct weft_ptx_matrix *matrix)
{
    const struct weft_ptx_operand *operands = insn->operands;
    uint32_t count = insn->operand_count, registers = transfer_registers(matrix);
    bool good;
    switch (insn->opcode) {
    case WEFT_PTX_WMMA_LOAD:
    case WEFT_PTX_LDMATRIX:
        good = count >= 2 && count <= (insn->opcode == WEFT_PTX_LDMATRIX ? 2u : 3u) &&
               has_registers(&operands[0], registers) &&
               operands[1].kind == WEFT_PTX_OPERAND_ADDRESS;
        break;
    case WEFT_PTX_WMMA_STORE:
    case WEFT_PTX_STMATRIX:
        good = count >= 2 && count <= (insn->opcode == WEFT_PTX_STMATRIX ? 2u : 3u) &&
               has_registers(&operands[1], registers) &&
               operands[0].kind == WEFT_PTX_OPERAND_ADDRESS;
        break;
    case WEFT_PTX_MOVMATRIX:
        good = count == 2 && has_registers(&operands[0], 1) && has_registers(&operands[1], 1);
        break;
    default:
        good = product_fits(insn, matrix);
    }
    return good ? NULL : "the operands are not the fragments of this shape";
}
