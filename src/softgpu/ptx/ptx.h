/* PTX text into a module that is typed, resolved and free of text: what the executor and the
 * reference interpreter read.
 *
 * One generic form: an instruction is opcode × types × space × modifiers, as the PTX ISA writes it,
 * and nothing is folded into per-form enumerators. All memory belongs to the module and goes with
 * it. A parsed module is immutable: any thread. Of one whose bodies are read late that holds for
 * everything but the bodies, each of which is immutable once weft_ptx_read_body has returned for
 * it. */
#ifndef WEFT_SOFTGPU_PTX_PTX_H
#define WEFT_SOFTGPU_PTX_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_PTX_NONE UINT32_MAX

/* Every mnemonic of the PTX ISA, also those that no executor runs yet: what is well-formed but not
 * executed is refused by the executor, by name, for the functions that use it. opcodes.def holds
 * lines `OPCODE(ADD, "add")`. */
enum weft_ptx_opcode {
#define OPCODE(name, text) WEFT_PTX_##name,
#include "softgpu/ptx/opcodes.def"
#undef OPCODE
    WEFT_PTX_OPCODE_COUNT
};

enum weft_ptx_type {
    WEFT_PTX_NOTYPE,
    WEFT_PTX_U8,
    WEFT_PTX_U16,
    WEFT_PTX_U32,
    WEFT_PTX_U64,
    WEFT_PTX_S8,
    WEFT_PTX_S16,
    WEFT_PTX_S32,
    WEFT_PTX_S64,
    WEFT_PTX_B8,
    WEFT_PTX_B16,
    WEFT_PTX_B32,
    WEFT_PTX_B64,
    WEFT_PTX_B128,
    WEFT_PTX_F16,
    WEFT_PTX_F32,
    WEFT_PTX_F64,
    WEFT_PTX_BF16,
    WEFT_PTX_TF32,
    WEFT_PTX_F16X2,
    WEFT_PTX_BF16X2,
    WEFT_PTX_U16X2,
    WEFT_PTX_S16X2,
    WEFT_PTX_F32X2,
    WEFT_PTX_E4M3,
    WEFT_PTX_E5M2,
    WEFT_PTX_E4M3X2,
    WEFT_PTX_E5M2X2,
    WEFT_PTX_E2M1X2,
    WEFT_PTX_E2M3X2,
    WEFT_PTX_E3M2X2,
    WEFT_PTX_UE8M0X2,
    WEFT_PTX_E4M3X4,
    WEFT_PTX_E5M2X4,
    WEFT_PTX_E2M1X4,
    WEFT_PTX_E2M3X4,
    WEFT_PTX_E3M2X4,
    WEFT_PTX_B1,
    WEFT_PTX_S4,
    WEFT_PTX_U4,
    WEFT_PTX_S2,
    WEFT_PTX_U2, /* matrix fragments */
    WEFT_PTX_PRED,
    WEFT_PTX_TEXREF,
    WEFT_PTX_SAMPLERREF,
    WEFT_PTX_SURFREF,
    WEFT_PTX_TYPE_COUNT
};

enum weft_ptx_space {
    WEFT_PTX_GENERIC, /* none written */
    WEFT_PTX_REG,
    WEFT_PTX_GLOBAL,
    WEFT_PTX_SHARED,
    WEFT_PTX_LOCAL,
    WEFT_PTX_CONST,
    WEFT_PTX_PARAM,
    WEFT_PTX_SHARED_CLUSTER,
    WEFT_PTX_SPACE_TEX
};

enum weft_ptx_rounding {
    WEFT_PTX_ROUND_NONE,
    WEFT_PTX_RN,
    WEFT_PTX_RZ,
    WEFT_PTX_RM,
    WEFT_PTX_RP,
    WEFT_PTX_RNA,
    WEFT_PTX_RS,
    WEFT_PTX_RNI,
    WEFT_PTX_RZI,
    WEFT_PTX_RMI,
    WEFT_PTX_RPI
};

enum weft_ptx_compare {
    WEFT_PTX_COMPARE_NONE,
    WEFT_PTX_EQ,
    WEFT_PTX_NE,
    WEFT_PTX_LT,
    WEFT_PTX_LE,
    WEFT_PTX_GT,
    WEFT_PTX_GE,
    WEFT_PTX_LO,
    WEFT_PTX_LS,
    WEFT_PTX_HI,
    WEFT_PTX_HS, /* unsigned spellings of lt le gt ge */
    WEFT_PTX_EQU,
    WEFT_PTX_NEU,
    WEFT_PTX_LTU,
    WEFT_PTX_LEU,
    WEFT_PTX_GTU,
    WEFT_PTX_GEU,
    WEFT_PTX_NUM,
    WEFT_PTX_NAN
};

/* The operation of atom, red, redux, bar.red and mbarrier, and the Boolean of setp and set. */
enum weft_ptx_operation {
    WEFT_PTX_OP_NONE,
    WEFT_PTX_OP_AND,
    WEFT_PTX_OP_OR,
    WEFT_PTX_OP_XOR,
    WEFT_PTX_OP_ADD,
    WEFT_PTX_OP_INC,
    WEFT_PTX_OP_DEC,
    WEFT_PTX_OP_MIN,
    WEFT_PTX_OP_MAX,
    WEFT_PTX_OP_EXCH,
    WEFT_PTX_OP_CAS,
    WEFT_PTX_OP_POPC
};

enum weft_ptx_order {
    WEFT_PTX_WEAK,
    WEFT_PTX_VOLATILE,
    WEFT_PTX_RELAXED,
    WEFT_PTX_ACQUIRE,
    WEFT_PTX_RELEASE,
    WEFT_PTX_ACQ_REL,
    WEFT_PTX_SC,
    WEFT_PTX_MMIO
};

enum weft_ptx_scope {
    WEFT_PTX_SCOPE_NONE,
    WEFT_PTX_CTA,
    WEFT_PTX_CLUSTER,
    WEFT_PTX_GPU,
    WEFT_PTX_SYS
};

/* What distinguishes variants of one mnemonic: shfl up/down/bfly/idx, vote all/any/uni/ballot,
 * match any/all, prmt's modes, shf and bmsk and bfind and bra and bar families. */
enum weft_ptx_mode {
    WEFT_PTX_MODE_NONE,
    WEFT_PTX_UP,
    WEFT_PTX_DOWN,
    WEFT_PTX_BFLY,
    WEFT_PTX_IDX,
    WEFT_PTX_ALL,
    WEFT_PTX_ANY,
    WEFT_PTX_UNIFORM,
    WEFT_PTX_BALLOT,
    WEFT_PTX_F4E,
    WEFT_PTX_B4E,
    WEFT_PTX_RC8,
    WEFT_PTX_ECL,
    WEFT_PTX_ECR,
    WEFT_PTX_RC16,
    WEFT_PTX_LEFT_WRAP,
    WEFT_PTX_LEFT_CLAMP,
    WEFT_PTX_RIGHT_WRAP,
    WEFT_PTX_RIGHT_CLAMP,
    WEFT_PTX_WRAP,
    WEFT_PTX_CLAMP,
    WEFT_PTX_BAR_SYNC,
    WEFT_PTX_BAR_ARRIVE,
    WEFT_PTX_BAR_RED,
    WEFT_PTX_BAR_WARP,
    WEFT_PTX_TESTP_FINITE,
    WEFT_PTX_TESTP_INFINITE,
    WEFT_PTX_TESTP_NUMBER,
    WEFT_PTX_TESTP_NOTANUMBER,
    WEFT_PTX_TESTP_NORMAL,
    WEFT_PTX_TESTP_SUBNORMAL,
    WEFT_PTX_SHR7, /* vmad */
    WEFT_PTX_SHR15,
    WEFT_PTX_COMPONENT_R, /* tld4 */
    WEFT_PTX_COMPONENT_G,
    WEFT_PTX_COMPONENT_B,
    WEFT_PTX_COMPONENT_A,
    WEFT_PTX_SURFACE_BYTES,   /* .b: x counts bytes */
    WEFT_PTX_SURFACE_SAMPLES, /* .p: x counts texels, which are converted */
    WEFT_PTX_QUERY_WIDTH,
    WEFT_PTX_QUERY_HEIGHT,
    WEFT_PTX_QUERY_DEPTH,
    WEFT_PTX_QUERY_CHANNEL_DATA_TYPE,
    WEFT_PTX_QUERY_CHANNEL_ORDER,
    WEFT_PTX_QUERY_NORMALIZED_COORDS,
    WEFT_PTX_QUERY_ARRAY_SIZE,
    WEFT_PTX_QUERY_MIPMAP_LEVELS,
    WEFT_PTX_QUERY_SAMPLES,
    WEFT_PTX_QUERY_MEMORY_LAYOUT,
    WEFT_PTX_QUERY_FORCE_UNNORMALIZED_COORDS,
    WEFT_PTX_QUERY_FILTER_MODE,
    WEFT_PTX_QUERY_ADDRESS_MODE_0,
    WEFT_PTX_QUERY_ADDRESS_MODE_1,
    WEFT_PTX_QUERY_ADDRESS_MODE_2
};

/* What a texture instruction takes an image for. */
enum weft_ptx_geometry {
    WEFT_PTX_GEOMETRY_NONE,
    WEFT_PTX_GEOMETRY_1D,
    WEFT_PTX_GEOMETRY_2D,
    WEFT_PTX_GEOMETRY_3D,
    WEFT_PTX_GEOMETRY_A1D,
    WEFT_PTX_GEOMETRY_A2D,
    WEFT_PTX_GEOMETRY_CUBE,
    WEFT_PTX_GEOMETRY_ACUBE,
    WEFT_PTX_GEOMETRY_2DMS,
    WEFT_PTX_GEOMETRY_A2DMS
};

/* How tex chooses the mipmap's level; txq has .level alone. */
enum weft_ptx_detail {
    WEFT_PTX_DETAIL_NONE,
    WEFT_PTX_DETAIL_BASE,
    WEFT_PTX_DETAIL_LEVEL,
    WEFT_PTX_DETAIL_GRADIENT
};

/* What a surface instruction does with coordinates outside of the image. */
enum weft_ptx_outside {
    WEFT_PTX_OUTSIDE_NONE,
    WEFT_PTX_OUTSIDE_TRAP,
    WEFT_PTX_OUTSIDE_CLAMP,
    WEFT_PTX_OUTSIDE_ZERO
};

/* A .samplerref with an initialiser holds, where others hold a handle, these bits: the tag, and
 * what the list says. No handle has the tag. */
#define WEFT_PTX_SAMPLER_TAG (UINT64_C(0x5a3e) << 48)
#define WEFT_PTX_SAMPLER_TAG_MASK (UINT64_C(0xffff) << 48)
#define WEFT_PTX_SAMPLER_LINEAR (UINT64_C(1) << 0)
#define WEFT_PTX_SAMPLER_UNNORMALISED (UINT64_C(1) << 1)
#define WEFT_PTX_SAMPLER_ADDRESS_SHIFT(axis) (8 + 4 * (axis)) /* enum weft_ptx_address_mode */

enum weft_ptx_address_mode {
    WEFT_PTX_ADDRESS_WRAP,
    WEFT_PTX_ADDRESS_MIRROR,
    WEFT_PTX_ADDRESS_CLAMP_OGL,
    WEFT_PTX_ADDRESS_CLAMP_TO_EDGE,
    WEFT_PTX_ADDRESS_CLAMP_TO_BORDER
};

enum weft_ptx_flag {
    WEFT_PTX_FTZ = 1u << 0,
    WEFT_PTX_SAT = 1u << 1,
    WEFT_PTX_APPROX = 1u << 2,
    WEFT_PTX_FULL = 1u << 3,
    WEFT_PTX_HI_HALF = 1u << 4, /* .hi, of mul and mad */
    WEFT_PTX_LO_HALF = 1u << 5,
    WEFT_PTX_WIDE = 1u << 6,
    WEFT_PTX_CC = 1u << 7,
    WEFT_PTX_UNI = 1u << 8,
    WEFT_PTX_SYNC = 1u << 9,
    WEFT_PTX_ALIGNED = 1u << 10,
    WEFT_PTX_NC = 1u << 11,
    WEFT_PTX_TO = 1u << 12, /* cvta.to */
    WEFT_PTX_SHIFTAMT = 1u << 13,
    WEFT_PTX_NOFTZ = 1u << 14,
    WEFT_PTX_XORSIGN = 1u << 15,
    WEFT_PTX_NAN_RESULT = 1u << 16, /* .NaN, of min, max and fma */
    WEFT_PTX_RELU = 1u << 17,
    WEFT_PTX_ABS_RESULT = 1u << 18, /* .abs */
    WEFT_PTX_SATFINITE = 1u << 20,
    WEFT_PTX_NOINC = 1u << 21,
    WEFT_PTX_FENCE_PROXY = 1u << 22,
    WEFT_PTX_OOB = 1u << 23,      /* .oob, of fma */
    WEFT_PTX_PLUS_ONE = 1u << 24, /* .po, of vmad */
};

enum weft_ptx_operand_kind {
    WEFT_PTX_OPERAND_NONE,
    WEFT_PTX_OPERAND_REGISTER, /* index: function->registers */
    WEFT_PTX_OPERAND_SPECIAL,  /* index: enum weft_ptx_special */
    WEFT_PTX_OPERAND_INTEGER,  /* bits: 64-bit two's complement */
    WEFT_PTX_OPERAND_FLOAT,   /* bits: raw, as `type` says: 0f… gives F32 (low 32 bits), 0d… and
                                 decimals F64 */
    WEFT_PTX_OPERAND_SYMBOL,  /* symbol, index, offset: its address */
    WEFT_PTX_OPERAND_ADDRESS, /* [base + offset]; base: register (index), symbol, or neither */
    WEFT_PTX_OPERAND_LABEL,   /* index: into function->instructions, may equal their count (the end)
                               */
    WEFT_PTX_OPERAND_VECTOR,  /* elements[element_count] */
    WEFT_PTX_OPERAND_SINK     /* '_' */
};

enum weft_ptx_symbol {
    WEFT_PTX_SYMBOL_NONE,
    WEFT_PTX_SYMBOL_VARIABLE,  /* module->variables */
    WEFT_PTX_SYMBOL_LOCAL,     /* function->variables: .local .shared .param .global .const declared
                                  inside */
    WEFT_PTX_SYMBOL_PARAMETER, /* function->parameters */
    WEFT_PTX_SYMBOL_RETURN,    /* function->returns */
    WEFT_PTX_SYMBOL_FUNCTION,  /* module->functions */
};

struct weft_ptx_operand {
    uint8_t kind;          /* enum weft_ptx_operand_kind */
    uint8_t symbol;        /* enum weft_ptx_symbol, of SYMBOL and ADDRESS */
    uint8_t type;          /* FLOAT: F32 or F64 */
    uint8_t element_count; /* VECTOR */
    bool negated;          /* !p of a predicate operand; -%r is refused as the ISA does */
    bool register_base;    /* ADDRESS: index is a register */
    uint8_t
        component; /* SPECIAL: 0 x, 1 y, 2 z, 3 w. REGISTER of vector type: the component, else 0 */
    uint8_t selector; /* REGISTER in a video instruction: enum weft_ptx_selector; `-%r` there sets
                         `minus` */
    bool minus;
    uint32_t index;
    int64_t offset; /* SYMBOL and ADDRESS, in bytes */
    uint64_t bits;
    struct weft_ptx_operand
        *elements; /* of VECTOR; ADDRESS of tex, sust, …: what follows the base in the brackets */
};

/* What a video instruction takes of a register: %r.b0, %r.h1. BYTES, HALVES: digits as in .b3210 or
 * .h10, four bits each in `bits`, the last written lowest; `element_count` says how many. */
enum weft_ptx_selector {
    WEFT_PTX_SELECT_NONE,
    WEFT_PTX_SELECT_B0,
    WEFT_PTX_SELECT_B1,
    WEFT_PTX_SELECT_B2,
    WEFT_PTX_SELECT_B3,
    WEFT_PTX_SELECT_H0,
    WEFT_PTX_SELECT_H1,
    WEFT_PTX_SELECT_BYTES,
    WEFT_PTX_SELECT_HALVES
};

#define WEFT_PTX_OPERANDS_MAX 8
#define WEFT_PTX_TYPES_MAX 4

struct weft_ptx_insn {
    uint16_t opcode;                   /* enum weft_ptx_opcode */
    uint8_t types[WEFT_PTX_TYPES_MAX]; /* in the order written, NOTYPE after the last */
    uint8_t type_count;
    uint8_t space;  /* enum weft_ptx_space; the first written */
    uint8_t space2; /* the second (cp.async, isspacep has one) */
    uint8_t rounding;
    uint8_t compare;
    uint8_t operation;
    uint8_t mode;
    uint8_t geometry, detail, outside; /* of textures and surfaces */
    uint8_t order;
    uint8_t scope;
    uint8_t vector; /* 1, 2, 4 or 8 */
    uint32_t flags; /* enum weft_ptx_flag */
    uint32_t guard; /* register of the predicate, or WEFT_PTX_NONE */
    bool guard_negated;
    uint8_t operand_count;
    /* In the order written, destinations first. `d|p` are two operands: `paired` marks it. call:
     * see below. */
    bool paired;
    struct weft_ptx_operand operands[WEFT_PTX_OPERANDS_MAX];
    struct weft_ptx_call *call;          /* WEFT_PTX_CALL only */
    struct weft_ptx_branch_table *table; /* brx.idx: its labels */
    uint32_t line, column;
    uint32_t file, file_line; /* of the source, by .loc; 0: not known */
    const char *text;         /* "ld.global.v4.f32", for messages */
};

/* call (ret), target, (args), prototype. Arguments are operands: .param
 * variables, registers or constants. */
struct weft_ptx_call {
    struct weft_ptx_operand target; /* SYMBOL of a function, or REGISTER */
    uint32_t return_count, argument_count;
    struct weft_ptx_operand *returns, *arguments;
    uint32_t
        prototype; /* module->functions: a bodyless entry that describes it, or WEFT_PTX_NONE */
};

struct weft_ptx_branch_table {
    uint32_t count;
    uint32_t *targets; /* instruction indices */
};

struct weft_ptx_register {
    const char *name;
    uint8_t type;
    uint8_t vector; /* 1, 2 or 4 */
};

enum weft_ptx_linkage {
    WEFT_PTX_STATIC,
    WEFT_PTX_VISIBLE,
    WEFT_PTX_EXTERN,
    WEFT_PTX_WEAK_LINKAGE,
    WEFT_PTX_COMMON
};

/* In an initialiser: the address of a symbol, stored little-endian at `offset`. */
struct weft_ptx_relocation {
    uint64_t offset;
    uint8_t symbol; /* VARIABLE or FUNCTION */
    uint8_t bytes;  /* width of the field, 1…8 */
    uint8_t shift;  /* mask(): which byte of the address */
    bool generic;   /* generic(x) */
    uint32_t index;
    int64_t addend;
};

struct weft_ptx_variable {
    const char *name;
    uint8_t space, type, vector, linkage;
    bool managed;   /* .attribute(.managed) */
    uint32_t align; /* bytes, a power of two, at least the type's own */
    uint64_t bytes; /* 0: an unsized extern array, dynamic shared memory */
    uint64_t init_bytes;
    const uint8_t *init; /* NULL: zeros */
    uint32_t relocation_count;
    const struct weft_ptx_relocation *relocations;
    uint32_t line;
};

struct weft_ptx_parameter {
    const char *name;
    uint8_t space; /* PARAM, or REG in a .func */
    uint8_t type, vector;
    uint32_t align;
    uint32_t offset; /* in the parameter block; .param only */
    uint32_t bytes;
    uint32_t reg; /* space REG: the register that it is, else WEFT_PTX_NONE */
};

struct weft_ptx_function {
    const char *name;
    bool entry;     /* .entry */
    bool body;      /* false: a declaration or a prototype */
    bool prototype; /* .callprototype or .calltargets: not to be found by its name */
    bool noreturn;
    uint8_t linkage;
    uint32_t maxntid[3], reqntid[3]; /* 0 where not given */
    uint32_t minnctapersm, maxnreg;
    uint32_t reqnctapercluster[3], maxclusterrank; /* 0 where not given */
    bool explicitcluster;
    uint32_t parameter_count, return_count, register_count, variable_count, insn_count;
    struct weft_ptx_parameter *parameters, *returns;
    uint32_t parameter_bytes;
    struct weft_ptx_register *registers;
    struct weft_ptx_variable *variables;
    struct weft_ptx_insn *insns;
    uint32_t line;
    /* Private to the parser; where it is not NULL, weft_ptx_read_body comes before a look at
     * registers, variables and instructions. */
    struct weft_ptx_deferred *deferred;
    bool read; /* the parser's lock: that is there by now */
};

/* A source file, by .file. */
struct weft_ptx_file {
    uint32_t number;
    const char *name;
};

struct weft_ptx_module {
    uint32_t version_major, version_minor;
    uint32_t target_sm; /* 75 for sm_75 and sm_75a alike */
    uint32_t address_bits;
    uint32_t variable_count, function_count;
    struct weft_ptx_variable *variables;
    struct weft_ptx_function *functions;
    uint32_t file_count;
    const struct weft_ptx_file *files;
    void *memory; /* private to the parser: all of the above lives there */
    /* Private: the parser that reads what was deferred, with its lock; NULL: nothing was, or the
     * module was linked. */
    struct weft_ptx_parser *unread;
    /* Private: what it was linked of, owned; their parsers read its bodies. */
    struct weft_ptx_module **inputs;
    uint32_t input_count;
};

enum weft_ptx_special {
#define SPECIAL(name, text, type, vector) WEFT_PTX_SPECIAL_##name,
#include "softgpu/ptx/specials.def"
#undef SPECIAL
    WEFT_PTX_SPECIAL_COUNT
};

/* `text` needs no zero at its end; trailing zero bytes are ignored. Errors: WEFT_ESYNTAX, whose
 * text reads "ptx:LINE:COLUMN: reason" and quotes the token; WEFT_ENOMEM; WEFT_ERANGE for a named
 * maximum. Bounded by input size. */
int weft_ptx_parse(struct weft_ptx_module **out, const char *text, size_t size,
                   struct weft_err *err);
/* The same, but of bodies only the end is looked for: the text is copied, and each body is read
 * when weft_ptx_read_body is called for it. It may have errors that are found only then. */
int weft_ptx_parse_heads(struct weft_ptx_module **out, const char *text, size_t size,
                         struct weft_err *err);
/* Has the body of a function read, once; does nothing where that is done or there is none. Of a
 * body with an error the error, each time. Any thread: a lock of the module is held meanwhile,
 * under which no other is taken. Errors as weft_ptx_parse; of a module that was linked they begin
 * with the input's name, and WEFT_ENOENT is a function that the body uses and no input defines. */
int weft_ptx_read_body(const struct weft_ptx_module *module, uint32_t function,
                       struct weft_err *err);
/* The same for all bodies, up to the first with an error. */
int weft_ptx_read_bodies(const struct weft_ptx_module *module, struct weft_err *err);
void weft_ptx_destroy(struct weft_ptx_module *module);
/* The name of the source file with that number, where a function of the module stands; NULL. */
const char *weft_ptx_file_name(const struct weft_ptx_module *module,
                               const struct weft_ptx_function *function, uint32_t number);

/* Index of the function with that name, WEFT_PTX_NONE where there is none. Likewise variables. */
uint32_t weft_ptx_find_function(const struct weft_ptx_module *module, const char *name);
uint32_t weft_ptx_find_variable(const struct weft_ptx_module *module, const char *name);

/* Bytes of one value of a type (predicates: 1); bits rounded up for fragments. */
uint32_t weft_ptx_type_bytes(enum weft_ptx_type type);
const char *weft_ptx_type_name(enum weft_ptx_type type);
const char *weft_ptx_opcode_name(enum weft_ptx_opcode opcode);

#endif
