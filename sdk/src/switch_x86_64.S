/* See fiber_switch.h. System V ABI: rbx, rbp, r12 to r15, the SSE and x87 control words are kept. */
#if defined(__x86_64__) && !defined(FIBER_UCONTEXT)
    .text
    .globl fiber_switch
    .hidden fiber_switch
    .type fiber_switch, @function
    .p2align 4
fiber_switch: /* rdi: where to save, rsi: what to load */
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    pushq %r12
    .cfi_adjust_cfa_offset 8
    pushq %r13
    .cfi_adjust_cfa_offset 8
    pushq %r14
    .cfi_adjust_cfa_offset 8
    pushq %r15
    .cfi_adjust_cfa_offset 8
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    popq %r14
    .cfi_adjust_cfa_offset -8
    popq %r13
    .cfi_adjust_cfa_offset -8
    popq %r12
    .cfi_adjust_cfa_offset -8
    popq %rbx
    .cfi_adjust_cfa_offset -8
    popq %rbp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size fiber_switch, . - fiber_switch

    .globl fiber_enter
    .hidden fiber_enter
    .type fiber_enter, @function
    .p2align 4
fiber_enter: /* r12: function, r13: its argument; rsp is a multiple of 16 */
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    movq %r13, %rdi
    call *%r12
    ud2
    .cfi_endproc
    .size fiber_enter, . - fiber_enter
#endif
    .section .note.GNU-stack, "", @progbits
