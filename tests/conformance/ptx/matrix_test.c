/* Every shape, type and layout of the matrix instructions up to sm_90, on every instruction set,
 * against the reference. Breaks where one element of one fragment is elsewhere than the ISA says,
 * and where a sum is formed in another order or rounded otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compare.h"
#include "forms.h"
#include "softgpu/ptx/matrix.h"
#include "values.h"

#define TEXT_BYTES 16384
#define THREADS 64u       /* two warps */
#define OPERAND_BYTES 64u /* of one thread: eight registers of eight bytes */
#define MATRIX_BYTES 16384u
#define STRIDE 40 /* elements, of loads and stores that say one */

/* How the registers are filled: any bits, and small numbers of which the sums stay finite. */
enum filling { FILL_ANY, FILL_SMALL, FILLINGS };

struct text {
    char text[TEXT_BYTES];
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int count = vsnprintf(text->text + text->used, TEXT_BYTES - text->used, format, list);
    va_end(list);
    text->used += (size_t)count;
    if (text->used >= TEXT_BYTES)
        exit(1);
}

static void put_head(struct text *text)
{
    put(text, ".version 8.7\n.target sm_90\n.address_size 64\n"
              ".visible .entry form(.param .u64 p_in, .param .u64 p_out)\n{\n"
              ".shared .align 128 .b8 tile[16384];\n"
              ".reg .b64 %%in, %%out, %%at, %%g;\n.reg .b32 %%t<4>;\n"
              ".reg .b32 %%a<8>, %%b<8>, %%c<8>, %%d<8>, %%m;\n"
              ".reg .b64 %%aw<8>, %%bw<8>, %%cw<8>, %%dw<8>;\n"
              "ld.param.u64 %%in, [p_in];\nld.param.u64 %%out, [p_out];\n");
}

/* A thread's place: %in and %out get its own rows. */
static void put_thread(struct text *text, unsigned in_bytes, unsigned out_bytes)
{
    put(text,
        "mov.u32 %%t0, %%tid.x;\nmul.wide.u32 %%at, %%t0, %u;\nadd.u64 %%in, %%in, %%at;\n"
        "mul.wide.u32 %%at, %%t0, %u;\nadd.u64 %%out, %%out, %%at;\n",
        in_bytes, out_bytes);
}

static bool is_wide(uint8_t type)
{
    return weft_ptx_matrix_bits(type) == 64;
}

static void put_registers(struct text *text, char name, uint8_t type, unsigned count)
{
    put(text, "{");
    for (unsigned i = 0; i < count; i++)
        put(text, "%s%%%c%s%u", i ? ", " : "", name, is_wide(type) ? "w" : "", i);
    put(text, "}");
}

static void put_transfer(struct text *text, char name, uint8_t type, unsigned count, unsigned at,
                         bool loads)
{
    unsigned bits = is_wide(type) ? 64 : 32;
    const char *wide = is_wide(type) ? "w" : "";
    for (unsigned i = 0; i < count; i++) {
        if (loads)
            put(text, "ld.global.b%u %%%c%s%u, [%%in+%u];\n", bits, name, wide, i, at + 8 * i);
        else
            put(text, "st.global.b%u [%%out+%u], %%%c%s%u;\n", bits, at + 8 * i, name, wide, i);
    }
}

/* The instruction's words, by the parser itself. */
static void decode(const char *form, struct weft_ptx_matrix *matrix)
{
    static const struct {
        const char *name;
        uint16_t opcode;
    } opcodes[] = {{"wmma.mma", WEFT_PTX_WMMA_MMA},
                   {"wmma.load", WEFT_PTX_WMMA_LOAD},
                   {"wmma.store", WEFT_PTX_WMMA_STORE},
                   {"mma", WEFT_PTX_MMA}};
    struct weft_ptx_insn insn = {.text = form};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes && !insn.opcode; i++)
        if (strncmp(form, opcodes[i].name, strlen(opcodes[i].name)) == 0)
            insn.opcode = opcodes[i].opcode;
    for (const char *at = strchr(form, '.'); at; at = strchr(at + 1, '.'))
        for (unsigned type = WEFT_PTX_U8; type < WEFT_PTX_TYPE_COUNT; type++) {
            const char *name = weft_ptx_type_name((enum weft_ptx_type)type);
            if (strlen(name) == strcspn(at + 1, ".") && strncmp(name, at + 1, strlen(name)) == 0 &&
                insn.type_count < 4)
                insn.types[insn.type_count++] = (uint8_t)type;
        }
    const char *broken = weft_ptx_matrix_decode(&insn, matrix);
    if (broken)
        fail_msg("%s: %s", form, broken);
}

static void put_product(struct text *text, const char *form, const struct weft_ptx_matrix *matrix,
                        unsigned selector)
{
    put(text, "%s ", form);
    put_registers(text, 'd', matrix->d, matrix->d_registers);
    put(text, ", ");
    put_registers(text, 'a', matrix->a, matrix->a_registers);
    put(text, ", ");
    put_registers(text, 'b', matrix->b, matrix->b_registers);
    put(text, ", ");
    put_registers(text, 'c', matrix->c, matrix->c_registers);
    if (matrix->sparse)
        put(text, ", %%m, %u", selector);
    put(text, ";\n");
}

static void make_product(struct text *text, const char *form, const struct weft_ptx_matrix *matrix,
                         unsigned selector)
{
    put_head(text);
    put_thread(text, 4 * OPERAND_BYTES, OPERAND_BYTES);
    put_transfer(text, 'a', matrix->a, matrix->a_registers, 0, true);
    put_transfer(text, 'b', matrix->b, matrix->b_registers, OPERAND_BYTES, true);
    put_transfer(text, 'c', matrix->c, matrix->c_registers, 2 * OPERAND_BYTES, true);
    put(text, "ld.global.b32 %%m, [%%in+%u];\n", 3 * OPERAND_BYTES);
    put_product(text, form, matrix, selector);
    put_transfer(text, 'd', matrix->d, matrix->d_registers, 0, false);
    put(text, "ret;\n}\n");
}

/* A small number of a type, as raw bits. */
static uint64_t small_number(uint8_t type, struct dice *dice)
{
    uint32_t random = (uint32_t)dice_roll(dice);
    uint64_t sign = random >> 31;
    switch (type) {
    case WEFT_PTX_F16:
        return sign << 15 | (0x3000 + (random & 0xfff));
    case WEFT_PTX_BF16:
        return sign << 15 | (0x3e00 + (random & 0x1ff));
    case WEFT_PTX_F32:
    case WEFT_PTX_TF32:
        return sign << 31 | (0x3e000000 + (random & 0x1ffffff));
    case WEFT_PTX_F64:
        return sign << 63 | (0x3fe0000000000000 + (dice_roll(dice) & 0x1fffffffffffff));
    default:
        return random;
    }
}

static void fill_register(uint8_t *at, uint8_t type, enum filling filling, struct dice *dice)
{
    uint64_t word = dice_roll(dice);
    unsigned bits = weft_ptx_matrix_bits(type);
    if (filling == FILL_SMALL && bits == 16)
        word = small_number(type, dice) | small_number(type, dice) << 16;
    else if (filling == FILL_SMALL && bits >= 32 && type != WEFT_PTX_S32)
        word = small_number(type, dice);
    memcpy(at, &word, 8);
}

/* Indices that ascend within their group, as ordered metadata has them. */
static uint32_t make_metadata(uint8_t type, struct dice *dice)
{
    static const uint8_t pairs[] = {0x4, 0x8, 0x9, 0xc, 0xd, 0xe};
    uint32_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint32_t choice = dice_below(dice, type == WEFT_PTX_TF32 ? 2 : 6);
        word |= (uint32_t)(type == WEFT_PTX_TF32 ? (choice ? 0xe : 0x4) : pairs[choice]) << 4 * i;
    }
    return word;
}

static void fill_operands(uint8_t *in, const struct weft_ptx_matrix *matrix, enum filling filling,
                          struct dice *dice)
{
    const uint8_t types[] = {matrix->a, matrix->b, matrix->c};
    for (unsigned thread = 0; thread < THREADS; thread++, in += 4 * OPERAND_BYTES) {
        for (unsigned operand = 0; operand < 3; operand++)
            for (unsigned i = 0; i < 8; i++)
                fill_register(in + operand * OPERAND_BYTES + 8 * i, types[operand], filling, dice);
        uint32_t metadata = make_metadata(matrix->a, dice);
        memcpy(in + 3 * OPERAND_BYTES, &metadata, 4);
    }
}

static void run_text(struct rig *rig, const char *form, const char *source, uint64_t in,
                     uint64_t out, uint32_t threads)
{
    static const uint64_t budgets[] = {0, 3};
    uint64_t params[2] = {in, out};
    uint64_t different = 0;
    struct rig_program program;
    struct weft_err err = {0};
    struct rig_run run = {.entry = "form", .params = params, .params_bytes = 16};
    memcpy(run.grid, (uint32_t[]){1, 1, 1}, sizeof run.grid);
    memcpy(run.block, (uint32_t[]){threads, 1, 1}, sizeof run.block);
    run.steps_max = 1000000;
    if (rig_load(rig, source, &program, &err))
        fail_msg("%s: %s", form, err.text);
    if (compare_run(rig, &program, &run, budgets, 2, &different))
        fail_msg("%s differs, at 0x%lx behind its output", form, (unsigned long)(different - out));
    rig_unload(&program);
}

static unsigned selectors_of(const struct weft_ptx_matrix *matrix)
{
    unsigned stored = matrix->k * weft_ptx_matrix_bits(matrix->a) / 256;
    if (!matrix->sparse)
        return 1;
    if (weft_ptx_matrix_bits(matrix->a) >= 16)
        return stored == 1 ? 4 : 2;
    return stored == 1 ? 2 : 1;
}

static unsigned run_product(struct rig *rig, const char *form)
{
    static struct text text;
    struct weft_ptx_matrix matrix;
    struct dice dice = {7};
    unsigned runs = 0;
    decode(form, &matrix);
    for (unsigned selector = 0; selector < selectors_of(&matrix); selector++)
        for (unsigned filling = 0; filling < FILLINGS; filling++, runs++) {
            rig_reset(rig);
            text.used = 0;
            make_product(&text, form, &matrix, selector);
            uint64_t in = rig_alloc(rig, (uint64_t)THREADS * 4 * OPERAND_BYTES);
            uint64_t out = rig_alloc(rig, (uint64_t)THREADS * OPERAND_BYTES);
            fill_operands(rig_host(rig, in), &matrix, (enum filling)filling, &dice);
            run_text(rig, form, text.text, in, out, THREADS);
        }
    return runs;
}

static void run_patterns(const char *const *patterns, size_t count,
                         unsigned (*run)(struct rig *rig, const char *form))
{
    struct rig rig;
    unsigned forms = 0;
    unsigned runs = 0;
    rig_init(&rig);
    for (size_t i = 0; i < count; i++) {
        char form[FORM_TEXT_BYTES];
        for (unsigned index = 0; form_expand(patterns[i], index, form); index++, forms++)
            runs += run(&rig, form);
    }
    rig_finish(&rig);
    printf("%u forms, %u runs equal the reference\n", forms, runs);
    assert_true(forms > 0);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void multiplies_fragments(void **state)
{
    static const char *const patterns[] = {
        "mma.sync.aligned.m8n8k4.{row,col}.{row,col}.{f16,f32}.f16.f16.{f16,f32}",
        "mma.sync.aligned.{m16n8k8,m16n8k16}.row.col.f16.f16.f16.f16",
        "mma.sync.aligned.{m16n8k8,m16n8k16}.row.col.f32.{f16.f16,bf16.bf16}.f32",
        "mma.sync.aligned.{m16n8k4,m16n8k8}.row.col.f32.tf32.tf32.f32",
        "mma.sync.aligned.{m8n8k4,m16n8k4,m16n8k8,m16n8k16}.row.col{,.rn,.rz,.rm,.rp}"
        ".f64.f64.f64.f64",
        "mma.sync.aligned.{m8n8k16,m16n8k16,m16n8k32}.row.col{,.satfinite}.s32.{u8,s8}.{u8,s8}.s32",
        "mma.sync.aligned.{m8n8k32,m16n8k32,m16n8k64}.row.col{,.satfinite}.s32.{u4,s4}.{u4,s4}.s32",
        "mma.sync.aligned.{m8n8k128,m16n8k128,m16n8k256}.row.col.s32.b1.b1.s32.{xor,and}.popc",
        "mma.sync.aligned.{m16n8k16,m16n8k32}.row.col.f32.{e4m3,e5m2}.{e4m3,e5m2}.f32",
        "mma.sync.aligned.{m16n8k16,m16n8k32}.row.col.f16.{e4m3,e5m2}.{e4m3,e5m2}.f16",
    };
    (void)state;
    run_patterns(patterns, COUNT(patterns), run_product);
}

static void multiplies_sparse_fragments(void **state)
{
    static const char *const patterns[] = {
        "mma.sp{,::ordered_metadata}.sync.aligned.{m16n8k16,m16n8k32}.row.col.f16.f16.f16.f16",
        "mma.sp{,::ordered_metadata}.sync.aligned.{m16n8k16,m16n8k32}.row.col.f32"
        ".{f16.f16,bf16.bf16}.f32",
        "mma.sp.sync.aligned.{m16n8k8,m16n8k16}.row.col.f32.tf32.tf32.f32",
        "mma.sp.sync.aligned.{m16n8k32,m16n8k64}.row.col{,.satfinite}.s32.{u8,s8}.{u8,s8}.s32",
        "mma.sp.sync.aligned.{m16n8k64,m16n8k128}.row.col{,.satfinite}.s32.{u4,s4}.{u4,s4}.s32",
        "mma.sp.sync.aligned.m16n8k64.row.col.f32.{e4m3,e5m2}.{e4m3,e5m2}.f32",
    };
    (void)state;
    run_patterns(patterns, COUNT(patterns), run_product);
}

/* The loads that go with a product of wmma: C and D by the layout given. */
static void put_wmma_load(struct text *text, char which, const char *layout, const char *shape,
                          const char *space, uint8_t type, unsigned count, unsigned at,
                          bool strided)
{
    const char *base = strcmp(space, ".shared") == 0 ? "%t3" : "%g";
    put(text, "wmma.load.%c.sync.aligned.%s.%s%s.%s ", which, layout, shape, space,
        weft_ptx_type_name((enum weft_ptx_type)type));
    put_registers(text, which, type, count);
    put(text, ", [%s+%u]", base, at);
    if (strided)
        put(text, ", %d", STRIDE);
    put(text, ";\n");
}

/* A generic address comes of .shared; memory is filled from the input. */
static void put_source(struct text *text, const char *space)
{
    put(text, "mov.u64 %%g, %%in;\nmov.u32 %%t3, tile;\n");
    if (strcmp(space, ".global") == 0)
        return;
    put(text,
        "mov.u32 %%t0, %%tid.x;\nmul.wide.u32 %%at, %%t0, 8;\nadd.u64 %%at, %%at, %%in;\n"
        "mad.lo.u32 %%t1, %%t0, 8, %%t3;\nmov.u32 %%t2, 0;\ncopy:\n"
        "ld.global.b64 %%aw0, [%%at];\nst.shared.b64 [%%t1], %%aw0;\n"
        "add.u64 %%at, %%at, %u;\nadd.u32 %%t1, %%t1, %u;\nadd.u32 %%t2, %%t2, 1;\n"
        "setp.lt.u32 %%p0, %%t2, %u;\n@%%p0 bra copy;\nbar.sync 0;\n"
        "cvt.u64.u32 %%at, %%t3;\ncvta.shared.u64 %%g, %%at;\n",
        8 * THREADS, 8 * THREADS, MATRIX_BYTES / (8 * THREADS));
}

static const char *layout_name(bool by_columns)
{
    return by_columns ? "col" : "row";
}

static void make_wmma(struct text *text, const char *form, const struct weft_ptx_matrix *matrix,
                      const char *space, bool strided, bool sums_by_columns)
{
    char shape[32];
    snprintf(shape, sizeof shape, "m%un%uk%u", matrix->m, matrix->n, matrix->k);
    put_head(text);
    put(text, ".reg .pred %%p0;\n");
    put_source(text, space);
    bool narrow = weft_ptx_matrix_bits(matrix->a) < 8; /* their strides are multiples of a row */
    put_wmma_load(text, 'a', layout_name(matrix->a_by_columns), shape, space, matrix->a,
                  matrix->a_registers, 0, strided && !narrow);
    put_wmma_load(text, 'b', layout_name(matrix->b_by_columns), shape, space, matrix->b,
                  matrix->b_registers, 4096, strided && !narrow);
    put_wmma_load(text, 'c', layout_name(sums_by_columns), shape, space, matrix->c,
                  matrix->c_registers, 8192, strided);
    put_product(text, form, matrix, 0);
    put(text,
        "mov.u32 %%t0, %%tid.x;\nshr.u32 %%t0, %%t0, 5;\n"
        "mul.wide.u32 %%at, %%t0, 8192;\nadd.u64 %%out, %%out, %%at;\n"
        "wmma.store.d.sync.aligned.%s.%s.global.%s [%%out], ",
        layout_name(!sums_by_columns), shape, weft_ptx_type_name((enum weft_ptx_type)matrix->d));
    put_registers(text, 'd', matrix->d, matrix->d_registers);
    put(text, "%s;\nret;\n}\n", strided ? ", 40" : "");
}

static void fill_matrices(uint8_t *in, const struct weft_ptx_matrix *matrix, enum filling filling,
                          struct dice *dice)
{
    const uint8_t types[] = {matrix->a, matrix->b, matrix->c, matrix->c};
    for (unsigned part = 0; part < 4; part++)
        for (unsigned at = 0; at < 4096;) {
            unsigned bytes = weft_ptx_matrix_bits(types[part]) == 64 ? 8 : 4;
            uint8_t cell[8];
            fill_register(cell, types[part], filling, dice);
            memcpy(in + part * 4096 + at, cell, bytes);
            at += bytes;
        }
}

static unsigned run_wmma(struct rig *rig, const char *form)
{
    static const char *const spaces[] = {".global", ".shared", ""};
    static struct text text;
    struct weft_ptx_matrix matrix;
    struct dice dice = {9};
    decode(form, &matrix);
    for (unsigned turn = 0; turn < 6; turn++) {
        rig_reset(rig);
        text.used = 0;
        make_wmma(&text, form, &matrix, spaces[turn % 3], turn % 2, turn / 2 % 2);
        uint64_t in = rig_alloc(rig, MATRIX_BYTES);
        uint64_t out = rig_alloc(rig, 16384);
        fill_matrices(rig_host(rig, in), &matrix, turn < 3 ? FILL_SMALL : FILL_ANY, &dice);
        run_text(rig, form, text.text, in, out, THREADS);
    }
    return 6;
}

#define WMMA_SHAPES "{m16n16k16,m32n8k16,m8n32k16}"

static void loads_multiplies_and_stores(void **state)
{
    static const char *const patterns[] = {
        "wmma.mma.sync.aligned.{row,col}.{row,col}." WMMA_SHAPES ".{f16,f32}.{f16,f32}",
        "wmma.mma.sync.aligned.{row,col}.{row,col}." WMMA_SHAPES ".f32.bf16.bf16.f32",
        "wmma.mma.sync.aligned.{row,col}.{row,col}." WMMA_SHAPES
        ".s32.{u8.u8,s8.s8}.s32{,.satfinite}",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.m16n16k8.f32.tf32.tf32.f32",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.m8n8k4{,.rz}.f64.f64.f64.f64",
        "wmma.mma.sync.aligned.row.col.m8n8k32.s32.{u4.u4,s4.s4}.s32{,.satfinite}",
        "wmma.mma.{xor,and}.popc.sync.aligned.row.col.m8n8k128.s32.b1.b1.s32",
    };
    (void)state;
    run_patterns(patterns, COUNT(patterns), run_wmma);
}

/* Row r of a matrix comes from the address of lane r, out of order. */
static void make_tiles(struct text *text, const char *form, unsigned count, bool stores)
{
    put_head(text);
    put(text, ".reg .pred %%p0;\n");
    put_source(text, ".shared");
    put(text, "mov.u32 %%t0, %%tid.x;\nxor.b32 %%t1, %%t0, 5;\nmad.lo.u32 %%t3, %%t1, 48, %%t3;\n"
              "mul.wide.u32 %%at, %%t0, 128;\nadd.u64 %%in, %%in, %%at;\n"
              "add.u64 %%out, %%out, %%at;\n");
    put_transfer(text, 'a', WEFT_PTX_B16, count, 0, true);
    put(text, "%s ", form);
    if (stores)
        put(text, "[%%t3], ");
    put_registers(text, stores ? 'a' : 'd', WEFT_PTX_B16, count);
    put(text, "%s;\n", stores ? "" : ", [%t3]");
    if (stores)
        put(text, "bar.sync 0;\nld.shared.b32 %%d0, [%%t3+8];\nld.shared.b32 %%d1, [%%t3+4];\n");
    put_transfer(text, 'd', WEFT_PTX_B16, stores ? 2 : count, 0, false);
    put(text, "ret;\n}\n");
}

static unsigned run_tiles(struct rig *rig, const char *form)
{
    static struct text text;
    struct dice dice = {11};
    const char *number = strstr(form, ".x");
    unsigned count = number ? (unsigned)(number[2] - '0') : 1;
    rig_reset(rig);
    text.used = 0;
    make_tiles(&text, form, count, strncmp(form, "st", 2) == 0);
    uint64_t in = rig_alloc(rig, MATRIX_BYTES);
    uint64_t out = rig_alloc(rig, MATRIX_BYTES);
    uint64_t *cells = rig_host(rig, in);
    for (unsigned i = 0; i < MATRIX_BYTES / 8; i++)
        cells[i] = dice_roll(&dice);
    run_text(rig, form, text.text, in, out, THREADS);
    return 1;
}

static void moves_tiles(void **state)
{
    static const char *const patterns[] = {
        "ldmatrix.sync.aligned.m8n8.{x1,x2,x4}{,.trans}{.shared,.shared::cta}.b16",
        "stmatrix.sync.aligned.m8n8.{x1,x2,x4}{,.trans}{.shared,.shared::cta}.b16",
    };
    (void)state;
    run_patterns(patterns, COUNT(patterns), run_tiles);
}

/* By hand: A[i][k] = i + 1 where k is 0, B[0][j] = j, C = 1: D[i][j] = (i + 1) j + 1. And
 * movmatrix turns word (row r, columns 2 c and 2 c + 1) over. */
static const char by_hand[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry form(.param .u64 p_in, .param .u64 p_out)\n{\n"
    ".reg .b32 %a<2>, %b, %c<4>, %t<8>;\n.reg .b64 %out, %at;\n.reg .pred %p;\n"
    "ld.param.u64 %out, [p_out];\nmov.u32 %t0, %tid.x;\nmul.wide.u32 %at, %t0, 32;\n"
    "add.u64 %out, %out, %at;\nshr.u32 %t1, %t0, 2;\nand.b32 %t2, %t0, 3;\n"
    "setp.eq.u32 %p, %t2, 0;\nadd.u32 %t3, %t1, 1;\nadd.u32 %t4, %t1, 9;\n"
    "selp.b32 %a0, %t3, 0, %p;\nselp.b32 %a1, %t4, 0, %p;\nselp.b32 %b, %t1, 0, %p;\n"
    "mov.u32 %t5, 1;\n"
    "mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32 {%c0, %c1, %c2, %c3}, {%a0, %a1}, {%b}, "
    "{%t5, %t5, %t5, %t5};\n"
    "st.global.v4.b32 [%out], {%c0, %c1, %c2, %c3};\n"
    "shl.b32 %t6, %t0, 1;\nadd.u32 %t7, %t6, 1;\nshl.b32 %t7, %t7, 16;\nor.b32 %t6, %t6, %t7;\n"
    "movmatrix.sync.aligned.m8n8.trans.b16 %t6, %t6;\nst.global.b32 [%out+16], %t6;\nret;\n}\n";

static void gives_what_a_hand_computes(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    uint64_t out = rig_alloc(&rig, 64 * 32);
    run_text(&rig, "the kernel by hand", by_hand, out, out, 32);
    const uint32_t *results = rig_host(&rig, out);
    for (uint32_t lane = 0; lane < 32; lane++, results += 8) {
        uint32_t row = lane / 4;
        uint32_t column = lane % 4 * 2;
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(results[i], (row + 1 + i / 2 * 8) * (column + i % 2) + 1);
        /* Element (r, c) of the matrix was 8 r + c; now lane has (column, row), (column + 1, row).
         */
        assert_int_equal(results[4], (column * 8 + row) | ((column + 1) * 8 + row) << 16);
    }
    rig_finish(&rig);
}

static void expect_refusal(const char *target, const char *insn, const char *reason)
{
    char text[2048];
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    snprintf(text, sizeof text,
             ".version 8.7\n.target %s\n.address_size 64\n.visible .entry form()\n{\n"
             ".reg .b32 %%r<9>;\n.reg .b64 %%l;\n%s\nret;\n}\n",
             target, insn);
    int status = weft_ptx_parse(&module, text, strlen(text), &err);
    weft_ptx_destroy(module);
    if (status == 0 || !strstr(err.text, reason))
        fail_msg("%s: %s, not %s", insn, status ? err.text : "taken", reason);
}

static void refuses_what_the_isa_lacks(void **state)
{
    (void)state;
    expect_refusal("sm_75",
                   "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%r0,%r1}, "
                   "{%r0,%r1,%r2,%r3}, {%r0,%r1}, {%r0,%r1};",
                   "needs .target sm_80");
    expect_refusal("sm_90",
                   "mma.sync.aligned.m16n8k16.col.row.f16.f16.f16.f16 {%r0,%r1}, "
                   "{%r0,%r1,%r2,%r3}, {%r0,%r1}, {%r0,%r1};",
                   ".row.col alone");
    expect_refusal("sm_90",
                   "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%r0,%r1}, {%r0,%r1}, "
                   "{%r0,%r1}, {%r0,%r1};",
                   "not the fragments");
    expect_refusal("sm_90",
                   "mma.sync.aligned.m16n8k7.row.col.f16.f16.f16.f16 {%r0,%r1}, {%r0,%r1}, "
                   "{%r0,%r1}, {%r0,%r1};",
                   "does not go with these types");
    expect_refusal("sm_90", "wmma.load.d.sync.aligned.row.m16n16k16.f16 {%r0,%r1,%r2,%r3}, [%l];",
                   "only .a, .b and .c are loaded");
    expect_refusal("sm_80", "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%l], {%r0};",
                   "needs .target sm_90");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_a_hand_computes),
        cmocka_unit_test(moves_tiles),
        cmocka_unit_test(multiplies_fragments),
        cmocka_unit_test(multiplies_sparse_fragments),
        cmocka_unit_test(loads_multiplies_and_stores),
        cmocka_unit_test(refuses_what_the_isa_lacks),
    };
    return cmocka_run_group_tests_name("matrix", tests, NULL, NULL);
}
