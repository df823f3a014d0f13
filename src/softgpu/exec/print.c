/* What kernels say: vprintf, behind the device's printf, and __assertfail.
 *
 * The arguments of vprintf stand one after the other in memory, each aligned to its size: 4 bytes
 * for int, 8 for long, double and pointers. Each lane's text is handed over whole. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "softgpu/exec/memory.h"
#include "util/util.h"

#define TEXT_BYTES_MAX 4096 /* of a format, a string argument, and of what one call prints */
#define SPEC_BYTES_MAX 32   /* "%-+ #0123.456" */

/* One call of one lane. */
struct printer {
    struct weft_exec_run *run;
    uint32_t lane;
    uint64_t next; /* address of the next argument */
    bool failed;
    uint64_t bad_address;
    uint32_t length;
    char text[TEXT_BYTES_MAX];
};

static const void *reach(struct printer *printer, uint64_t address, uint32_t bytes)
{
    const struct weft_exec_touch touch = {WEFT_PTX_GENERIC, WEFT_EXEC_ACCESS_READ, printer->lane,
                                          bytes, address};
    const void *host = weft_exec_host_pointer(printer->run, &touch);
    if (host == NULL && !printer->failed) {
        printer->failed = true;
        printer->bad_address = address;
    }
    return host;
}

/* A string of the device's memory, cut to fit. */
static void read_string(struct printer *printer, uint64_t address, char *text)
{
    uint32_t length = 0;
    while (length < TEXT_BYTES_MAX - 1) {
        const char *byte = reach(printer, address + length, 1);
        if (byte == NULL || *byte == 0)
            break;
        text[length++] = *byte;
    }
    text[length] = 0;
}

static uint64_t next_argument(struct printer *printer, uint32_t bytes)
{
    uint64_t value = 0;
    uint64_t address = weft_round_up(printer->next, bytes);
    const void *host = reach(printer, address, bytes);
    if (host)
        memcpy(&value, host, bytes);
    printer->next = address + bytes;
    return value;
}

static void add(struct printer *printer, int wanted)
{
    uint32_t room = TEXT_BYTES_MAX - 1 - printer->length;
    if (wanted > 0)
        printer->length += WEFT_MIN((uint32_t)wanted, room);
}

static char *end_of(struct printer *printer)
{
    return printer->text + printer->length;
}

static size_t room_of(const struct printer *printer)
{
    return TEXT_BYTES_MAX - printer->length;
}

/* `bytes` of the value count, by its size letters: 1, 2, 4 or 8. */
static void print_integer(struct printer *printer, const char *spec, char conversion,
                          uint32_t bytes)
{
    char format[SPEC_BYTES_MAX + 8];
    uint32_t shift = 64 - 8 * bytes;
    uint64_t bits = next_argument(printer, bytes == 8 ? 8 : 4) << shift;
    bool is_signed = conversion == 'd' || conversion == 'i';
    int64_t value = is_signed ? (int64_t)bits >> shift : (int64_t)(bits >> shift);
    snprintf(format, sizeof(format), "%sll%c", spec, conversion);
    add(printer, snprintf(end_of(printer), room_of(printer), format, (long long)value));
}

static void print_real(struct printer *printer, const char *spec, char conversion)
{
    char format[SPEC_BYTES_MAX + 8];
    uint64_t bits = next_argument(printer, 8);
    double value;
    memcpy(&value, &bits, sizeof(value));
    snprintf(format, sizeof(format), "%s%c", spec, conversion);
    add(printer, snprintf(end_of(printer), room_of(printer), format, value));
}

static void print_text(struct printer *printer, const char *spec, char conversion)
{
    char format[SPEC_BYTES_MAX + 8];
    char text[TEXT_BYTES_MAX];
    snprintf(format, sizeof(format), "%s%c", spec, conversion);
    if (conversion == 'c') {
        int value = (int)next_argument(printer, 4);
        add(printer, snprintf(end_of(printer), room_of(printer), format, value));
    } else if (conversion == 'p') {
        void *value = (void *)(uintptr_t)next_argument(printer, 8);
        add(printer, snprintf(end_of(printer), room_of(printer), format, value));
    } else {
        uint64_t address = next_argument(printer, 8);
        if (address)
            read_string(printer, address, text);
        else
            snprintf(text, sizeof(text), "(null)");
        add(printer, snprintf(end_of(printer), room_of(printer), format, text));
    }
}

/* Copies one specification without its length letters, with stars replaced by their arguments; in
 * *bytes what these letters say of an integer; returns what follows it. */
static const char *read_spec(struct printer *printer, const char *at, char *spec, uint32_t *bytes)
{
    uint32_t length = 0;
    *bytes = 4;
    spec[length++] = *at++;
    for (; *at && strchr("-+ #0123456789.*hljztL", *at); at++) {
        if (strchr("ljzt", *at)) {
            *bytes = 8;
        } else if (*at == 'h') {
            *bytes = *bytes == 4 ? 2 : 1;
        } else if (*at == '*') {
            int32_t width = (int32_t)next_argument(printer, 4);
            int wrote = snprintf(spec + length, SPEC_BYTES_MAX - length, "%" PRId32, width);
            length = WEFT_MIN(length + (uint32_t)wrote, SPEC_BYTES_MAX - 1u);
        } else if (*at != 'L' && length < SPEC_BYTES_MAX - 1) {
            spec[length++] = *at;
        }
    }
    spec[length] = 0;
    return at;
}

/* Returns how many arguments the format names. */
static uint32_t print(struct printer *printer, const char *format)
{
    uint32_t arguments = 0;
    char spec[SPEC_BYTES_MAX];
    for (const char *at = format; *at && !printer->failed; at++) {
        uint32_t bytes;
        if (*at != '%' || at[1] == '%') {
            at += *at == '%';
            add(printer, snprintf(end_of(printer), room_of(printer), "%c", *at));
            continue;
        }
        at = read_spec(printer, at, spec, &bytes);
        if (*at == 0)
            break;
        arguments++;
        if (strchr("diouxX", *at))
            print_integer(printer, spec, *at, bytes);
        else if (strchr("fFeEgGaA", *at))
            print_real(printer, spec, *at);
        else if (strchr("csp", *at))
            print_text(printer, spec, *at);
    }
    return arguments;
}

static void hand_over(struct weft_exec_run *run, bool is_error, const char *text, uint32_t bytes)
{
    const struct weft_exec_launch *launch = run->block->launch;
    if (launch->print && bytes)
        launch->print(launch->print_context, is_error, text, bytes);
}

/* a: address of the format, b: of the arguments; d: how many the format names, -1 without one. */
COMMON_HANDLER(vprintf)
{
    const uint64_t *format_row = weft_exec_source(run, insn->a);
    const uint64_t *arguments_row = weft_exec_source(run, insn->b);
    uint32_t *d = weft_exec_row(run, insn->d);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        struct printer printer = {.run = run, .lane = lane, .next = arguments_row[lane]};
        char format[TEXT_BYTES_MAX];
        d[lane] = UINT32_MAX;
        if (format_row[lane] == 0)
            continue;
        read_string(&printer, format_row[lane], format);
        d[lane] = print(&printer, format);
        if (printer.failed) {
            weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS,
                            printer.bad_address);
            return;
        }
        hand_over(run, false, printer.text, printer.length);
    }
}

/* a, b, c: addresses of the condition, the file and the function; more[0]: the line. */
COMMON_HANDLER(assertfail)
{
    uint32_t lane = (uint32_t)__builtin_ctz(run->mask);
    const struct weft_exec_block *block = run->block;
    const uint32_t *threads = block->thread_index + run->warp->index * 3 * WEFT_EXEC_LANES;
    struct printer reader = {.run = run, .lane = lane};
    char condition[TEXT_BYTES_MAX], file[TEXT_BYTES_MAX], function[TEXT_BYTES_MAX];
    char text[TEXT_BYTES_MAX];
    read_string(&reader, ((const uint64_t *)weft_exec_source(run, insn->a))[lane], condition);
    read_string(&reader, ((const uint64_t *)weft_exec_source(run, insn->b))[lane], file);
    read_string(&reader, ((const uint64_t *)weft_exec_source(run, insn->c))[lane], function);
    uint32_t line = ((const uint32_t *)weft_exec_source(run, insn->more[0]))[lane];
    int length =
        snprintf(text, sizeof(text),
                 "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n", file,
                 line, function, block->index[0], block->index[1], block->index[2], threads[lane],
                 threads[WEFT_EXEC_LANES + lane], threads[2 * WEFT_EXEC_LANES + lane], condition);
    hand_over(run, true, text, (uint32_t)WEFT_MIN(length, (int)sizeof(text) - 1));
    weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_ASSERT, 0);
}
