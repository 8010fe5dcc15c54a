/* Taking tokens: words, identifiers, strings, numbers, parentheses. */
#include "loader/reader.h"
#include "loader/text_parse.h"

enum cn_status cn_text_no_memory(struct cn_parser *p)
{
    return cn_fail(p->error, CN_NO_MEMORY, CN_NO_OFFSET,
                   "memory exhausted while the text was read");
}

static bool is_known_word(const struct cn_parser *p, struct cn_bytes word)
{
    return cn_names_find(&p->names, CN_SPACE_OPERATOR, 0, word) != CN_NO_VALUE ||
           cn_names_find(&p->names, CN_SPACE_KEYWORD, 0, word) != CN_NO_VALUE ||
           (word.size > 7 && memcmp(word.at, "offset=", 7) == 0) ||
           (word.size > 6 && memcmp(word.at, "align=", 6) == 0);
}

enum cn_status cn_unexpected(struct cn_parser *p)
{
    struct cn_bytes text = cn_token_at(p, p->at);
    int size = text.size < 60 ? (int)text.size : 60;

    if (cn_peek(p)->kind == CN_TOKEN_END)
        return cn_text_fail(p, p->at, "unexpected token: the text ends here");
    if (cn_peek(p)->kind == CN_TOKEN_WORD && !is_known_word(p, text))
        return cn_text_fail(p, p->at, "unknown operator %.*s", size, (const char *)text.at);
    return cn_text_fail(p, p->at, "unexpected token %.*s", size, (const char *)text.at);
}

static bool token_is(const struct cn_parser *p, uint32_t at, const char *word)
{
    return p->tokens->tokens[at].kind == CN_TOKEN_WORD &&
           cn_bytes_equal(cn_token_at(p, at), cn_bytes_of(word));
}

bool cn_next_is(const struct cn_parser *p, const char *word)
{
    return token_is(p, p->at, word);
}

bool cn_next_opens(const struct cn_parser *p, const char *word)
{
    return cn_peek(p)->kind == CN_TOKEN_OPEN && token_is(p, p->at + 1, word);
}

bool cn_accept(struct cn_parser *p, const char *word)
{
    if (!cn_next_is(p, word))
        return false;
    p->at++;
    return true;
}

bool cn_accept_open(struct cn_parser *p, const char *word)
{
    if (!cn_next_opens(p, word))
        return false;
    p->at += 2;
    return true;
}

enum cn_status cn_expect(struct cn_parser *p, const char *word)
{
    return cn_accept(p, word) ? CN_OK : cn_unexpected(p);
}

enum cn_status cn_expect_kind(struct cn_parser *p, enum cn_token_kind kind)
{
    if (cn_peek(p)->kind != kind)
        return cn_unexpected(p);
    p->at++;
    return CN_OK;
}

enum cn_status cn_skip_to_close(struct cn_parser *p)
{
    for (uint32_t depth = 1; depth > 0; p->at++) {
        if (cn_peek(p)->kind == CN_TOKEN_END)
            return cn_unexpected(p);
        depth += cn_peek(p)->kind == CN_TOKEN_OPEN;
        depth -= cn_peek(p)->kind == CN_TOKEN_CLOSE;
    }
    return CN_OK;
}

/* A string token's content. Without escapes it is a view of the text. */
static enum cn_status unquote(struct cn_parser *p, struct cn_bytes string,
                              struct cn_bytes *content)
{
    uint8_t *copy;

    *content = (struct cn_bytes){string.at + 1, string.size - 2};
    if (memchr(string.at, '\\', string.size) == NULL)
        return CN_OK;
    copy = cn_arena_alloc(&p->arena, string.size);
    if (copy == NULL)
        return cn_text_no_memory(p);
    *content = (struct cn_bytes){copy, cn_token_unquote(string, copy)};
    return CN_OK;
}

/* $x and $"x" are the same name. */
static enum cn_status name_of_id(struct cn_parser *p, struct cn_bytes id, struct cn_bytes *name)
{
    struct cn_bytes rest = {id.at + 1, id.size - 1};

    *name = rest;
    return rest.size > 0 && *rest.at == '"' ? unquote(p, rest, name) : CN_OK;
}

enum cn_status cn_take_id(struct cn_parser *p, struct cn_bytes *name)
{
    *name = (struct cn_bytes){NULL, 0};
    if (cn_peek(p)->kind != CN_TOKEN_ID)
        return CN_OK;
    return name_of_id(p, cn_token_at(p, p->at++), name);
}

enum cn_status cn_take_string(struct cn_parser *p, bool utf8, struct cn_bytes *bytes)
{
    if (cn_peek(p)->kind != CN_TOKEN_STRING)
        return cn_unexpected(p);
    CN_TRY(unquote(p, cn_token_at(p, p->at), bytes));
    if (utf8 && !cn_bytes_are_utf8(*bytes))
        return cn_text_fail(p, p->at, "malformed UTF-8 encoding in a name");
    p->at++;
    return CN_OK;
}

enum cn_status cn_take_u32(struct cn_parser *p, uint32_t *value)
{
    struct cn_bytes text = cn_token_at(p, p->at);
    uint64_t number;

    if (cn_peek(p)->kind != CN_TOKEN_NUMBER || !cn_atom_is_integer(text) || text.at[0] == '-' ||
        text.at[0] == '+')
        return cn_unexpected(p);
    if (!cn_parse_nat(text, UINT32_MAX, &number))
        return cn_text_fail(p, p->at, "i32 constant out of range");
    *value = (uint32_t)number;
    p->at++;
    return CN_OK;
}

const char *cn_space_name(enum cn_space space)
{
    static const char *const names[] = {"type", "func", "table", "memory", "global", "tag",
                                        "elem", "data", "field", "local", "label"};

    return names[space];
}

enum cn_status cn_take_index(struct cn_parser *p, enum cn_space space, uint32_t scope,
                             uint32_t *index)
{
    static const char *const unknown[] = {"type", "function", "table", "memory", "global", "tag",
                                          "elem segment", "data segment", "field", "local",
                                          "label"};
    struct cn_bytes name, id = cn_token_at(p, p->at);

    if (cn_peek(p)->kind != CN_TOKEN_ID)
        return cn_take_u32(p, index);
    CN_TRY(name_of_id(p, id, &name));
    *index = cn_names_find(&p->names, space, scope, name);
    if (*index == CN_NO_VALUE)
        return cn_text_fail(p, p->at, "unknown %s %.*s", unknown[space],
                            id.size < 60 ? (int)id.size : 60, (const char *)id.at);
    p->at++;
    return CN_OK;
}

enum cn_status cn_bind(struct cn_parser *p, enum cn_space space, uint32_t scope,
                       struct cn_bytes name, uint32_t value)
{
    if (name.at == NULL)
        return CN_OK;
    if (cn_names_set(&p->names, space, scope, name, value) != CN_OK)
        return cn_text_no_memory(p);
    if (p->names.before != CN_NO_VALUE && p->names.before != value)
        return cn_text_fail(p, p->at > 0 ? p->at - 1 : 0, "duplicate %s $%.*s",
                            cn_space_name(space), name.size < 60 ? (int)name.size : 60,
                            (const char *)name.at);
    return CN_OK;
}

enum cn_status cn_text_room(struct cn_parser *p, void *array, uint32_t count, uint32_t *room,
                            size_t size)
{
    if (count < *room)
        return CN_OK;
    uint32_t more = *room ? *room * 2 : 64;
    void *longer = cn_resize(p->allocator, *(void **)array, *room * size, more * size);
    if (longer == NULL)
        return cn_text_no_memory(p);
    *(void **)array = longer;
    *room = more;
    return CN_OK;
}
