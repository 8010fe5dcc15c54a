/* Nonlocal jumps (ISO C 7.13) for guests, which Debian's wasi-libc does not have. They are made
 * of WebAssembly's exceptions: compile with tools/guest-cc, or give clang 19 the options
 *
 *     -mllvm -wasm-enable-sjlj
 *
 * and link libcordon-guest.a. clang 19 writes the older encoding of exceptions; Cordon runs it and
 * the standard's.
 *
 * A function that calls setjmp costs a try around each of its calls; nothing else gets slower.
 * A longjmp to a buffer whose function has returned ends the program as an uncaught exception;
 * ISO C leaves that undefined. */
#ifndef CORDON_SETJMP_H
#define CORDON_SETJMP_H

#ifdef __cplusplus
extern "C" {
#endif

/* What the compiler's calls and stdlib/src/setjmp.c keep there is nobody else's business. */
struct __cordon_jump {
    void *invocation;
    unsigned label;
    struct {
        void *env;
        int value;
    } thrown;
};

typedef struct __cordon_jump jmp_buf[1];
typedef jmp_buf sigjmp_buf;

int setjmp(jmp_buf env) __attribute__((__returns_twice__));
void longjmp(jmp_buf env, int value) __attribute__((__noreturn__));

#define setjmp setjmp
/* No signal is ever blocked, so there is no mask to save. */
#define _setjmp(env) setjmp(env)
#define _longjmp(env, value) longjmp(env, value)
#define sigsetjmp(env, save) ((void)(save), setjmp(env))
#define siglongjmp(env, value) longjmp(env, value)

#ifdef __cplusplus
}
#endif

#endif
