/* A module's fields (core 6.6). They are walked twice: first to number everything and to learn
 * what the identifiers mean, then to encode; types are encoded before all else, because type uses
 * without a name look for an equal one. */
#include "loader/text.h"

#include "loader/text_parse.h"

enum { TYPES = 1, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS, START, ELEMENTS, CODE,
       DATAS, DATA_COUNT, TAGS };

/* What can be imported, exported and defined, in the order of enum cn_extern_kind. */
static const struct {
    const char *word;
    enum cn_space space;
    const char *name;
} externs[] = {
    {"func", CN_SPACE_FUNC, "function"}, {"table", CN_SPACE_TABLE, "table"},
    {"memory", CN_SPACE_MEMORY, "memory"}, {"global", CN_SPACE_GLOBAL, "global"},
    {"tag", CN_SPACE_TAG, "tag"}};

#define EXTERN_COUNT 5

/* The kind whose word comes behind an opening parenthesis; EXTERN_COUNT for none. */
static uint8_t next_extern(const struct cn_parser *p)
{
    uint8_t kind = 0;

    while (kind < EXTERN_COUNT && !cn_next_opens(p, externs[kind].word))
        kind++;
    return kind;
}

/* ---------------------------------------------------------------- numbering */

static enum cn_status declare(struct cn_parser *p, enum cn_space space)
{
    struct cn_bytes name;

    CN_TRY(cn_take_id(p, &name));
    return cn_bind(p, space, 0, name, p->counts[space]++);
}

static enum cn_status declare_types(struct cn_parser *p)
{
    if (!cn_accept_open(p, "rec"))
        return p->at += 2, declare(p, CN_SPACE_TYPE);
    while (cn_accept_open(p, "type")) {
        CN_TRY(declare(p, CN_SPACE_TYPE));
        CN_TRY(cn_skip_to_close(p));
    }
    return CN_OK;
}

static enum cn_status note_import(struct cn_parser *p, uint32_t at)
{
    if (p->first_definition == NULL)
        return CN_OK;
    return cn_text_fail(p, at, "import after %s", p->first_definition);
}

/* "(import" is behind us. */
static enum cn_status declare_import(struct cn_parser *p, uint32_t at)
{
    struct cn_bytes unused;

    CN_TRY(note_import(p, at));
    CN_TRY(cn_take_string(p, true, &unused));
    CN_TRY(cn_take_string(p, true, &unused));
    uint8_t kind = next_extern(p);
    if (kind == EXTERN_COUNT)
        return cn_unexpected(p);
    p->at += 2;
    CN_TRY(declare(p, externs[kind].space));
    CN_TRY(cn_skip_to_close(p));
    return cn_expect_close(p);
}

/* Whether one of the field's own parts, from here on, is "(word ...". */
static bool has_part(const struct cn_parser *p, const char *word)
{
    struct cn_parser ahead = *p;
    uint32_t depth = 0;

    for (;; ahead.at++) {
        if (depth == 0 && cn_next_opens(&ahead, word))
            return true;
        uint8_t kind = cn_peek(&ahead)->kind;
        if (kind == CN_TOKEN_END || (kind == CN_TOKEN_CLOSE && depth == 0))
            return false;
        depth += kind == CN_TOKEN_OPEN;
        depth -= kind == CN_TOKEN_CLOSE;
    }
}

static enum cn_status declare_extern(struct cn_parser *p, uint8_t kind)
{
    uint32_t at = p->at;

    p->at += 2;
    CN_TRY(declare(p, externs[kind].space));
    while (cn_accept_open(p, "export"))
        CN_TRY(cn_skip_to_close(p));
    if (cn_next_opens(p, "import"))
        CN_TRY(note_import(p, at));
    else if (p->first_definition == NULL)
        p->first_definition = externs[kind].name;
    if (kind == CN_SPACE_TABLE - CN_SPACE_FUNC && has_part(p, "elem"))
        p->counts[CN_SPACE_ELEM]++;
    if (kind == CN_SPACE_MEMORY - CN_SPACE_FUNC && has_part(p, "data"))
        p->counts[CN_SPACE_DATA]++;
    return CN_OK;
}

static enum cn_status declare_field(struct cn_parser *p)
{
    uint8_t kind = next_extern(p);
    uint32_t at = p->at;

    if (kind < EXTERN_COUNT) {
        CN_TRY(declare_extern(p, kind));
    } else if (cn_next_opens(p, "type") || cn_next_opens(p, "rec")) {
        CN_TRY(declare_types(p));
    } else if (cn_accept_open(p, "import")) {
        return declare_import(p, at);
    } else if (cn_accept_open(p, "elem")) {
        CN_TRY(declare(p, CN_SPACE_ELEM));
    } else if (cn_accept_open(p, "data")) {
        CN_TRY(declare(p, CN_SPACE_DATA));
    } else if (!cn_accept_open(p, "export") && !cn_accept_open(p, "start")) {
        if (cn_peek(p)->kind == CN_TOKEN_OPEN)
            p->at++;
        return cn_unexpected(p);
    }
    return cn_skip_to_close(p);
}

/* ---------------------------------------------------------------- fields */

static void put_name(struct cn_buffer *out, struct cn_bytes name)
{
    cn_put_sized(out, name);
}

/* (export "name")* inside a definition. */
static enum cn_status take_exports(struct cn_parser *p, uint8_t kind, uint32_t index)
{
    struct cn_buffer *out = &p->sections[EXPORTS];
    struct cn_bytes name;

    while (cn_accept_open(p, "export")) {
        CN_TRY(cn_take_string(p, true, &name));
        CN_TRY(cn_expect_close(p));
        put_name(out, name);
        cn_put_byte(out, kind);
        cn_put_u(out, index);
        p->entries[EXPORTS]++;
    }
    return CN_OK;
}

/* What an import is of, behind its kind. */
static enum cn_status take_import_type(struct cn_parser *p, uint8_t kind, struct cn_buffer *out)
{
    uint32_t type;

    switch (externs[kind].space) {
    case CN_SPACE_TABLE:
        return cn_text_table_type(p, out);
    case CN_SPACE_MEMORY:
        return cn_text_memory_type(p, out);
    case CN_SPACE_GLOBAL:
        return cn_text_global_type(p, out);
    default:
        CN_TRY(cn_text_type_use(p, CN_SCOPE_IGNORED, &type));
        if (externs[kind].space == CN_SPACE_TAG)
            cn_put_byte(out, 0);
        cn_put_u(out, type);
        return CN_OK;
    }
}

static enum cn_status put_import(struct cn_parser *p, uint8_t kind, struct cn_bytes module,
                                 struct cn_bytes name)
{
    struct cn_buffer *out = &p->sections[IMPORTS];

    put_name(out, module);
    put_name(out, name);
    cn_put_byte(out, kind);
    p->entries[IMPORTS]++;
    return take_import_type(p, kind, out);
}

static enum cn_status import_field(struct cn_parser *p)
{
    struct cn_bytes module, name, id;

    CN_TRY(cn_take_string(p, true, &module));
    CN_TRY(cn_take_string(p, true, &name));
    uint8_t kind = next_extern(p);
    p->at += 2;
    CN_TRY(cn_take_id(p, &id));
    if (externs[kind].space == CN_SPACE_FUNC)
        CN_TRY(cn_name_func(p, p->done[CN_SPACE_FUNC], id));
    p->done[externs[kind].space]++;
    CN_TRY(put_import(p, kind, module, name));
    CN_TRY(cn_expect_close(p));
    return cn_expect_close(p);
}

/* Locals of one type in a row are encoded as one entry. */
struct local_runs {
    struct cn_buffer out, type;
    uint32_t count, run;
};

static void end_run(struct local_runs *runs)
{
    if (runs->run == 0)
        return;
    cn_put_u(&runs->out, runs->run);
    cn_put(&runs->out, runs->type.bytes, runs->type.size);
    runs->count++;
    runs->run = 0;
}

static enum cn_status take_local(struct cn_parser *p, struct local_runs *runs)
{
    struct cn_buffer type = {.allocator = p->allocator};
    enum cn_status status = cn_text_valtype(p, &type);

    if (status == CN_OK && !cn_bytes_equal(cn_buffer_bytes(&type), cn_buffer_bytes(&runs->type))) {
        end_run(runs);
        runs->type.size = 0;
        cn_put(&runs->type, type.bytes, type.size);
    }
    cn_buffer_free(&type);
    runs->run++;
    p->local_count++;
    return status;
}

static enum cn_status take_locals(struct cn_parser *p, struct local_runs *runs)
{
    struct cn_bytes name;

    while (cn_accept_open(p, "local")) {
        if (cn_peek(p)->kind == CN_TOKEN_ID) {
            CN_TRY(cn_take_id(p, &name));
            CN_TRY(cn_bind(p, CN_SPACE_LOCAL, p->scope, name, p->local_count));
            CN_TRY(take_local(p, runs));
        } else {
            while (cn_peek(p)->kind != CN_TOKEN_CLOSE)
                CN_TRY(take_local(p, runs));
        }
        CN_TRY(cn_expect_close(p));
    }
    end_run(runs);
    return CN_OK;
}

/* Locals and instructions of a function; its parameters are bound. */
static enum cn_status take_body(struct cn_parser *p, struct local_runs *runs,
                                struct cn_buffer *body)
{
    CN_TRY(take_locals(p, runs));
    cn_put_u(body, runs->count);
    cn_put(body, runs->out.bytes, runs->out.size);
    body->failed = body->failed || runs->out.failed || runs->type.failed;
    return cn_text_expression(p, body);
}

static enum cn_status define_func(struct cn_parser *p, uint32_t index)
{
    struct local_runs runs = {.out.allocator = p->allocator, .type.allocator = p->allocator};
    struct cn_buffer body = {.allocator = p->allocator};
    uint32_t type;

    p->scope = index;
    CN_TRY(cn_text_type_use(p, index, &type));
    p->local_count = type < p->type_count ? p->types[type].param_count : 0;
    cn_put_u(&p->sections[FUNCTIONS], type);
    p->entries[FUNCTIONS]++;
    p->code_section = CODE;
    p->body_marks = p->mark_count;
    enum cn_status status = take_body(p, &runs, &body);
    p->code_section = 0;
    cn_end_hints(p, index);
    cn_put_sized(&p->sections[CODE], cn_buffer_bytes(&body));
    cn_move_body_marks(p, (uint32_t)(p->sections[CODE].size - body.size));
    p->entries[CODE]++;
    cn_buffer_free(&runs.out);
    cn_buffer_free(&runs.type);
    cn_buffer_free(&body);
    return status;
}

/* Limits and type, and perhaps what its elements begin as. */
static enum cn_status table_with_limits(struct cn_parser *p, struct cn_buffer *out,
                                        struct cn_buffer *type)
{
    enum { HAS_INIT = 0x40 };

    CN_TRY(cn_text_table_type(p, type));
    bool has_init = cn_peek(p)->kind != CN_TOKEN_CLOSE;
    if (has_init) {
        cn_put_byte(out, HAS_INIT);
        cn_put_byte(out, 0);
    }
    cn_put(out, type->bytes, type->size);
    return has_init ? cn_text_expression(p, out) : CN_OK;
}

/* A type and the elements, whose number gives the limits. */
static enum cn_status table_of_elems(struct cn_parser *p, uint32_t index, bool is_64,
                                     struct cn_buffer *out, struct cn_buffer *type)
{
    enum { HAS_MAX = 1, IS_64 = 4 };
    uint32_t count = 0;

    CN_TRY(cn_text_reftype(p, type));
    CN_TRY(cn_expect_kind(p, CN_TOKEN_OPEN));
    CN_TRY(cn_expect(p, "elem"));
    CN_TRY(cn_text_inline_elems(p, index, is_64, cn_buffer_bytes(type), &count));
    cn_put(out, type->bytes, type->size);
    cn_text_put_limits(out, HAS_MAX | (is_64 ? IS_64 : 0), count, count);
    return cn_expect_close(p);
}

static enum cn_status define_table(struct cn_parser *p, uint32_t index)
{
    struct cn_buffer *out = &p->sections[TABLES], type = {.allocator = p->allocator};
    enum cn_status status;
    uint32_t start = p->at;
    bool is_64;

    p->entries[TABLES]++;
    CN_TRY(cn_text_address_type(p, &is_64));
    if (cn_next_is_reftype(p)) {
        status = table_of_elems(p, index, is_64, out, &type);
    } else {
        p->at = start;
        status = table_with_limits(p, out, &type);
    }
    out->failed = out->failed || type.failed;
    cn_buffer_free(&type);
    return status;
}

/* A memory whose size is that of the strings inside: (data ...) comes next. */
static enum cn_status inline_data(struct cn_parser *p, uint32_t index, bool is_64, uint32_t log2)
{
    enum { HAS_MAX = 1, IS_64 = 4, HAS_PAGE_SIZE = 8 };
    struct cn_buffer content = {.allocator = p->allocator}, *out = &p->sections[DATAS];
    bool has_page_size = log2 != CN_NO_VALUE;
    uint8_t flags = (uint8_t)(HAS_MAX | (is_64 ? IS_64 : 0) | (has_page_size ? HAS_PAGE_SIZE : 0));

    CN_TRY(cn_expect_kind(p, CN_TOKEN_OPEN));
    CN_TRY(cn_expect(p, "data"));
    enum cn_status status = cn_text_strings(p, &content);
    uint64_t page = 1ull << (has_page_size ? log2 : 16);
    uint64_t pages = (content.size + page - 1) / page;
    cn_text_put_limits(&p->sections[MEMORIES], flags, pages, pages);
    if (has_page_size)
        cn_put_u(&p->sections[MEMORIES], log2);
    cn_put_byte(out, index ? 2 : 0);
    if (index)
        cn_put_u(out, index);
    cn_put_byte(out, is_64 ? CN_WASM_I64_CONST : CN_WASM_I32_CONST);
    cn_put_byte(out, 0);
    cn_put_byte(out, CN_WASM_END);
    cn_put_sized(out, cn_buffer_bytes(&content));
    p->entries[DATAS]++;
    out->failed = out->failed || content.failed;
    cn_buffer_free(&content);
    CN_TRY(status);
    return cn_expect_close(p);
}

static enum cn_status define_memory(struct cn_parser *p, uint32_t index)
{
    uint32_t start = p->at, log2 = CN_NO_VALUE;
    bool is_64;

    p->entries[MEMORIES]++;
    CN_TRY(cn_text_address_type(p, &is_64));
    if (cn_peek(p)->kind != CN_TOKEN_OPEN) {
        p->at = start;
        return cn_text_memory_type(p, &p->sections[MEMORIES]);
    }
    CN_TRY(cn_text_page_size(p, &log2));
    return inline_data(p, index, is_64, log2);
}

static enum cn_status define(struct cn_parser *p, uint8_t kind, uint32_t index)
{
    uint32_t type;

    switch (externs[kind].space) {
    case CN_SPACE_FUNC:
        return define_func(p, index);
    case CN_SPACE_TABLE:
        return define_table(p, index);
    case CN_SPACE_MEMORY:
        return define_memory(p, index);
    case CN_SPACE_GLOBAL:
        p->entries[GLOBALS]++;
        CN_TRY(cn_text_global_type(p, &p->sections[GLOBALS]));
        p->code_section = GLOBALS;
        CN_TRY(cn_text_expression(p, &p->sections[GLOBALS]));
        p->code_section = 0;
        return CN_OK;
    default:
        CN_TRY(cn_text_type_use(p, CN_SCOPE_IGNORED, &type));
        p->entries[TAGS]++;
        cn_put_byte(&p->sections[TAGS], 0);
        cn_put_u(&p->sections[TAGS], type);
        return CN_OK;
    }
}

/* A definition, which may be an import after all. */
static enum cn_status extern_field(struct cn_parser *p, uint8_t kind)
{
    uint32_t index = p->done[externs[kind].space]++;
    struct cn_bytes module, name, id;

    p->at += 2;
    CN_TRY(cn_take_id(p, &id));
    if (externs[kind].space == CN_SPACE_FUNC)
        CN_TRY(cn_name_func(p, index, id));
    else
        CN_TRY(cn_take_name(p, &name));
    CN_TRY(take_exports(p, kind, index));
    if (cn_accept_open(p, "import")) {
        CN_TRY(cn_take_string(p, true, &module));
        CN_TRY(cn_take_string(p, true, &name));
        CN_TRY(cn_expect_close(p));
        CN_TRY(put_import(p, kind, module, name));
    } else {
        CN_TRY(define(p, kind, index));
    }
    return cn_expect_close(p);
}

static enum cn_status export_field(struct cn_parser *p)
{
    struct cn_buffer *out = &p->sections[EXPORTS];
    struct cn_bytes name;
    uint32_t index;

    CN_TRY(cn_take_string(p, true, &name));
    uint8_t kind = next_extern(p);
    if (kind == EXTERN_COUNT)
        return cn_unexpected(p);
    p->at += 2;
    CN_TRY(cn_take_index(p, externs[kind].space, 0, &index));
    CN_TRY(cn_expect_close(p));
    put_name(out, name);
    cn_put_byte(out, kind);
    cn_put_u(out, index);
    p->entries[EXPORTS]++;
    return cn_expect_close(p);
}

static enum cn_status start_field(struct cn_parser *p)
{
    uint32_t at = p->at, index;

    CN_TRY(cn_take_index(p, CN_SPACE_FUNC, 0, &index));
    if (p->entries[START]++ > 0)
        return cn_text_fail(p, at, "multiple start sections");
    cn_put_u(&p->sections[START], index);
    return cn_expect_close(p);
}

/* The sections that a field adds to, each from here on. */
static enum cn_status mark_field(struct cn_parser *p, uint8_t kind)
{
    static const uint8_t own[] = {FUNCTIONS, TABLES, MEMORIES, GLOBALS, TAGS};
    static const uint8_t any[] = {TYPES, IMPORTS, EXPORTS, ELEMENTS, DATAS};

    if (p->map == NULL)
        return CN_OK;
    if (kind < EXTERN_COUNT)
        CN_TRY(cn_mark_entry(p, own[kind], p->at));
    for (size_t i = 0; i < sizeof any; i++)
        CN_TRY(cn_mark_entry(p, any[i], p->at));
    return CN_OK;
}

/* Types in the first round, all else in the second. */
static enum cn_status field(struct cn_parser *p, bool only_types)
{
    uint8_t kind = next_extern(p);
    bool is_type = cn_next_opens(p, "type") || cn_next_opens(p, "rec");

    if (is_type != only_types) {
        p->at++;
        return cn_skip_to_close(p);
    }
    CN_TRY(mark_field(p, kind));
    if (kind < EXTERN_COUNT)
        return extern_field(p, kind);
    if (cn_accept_open(p, "type"))
        return cn_text_type_field(p);
    if (cn_accept_open(p, "rec"))
        return cn_text_rec_field(p);
    if (cn_accept_open(p, "import"))
        return import_field(p);
    if (cn_accept_open(p, "export"))
        return export_field(p);
    if (cn_accept_open(p, "start"))
        return start_field(p);
    if (cn_accept_open(p, "elem"))
        return cn_text_elem_field(p);
    p->at += 2;
    return cn_text_data_field(p);
}

/* ---------------------------------------------------------------- the module */

static enum cn_status walk(struct cn_parser *p)
{
    uint32_t start = p->at;

    CN_TRY(cn_annotations_begin(p));
    CN_TRY(cn_take_module_name(p));
    while (cn_peek(p)->kind == CN_TOKEN_OPEN)
        CN_TRY(declare_field(p));
    if (cn_peek(p)->kind != CN_TOKEN_CLOSE && cn_peek(p)->kind != CN_TOKEN_END)
        return cn_unexpected(p);
    for (int only_types = 1; only_types >= 0; only_types--) {
        p->at = start;
        while (cn_peek(p)->kind == CN_TOKEN_OPEN) {
            CN_TRY(cn_take_customs(p));
            CN_TRY(field(p, only_types));
        }
    }
    CN_TRY(cn_take_customs(p));
    return cn_annotations_end(p);
}

static enum cn_status put_section(struct cn_parser *p, uint8_t id, struct cn_buffer *out)
{
    const struct cn_buffer *content = &p->sections[id];
    struct cn_buffer whole = {.allocator = p->allocator};

    if (p->entries[id] == 0 && (id != DATA_COUNT || !p->names_data))
        return CN_OK;
    if (id != START)
        cn_put_u(&whole, p->entries[id]);
    cn_put(&whole, content->bytes, content->size);
    cn_put_byte(out, id);
    cn_put_sized(out, cn_buffer_bytes(&whole));
    out->failed = out->failed || content->failed || whole.failed;
    cn_buffer_free(&whole);
    if (p->map == NULL)
        return CN_OK;
    return cn_map_section(p, id, (uint32_t)(out->size - content->size));
}

static enum cn_status put_module(struct cn_parser *p, struct cn_buffer *out)
{
    static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    static const uint8_t order[] = {TYPES, IMPORTS, FUNCTIONS, TABLES,   MEMORIES,   TAGS,
                                    GLOBALS, EXPORTS, START,   ELEMENTS, DATA_COUNT, CODE, DATAS};

    p->entries[DATA_COUNT] = p->entries[DATAS];
    cn_put(out, header, sizeof header);
    cn_put_customs(p, CN_CUSTOM_EDGE, true, out);
    for (size_t i = 0; i < sizeof order; i++) {
        cn_put_customs(p, order[i], true, out);
        if (order[i] == CODE)
            cn_put_hints(p, out);
        CN_TRY(put_section(p, order[i], out));
        cn_put_customs(p, order[i], false, out);
    }
    cn_put_names(p, out);
    cn_put_customs(p, CN_CUSTOM_EDGE, false, out);
    return out->failed ? cn_text_no_memory(p) : CN_OK;
}

/* Words that are no operators, so that a message can tell a misplaced one from an unknown one. */
static const char *const keywords[] = {
    "i32", "i64", "f32", "f64", "v128", "i8", "i16", "func", "extern", "any", "eq", "i31",
    "struct", "array", "exn", "none", "nofunc", "noextern", "noexn", "funcref", "externref",
    "anyref", "eqref", "i31ref", "structref", "arrayref", "exnref", "nullref", "nullfuncref",
    "nullexternref", "nullexnref", "ref", "null", "type", "rec", "sub", "final", "field", "mut",
    "param", "result", "local", "module", "import", "export", "table", "memory", "global", "tag",
    "start", "elem", "data", "declare", "offset", "item", "then", "do", "catch_ref",
    "catch_all_ref", "shared", "pagesize", "nan:canonical", "nan:arithmetic", "i8x16", "i16x8",
    "i32x4", "i64x2", "f32x4", "f64x2", "binary", "quote", "definition", "instance",
};

static enum cn_status name_words(struct cn_parser *p)
{
    for (uint32_t i = CN_WASM_PLACES; i-- > 0;)
        if (cn_wasm_infos[i].text != NULL &&
            cn_names_set(&p->names, CN_SPACE_OPERATOR, 0, cn_bytes_of(cn_wasm_infos[i].text),
                         i) != CN_OK)
            return cn_text_no_memory(p);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (cn_names_set(&p->names, CN_SPACE_KEYWORD, 0, cn_bytes_of(keywords[i]), 0) != CN_OK)
            return cn_text_no_memory(p);
    return CN_OK;
}

static void release(struct cn_parser *p)
{
    for (size_t i = 0; i < CN_TEXT_SECTIONS; i++)
        cn_buffer_free(&p->sections[i]);
    cn_buffer_free(&p->pending);
    cn_buffer_free(&p->func_names);
    cn_buffer_free(&p->hints);
    cn_buffer_free(&p->hinted_funcs);
    cn_free(p->allocator, p->marks, p->mark_room * sizeof *p->marks);
    cn_free(p->allocator, p->customs, p->custom_room * sizeof *p->customs);
    cn_free(p->allocator, p->types, p->type_room * sizeof *p->types);
    cn_free(p->allocator, p->labels, p->label_room * sizeof *p->labels);
    cn_text_release_opens(p);
    cn_names_release(&p->names);
    cn_arena_release(&p->arena);
}

enum cn_status cn_text_module(const struct cn_tokens *tokens, uint32_t *at,
                              struct cn_buffer *binary, struct cn_source_map *map,
                              struct cn_error *error)
{
    struct cn_allocator allocator = tokens->allocator;
    struct cn_parser p = {
        .tokens = tokens, .at = *at, .error = error, .allocator = allocator, .map = map,
        .pending.allocator = allocator, .func_names.allocator = allocator,
        .hints.allocator = allocator, .hinted_funcs.allocator = allocator};

    for (size_t i = 0; i < CN_TEXT_SECTIONS; i++)
        p.sections[i].allocator = allocator;
    cn_arena_init(&p.arena, allocator);
    cn_names_init(&p.names, allocator);
    enum cn_status status = name_words(&p);
    if (status == CN_OK)
        status = walk(&p);
    if (status == CN_OK)
        status = put_module(&p, binary);
    *at = p.at;
    release(&p);
    return status;
}
