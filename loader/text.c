#include "loader/text.h"

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
                                        struct cn_error *error)
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
        CN_TRY(cn_text_module(tokens, &at, binary, error));
    }
    if (is_wrapped && tokens->tokens[at].kind != CN_TOKEN_CLOSE)
        return fail_at(tokens, at, error);
    at += is_wrapped;
    return tokens->tokens[at].kind == CN_TOKEN_END ? CN_OK : fail_at(tokens, at, error);
}

enum cn_status cn_text_to_binary(struct cn_bytes text, struct cn_buffer *binary,
                                 struct cn_error *error)
{
    struct cn_tokens tokens;
    enum cn_status status = cn_tokens_read(&tokens, text, binary->allocator, error);

    if (status == CN_OK)
        status = cn_text_tokens_to_binary(&tokens, binary, error);
    cn_tokens_release(&tokens);
    return status;
}
