/* Short names for sets of modifiers and types, for the files that hold the tables of forms. */
#ifndef WEFT_SOFTGPU_PTX_SETS_H
#define WEFT_SOFTGPU_PTX_SETS_H

#include "softgpu/ptx/form.h"

#define G(name) (UINT64_C(1) << WEFT_PTX_GROUP_##name)
#define T(name) (UINT64_C(1) << WEFT_PTX_##name)

#define T_INT (T(U16) | T(U32) | T(U64) | T(S16) | T(S32) | T(S64))
#define T_INT32 (T(U32) | T(S32))
#define T_WIDE_INT (T_INT32 | T(U64) | T(S64))
#define T_SIGNED (T(S16) | T(S32) | T(S64))
#define T_UNSIGNED (T(U16) | T(U32) | T(U64))
#define T_PACKED_INT (T(U16X2) | T(S16X2))
#define T_HALF (T(F16) | T(F16X2) | T(BF16) | T(BF16X2))
#define T_FLOAT (T(F32) | T(F64))
#define T_BITS (T(B16) | T(B32) | T(B64))
#define T_ARITHMETIC (T_INT | T_FLOAT | T_HALF | T(F32X2))
#define T_STORED (T_INT | T_FLOAT | T_BITS | T(U8) | T(S8) | T(B8) | T(B128))
#define T_CONVERTED \
    ~(T(PRED) | T(TEXREF) | T(SAMPLERREF) | T(SURFREF) | T(B8) | T_BITS | T(B128) | T_PACKED_INT)
#define T_ANY (~UINT64_C(0))
#define T_NONE 0

#endif
