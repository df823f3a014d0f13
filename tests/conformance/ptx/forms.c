#include "forms.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 128u
#define RANDOM_CASES 256u
#define CASES_MAX 65536u /* every value of 16 bits */
#define KERNEL_BYTES 8192
#define SLOT 8u
#define RESULT_SLOTS 2u
#define SEED 20u

/* One form, expanded. */
struct form {
    const struct form_row *row;
    char text[FORM_TEXT_BYTES];
    char result;                        /* kind; P for p|q */
    char sources[FORM_SOURCES_MAX + 1]; /* kinds */
    unsigned source_count;
};

struct cases {
    uint32_t count; /* a multiple of BLOCK */
    uint64_t values[FORM_SOURCES_MAX][CASES_MAX];
};

bool form_expand(const char *pattern, unsigned index, char out[FORM_TEXT_BYTES])
{
    size_t used = 0;
    while (*pattern && used + 1 < FORM_TEXT_BYTES) {
        if (*pattern != '{') {
            out[used++] = *pattern++;
            continue;
        }
        const char *end = strchr(pattern, '}');
        unsigned options = 1;
        for (const char *at = pattern; at < end; at++)
            options += *at == ',';
        const char *option = pattern + 1;
        for (unsigned skip = index % options; skip; skip--)
            option = strchr(option, ',') + 1;
        index /= options;
        while (*option != ',' && *option != '}' && used + 1 < FORM_TEXT_BYTES)
            out[used++] = *option++;
        pattern = end + 1;
    }
    out[used] = '\0';
    return index == 0;
}

static char kind_of_type(const char *type, size_t length)
{
    static const struct {
        const char *name;
        char kind;
    } types[] = {{"u8", 'w'},  {"s8", 'w'},   {"b8", 'w'},    {"u16", 'h'},    {"s16", 'h'},
                 {"b16", 'h'}, {"u32", 'w'},  {"s32", 'w'},   {"b32", 'w'},    {"u64", 'l'},
                 {"s64", 'l'}, {"b64", 'l'},  {"f16", 'e'},   {"bf16", 'g'},   {"f32", 'f'},
                 {"f64", 'd'}, {"pred", 'p'}, {"f16x2", 'E'}, {"bf16x2", 'G'}, {"tf32", 'w'}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].name) == length && strncmp(types[i].name, type, length) == 0)
            return types[i].kind;
    return 0;
}

/* The kind of the form's type number `index`. */
static char type_kind(const char *text, unsigned index)
{
    for (const char *at = strchr(text, '.'); at; at = strchr(at + 1, '.')) {
        char kind = kind_of_type(at + 1, strcspn(at + 1, "."));
        if (kind && index-- == 0)
            return kind;
    }
    return 'w';
}

static char resolve(const char *text, char letter)
{
    if (letter == '0' || letter == '1')
        return type_kind(text, (unsigned)(letter - '0'));
    if (letter == 'D')
        return type_kind(text, 0) == 'h' ? 'w' : 'l';
    return letter;
}

static void make_form(struct form *form, const struct form_row *row)
{
    form->row = row;
    form->result = resolve(form->text, row->signature[0]);
    form->source_count = (unsigned)strlen(row->signature) - 2;
    for (unsigned i = 0; i < form->source_count; i++)
        form->sources[i] = resolve(form->text, row->signature[2 + i]);
}

static uint64_t corner(char kind, size_t index)
{
    const uint64_t *corners;
    size_t count = kind_corners(kind, &corners);
    uint64_t low = corners[index % count];
    return kind == 'E' || kind == 'G' ? corners[(7 * index + 3) % count] << 16 | low : low;
}

/* Every value of 16 bits; of pairs, with another value beside it. */
static bool make_every_case(const struct form *form, struct cases *cases)
{
    char kind = form->sources[0];
    bool pair = kind == 'E' || kind == 'G';
    if (form->source_count != 1 || (!pair && kind_bits(kind) != 16))
        return false;
    cases->count = CASES_MAX;
    for (uint64_t at = 0; at < CASES_MAX; at++)
        cases->values[0][at] = pair ? (at * 40503 & 0xffff) << 16 | at : at;
    return true;
}

/* All corners against all, as many of each as keep the product small; then random values. */
static void make_cases(const struct form *form, struct cases *cases)
{
    static const size_t most[] = {0, 64, 40, 12, 6};
    size_t counts[FORM_SOURCES_MAX];
    uint32_t product = 1;
    for (unsigned i = 0; i < form->source_count; i++) {
        const uint64_t *corners;
        counts[i] = kind_corners(form->sources[i], &corners);
        if (counts[i] > most[form->source_count])
            counts[i] = most[form->source_count];
        product *= (uint32_t)counts[i];
    }
    struct dice dice = {SEED};
    cases->count = (product + RANDOM_CASES + BLOCK - 1) / BLOCK * BLOCK;
    for (uint32_t at = 0; at < cases->count; at++) {
        uint32_t rest = at;
        for (unsigned i = 0; i < form->source_count; i++) {
            cases->values[i][at] = at < product ? corner(form->sources[i], rest % counts[i])
                                                : kind_random(form->sources[i], &dice);
            rest /= (uint32_t)counts[i];
        }
    }
}

static const char *register_type(char kind)
{
    switch (kind) {
    case 'p':
    case 'P':
        return "pred";
    case 'f':
        return "f32";
    case 'd':
        return "f64";
    default:
        return kind_bits(kind) == 16 ? "b16" : kind_bits(kind) == 32 ? "b32" : "b64";
    }
}

struct writer {
    char text[KERNEL_BYTES];
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer, const char *format,
                                                      ...)
{
    va_list list;
    va_start(list, format);
    int count = vsnprintf(writer->text + writer->used, KERNEL_BYTES - writer->used, format, list);
    va_end(list);
    writer->used += (size_t)count;
    if (writer->used >= KERNEL_BYTES)
        exit(1);
}

static void put_load(struct writer *writer, unsigned index, char kind)
{
    unsigned bits = kind == 'p' ? 32 : kind_bits(kind);
    const char *target = kind == 'p' ? "%t" : "%a";
    put(writer, "ld.global.b%u %s%u, [%%in+%u];\n", bits, target, index, index * SLOT);
    if (kind == 'p')
        put(writer, "setp.ne.u32 %%a%u, %%t%u, 0;\n", index, index);
}

static void put_result(struct writer *writer, const struct form *form)
{
    if (form->result == 'p' || form->result == 'P')
        put(writer, "selp.u32 %%t0, 1, 0, %%r;\nst.global.u32 [%%out], %%t0;\n");
    else
        put(writer, "st.global.b%u [%%out], %%r;\n", kind_bits(form->result));
    if (form->result == 'P')
        put(writer, "selp.u32 %%t0, 1, 0, %%q;\nst.global.u32 [%%out+8], %%t0;\n");
    if (form->row->carry)
        put(writer, "addc.u32 %%t0, 0, 0;\nst.global.u32 [%%out+8], %%t0;\n");
}

/* The thread's own cell, in the space that the form names; without one, in global memory. */
static const char *cell_space(const struct form *form)
{
    return strstr(form->text, ".shared") ? ".shared" : strstr(form->text, ".local") ? ".local" : "";
}

static const char *cell_address(const struct form *form)
{
    const char *space = cell_space(form);
    return !*space ? "[%out+8]" : space[1] == 's' ? "[%cell]" : "[own_cell]";
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void put_cell_instruction(struct writer *writer, const struct form *form)
{
    const char *address = cell_address(form);
    bool returns = starts_with(form->text, "ld") || starts_with(form->text, "atom");
    put(writer, "st%s.b%u %s, %%a0;\n", cell_space(form), kind_bits(form->sources[0]), address);
    put(writer, "%s %s%s", form->text, returns ? "%r, " : "", address);
    for (unsigned i = 1; i < form->source_count; i++)
        put(writer, ", %%a%u", i);
    put(writer, ";\nld%s.b64 %%at, %s;\nst.global.b64 [%%out+8], %%at;\n", cell_space(form),
        address);
    if (!returns)
        put(writer, "mov.b%u %%r, 0;\n", kind_bits(form->result));
}

static void put_instruction(struct writer *writer, const struct form *form)
{
    if (form->row->before)
        put(writer, "%s\n", form->row->before);
    if (strchr(form->text, ' ')) {
        put(writer, "%s;\n", form->text);
        return;
    }
    put(writer, "%s %s", form->text, form->result == 'P' ? "%r|%q" : "%r");
    for (unsigned i = 0; i < form->source_count; i++)
        put(writer, ", %%a%u", i);
    put(writer, "%s;\n", form->row->tail ? form->row->tail : "");
}

/* Each thread takes its sources from one row of `in`, and leaves the result in one row of `out`. */
static void make_kernel(const struct form *form, struct writer *writer)
{
    put(writer, ".version 8.6\n.target sm_90\n.address_size 64\n"
                ".visible .entry form(.param .u64 p_in, .param .u64 p_out)\n{\n"
                ".reg .b32 %%t<8>, %%cell;\n.reg .b64 %%in, %%out, %%at;\n.reg .pred %%q;\n");
    if (form->row->cell)
        put(writer, ".shared .align 8 .b64 cells[%u];\n.local .align 8 .b64 own_cell;\n", BLOCK);
    put(writer, ".reg .%s %%r;\n", register_type(form->result));
    for (unsigned i = 0; i < form->source_count; i++)
        put(writer, ".reg .%s %%a%u;\n", register_type(form->sources[i]), i);
    put(writer,
        "ld.param.u64 %%in, [p_in];\nld.param.u64 %%out, [p_out];\n"
        "mov.u32 %%t4, %%tid.x;\nmov.u32 %%t5, %%ctaid.x;\nmov.u32 %%t6, %%ntid.x;\n"
        "mad.lo.u32 %%t4, %%t5, %%t6, %%t4;\nmul.wide.u32 %%at, %%t4, %u;\n"
        "add.u64 %%in, %%in, %%at;\nmul.wide.u32 %%at, %%t4, %u;\n"
        "add.u64 %%out, %%out, %%at;\n",
        FORM_SOURCES_MAX * SLOT, RESULT_SLOTS * SLOT);
    if (form->row->cell)
        put(writer, "mov.u32 %%t4, %%tid.x;\nmov.u32 %%cell, cells;\n"
                    "mad.lo.u32 %%cell, %%t4, 8, %%cell;\nst.shared.u64 [%%cell], 0;\n"
                    "st.local.u64 [own_cell], 0;\n");
    for (unsigned i = 0; i < form->source_count; i++)
        put_load(writer, i, form->sources[i]);
    if (form->row->cell)
        put_cell_instruction(writer, form);
    else
        put_instruction(writer, form);
    put_result(writer, form);
    put(writer, "ret;\n}\n");
}

#define PI 3.14159265358979323846L

static long double allowed_of_angle(const struct form *form, long double angle)
{
    if (angle <= 2 * PI)
        return form->row->bound;
    return angle <= 100 * PI ? 0x1.3b2cp-15L /* 2^-14.7 */ : 2;
}

static long double allowed(const struct form *form, const uint64_t *sources, char kind,
                           long double want)
{
    double bound = form->row->bound;
    long double relative = bound * fabsl(want) + 0x1p-24L * fabsl(want);
    long double least = kind == 'f'   ? 0x1p-148L
                        : kind == 'e' ? 0x1p-24L
                        : kind == 'g' ? 0x1p-133L
                                      : 0;
    switch (form->row->check) {
    case FORM_RELATIVE:
    case FORM_QUOTIENT:
        return relative + least;
    case FORM_ABSOLUTE:
        return bound;
    case FORM_EITHER:
        return fmaxl(bound, relative);
    default:
        return allowed_of_angle(form, fabsl(kind_number('f', sources[0])));
    }
}

static bool is_close(const struct form *form, const uint64_t *sources, char kind, uint64_t want,
                     uint64_t got)
{
    long double x = kind_number(kind, want);
    long double y = kind_number(kind, got);
    if (form->row->check == FORM_QUOTIENT) {
        long double divisor = fabsl(kind_number(form->sources[1], sources[1]));
        if (!(divisor >= 0x1p-126L && divisor < 0x1p128L))
            return true;
    }
    if (isnan(x) || isnan(y))
        return isnan(x) && isnan(y);
    if (isinf(x) || isinf(y))
        return x == y;
    return fabsl(x - y) <= allowed(form, sources, kind, x);
}

/* Of a pair, each half by itself. */
static bool is_close_throughout(const struct form *form, const uint64_t *sources, uint64_t want,
                                uint64_t got)
{
    bool pair = form->result == 'E' || form->result == 'G';
    if (!pair)
        return is_close(form, sources, form->result, want, got);
    char kind = form->result == 'E' ? 'e' : 'g';
    return is_close(form, sources, kind, want & 0xffff, got & 0xffff) &&
           is_close(form, sources, kind, want >> 16, got >> 16);
}

static bool same_float(char kind, uint64_t want, uint64_t got)
{
    return want == got || (kind_is_nan(kind, want) && kind_is_nan(kind, got));
}

static bool agrees(const struct form *form, const uint64_t *sources, const uint64_t *want,
                   const uint64_t *got)
{
    bool float_cell = form->row->cell && kind_is_float(form->sources[0]);
    if (want[1] != got[1] && !(float_cell && same_float(form->sources[0], want[1], got[1])))
        return false;
    switch (form->row->check) {
    case FORM_EXACT:
        break;
    case FORM_DIVISOR:
        if (sources[1] == 0)
            return true;
        break;
    default:
        return is_close_throughout(form, sources, want[0], got[0]);
    }
    if (form->result == 'E' || form->result == 'G')
        return same_float(form->result, want[0] & 0xffff, got[0] & 0xffff) &&
               same_float(form->result, want[0] >> 16, got[0] >> 16);
    return same_float(form->result, want[0], got[0]);
}

static void print_difference(const struct form *form, const char *where, const uint64_t *sources,
                             const uint64_t *want, const uint64_t *got)
{
    printf("FAILED %s (%s):", form->text, where);
    for (unsigned i = 0; i < form->source_count; i++)
        printf(" 0x%" PRIx64, sources[i]);
    printf(" gave 0x%" PRIx64 "/%" PRIu64 ", not 0x%" PRIx64 "/%" PRIu64 "\n", got[0], got[1],
           want[0], want[1]);
}

/* The first case that differs decides. */
static bool compare_results(struct rig *rig, const struct form *form, const struct cases *cases,
                            uint64_t out, const char *where)
{
    const uint64_t *got = rig_host(rig, out);
    const uint64_t *want = (const uint64_t *)(rig->expected + (out - RIG_WINDOW_BASE));
    for (uint32_t at = 0; at < cases->count; at++) {
        uint64_t sources[FORM_SOURCES_MAX];
        for (unsigned i = 0; i < FORM_SOURCES_MAX; i++)
            sources[i] = i < form->source_count ? cases->values[i][at] : 0;
        if (agrees(form, sources, want + at * RESULT_SLOTS, got + at * RESULT_SLOTS))
            continue;
        print_difference(form, where, sources, want + at * RESULT_SLOTS, got + at * RESULT_SLOTS);
        return false;
    }
    return true;
}

static const char *const isa_names[] = {"baseline", "AVX2", "AVX-512"};

static int run_everywhere(struct rig *rig, struct rig_program *program, const struct form *form,
                          const struct cases *cases, const uint64_t params[2])
{
    struct rig_run run = {.entry = "form", .params = params, .params_bytes = 16};
    memcpy(run.grid, (uint32_t[]){cases->count / BLOCK, 1, 1}, sizeof run.grid);
    memcpy(run.block, (uint32_t[]){BLOCK, 1, 1}, sizeof run.block);
    struct rig_result result;
    rig_remember(rig);
    rig_refer(rig, program, &run, &result);
    if (result.status) {
        printf("FAILED %s: the reference: %s\n", form->text, result.err.text);
        return result.status;
    }
    rig_expect(rig);
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
        if (!weft_exec_isa_force((enum weft_exec_isa)isa))
            continue;
        rig_recall(rig);
        rig_execute(rig, program, &run, &result);
        if (result.status == -WEFT_ENOSYS) {
            printf("missing %s\n", form->text);
            return result.status;
        }
        if (result.status)
            printf("FAILED %s (%s): %s\n", form->text, isa_names[isa], result.err.text);
        if (result.status || !compare_results(rig, form, cases, params[1], isa_names[isa]))
            return -WEFT_EBUG;
    }
    return 0;
}

static void fill(struct rig *rig, const struct form *form, const struct cases *cases, uint64_t in)
{
    uint64_t *host = rig_host(rig, in);
    for (uint32_t at = 0; at < cases->count; at++)
        for (unsigned i = 0; i < form->source_count; i++)
            host[at * FORM_SOURCES_MAX + i] = cases->values[i][at];
}

static int run_form(struct rig *rig, const struct form *form, bool every)
{
    static struct cases cases;
    struct writer writer = {.used = 0};
    struct weft_err err = {0};
    struct rig_program program;
    rig_reset(rig);
    if (!every || !make_every_case(form, &cases))
        make_cases(form, &cases);
    make_kernel(form, &writer);
    int status = rig_load(rig, writer.text, &program, &err);
    if (status) {
        printf("FAILED %s: %s\n", form->text, err.text);
        return status;
    }
    uint64_t params[2] = {rig_alloc(rig, (uint64_t)cases.count * FORM_SOURCES_MAX * SLOT),
                          rig_alloc(rig, (uint64_t)cases.count * RESULT_SLOTS * SLOT)};
    fill(rig, form, &cases, params[0]);
    status = run_everywhere(rig, &program, form, &cases, params);
    rig_unload(&program);
    return status;
}

void forms_run(struct rig *rig, const struct form_row *rows, size_t count, struct form_tally *tally)
{
    for (size_t row = 0; row < count; row++) {
        struct form form = {0};
        for (unsigned index = 0; form_expand(rows[row].pattern, index, form.text); index++) {
            make_form(&form, &rows[row]);
            int status = run_form(rig, &form, tally->every);
            tally->missing += status == -WEFT_ENOSYS;
            tally->passed += status == 0;
            tally->failed += status != 0 && status != -WEFT_ENOSYS;
        }
    }
}
