/* Element and data segments of the text format (core 6.6.9, 6.6.10). */
#include "loader/text_parse.h"

/* The bits of an element segment's first number. */
enum { NOT_ACTIVE = 1, HAS_TABLE_OR_IS_DECLARATIVE = 2, HAS_EXPRESSIONS = 4 };

enum segment_mode { ACTIVE, PASSIVE, DECLARATIVE };

/* (offset ...) or one folded instruction. */
static enum cn_status take_offset(struct cn_parser *p, struct cn_buffer *out)
{
    if (!cn_accept_open(p, "offset"))
        return cn_text_folded_expression(p, out);
    CN_TRY(cn_text_expression(p, out));
    return cn_expect_close(p);
}

/* ---------------------------------------------------------------- elements */

/* (item ...) or one folded instruction each, up to the closing parenthesis. */
static enum cn_status take_expressions(struct cn_parser *p, struct cn_buffer *out,
                                       uint32_t *count)
{
    for (; cn_peek(p)->kind == CN_TOKEN_OPEN; ++*count) {
        if (cn_accept_open(p, "item")) {
            CN_TRY(cn_text_expression(p, out));
            CN_TRY(cn_expect_close(p));
        } else {
            CN_TRY(cn_text_folded_expression(p, out));
        }
    }
    return CN_OK;
}

static enum cn_status take_funcs(struct cn_parser *p, struct cn_buffer *out, bool as_expressions,
                                 uint32_t *count)
{
    uint32_t index;

    for (; cn_next_is_index(p); ++*count) {
        CN_TRY(cn_take_index(p, CN_SPACE_FUNC, 0, &index));
        if (as_expressions)
            cn_put_byte(out, CN_WASM_REF_FUNC);
        cn_put_u(out, index);
        if (as_expressions)
            cn_put_byte(out, CN_WASM_END);
    }
    return CN_OK;
}

/* What a segment consists of, each part encoded by itself. */
struct segment {
    enum segment_mode mode;
    uint32_t table, count;
    bool has_expressions;
    struct cn_buffer offset, type, elements;
};

static void put_segment(struct cn_parser *p, struct segment *segment)
{
    enum { FUNCS = 0 };
    struct cn_buffer *out = &p->sections[9];
    bool is_funcref = segment->type.size == 1 && segment->type.bytes[0] == CN_HEAP_FUNC;
    bool is_short = segment->mode == ACTIVE && segment->table == 0 &&
                    (!segment->has_expressions || is_funcref);
    uint32_t flags = segment->mode == ACTIVE ? 0 : NOT_ACTIVE;

    if (segment->mode == DECLARATIVE || (segment->mode == ACTIVE && !is_short))
        flags |= HAS_TABLE_OR_IS_DECLARATIVE;
    if (segment->has_expressions)
        flags |= HAS_EXPRESSIONS;
    cn_put_u(out, flags);
    if (segment->mode == ACTIVE && !is_short)
        cn_put_u(out, segment->table);
    cn_put(out, segment->offset.bytes, segment->offset.size);
    if (!is_short && segment->has_expressions)
        cn_put(out, segment->type.bytes, segment->type.size);
    else if (!is_short)
        cn_put_byte(out, FUNCS);
    cn_put_u(out, segment->count);
    cn_put(out, segment->elements.bytes, segment->elements.size);
    p->entries[9]++;
    p->done[CN_SPACE_ELEM]++;
}

/* "func" and functions, a reference type and expressions, or functions alone. */
static enum cn_status take_list(struct cn_parser *p, struct segment *segment, bool may_omit_func)
{
    if (cn_next_is_reftype(p)) {
        segment->has_expressions = true;
        CN_TRY(cn_text_reftype(p, &segment->type));
        return take_expressions(p, &segment->elements, &segment->count);
    }
    if (!cn_accept(p, "func") && !may_omit_func)
        return cn_unexpected(p);
    return take_funcs(p, &segment->elements, false, &segment->count);
}

static enum cn_status take_segment(struct cn_parser *p, struct segment *segment)
{
    bool names_table = false;

    if (cn_accept(p, "declare")) {
        segment->mode = DECLARATIVE;
        return take_list(p, segment, false);
    }
    if (cn_accept_open(p, "table")) {
        CN_TRY(cn_take_index(p, CN_SPACE_TABLE, 0, &segment->table));
        CN_TRY(cn_expect_close(p));
        names_table = true;
    } else if (cn_next_is_index(p)) { /* as in early versions of the format */
        CN_TRY(cn_take_index(p, CN_SPACE_TABLE, 0, &segment->table));
        names_table = true;
    }
    bool is_active = names_table || (cn_peek(p)->kind == CN_TOKEN_OPEN && !cn_next_opens(p, "ref"));
    if (!is_active) {
        segment->mode = PASSIVE;
        return take_list(p, segment, false);
    }
    CN_TRY(take_offset(p, &segment->offset));
    return take_list(p, segment, true);
}

static enum cn_status finish(struct cn_parser *p, struct segment *segment, enum cn_status status)
{
    bool failed = segment->offset.failed || segment->type.failed || segment->elements.failed;

    cn_buffer_free(&segment->offset);
    cn_buffer_free(&segment->type);
    cn_buffer_free(&segment->elements);
    return status == CN_OK && failed ? cn_text_no_memory(p) : status;
}

static struct segment new_segment(const struct cn_parser *p)
{
    struct cn_buffer empty = {.allocator = p->allocator};

    return (struct segment){.offset = empty, .type = empty, .elements = empty};
}

enum cn_status cn_text_elem_field(struct cn_parser *p)
{
    struct segment segment = new_segment(p);
    struct cn_bytes name;

    CN_TRY(cn_take_id(p, &name));
    enum cn_status status = take_segment(p, &segment);
    if (status == CN_OK)
        put_segment(p, &segment);
    CN_TRY(finish(p, &segment, status));
    return cn_expect_close(p);
}

enum cn_status cn_text_inline_elems(struct cn_parser *p, uint32_t table, bool is_64,
                                    struct cn_bytes reftype, uint32_t *count)
{
    struct segment segment = new_segment(p);
    enum cn_status status;

    segment.table = table;
    segment.has_expressions = true;
    cn_put_byte(&segment.offset, is_64 ? CN_WASM_I64_CONST : CN_WASM_I32_CONST);
    cn_put_byte(&segment.offset, 0);
    cn_put_byte(&segment.offset, CN_WASM_END);
    cn_put(&segment.type, reftype.at, reftype.size);
    if (cn_next_is_index(p))
        status = take_funcs(p, &segment.elements, true, &segment.count);
    else
        status = take_expressions(p, &segment.elements, &segment.count);
    *count = segment.count;
    if (status == CN_OK)
        put_segment(p, &segment);
    return finish(p, &segment, status);
}

/* ---------------------------------------------------------------- data */

enum cn_status cn_text_strings(struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_bytes bytes;

    while (cn_peek(p)->kind == CN_TOKEN_STRING) {
        CN_TRY(cn_take_string(p, false, &bytes));
        cn_put(out, bytes.at, bytes.size);
    }
    return CN_OK;
}

static enum cn_status take_data(struct cn_parser *p, struct cn_buffer *out)
{
    enum { ACTIVE_0 = 0, PASSIVE_DATA = 1, ACTIVE_IN = 2 };
    struct cn_buffer content = {.allocator = p->allocator};
    uint32_t memory = 0;
    bool names_memory = cn_accept_open(p, "memory");

    if (names_memory) {
        CN_TRY(cn_take_index(p, CN_SPACE_MEMORY, 0, &memory));
        CN_TRY(cn_expect_close(p));
    } else if (cn_next_is_index(p)) {
        CN_TRY(cn_take_index(p, CN_SPACE_MEMORY, 0, &memory));
        names_memory = true;
    }
    if (names_memory || cn_peek(p)->kind == CN_TOKEN_OPEN) {
        cn_put_byte(out, memory ? ACTIVE_IN : ACTIVE_0);
        if (memory)
            cn_put_u(out, memory);
        CN_TRY(take_offset(p, out));
    } else {
        cn_put_byte(out, PASSIVE_DATA);
    }
    enum cn_status status = cn_text_strings(p, &content);
    cn_put_sized(out, cn_buffer_bytes(&content));
    out->failed = out->failed || content.failed;
    cn_buffer_free(&content);
    return status;
}

enum cn_status cn_text_data_field(struct cn_parser *p)
{
    struct cn_bytes name;

    CN_TRY(cn_take_id(p, &name));
    CN_TRY(take_data(p, &p->sections[11]));
    p->entries[11]++;
    return cn_expect_close(p);
}
