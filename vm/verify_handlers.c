/* Handlers of exceptions: the values that they hand over fit into the frame, and wherever an
 * exception may come from, their labels find what they need. */
#include <string.h>

#include "core/limits.h"
#include "vm/verifier.h"

/* What a handler writes: the values of the tag, and the exception before or behind them. */
struct handed {
    const struct cn_functype *type; /* NULL: no values */
    uint32_t slots;                 /* all together */
};

static struct handed handed_by(const struct cn_verifier *v, const struct cn_handler_entry *entry)
{
    struct handed handed = {NULL, 0};

    if (entry->gives & CN_GIVES_VALUES) {
        handed.type = cn_module_functype(v->module, v->module->tags[entry->tag]);
        handed.slots = handed.type->param_slots;
    }
    handed.slots += (entry->gives & (CN_GIVES_REF_FIRST | CN_GIVES_REF_LAST)) != 0;
    return handed;
}

static bool is_well_formed(const struct cn_verifier *v, const struct cn_handler_entry *entry)
{
    const struct cn_code *code = v->code;
    enum { REFS = CN_GIVES_REF_FIRST | CN_GIVES_REF_LAST };

    if (entry->start >= entry->end || entry->end > code->size)
        return false;
    if (entry->label == CN_NO_LABEL)
        return true;
    if (entry->label >= code->label_count || (entry->gives & REFS) == REFS ||
        entry->gives > (CN_GIVES_VALUES | REFS))
        return false;
    if (entry->tag != CN_ANY_TAG ? entry->tag >= v->module->tag_count
                                 : (entry->gives & CN_GIVES_VALUES) != 0)
        return false;
    uint32_t slots = handed_by(v, entry).slots;
    return slots == 0 || (entry->slot >= code->header + CN_FRAME_HEADER &&
                          entry->slot <= code->frame && slots <= code->frame - entry->slot);
}

enum cn_status cn_check_handler_list(struct cn_verifier *v)
{
    const struct cn_code *code = v->code;

    v->state.work -= code->handler_count;
    for (uint32_t i = 0; i < code->handler_count; i++) {
        const struct cn_handler_entry *entry = &code->handlers[i];
        if (!is_well_formed(v, entry))
            return cn_refuse(v, CN_RULE_HANDLER, i);
        if (entry->label != CN_NO_LABEL && entry->cost == 0)
            v->label_unpaid[entry->label] = 1;
    }
    return v->state.work < 0 ? cn_refuse(v, CN_RULE_WORK, 0) : CN_OK;
}

static void hand_over(struct cn_verifier *v, const struct cn_handler_entry *entry,
                      const struct handed *handed)
{
    uint32_t slot = entry->slot;

    if (entry->gives & CN_GIVES_REF_FIRST)
        cn_state_set(&v->state, slot++, CN_KIND_EXNREF);
    for (uint32_t i = 0; handed->type != NULL && i < handed->type->param_count; i++) {
        cn_valtype type = cn_functype_params(handed->type)[i];
        for (uint32_t n = cn_valtype_slots(type); n > 0; n--)
            cn_state_set(&v->state, slot++, cn_kind_of(type));
    }
    if (entry->gives & CN_GIVES_REF_LAST)
        cn_state_set(&v->state, slot, CN_KIND_EXNREF);
}

/* The state with what is handed over fits the label; then it is as before. */
static enum cn_status check_entry(struct cn_verifier *v, uint32_t index)
{
    const struct cn_handler_entry *entry = &v->code->handlers[index];
    struct handed handed = handed_by(v, entry);
    struct cn_verify_state before = v->state;
    uint8_t kinds[2 * CN_LIMIT_PARAMS + 1];

    memcpy(kinds, v->state.kinds + entry->slot, handed.slots);
    hand_over(v, entry, &handed);
    enum cn_status status = cn_check_map(v, entry->label);
    memcpy(v->state.kinds + entry->slot, kinds, handed.slots);
    before.work = v->state.work - handed.slots;
    v->state = before;
    return status == CN_OK ? CN_OK : cn_refuse(v, CN_RULE_HANDLER_MAP, index);
}

enum cn_status cn_check_handlers(struct cn_verifier *v)
{
    uint32_t level = UINT32_MAX;

    v->state.work -= v->code->handler_count;
    for (uint32_t i = 0; i < v->code->handler_count && v->state.work >= 0; i++) {
        const struct cn_handler_entry *entry = &v->code->handlers[i];
        if (v->at < entry->start || v->at >= entry->end || entry->level > level)
            continue;
        if (entry->label == CN_NO_LABEL)
            level = entry->level;
        else
            CN_TRY(check_entry(v, i));
    }
    return CN_OK;
}
