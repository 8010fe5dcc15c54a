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

/* CN_SPARE parameters are passed only where registers are left for them; CN_SPARE_OR names the
 * register or the place in memory that stands in for it. */
#if defined(__clang__) && __clang_major__ >= 19
#define CN_HANDLER_CC __attribute__((preserve_none))
#define CN_SPARE(...) __VA_ARGS__
#define CN_SPARE_OR(in_register, in_memory) (in_register)
#else
#define CN_HANDLER_CC
#define CN_SPARE(...)
#define CN_SPARE_OR(in_register, in_memory) (in_memory)
#endif

/* Bytes of a vector of 16, by number: 0 for numbers of 16 and more. */
#if defined(__x86_64__)
#define CN_BYTES_AT(bytes, numbers)                                                                \
    __builtin_ia32_pshufb128((cn_chars)(bytes), (cn_chars)((numbers) | ((numbers) > 15)))
typedef char cn_chars __attribute__((vector_size(16)));
#else
#include <arm_neon.h>
#define CN_BYTES_AT(bytes, numbers) vqtbl1q_u8((uint8x16_t)(bytes), (uint8x16_t)(numbers))
#endif

/* Sanitizers map, trace and open things of their own: the sandbox leaves them what they need. */
#if defined(__SANITIZE_ADDRESS__)
#define CN_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                        \
    __has_feature(memory_sanitizer)
#define CN_IS_SANITIZED 1
#else
#define CN_IS_SANITIZED 0
#endif
#else
#define CN_IS_SANITIZED 0
#endif

#define CN_LIKELY(x) __builtin_expect(!!(x), 1)
#define CN_UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
