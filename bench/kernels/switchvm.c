#include "kernel.h"

/* A small stack machine that runs a program which counts: a switch in a loop. */
enum { PUSH, ADD, SUB, MUL, DUP, SWAP, LOAD, STORE, JUMP_IF, LESS, XOR, HALT };

static const int32_t program[] = {
    PUSH, 0, STORE, 0, PUSH, 1, STORE, 1,
    /* 8: */ LOAD, 1, PUSH, 3, MUL, LOAD, 0, ADD, STORE, 1,
    LOAD, 1, DUP, PUSH, 7, SWAP, SUB, XOR, STORE, 2,
    LOAD, 0, PUSH, 1, ADD, DUP, STORE, 0, PUSH, 100000, LESS, JUMP_IF, 8, LOAD, 2, HALT,
};

static int32_t interpret(void)
{
    int32_t stack[32], locals[4] = {0}, *top = stack;
    const int32_t *pc = program;

    for (;;) {
        switch (*pc++) {
        case PUSH: *top++ = *pc++; break;
        case ADD: top--; top[-1] = (int32_t)((uint32_t)top[-1] + (uint32_t)top[0]); break;
        case SUB: top--; top[-1] = (int32_t)((uint32_t)top[-1] - (uint32_t)top[0]); break;
        case MUL: top--; top[-1] = (int32_t)((uint32_t)top[-1] * (uint32_t)top[0]); break;
        case XOR: top--; top[-1] ^= top[0]; break;
        case DUP: top[0] = top[-1]; top++; break;
        case SWAP: { int32_t kept = top[-1]; top[-1] = top[-2]; top[-2] = kept; break; }
        case LOAD: *top++ = locals[*pc++]; break;
        case STORE: locals[*pc++] = *--top; break;
        case LESS: top--; top[-1] = top[-1] < top[0]; break;
        case JUMP_IF: if (*--top) pc = program + *pc; else pc++; break;
        default: return top[-1];
        }
    }
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;

    while (n-- > 0)
        sum = sum * 31 + (uint32_t)interpret();
    return sum;
}

KERNEL_MAIN
