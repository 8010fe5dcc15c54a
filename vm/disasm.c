#include "vm/disasm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/bytes.h"
#include "vm/field.h"
#include "core/name.h"

#define LINE_ROOM 320
#define COMMENT_COLUMN 44
#define REFS_PER_LINE 8

struct text {
    char *at;
    size_t size, used;
};

struct listing {
    const struct cn_module *module;
    const struct cn_code *code;
    cn_line_fn line;
    void *context;
    uint32_t next_label;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text->at + text->used, text->size - text->used, format, arguments);
    va_end(arguments);
    text->used += (size_t)length;
    if (text->used >= text->size)
        text->used = text->size - 1;
}

static void print_line(const struct listing *listing, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void print_line(const struct listing *listing, const char *format, ...)
{
    char line[LINE_ROOM];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    listing->line(listing->context, line);
}

/* ------------------------------------------------------------------ one instruction */

/* The fields of one instruction, of which those of operands are taken out of turn. */
struct fields {
    const struct cn_variant_info *variant;
    const uint8_t *start;
    bool taken[CN_FIELDS_MAX];
    bool any; /* something has been printed behind the mnemonic */
};

static const struct cn_field *take(struct fields *fields, enum cn_field_kind kind)
{
    for (uint32_t i = 0; i < fields->variant->field_count; i++) {
        if (fields->taken[i] || fields->variant->fields[i].kind != kind)
            continue;
        fields->taken[i] = true;
        return &fields->variant->fields[i];
    }
    return NULL;
}

static unsigned slot_of(const struct fields *fields, const struct cn_field *field)
{
    return field != NULL ? cn_load_u16(fields->start + field->at) : 0;
}

static void put_separator(struct text *text, struct fields *fields)
{
    put(text, fields->any ? ", " : " ");
    fields->any = true;
}

static void put_result(struct text *text, struct fields *fields, uint8_t of)
{
    enum cn_result_form form = (enum cn_result_form)fields->variant->forms[0];
    bool second = form == CN_TO_Q || form == CN_TO_C;

    put_separator(text, fields);
    if (form == CN_TO_R || form == CN_TO_Q) {
        put(text, "%s", cn_accumulator_name((enum cn_of)of, second));
        return;
    }
    put(text, "s%u", slot_of(fields, take(fields, CN_FIELD_RESULT)));
    if (form != CN_TO_S)
        put(text, "/%s", cn_accumulator_name((enum cn_of)of, second));
}

static void put_operand(struct text *text, struct fields *fields, uint8_t form, uint8_t of)
{
    const struct cn_field *field;

    put_separator(text, fields);
    switch ((enum cn_form)form) {
    case CN_S:
        put(text, "s%u", slot_of(fields, take(fields, CN_FIELD_SOURCE)));
        break;
    case CN_I:
        field = take(fields, CN_FIELD_IMMEDIATE);
        if (field != NULL)
            put(text, "%" PRId32, (int32_t)cn_load_u32(fields->start + field->at));
        break;
    default:
        put(text, "%s", cn_accumulator_name((enum cn_of)of, form == CN_Q));
        break;
    }
}

static void put_bits(struct text *text, uint64_t bits)
{
    put(text, bits < 4096 ? "%" PRIu64 : "0x%" PRIx64, bits);
}

static void put_ref_type(struct text *text, uint32_t type)
{
    if (type <= UINT8_MAX && cn_code_is_ref((uint8_t)type))
        put(text, "%s", cn_valtype_name(cn_ref_abstract(type, true)));
    else
        put(text, "type 0x%" PRIx32, type);
}

static uint64_t field_value(const struct fields *fields, const struct cn_field *field)
{
    const uint8_t *place = fields->start + field->at;

    switch (cn_field_size((enum cn_field_kind)field->kind)) {
    case 2:
        return cn_load_u16(place);
    case 4:
        return cn_load_u32(place);
    default:
        return cn_load_u64(place);
    }
}

static void put_field(struct text *text, struct fields *fields, const struct cn_field *field)
{
    uint64_t value = field_value(fields, field);

    put_separator(text, fields);
    if (field->kind == CN_FIELD_REFTYPE)
        put_ref_type(text, (uint32_t)value);
    else if (field->kind == CN_FIELD_CAST)
        put(text, "%s0x%" PRIx64, cn_field_prefix(CN_FIELD_CAST), value);
    else if (field->kind == CN_FIELD_BITS32 || field->kind == CN_FIELD_BITS64)
        put_bits(text, value);
    else
        put(text, "%s%" PRIu64, cn_field_prefix((enum cn_field_kind)field->kind), value);
}

static void put_insn(struct text *text, const struct cn_variant_info *variant,
                     const uint8_t *start)
{
    const struct cn_insn_info *row = &cn_insn_infos[variant->insn];
    struct fields fields = {.variant = variant, .start = start};

    put(text, "%s", row->text);
    if (row->result != CN_OF_NONE)
        put_result(text, &fields, row->result);
    for (uint32_t i = 0; i < row->operand_count; i++)
        put_operand(text, &fields, variant->forms[i + 1], row->operands[i]);
    for (uint32_t i = 0; i < variant->field_count; i++)
        if (!fields.taken[i])
            put_field(text, &fields, &variant->fields[i]);
}

/* The text says nothing about the bytes between an instruction's fields. */
static bool has_clean_gaps(const struct cn_variant_info *variant, const uint8_t *start)
{
    uint64_t used = 0xff; /* the number */

    for (uint32_t i = 0; i < variant->field_count; i++) {
        uint32_t size = cn_field_size((enum cn_field_kind)variant->fields[i].kind);
        used |= ((1ull << size) - 1) << variant->fields[i].at;
    }
    for (uint32_t i = 0; i < variant->size; i++)
        if (start[i] != 0 && !(used >> i & 1))
            return false;
    return true;
}

/* NULL when no whole instruction stands there. */
static const struct cn_variant_info *variant_at(const struct cn_code *code, uint32_t offset)
{
    if (code->size - offset < 8)
        return NULL;
    uint64_t number = cn_load_u64(code->bytes + offset);
    if (number >= CN_VARIANT_COUNT)
        return NULL;
    const struct cn_variant_info *variant = &cn_variant_infos[number];
    if (variant->size > code->size - offset ||
        !has_clean_gaps(variant, code->bytes + offset))
        return NULL;
    return variant;
}

/* The entries of a branch table that are there. */
static uint32_t entry_count(const struct cn_code *code, uint32_t offset,
                            const struct cn_variant_info *variant)
{
    uint32_t room = (code->size - offset - variant->size) / 8;

    for (uint32_t i = 0; i < variant->field_count; i++) {
        if (variant->fields[i].kind != CN_FIELD_TABLE_SIZE)
            continue;
        uint32_t count = cn_load_u32(code->bytes + offset + variant->fields[i].at);
        return count < room ? count : room;
    }
    return 0;
}

uint32_t cn_disasm_insn(const struct cn_code *code, uint32_t offset, char *buffer, size_t size)
{
    const struct cn_variant_info *variant = variant_at(code, offset);
    struct text text = {buffer, size, 0};

    if (variant == NULL) {
        put(&text, ".word 0x%" PRIx64,
            code->size - offset < 8 ? 0 : cn_load_u64(code->bytes + offset));
        return 8;
    }
    put_insn(&text, variant, code->bytes + offset);
    return variant->size + 8 * entry_count(code, offset, variant);
}

/* ------------------------------------------------------------------ the listing */

static void put_comment(const struct listing *listing, struct text *text,
                        const struct cn_variant_info *variant, uint32_t offset)
{
    const uint8_t *start = listing->code->bytes + offset;
    struct fields fields = {.variant = variant, .start = start};
    char name[64];

    put(text, "%*s; %u", text->used < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - text->used) : 1, "",
        offset);
    for (uint32_t i = 0; i < variant->field_count; i++) {
        const struct cn_field *field = &variant->fields[i];
        bool is_func = field->kind == CN_FIELD_CODE || field->kind == CN_FIELD_FUNC;
        uint64_t value = field_value(&fields, field);
        if (is_func && listing->module != NULL && value < listing->module->func_count)
            put(text, " %s", cn_name_print(cn_module_func_name(listing->module, (uint32_t)value),
                                           name, sizeof name));
        if (field->kind == CN_FIELD_IMMEDIATE && (field->of == CN_OF_F64 || field->of == CN_OF_F32))
            put(text, " %.9g", (double)(union cn_slot){.u64 = value}.f32);
    }
    if (variant->insn == CN_INSN_CONST_F64)
        put(text, " %.17g", (union cn_slot){.u64 = cn_load_u64(start + 8)}.f64);
}

static uint32_t print_insn(const struct listing *listing,
                           const struct cn_variant_info *variant, uint32_t offset)
{
    char line[LINE_ROOM];
    struct text text = {line, sizeof line, 0};
    const struct cn_code *code = listing->code;
    uint32_t entries = entry_count(code, offset, variant);

    put(&text, "    ");
    put_insn(&text, variant, code->bytes + offset);
    put_comment(listing, &text, variant, offset);
    listing->line(listing->context, line);
    for (uint32_t i = 0; i < entries; i++) {
        const uint8_t *entry = code->bytes + offset + variant->size + 8 * (size_t)i;
        print_line(listing, "      | L%" PRIu32 ", $%" PRIu32, cn_load_u32(entry),
                   cn_load_u32(entry + 4));
    }
    return variant->size + 8 * entries;
}

static void print_refs(const struct listing *listing, const struct cn_label *label)
{
    const struct cn_code *code = listing->code;
    char line[LINE_ROOM];
    struct text text = {line, sizeof line, 0};

    if (label->ref_first > code->ref_count ||
        label->ref_count > code->ref_count - label->ref_first) {
        print_line(listing, "  .refs from %u count %u", label->ref_first, label->ref_count);
        return;
    }
    for (uint32_t i = 0; i < label->ref_count; i++) {
        const struct cn_ref_slot *ref = &code->refs[label->ref_first + i];
        bool ends_line = i % REFS_PER_LINE == REFS_PER_LINE - 1 || i + 1 == label->ref_count;
        put(&text, "%s", i % REFS_PER_LINE == 0 ? "  .ref" : "");
        put(&text, " s%u:", ref->slot);
        if (cn_code_is_ref(ref->type))
            put(&text, "%s", cn_valtype_name(cn_ref_abstract(ref->type, true)));
        else
            put(&text, "%u", ref->type);
        if (ends_line) {
            listing->line(listing->context, line);
            text.used = 0;
        }
    }
}

static void print_label(struct listing *listing, bool is_here)
{
    const struct cn_label *label = &listing->code->labels[listing->next_label];

    if (is_here)
        print_line(listing, "L%u: live %u", listing->next_label, label->live);
    else
        print_line(listing, "  .label L%u at %u live %u", listing->next_label, label->offset,
                   label->live);
    print_refs(listing, label);
    listing->next_label++;
}

/* The labels that are due at this place; those that should have been elsewhere say where. */
static void print_labels(struct listing *listing, uint32_t offset)
{
    const struct cn_code *code = listing->code;

    while (listing->next_label < code->label_count &&
           code->labels[listing->next_label].offset <= offset)
        print_label(listing, code->labels[listing->next_label].offset == offset);
}

static uint32_t print_raw(const struct listing *listing, uint32_t offset)
{
    const uint8_t *at = listing->code->bytes + offset;

    if (listing->code->size - offset >= 8) {
        print_line(listing, "    .word 0x%" PRIx64, cn_load_u64(at));
        return 8;
    }
    print_line(listing, "    .byte 0x%02x", *at);
    return 1;
}

static void print_handler(const struct listing *listing, const struct cn_handler_entry *entry)
{
    char tag[24] = "any", label[24] = "delegate";

    if (entry->tag != CN_ANY_TAG)
        snprintf(tag, sizeof tag, "tag %u", entry->tag);
    if (entry->label != CN_NO_LABEL)
        snprintf(label, sizeof label, "L%u", entry->label);
    print_line(listing, "    .catch %u to %u %s %s $%u level %u s%u gives %u", entry->start,
               entry->end, tag, label, entry->cost, entry->level, entry->slot, entry->gives);
}

void cn_disasm(const struct cn_module *module, const struct cn_code *code, cn_line_fn line,
               void *context)
{
    struct listing listing = {module, code, line, context, 0};
    uint32_t offset = 0;
    char name[64] = "";

    if (module != NULL && code->func < module->func_count)
        cn_name_print(cn_module_func_name(module, code->func), name, sizeof name);
    print_line(&listing, "func %u frame %u header %u entry $%u ; %s", code->func, code->frame,
               code->header, code->entry_cost, name);
    for (uint32_t i = 0; i < code->handler_count; i++)
        print_handler(&listing, &code->handlers[i]);
    while (offset < code->size) {
        const struct cn_variant_info *variant = variant_at(code, offset);
        print_labels(&listing, offset);
        if (variant != NULL)
            offset += print_insn(&listing, variant, offset);
        else
            offset += print_raw(&listing, offset);
    }
    while (listing.next_label < code->label_count)
        print_label(&listing, false);
}
