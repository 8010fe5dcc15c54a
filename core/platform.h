/* The only file that asks which compiler or machine this is. */
#ifndef CN_CORE_PLATFORM_H
#define CN_CORE_PLATFORM_H

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "Cordon needs a 64-bit little-endian machine: x86-64 or arm64"
#endif

/* clang 19 guarantees tail calls and has a calling convention that keeps the machine's state
 * in registers; with gcc the same handlers are sibling calls, and the build checks the object
 * for stray indirect calls. */
#if defined(__clang__)
#define CN_TAIL __attribute__((musttail)) return
#else
#define CN_TAIL return
#endif

#if defined(__clang__) && __clang_major__ >= 19
#define CN_HANDLER_CC __attribute__((preserve_none))
#define CN_HAS_SPARE_REGISTERS 1
#else
#define CN_HANDLER_CC
#define CN_HAS_SPARE_REGISTERS 0
#endif

#define CN_LIKELY(x) __builtin_expect(!!(x), 1)
#define CN_UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
