/* The text format (core 6): a module's text becomes the bytes of the binary format, which then
 * go the one way through the decoder and the validator. Nothing is typed here: what is refused
 * here is malformed.
 *
 * Errors have their place in the text in error->offset (cn_text_place makes a line and a column
 * of it) and begin with the reference interpreter's words.
 */
#ifndef CN_LOADER_TEXT_H
#define CN_LOADER_TEXT_H

#include "loader/buffer.h"
#include "loader/text_lexer.h"

/* Whether these bytes are to be read as text: they do not begin as a binary module does. */
static inline bool cn_is_text(struct cn_bytes file)
{
    return file.size == 0 || file.at[0] != 0;
}

/* Reads a whole text that holds one module, "(module ...)" or its fields alone. */
CN_CHECKED enum cn_status cn_text_to_binary(struct cn_bytes text, struct cn_buffer *binary,
                                            struct cn_error *error);

/* The same of tokens. */
CN_CHECKED enum cn_status cn_text_tokens_to_binary(const struct cn_tokens *tokens,
                                                   struct cn_buffer *binary,
                                                   struct cn_error *error);

/* Reads the fields of a module from token *at up to the closing parenthesis (or the end) at
 * which it leaves *at. "(module" and the module's name have been read. */
CN_CHECKED enum cn_status cn_text_module(const struct cn_tokens *tokens, uint32_t *at,
                                         struct cn_buffer *binary, struct cn_error *error);

#endif
