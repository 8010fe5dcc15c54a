/* Annotations that mean something (core appendix "Custom sections and annotations"): custom
 * sections, names, branch hints. */
#include "loader/reader.h"
#include "loader/text_parse.h"

/* Fails at an annotation. */
static enum cn_status fail(struct cn_parser *p, const struct cn_annotation *annotation,
                           enum cn_status status, const char *what)
{
    return cn_fail(p->error, status, annotation->at, "@%.*s annotation: %s",
                   (int)annotation->id.size, (const char *)annotation->id.at, what);
}

/* The number of the first annotation at or behind token `at`. */
static uint32_t first_at(const struct cn_tokens *tokens, uint32_t at)
{
    uint32_t low = 0, high = tokens->annotation_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tokens->annotations[middle].before < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct cn_annotation *cn_take_annotation(struct cn_parser *p, uint32_t at, const char *id)
{
    const struct cn_tokens *tokens = p->tokens;

    if (tokens->annotation_count == 0)
        return NULL;
    for (uint32_t i = first_at(tokens, at);
         i < tokens->annotation_count && tokens->annotations[i].before == at; i++) {
        const struct cn_annotation *annotation = &tokens->annotations[i];
        if (i < p->annotations_done || !cn_bytes_equal(annotation->id, cn_bytes_of(id)) ||
            p->annotation_used[i])
            continue;
        p->annotation_used[i] = true;
        return annotation;
    }
    return NULL;
}

enum cn_status cn_annotations_begin(struct cn_parser *p)
{
    uint32_t count = p->tokens->annotation_count;

    p->annotations_done = first_at(p->tokens, p->at);
    p->annotation_used = cn_arena_array(&p->arena, count, sizeof *p->annotation_used);
    return p->annotation_used != NULL ? CN_OK : cn_text_no_memory(p);
}

enum cn_status cn_annotations_end(struct cn_parser *p)
{
    const struct cn_tokens *tokens = p->tokens;

    for (uint32_t i = p->annotations_done; i < tokens->annotation_count; i++) {
        const struct cn_annotation *annotation = &tokens->annotations[i];
        if (annotation->before > p->at)
            break;
        if (p->annotation_used[i])
            continue;
        if (cn_bytes_equal(annotation->id, cn_bytes_of("metadata.code.branch_hint")))
            return fail(p, annotation, CN_MALFORMED, "not in a function");
        return cn_fail(p->error, CN_MALFORMED, annotation->at, "misplaced @%.*s annotation",
                       (int)annotation->id.size, (const char *)annotation->id.at);
    }
    return CN_OK;
}

/* ---------------------------------------------------------------- their tokens */

static const struct cn_token *inner(const struct cn_parser *p, uint32_t at)
{
    return &p->tokens->inner[at];
}

static bool inner_is(const struct cn_parser *p, uint32_t at, const char *word)
{
    return cn_bytes_equal(cn_token_text(p->tokens, inner(p, at)), cn_bytes_of(word));
}

/* Strings from *at on, one behind another. */
static enum cn_status inner_strings(struct cn_parser *p, const struct cn_annotation *annotation,
                                    uint32_t *at, struct cn_bytes *content)
{
    uint32_t end = *at;
    size_t size = 0;

    for (; end < annotation->end && inner(p, end)->kind == CN_TOKEN_STRING; end++)
        size += inner(p, end)->size;
    uint8_t *bytes = cn_arena_alloc(&p->arena, size);
    if (bytes == NULL)
        return cn_text_no_memory(p);
    *content = (struct cn_bytes){bytes, 0};
    for (; *at < end; ++*at)
        content->size += cn_token_unquote(cn_token_text(p->tokens, inner(p, *at)),
                                          bytes + content->size);
    return CN_OK;
}

/* One string that is a name. */
static enum cn_status inner_name(struct cn_parser *p, const struct cn_annotation *annotation,
                                 const char *missing, struct cn_bytes *name)
{
    uint32_t at = annotation->first;
    struct cn_annotation one = *annotation;

    if (at == annotation->end || inner(p, at)->kind != CN_TOKEN_STRING)
        return fail(p, annotation, CN_MALFORMED, missing);
    one.end = at + 1;
    CN_TRY(inner_strings(p, &one, &at, name));
    if (!cn_bytes_are_utf8(*name))
        return fail(p, annotation, CN_MALFORMED, "malformed UTF-8 encoding");
    return CN_OK;
}

/* ---------------------------------------------------------------- custom sections */

/* By section id; "first" and "last" stand for the ends of the module. */
static const char *const section_words[] = {
    "",      "type", "import", "func", "table",     "memory", "global",
    "export", "start", "elem", "code", "data", "datacount", "tag"};

#define SECTION_WORDS (sizeof section_words / sizeof section_words[0])

/* (before type), (after last)...; *at is the opening parenthesis. */
static enum cn_status take_place(struct cn_parser *p, const struct cn_annotation *annotation,
                                 uint32_t *at, struct cn_custom_place *place)
{
    uint32_t word = *at + 1, section = 1;

    place->is_before = word < annotation->end && inner_is(p, word, "before");
    if (!place->is_before && (word >= annotation->end || !inner_is(p, word, "after")))
        return fail(p, annotation, CN_MALFORMED, "malformed placement");
    const char *edge = place->is_before ? "first" : "last";
    if (word + 1 < annotation->end && inner_is(p, word + 1, edge)) {
        place->section = CN_CUSTOM_EDGE;
    } else {
        while (section < SECTION_WORDS && (word + 1 >= annotation->end ||
                                           !inner_is(p, word + 1, section_words[section])))
            section++;
        if (section == SECTION_WORDS)
            return fail(p, annotation, CN_MALFORMED, "malformed section kind");
        place->section = (uint8_t)section;
    }
    if (word + 2 >= annotation->end || inner(p, word + 2)->kind != CN_TOKEN_CLOSE)
        return fail(p, annotation, CN_MALFORMED, "unexpected token");
    *at = word + 3;
    return CN_OK;
}

static enum cn_status take_custom(struct cn_parser *p, const struct cn_annotation *annotation)
{
    struct cn_text_custom custom = {.place = {CN_CUSTOM_EDGE, false}};
    uint32_t at = annotation->first + 1;

    CN_TRY(inner_name(p, annotation, "missing section name", &custom.name));
    if (at < annotation->end && inner(p, at)->kind == CN_TOKEN_OPEN)
        CN_TRY(take_place(p, annotation, &at, &custom.place));
    CN_TRY(inner_strings(p, annotation, &at, &custom.content));
    if (at != annotation->end)
        return fail(p, annotation, CN_MALFORMED, "unexpected token");
    CN_TRY(cn_text_room(p, &p->customs, p->custom_count, &p->custom_room, sizeof *p->customs));
    p->customs[p->custom_count++] = custom;
    return CN_OK;
}

enum cn_status cn_take_customs(struct cn_parser *p)
{
    const struct cn_annotation *annotation;

    while ((annotation = cn_take_annotation(p, p->at, "custom")) != NULL)
        CN_TRY(take_custom(p, annotation));
    return CN_OK;
}

static void put_custom(struct cn_buffer *out, struct cn_bytes name, struct cn_bytes content)
{
    struct cn_buffer section = {.allocator = out->allocator};

    cn_put_sized(&section, name);
    cn_put(&section, content.at, content.size);
    cn_put_byte(out, 0);
    cn_put_sized(out, cn_buffer_bytes(&section));
    out->failed = out->failed || section.failed;
    cn_buffer_free(&section);
}

void cn_put_customs(const struct cn_parser *p, uint8_t section, bool before,
                    struct cn_buffer *out)
{
    for (uint32_t i = 0; i < p->custom_count; i++) {
        const struct cn_text_custom *custom = &p->customs[i];
        if (custom->place.section == section && custom->place.is_before == before)
            put_custom(out, custom->name, custom->content);
    }
}

/* ---------------------------------------------------------------- names */

/* (@name "...") at the next token; an empty name when there is none. */
enum cn_status cn_take_name(struct cn_parser *p, struct cn_bytes *name)
{
    const struct cn_annotation *annotation = cn_take_annotation(p, p->at, "name");

    *name = (struct cn_bytes){NULL, 0};
    if (annotation == NULL)
        return CN_OK;
    CN_TRY(inner_name(p, annotation, "missing name", name));
    return annotation->end == annotation->first + 1
               ? CN_OK
               : fail(p, annotation, CN_MALFORMED, "unexpected token");
}

enum cn_status cn_take_module_name(struct cn_parser *p)
{
    const struct cn_annotation *annotation;
    struct cn_bytes name;

    CN_TRY(cn_take_name(p, &name));
    if (name.at == NULL)
        return CN_OK;
    p->module_name = name;
    annotation = cn_take_annotation(p, p->at, "name");
    return annotation == NULL ? CN_OK : fail(p, annotation, CN_MALFORMED, "multiple module");
}

enum cn_status cn_name_func(struct cn_parser *p, uint32_t index, struct cn_bytes id)
{
    struct cn_bytes name;

    CN_TRY(cn_take_name(p, &name));
    if (name.at == NULL)
        name = id;
    if (name.at == NULL)
        return CN_OK;
    cn_put_u(&p->func_names, index);
    cn_put_sized(&p->func_names, name);
    p->func_name_count++;
    return CN_OK;
}

/* The name section: the module's name, then the functions'. */
void cn_put_names(const struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_buffer names = {.allocator = p->allocator}, part = names;

    if (p->module_name.at != NULL) {
        cn_put_sized(&part, p->module_name);
        cn_put_byte(&names, 0);
        cn_put_sized(&names, cn_buffer_bytes(&part));
        part.size = 0;
    }
    if (p->func_name_count > 0) {
        cn_put_u(&part, p->func_name_count);
        cn_put(&part, p->func_names.bytes, p->func_names.size);
        cn_put_byte(&names, 1);
        cn_put_sized(&names, cn_buffer_bytes(&part));
    }
    if (names.size > 0)
        put_custom(out, cn_bytes_of("name"), cn_buffer_bytes(&names));
    out->failed = out->failed || names.failed || part.failed || p->func_names.failed;
    cn_buffer_free(&names);
    cn_buffer_free(&part);
}

/* ---------------------------------------------------------------- branch hints */

enum cn_status cn_take_hint(struct cn_parser *p, uint32_t at, uint32_t op, uint8_t *hint)
{
    const struct cn_annotation *annotation =
        cn_take_annotation(p, at, "metadata.code.branch_hint");
    struct cn_bytes content;
    uint32_t first;

    *hint = CN_NO_HINT;
    if (annotation == NULL)
        return CN_OK;
    if (op != CN_WASM_IF && op != CN_WASM_BR_IF)
        return fail(p, annotation, CN_INVALID, "invalid target");
    first = annotation->first;
    CN_TRY(inner_strings(p, annotation, &first, &content));
    if (first != annotation->end || content.size != 1 || *content.at > 1)
        return fail(p, annotation, CN_MALFORMED, "malformed value: expected \"\\00\" or \"\\01\"");
    *hint = *content.at;
    annotation = cn_take_annotation(p, at, "metadata.code.branch_hint");
    return annotation == NULL ? CN_OK : fail(p, annotation, CN_MALFORMED, "duplicate annotation");
}

void cn_note_hint(struct cn_parser *p, uint8_t hint)
{
    enum { SIZE = 1 };

    if (hint == CN_NO_HINT)
        return;
    cn_put_u(&p->hints, p->code->size);
    cn_put_u(&p->hints, SIZE);
    cn_put_byte(&p->hints, hint);
    p->hint_count++;
}

void cn_end_hints(struct cn_parser *p, uint32_t func)
{
    if (p->hint_count == 0)
        return;
    cn_put_u(&p->hinted_funcs, func);
    cn_put_u(&p->hinted_funcs, p->hint_count);
    cn_put(&p->hinted_funcs, p->hints.bytes, p->hints.size);
    p->hinted_funcs.failed = p->hinted_funcs.failed || p->hints.failed;
    p->hinted_func_count++;
    p->hint_count = 0;
    p->hints.size = 0;
}

void cn_put_hints(const struct cn_parser *p, struct cn_buffer *out)
{
    struct cn_buffer content = {.allocator = p->allocator};

    if (p->hinted_func_count == 0)
        return;
    cn_put_u(&content, p->hinted_func_count);
    cn_put(&content, p->hinted_funcs.bytes, p->hinted_funcs.size);
    put_custom(out, cn_bytes_of("metadata.code.branch_hint"), cn_buffer_bytes(&content));
    out->failed = out->failed || content.failed || p->hinted_funcs.failed;
    cn_buffer_free(&content);
}
