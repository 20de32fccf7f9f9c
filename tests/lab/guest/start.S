/* start.S - the guest's first instructions: multiboot header, segments, stack, the two interrupts */
        .section .multiboot, "a"
        .align  4
        .long   0x1badb002              /* magic */
        .long   2                       /* wants the memory size */
        .long   -(0x1badb002 + 2)       /* sum is zero */

        .text
        .globl  _start, isr_timer, isr_other
_start: cli
        lgdt    gdt_register
        ljmp    $8, $1f
1:      mov     $16, %cx
        mov     %cx, %ds
        mov     %cx, %es
        mov     %cx, %ss
        mov     $stack_top, %esp
        push    %ebx                    /* the multiboot structure */
        call    guest_main

isr_timer:
        push    %eax
        incl    ticks
        mov     $0x20, %al              /* end of interrupt */
        outb    %al, $0x20
        pop     %eax
        iret
isr_other:
        iret

        .data
gdt:    .quad   0                       /* null, code (8), data (16): flat, 4 GiB */
        .quad   0x00cf9a000000ffff
        .quad   0x00cf92000000ffff
gdt_register:
        .word   23
        .long   gdt

        .bss
        .align  16
        .space  16384
stack_top:
        .section .note.GNU-stack, "", @progbits
