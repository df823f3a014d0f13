/* Loads and stores. Whole vectors move at once where the lanes stand side by side.
 *
 * Those that others may watch are the same: each lane's element is aligned, and the host reads and
 * writes it at once, in the order of the program. */
#include "softgpu/exec/memory.h"
#include "softgpu/exec/vector.h"

static inline int32_t element_row(const struct weft_exec_insn *insn, unsigned element)
{
    return element ? insn->more[element - 1] : insn->d;
}

/* Elements of lanes that stand side by side: a vector's are as far apart as it has elements. */
#define LOAD_APART(row, values, apart)                     \
    {                                                      \
        INDEPENDENT                                        \
        LANES(lane) d[lane] = (row)(values)[(apart)*lane]; \
    }

#define LOAD(name, memory, row)                                                             \
    HANDLER(name)                                                                           \
    {                                                                                       \
        struct weft_exec_access access;                                                     \
        if (!weft_exec_resolve_read(run, insn, sizeof(memory) * insn->count, &access))      \
            return;                                                                         \
        if (insn->order)                                                                    \
            weft_exec_spin_hint(run);                                                       \
        for (unsigned element = 0; element < insn->count; element++) {                      \
            row *d = ROW(row, element_row(insn, element));                                  \
            const char *from = access.base + element * sizeof(memory);                      \
            if (access.shape == WEFT_EXEC_CONTIGUOUS) {                                     \
                const memory *values = (const memory *)(from + access.offset[0]);           \
                if (insn->count == 1)                                                       \
                    LOAD_APART(row, values, 1)                                              \
                else if (insn->count == 2)                                                  \
                    LOAD_APART(row, values, 2)                                              \
                else                                                                        \
                    LOAD_APART(row, values, 4)                                              \
            } else if (access.shape == WEFT_EXEC_UNIFORM) {                                 \
                const row value = (row) * (const memory *)(from + access.offset[0]);        \
                WRITE_LANES(d, value);                                                      \
            } else if (run->mask == WEFT_EXEC_ALL_LANES) {                                  \
                LANES(lane) d[lane] = (row) * (const memory *)(from + access.offset[lane]); \
            } else {                                                                        \
                for (uint32_t left = run->mask; left; left &= left - 1) {                   \
                    const unsigned lane = (unsigned)__builtin_ctz(left);                    \
                    d[lane] = (row) * (const memory *)(from + access.offset[lane]);         \
                }                                                                           \
            }                                                                               \
        }                                                                                   \
    }

/* What a store that others wait for makes visible comes before it on this host anyway; what its
 * lane reads afterwards comes after it only with a fence. */
static inline void finish_store(const struct weft_exec_insn *insn)
{
    if (insn->order == WEFT_PTX_RELEASE || insn->order == WEFT_PTX_SC)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#define STORE(name, memory, row)                                                        \
    HANDLER(name)                                                                       \
    {                                                                                   \
        struct weft_exec_access access;                                                 \
        if (!weft_exec_resolve_write(run, insn, sizeof(memory) * insn->count, &access)) \
            return;                                                                     \
        for (unsigned element = 0; element < insn->count; element++) {                  \
            const row *a = SOURCE(row, element_row(insn, element));                     \
            char *to = access.base + element * sizeof(memory);                          \
            if (access.shape == WEFT_EXEC_CONTIGUOUS) {                                 \
                memory *values = (memory *)(to + access.offset[0]);                     \
                const unsigned apart = insn->count;                                     \
                if (apart == 1) {                                                       \
                    INDEPENDENT                                                         \
                    LANES(lane) values[lane] = (memory)a[lane];                         \
                } else {                                                                \
                    LANES(lane) values[apart * lane] = (memory)a[lane];                 \
                }                                                                       \
            } else if (access.shape == WEFT_EXEC_UNIFORM) {                             \
                const unsigned last = 31u - (unsigned)__builtin_clz(run->mask);         \
                *(memory *)(to + access.offset[0]) = (memory)a[last];                   \
            } else {                                                                    \
                for (uint32_t left = run->mask; left; left &= left - 1) {               \
                    const unsigned lane = (unsigned)__builtin_ctz(left);                \
                    *(memory *)(to + access.offset[lane]) = (memory)a[lane];            \
                }                                                                       \
            }                                                                           \
        }                                                                               \
        finish_store(insn);                                                             \
    }

/* A value fills its register by the sign of the memory's type. */
#define LOADS(name, memory)            \
    LOAD(name##_b16, memory, uint16_t) \
    LOAD(name##_b32, memory, uint32_t) \
    LOAD(name##_b64, memory, uint64_t)
LOADS(ld_u8, uint8_t)
LOADS(ld_s8, int8_t)
LOADS(ld_u16, uint16_t)
LOADS(ld_s16, int16_t)
LOADS(ld_u32, uint32_t)
LOADS(ld_s32, int32_t)
LOADS(ld_u64, uint64_t)

#define STORES(name, memory)            \
    STORE(name##_b16, memory, uint16_t) \
    STORE(name##_b32, memory, uint32_t) \
    STORE(name##_b64, memory, uint64_t)
STORES(st_u8, uint8_t)
STORES(st_u16, uint16_t)
STORES(st_u32, uint32_t)
STORES(st_u64, uint64_t)
