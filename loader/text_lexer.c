#include "loader/text_lexer.h"

#include "loader/reader.h"

struct lexer {
    struct cn_tokens *tokens;
    const uint8_t *at, *end;
    struct cn_error *error;
};

#define TEXT_MAX (1u << 30)

static uint32_t offset_of(const struct lexer *lexer, const uint8_t *at)
{
    return (uint32_t)(at - lexer->tokens->text.at);
}

static enum cn_status fail(const struct lexer *lexer, const uint8_t *at, const char *what)
{
    if (at < lexer->end && *at > ' ' && *at < 0x7f)
        return cn_fail(lexer->error, CN_MALFORMED, offset_of(lexer, at), "%s: '%c'", what, *at);
    return cn_fail(lexer->error, CN_MALFORMED, offset_of(lexer, at), "%s", what);
}

static enum cn_status fail_atom(const struct lexer *lexer, const uint8_t *start)
{
    int size = lexer->at - start < 60 ? (int)(lexer->at - start) : 60;

    return cn_fail(lexer->error, CN_MALFORMED, offset_of(lexer, start), "unknown operator %.*s",
                   size, (const char *)start);
}

/* ---------------------------------------------------------------- characters */

/* idchar of core 6.3.5. */
static bool is_idchar(uint8_t c)
{
    if (c <= ' ' || c >= 0x7f)
        return false;
    return strchr("\"(),;[]{}", c) == NULL;
}

/* What makes a token reserved where it touches another one. */
static bool is_reserved(uint8_t c)
{
    return is_idchar(c) || c == '"' || c == ',' || c == ';' || c == '[' || c == ']' ||
           c == '{' || c == '}';
}

/* Bytes of the UTF-8 character at `at`, 0 when it is malformed. */
static size_t utf8_size(const uint8_t *at, const uint8_t *end)
{
    size_t size = *at < 0x80 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;

    if ((size_t)(end - at) < size || !cn_bytes_are_utf8((struct cn_bytes){at, size}))
        return 0;
    return size;
}

/* ---------------------------------------------------------------- space and comments */

static enum cn_status skip_line_comment(struct lexer *lexer)
{
    while (lexer->at < lexer->end && *lexer->at != '\n' && *lexer->at != '\r') {
        size_t size = utf8_size(lexer->at, lexer->end);
        if (size == 0)
            return fail(lexer, lexer->at, "malformed UTF-8 encoding");
        lexer->at += size;
    }
    return CN_OK;
}

static bool looking_at(const struct lexer *lexer, const char *two)
{
    return lexer->end - lexer->at >= 2 && lexer->at[0] == (uint8_t)two[0] &&
           lexer->at[1] == (uint8_t)two[1];
}

static enum cn_status skip_block_comment(struct lexer *lexer)
{
    const uint8_t *start = lexer->at;
    uint32_t depth = 0;

    do {
        if (lexer->at == lexer->end)
            return fail(lexer, start, "unclosed comment");
        size_t size = utf8_size(lexer->at, lexer->end);
        if (size == 0)
            return fail(lexer, lexer->at, "malformed UTF-8 encoding");
        if (looking_at(lexer, "(;") || looking_at(lexer, ";)")) {
            depth += *lexer->at == '(' ? 1 : -1u;
            size = 2;
        }
        lexer->at += size;
    } while (depth > 0);
    return CN_OK;
}

static enum cn_status skip_space(struct lexer *lexer)
{
    while (lexer->at < lexer->end) {
        uint8_t c = *lexer->at;
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            lexer->at++;
        else if (looking_at(lexer, ";;"))
            CN_TRY(skip_line_comment(lexer));
        else if (looking_at(lexer, "(;"))
            CN_TRY(skip_block_comment(lexer));
        else
            break;
    }
    return CN_OK;
}

/* ---------------------------------------------------------------- strings */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The digits and the brace of \u{...}; `at` is behind the opening brace. NULL when malformed. */
static const uint8_t *read_code_point(const uint8_t *at, const uint8_t *end, uint32_t *code)
{
    bool wants_digit = true;

    *code = 0;
    for (; at < end; at++) {
        if (*at == '_' && !wants_digit) {
            wants_digit = true;
            continue;
        }
        if (*at == '}' && !wants_digit)
            return at + 1;
        int digit = hex_digit(*at);
        if (digit < 0 || *code > 0x10ffff)
            return NULL;
        *code = *code * 16 + (uint32_t)digit;
        wants_digit = false;
    }
    return NULL;
}

/* What stands behind a backslash; NULL when malformed. */
static const uint8_t *skip_escape(const uint8_t *at, const uint8_t *end)
{
    uint32_t code;

    if (at == end)
        return NULL;
    if (strchr("tnr\"'\\", *at) != NULL && *at != 0)
        return at + 1;
    if (*at == 'u' && end - at > 1 && at[1] == '{') {
        at = read_code_point(at + 2, end, &code);
        return code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? NULL : at;
    }
    return end - at >= 2 && hex_digit(at[0]) >= 0 && hex_digit(at[1]) >= 0 ? at + 2 : NULL;
}

/* Moves behind the closing quote. */
static enum cn_status skip_string(struct lexer *lexer)
{
    const uint8_t *start = lexer->at++;

    while (lexer->at < lexer->end && *lexer->at != '"') {
        uint8_t c = *lexer->at;
        if (c == '\n' || c == '\r')
            return fail(lexer, start, "unclosed string");
        if (c < ' ' || c == 0x7f)
            return fail(lexer, lexer->at, "illegal character in string literal");
        if (c == '\\') {
            const uint8_t *next = skip_escape(lexer->at + 1, lexer->end);
            if (next == NULL)
                return fail(lexer, lexer->at, "illegal escape");
            lexer->at = next;
            continue;
        }
        size_t size = utf8_size(lexer->at, lexer->end);
        if (size == 0)
            return fail(lexer, lexer->at, "malformed UTF-8 encoding");
        lexer->at += size;
    }
    if (lexer->at == lexer->end)
        return fail(lexer, start, "unclosed string");
    lexer->at++;
    return CN_OK;
}

static size_t put_utf8(uint32_t code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

size_t cn_token_unquote(struct cn_bytes string, uint8_t *out)
{
    const uint8_t *at = string.at + 1, *end = string.at + string.size - 1;
    static const char escapes[] = "tnr\"'\\", values[] = "\t\n\r\"'\\";
    size_t size = 0;
    uint32_t code;

    while (at < end) {
        if (*at != '\\') {
            out[size++] = *at++;
            continue;
        }
        const char *escape = strchr(escapes, at[1]);
        if (escape != NULL) {
            out[size++] = (uint8_t)values[escape - escapes];
            at += 2;
        } else if (at[1] == 'u') {
            at = read_code_point(at + 3, end, &code);
            size += put_utf8(code, out + size);
        } else {
            out[size++] = (uint8_t)(hex_digit(at[1]) * 16 + hex_digit(at[2]));
            at += 3;
        }
    }
    return size;
}

/* ---------------------------------------------------------------- tokens */

static enum cn_status grow(struct lexer *lexer, void *array, uint32_t *room, size_t size)
{
    struct cn_allocator allocator = lexer->tokens->allocator;
    uint32_t more = *room ? *room * 2 : 256;
    void *longer = cn_resize(allocator, *(void **)array, *room * size, more * size);

    if (longer == NULL)
        return cn_fail(lexer->error, CN_NO_MEMORY, CN_NO_OFFSET,
                       "memory exhausted while the text was read");
    *(void **)array = longer;
    *room = more;
    return CN_OK;
}

static enum cn_status add(struct lexer *lexer, bool is_inner, struct cn_token token)
{
    struct cn_tokens *tokens = lexer->tokens;

    if (is_inner) {
        if (tokens->inner_count == tokens->inner_room)
            CN_TRY(grow(lexer, &tokens->inner, &tokens->inner_room, sizeof token));
        tokens->inner[tokens->inner_count++] = token;
        return CN_OK;
    }
    if (tokens->count == tokens->room)
        CN_TRY(grow(lexer, &tokens->tokens, &tokens->room, sizeof token));
    tokens->tokens[tokens->count++] = token;
    return CN_OK;
}

/* A string that is a name: a lone quote means that there is none. */
static enum cn_status skip_name(struct lexer *lexer, const char *missing)
{
    const uint8_t *quote = lexer->at;

    for (const uint8_t *at = quote + 1; at < lexer->end && *at != '"'; at++)
        if (*at < ' ')
            return fail(lexer, quote, missing);
    return skip_string(lexer);
}

/* The string from `quote` to the cursor must be UTF-8 once its escapes are replaced. */
static enum cn_status check_name(struct lexer *lexer, const uint8_t *quote)
{
    struct cn_bytes string = {quote, (size_t)(lexer->at - quote)};
    uint8_t *name = cn_alloc(lexer->tokens->allocator, string.size);

    if (name == NULL)
        return cn_fail(lexer->error, CN_NO_MEMORY, CN_NO_OFFSET, "memory exhausted");
    size_t size = cn_token_unquote(string, name);
    bool is_utf8 = cn_bytes_are_utf8((struct cn_bytes){name, size});
    cn_free(lexer->tokens->allocator, name, string.size);
    return is_utf8 ? CN_OK : fail(lexer, quote, "malformed UTF-8 encoding");
}

/* Reads the characters of an atom, and a string that makes an identifier of a lone $. */
static enum cn_status read_atom(struct lexer *lexer, struct cn_token *token)
{
    const uint8_t *start = lexer->at;

    while (lexer->at < lexer->end && is_idchar(*lexer->at))
        lexer->at++;
    struct cn_bytes atom = {start, (size_t)(lexer->at - start)};
    if (atom.size == 1 && *start == '$' && lexer->at < lexer->end && *lexer->at == '"') {
        const uint8_t *quote = lexer->at;
        CN_TRY(skip_name(lexer, "empty identifier"));
        if (lexer->at - quote < 3)
            return fail(lexer, start, "empty identifier");
    } else if (atom.size == 1 && *start == '$') {
        return fail(lexer, start, "empty identifier");
    }
    token->size = (uint32_t)(lexer->at - start);
    if (*start == '$')
        token->kind = CN_TOKEN_ID;
    else if (cn_atom_is_number(atom))
        token->kind = CN_TOKEN_NUMBER;
    else
        token->kind = CN_TOKEN_WORD;
    return CN_OK;
}

/* The token at the cursor. Inside annotations (`lenient`) anything that could be one passes. */
static enum cn_status read_token(struct lexer *lexer, bool lenient, struct cn_token *token)
{
    const uint8_t *start = lexer->at;
    uint8_t c = *start;

    *token = (struct cn_token){.at = offset_of(lexer, start), .size = 1};
    if (c == '(' || c == ')') {
        token->kind = c == '(' ? CN_TOKEN_OPEN : CN_TOKEN_CLOSE;
        lexer->at++;
        return CN_OK;
    }
    if (c == '"') {
        token->kind = CN_TOKEN_STRING;
        CN_TRY(skip_string(lexer));
        token->size = (uint32_t)(lexer->at - start);
    } else if (is_idchar(c)) {
        CN_TRY(read_atom(lexer, token));
    } else if (is_reserved(c)) {
        lexer->at++;
        if (!lenient)
            return fail_atom(lexer, start);
        token->kind = CN_TOKEN_WORD;
    } else if (c >= 0x80 && utf8_size(start, lexer->end) == 0) {
        return fail(lexer, start, "malformed UTF-8 encoding");
    } else {
        return fail(lexer, start, "illegal character");
    }
    if (lenient)
        return CN_OK;
    bool touches = lexer->at < lexer->end && is_reserved(*lexer->at) && !looking_at(lexer, ";;");
    if (touches || (token->kind == CN_TOKEN_WORD && (c < 'a' || c > 'z'))) {
        while (lexer->at < lexer->end && is_idchar(*lexer->at))
            lexer->at++;
        return fail_atom(lexer, start);
    }
    bool is_quoted = token->kind == CN_TOKEN_ID && token->size > 1 && start[1] == '"';
    return is_quoted ? check_name(lexer, start + 1) : CN_OK;
}

/* ---------------------------------------------------------------- annotations */

/* Annotations that mean something to us; all others are read over. */
static bool is_known(struct cn_bytes id)
{
    return cn_bytes_equal(id, cn_bytes_of("custom")) || cn_bytes_equal(id, cn_bytes_of("name")) ||
           cn_bytes_equal(id, cn_bytes_of("metadata.code.branch_hint"));
}

static enum cn_status read_annotation_id(struct lexer *lexer, struct cn_bytes *id)
{
    const uint8_t *start = lexer->at;

    if (lexer->at < lexer->end && *lexer->at == '"') {
        CN_TRY(skip_name(lexer, "empty annotation id"));
        if (lexer->at - start < 3)
            return fail(lexer, start, "empty annotation id");
        CN_TRY(check_name(lexer, start));
        *id = (struct cn_bytes){start + 1, (size_t)(lexer->at - start) - 2};
        return CN_OK;
    }
    while (lexer->at < lexer->end && is_idchar(*lexer->at))
        lexer->at++;
    *id = (struct cn_bytes){start, (size_t)(lexer->at - start)};
    return id->size > 0 ? CN_OK : fail(lexer, start, "empty annotation id");
}

/* Behind "(@". */
static enum cn_status read_annotation(struct lexer *lexer, const uint8_t *start)
{
    struct cn_tokens *tokens = lexer->tokens;
    struct cn_annotation annotation = {.before = tokens->count, .at = offset_of(lexer, start),
                                       .first = tokens->inner_count};
    uint32_t depth = 1;

    CN_TRY(read_annotation_id(lexer, &annotation.id));
    bool keep = is_known(annotation.id);
    while (depth > 0) {
        struct cn_token token;
        CN_TRY(skip_space(lexer));
        if (lexer->at == lexer->end)
            return fail(lexer, start, "unclosed annotation");
        CN_TRY(read_token(lexer, true, &token));
        depth += token.kind == CN_TOKEN_OPEN;
        depth -= token.kind == CN_TOKEN_CLOSE;
        if (keep && depth > 0)
            CN_TRY(add(lexer, true, token));
    }
    if (!keep)
        return CN_OK;
    annotation.end = tokens->inner_count;
    if (tokens->annotation_count == tokens->annotation_room)
        CN_TRY(grow(lexer, &tokens->annotations, &tokens->annotation_room, sizeof annotation));
    tokens->annotations[tokens->annotation_count++] = annotation;
    return CN_OK;
}

/* ---------------------------------------------------------------- all of a text */

enum cn_status cn_tokens_read(struct cn_tokens *tokens, struct cn_bytes text,
                              struct cn_allocator allocator, struct cn_error *error)
{
    const uint8_t *start = text.size > 0 ? text.at : (const uint8_t *)"";
    struct lexer lexer = {tokens, start, start + text.size, error};
    struct cn_token token;

    *tokens = (struct cn_tokens){.allocator = allocator, .text = {start, text.size}};
    if (text.size > TEXT_MAX)
        return cn_fail(error, CN_TOO_LARGE, 0, "text too large: at most %u bytes are supported",
                       TEXT_MAX);
    for (;;) {
        CN_TRY(skip_space(&lexer));
        if (lexer.at == lexer.end)
            break;
        if (looking_at(&lexer, "(@")) {
            const uint8_t *open = lexer.at;
            lexer.at += 2;
            CN_TRY(read_annotation(&lexer, open));
            continue;
        }
        CN_TRY(read_token(&lexer, false, &token));
        CN_TRY(add(&lexer, false, token));
    }
    token = (struct cn_token){.at = (uint32_t)text.size, .kind = CN_TOKEN_END};
    return add(&lexer, false, token);
}

void cn_tokens_release(struct cn_tokens *tokens)
{
    cn_free(tokens->allocator, tokens->tokens, tokens->room * sizeof *tokens->tokens);
    cn_free(tokens->allocator, tokens->inner, tokens->inner_room * sizeof *tokens->inner);
    cn_free(tokens->allocator, tokens->annotations,
            tokens->annotation_room * sizeof *tokens->annotations);
    *tokens = (struct cn_tokens){.allocator = tokens->allocator};
}

void cn_text_place(struct cn_bytes text, uint64_t offset, uint32_t *line, uint32_t *column)
{
    uint64_t start = 0;

    *line = 1;
    for (uint64_t i = 0; i < offset && i < text.size; i++) {
        if (text.at[i] != '\n')
            continue;
        ++*line;
        start = i + 1;
    }
    *column = (uint32_t)(offset - start) + 1;
}
