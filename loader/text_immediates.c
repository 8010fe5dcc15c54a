/* What follows the operators of the text format (core 6.5). */
#include "loader/text_parse.h"

void cn_text_put_operator(struct cn_buffer *out, uint32_t op)
{
    if (op < 256) {
        cn_put_byte(out, (uint8_t)op);
        return;
    }
    cn_put_byte(out, (uint8_t)(op >> 16));
    cn_put_u(out, op & 0xffff);
}

enum cn_status cn_text_label(struct cn_parser *p, uint32_t *depth)
{
    if (cn_peek(p)->kind != CN_TOKEN_ID)
        return cn_take_u32(p, depth);
    CN_TRY(cn_take_index(p, CN_SPACE_LABEL, 0, depth));
    *depth = p->label_count - *depth;
    return CN_OK;
}

/* ---------------------------------------------------------------- indices */

static enum cn_status put_index(struct cn_parser *p, enum cn_space space, struct cn_buffer *out)
{
    uint32_t index;

    CN_TRY(cn_take_index(p, space, space == CN_SPACE_LOCAL ? p->scope : 0, &index));
    cn_put_u(out, index);
    return CN_OK;
}

/* An index that is 0 when there is none. */
static enum cn_status put_optional(struct cn_parser *p, enum cn_space space,
                                   struct cn_buffer *out)
{
    if (cn_next_is_index(p))
        return put_index(p, space, out);
    cn_put_u(out, 0);
    return CN_OK;
}

/* Two of them, or none, which means 0 and 0. */
static enum cn_status put_two_optional(struct cn_parser *p, enum cn_space space,
                                       struct cn_buffer *out)
{
    if (!cn_next_is_index(p)) {
        cn_put_u(out, 0);
        cn_put_u(out, 0);
        return CN_OK;
    }
    CN_TRY(put_index(p, space, out));
    return put_index(p, space, out);
}

/* "memory.init m d" or "memory.init d": the segment is encoded first. */
static enum cn_status put_segment_and(struct cn_parser *p, enum cn_space segment,
                                      enum cn_space space, struct cn_buffer *out)
{
    uint32_t place = 0, number;
    uint8_t second = p->tokens->tokens[p->at].kind != CN_TOKEN_END
                         ? p->tokens->tokens[p->at + 1].kind
                         : CN_TOKEN_END;

    if (second == CN_TOKEN_NUMBER || second == CN_TOKEN_ID)
        CN_TRY(cn_take_index(p, space, 0, &place));
    CN_TRY(cn_take_index(p, segment, 0, &number));
    cn_put_u(out, number);
    cn_put_u(out, place);
    return CN_OK;
}

static enum cn_status put_labels(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t start = p->at, count = 0, depth;

    for (; cn_next_is_index(p); count++)
        p->at++;
    p->at = start;
    if (count == 0)
        return cn_unexpected(p);
    cn_put_u(out, count - 1);
    while (cn_next_is_index(p)) {
        CN_TRY(cn_text_label(p, &depth));
        cn_put_u(out, depth);
    }
    return CN_OK;
}

/* A table, or 0, and a type use: the type is encoded first. */
static enum cn_status put_type_table(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t table = 0, type;

    if (cn_next_is_index(p))
        CN_TRY(cn_take_index(p, CN_SPACE_TABLE, 0, &table));
    CN_TRY(cn_text_type_use(p, CN_SCOPE_NONE, &type));
    cn_put_u(out, type);
    cn_put_u(out, table);
    return CN_OK;
}

static enum cn_status put_field(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t type, field;

    CN_TRY(cn_take_index(p, CN_SPACE_TYPE, 0, &type));
    CN_TRY(cn_take_index(p, CN_SPACE_FIELD, type, &field));
    cn_put_u(out, type);
    cn_put_u(out, field);
    return CN_OK;
}

/* ---------------------------------------------------------------- memory accesses */

/* A word of the form NAME=NUMBER. */
static enum cn_status take_setting(struct cn_parser *p, const char *name, bool *is_there,
                                   uint64_t *value)
{
    struct cn_bytes text = cn_token_at(p, p->at);
    size_t size = strlen(name);

    *is_there = cn_peek(p)->kind == CN_TOKEN_WORD && text.size > size &&
                memcmp(text.at, name, size) == 0;
    if (!*is_there)
        return CN_OK;
    struct cn_bytes number = {text.at + size, text.size - size};
    if (!cn_atom_is_integer(number) || number.at[0] == '-' || number.at[0] == '+')
        return cn_text_fail(p, p->at, "unknown operator %.*s", (int)size, name);
    if (!cn_parse_nat(number, UINT64_MAX, value))
        return cn_text_fail(p, p->at, "i64 constant out of range");
    p->at++;
    return CN_OK;
}

/* Memory, offset and alignment; the memory only where a lane number cannot be meant. */
static enum cn_status put_memarg(struct cn_parser *p, uint32_t place, bool has_lane,
                                 struct cn_buffer *out)
{
    enum { HAS_MEMORY = 64 };
    uint32_t flags = cn_wasm_alignment(&cn_wasm_infos[place]), memory = 0;
    uint64_t offset = 0, align = 0;
    uint8_t second = cn_peek(p)->kind != CN_TOKEN_END ? (&cn_peek(p)[1])->kind : CN_TOKEN_END;
    bool is_there;

    if (cn_next_is_index(p) &&
        (!has_lane || cn_peek(p)->kind == CN_TOKEN_ID || second == CN_TOKEN_NUMBER ||
         (second == CN_TOKEN_WORD && memchr(cn_token_at(p, p->at + 1).at, '=',
                                            cn_token_at(p, p->at + 1).size) != NULL)))
        CN_TRY(cn_take_index(p, CN_SPACE_MEMORY, 0, &memory));
    CN_TRY(take_setting(p, "offset=", &is_there, &offset));
    uint32_t at = p->at;
    CN_TRY(take_setting(p, "align=", &is_there, &align));
    if (is_there && (align == 0 || (align & (align - 1)) != 0))
        return cn_text_fail(p, at, "alignment must be a power of two");
    if (is_there)
        flags = (uint32_t)__builtin_ctzll(align);
    cn_put_u(out, flags | (memory ? HAS_MEMORY : 0));
    if (memory)
        cn_put_u(out, memory);
    cn_put_u(out, offset);
    return CN_OK;
}

static enum cn_status put_lane(struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_bytes text = cn_token_at(p, p->at);
    uint64_t lane;

    if (cn_peek(p)->kind != CN_TOKEN_NUMBER || !cn_atom_is_integer(text) || text.at[0] == '-' ||
        text.at[0] == '+')
        return cn_unexpected(p);
    if (!cn_parse_nat(text, UINT8_MAX, &lane))
        return cn_text_fail(p, p->at, "i8 constant out of range");
    p->at++;
    cn_put_byte(out, (uint8_t)lane);
    return CN_OK;
}

static enum cn_status put_lanes(struct cn_parser *p, struct cn_buffer *out)
{
    for (int i = 0; i < 16; i++) {
        if (cn_peek(p)->kind != CN_TOKEN_NUMBER)
            return cn_text_fail(p, p->at, "invalid lane length: expected 16 lanes, found %d", i);
        uint64_t lane;
        if (!cn_parse_nat(cn_token_at(p, p->at), UINT8_MAX, &lane))
            return cn_text_fail(p, p->at, "i8 constant out of range");
        CN_TRY(put_lane(p, out));
    }
    if (cn_peek(p)->kind == CN_TOKEN_NUMBER)
        return cn_text_fail(p, p->at, "invalid lane length: expected 16 lanes, found more");
    return CN_OK;
}

/* ---------------------------------------------------------------- constants */

static enum cn_status out_of_range(struct cn_parser *p, const char *type)
{
    struct cn_bytes text = cn_token_at(p, p->at);

    return cn_text_fail(p, p->at, "constant out of range: %.*s is no %s",
                        text.size < 60 ? (int)text.size : 60, (const char *)text.at, type);
}

static enum cn_status take_int(struct cn_parser *p, unsigned bits, uint64_t *value)
{
    static const char *const names[] = {"i8", "i16", "i32", "i64"};

    if (cn_peek(p)->kind != CN_TOKEN_NUMBER || !cn_atom_is_integer(cn_token_at(p, p->at)))
        return cn_unexpected(p);
    if (!cn_parse_int(cn_token_at(p, p->at), bits, value))
        return out_of_range(p, names[__builtin_ctz(bits) - 3]);
    p->at++;
    return CN_OK;
}

static enum cn_status put_f32(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t bits;

    if (cn_peek(p)->kind != CN_TOKEN_NUMBER)
        return cn_unexpected(p);
    if (!cn_parse_f32(cn_token_at(p, p->at), &bits))
        return out_of_range(p, "f32");
    p->at++;
    cn_put(out, &bits, sizeof bits);
    return CN_OK;
}

static enum cn_status put_f64(struct cn_parser *p, struct cn_buffer *out)
{
    uint64_t bits;

    if (cn_peek(p)->kind != CN_TOKEN_NUMBER)
        return cn_unexpected(p);
    if (!cn_parse_f64(cn_token_at(p, p->at), &bits))
        return out_of_range(p, "f64");
    p->at++;
    cn_put(out, &bits, sizeof bits);
    return CN_OK;
}

static enum cn_status put_int(struct cn_parser *p, unsigned bits, struct cn_buffer *out)
{
    uint64_t value;

    CN_TRY(take_int(p, bits, &value));
    cn_put_s(out, bits == 32 ? (int32_t)value : (int64_t)value);
    return CN_OK;
}

/* So many literals must follow, and no more. */
static enum cn_status check_lane_count(struct cn_parser *p, unsigned expected)
{
    uint32_t start = p->at;
    unsigned count = 0;

    for (; cn_peek(p)->kind == CN_TOKEN_NUMBER; count++)
        p->at++;
    if (cn_peek(p)->kind == CN_TOKEN_WORD && count < expected)
        return cn_unexpected(p);
    p->at = start;
    if (count != expected)
        return cn_text_fail(p, p->at, "wrong number of lane literals: expected %u, found %u",
                            expected, count);
    return CN_OK;
}

static enum cn_status put_vector_lane(struct cn_parser *p, bool is_float, unsigned bits,
                                      struct cn_buffer *out)
{
    uint64_t value;

    if (is_float)
        return bits == 32 ? put_f32(p, out) : put_f64(p, out);
    CN_TRY(take_int(p, bits, &value));
    cn_put(out, &value, bits / 8);
    return CN_OK;
}

static enum cn_status put_vector(struct cn_parser *p, struct cn_buffer *out)
{
    static const struct {
        const char *name;
        bool is_float;
        unsigned bits;
    } shapes[] = {{"i8x16", false, 8},  {"i16x8", false, 16}, {"i32x4", false, 32},
                  {"i64x2", false, 64}, {"f32x4", true, 32},  {"f64x2", true, 64}};

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (!cn_accept(p, shapes[i].name))
            continue;
        CN_TRY(check_lane_count(p, 128 / shapes[i].bits));
        for (unsigned j = 0; j < 128 / shapes[i].bits; j++)
            CN_TRY(put_vector_lane(p, shapes[i].is_float, shapes[i].bits, out));
        return CN_OK;
    }
    return cn_unexpected(p);
}

/* ---------------------------------------------------------------- types and blocks */

enum cn_status cn_text_block_type(struct cn_parser *p, struct cn_buffer *out)
{
    enum { NO_RESULT = 0x40 };
    struct cn_text_type type;
    uint32_t index, at = p->at;

    if (cn_next_opens(p, "type")) {
        CN_TRY(cn_text_type_use(p, CN_SCOPE_NONE, &index));
        cn_put_s(out, index);
        return CN_OK;
    }
    CN_TRY(cn_text_signature(p, CN_SCOPE_NONE, &type));
    if (type.param_count == 0 && type.result_count <= 1) {
        if (type.result_count == 0)
            cn_put_byte(out, NO_RESULT);
        cn_put(out, type.results.at, type.results.size);
        return CN_OK;
    }
    p->at = at;
    CN_TRY(cn_text_type_use(p, CN_SCOPE_NONE, &index));
    cn_put_s(out, index);
    return CN_OK;
}

enum cn_status cn_text_clauses(struct cn_parser *p, struct cn_buffer *out)
{
    static const char *const kinds[] = {"catch", "catch_ref", "catch_all", "catch_all_ref"};
    struct cn_buffer clauses = {.allocator = p->allocator};
    enum cn_status status = CN_OK;
    uint32_t count = 0, depth = 0;
    bool more = true;

    while (more && status == CN_OK) {
        more = false;
        for (uint8_t i = 0; i < 4 && !more; i++) {
            if (!cn_accept_open(p, kinds[i]))
                continue;
            more = true;
            count++;
            cn_put_byte(&clauses, i);
            if (i < 2)
                status = put_index(p, CN_SPACE_TAG, &clauses);
            if (status == CN_OK)
                status = cn_text_label(p, &depth);
            cn_put_u(&clauses, depth);
            if (status == CN_OK)
                status = cn_expect_close(p);
        }
    }
    cn_put_u(out, count);
    cn_put(out, clauses.bytes, clauses.size);
    out->failed = out->failed || clauses.failed;
    cn_buffer_free(&clauses);
    return status;
}

/* Two reference types of br_on_cast: flags, label, heap types. */
static enum cn_status put_cast(struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_buffer heaps = {.allocator = p->allocator};
    bool from_null = false, to_null = false;
    enum cn_status status;
    uint32_t depth;

    CN_TRY(cn_text_label(p, &depth));
    status = cn_text_reftype_parts(p, &from_null, &heaps);
    if (status == CN_OK)
        status = cn_text_reftype_parts(p, &to_null, &heaps);
    cn_put_byte(out, (uint8_t)(from_null | to_null << 1));
    cn_put_u(out, depth);
    cn_put(out, heaps.bytes, heaps.size);
    out->failed = out->failed || heaps.failed;
    cn_buffer_free(&heaps);
    return status;
}

/* select with types is another operator. */
static enum cn_status put_select(struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_text_type type = {0};

    if (!cn_next_opens(p, "result")) {
        cn_text_put_operator(out, CN_WASM_SELECT);
        return CN_OK;
    }
    CN_TRY(cn_text_signature(p, CN_SCOPE_NONE, &type));
    cn_text_put_operator(out, CN_WASM_SELECT_T);
    cn_put_u(out, type.result_count);
    cn_put(out, type.results.at, type.results.size);
    return CN_OK;
}

/* ref.test and ref.cast are two operators each: for types that include null, and others. */
static enum cn_status put_cast_to(struct cn_parser *p, uint32_t op, struct cn_buffer *out)
{
    struct cn_buffer heap = {.allocator = p->allocator};
    bool nullable = false;
    enum cn_status status = cn_text_reftype_parts(p, &nullable, &heap);

    cn_text_put_operator(out, op + nullable);
    cn_put(out, heap.bytes, heap.size);
    out->failed = out->failed || heap.failed;
    cn_buffer_free(&heap);
    return status;
}

/* ---------------------------------------------------------------- all together */

static enum cn_status put_type_and(struct cn_parser *p, enum cn_space space,
                                   struct cn_buffer *out)
{
    CN_TRY(put_index(p, CN_SPACE_TYPE, out));
    return put_index(p, space, out);
}

static enum cn_status put_type_count(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t count;

    CN_TRY(put_index(p, CN_SPACE_TYPE, out));
    CN_TRY(cn_take_u32(p, &count));
    cn_put_u(out, count);
    return CN_OK;
}

static enum cn_status put_label(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t depth;

    CN_TRY(cn_text_label(p, &depth));
    cn_put_u(out, depth);
    return CN_OK;
}

static enum cn_status put_simple(struct cn_parser *p, uint32_t place, struct cn_buffer *out)
{
    switch ((enum cn_wasm_immediate)cn_wasm_infos[place].immediate) {
    case CN_IMM_NONE:
        return CN_OK;
    case CN_IMM_LABEL:
        return put_label(p, out);
    case CN_IMM_FUNC:
        return put_index(p, CN_SPACE_FUNC, out);
    case CN_IMM_LOCAL:
        return put_index(p, CN_SPACE_LOCAL, out);
    case CN_IMM_GLOBAL:
        return put_index(p, CN_SPACE_GLOBAL, out);
    case CN_IMM_TAG:
        return put_index(p, CN_SPACE_TAG, out);
    case CN_IMM_TYPE:
        return put_index(p, CN_SPACE_TYPE, out);
    case CN_IMM_DATA:
        p->names_data = true;
        return put_index(p, CN_SPACE_DATA, out);
    case CN_IMM_ELEM:
        return put_index(p, CN_SPACE_ELEM, out);
    case CN_IMM_TABLE:
        return put_optional(p, CN_SPACE_TABLE, out);
    case CN_IMM_MEMORY:
        return put_optional(p, CN_SPACE_MEMORY, out);
    case CN_IMM_TABLE_TABLE:
        return put_two_optional(p, CN_SPACE_TABLE, out);
    case CN_IMM_MEMORY_MEMORY:
        return put_two_optional(p, CN_SPACE_MEMORY, out);
    case CN_IMM_DATA_MEMORY:
        p->names_data = true;
        return put_segment_and(p, CN_SPACE_DATA, CN_SPACE_MEMORY, out);
    case CN_IMM_ELEM_TABLE:
        return put_segment_and(p, CN_SPACE_ELEM, CN_SPACE_TABLE, out);
    case CN_IMM_I32:
        return put_int(p, 32, out);
    case CN_IMM_I64:
        return put_int(p, 64, out);
    case CN_IMM_F32:
        return put_f32(p, out);
    case CN_IMM_F64:
        return put_f64(p, out);
    case CN_IMM_LANE:
        return put_lane(p, out);
    default:
        return cn_unexpected(p);
    }
}

enum cn_status cn_text_operator(struct cn_parser *p, uint32_t place, struct cn_buffer *out)
{
    const struct cn_wasm_info *info = &cn_wasm_infos[place];

    if (info->op == CN_WASM_SELECT)
        return put_select(p, out);
    if (info->op == CN_WASM_REF_TEST || info->op == CN_WASM_REF_CAST)
        return put_cast_to(p, info->op, out);
    cn_text_put_operator(out, info->op);
    switch ((enum cn_wasm_immediate)info->immediate) {
    case CN_IMM_LABELS:
        return put_labels(p, out);
    case CN_IMM_TYPE_TABLE:
        return put_type_table(p, out);
    case CN_IMM_TYPE_FIELD:
        return put_field(p, out);
    case CN_IMM_TYPE_COUNT:
        return put_type_count(p, out);
    case CN_IMM_TYPE_DATA:
        p->names_data = true;
        return put_type_and(p, CN_SPACE_DATA, out);
    case CN_IMM_TYPE_ELEM:
        return put_type_and(p, CN_SPACE_ELEM, out);
    case CN_IMM_TYPE_TYPE:
        return put_type_and(p, CN_SPACE_TYPE, out);
    case CN_IMM_HEAPTYPE:
        return cn_text_heaptype(p, out);
    case CN_IMM_CAST:
        return put_cast(p, out);
    case CN_IMM_MEMARG:
        return put_memarg(p, place, false, out);
    case CN_IMM_MEMARG_LANE:
        CN_TRY(put_memarg(p, place, true, out));
        return put_lane(p, out);
    case CN_IMM_LANES:
        return put_lanes(p, out);
    case CN_IMM_V128:
        return put_vector(p, out);
    case CN_IMM_FENCE:
        cn_put_byte(out, 0);
        return CN_OK;
    default:
        return put_simple(p, place, out);
    }
}
