/* Register code of one function as the translator, the assembler or a cache made it:
 * not yet verified, so nothing here can be run. vm/verify.h turns it into a struct cn_funcode.
 *
 * The stream is a sequence of instructions, 8-byte aligned. Each begins with a 64-bit variant
 * number (enum cn_variant, from spec/insn.def); its operands lie where the variant's fields
 * say. Branch operands hold the number of a label, calls the index of a function: verification
 * replaces them by distances and addresses. See spec/bytecode.md.
 */
#ifndef CN_CORE_CODE_H
#define CN_CORE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One frame slot. */
union cn_slot {
    uint64_t u64;
    int64_t i64;
    uint32_t u32;
    int32_t i32;
    double f64;
    float f32;
    void *ref;
};
_Static_assert(sizeof(union cn_slot) == 8, "a slot is 8 bytes");

/* A slot that holds a reference when a label is reached. */
struct cn_ref_slot {
    uint16_t slot;
    uint8_t type; /* CN_HEAP_FUNC, EXTERN, ANY, EXN: see cn_valtype_code */
};

/* A place that branches may reach. Labels are sorted by offset, and their numbers are their
 * positions in that order. At a label every slot below `live` is set (the header and the result
 * slots between parameters and header apart, which no instruction may name), all others are
 * unset, and no accumulator holds anything. */
struct cn_label {
    uint32_t offset;    /* of an instruction's start, in bytes */
    uint16_t live;      /* slots below this are set */
    uint16_t ref_count; /* how many of them hold references: refs[ref_first...] */
    uint32_t ref_first;
};

/* The words between a frame's parameters and its locals: return address and caller's frame. */
#define CN_FRAME_HEADER 2
/* The highest number of slots that a frame can have; operands are 16 bits wide. */
#define CN_FRAME_MAX 65535u

/* What is done with an exception that is thrown at [start, end) of the code: by a `throw` that
 * stands there, or out of a call. Handlers are asked in their order. The values that the exception
 * carries, and the exception itself, are put into slots, and control goes to a label. */
struct cn_handler_entry {
    uint32_t start, end;
    uint32_t tag;   /* CN_ANY_TAG: whatever was thrown */
    uint32_t label; /* CN_NO_LABEL: delegated, see level */
    uint32_t cost;  /* fuel from the label to its first branch, call or return */
    uint32_t level; /* how many blocks are open around it; where it delegates: only handlers of at
                     * most this level are asked from then on */
    uint16_t slot;  /* first slot of what it hands over */
    uint8_t gives;  /* CN_GIVES_... */
};

#define CN_ANY_TAG UINT32_MAX
#define CN_NO_LABEL UINT32_MAX

enum {
    CN_GIVES_VALUES = 1, /* what the tag says */
    CN_GIVES_REF_FIRST = 2, /* the exception, before them */
    CN_GIVES_REF_LAST = 4,  /* or behind them */
};

struct cn_code {
    uint32_t func;       /* index in the module */
    uint32_t size;       /* of bytes */
    uint8_t *bytes;      /* aligned to 8 */
    uint32_t entry_cost; /* fuel from the function's entry to its first branch, call or return */
    uint32_t frame;      /* slots, header included */
    uint32_t header;     /* slot of the header: max(parameters, results) */
    uint32_t label_count;
    uint32_t ref_count;
    struct cn_label *labels;
    struct cn_ref_slot *refs;
    uint32_t handler_count;
    struct cn_handler_entry *handlers;
};

/* Whether they say the same, to the byte. The labels' references are in range. */
bool cn_code_equal(const struct cn_code *a, const struct cn_code *b);

#endif
