/* Symbols of several inputs that cuLink makes one: .weak, .common and .alias, pointers to functions
 * and masks of addresses across inputs, dynamic shared memory that each input aligns otherwise, and
 * attributes. What would break it: a symbol that leads to another definition than it should, a size
 * or an alignment of the wrong input, or a clash that is not told. */
#include <stdbool.h>

#include "check.h"

#define WORDS 16
#define HEAD ".version 8.0\n.target sm_75\n.address_size 64\n"

static uint32_t words[WORDS];

static CUresult link_two(const char *first, const char *second, CUmodule *module)
{
    CUlinkState state;
    void *image;
    size_t bytes;
    OK(cuLinkCreate(0, NULL, NULL, &state));
    OK(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)first, strlen(first) + 1, "first",
                     0, NULL, NULL));
    OK(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)second, strlen(second) + 1,
                     "second", 0, NULL, NULL));
    CUresult result = cuLinkComplete(state, &image, &bytes);
    if (result == CUDA_SUCCESS)
        OK(cuModuleLoadData(module, image));
    OK(cuLinkDestroy(state));
    return result;
}

/* Runs `run` with one thread; what it left is in `words`. */
static void run(CUmodule module, uint32_t dynamic_bytes)
{
    CUdeviceptr out;
    OK(cuMemAlloc(&out, sizeof(words)));
    OK(cuMemsetD32(out, 0, WORDS));
    void *arguments[] = {&out};
    OK(cuLaunchKernel(function_of(module, "run"), 1, 1, 1, 1, 1, 1, dynamic_bytes, NULL, arguments,
                      NULL));
    OK(cuMemcpyDtoH(words, out, sizeof(words)));
    OK(cuMemFree(out));
}

#define ENTRY                                                                                \
    ".visible .entry run(.param .u64 out) {\n.reg .pred %p; .reg .b32 %r<9>; .reg .b64 %o, " \
    "%d<9>; .param "                                                                         \
    ".b32 a0; .param .b32 v0;\nld.param.u64 %o, [out];\n"
#define RETURNS(name, value)                                                    \
    " .func (.param .b32 v) " name "() { .reg .b32 %r; mov.u32 %r, " value "; " \
    "st.param.b32 [v], %r; ret; }\n"
#define CALL(name, place) \
    "call (v0), " name "; ld.param.b32 %r0, [v0]; st.global.u32 [%o+" place "], %r0;\n"

/* Whatever the order of the inputs, the definition that is not weak is the one; of two weak ones
 * the first. */
static void check_weak(void)
{
    static const char weak[] = HEAD ".weak" RETURNS("f", "1") ".weak" RETURNS(
        "g", "3") ".weak .global .u32 x = 5;\n.weak .global .u32 y = 7;\n" ENTRY CALL("f", "0")
        CALL("g", "4") "ld.global.u32 %r0, [x]; st.global.u32 [%o+8], %r0;\n"
                       "ld.global.u32 %r0, [y]; st.global.u32 [%o+12], %r0; ret; }\n";
    static const char strong[] = HEAD ".visible" RETURNS("f", "2") ".weak" RETURNS(
        "g", "4") ".visible .global .u32 x = 6;\n.weak .global .u32 y = 8;\n";
    CUmodule module;
    for (int turned = 0; turned < 2; turned++) {
        OK(link_two(turned ? strong : weak, turned ? weak : strong, &module));
        run(module, 0);
        CHECK(words[0] == 2 && words[2] == 6);
        CHECK(words[1] == (turned ? 4u : 3u) && words[3] == (turned ? 8u : 7u));
        OK(cuModuleUnload(module));
    }
}

#define SUMS(element)                                                           \
    ENTRY "mov.u64 %d0, shared_by_all; ld.global.u32 %r0, [%d0+" element "];\n" \
          "st.global.u32 [%o], %r0; ret; }\n"

/* Of .common variables the largest is the one, and the one with an initialiser, which must be as
 * large as the others. */
static void check_common(void)
{
    static const char small[] = HEAD ".common .global .u32 shared_by_all[2];\n" SUMS("12");
    static const char large[] = HEAD ".common .global .align 16 .u32 shared_by_all[8];\n";
    static const char given[] = HEAD ".common .global .u32 shared_by_all[4] = {5, 6, 7, 8};\n";
    static const char strong[] = HEAD ".visible .global .u32 shared_by_all[2] = {1, 2};\n";
    CUmodule module;
    CUdeviceptr at;
    size_t bytes;
    for (int turned = 0; turned < 2; turned++) {
        OK(link_two(turned ? given : small, turned ? small : given, &module));
        run(module, 0);
        CHECK(words[0] == 8);
        OK(cuModuleUnload(module));
        OK(link_two(turned ? large : small, turned ? small : large, &module));
        OK(cuModuleGetGlobal(&at, &bytes, module, "shared_by_all"));
        CHECK(bytes == 32 && at % 16 == 0);
        run(module, 0);
        CHECK(words[0] == 0);
        OK(cuModuleUnload(module));
    }
    CHECK(link_two(large, given, &module) != CUDA_SUCCESS);
    CHECK(link_two(given, given, &module) != CUDA_SUCCESS);
    OK(link_two(small, strong, &module));
    OK(cuModuleGetGlobal(&at, &bytes, module, "shared_by_all"));
    OK(cuMemcpyDtoH(words, at, bytes));
    CHECK(bytes == 8 && words[0] == 1 && words[1] == 2);
    OK(cuModuleUnload(module));
}

/* An alias is its input's function, also where that one, being weak, gives way to another. */
static void check_alias(void)
{
    static const char uses[] = HEAD ".extern .func (.param .b32 v) other();\n"
                                    ".extern .func (.param .b32 v) f();\n" ENTRY CALL("other", "0")
                                        CALL("f", "4") "ret; }\n";
    static const char has[] = HEAD
        ".weak" RETURNS("f", "1") ".visible .func (.param .b32 v) other();\n.alias other, f;\n";
    static const char stronger[] =
        HEAD ".visible" RETURNS("f", "2") ".extern .func (.param .b32 v) other();\n" ENTRY CALL(
            "other", "0") CALL("f", "4") "ret; }\n";
    CUmodule module;
    for (int turned = 0; turned < 2; turned++) {
        OK(link_two(turned ? has : uses, turned ? uses : has, &module));
        run(module, 0);
        CHECK(words[0] == 1 && words[1] == 1);
        OK(cuModuleUnload(module));
        OK(link_two(turned ? has : stronger, turned ? stronger : has, &module));
        run(module, 0);
        CHECK(words[0] == 1 && words[1] == 2);
        OK(cuModuleUnload(module));
    }
}

#define TAKES(name, how)                                                      \
    ".visible .func (.param .b32 v) " name "(.param .b32 a) { .reg .b32 %r; " \
    "ld.param.b32 %r, [a]; " how " st.param.b32 [v], %r; ret; }\n"
#define INDIRECT(pointer, argument, place)                                     \
    "st.param.b32 [a0], " argument ";\nshape" place                            \
    ": .callprototype (.param .b32 _) _ (.param .b32 _);\ncall (v0), " pointer \
    ", (a0), shape" place "; ld.param.b32 %r0, [v0]; st.global.u32 [%o+" place "], %r0;\n"

/* A table of the other input's functions, and functions of this one that the other calls. */
static void check_pointers(void)
{
    static const char first[] =
        HEAD ".extern .func (.param .b32 v) twice(.param .b32 a);\n"
             ".extern .func (.param .b32 v) thrice(.param .b32 a);\n"
             ".extern .func (.param .b32 v) through(.param .b64 f, .param .b32 a);\n"
             ".func (.param .b32 v) own(.param .b32 a) { .reg .b32 %r; ld.param.b32 %r, [a]; "
             "add.u32 %r, %r, 100; st.param.b32 [v], %r; ret; }\n"
             ".global .u64 table[3] = {thrice, own, twice};\n" ENTRY
             "ld.global.u64 %d0, [table]; ld.global.u64 %d1, [table+8]; ld.global.u64 %d2, "
             "[table+16];\n" INDIRECT("%d0", "5", "0") INDIRECT("%d1", "5", "4") INDIRECT(
                 "%d2", "5", "8") "{ .param .b64 f0; mov.u64 %d3, own; st.param.b64 [f0], %d3; "
                                  "st.param.b32 [a0], 7;\n"
                                  "call (v0), through, (f0, a0); }\n"
                                  "ld.param.b32 %r0, [v0]; st.global.u32 [%o+12], %r0; ret; }\n";
    static const char second[] = HEAD ".func before() { ret; }\n.func before2() { ret; }\n" TAKES(
        "twice", "add.u32 %r, %r, %r;")
        TAKES("thrice",
              "mul.lo.u32 %r, %r, 3;") ".visible .func (.param .b32 v) through(.param .b64 f, "
                                       ".param .b32 a) {\n"
                                       ".reg .b64 %f; .reg .b32 %a; .param .b32 a1; .param .b32 "
                                       "v1;\nld.param.b64 %f, [f]; "
                                       "ld.param.b32 %a, [a]; st.param.b32 [a1], %a;\n"
                                       "shape: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
                                       "call (v1), %f, (a1), shape; ld.param.b32 %a, [v1]; "
                                       "st.param.b32 [v], %a; ret; }\n";
    CUmodule module;
    for (int turned = 0; turned < 2; turned++) {
        OK(link_two(turned ? second : first, turned ? first : second, &module));
        run(module, 0);
        CHECK(words[0] == 15 && words[1] == 105 && words[2] == 10 && words[3] == 107);
        OK(cuModuleUnload(module));
    }
}

#define BYTES_OF(what)                                                            \
    "0xff(" what "), 0xff00(" what "), 0xff0000(" what "), 0xff000000(" what      \
    "), 0xff00000000(" what "), 0xff0000000000(" what "), 0xff000000000000(" what \
    "), 0xff00000000000000(" what ")"

/* The bytes of addresses, masked one by one in an initialiser, are those of the address. */
static void check_masks(void)
{
    static const char first[] = HEAD
        ".extern .global .u32 target[4];\n.extern .func (.param .b32 v) f();\n"
        ".global .align 8 .u8 parts[16] = {" BYTES_OF("target+8") ", " BYTES_OF(
            "f") "};\n" ENTRY
                 "ld.global.u64 %d0, [parts]; mov.u64 %d1, target; sub.u64 %d0, %d0, %d1;\n"
                 "st.global.u64 [%o], %d0; ld.global.u64 %d0, [parts]; ld.global.u32 %r0, [%d0];\n"
                 "st.global.u32 [%o+8], %r0; ld.global.u64 %d0, [parts+8];\n"
                 "shape: .callprototype (.param .b32 _) _ ();\n"
                 "call (v0), %d0, (), shape; ld.param.b32 %r0, [v0]; st.global.u32 [%o+12], %r0;\n"
                 "ret; }\n";
    static const char second[] =
        HEAD ".global .u32 unused = 1;\n.visible .global .u32 target[4] = {1, 2, 30, 4};\n"
             ".visible" RETURNS("f", "9");
    CUmodule module;
    OK(link_two(first, second, &module));
    run(module, 0);
    CHECK(words[0] == 8 && words[1] == 0 && words[2] == 30 && words[3] == 9);
    OK(cuModuleUnload(module));
}

/* Dynamic shared memory begins behind all that is static, as aligned as the strictest input asks.
 */
static void check_dynamic_shared(void)
{
    static const char first[] =
        HEAD ".extern .shared .align 4 .b8 dynamic[];\n.shared .align 1 .b8 odd[21];\n"
             ".extern .func (.param .b32 v) f();\n" ENTRY
             "mov.u32 %r0, dynamic; and.b32 %r1, %r0, 255; st.global.u32 [%o], %r1;\n"
             "mov.u32 %r2, odd; sub.u32 %r1, %r0, %r2; setp.ge.s32 %p, %r1, 21; selp.u32 %r1, 1, "
             "0, %p; st.global.u32 [%o+4], %r1; mov.u32 %r3, 77; st.shared.u32 [%r0+60], %r3;\n"
             "ld.shared.u32 %r3, [%r0+60]; st.global.u32 [%o+8], %r3;\n" CALL("f", "12") "ret; }\n";
    static const char second[] =
        HEAD ".extern .shared .align 256 .b8 dynamic[];\n.shared .align 1 .b8 more[3];\n"
             ".visible .func (.param .b32 v) f() { .reg .b32 %r<3>; mov.u32 %r0, dynamic;\n"
             "mov.u32 %r1, more; st.shared.u8 [%r1+2], %r0; ld.shared.u32 %r2, [%r0+60]; "
             "st.param.b32 [v], %r2; ret; }\n";
    CUmodule module;
    for (int turned = 0; turned < 2; turned++) {
        OK(link_two(turned ? second : first, turned ? first : second, &module));
        run(module, 64);
        CHECK(words[0] == 0 && words[1] == 1 && words[2] == 77 && words[3] == 77);
        OK(cuModuleUnload(module));
    }
}

/* .managed is the host's too, without a copy; .unified only names the variable for all programs. */
static void check_attributes(void)
{
    static const char first[] =
        HEAD ".extern .global .attribute(.managed) .u32 both;\n"
             ".global .attribute(.unified(19, 95)) .u32 named = 4;\n" ENTRY
             "ld.global.u32 %r0, [both]; add.u32 %r0, %r0, 1; st.global.u32 [both], %r0;\n"
             "ld.global.u32 %r0, [named]; st.global.u32 [%o], %r0; ret; }\n";
    static const char second[] =
        HEAD ".visible .global .attribute(.managed, .unified(1, 2)) .u32 both = 40;\n";
    CUmodule module;
    CUdeviceptr at;
    size_t bytes;
    OK(link_two(first, second, &module));
    OK(cuModuleGetGlobal(&at, &bytes, module, "both"));
    volatile uint32_t *both = (volatile uint32_t *)(uintptr_t)at;
    CHECK(bytes == 4 && *both == 40);
    *both = 50;
    run(module, 0);
    CHECK(words[0] == 4 && *both == 51);
    OK(cuModuleUnload(module));
}

int main(void)
{
    start(PTX_HEAD);
    check_weak();
    check_common();
    check_alias();
    check_pointers();
    check_masks();
    check_dynamic_shared();
    check_attributes();
    return 0;
}
