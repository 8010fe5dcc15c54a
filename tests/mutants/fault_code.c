/* Faults in the code as it is written. */
#include "core/bytes.h"
#include "tests/mutants/fault.h"

/* What goes wrong with a field of a kind: something is added, or it becomes 0 (delta 0). */
static const struct {
    enum fault fault;
    uint8_t kind;
    int8_t delta;
} spoils[] = {
    {FAULT_CODE_SOURCE_UP, CN_FIELD_SOURCE, 1},
    {FAULT_CODE_SOURCE_DOWN, CN_FIELD_SOURCE, -1},
    {FAULT_CODE_RESULT_UP, CN_FIELD_RESULT, 1},
    {FAULT_CODE_RESULT_DOWN, CN_FIELD_RESULT, -1},
    {FAULT_CODE_WINDOW_UP, CN_FIELD_WINDOW, 1},
    {FAULT_CODE_WINDOW_DOWN, CN_FIELD_WINDOW, -1},
    {FAULT_CODE_HEADER_UP, CN_FIELD_HEADER, 1},
    {FAULT_CODE_HEADER_DOWN, CN_FIELD_HEADER, -1},
    {FAULT_CODE_TARGET_UP, CN_FIELD_TARGET, 1},
    {FAULT_CODE_TARGET_DOWN, CN_FIELD_TARGET, -1},
    {FAULT_CODE_COST_FREE, CN_FIELD_COST, 0},
    {FAULT_CODE_COST_LESS, CN_FIELD_COST, -1},
    {FAULT_CODE_AFTER_FREE, CN_FIELD_AFTER, 0},
    {FAULT_CODE_AFTER_LESS, CN_FIELD_AFTER, -1},
    {FAULT_CODE_TABLE_SIZE, CN_FIELD_TABLE_SIZE, 1},
    {FAULT_CODE_CALLEE, CN_FIELD_CODE, 1},
    {FAULT_CODE_TYPE, CN_FIELD_TYPE, 1},
    {FAULT_CODE_TABLE, CN_FIELD_TABLE, 1},
    {FAULT_CODE_GLOBAL, CN_FIELD_GLOBAL, 1},
    {FAULT_CODE_MEMORY, CN_FIELD_MEMORY, 1},
    {FAULT_CODE_FIELD, CN_FIELD_STRUCT_FIELD, 1},
    {FAULT_CODE_CAST, CN_FIELD_CAST, 1},
    {FAULT_CODE_REF_TYPE, CN_FIELD_REFTYPE, -1},
    {FAULT_CODE_TAG, CN_FIELD_TAG, 1},
    {FAULT_CODE_DATA, CN_FIELD_DATA, 1},
    {FAULT_CODE_ELEMENT, CN_FIELD_ELEMENT, 1},
    {FAULT_CODE_FUNC, CN_FIELD_FUNC, 1},
    {FAULT_CODE_OFFSET, CN_FIELD_OFFSET, 8},
    {FAULT_CODE_OFFSET, CN_FIELD_OFFSET64, 8},
};

static bool is_short(uint8_t kind)
{
    return kind == CN_FIELD_SOURCE || kind == CN_FIELD_RESULT || kind == CN_FIELD_WINDOW ||
           kind == CN_FIELD_HEADER;
}

static void spoil_field(uint8_t *at, uint8_t kind)
{
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        if (spoils[i].kind != kind || !fault_strikes(spoils[i].fault))
            continue;
        uint32_t old = is_short(kind) ? cn_load_u16(at) : cn_load_u32(at);
        uint32_t new = spoils[i].delta == 0 ? 0 : old + (uint32_t)spoils[i].delta;
        if (is_short(kind))
            cn_store_u16(at, (uint16_t)new);
        else
            cn_store_u32(at, new);
    }
}

static void spoil_entries(uint8_t *at, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, at += 8) {
        if (fault_strikes(FAULT_CODE_TABLE_LABEL))
            cn_store_u32(at, cn_load_u32(at) + 1);
        if (fault_strikes(FAULT_CODE_TABLE_FREE))
            cn_store_u32(at + 4, 0);
    }
}

static void spoil_labels(struct cn_code *code)
{
    for (uint32_t i = 0; i < code->label_count; i++) {
        struct cn_label *label = &code->labels[i];
        if (fault_strikes(FAULT_CODE_LABEL_UP))
            label->offset += 8;
        if (fault_strikes(FAULT_CODE_LABEL_DOWN))
            label->offset -= 8;
        if (i == 0 || !fault_strikes(FAULT_CODE_LABEL_EXCHANGED))
            continue;
        struct cn_label kept = *label;
        *label = label[-1];
        label[-1] = kept;
        label[-1].offset = label->offset;
        label->offset = kept.offset;
    }
}

void fault_spoil_code(const struct cn_translator *t, struct cn_code *code)
{
    uint32_t at = 0, last = 0;

    for (uint32_t i = 0; i < t->ir_count; i++) {
        const struct cn_ir *ir = &t->ir[i];
        uint32_t size = cn_encoded_size(t, ir);
        if (size == 0)
            continue;
        const struct cn_variant_info *variant = &cn_variant_infos[ir->variant];
        for (uint32_t k = 0; k < variant->field_count; k++)
            spoil_field(code->bytes + at + variant->fields[k].at, variant->fields[k].kind);
        spoil_entries(code->bytes + at + variant->size, (size - variant->size) / 8);
        last = at;
        at += size;
    }
    spoil_labels(code);
    for (uint32_t i = 0; i < code->handler_count; i++)
        if (fault_strikes(FAULT_CODE_BACK)) {
            code->handlers[i].start -= 64;
            code->handlers[i].end -= 64;
        }
    if (fault_strikes(FAULT_CODE_ENTRY_FREE))
        code->entry_cost = 0;
    if (fault_strikes(FAULT_CODE_CUT))
        code->size = last;
}
