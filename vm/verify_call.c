/* Calls and returns. */
#include "vm/verifier.h"

static const struct cn_functype *callee_type(const struct cn_verifier *v, const struct insn *insn)
{
    uint32_t which = insn->variant->insn;

    if (which == CN_INSN_CALL_INDIRECT || which == CN_INSN_RETURN_CALL_INDIRECT ||
        which == CN_INSN_CALL_INDIRECT_64 || which == CN_INSN_RETURN_CALL_INDIRECT_64 ||
        which == CN_INSN_CALL_REF || which == CN_INSN_RETURN_CALL_REF)
        return cn_module_functype(v->module, insn->callee);
    return cn_module_type_of(v->module, insn->callee);
}

/* The arguments of a call, each in its slot or, a v128, in two. */
static enum cn_status check_arguments(struct cn_verifier *v, uint32_t slot,
                                      const struct cn_functype *type)
{
    const cn_valtype *params = cn_functype_params(type);

    for (uint32_t i = 0; i < type->param_count; i++)
        for (uint32_t end = slot + cn_valtype_slots(params[i]); slot < end; slot++)
            if (v->state.kinds[slot] != cn_kind_of(params[i]))
                return cn_refuse(v, CN_RULE_ARGUMENT, slot);
    return CN_OK;
}

static enum cn_status check_window(struct cn_verifier *v, uint32_t window,
                                   const struct cn_functype *type)
{
    uint32_t params = type->param_slots, results = type->result_slots;
    uint32_t slots = params > results ? params : results;
    uint32_t lowest = v->code->header + CN_FRAME_HEADER;

    if (window < lowest || window > v->code->frame ||
        v->code->frame - window < CN_FRAME_HEADER ||
        v->code->frame - window - CN_FRAME_HEADER < slots)
        return cn_refuse(v, CN_RULE_WINDOW, window);
    v->state.work -= (int64_t)params + results;
    return check_arguments(v, window, type);
}

/* As far as the machine knows types. */
static bool same_results(const struct cn_functype *a, const struct cn_functype *b)
{
    if (a->result_count != b->result_count)
        return false;
    for (uint32_t i = 0; i < a->result_count; i++)
        if (cn_valtype_code(cn_functype_results(a)[i]) !=
            cn_valtype_code(cn_functype_results(b)[i]))
            return false;
    return true;
}

static unsigned accumulator_of(cn_valtype type)
{
    switch (type) {
    case CN_I32:
    case CN_I64:
        return CN_HAS_R0;
    case CN_F64:
        return CN_HAS_F0;
    case CN_F32:
        return CN_HAS_G0;
    default:
        return 0; /* a reference or v128 is only in its slots */
    }
}

static enum cn_status check_header(struct cn_verifier *v, const struct insn *insn)
{
    if (insn->header != v->code->header)
        return cn_refuse(v, CN_RULE_RETURN_HEADER, insn->header);
    return CN_OK;
}

/* Sets slots from `slot` on to what these values are. */
static void set_values(struct cn_verifier *v, uint32_t slot, const cn_valtype *types,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t end = slot + cn_valtype_slots(types[i]); slot < end; slot++)
            cn_state_set(&v->state, slot, cn_kind_of(types[i]));
}

/* What is in the frame while the callee runs, for the collector, which finds it in front of
 * `after`. */
static void note_map(struct cn_verifier *v, const struct insn *insn)
{
    uint32_t map = cn_maps_note(v->maps, &v->state), end = v->at + insn->size;

    cn_store_u32(v->bytes + end - 8, v->code->size + map - end);
}

enum cn_status cn_check_call_insn(struct cn_verifier *v, const struct insn *insn)
{
    const struct cn_functype *type = callee_type(v, insn);
    const cn_valtype *results = cn_functype_results(type);

    if (insn->kind != CN_KIND_UNSET && insn->kind != CN_KIND_FUNCREF)
        return cn_refuse(v, CN_RULE_ELEMENTS, insn->table);
    if (!v->paid)
        return cn_refuse(v, CN_RULE_FREE_CALL, 0);
    CN_TRY(check_window(v, insn->window, type));
    if (insn->row->traits & CN_INSN_IS_RETURN) {
        if (!same_results(type, v->type))
            return cn_refuse(v, CN_RULE_TAIL_RESULTS, 0);
        return check_header(v, insn);
    }
    cn_state_unset_from(&v->state, insn->window);
    note_map(v, insn);
    CN_TRY(cn_check_handlers(v));
    set_values(v, insn->window, results, type->result_count);
    v->state.accumulators = type->result_count > 0 ? accumulator_of(results[0]) : 0;
    v->paid = insn->after > 0;
    return CN_OK;
}

static enum cn_status check_results(struct cn_verifier *v, uint32_t slot)
{
    const cn_valtype *results = cn_functype_results(v->type);

    v->state.work -= v->type->result_slots;
    for (uint32_t i = 0; i < v->type->result_count; i++)
        for (uint32_t end = slot + cn_valtype_slots(results[i]); slot < end; slot++)
            CN_TRY(cn_check_kind(v, slot, cn_kind_of(results[i])));
    return CN_OK;
}

enum cn_status cn_check_return_insn(struct cn_verifier *v, struct insn *insn)
{
    const cn_valtype *results = cn_functype_results(v->type);
    uint32_t count = v->type->result_slots;
    bool fits = count == 1;

    CN_TRY(check_header(v, insn));
    switch ((enum cn_insn)insn->variant->insn) {
    case CN_INSN_RET:
        fits = count == 0;
        break;
    case CN_INSN_RET1:
        fits = fits && results[0] != CN_F32 && results[0] != CN_F64;
        insn->kind = fits ? cn_kind_of(results[0]) : CN_KIND_UNSET;
        break;
    case CN_INSN_RET1_F64:
        fits = fits && results[0] == CN_F64;
        break;
    case CN_INSN_RET1_F32:
        fits = fits && results[0] == CN_F32;
        break;
    default: /* RETN */
        fits = insn->count == count;
        break;
    }
    if (!fits)
        return cn_refuse(v, CN_RULE_RESULTS, count);
    return insn->variant->insn == CN_INSN_RETN ? check_results(v, insn->first) : CN_OK;
}
