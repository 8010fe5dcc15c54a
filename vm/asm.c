#include "vm/asm.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/module.h"
#include "vm/field.h"

#define LINE_ROOM 512
#define INSN_ROOM 64

/* An array that grows in the arena. */
struct growing {
    uint8_t *at;
    size_t used, room;
};

struct assembler {
    struct cn_arena *arena;
    struct cn_error *error;
    uint32_t line_number;
    char *cursor; /* in the current line */
    struct cn_code code;
    struct growing bytes, labels, refs, handlers;
};

static enum cn_status fail(const struct assembler *as, const char *what)
{
    return cn_fail(as->error, CN_MALFORMED, as->line_number, "line %u: %s, found \"%.40s\"",
                   as->line_number, what, as->cursor);
}

static enum cn_status append(struct assembler *as, struct growing *to, const void *from,
                             size_t size)
{
    if (size > to->room - to->used) {
        size_t room = (to->room + size) * 2;
        uint8_t *at = cn_arena_alloc(as->arena, room);
        if (at == NULL)
            return cn_fail(as->error, CN_NO_MEMORY, as->line_number, "out of memory");
        if (to->used > 0)
            memcpy(at, to->at, to->used);
        to->at = at;
        to->room = room;
    }
    memcpy(to->at + to->used, from, size);
    to->used += size;
    return CN_OK;
}

/* ------------------------------------------------------------------ words of a line */

static void skip_blanks(struct assembler *as)
{
    while (*as->cursor == ' ' || *as->cursor == '\t')
        as->cursor++;
}

/* Takes the word when it stands next. A blank in it stands for any number of them. */
static bool accept(struct assembler *as, const char *word)
{
    char *start = as->cursor;

    skip_blanks(as);
    for (; *word != '\0'; word++) {
        if (*word == ' ') {
            skip_blanks(as);
            continue;
        }
        if (*as->cursor != *word) {
            as->cursor = start;
            return false;
        }
        as->cursor++;
    }
    return true;
}

static bool at_digit(const struct assembler *as)
{
    const char *at = as->cursor + (*as->cursor == '-');

    return *at >= '0' && *at <= '9';
}

static enum cn_status take_number(struct assembler *as, uint64_t max, uint64_t *number)
{
    char *end;

    skip_blanks(as);
    if (!at_digit(as))
        return fail(as, "expected a number");
    uint64_t value = strtoull(as->cursor, &end, 0);
    if (value > max && *as->cursor != '-')
        return fail(as, "number too large");
    as->cursor = end;
    *number = value & max;
    return CN_OK;
}

static enum cn_status take_after(struct assembler *as, const char *word, uint64_t max,
                                 uint64_t *number)
{
    if (!accept(as, word))
        return cn_fail(as->error, CN_MALFORMED, as->line_number,
                       "line %u: expected \"%s\", found \"%.40s\"", as->line_number, word,
                       as->cursor);
    return take_number(as, max, number);
}

/* ------------------------------------------------------------------ one instruction */

struct draft {
    enum cn_insn insn;
    const struct cn_insn_info *row;
    uint8_t forms[4];
    uint16_t slots[4];      /* of the result and the operands that are slots */
    uint32_t immediates[4];
    bool any;               /* something stood behind the mnemonic */
};

static enum cn_status take_separator(struct assembler *as, struct draft *draft)
{
    if (draft->any && !accept(as, ","))
        return fail(as, "expected a comma");
    draft->any = true;
    skip_blanks(as);
    return CN_OK;
}

static enum cn_status take_slot(struct assembler *as, uint16_t *slot)
{
    uint64_t number;

    CN_TRY(take_after(as, "s", UINT16_MAX, &number));
    *slot = (uint16_t)number;
    return CN_OK;
}

static enum cn_status take_result(struct assembler *as, struct draft *draft)
{
    const char *first = cn_accumulator_name((enum cn_of)draft->row->result, false);
    const char *second = cn_accumulator_name((enum cn_of)draft->row->result, true);
    bool in_slot = false;

    CN_TRY(take_separator(as, draft));
    if (*as->cursor == 's') {
        CN_TRY(take_slot(as, &draft->slots[0]));
        draft->forms[0] = CN_TO_S;
        in_slot = true;
        if (!accept(as, "/"))
            return CN_OK;
    }
    if (accept(as, first))
        draft->forms[0] = in_slot ? CN_TO_B : CN_TO_R;
    else if (accept(as, second))
        draft->forms[0] = in_slot ? CN_TO_C : CN_TO_Q;
    else
        return fail(as, "expected a place for the result");
    return CN_OK;
}

static enum cn_status take_operand(struct assembler *as, struct draft *draft, uint32_t i)
{
    enum cn_of of = (enum cn_of)draft->row->operands[i];
    bool is_float = of == CN_OF_F32 || of == CN_OF_F64;
    uint64_t number;

    CN_TRY(take_separator(as, draft));
    if (*as->cursor == 's') {
        draft->forms[i + 1] = CN_S;
        return take_slot(as, &draft->slots[i + 1]);
    }
    if (at_digit(as)) {
        CN_TRY(take_number(as, UINT32_MAX, &number));
        draft->forms[i + 1] = CN_I;
        draft->immediates[i + 1] = (uint32_t)number;
        return CN_OK;
    }
    if (accept(as, cn_accumulator_name(of, false)))
        draft->forms[i + 1] = is_float ? CN_F : CN_R;
    else if (accept(as, cn_accumulator_name(of, true)))
        draft->forms[i + 1] = CN_Q;
    else
        return fail(as, "expected an operand");
    return CN_OK;
}

/* The name of a kind of references, as its code. */
static bool accept_reftype(struct assembler *as, uint64_t *code)
{
    static const uint8_t codes[] = {CN_HEAP_FUNC, CN_HEAP_EXTERN, CN_HEAP_ANY, CN_HEAP_EXN};

    for (size_t i = 0; i < sizeof codes; i++) {
        if (accept(as, cn_valtype_name(cn_ref_abstract(codes[i], true)))) {
            *code = codes[i];
            return true;
        }
    }
    return false;
}

static enum cn_status take_field(struct assembler *as, const struct cn_field *field,
                                 uint8_t *place)
{
    enum cn_field_kind kind = (enum cn_field_kind)field->kind;
    uint32_t size = cn_field_size(kind);
    uint64_t number;

    if (kind == CN_FIELD_REFTYPE && accept_reftype(as, &number))
        ;
    else if (kind == CN_FIELD_REFTYPE)
        CN_TRY(take_after(as, "type ", UINT32_MAX, &number));
    else
        CN_TRY(take_after(as, cn_field_prefix(kind), UINT64_MAX >> (64 - 8 * size), &number));
    memcpy(place, &number, size);
    return CN_OK;
}

/* Fields of the result and of operands have been read already, in this order. */
static void place_operands(const struct draft *draft, const struct cn_variant_info *variant,
                           uint8_t *start, bool *placed)
{
    uint32_t first = draft->row->result == CN_OF_NONE ? 1 : 0;

    for (uint32_t i = first; i <= draft->row->operand_count; i++) {
        bool in_slot = i == 0 ? draft->forms[0] != CN_TO_R && draft->forms[0] != CN_TO_Q
                              : draft->forms[i] == CN_S;
        bool is_immediate = i > 0 && draft->forms[i] == CN_I;
        enum cn_field_kind kind = i == 0         ? CN_FIELD_RESULT
                                  : is_immediate ? CN_FIELD_IMMEDIATE
                                                 : CN_FIELD_SOURCE;
        uint32_t at = 0;
        if (!in_slot && !is_immediate)
            continue;
        while (at < CN_FIELDS_MAX && (placed[at] || variant->fields[at].kind != kind))
            at++;
        assert(at < variant->field_count);
        placed[at] = true;
        memcpy(start + variant->fields[at].at,
               is_immediate ? (const void *)&draft->immediates[i] : &draft->slots[i],
               is_immediate ? 4 : 2);
    }
}

static enum cn_status take_row(struct assembler *as, struct draft *draft)
{
    char *start = as->cursor;
    size_t length = strcspn(start, " \t");

    for (uint32_t i = 0; i < CN_INSN_COUNT; i++) {
        if (strncmp(cn_insn_infos[i].text, start, length) == 0 &&
            cn_insn_infos[i].text[length] == '\0') {
            draft->insn = (enum cn_insn)i;
            draft->row = &cn_insn_infos[i];
            as->cursor += length;
            return CN_OK;
        }
    }
    return fail(as, "expected an instruction");
}

/* Reads an instruction into `bytes`, which is zeroed and has room for any. */
static enum cn_status take_insn(struct assembler *as, uint8_t bytes[INSN_ROOM], uint32_t *size)
{
    struct draft draft = {.any = false};
    bool placed[CN_FIELDS_MAX] = {false};

    CN_TRY(take_row(as, &draft));
    if (draft.row->result != CN_OF_NONE)
        CN_TRY(take_result(as, &draft));
    for (uint32_t i = 0; i < draft.row->operand_count; i++)
        CN_TRY(take_operand(as, &draft, i));
    uint64_t number = cn_variant_of(draft.insn, draft.forms);
    if (number == CN_NO_VARIANT)
        return fail(as, "the instruction has no such form");

    const struct cn_variant_info *variant = &cn_variant_infos[number];
    memcpy(bytes, &number, sizeof number);
    place_operands(&draft, variant, bytes, placed);
    for (uint32_t i = 0; i < variant->field_count; i++) {
        if (placed[i])
            continue;
        CN_TRY(take_separator(as, &draft));
        CN_TRY(take_field(as, &variant->fields[i], bytes + variant->fields[i].at));
    }
    *size = variant->size;
    return CN_OK;
}

/* ------------------------------------------------------------------ lines */

static enum cn_status take_func(struct assembler *as)
{
    uint64_t func, frame, header, entry;

    CN_TRY(take_number(as, UINT32_MAX, &func));
    CN_TRY(take_after(as, "frame ", UINT32_MAX, &frame));
    CN_TRY(take_after(as, "header ", UINT32_MAX, &header));
    CN_TRY(take_after(as, "entry $", UINT32_MAX, &entry));
    as->code.func = (uint32_t)func;
    as->code.frame = (uint32_t)frame;
    as->code.header = (uint32_t)header;
    as->code.entry_cost = (uint32_t)entry;
    return CN_OK;
}

static enum cn_status add_label(struct assembler *as, uint64_t number, uint64_t offset)
{
    uint64_t live;
    struct cn_label label = {.offset = (uint32_t)offset,
                             .ref_first = (uint32_t)(as->refs.used / sizeof(struct cn_ref_slot))};

    if (number != as->labels.used / sizeof label)
        return fail(as, "labels are numbered in their order");
    CN_TRY(take_after(as, "live ", UINT16_MAX, &live));
    label.live = (uint16_t)live;
    return append(as, &as->labels, &label, sizeof label);
}

static enum cn_status take_label(struct assembler *as)
{
    uint64_t number;

    CN_TRY(take_number(as, UINT32_MAX, &number));
    if (!accept(as, ":"))
        return fail(as, "expected a colon");
    return add_label(as, number, as->bytes.used);
}

static enum cn_status take_label_elsewhere(struct assembler *as)
{
    uint64_t number, offset;

    CN_TRY(take_after(as, "L", UINT32_MAX, &number));
    CN_TRY(take_after(as, "at ", UINT32_MAX, &offset));
    return add_label(as, number, offset);
}

static enum cn_status last_label(struct assembler *as, struct cn_label **label)
{
    if (as->labels.used == 0)
        return fail(as, "references belong to a label");
    *label = (struct cn_label *)(void *)(as->labels.at + as->labels.used - sizeof **label);
    return CN_OK;
}

static enum cn_status take_refs(struct assembler *as)
{
    struct cn_label *label = NULL;
    uint64_t type;

    CN_TRY(last_label(as, &label));
    for (skip_blanks(as); *as->cursor != '\0'; skip_blanks(as)) {
        struct cn_ref_slot ref = {0};
        CN_TRY(take_slot(as, &ref.slot));
        if (!accept(as, ":"))
            return fail(as, "expected a colon");
        if (!accept_reftype(as, &type))
            CN_TRY(take_number(as, UINT8_MAX, &type));
        ref.type = (uint8_t)type;
        CN_TRY(append(as, &as->refs, &ref, sizeof ref));
        label->ref_count++;
    }
    return CN_OK;
}

static enum cn_status take_refs_elsewhere(struct assembler *as)
{
    struct cn_label *label = NULL;
    uint64_t first, count;

    CN_TRY(last_label(as, &label));
    CN_TRY(take_number(as, UINT32_MAX, &first));
    CN_TRY(take_after(as, "count ", UINT16_MAX, &count));
    label->ref_first = (uint32_t)first;
    label->ref_count = (uint16_t)count;
    return CN_OK;
}

/* ".catch 16 to 112 tag 0 L3 $2 level 1 s7 gives 5"; "any" for a tag, "delegate" for a label. */
static enum cn_status take_handler(struct assembler *as)
{
    uint64_t start, end, tag = CN_ANY_TAG, label = CN_NO_LABEL, cost, level, gives;
    struct cn_handler_entry entry = {0};

    CN_TRY(take_number(as, UINT32_MAX, &start));
    CN_TRY(take_after(as, "to ", UINT32_MAX, &end));
    skip_blanks(as);
    if (!accept(as, "any"))
        CN_TRY(take_after(as, "tag ", UINT32_MAX, &tag));
    skip_blanks(as);
    if (!accept(as, "delegate"))
        CN_TRY(take_after(as, "L", UINT32_MAX, &label));
    CN_TRY(take_after(as, "$", UINT32_MAX, &cost));
    CN_TRY(take_after(as, "level ", UINT32_MAX, &level));
    skip_blanks(as);
    CN_TRY(take_slot(as, &entry.slot));
    CN_TRY(take_after(as, "gives ", UINT8_MAX, &gives));
    entry.start = (uint32_t)start;
    entry.end = (uint32_t)end;
    entry.tag = (uint32_t)tag;
    entry.label = (uint32_t)label;
    entry.cost = (uint32_t)cost;
    entry.level = (uint32_t)level;
    entry.gives = (uint8_t)gives;
    return append(as, &as->handlers, &entry, sizeof entry);
}

static enum cn_status take_raw(struct assembler *as, uint64_t max, size_t size)
{
    uint64_t number;

    CN_TRY(take_number(as, max, &number));
    return append(as, &as->bytes, &number, size);
}

static enum cn_status take_entry(struct assembler *as)
{
    uint64_t label, cost;
    uint32_t entry[2];

    CN_TRY(take_after(as, "L", UINT32_MAX, &label));
    CN_TRY(take_after(as, ", $", UINT32_MAX, &cost));
    entry[0] = (uint32_t)label;
    entry[1] = (uint32_t)cost;
    return append(as, &as->bytes, entry, sizeof entry);
}

/* `.head` keeps only the number of the instruction: code that is cut off. */
static enum cn_status add_insn(struct assembler *as, bool head_only)
{
    uint8_t bytes[INSN_ROOM] = {0};
    uint32_t size = 0;

    skip_blanks(as);
    CN_TRY(take_insn(as, bytes, &size));
    return append(as, &as->bytes, bytes, head_only ? 8 : size);
}

static enum cn_status take_statement(struct assembler *as)
{
    if (accept(as, "func "))
        return take_func(as);
    if (accept(as, "L"))
        return take_label(as);
    if (accept(as, ".label "))
        return take_label_elsewhere(as);
    if (accept(as, ".refs from "))
        return take_refs_elsewhere(as);
    if (accept(as, ".ref "))
        return take_refs(as);
    if (accept(as, ".catch "))
        return take_handler(as);
    if (accept(as, ".word "))
        return take_raw(as, UINT64_MAX, 8);
    if (accept(as, ".byte "))
        return take_raw(as, UINT8_MAX, 1);
    if (accept(as, "| "))
        return take_entry(as);
    return add_insn(as, accept(as, ".head "));
}

static enum cn_status take_line(struct assembler *as, char *line)
{
    line[strcspn(line, ";")] = '\0';
    as->cursor = line;
    skip_blanks(as);
    if (*as->cursor == '\0')
        return CN_OK;
    CN_TRY(take_statement(as));
    skip_blanks(as);
    return *as->cursor == '\0' ? CN_OK : fail(as, "expected the end of the line");
}

static void finish(struct assembler *as)
{
    as->code.bytes = as->bytes.at;
    as->code.size = (uint32_t)as->bytes.used;
    as->code.labels = (struct cn_label *)(void *)as->labels.at;
    as->code.label_count = (uint32_t)(as->labels.used / sizeof(struct cn_label));
    as->code.refs = (struct cn_ref_slot *)(void *)as->refs.at;
    as->code.ref_count = (uint32_t)(as->refs.used / sizeof(struct cn_ref_slot));
    as->code.handlers = (struct cn_handler_entry *)(void *)as->handlers.at;
    as->code.handler_count = (uint32_t)(as->handlers.used / sizeof(struct cn_handler_entry));
}

enum cn_status cn_asm(struct cn_bytes text, struct cn_arena *arena, struct cn_code *result,
                      struct cn_error *error)
{
    struct assembler as = {.arena = arena, .error = error};
    char line[LINE_ROOM];

    while (text.size > 0) {
        const uint8_t *end = memchr(text.at, '\n', text.size);
        size_t length = end != NULL ? (size_t)(end - text.at) : text.size;
        as.line_number++;
        as.cursor = line;
        line[0] = '\0';
        if (length >= sizeof line)
            return fail(&as, "the line is too long");
        memcpy(line, text.at, length);
        line[length] = '\0';
        CN_TRY(take_line(&as, line));
        length += end != NULL;
        text.at += length;
        text.size -= length;
    }
    finish(&as);
    *result = as.code;
    return CN_OK;
}
