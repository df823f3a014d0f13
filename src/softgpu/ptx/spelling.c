/* The spelling and size of types, and the spelling of opcodes. */
#include <string.h>

#include "softgpu/ptx/form.h"
#include "softgpu/ptx/ptx.h"
#include "util/util.h"

struct type_fact {
    const char *name;
    uint32_t bytes;
};

static const struct type_fact type_facts[WEFT_PTX_TYPE_COUNT] = {
    [WEFT_PTX_NOTYPE] = {"", 0},
    [WEFT_PTX_U8] = {"u8", 1},
    [WEFT_PTX_U16] = {"u16", 2},
    [WEFT_PTX_U32] = {"u32", 4},
    [WEFT_PTX_U64] = {"u64", 8},
    [WEFT_PTX_S8] = {"s8", 1},
    [WEFT_PTX_S16] = {"s16", 2},
    [WEFT_PTX_S32] = {"s32", 4},
    [WEFT_PTX_S64] = {"s64", 8},
    [WEFT_PTX_B8] = {"b8", 1},
    [WEFT_PTX_B16] = {"b16", 2},
    [WEFT_PTX_B32] = {"b32", 4},
    [WEFT_PTX_B64] = {"b64", 8},
    [WEFT_PTX_B128] = {"b128", 16},
    [WEFT_PTX_F16] = {"f16", 2},
    [WEFT_PTX_F32] = {"f32", 4},
    [WEFT_PTX_F64] = {"f64", 8},
    [WEFT_PTX_BF16] = {"bf16", 2},
    [WEFT_PTX_TF32] = {"tf32", 4},
    [WEFT_PTX_F16X2] = {"f16x2", 4},
    [WEFT_PTX_BF16X2] = {"bf16x2", 4},
    [WEFT_PTX_U16X2] = {"u16x2", 4},
    [WEFT_PTX_S16X2] = {"s16x2", 4},
    [WEFT_PTX_F32X2] = {"f32x2", 8},
    [WEFT_PTX_E4M3] = {"e4m3", 1},
    [WEFT_PTX_E5M2] = {"e5m2", 1},
    [WEFT_PTX_E4M3X2] = {"e4m3x2", 2},
    [WEFT_PTX_E5M2X2] = {"e5m2x2", 2},
    [WEFT_PTX_E2M1X2] = {"e2m1x2", 1},
    [WEFT_PTX_E2M3X2] = {"e2m3x2", 2},
    [WEFT_PTX_E3M2X2] = {"e3m2x2", 2},
    [WEFT_PTX_UE8M0X2] = {"ue8m0x2", 2},
    [WEFT_PTX_E4M3X4] = {"e4m3x4", 4},
    [WEFT_PTX_E5M2X4] = {"e5m2x4", 4},
    [WEFT_PTX_E2M1X4] = {"e2m1x4", 2},
    [WEFT_PTX_E2M3X4] = {"e2m3x4", 4},
    [WEFT_PTX_E3M2X4] = {"e3m2x4", 4},
    [WEFT_PTX_B1] = {"b1", 1},
    [WEFT_PTX_S4] = {"s4", 1},
    [WEFT_PTX_U4] = {"u4", 1},
    [WEFT_PTX_S2] = {"s2", 1},
    [WEFT_PTX_U2] = {"u2", 1},
    [WEFT_PTX_PRED] = {"pred", 1},
    [WEFT_PTX_TEXREF] = {"texref", 8},
    [WEFT_PTX_SAMPLERREF] = {"samplerref", 8},
    [WEFT_PTX_SURFREF] = {"surfref", 8},
};

uint32_t weft_ptx_type_bytes(enum weft_ptx_type type)
{
    return type < WEFT_PTX_TYPE_COUNT ? type_facts[type].bytes : 0;
}

const char *weft_ptx_type_name(enum weft_ptx_type type)
{
    return type < WEFT_PTX_TYPE_COUNT ? type_facts[type].name : "";
}

/* Some forty short names, looked up once for each different instruction text: a search from end to
 * end is enough. */
enum weft_ptx_type weft_ptx_type_find(const char *text, size_t length)
{
    for (uint32_t i = WEFT_PTX_NOTYPE + 1; i < WEFT_PTX_TYPE_COUNT; i++)
        if (strlen(type_facts[i].name) == length && !memcmp(type_facts[i].name, text, length))
            return i;
    return WEFT_PTX_NOTYPE;
}

const char *weft_ptx_opcode_name(enum weft_ptx_opcode opcode)
{
    static const char *const names[] = {
#define OPCODE(name, text) text,
#include "softgpu/ptx/opcodes.def"
#undef OPCODE
    };
    return opcode < WEFT_PTX_OPCODE_COUNT ? names[opcode] : "";
}
