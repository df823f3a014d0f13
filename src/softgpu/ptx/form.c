/* Decoding the text of an instruction by the table of forms. */
#include "softgpu/ptx/form.h"

#include <stdbool.h>
#include <string.h>

#include "softgpu/ptx/sets.h"
#include "util/util.h"

enum effect {
    SET_NOTHING,
    SET_ROUNDING,
    SET_COMPARE,
    SET_OPERATION,
    SET_SPACE,
    SET_ORDER,
    SET_SCOPE,
    SET_VECTOR,
    SET_MODE,
    SET_NEXT_MODE,
    SET_GEOMETRY,
    SET_DETAIL,
    SET_OUTSIDE,
    SET_FLAG
};

struct word {
    const char *text;
    uint8_t group, effect;
    uint32_t value;
};

static const struct word words[] = {
#define WORD(text, group, effect, value) {text, WEFT_PTX_GROUP_##group, SET_##effect, value},
#include "softgpu/ptx/words.def"
#undef WORD
};

static const char *const exotics[] = {
#define EXOTIC(text) text,
#include "softgpu/ptx/exotics.def"
#undef EXOTIC
};

static const char *const missing_texts[] = {
#define X(name, text) "this instruction needs " text,
    WEFT_PTX_GROUPS(X)
#undef X
};

#define G_FLOAT (G(ROUND) | G(FTZ) | G(SAT))
#define G_LOAD (G(SPACE) | G(ORDER) | G(MMIO) | G(SCOPE) | G(CACHE) | G(VECTOR))
#define G_ATOMIC (G(SPACE) | G(ORDER) | G(SCOPE) | G(REDUCE) | G(NOFTZ) | G(CACHE) | G(VECTOR))
#define G_EXOTIC                                                                                 \
    (G(EXOTIC) | G(ROUND) | G(FTZ) | G(SAT) | G(SATFINITE) | G(COMPARE) | G(SPACE) | G(SPACE2) | \
     G(ORDER) | G(SCOPE) | G(CACHE) | G(VECTOR) | G(SYNC) | G(ALIGNED) | G(HALF) | G(NOFTZ) |    \
     G(RELU) | G(NAN) | G(ABS) | G(TO))

static const struct weft_ptx_form forms[] = {
#define FORM(name, min, max, types, groups, required, operands) \
    [WEFT_PTX_##name] = {WEFT_PTX_##name, min, max, types, groups, required, operands},
#include "softgpu/ptx/forms.def"
#undef FORM
};

_Static_assert(WEFT_ARRAY_COUNT(forms) == WEFT_PTX_OPCODE_COUNT, "an opcode has no form");

/* One failure of decoding: the reason, and the part of the text that it is about. */
struct decoding {
    struct weft_ptx_mnemonic *mnemonic;
    const char *text;
    size_t size;
    uint64_t seen; /* groups */
    bool exotic;   /* the form has modifiers that may come more than once */
    const char *reason;
    size_t at, length;
};

static bool equals(const char *word, const char *text, size_t length)
{
    return strlen(word) == length && memcmp(word, text, length) == 0;
}

/* The length of the dotted prefix that has this many parts. */
static size_t prefix_length(const char *text, size_t size, unsigned parts)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] == '.' && --parts == 0)
            return i;
    return size;
}

/* Some have their first modifier behind two colons: tcgen05.wait::ld. */
static size_t without_colons(const char *text, size_t length)
{
    const char *colons = memmem(text, length, "::", 2);
    return colons ? (size_t)(colons - text) : length;
}

/* The longest prefix that is a mnemonic; its length, or 0. */
static size_t find_opcode(const char *text, size_t size, uint32_t *opcode)
{
    for (unsigned parts = 5; parts > 0; parts--) {
        size_t length = without_colons(text, prefix_length(text, size, parts));
        for (uint32_t i = 0; i < WEFT_PTX_OPCODE_COUNT; i++) {
            if (equals(weft_ptx_opcode_name(i), text, length)) {
                *opcode = i;
                return length;
            }
        }
    }
    if (!equals("barrier", text, prefix_length(text, size, 1)))
        return 0;
    *opcode = WEFT_PTX_BAR;
    return strlen("barrier");
}

static void decode_fail(struct decoding *decoding, const char *reason, size_t at, size_t length)
{
    if (decoding->reason)
        return;
    decoding->reason = reason;
    decoding->at = at;
    decoding->length = length;
}

static void set_space(struct decoding *decoding, uint32_t value, size_t at, size_t length)
{
    struct weft_ptx_insn *insn = &decoding->mnemonic->insn;
    if (!insn->space)
        insn->space = (uint8_t)value;
    else if (!insn->space2 && (decoding->mnemonic->form->groups & G(SPACE2)))
        insn->space2 = (uint8_t)value;
    else
        decode_fail(decoding, "a second modifier of its kind", at, length);
}

static void apply_word(struct decoding *decoding, const struct word *word, size_t at, size_t length)
{
    struct weft_ptx_insn *insn = &decoding->mnemonic->insn;
    switch ((enum effect)word->effect) {
    case SET_NOTHING:
        break;
    case SET_ROUNDING:
        insn->rounding = (uint8_t)word->value;
        break;
    case SET_COMPARE:
        insn->compare = (uint8_t)word->value;
        break;
    case SET_OPERATION:
        insn->operation = (uint8_t)word->value;
        break;
    case SET_SPACE:
        set_space(decoding, word->value, at, length);
        break;
    case SET_ORDER: /* .mmio.relaxed is .mmio */
        insn->order = insn->order ? insn->order : (uint8_t)word->value;
        break;
    case SET_SCOPE:
        insn->scope = (uint8_t)word->value;
        break;
    case SET_VECTOR:
        insn->vector = (uint8_t)word->value;
        break;
    case SET_MODE: /* .warp.sync is .warp */
        insn->mode = insn->mode ? insn->mode : (uint8_t)word->value;
        break;
    case SET_NEXT_MODE:
        insn->mode++;
        break;
    case SET_GEOMETRY:
        insn->geometry = (uint8_t)word->value;
        break;
    case SET_DETAIL:
        insn->detail = (uint8_t)word->value;
        break;
    case SET_OUTSIDE:
        insn->outside = (uint8_t)word->value;
        break;
    case SET_FLAG:
        insn->flags |= word->value;
        break;
    }
}

static const struct word *find_word(const char *text, size_t length, uint64_t groups)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(words); i++)
        if ((groups >> words[i].group & 1) && equals(words[i].text, text, length))
            return &words[i];
    return NULL;
}

static bool is_number(char c)
{
    return c >= '0' && c <= '9';
}

/* m16n8k16, 16x256b, x128: letters of shapes and numbers, at least one of either. */
static bool is_shape(const char *text, size_t length)
{
    bool letter = false, number = false;
    for (size_t i = 0; i < length; i++) {
        number |= is_number(text[i]);
        letter |= !is_number(text[i]);
        if (!is_number(text[i]) && !memchr("mnkxb", text[i], 5))
            return false;
    }
    return letter && number;
}

static bool is_exotic(const char *text, size_t length)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(exotics); i++)
        if (equals(exotics[i], text, length))
            return true;
    return is_shape(text, length);
}

static void add_type(struct decoding *decoding, enum weft_ptx_type type, size_t at, size_t length)
{
    struct weft_ptx_insn *insn = &decoding->mnemonic->insn;
    const struct weft_ptx_form *form = decoding->mnemonic->form;
    if (insn->type_count == form->types_max)
        decode_fail(decoding,
                    form->types_max ? "one type too many" : "this instruction has no type", at,
                    length);
    else if (!(form->types >> type & 1))
        decode_fail(decoding, "this instruction does not take the type", at, length);
    else
        insn->types[insn->type_count++] = (uint8_t)type;
}

static bool repeats(const struct decoding *decoding, const struct word *word)
{
    bool may = word->group == WEFT_PTX_GROUP_CACHE || word->group == WEFT_PTX_GROUP_SPACE ||
               (decoding->mnemonic->form->groups & G(EXOTIC));
    return !may && (decoding->seen >> word->group & 1);
}

static void decode_modifier(struct decoding *decoding, size_t at, size_t length)
{
    const char *text = decoding->text + at;
    const struct weft_ptx_form *form = decoding->mnemonic->form;
    enum weft_ptx_type type = weft_ptx_type_find(text, length);
    const struct word *word = find_word(text, length, form->groups);
    if (word && repeats(decoding, word)) {
        decode_fail(decoding, "a second modifier of its kind", at, length);
    } else if (word) {
        decoding->seen |= UINT64_C(1) << word->group;
        apply_word(decoding, word, at, length);
    } else if (type) {
        add_type(decoding, type, at, length);
    } else if (!(form->groups & G(EXOTIC)) || !is_exotic(text, length)) {
        bool known = find_word(text, length, ~UINT64_C(0)) || is_exotic(text, length);
        decode_fail(decoding,
                    known ? "this instruction does not take the modifier" : "unknown modifier", at,
                    length);
    }
}

static void check_complete(struct decoding *decoding)
{
    const struct weft_ptx_insn *insn = &decoding->mnemonic->insn;
    const struct weft_ptx_form *form = decoding->mnemonic->form;
    uint64_t missing = form->required & ~decoding->seen;
    if (insn->type_count < form->types_min)
        decode_fail(decoding, "the type is missing", 0, decoding->size);
    else if (missing)
        decode_fail(decoding, missing_texts[__builtin_ctzll(missing)], 0, decoding->size);
    else
        decode_fail(decoding, weft_ptx_rules_broken(insn, decoding->seen), 0, decoding->size);
}

/* The older spellings of the block's barrier are the aligned ones. */
static void settle_barrier(struct decoding *decoding)
{
    struct weft_ptx_insn *insn = &decoding->mnemonic->insn;
    if (insn->opcode == WEFT_PTX_BAR && insn->mode != WEFT_PTX_BAR_WARP && decoding->text[3] == '.')
        insn->flags |= WEFT_PTX_ALIGNED;
}

const char *weft_ptx_form_decode(const char *text, size_t size, struct weft_ptx_mnemonic *mnemonic,
                                 size_t *at, size_t *length)
{
    uint32_t opcode = 0;
    size_t opcode_length = find_opcode(text, size, &opcode);
    *at = 0;
    *length = prefix_length(text, size, 1);
    if (!opcode_length)
        return "unknown instruction";
    *mnemonic = (struct weft_ptx_mnemonic){.form = &forms[opcode]};
    mnemonic->insn =
        (struct weft_ptx_insn){.opcode = (uint16_t)opcode, .vector = 1, .guard = WEFT_PTX_NONE};
    struct decoding decoding = {.mnemonic = mnemonic, .text = text, .size = size};
    for (size_t start = opcode_length; start < size && !decoding.reason;) {
        start += text[start] == ':' ? 2 : 1;
        size_t word = prefix_length(text + start, size - start, 1);
        decode_modifier(&decoding, start, word);
        start += word;
    }
    if (!decoding.reason)
        check_complete(&decoding);
    settle_barrier(&decoding);
    *at = decoding.at;
    *length = decoding.length;
    return decoding.reason;
}
