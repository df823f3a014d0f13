/* What each mnemonic may carry: modifiers, types and operands. The parser reads the table; nothing
 * else knows it. */
#ifndef WEFT_SOFTGPU_PTX_FORM_H
#define WEFT_SOFTGPU_PTX_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "softgpu/ptx/ptx.h"

/* Sets of modifiers, of which an instruction has at most one word each, and how an error calls a
 * missing one. */
#define WEFT_PTX_GROUPS(X)                    \
    X(ROUND, "a rounding")                    \
    X(ROUND_MORE, "a rounding")               \
    X(ROUND_INTEGER, "a rounding to integer") \
    X(FTZ, ".ftz")                            \
    X(SAT, ".sat")                            \
    X(SATFINITE, ".satfinite")                \
    X(APPROX, ".approx")                      \
    X(FULL, ".full")                          \
    X(HALF, ".lo or .hi")                     \
    X(WIDE, ".wide")                          \
    X(CC, ".cc")                              \
    X(COMPARE, "a comparison")                \
    X(BOOLEAN, ".and, .or or .xor")           \
    X(REDUCE, "an operation")                 \
    X(SPACE, "a state space")                 \
    X(SPACE2, "a second state space")         \
    X(ORDER, "a memory order")                \
    X(MMIO, ".mmio")                          \
    X(SCOPE, "a scope")                       \
    X(CACHE, "a cache hint")                  \
    X(NC, ".nc")                              \
    X(VECTOR, "a vector size")                \
    X(UNI, ".uni")                            \
    X(SYNC, ".sync")                          \
    X(ALIGNED, ".aligned")                    \
    X(TO, ".to")                              \
    X(SHIFTAMT, ".shiftamt")                  \
    X(NOFTZ, ".noftz")                        \
    X(XORSIGN, ".xorsign")                    \
    X(NAN, ".NaN")                            \
    X(RELU, ".relu")                          \
    X(OOB, ".oob")                            \
    X(ABS, ".abs")                            \
    X(VOTE, ".all, .any, .uni or .ballot")    \
    X(SHFL, ".up, .down, .bfly or .idx")      \
    X(MATCH, ".any or .all")                  \
    X(SHF, ".l or .r")                        \
    X(SHF_CLAMP, ".wrap or .clamp")           \
    X(CLAMP, ".wrap or .clamp")               \
    X(PRMT, "a mode")                         \
    X(BAR, ".sync, .arrive or .red")          \
    X(BAR_WARP, ".warp")                      \
    X(BAR_REDUCE, ".popc, .and or .or")       \
    X(MEMBAR, ".cta, .gl or .sys")            \
    X(TESTP, "a property")                    \
    X(FENCE, "a kind of fence")               \
    X(SCALE, ".shr7 or .shr15")               \
    X(PLUS_ONE, ".po")                        \
    X(GEOMETRY, "a geometry as .2d")          \
    X(DETAIL, ".base, .level or .grad")       \
    X(COMPONENT, ".r, .g, .b or .a")          \
    X(SURFACE, ".b or .p")                    \
    X(OUTSIDE, ".trap, .clamp or .zero")      \
    X(QUERY, "an attribute")                  \
    X(EXOTIC, "a modifier")

enum weft_ptx_group {
#define X(name, text) WEFT_PTX_GROUP_##name,
    WEFT_PTX_GROUPS(X)
#undef X
        WEFT_PTX_GROUP_COUNT
};

_Static_assert(WEFT_PTX_GROUP_COUNT <= 64, "a set of groups is one word");
_Static_assert(WEFT_PTX_TYPE_COUNT <= 64, "a set of types is one word");

/* `operands` has one item for each operand, parted by spaces. First letter, what may stand there:
 *   d  a register that is written        D  the same, or _          q  the second of d|p, where it
 * was written s  a register or constant            n  a predicate, or !p      a  an address in
 * brackets r  written, may be wider             t  read, may be wider      i  an integer constant
 *   v  like r, or a vector               w  like t, or a vector     V  like v, or _
 *   m  an operand of mov                 g  like s, or a symbol
 *   l  a label                           x  anything
 *   y  written by a video instruction    z  read by one
 * Second letter, its type:
 *   0…3  the type written there          e  the second type, if two were written, else the first
 *   W  twice the first type, with .wide  b  32 bits   l  64 bits   p  a predicate   -  not checked
 *   behind y and z, of 32 bits, which part: 1 a byte or half   2 halves   4 bytes   0 the whole
 *   m  a byte or half, and a minus before it
 * '?' before an item: it and the rest may be absent. '*': whatever comes. */
struct weft_ptx_form {
    uint16_t opcode;
    uint8_t types_min, types_max;
    uint64_t types;            /* those it takes, a bit each */
    uint64_t groups, required; /* of modifiers, a bit each */
    const char *operands;
};

/* An instruction's text, decoded. */
struct weft_ptx_mnemonic {
    struct weft_ptx_insn insn; /* all but operands and place */
    const struct weft_ptx_form *form;
};

/* Decodes "ld.global.v4.f32". Returns NULL, or what is wrong, and then its
 * place in the text: *at, *length. */
const char *weft_ptx_form_decode(const char *text, size_t size, struct weft_ptx_mnemonic *mnemonic,
                                 size_t *at, size_t *length);

/* NULL, or which rule of the ISA the modifiers and types of an instruction break. `seen`: its
 * groups, a bit each. */
const char *weft_ptx_rules_broken(const struct weft_ptx_insn *insn, uint64_t seen);

/* image.c: the same for textures and surfaces; NULL for all others. */
const char *weft_ptx_image_broken(const struct weft_ptx_insn *insn);

/* By the name without its dot; NOTYPE where there is none. */
enum weft_ptx_type weft_ptx_type_find(const char *text, size_t length);

#endif
