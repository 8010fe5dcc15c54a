#include "vm/verify_state.h"

#include <string.h>

/* Comparing one reference is dearer than clearing one slot among many. */
#define REF_WORK 8

static void mark_reserved(struct cn_verify_state *state)
{
    memset(state->kinds + state->params, CN_KIND_HEADER,
           state->header + CN_FRAME_HEADER - state->params);
}

void cn_state_enter(struct cn_verify_state *state, uint8_t *kinds, const struct cn_code *code,
                    const struct cn_functype *type)
{
    const cn_valtype *params = cn_functype_params(type);

    *state = (struct cn_verify_state){
        .kinds = kinds,
        .frame = code->frame,
        .header = code->header,
        .params = type->param_slots,
        .work = CN_WORK_BESIDES + CN_WORK_PER_BYTE * (int64_t)code->size,
    };
    memset(kinds, CN_KIND_UNSET, code->frame);
    mark_reserved(state);
    for (uint32_t i = 0, slot = 0; i < type->param_count; i++)
        for (uint32_t end = slot + cn_valtype_slots(params[i]); slot < end; slot++)
            cn_state_set(state, slot, cn_kind_of(params[i]));
    state->set_below = type->param_slots;
}

/* References in slots from `from` up to where there are none. */
static uint32_t refs_from(struct cn_verify_state *state, uint32_t from)
{
    uint32_t count = 0;

    if (from >= state->ref_top)
        return 0;
    state->work -= state->ref_top - from;
    for (uint32_t i = from; i < state->ref_top; i++)
        count += cn_kind_is_ref((enum cn_kind)state->kinds[i]);
    return count;
}

void cn_state_unset_from(struct cn_verify_state *state, uint32_t from)
{
    if (state->set_below > from)
        state->set_below = from;
    if (from >= state->top)
        return;
    if (state->ref_count > 0)
        state->ref_count -= refs_from(state, from);
    if (state->ref_top > from) {
        state->ref_top = from;
        cn_state_refs_change(state);
    }
    state->work -= state->top - from;
    memset(state->kinds + from, CN_KIND_UNSET, state->top - from);
    if (from < state->header + CN_FRAME_HEADER)
        mark_reserved(state);
    state->top = from;
}

uint32_t cn_state_first_unset(struct cn_verify_state *state, uint32_t live)
{
    /* The mark only rises here, past slots that have been set since it was lowered. */
    while (state->set_below < live && state->kinds[state->set_below] != CN_KIND_UNSET)
        state->set_below++;
    return state->set_below < live ? state->set_below : live;
}

/* Many labels share one list, and most branches go where the last one went. */
static bool same_refs(const struct cn_label *a, const struct cn_label *b)
{
    return a->ref_first == b->ref_first && a->ref_count == b->ref_count && a->live == b->live;
}

bool cn_state_refs_match(struct cn_verify_state *state, const struct cn_label *label,
                         const struct cn_ref_slot *refs)
{
    if (state->ref_count == 0 && label->ref_count == 0)
        return true;
    if (state->matched != NULL && same_refs(state->matched, label))
        return true;
    if (state->ref_count - refs_from(state, label->live) != label->ref_count)
        return false;
    state->work -= (int64_t)label->ref_count * REF_WORK;
    for (uint32_t i = 0; i < label->ref_count; i++) {
        const struct cn_ref_slot *ref = &refs[label->ref_first + i];
        if (state->kinds[ref->slot] != cn_kind_of(ref->type))
            return false;
    }
    state->matched = label;
    return true;
}

static void forget_refs(struct cn_verify_state *state)
{
    state->work -= state->ref_top;
    for (uint32_t i = 0; i < state->ref_top; i++)
        if (cn_kind_is_ref((enum cn_kind)state->kinds[i]))
            state->kinds[i] = CN_KIND_NUMBER;
    state->ref_count = 0;
    state->ref_top = 0;
    cn_state_refs_change(state);
}

void cn_state_become(struct cn_verify_state *state, const struct cn_label *label,
                     const struct cn_ref_slot *refs)
{
    cn_state_unset_from(state, label->live);
    for (uint32_t i = state->set_below; i < label->live; i++)
        if (state->kinds[i] == CN_KIND_UNSET)
            state->kinds[i] = CN_KIND_NUMBER;
    state->work -= label->live - state->set_below;
    state->set_below = label->live;
    state->top = label->live;
    state->accumulators = 0;
    if (cn_state_refs_match(state, label, refs))
        return;

    forget_refs(state);
    for (uint32_t i = 0; i < label->ref_count; i++) {
        const struct cn_ref_slot *ref = &refs[label->ref_first + i];
        cn_state_set(state, ref->slot, cn_kind_of(ref->type));
    }
}
