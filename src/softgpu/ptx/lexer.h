/* PTX text into tokens with positions. A directive or modifier is one token with its
 * dot: ".b32", ".shared::cta". */
#ifndef WEFT_SOFTGPU_PTX_LEXER_H
#define WEFT_SOFTGPU_PTX_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weft_ptx_token_kind {
    WEFT_PTX_TOKEN_END,
    WEFT_PTX_TOKEN_NAME,    /* add, %r1, $L_2, _ */
    WEFT_PTX_TOKEN_DOT,     /* .global, .2d, .L2::128B */
    WEFT_PTX_TOKEN_INTEGER, /* bits; is_unsigned where it ends in U or does not fit into s64 */
    WEFT_PTX_TOKEN_FLOAT, /* 0f…: bits are those of the f32, `single` set; 0d… and decimals: of the
                             f64 */
    WEFT_PTX_TOKEN_STRING, /* text without its quotes, escapes left as they stand */
    WEFT_PTX_TOKEN_SIGN,   /* sign: the character, or one of enum weft_ptx_sign */
    WEFT_PTX_TOKEN_BAD     /* reason says why */
};

/* Signs of two characters; those of one are themselves. */
enum weft_ptx_sign {
    WEFT_PTX_SIGN_SHIFT_LEFT = 256,
    WEFT_PTX_SIGN_SHIFT_RIGHT,
    WEFT_PTX_SIGN_LESS_EQUAL,
    WEFT_PTX_SIGN_GREATER_EQUAL,
    WEFT_PTX_SIGN_EQUAL,
    WEFT_PTX_SIGN_NOT_EQUAL,
    WEFT_PTX_SIGN_AND,
    WEFT_PTX_SIGN_OR
};

struct weft_ptx_token {
    uint8_t kind; /* enum weft_ptx_token_kind */
    _Bool is_unsigned, single;
    uint16_t sign;
    uint32_t line, column; /* from 1; columns count bytes */
    uint32_t length;
    const char *text; /* borrowed from the source */
    uint64_t bits;
    const char *reason;
};

struct weft_ptx_lexer {
    const char *at, *end;
    const char *line_start;
    uint32_t line;
};

/* `size` is at most WEFT_PTX_TEXT_BYTES_MAX, which keeps positions and lengths in 32 bits. */
void weft_ptx_lexer_init(struct weft_ptx_lexer *lexer, const char *text, size_t size);
void weft_ptx_lexer_next(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token);
/* scan.c: from behind a '{' to behind the '}' that closes it. False, and nothing moved, where there
 * is none or a string or comment has no end. */
bool weft_ptx_lexer_skip_body(struct weft_ptx_lexer *lexer);
/* Goes on with the line after the one that the lexer stands in. */
void weft_ptx_lexer_skip_line(struct weft_ptx_lexer *lexer);

#endif
