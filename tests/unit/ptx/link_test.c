/* Bodies of linked modules are read when they are asked for, each by the parser of its input, and
 * name what the link made of its symbols. What would break it: reading at the link, a place of
 * before it, a place told twice, records of a .callprototype that stay empty, an error told of a
 * body that nobody uses, or only once, a body that is left half read, two threads at once. */
#include <pthread.h>

#include "ptx_test.h"
#include "softgpu/ptx/arena.h"
#include "softgpu/ptx/link.h"

#define THREADS 4
#define INPUTS_MAX 4
#define MANY 100
#define KERNEL_BYTES 256

/* The linker puts these between the parser and its memory, which ends after so many pieces. */
void *__real_weft_ptx_arena_alloc(struct weft_ptx_arena *arena, size_t bytes);
void *__wrap_weft_ptx_arena_alloc(struct weft_ptx_arena *arena, size_t bytes);
void *__real_weft_ptx_arena_copy(struct weft_ptx_arena *arena, const void *data, size_t bytes);
void *__wrap_weft_ptx_arena_copy(struct weft_ptx_arena *arena, const void *data, size_t bytes);

static _Atomic int64_t pieces_left = INT64_MAX;

void *__wrap_weft_ptx_arena_alloc(struct weft_ptx_arena *arena, size_t bytes)
{
    return pieces_left-- > 0 ? __real_weft_ptx_arena_alloc(arena, bytes) : NULL;
}

void *__wrap_weft_ptx_arena_copy(struct weft_ptx_arena *arena, const void *data, size_t bytes)
{
    return pieces_left-- > 0 ? __real_weft_ptx_arena_copy(arena, data, bytes) : NULL;
}

static const char *const names[INPUTS_MAX] = {"one.ptx", "two.ptx", "three.ptx", "four.ptx"};

static int try_link(struct weft_ptx_module **out, const char *const *texts, uint32_t count,
                    struct weft_err *err)
{
    struct weft_ptx_link_input inputs[INPUTS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        char *copy = strdup(texts[i]), *name = strdup(names[i]); /* which need not outlive this */
        inputs[i].name = name;
        if (weft_ptx_parse_heads(&inputs[i].module, copy, strlen(copy), err))
            fail_msg("%s\nin: %s", err->text, texts[i]);
        free(copy);
    }
    int rc = weft_ptx_link(out, inputs, count, err);
    for (uint32_t i = 0; i < count; i++) {
        assert_null(inputs[i].module);
        free((char *)(uintptr_t)inputs[i].name);
    }
    return rc;
}

static struct weft_ptx_module *link_good(const char *one, const char *other)
{
    const char *const texts[] = {one, other};
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    if (try_link(&module, texts, 2, &err))
        fail_msg("%s", err.text);
    return module;
}

static const struct weft_ptx_function *find(const struct weft_ptx_module *module, const char *name)
{
    uint32_t index = weft_ptx_find_function(module, name);
    assert_int_not_equal(index, WEFT_PTX_NONE);
    return &module->functions[index];
}

static int try_read(const struct weft_ptx_module *module, const char *name, struct weft_err *err)
{
    return weft_ptx_read_body(module, (uint32_t)(find(module, name) - module->functions), err);
}

static const struct weft_ptx_function *read(const struct weft_ptx_module *module, const char *name)
{
    struct weft_err err = {0};
    if (try_read(module, name, &err))
        fail_msg("%s", err.text);
    return find(module, name);
}

static uint32_t count_read(const struct weft_ptx_module *module)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < module->function_count; i++)
        count += module->functions[i].insns != NULL;
    return count;
}

static const char *callee(const struct weft_ptx_module *module,
                          const struct weft_ptx_function *function, uint32_t insn)
{
    const struct weft_ptx_call *call = function->insns[insn].call;
    assert_non_null(call);
    assert_int_equal(call->target.symbol, WEFT_PTX_SYMBOL_FUNCTION);
    return module->functions[call->target.index].name;
}

static const struct weft_ptx_variable *loaded(const struct weft_ptx_module *module,
                                              const struct weft_ptx_function *function,
                                              uint32_t insn)
{
    const struct weft_ptx_operand *from = &function->insns[insn].operands[1];
    assert_int_equal(from->symbol, WEFT_PTX_SYMBOL_VARIABLE);
    return &module->variables[from->index];
}

/* Both have a static `add` and a static `mine`, which stay apart, and each calls into the other. */
static const char one[] =
    MODULE_HEAD ".extern .func weigh();\n.extern .global .u32 theirs;\n.global .u32 mine = 1;\n"
                ".func add() { .reg .u32 %r<4>; ld.global.u32 %r1, [mine]; ret; }\n"
                ".visible .func back() { .reg .u32 %r<2>; ret; }\n"
                ".visible .entry k() { .reg .u32 %r<4>; call add; call weigh;\n"
                " ld.global.u32 %r1, [theirs]; ret; }\n";
static const char two[] =
    MODULE_HEAD ".global .u32 unused;\n.global .u32 mine = 2;\n.visible .global .u32 theirs = 3;\n"
                ".extern .func back();\n"
                ".func add() { .reg .u32 %r<9>; ld.global.u32 %r8, [mine]; ret; }\n"
                ".visible .func weigh() { call add; call back; ret; }\n"
                ".visible .entry other() { call weigh; ret; }\n";

static void test_read_late(void **state)
{
    struct weft_ptx_module *module = link_good(one, two);
    (void)state;
    assert_int_equal(count_read(module), 0);
    const struct weft_ptx_function *k = read(module, "k");
    assert_int_equal(count_read(module), 1);
    assert_string_equal(callee(module, k, 0), "add");
    assert_string_equal(callee(module, k, 1), "weigh");
    assert_string_equal(loaded(module, k, 2)->name, "theirs");
    assert_int_equal(loaded(module, k, 2)->init[0], 3);
    const struct weft_ptx_function *weigh = read(module, "weigh");
    assert_string_equal(callee(module, weigh, 1), "back");
    assert_int_equal(count_read(module), 2);
    read(module, "k"); /* nothing is told its place twice */
    assert_string_equal(callee(module, k, 1), "weigh");
    weft_ptx_destroy(module);
}

/* What is private to an input stays its own. */
static void test_private(void **state)
{
    struct weft_ptx_module *module = link_good(one, two);
    (void)state;
    const char *const callers[] = {"k", "weigh"};
    for (uint8_t i = 0; i < 2; i++) {
        uint32_t add = read(module, callers[i])->insns[0].call->target.index;
        assert_int_equal(weft_ptx_read_body(module, add, NULL), 0);
        assert_int_equal(loaded(module, &module->functions[add], 0)->init[0], i + 1);
    }
    weft_ptx_destroy(module);
}

static void fails_alike(const struct weft_ptx_module *module, const char *name, int code,
                        const char *text)
{
    for (int i = 0; i < 2; i++) {
        struct weft_err err = {0};
        assert_int_equal(try_read(module, name, &err), code);
        assert_string_equal(err.text, text);
    }
}

/* An error of a body is told where somebody asks for it, with its input, and harms no other. */
static void test_failing(void **state)
{
    static const char faulty[] =
        MODULE_HEAD ".extern .func (.param .b32 r) vprintf();\n"
                    ".visible .func typo() {\n move.u32 1; }\n"
                    ".visible .func early() { call back; ret; }\n"
                    ".extern .func back();\n"
                    ".visible .func prints() { .param .b32 r; call (r), vprintf, (); ret; }\n"
                    ".visible .func weigh() { call back; ret; }\n";
    struct weft_ptx_module *module = link_good(one, faulty);
    struct weft_err err = {0};
    (void)state;
    fails_alike(module, "typo", -WEFT_ESYNTAX, "two.ptx: ptx:6:2: unknown instruction: \"move\"");
    fails_alike(module, "early", -WEFT_ESYNTAX, "two.ptx: ptx:7:31: \"back\" is not declared");
    assert_string_equal(callee(module, read(module, "weigh"), 0), "back");
    assert_string_equal(callee(module, read(module, "prints"), 0), "vprintf");
    assert_int_equal(weft_ptx_read_bodies(module, &err), -WEFT_ESYNTAX);
    weft_ptx_destroy(module);
}

static void test_undefined(void **state)
{
    static const char text[] =
        MODULE_HEAD ".extern .func nowhere();\n"
                    ".visible .func uses() { call nowhere; ret; }\n"
                    ".visible .func takes() { .reg .u64 %d; mov.u64 %d, nowhere; ret; }\n"
                    ".visible .func good() { ret; }\n";
    static const char table[] =
        MODULE_HEAD ".extern .func nowhere();\n.visible .global .u64 t = nowhere;\n";
    static const char what[] = "one.ptx uses \"nowhere\", which no input defines";
    const char *const texts[] = {table, one};
    struct weft_err err = {0};
    (void)state;
    struct weft_ptx_module *module = link_good(text, two);
    fails_alike(module, "uses", -WEFT_ENOENT, what);
    fails_alike(module, "takes", -WEFT_ENOENT, what);
    assert_int_equal(read(module, "good")->insn_count, 1);
    weft_ptx_destroy(module);
    assert_int_equal(try_link(&module, texts, 2, &err), -WEFT_ENOENT);
    assert_string_equal(err.text, what);
}

/* A weak definition gives way to a strong one; an .alias of it keeps its body, and both have it. */
static void test_aliases(void **state)
{
    static const char weak[] =
        MODULE_HEAD ".global .u32 first;\n.global .u32 mine = 7;\n"
                    ".weak .func f() { .reg .u32 %r; ld.global.u32 %r, [mine]; ret; }\n"
                    ".visible .func a();\n.alias a, f;\n.visible .func b();\n.alias b, f;\n";
    static const char strong[] =
        MODULE_HEAD ".extern .func a();\n.global .u32 mine = 8;\n"
                    ".visible .func f() { .reg .u32 %r; ld.global.u32 %r, [mine]; call a; ret; }\n";
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct weft_ptx_module *module = order ? link_good(strong, weak) : link_good(weak, strong);
        const struct weft_ptx_function *a = read(module, "a"), *f = read(module, "f");
        assert_int_equal(loaded(module, a, 0)->init[0], 7);
        assert_int_equal(loaded(module, f, 0)->init[0], 8);
        assert_string_equal(callee(module, f, 1), "a");
        assert_null(find(module, "b")->insns);
        assert_ptr_equal(read(module, "b")->insns, a->insns);
        assert_int_equal(loaded(module, a, 0)->init[0], 7);
        weft_ptx_destroy(module);
    }
}

/* The records that bodies have for their .callprototypes are the result's. */
static void test_prototypes(void **state)
{
    static const char format[] =
        MODULE_HEAD ".func before();\n.visible .entry %s() { .reg .u64 %%f; .param .u64 a;\n"
                    " // a .callprototype that is none\n"
                    " shape: .callprototype _ (.param .u64 %s);\n"
                    " call %%f, (a), shape; ret; }\n";
    char texts[2][sizeof(format) + 32];
    const char *const kernels[] = {"k0", "k1"}, *const parameters[] = {"first", "second"};
    (void)state;
    for (int i = 0; i < 2; i++)
        snprintf(texts[i], sizeof(texts[i]), format, kernels[i], parameters[i]);
    struct weft_ptx_module *module = link_good(texts[0], texts[1]);
    for (int i = 1; i >= 0; i--) {
        uint32_t index = read(module, kernels[i])->insns[0].call->prototype;
        const struct weft_ptx_function *prototype = &module->functions[index];
        assert_true(prototype->prototype && prototype->parameter_count == 1);
        assert_int_equal(prototype->parameter_bytes, 8);
        assert_string_equal(prototype->parameters[0].name, parameters[i]);
    }
    weft_ptx_destroy(module);
}

static const char addresses[] =
    MODULE_HEAD ".extern .func weigh();\n.extern .global .u32 theirs;\n"
                ".visible .global .u64 table[2] = {weigh, theirs};\n"
                ".visible .func back() { ret; }\n"
                ".visible .func f() { .global .u64 inner[2] = {theirs, weigh};\n"
                " .global .u64 more[1] = {back}; call weigh; ret; }\n";

static void has_addresses(const struct weft_ptx_module *module, const struct weft_ptx_function *f)
{
    const struct weft_ptx_relocation *inner = f->variables[0].relocations;
    assert_string_equal(module->variables[inner[0].index].name, "theirs");
    assert_string_equal(module->functions[inner[1].index].name, "weigh");
    assert_string_equal(module->functions[f->variables[1].relocations[0].index].name, "back");
    assert_string_equal(callee(module, f, 0), "weigh");
}

/* Variables with addresses in them: of the module, told at the link, and of a body. */
static void test_addresses(void **state)
{
    struct weft_ptx_module *module = link_good(two, addresses);
    (void)state;
    uint32_t table = weft_ptx_find_variable(module, "table");
    const struct weft_ptx_relocation *outer = module->variables[table].relocations;
    assert_string_equal(module->functions[outer[0].index].name, "weigh");
    assert_string_equal(module->variables[outer[1].index].name, "theirs");
    assert_int_equal(count_read(module), 0);
    has_addresses(module, read(module, "f"));
    weft_ptx_destroy(module);
}

/* A body that memory was too short for, wherever that was, is read from its start when somebody
 * asks again. */
static void test_no_memory(void **state)
{
    uint32_t failures = 0;
    (void)state;
    for (bool failed = true; failed; failures += failed) {
        struct weft_ptx_module *module = link_good(two, addresses);
        struct weft_err err = {0};
        pieces_left = failures;
        int rc = try_read(module, "f", &err);
        failed = pieces_left < 0;
        pieces_left = INT64_MAX;
        assert_int_equal(rc, failed ? -WEFT_ENOMEM : 0);
        has_addresses(module, read(module, "f"));
        weft_ptx_destroy(module);
    }
    assert_true(failures > 3); /* two tables, names, the records of the body */
}

/* Each input counts its source files for itself. */
static void test_files(void **state)
{
    static const char a[] =
        MODULE_HEAD ".file 1 \"a.cu\"\n.visible .func fa() { .loc 1 7 0\n ret; }\n";
    static const char b[] =
        MODULE_HEAD ".visible .func fb() { .loc 1 8 0\n ret; }\n.file 1 \"b.cu\"\n";
    struct weft_ptx_module *module = link_good(a, b);
    const struct weft_ptx_function *fa = read(module, "fa"), *fb = read(module, "fb");
    (void)state;
    assert_int_equal(fa->insns[0].file_line, 7);
    assert_string_equal(weft_ptx_file_name(module, fa, fa->insns[0].file), "a.cu");
    assert_int_equal(fb->insns[0].file_line, 8);
    assert_string_equal(weft_ptx_file_name(module, fb, fb->insns[0].file), "b.cu");
    assert_null(weft_ptx_file_name(module, fb, 2));
    weft_ptx_destroy(module);
}

/* What cannot be linked leaves nothing behind. */
static void test_refused(void **state)
{
    static const char *const twice[] = {one, one};
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    (void)state;
    assert_int_equal(try_link(&module, twice, 2, &err), -WEFT_EEXIST);
    assert_string_equal(err.text, "\"back\" is defined in both one.ptx and two.ptx");
    assert_int_equal(try_link(&module, twice, 0, &err), -WEFT_ERANGE);
    struct weft_ptx_link_input whole = {"whole", parse_good(one)};
    assert_int_equal(weft_ptx_link(&module, &whole, 1, &err), -WEFT_EBUG);
    assert_null(whole.module);
    assert_null(module);
}

static char *write_many(int input)
{
    char *text = malloc(sizeof(MODULE_HEAD) + 2 * MANY * KERNEL_BYTES);
    assert_non_null(text);
    size_t used = (size_t)sprintf(text, MODULE_HEAD ".global .u32 mine = %d;\n", input);
    for (int i = 0; i < MANY; i++)
        used += (size_t)sprintf(text + used, ".extern .func f%d_%d();\n", !input, i);
    for (int i = 0; i < MANY; i++)
        used += (size_t)sprintf(text + used,
                                ".visible .func f%d_%d() { .reg .u32 %%r; .reg .u64 %%f;\n"
                                " ld.global.u32 %%r, [mine]; call f%d_%d;\n"
                                " p: .callprototype _ (); call %%f, (), p; ret; }\n"
                                ".visible .func a%d_%d();\n.alias a%d_%d, f%d_%d;\n",
                                input, i, !input, i, input, i, input, i, input, i);
    return text;
}

static bool is_right(const struct weft_ptx_module *module, const struct weft_ptx_function *function)
{
    char other[32];
    int input = function->name[1] - '0';
    if (function->insn_count != 4 || loaded(module, function, 0)->init_bytes != 4)
        return false;
    snprintf(other, sizeof(other), "f%d%s", !input, function->name + 2);
    return module->variables[function->insns[0].operands[1].index].init[0] == input &&
           strcmp(callee(module, function, 1), other) == 0 &&
           module->functions[function->insns[2].call->prototype].prototype;
}

static void *read_all(void *argument)
{
    const struct weft_ptx_module *module = argument;
    for (uint32_t i = 0; i < module->function_count; i++)
        if (weft_ptx_read_body(module, i, NULL) ||
            (module->functions[i].body && !is_right(module, &module->functions[i])))
            return argument;
    return NULL;
}

static void test_threads(void **state)
{
    char *texts[] = {write_many(0), write_many(1)};
    struct weft_ptx_module *module = link_good(texts[0], texts[1]);
    pthread_t threads[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, module), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(count_read(module), 4 * MANY);
    weft_ptx_destroy(module);
    free(texts[0]);
    free(texts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_late), cmocka_unit_test(test_private),
        cmocka_unit_test(test_failing),   cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_aliases),   cmocka_unit_test(test_prototypes),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
