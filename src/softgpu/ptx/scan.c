/* Passing over a body: where it ends is all that is wanted, so sixteen bytes are looked at in one
 * step, and only what could open or close something, or hide it, one by one. */
#include <emmintrin.h>
#include <string.h>

#include "softgpu/ptx/lexer.h"

#define STEP 16

static bool is_special(char c)
{
    return c == '{' || c == '}' || c == '"' || c == '/';
}

static const char *find_special(const char *at, const char *end)
{
    const __m128i open = _mm_set1_epi8('{'), close = _mm_set1_epi8('}');
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('/');
    for (; end - at >= STEP; at += STEP) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i braces = _mm_or_si128(_mm_cmpeq_epi8(bytes, open), _mm_cmpeq_epi8(bytes, close));
        __m128i others = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash));
        int found = _mm_movemask_epi8(_mm_or_si128(braces, others));
        if (found)
            return at + __builtin_ctz((unsigned)found);
    }
    while (at < end && !is_special(*at))
        at++;
    return at;
}

/* Behind the string that begins at `at`, or NULL: as the lexer reads it. */
static const char *end_of_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"' && *at != '\n'; at++)
        if (*at == '\\' && end - at > 1 && at[1] != '\n')
            at++;
    return at < end && *at == '"' ? at + 1 : NULL;
}

/* Behind the comment that begins at `at`, or behind its slash where it is none; NULL: no end. */
static const char *end_of_comment(const char *at, const char *end)
{
    if (end - at < 2 || (at[1] != '/' && at[1] != '*'))
        return at + 1;
    if (at[1] == '/') {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        return line_end ? line_end : end;
    }
    const char *close = memmem(at + 2, (size_t)(end - at - 2), "*/", 2);
    return close ? close + 2 : NULL;
}

static uint32_t count_lines(const char *at, const char *end)
{
    const __m128i line_end = _mm_set1_epi8('\n'), zero = _mm_setzero_si128();
    __m128i sum = zero;
    for (; end - at >= STEP; at += STEP) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i ones = _mm_sub_epi8(zero, _mm_cmpeq_epi8(bytes, line_end));
        sum = _mm_add_epi64(sum, _mm_sad_epu8(ones, zero));
    }
    uint32_t lines = (uint32_t)_mm_cvtsi128_si64(sum) +
                     (uint32_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sum, sum));
    for (; at < end; at++)
        lines += *at == '\n';
    return lines;
}

static void move_to(struct weft_ptx_lexer *lexer, const char *at)
{
    lexer->line += count_lines(lexer->at, at);
    const char *line_end = memrchr(lexer->at, '\n', (size_t)(at - lexer->at));
    if (line_end)
        lexer->line_start = line_end + 1;
    lexer->at = at;
}

bool weft_ptx_lexer_skip_body(struct weft_ptx_lexer *lexer)
{
    const char *at = lexer->at, *end = lexer->end;
    uint32_t depth = 1;
    while (at && (at = find_special(at, end)) < end) {
        if (*at == '"') {
            at = end_of_string(at, end);
        } else if (*at == '/') {
            at = end_of_comment(at, end);
        } else {
            depth += *at++ == '{' ? 1 : UINT32_MAX;
            if (depth == 0) {
                move_to(lexer, at);
                return true;
            }
        }
    }
    return false;
}
