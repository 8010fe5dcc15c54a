/* Types in the text format (core 6.4) and the type section. */
#include "loader/text_parse.h"

enum { REF_NULL = 0x63, REF = 0x64, REC = 0x4e, SUB_FINAL = 0x4f, SUB = 0x50, FUNC = 0x60,
       STRUCT = 0x5f, ARRAY = 0x5e };

/* ---------------------------------------------------------------- value types */

struct word {
    const char *text;
    uint8_t byte;
};

static const struct word numbers[] = {
    {"i32", CN_I32}, {"i64", CN_I64}, {"f32", CN_F32}, {"f64", CN_F64}, {"v128", CN_V128}};

static const struct word packed[] = {{"i8", CN_I8}, {"i16", CN_I16}};

static const struct word heaps[] = {
    {"func", CN_HEAP_FUNC},     {"extern", CN_HEAP_EXTERN}, {"any", CN_HEAP_ANY},
    {"eq", CN_HEAP_EQ},         {"i31", CN_HEAP_I31},       {"struct", CN_HEAP_STRUCT},
    {"array", CN_HEAP_ARRAY},   {"exn", CN_HEAP_EXN},       {"none", CN_HEAP_NONE},
    {"nofunc", CN_HEAP_NOFUNC}, {"noextern", CN_HEAP_NOEXTERN}, {"noexn", CN_HEAP_NOEXN}};

static const struct word references[] = {
    {"funcref", CN_HEAP_FUNC},      {"externref", CN_HEAP_EXTERN},
    {"anyref", CN_HEAP_ANY},        {"eqref", CN_HEAP_EQ},
    {"i31ref", CN_HEAP_I31},        {"structref", CN_HEAP_STRUCT},
    {"arrayref", CN_HEAP_ARRAY},    {"exnref", CN_HEAP_EXN},
    {"nullref", CN_HEAP_NONE},      {"nullfuncref", CN_HEAP_NOFUNC},
    {"nullexternref", CN_HEAP_NOEXTERN}, {"nullexnref", CN_HEAP_NOEXN}};

#define FIND(p, words) find(p, words, sizeof(words) / sizeof(words)[0])

/* The row of the word that comes next, or NULL. */
static const struct word *find(const struct cn_parser *p, const struct word *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cn_next_is(p, words[i].text))
            return &words[i];
    return NULL;
}

bool cn_next_is_reftype(const struct cn_parser *p)
{
    return cn_next_opens(p, "ref") || FIND(p, references) != NULL;
}

enum cn_status cn_text_heaptype(struct cn_parser *p, struct cn_buffer *out)
{
    const struct word *heap = FIND(p, heaps);
    uint32_t index;

    if (heap != NULL) {
        p->at++;
        cn_put_byte(out, heap->byte);
        return CN_OK;
    }
    if (!cn_next_is_index(p))
        return cn_unexpected(p);
    CN_TRY(cn_take_index(p, CN_SPACE_TYPE, 0, &index));
    cn_put_s(out, index);
    return CN_OK;
}

enum cn_status cn_text_reftype_parts(struct cn_parser *p, bool *nullable, struct cn_buffer *heap)
{
    const struct word *word = FIND(p, references);

    if (word != NULL) {
        p->at++;
        *nullable = true;
        cn_put_byte(heap, word->byte);
        return CN_OK;
    }
    if (!cn_accept_open(p, "ref"))
        return cn_unexpected(p);
    *nullable = cn_accept(p, "null");
    CN_TRY(cn_text_heaptype(p, heap));
    return cn_expect_close(p);
}

enum cn_status cn_text_reftype(struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_buffer heap = {.allocator = out->allocator};
    bool nullable = false;
    enum cn_status status = cn_text_reftype_parts(p, &nullable, &heap);

    /* The abstract ones that may be null have a form of one byte. */
    bool is_short = nullable && heap.size == 1 && cn_heap_is_abstract(heap.bytes[0]);
    if (!is_short)
        cn_put_byte(out, nullable ? REF_NULL : REF);
    cn_put(out, heap.bytes, heap.size);
    out->failed = out->failed || heap.failed;
    cn_buffer_free(&heap);
    return status;
}

enum cn_status cn_text_valtype(struct cn_parser *p, struct cn_buffer *out)
{
    const struct word *number = FIND(p, numbers);

    if (number == NULL)
        return cn_text_reftype(p, out);
    p->at++;
    cn_put_byte(out, number->byte);
    return CN_OK;
}

/* ---------------------------------------------------------------- signatures */

/* The types of one (param ...) or (result ...), of which the opening is behind us. */
static enum cn_status take_list(struct cn_parser *p, uint32_t scope, struct cn_buffer *types,
                                uint32_t *count)
{
    struct cn_bytes name;

    if (cn_peek(p)->kind == CN_TOKEN_ID) {
        if (scope == CN_SCOPE_NONE)
            return cn_unexpected(p);
        CN_TRY(cn_take_id(p, &name));
        if (scope != CN_SCOPE_IGNORED)
            CN_TRY(cn_bind(p, CN_SPACE_LOCAL, scope, name, *count));
        CN_TRY(cn_text_valtype(p, types));
        ++*count;
        return cn_expect_close(p);
    }
    while (cn_peek(p)->kind != CN_TOKEN_CLOSE) {
        CN_TRY(cn_text_valtype(p, types));
        ++*count;
    }
    return cn_expect_close(p);
}

/* Keeps a buffer's bytes in the arena. */
static enum cn_status keep(struct cn_parser *p, struct cn_buffer *buffer, struct cn_bytes *bytes)
{
    uint8_t *copy = cn_arena_alloc(&p->arena, buffer->size);

    if (copy == NULL || buffer->failed)
        return cn_text_no_memory(p);
    if (buffer->size > 0)
        memcpy(copy, buffer->bytes, buffer->size);
    *bytes = (struct cn_bytes){copy, buffer->size};
    return CN_OK;
}

static enum cn_status take_signature(struct cn_parser *p, uint32_t scope,
                                     struct cn_text_type *type, struct cn_buffer *params,
                                     struct cn_buffer *results)
{
    *type = (struct cn_text_type){.is_func = true, .is_plain = true};
    while (cn_accept_open(p, "param"))
        CN_TRY(take_list(p, scope, params, &type->param_count));
    while (cn_accept_open(p, "result"))
        CN_TRY(take_list(p, CN_SCOPE_NONE, results, &type->result_count));
    CN_TRY(keep(p, params, &type->params));
    return keep(p, results, &type->results);
}

enum cn_status cn_text_signature(struct cn_parser *p, uint32_t scope, struct cn_text_type *type)
{
    struct cn_buffer params = {.allocator = p->allocator}, results = params;
    enum cn_status status = take_signature(p, scope, type, &params, &results);

    cn_buffer_free(&params);
    cn_buffer_free(&results);
    return status;
}

static void put_signature(struct cn_buffer *out, const struct cn_text_type *type)
{
    cn_put_byte(out, FUNC);
    cn_put_u(out, type->param_count);
    cn_put(out, type->params.at, type->params.size);
    cn_put_u(out, type->result_count);
    cn_put(out, type->results.at, type->results.size);
}

static bool signatures_equal(const struct cn_text_type *a, const struct cn_text_type *b)
{
    return a->is_func && b->is_func && a->param_count == b->param_count &&
           a->result_count == b->result_count && cn_bytes_equal(a->params, b->params) &&
           cn_bytes_equal(a->results, b->results);
}

static enum cn_status add_type(struct cn_parser *p, const struct cn_text_type *type)
{
    CN_TRY(cn_text_room(p, &p->types, p->type_count, &p->type_room, sizeof *p->types));
    p->types[p->type_count++] = *type;
    return CN_OK;
}

/* A name for a signature, by which the types that have it are found. */
static enum cn_status key_of(struct cn_parser *p, const struct cn_text_type *type,
                             struct cn_bytes *key)
{
    struct cn_buffer buffer = {.allocator = p->allocator};

    put_signature(&buffer, type);
    enum cn_status status = keep(p, &buffer, key);
    cn_buffer_free(&buffer);
    return status;
}

/* Lets type uses find type number `index`, if no equal one came before. */
static enum cn_status index_signature(struct cn_parser *p, const struct cn_text_type *type,
                                      uint32_t index)
{
    struct cn_bytes key;

    if (!type->is_func || !type->is_plain)
        return CN_OK;
    CN_TRY(key_of(p, type, &key));
    if (cn_names_find(&p->names, CN_SPACE_KEYWORD, 1, key) != CN_NO_VALUE)
        return CN_OK;
    return cn_names_set(&p->names, CN_SPACE_KEYWORD, 1, key, index) == CN_OK
               ? CN_OK
               : cn_text_no_memory(p);
}

enum cn_status cn_text_implicit_type(struct cn_parser *p, const struct cn_text_type *type,
                                     uint32_t *index)
{
    struct cn_bytes key;

    CN_TRY(key_of(p, type, &key));
    *index = cn_names_find(&p->names, CN_SPACE_KEYWORD, 1, key);
    if (*index != CN_NO_VALUE)
        return CN_OK;
    *index = p->type_count;
    put_signature(&p->sections[1], type);
    p->entries[1]++;
    CN_TRY(index_signature(p, type, *index));
    return add_type(p, type);
}

enum cn_status cn_text_type_use(struct cn_parser *p, uint32_t scope, uint32_t *index)
{
    struct cn_text_type inline_type;
    bool is_named = cn_accept_open(p, "type");
    uint32_t at;

    if (is_named) {
        CN_TRY(cn_take_index(p, CN_SPACE_TYPE, 0, index));
        CN_TRY(cn_expect_close(p));
    }
    at = p->at;
    CN_TRY(cn_text_signature(p, scope, &inline_type));
    if (cn_next_opens(p, "param") || cn_next_opens(p, "result") || cn_next_opens(p, "type"))
        return cn_unexpected(p);
    if (!is_named)
        return cn_text_implicit_type(p, &inline_type, index);
    bool is_stated = p->at != at;
    if (is_stated && *index >= p->type_count)
        return cn_text_fail(p, at, "unknown type %u", *index);
    if (is_stated && !signatures_equal(&inline_type, &p->types[*index]))
        return cn_text_fail(p, at, "inline function type: it is not that of type %u", *index);
    return CN_OK;
}

/* ---------------------------------------------------------------- definitions */

static enum cn_status take_field_type(struct cn_parser *p, struct cn_buffer *out)
{
    bool is_mutable = cn_accept_open(p, "mut");
    const struct word *word = FIND(p, packed);

    if (word != NULL) {
        p->at++;
        cn_put_byte(out, word->byte);
    } else {
        CN_TRY(cn_text_valtype(p, out));
    }
    if (is_mutable)
        CN_TRY(cn_expect_close(p));
    cn_put_byte(out, is_mutable);
    return CN_OK;
}

/* Names of fields belong to the type of number `type`. */
static enum cn_status take_fields(struct cn_parser *p, uint32_t type, struct cn_buffer *fields,
                                  uint32_t *count)
{
    struct cn_bytes name;

    while (cn_accept_open(p, "field")) {
        if (cn_peek(p)->kind == CN_TOKEN_ID) {
            CN_TRY(cn_take_id(p, &name));
            CN_TRY(cn_bind(p, CN_SPACE_FIELD, type, name, *count));
            CN_TRY(take_field_type(p, fields));
            ++*count;
        } else {
            while (cn_peek(p)->kind != CN_TOKEN_CLOSE) {
                CN_TRY(take_field_type(p, fields));
                ++*count;
            }
        }
        CN_TRY(cn_expect_close(p));
    }
    return CN_OK;
}

static enum cn_status take_struct(struct cn_parser *p, uint32_t type, struct cn_buffer *out)
{
    struct cn_buffer fields = {.allocator = p->allocator};
    uint32_t count = 0;
    enum cn_status status = take_fields(p, type, &fields, &count);

    cn_put_byte(out, STRUCT);
    cn_put_u(out, count);
    cn_put(out, fields.bytes, fields.size);
    out->failed = out->failed || fields.failed;
    cn_buffer_free(&fields);
    return status;
}

static enum cn_status take_composite(struct cn_parser *p, uint32_t number,
                                     struct cn_text_type *type, struct cn_buffer *out)
{
    bool is_plain = type->is_plain;

    if (cn_accept_open(p, "func")) {
        CN_TRY(cn_text_signature(p, CN_SCOPE_IGNORED, type));
        put_signature(out, type);
    } else if (cn_accept_open(p, "struct")) {
        CN_TRY(take_struct(p, number, out));
    } else if (cn_accept_open(p, "array")) {
        cn_put_byte(out, ARRAY);
        CN_TRY(take_field_type(p, out));
    } else {
        return cn_unexpected(p);
    }
    type->is_plain = is_plain;
    return cn_expect_close(p);
}

static enum cn_status take_sub(struct cn_parser *p, uint32_t number, struct cn_text_type *type,
                               struct cn_buffer *out)
{
    struct cn_buffer supers = {.allocator = p->allocator};
    bool is_final = cn_accept(p, "final");
    uint32_t count = 0, super;
    enum cn_status status = CN_OK;

    while (status == CN_OK && cn_next_is_index(p)) {
        status = cn_take_index(p, CN_SPACE_TYPE, 0, &super);
        cn_put_u(&supers, super);
        count++;
    }
    type->is_plain = type->is_plain && is_final && count == 0;
    cn_put_byte(out, is_final ? SUB_FINAL : SUB);
    cn_put_u(out, count);
    cn_put(out, supers.bytes, supers.size);
    out->failed = out->failed || supers.failed;
    cn_buffer_free(&supers);
    CN_TRY(status);
    CN_TRY(take_composite(p, number, type, out));
    return cn_expect_close(p);
}

/* "(type" is behind us. */
static enum cn_status take_definition(struct cn_parser *p, bool is_alone, struct cn_buffer *out)
{
    struct cn_text_type type = {.is_plain = is_alone};
    uint32_t number = p->type_count;
    struct cn_bytes name;

    CN_TRY(cn_take_id(p, &name)); /* bound already */
    if (cn_accept_open(p, "sub"))
        CN_TRY(take_sub(p, number, &type, out));
    else
        CN_TRY(take_composite(p, number, &type, out));
    CN_TRY(cn_expect_close(p));
    CN_TRY(index_signature(p, &type, number));
    return add_type(p, &type);
}

enum cn_status cn_text_type_field(struct cn_parser *p)
{
    p->entries[1]++;
    return take_definition(p, true, &p->sections[1]);
}

enum cn_status cn_text_rec_field(struct cn_parser *p)
{
    struct cn_buffer *out = &p->sections[1];
    uint32_t start = p->at, count = 0;

    while (cn_accept_open(p, "type")) {
        CN_TRY(cn_skip_to_close(p));
        count++;
    }
    p->at = start;
    p->entries[1]++;
    cn_put_byte(out, REC);
    cn_put_u(out, count);
    while (cn_accept_open(p, "type"))
        CN_TRY(take_definition(p, count == 1, out));
    return cn_expect_close(p);
}

/* ---------------------------------------------------------------- globals, memories, tables */

enum cn_status cn_text_global_type(struct cn_parser *p, struct cn_buffer *out)
{
    bool is_mutable = cn_accept_open(p, "mut");

    CN_TRY(cn_text_valtype(p, out));
    if (is_mutable)
        CN_TRY(cn_expect_close(p));
    cn_put_byte(out, is_mutable);
    return CN_OK;
}

enum { HAS_MAX = 1, IS_SHARED = 2, IS_64 = 4, HAS_PAGE_SIZE = 8 };

enum cn_status cn_text_address_type(struct cn_parser *p, bool *is_64)
{
    *is_64 = cn_accept(p, "i64");
    if (!*is_64)
        cn_accept(p, "i32");
    return CN_OK;
}

void cn_text_put_limits(struct cn_buffer *out, uint8_t flags, uint64_t min, uint64_t max)
{
    cn_put_byte(out, flags);
    cn_put_u(out, min);
    if (flags & HAS_MAX)
        cn_put_u(out, max);
}

static enum cn_status take_limit(struct cn_parser *p, uint64_t *limit)
{
    struct cn_bytes text = cn_token_at(p, p->at);

    if (cn_peek(p)->kind != CN_TOKEN_NUMBER || !cn_atom_is_integer(text) || text.at[0] == '-' ||
        text.at[0] == '+')
        return cn_unexpected(p);
    if (p->tokens->is_narrow && !cn_parse_nat(text, UINT32_MAX, limit))
        return cn_text_fail(p, p->at, "i32 constant out of range");
    if (!cn_parse_nat(text, UINT64_MAX, limit))
        return cn_text_fail(p, p->at, "i64 constant out of range");
    p->at++;
    return CN_OK;
}

static enum cn_status take_limits(struct cn_parser *p, bool is_64, uint8_t *flags, uint64_t *min,
                                  uint64_t *max)
{
    *flags = is_64 ? IS_64 : 0;
    CN_TRY(take_limit(p, min));
    if (cn_peek(p)->kind != CN_TOKEN_NUMBER)
        return CN_OK;
    *flags |= HAS_MAX;
    return take_limit(p, max);
}

enum cn_status cn_text_table_type(struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_buffer limits = {.allocator = p->allocator};
    uint64_t min = 0, max = 0;
    uint8_t flags;
    bool is_64;

    CN_TRY(cn_text_address_type(p, &is_64));
    CN_TRY(take_limits(p, is_64, &flags, &min, &max));
    cn_text_put_limits(&limits, flags, min, max);
    enum cn_status status = cn_text_reftype(p, out);
    cn_put(out, limits.bytes, limits.size);
    out->failed = out->failed || limits.failed;
    cn_buffer_free(&limits);
    return status;
}

enum cn_status cn_text_page_size(struct cn_parser *p, uint32_t *log2)
{
    uint32_t size;

    if (!cn_accept_open(p, "pagesize"))
        return CN_OK;
    uint32_t at = p->at;
    CN_TRY(cn_take_u32(p, &size));
    if (size == 0 || (size & (size - 1)) != 0)
        return cn_text_fail(p, at, "invalid custom page size: %u is not a power of two", size);
    *log2 = (uint32_t)__builtin_ctz(size);
    return cn_expect_close(p);
}

enum cn_status cn_text_memory_type(struct cn_parser *p, struct cn_buffer *out)
{
    uint64_t min = 0, max = 0;
    uint32_t log2 = CN_NO_VALUE;
    uint8_t flags;
    bool is_64;

    CN_TRY(cn_text_address_type(p, &is_64));
    CN_TRY(take_limits(p, is_64, &flags, &min, &max));
    if (cn_accept(p, "shared"))
        flags |= IS_SHARED;
    CN_TRY(cn_text_page_size(p, &log2));
    if (log2 != CN_NO_VALUE)
        flags |= HAS_PAGE_SIZE;
    cn_text_put_limits(out, flags, min, max);
    if (log2 != CN_NO_VALUE)
        cn_put_u(out, log2);
    return CN_OK;
}
