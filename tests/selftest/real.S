/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Self-test of the real-mode interface: the instructions of the self-test module that
 * run with the data MMU off. Like the functions under test, they must pass
 * src/realmode-check.
 */

#define MSR_DR		0x10
#define FRAME_SIZE	64

	.machine power8
	.section .noinstr.text, "ax", @progbits
	.balign	16

/*
 * st_call_real - call a function with the data MMU off
 * r3 to r7: arguments of the function; r8: global entry point of the function
 *
 * The caller has hard-disabled interrupts. The code accesses only the stack, which is
 * in the linear mapping.
 */
	.globl	st_call_real
	.type	st_call_real, @function
st_call_real:
	mflr	0
	std	0, 16(1)
	std	2, 24(1)
	std	31, -8(1)
	stdu	1, -FRAME_SIZE(1)
	mfmsr	31
	li	9, MSR_DR
	andc	9, 31, 9
	mtmsrd	9
	isync
	mr	12, 8
	mtctr	12
	bctrl
	mtmsrd	31
	isync
	addi	1, 1, FRAME_SIZE
	ld	31, -8(1)
	ld	2, 24(1)
	ld	0, 16(1)
	mtlr	0
	blr
	.size	st_call_real, . - st_call_real

/*
 * st_msr - return the machine state register
 */
	.globl	st_msr
	.type	st_msr, @function
st_msr:
	mfmsr	3
	blr
	.size	st_msr, . - st_msr

/*
 * st_nothing - do nothing, to measure the cost of a call
 */
	.globl	st_nothing
	.type	st_nothing, @function
st_nothing:
	blr
	.size	st_nothing, . - st_nothing

/*
 * st_read - return the doubleword at the address in r3
 */
	.globl	st_read
	.type	st_read, @function
st_read:
	ld	3, 0(3)
	blr
	.size	st_read, . - st_read

	.section .note.GNU-stack, "", @progbits
