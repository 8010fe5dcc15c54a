#include "loader/text.h"

#include "loader/load.h"
#include "loader/text_parse.h"

static bool word_at(const struct cn_tokens *tokens, uint32_t at, const char *word)
{
    return tokens->tokens[at].kind == CN_TOKEN_WORD &&
           cn_bytes_equal(cn_token_text(tokens, &tokens->tokens[at]), cn_bytes_of(word));
}

static enum cn_status fail_at(const struct cn_tokens *tokens, uint32_t at, struct cn_error *error)
{
    struct cn_bytes text = cn_token_text(tokens, &tokens->tokens[at]);

    return cn_fail(error, CN_MALFORMED, tokens->tokens[at].at, "unexpected token %.*s",
                   text.size < 60 ? (int)text.size : 60, (const char *)text.at);
}

/* Strings, whose bytes are a module or its text. */
static enum cn_status from_strings(const struct cn_tokens *tokens, uint32_t *at,
                                   struct cn_buffer *out, struct cn_error *error)
{
    struct cn_bytes string;
    uint8_t *bytes;

    for (; tokens->tokens[*at].kind == CN_TOKEN_STRING; ++*at) {
        string = cn_token_text(tokens, &tokens->tokens[*at]);
        bytes = cn_alloc(tokens->allocator, string.size);
        if (bytes == NULL)
            return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "memory exhausted");
        cn_put(out, bytes, cn_token_unquote(string, bytes));
        cn_free(tokens->allocator, bytes, string.size);
    }
    return out->failed ? cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "memory exhausted") : CN_OK;
}

enum cn_status cn_text_tokens_to_binary(const struct cn_tokens *tokens, struct cn_buffer *binary,
                                        struct cn_source_map *map, struct cn_error *error)
{
    uint32_t at = 0;
    bool is_wrapped = tokens->tokens[0].kind == CN_TOKEN_OPEN && word_at(tokens, 1, "module");

    if (is_wrapped) {
        at = 2;
        at += tokens->tokens[at].kind == CN_TOKEN_ID;
    }
    if (is_wrapped && word_at(tokens, at, "binary")) {
        at++;
        CN_TRY(from_strings(tokens, &at, binary, error));
    } else {
        CN_TRY(cn_text_module(tokens, &at, binary, map, error));
    }
    if (is_wrapped && tokens->tokens[at].kind != CN_TOKEN_CLOSE)
        return fail_at(tokens, at, error);
    at += is_wrapped;
    return tokens->tokens[at].kind == CN_TOKEN_END ? CN_OK : fail_at(tokens, at, error);
}

enum cn_status cn_text_to_binary(struct cn_bytes text, struct cn_buffer *binary,
                                 struct cn_source_map *map, struct cn_error *error)
{
    struct cn_tokens tokens;
    enum cn_status status = cn_tokens_read(&tokens, text, binary->allocator, error);

    if (status == CN_OK)
        status = cn_text_tokens_to_binary(&tokens, binary, map, error);
    cn_tokens_release(&tokens);
    return status;
}

/* ---------------------------------------------------------------- places */

void cn_source_map_release(struct cn_source_map *map)
{
    cn_free(map->allocator, map->marks, map->room * sizeof *map->marks);
    *map = (struct cn_source_map){.allocator = map->allocator};
}

uint32_t cn_source_place(const struct cn_source_map *map, uint64_t offset)
{
    uint32_t low = 0, high = map->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->marks[middle].binary <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? map->marks[low - 1].text : 0;
}

/* Line and column go before the words; the rest is cut if need be. */
static enum cn_status say_where(struct cn_bytes text, uint64_t place, struct cn_error *error)
{
    struct cn_error inner;
    uint32_t line, column;

    if (error == NULL || error->status == CN_NO_MEMORY)
        return error != NULL ? error->status : CN_MALFORMED;
    inner = *error;
    cn_text_place(text, place, &line, &column);
    return cn_fail(error, inner.status, CN_NO_OFFSET, "line %u, column %u: %.200s", line, column,
                   inner.text);
}

enum cn_status cn_load_text(struct cn_bytes text, struct cn_buffer *binary,
                            struct cn_module **result, struct cn_error *error)
{
    struct cn_source_map map = {.allocator = binary->allocator};
    struct cn_error ignored;

    if (error == NULL)
        error = &ignored;
    enum cn_status status = cn_text_to_binary(text, binary, &map, error);
    if (status != CN_OK) {
        status = say_where(text, error->offset, error);
    } else {
        status = cn_load(cn_buffer_bytes(binary), binary->allocator, result, error);
        if (status != CN_OK)
            status = say_where(text, cn_source_place(&map, error->offset), error);
    }
    cn_source_map_release(&map);
    return status;
}
