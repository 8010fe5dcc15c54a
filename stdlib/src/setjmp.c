/* The half of setjmp and longjmp that is not the compiler's (LLVM's pass
 * WebAssemblyLowerEmscriptenEHSjLj says what it calls): a setjmp notes which call it was and in
 * which invocation of its function; a longjmp throws its buffer's address, and every function
 * with a setjmp asks on the way whether it is meant. */
#include <setjmp.h>
#include <stdint.h>

void __wasm_setjmp(struct __cordon_jump *env, uint32_t label, void *invocation);
uint32_t __wasm_setjmp_test(const struct __cordon_jump *env, const void *invocation);
void __wasm_longjmp(struct __cordon_jump *env, int value);

/* The tag's number among those that clang knows: 0 is C++'s. */
#define LONGJMP_TAG 1

void __wasm_setjmp(struct __cordon_jump *env, uint32_t label, void *invocation)
{
    env->invocation = invocation;
    env->label = label;
}

/* The label of the setjmp, or 0 when it was another invocation's. */
uint32_t __wasm_setjmp_test(const struct __cordon_jump *env, const void *invocation)
{
    return env->invocation == invocation ? env->label : 0;
}

__attribute__((target("exception-handling"))) void __wasm_longjmp(struct __cordon_jump *env,
                                                                  int value)
{
    env->thrown.env = env;
    env->thrown.value = value != 0 ? value : 1; /* setjmp never returns 0 twice */
    __builtin_wasm_throw(LONGJMP_TAG, &env->thrown);
}
