/* The functions that libcuda.so.1 exports. Each is one jump through the table, so that arguments of any shape arrive as
 * they were passed. As long as the table holds boot stubs, a call first opens weft, whichever call and thread that is. */

/* -- One exported function an entry, and their addresses for cuGetProcAddress. The entry's own label is used there: the
 * exported name could be taken by another library. The thread sanitizer cannot see what orders a load of the table, but it
 * sees the lock that every boot stub takes. */
    .text
.macro exported name, index
    .globl \name
    .type \name, @function
    .p2align 4
\name:
entry_\index:
    .cfi_startproc
#ifdef __SANITIZE_THREAD__
    jmp boot_\index
#else
    jmp *weft_face_table + 8 * \index(%rip)
#endif
    .cfi_endproc
    .size \name, . - \name
.endm
#define SYMBOL(name, index) exported name, index
#include "cuda_symbols.inc"
#undef SYMBOL

    .section .data.rel.ro, "aw"
    .globl weft_face_symbols
    .hidden weft_face_symbols
    .p2align 3
weft_face_symbols:
#define SYMBOL(name, index) .quad entry_##index
#include "cuda_symbols.inc"
#undef SYMBOL

/* -- One boot stub an entry. The number travels in eax, which carries no argument. */
    .text
.macro boot index
boot_\index:
    .cfi_startproc
    movl $\index, %eax
    jmp boot_call
    .cfi_endproc
.endm
#define SYMBOL(name, index) boot index
#include "cuda_symbols.inc"
#undef SYMBOL

/* Keeps the argument registers over weft_face_boot(number), then goes on in the function that it names. */
    .p2align 4
boot_call:
    .cfi_startproc
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %r8
    pushq %r9
    .cfi_adjust_cfa_offset 48
    subq $136, %rsp
    .cfi_adjust_cfa_offset 136
    movups %xmm0, 0(%rsp)
    movups %xmm1, 16(%rsp)
    movups %xmm2, 32(%rsp)
    movups %xmm3, 48(%rsp)
    movups %xmm4, 64(%rsp)
    movups %xmm5, 80(%rsp)
    movups %xmm6, 96(%rsp)
    movups %xmm7, 112(%rsp)
    movl %eax, %edi
    call weft_face_boot
    movups 0(%rsp), %xmm0
    movups 16(%rsp), %xmm1
    movups 32(%rsp), %xmm2
    movups 48(%rsp), %xmm3
    movups 64(%rsp), %xmm4
    movups 80(%rsp), %xmm5
    movups 96(%rsp), %xmm6
    movups 112(%rsp), %xmm7
    addq $136, %rsp
    .cfi_adjust_cfa_offset -136
    popq %r9
    popq %r8
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    .cfi_adjust_cfa_offset -48
    jmp *%rax
    .cfi_endproc

    .section .data.rel.ro, "aw"
    .globl weft_face_boot_table
    .hidden weft_face_boot_table
    .p2align 3
weft_face_boot_table:
#define SYMBOL(name, index) .quad boot_##index
#include "cuda_symbols.inc"
#undef SYMBOL

/* -- The table that all jumps go through. */
    .data
    .globl weft_face_table
    .hidden weft_face_table
    .p2align 6
weft_face_table:
#define SYMBOL(name, index) .quad boot_##index
#include "cuda_symbols.inc"
#undef SYMBOL

    .section .note.GNU-stack, "", @progbits
