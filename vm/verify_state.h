/* What the verifier knows at one point of the code: what stands in every slot of the frame and
 * which accumulators are set. */
#ifndef CN_VM_VERIFY_STATE_H
#define CN_VM_VERIFY_STATE_H

#include "core/code.h"
#include "core/module.h"

/* What a slot holds: nothing, a number or half of a vector, a reference of one of the four
 * hierarchies. */
enum cn_kind {
    CN_KIND_UNSET,
    CN_KIND_NUMBER,
    CN_KIND_FUNCREF,
    CN_KIND_EXTERNREF,
    CN_KIND_ANYREF,
    CN_KIND_EXNREF,
    CN_KIND_HEADER, /* never to be touched, see below */
};

static inline enum cn_kind cn_kind_of_code(uint8_t code)
{
    switch (code) {
    case CN_HEAP_FUNC:
        return CN_KIND_FUNCREF;
    case CN_HEAP_EXTERN:
        return CN_KIND_EXTERNREF;
    case CN_HEAP_ANY:
        return CN_KIND_ANYREF;
    case CN_HEAP_EXN:
        return CN_KIND_EXNREF;
    default:
        return CN_KIND_NUMBER;
    }
}

static inline enum cn_kind cn_kind_of(cn_valtype type)
{
    return cn_kind_of_code(cn_valtype_code(type));
}

static inline bool cn_kind_is_ref(enum cn_kind kind)
{
    return kind >= CN_KIND_FUNCREF && kind <= CN_KIND_EXNREF;
}

/* A root: what the collector wants to know of. */
static inline bool cn_kind_is_heap_ref(enum cn_kind kind)
{
    return kind >= CN_KIND_EXTERNREF && kind <= CN_KIND_EXNREF;
}

enum { CN_HAS_R0 = 1, CN_HAS_R1 = 2, CN_HAS_F0 = 4, CN_HAS_G0 = 8 };

/* Between the parameters and the locals lie the slots where a return leaves results that have no
 * parameter's place, and the header: return address and caller's frame. No instruction may name
 * one of them; only calls and returns use them.
 *
 * Invariants, which make most checks at labels a comparison of two numbers:
 *   every slot below `set_below` is set (reserved ones apart);
 *   every slot at or above `top` is unset (reserved ones apart);
 *   ref_count slots hold references, all of them below `ref_top`. */
struct cn_verify_state {
    uint8_t *kinds; /* enum cn_kind, one per slot of the frame */
    uint32_t frame, header;
    uint32_t params;       /* slots from here to the header's end are reserved */
    uint32_t set_below;
    uint32_t top;
    uint32_t ref_count;
    uint32_t ref_top;
    const struct cn_label *matched; /* a label whose references are those of now, or NULL */
    uint64_t version;      /* another one whenever the references may have changed */
    unsigned accumulators; /* CN_HAS_... */
    int64_t work;          /* steps that may still be spent on whole ranges of slots */
};

/* How much work may be spent per byte of code, and besides. Ordinary code needs a hundredth. */
#define CN_WORK_PER_BYTE 256
#define CN_WORK_BESIDES 1000000

/* The state at a function's entry: parameters set, everything else unset. `kinds` has room for
 * the frame. */
void cn_state_enter(struct cn_verify_state *state, uint8_t *kinds, const struct cn_code *code,
                    const struct cn_functype *type);

static inline bool cn_state_is_reserved(const struct cn_verify_state *state, uint32_t slot)
{
    return slot >= state->params && slot < state->header + CN_FRAME_HEADER;
}

static inline void cn_state_refs_change(struct cn_verify_state *state)
{
    state->matched = NULL;
    state->version++;
}

/* The slot is inside the frame and not reserved. */
static inline void cn_state_set(struct cn_verify_state *state, uint32_t slot, enum cn_kind kind)
{
    uint8_t *place = &state->kinds[slot];

    if (cn_kind_is_ref((enum cn_kind)*place) || cn_kind_is_ref(kind))
        cn_state_refs_change(state);
    if (cn_kind_is_ref((enum cn_kind)*place))
        state->ref_count--;
    *place = (uint8_t)kind;
    if (slot >= state->top)
        state->top = slot + 1;
    if (cn_kind_is_ref(kind)) {
        state->ref_count++;
        if (slot >= state->ref_top)
            state->ref_top = slot + 1;
    }
}

/* Every slot from `from` up becomes unset. */
void cn_state_unset_from(struct cn_verify_state *state, uint32_t from);

/* The lowest slot below `live` that is not set, or `live` when all are. */
uint32_t cn_state_first_unset(struct cn_verify_state *state, uint32_t live);

/* True when the references below label.live are exactly those that the label lists. */
bool cn_state_refs_match(struct cn_verify_state *state, const struct cn_label *label,
                         const struct cn_ref_slot *refs);

/* The state becomes what the label's map says. */
void cn_state_become(struct cn_verify_state *state, const struct cn_label *label,
                     const struct cn_ref_slot *refs);

#endif
