/* Work on bytes: checksums, words, upper case, and strings turned round. */
#include <stdint.h>
#include <string.h>

#include "../compare.h"

enum { LINES = 60, LENGTH_MAX = 40 };

#pragma omp declare target
static uint32_t checksum(const char *text, int length)
{
    uint32_t sum = ~0u;
    for (int i = 0; i < length; i++) {
        sum ^= (uint8_t)text[i];
        for (int bit = 0; bit < 8; bit++)
            sum = (sum >> 1) ^ (0xedb88320u & -(sum & 1));
    }
    return ~sum;
}

static int word_count(const char *text)
{
    int count = 0;
    for (int i = 0; text[i] != 0; i++)
        count += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
    return count;
}

static void turn(const char *from, char *to)
{
    int length = (int)strlen(from);
    for (int i = 0; i < length; i++) {
        char c = from[length - 1 - i];
        to[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    to[length] = 0;
}
#pragma omp end declare target

static char lines[LINES][LENGTH_MAX], turned[LINES][LENGTH_MAX];
static uint32_t sums[LINES];
static int words[LINES];

int main(void)
{
    int wrong = 0;
    for (int i = 0; i < LINES; i++)
        snprintf(lines[i], LENGTH_MAX, "line %d of %s the text", i, i % 3 ? "a part of" : "");
#pragma omp target teams distribute parallel for map(to                              \
                                                     : lines) map(tofrom             \
                                                                  : turned) map(from \
                                                                                : sums, words)
    for (int i = 0; i < LINES; i++) {
        sums[i] = checksum(lines[i], (int)strlen(lines[i]));
        words[i] = word_count(lines[i]);
        turn(lines[i], turned[i]);
    }
    for (int i = 0; i < LINES; i++) {
        char expected[LENGTH_MAX];
        turn(lines[i], expected);
        wrong += differ_long("checksum", sums[i], checksum(lines[i], (int)strlen(lines[i]))) +
                 differ_long("words", words[i], word_count(lines[i])) +
                 differ_long(lines[i], strcmp(turned[i], expected), 0);
    }
    return wrong + differ_long("known checksum", checksum("123456789", 9), 0xcbf43926) != 0;
}
