/* What the device provides without a body: vprintf, malloc, free and __assertfail. */
#include <stdio.h>
#include <string.h>

#include "machine.h"

#include "types.h"

#define TEXT_BYTES_MAX 4096u
#define SPEC_BYTES_MAX 40u

/* One call of vprintf. */
struct printing {
    struct thread *thread;
    uint64_t next; /* address of the argument that comes next */
    bool faulted;
    size_t length;
    char text[TEXT_BYTES_MAX];
};

/* The argument of the running call at `index`, from a register or a .param variable. */
static uint64_t argument(struct thread *thread, const struct weft_ptx_call *call, uint32_t index,
                         uint32_t bytes)
{
    const struct weft_ptx_operand *operand = &call->arguments[index];
    uint64_t value = 0;
    if (operand->kind == WEFT_PTX_OPERAND_SYMBOL)
        memcpy(&value, thread_frame(thread)->params + operand_address(thread, operand), bytes);
    else
        value = operand_read(thread, operand, bytes == 4 ? WEFT_PTX_B32 : WEFT_PTX_B64);
    return value;
}

static void give(struct thread *thread, const struct weft_ptx_call *call, uint64_t value,
                 uint32_t bytes)
{
    if (call->return_count == 0)
        return;
    const struct weft_ptx_operand *operand = &call->returns[0];
    if (operand->kind == WEFT_PTX_OPERAND_SYMBOL)
        memcpy(thread_frame(thread)->params + operand_address(thread, operand), &value, bytes);
    else
        operand_write(thread, operand, bytes == 4 ? WEFT_PTX_B32 : WEFT_PTX_B64, value);
}

static uint64_t take(struct printing *printing, uint32_t bytes)
{
    uint64_t value = 0;
    uint64_t address = (printing->next + bytes - 1) / bytes * bytes;
    const void *from = printing->faulted
                           ? NULL
                           : memory_find(printing->thread, WEFT_PTX_GENERIC, address, bytes, 1);
    printing->faulted = printing->faulted || !from;
    if (from)
        memcpy(&value, from, bytes);
    printing->next = address + bytes;
    return value;
}

static void read_text(struct printing *printing, uint64_t address, char text[TEXT_BYTES_MAX])
{
    size_t length = 0;
    while (length + 1 < TEXT_BYTES_MAX && !printing->faulted) {
        const char *byte = memory_find(printing->thread, WEFT_PTX_GENERIC, address + length, 1, 1);
        printing->faulted = !byte;
        if (!byte || !*byte)
            break;
        text[length++] = *byte;
    }
    text[length] = '\0';
}

/* The flags, width and precision of a conversion with its stars replaced; in `longs` and `shorts`
 * how often its size letters stand. */
static const char *read_spec(struct printing *printing, const char *at, char *spec, unsigned *longs,
                             unsigned *shorts)
{
    size_t length = 0;
    *longs = *shorts = 0;
    spec[length++] = '%';
    for (; *at && strchr("-+ #0123456789.*hljztL", *at); at++) {
        *longs += strchr("ljzt", *at) != NULL;
        *shorts += *at == 'h';
        if (strchr("hljztL", *at) || length + 12 > SPEC_BYTES_MAX)
            continue;
        if (*at == '*')
            length += (size_t)sprintf(spec + length, "%d", (int)take(printing, 4));
        else
            spec[length++] = *at;
    }
    spec[length] = '\0';
    return at;
}

static void add(struct printing *printing, int count)
{
    size_t room = TEXT_BYTES_MAX - 1 - printing->length;
    if (count > 0)
        printing->length += (size_t)count < room ? (size_t)count : room;
}

#define ROOM(printing) (printing)->text + (printing)->length, TEXT_BYTES_MAX - (printing)->length

/* C's rules: an h or hh cuts the promoted argument down again. */
static void put_integer(struct printing *printing, char *spec, char letter, unsigned longs,
                        unsigned shorts)
{
    unsigned bits = longs ? 64 : shorts == 0 ? 32 : shorts == 1 ? 16 : 8;
    uint64_t value = low_bits(take(printing, longs ? 8 : 4), bits);
    bool is_signed = letter == 'd' || letter == 'i';
    sprintf(spec + strlen(spec), "ll%c", letter);
    if (is_signed)
        add(printing, snprintf(ROOM(printing), spec, (long long)sign_extend(value, bits)));
    else
        add(printing, snprintf(ROOM(printing), spec, (unsigned long long)value));
}

static void put_conversion(struct printing *printing, char *spec, char letter, unsigned longs,
                           unsigned shorts)
{
    char text[TEXT_BYTES_MAX] = "(null)";
    if (strchr("diouxX", letter)) {
        put_integer(printing, spec, letter, longs, shorts);
        return;
    }
    sprintf(spec + strlen(spec), "%c", letter);
    uint64_t bits = take(printing, letter == 'c' ? 4 : 8);
    if (letter == 'c') {
        add(printing, snprintf(ROOM(printing), spec, (int)bits));
    } else if (letter == 'p') {
        add(printing, snprintf(ROOM(printing), spec, (void *)(uintptr_t)bits));
    } else if (letter == 's') {
        if (bits)
            read_text(printing, bits, text);
        add(printing, snprintf(ROOM(printing), spec, text));
    } else {
        double value;
        memcpy(&value, &bits, sizeof value);
        add(printing, snprintf(ROOM(printing), spec, value));
    }
}

/* How many conversions the format holds. */
static uint32_t print(struct printing *printing, const char *format)
{
    uint32_t conversions = 0;
    for (const char *at = format; *at && !printing->faulted; at++) {
        char spec[SPEC_BYTES_MAX];
        unsigned longs, shorts;
        if (*at != '%' || at[1] == '%') {
            at += *at == '%';
            add(printing, snprintf(ROOM(printing), "%c", *at));
            continue;
        }
        at = read_spec(printing, at + 1, spec, &longs, &shorts);
        if (!*at)
            break;
        conversions++;
        if (strchr("diouxXfFeEgGaAcsp", *at))
            put_conversion(printing, spec, *at, longs, shorts);
    }
    return conversions;
}

static enum step system_print(struct thread *thread, const struct weft_ptx_call *call)
{
    const struct reference_launch *launch = thread->block->launch;
    uint64_t format = argument(thread, call, 0, 8);
    struct printing printing = {.thread = thread, .next = argument(thread, call, 1, 8)};
    uint32_t result = UINT32_MAX; /* -1 of no format */
    if (format) {
        char text[TEXT_BYTES_MAX];
        read_text(&printing, format, text);
        result = print(&printing, text);
    }
    if (printing.faulted)
        return STEP_FAULT;
    if (launch->print && printing.length)
        launch->print(launch->print_context, printing.text, printing.length);
    give(thread, call, result, 4);
    return STEP_NEXT;
}

/* The first gap that is large enough, pieces in the order of their addresses. */
static uint64_t heap_take(struct heap *heap, uint64_t bytes)
{
    uint64_t offset = 0;
    uint32_t at = 0;
    bytes = (bytes + HEAP_ALIGN - 1) / HEAP_ALIGN * HEAP_ALIGN;
    while (at < heap->count && heap->pieces[at].offset - offset < bytes)
        offset = heap->pieces[at].offset + heap->pieces[at].bytes, at++;
    if (heap->count == HEAP_PIECES_MAX || bytes > heap->bytes || offset > heap->bytes - bytes)
        return 0;
    memmove(&heap->pieces[at + 1], &heap->pieces[at], (heap->count - at) * sizeof *heap->pieces);
    heap->pieces[at] = (struct heap_piece){offset, bytes};
    heap->count++;
    return heap->base + offset;
}

static bool heap_give_back(struct heap *heap, uint64_t address)
{
    for (uint32_t at = 0; at < heap->count; at++) {
        if (heap->base + heap->pieces[at].offset != address)
            continue;
        heap->count--;
        memmove(&heap->pieces[at], &heap->pieces[at + 1],
                (heap->count - at) * sizeof *heap->pieces);
        return true;
    }
    return false;
}

static enum step system_allocate(struct thread *thread, const struct weft_ptx_call *call)
{
    uint64_t bytes = argument(thread, call, 0, 8);
    struct heap *heap = thread->block->heap;
    give(thread, call, bytes && bytes <= heap->bytes ? heap_take(heap, bytes) : 0, 8);
    return STEP_NEXT;
}

static enum step system_free(struct thread *thread, const struct weft_ptx_call *call)
{
    uint64_t address = argument(thread, call, 0, 8);
    if (address && !heap_give_back(thread->block->heap, address))
        return thread_fault(thread, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, address);
    return STEP_NEXT;
}

enum step system_call(struct thread *thread, const struct weft_ptx_insn *insn, const char *name)
{
    if (strcmp(name, "vprintf") == 0)
        return system_print(thread, insn->call);
    if (strcmp(name, "malloc") == 0)
        return system_allocate(thread, insn->call);
    if (strcmp(name, "free") == 0)
        return system_free(thread, insn->call);
    if (strcmp(name, "__assertfail") == 0)
        return thread_fault(thread, WEFT_EXEC_FAULT_ASSERT, 0);
    return STEP_UNKNOWN;
}
