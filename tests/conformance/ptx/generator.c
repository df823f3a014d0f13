#include "generator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "templates.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define STATEMENTS_LEAST 8u
#define STATEMENTS_SPREAD 40u
#define DEPTH_MAX 3u
#define BLOCK_MAX 6u
#define DEPOT_BYTES 40u
#define OWN_OFFSET                                                                 \
    176u /* in a record of `out`, behind the registers: memory of the thread's own \
          */

static const struct generator_register registers[] = {
    {'w', 0, 0},   {'w', 1, 4},   {'w', 2, 8},   {'w', 3, 12},  {'w', 4, 16},  {'w', 5, 20},
    {'w', 6, 24},  {'w', 7, 28},  {'l', 0, 32},  {'l', 1, 40},  {'l', 2, 48},  {'l', 3, 56},
    {'h', 0, 64},  {'h', 1, 66},  {'h', 2, 68},  {'h', 3, 70},  {'f', 0, 72},  {'f', 1, 76},
    {'f', 2, 80},  {'f', 3, 84},  {'f', 4, 88},  {'f', 5, 92},  {'d', 0, 96},  {'d', 1, 104},
    {'d', 2, 112}, {'d', 3, 120}, {'p', 0, 128}, {'p', 1, 132}, {'p', 2, 136}, {'p', 3, 140},
};

size_t generator_registers(const struct generator_register **out)
{
    *out = registers;
    return COUNT(registers);
}

__attribute__((format(printf, 2, 3))) static void put(struct generator *generator,
                                                      const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t room = GENERATOR_TEXT_BYTES - generator->used;
    int count = vsnprintf(generator->text + generator->used, room, format, list);
    va_end(list);
    generator->used += (size_t)count;
    if (generator->used >= GENERATOR_TEXT_BYTES)
        exit(1);
}

static unsigned pick(struct generator *generator, size_t count)
{
    return dice_below(&generator->dice, (uint32_t)count);
}

static unsigned register_count(char kind)
{
    return kind == 'w' ? 8 : kind == 'f' ? 6 : 4;
}

static void put_operand(struct generator *generator, char letter)
{
    if (letter == 'm')
        put(generator, "%%m%u", generator->mask);
    else if (letter == 'n')
        put(generator, "%u", pick(generator, 40));
    else if (letter == 't')
        put(generator, "%%s0"); /* the 16-bit scratch */
    else if (letter == 'W' && pick(generator, 2))
        put(generator, "%d", (int)(int32_t)kind_random('w', &generator->dice));
    else if (letter == 'W')
        put(generator, "%%w%u", pick(generator, register_count('w')));
    else
        put(generator, "%%%c%u", letter, pick(generator, register_count(letter)));
}

static void put_template(struct generator *generator, const char *template)
{
    for (const char *at = template; *at; at++) {
        if (*at == '@' && strchr("wlhfdpWntm", at[1]))
            put_operand(generator, *++at);
        else
            put(generator, "%c", *at);
    }
    put(generator, "\n");
}

static void put_guard(struct generator *generator)
{
    put(generator, "@%s%%p%u ", pick(generator, 2) ? "!" : "", pick(generator, 4));
}

static void put_block(struct generator *generator, bool together);

static void put_if(struct generator *generator)
{
    unsigned label = generator->labels++;
    bool has_else = pick(generator, 2);
    put_guard(generator);
    put(generator, "bra else%u;\n", label);
    put_block(generator, false);
    if (has_else)
        put(generator, "bra end%u;\n", label);
    put(generator, "else%u:\n", label);
    if (has_else)
        put_block(generator, false);
    put(generator, "end%u:\n", label);
}

static void put_side(struct generator *generator, unsigned mask)
{
    put_block(generator, false);
    generator->mask = mask;
    for (unsigned count = 1 + pick(generator, 3); count; count--)
        put_template(generator, partial_templates[pick(generator, COUNT(partial_templates))]);
}

/* Both sides of a branch, each with exchanges among the lanes that took it. */
static void put_sides(struct generator *generator)
{
    unsigned label = generator->labels++;
    unsigned predicate = pick(generator, 4);
    put(generator, "vote.sync.ballot.b32 %%m0, %%p%u, -1;\nnot.b32 %%m1, %%m0;\n", predicate);
    put(generator, "@!%%p%u bra else%u;\n", predicate, label);
    put_side(generator, 0);
    put(generator, "bra end%u;\nelse%u:\n", label, label);
    put_side(generator, 1);
    put(generator, "end%u:\n", label);
}

/* A trip count of each lane's own, with break and continue; or one of all, in which the warp stays
 * together. */
static void put_loop(struct generator *generator, bool together)
{
    unsigned label = generator->labels++;
    unsigned depth = generator->depth;
    bool uniform = together && pick(generator, 2);
    if (uniform)
        put(generator, "mov.u32 %%c%u, %u;\n", depth, 1 + pick(generator, 4));
    else
        put(generator, "and.b32 %%c%u, %%w%u, %u;\n", depth, pick(generator, 8), depth > 1 ? 3 : 7);
    put(generator, "loop%u:\nsetp.eq.u32 %%q2, %%c%u, 0;\n@%%q2 bra end%u;\n", label, depth, label);
    put(generator, "sub.u32 %%c%u, %%c%u, 1;\n", depth, depth);
    put_block(generator, uniform);
    if (!uniform && pick(generator, 2)) {
        put_guard(generator);
        put(generator, "bra %s%u;\n", pick(generator, 2) ? "end" : "loop", label);
        put_block(generator, false);
    }
    put(generator, "bra loop%u;\nend%u:\n", label, label);
}

static void put_switch(struct generator *generator)
{
    unsigned label = generator->labels++;
    put(generator, "and.b32 %%t0, %%w%u, 3;\n", pick(generator, 8));
    put(generator, "targets%u: .branchtargets a%u, b%u, c%u, end%u;\n", label, label, label, label,
        label);
    put(generator, "brx.idx %%t0, targets%u;\n", label);
    for (unsigned arm = 0; arm < 3; arm++) {
        put(generator, "%c%u:\n", 'a' + (char)arm, label);
        put_block(generator, false);
        if (pick(generator, 3))
            put(generator, "bra end%u;\n", label);
    }
    put(generator, "end%u:\n", label);
}

static void put_statement(struct generator *generator, bool together)
{
    unsigned way = pick(generator, 24);
    if (way < 3 && generator->depth < DEPTH_MAX) {
        generator->depth++;
        if (together && pick(generator, 3) == 0)
            put_sides(generator);
        else if (way == 0)
            put_if(generator);
        else if (way == 1)
            put_loop(generator, together);
        else
            put_switch(generator);
        generator->depth--;
        return;
    }
    if (way < 6 && together) {
        put_template(generator, together_templates[pick(generator, COUNT(together_templates))]);
        return;
    }
    if (way < 9) {
        put_template(generator, compound_templates[pick(generator, COUNT(compound_templates))]);
        return;
    }
    const char *template = simple_templates[pick(generator, COUNT(simple_templates))];
    if (pick(generator, 5) == 0 && !strchr(template, '\n'))
        put_guard(generator);
    put_template(generator, template);
}

static void put_block(struct generator *generator, bool together)
{
    unsigned count = 1 + pick(generator, BLOCK_MAX);
    for (unsigned i = 0; i < count && generator->statements; i++) {
        generator->statements--;
        put_statement(generator, together);
    }
}

static void put_functions(struct generator *generator)
{
    put(generator, ".func (.reg .b32 %%v) mixed(.reg .b32 %%a, .reg .b32 %%b)\n{\n"
                   ".reg .pred %%p;\nsetp.gt.s32 %%p, %%a, %%b;\n@%%p bra more;\n"
                   "xor.b32 %%v, %%a, %%b;\nret;\nmore:\nsub.u32 %%v, %%a, %%b;\nret;\n}\n");
    put(generator,
        ".func (.param .b32 v) folded(.param .b32 n)\n{\n.reg .b32 %%r<6>;\n.reg .pred %%p;\n"
        "ld.param.b32 %%r1, [n];\nand.b32 %%r2, %%r1, 3;\nsetp.eq.u32 %%p, %%r2, 0;\n"
        "@%%p st.param.b32 [v], %%r1;\n@%%p ret;\nshr.u32 %%r3, %%r1, 2;\n{\n.param .b32 m;\n"
        ".param .b32 w;\nst.param.b32 [m], %%r3;\ncall (w), folded, (m);\n"
        "ld.param.b32 %%r4, [w];\n}\nmad.lo.u32 %%r4, %%r4, 5, %%r2;\nst.param.b32 [v], %%r4;\n"
        "ret;\n}\n");
}

static void put_table(struct generator *generator)
{
    put(generator, ".const .align 4 .u32 table[64] = {");
    for (int i = 0; i < 64; i++)
        put(generator, "%s%u", i ? ", " : "", (uint32_t)kind_random('w', &generator->dice));
    put(generator, "};\n");
}

/* What the device provides, and a format whose arguments are what a thread keeps in `out`. */
static void put_system(struct generator *generator)
{
    static const char format[] = "%d %5u|%-8.3x %c %lld %+hd %g\n";
    put(generator, ".extern .func (.param .b32 n) vprintf(.param .b64 f, .param .b64 a);\n"
                   ".extern .func (.param .b64 p) malloc(.param .b64 n);\n"
                   ".extern .func free(.param .b64 p);\n.global .align 1 .b8 format[] = {");
    for (size_t i = 0; i < sizeof format; i++)
        put(generator, "%s%d", i ? ", " : "", format[i]);
    put(generator, "};\n");
}

static void put_start(struct generator *generator)
{
    put(generator,
        ".visible .entry kernel(.param .u64 p_out, .param .u64 p_in)\n{\n"
        ".shared .align 8 .b8 cells[%u];\n.local .align 8 .b8 depot[%u];\n"
        ".reg .b32 %%w<8>, %%t<4>, %%c<4>, %%m<2>, %%mine, %%other;\n"
        ".reg .b64 %%l<4>, %%u<4>, %%out, %%in, %%own, %%mine64;\n.reg .b16 %%h<4>, %%s<2>;\n"
        ".reg .f32 %%f<6>;\n.reg .f64 %%d<4>;\n.reg .pred %%p<4>, %%q<4>;\n",
        GENERATOR_THREADS * 16, DEPOT_BYTES);
    put(generator,
        "ld.param.u64 %%out, [p_out];\nld.param.u64 %%in, [p_in];\nmov.u32 %%t0, %%tid.x;\n"
        "mov.u32 %%mine, cells;\nmad.lo.u32 %%mine, %%t0, 16, %%mine;\n"
        "xor.b32 %%t1, %%t0, 1;\nmov.u32 %%other, cells;\nmad.lo.u32 %%other, %%t1, 16, %%other;\n"
        "cvt.u64.u32 %%mine64, %%mine;\nmov.u32 %%t1, %%ctaid.x;\n"
        "mad.lo.u32 %%t0, %%t1, %u, %%t0;\nmul.wide.u32 %%u0, %%t0, %u;\n"
        "add.u64 %%in, %%in, %%u0;\nadd.u64 %%own, %%out, %%u0;\nadd.u64 %%own, %%own, %u;\n",
        GENERATOR_THREADS, GENERATOR_RECORD_BYTES, GENERATOR_COUNTER_BYTES + OWN_OFFSET);
    for (unsigned at = 0; at < DEPOT_BYTES; at += 8)
        put(generator, "st.local.u64 [depot+%u], 0;\n", at);
    for (size_t i = 0; i < COUNT(registers); i++) {
        const struct generator_register *at = &registers[i];
        if (at->kind == 'p')
            put(generator, "ld.global.u32 %%t0, [%%in+%u];\nsetp.ne.u32 %%p%u, %%t0, 0;\n",
                at->offset, at->index);
        else
            put(generator, "ld.global.b%u %%%c%u, [%%in+%u];\n", kind_bits(at->kind), at->kind,
                at->index, at->offset);
    }
}

/* NaN is stored as one NaN, whatever its payload. */
static void put_end(struct generator *generator)
{
    for (size_t i = 0; i < COUNT(registers); i++) {
        const struct generator_register *at = &registers[i];
        int place = (int)at->offset - (int)OWN_OFFSET;
        if (at->kind == 'f' || at->kind == 'd')
            put(generator,
                "setp.nan.f%u %%q0, %%%c%u, %%%c%u;\nselp.f%u %%%c%u, %s, %%%c%u, %%q0;\n",
                kind_bits(at->kind), at->kind, at->index, at->kind, at->index, kind_bits(at->kind),
                at->kind, at->index, at->kind == 'f' ? "0f7fffffff" : "0d7fffffffffffffff",
                at->kind, at->index);
        if (at->kind == 'p')
            put(generator, "selp.u32 %%t0, 1, 0, %%p%u;\nst.global.u32 [%%own+%d], %%t0;\n",
                at->index, place);
        else
            put(generator, "st.global.b%u [%%own+%d], %%%c%u;\n", kind_bits(at->kind), place,
                at->kind, at->index);
    }
    put(generator, "ret;\n}\n");
}

void generator_make(struct generator *generator, uint64_t seed)
{
    *generator = (struct generator){.dice = {seed}};
    generator->statements = STATEMENTS_LEAST + pick(generator, STATEMENTS_SPREAD);
    put(generator, ".version 8.0\n.target sm_90\n.address_size 64\n");
    put_table(generator);
    put_system(generator);
    put_functions(generator);
    put_start(generator);
    while (generator->statements)
        put_block(generator, true);
    put_end(generator);
}
