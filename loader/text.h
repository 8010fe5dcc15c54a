/* The text format (core 6): a module's text becomes the bytes of the binary format, which then
 * go the one way through the decoder and the validator. Nothing is typed here: what is refused
 * here is malformed.
 *
 * Errors have their place in the text in error->offset (cn_text_place makes a line and a column
 * of it) and begin with the reference interpreter's words.
 */
#ifndef CN_LOADER_TEXT_H
#define CN_LOADER_TEXT_H

#include "core/module.h"
#include "loader/buffer.h"
#include "loader/text_lexer.h"

/* Whether these bytes are to be read as text: they begin with a parenthesis, a comment or space. */
static inline bool cn_is_text(struct cn_bytes file)
{
    return file.size > 0 && memchr("(; \t\r\n", file.at[0], 6) != NULL;
}

/* From which places of the text places of the binary were made, in order. */
struct cn_source_map {
    struct cn_source_mark *marks;
    uint32_t count, room;
    struct cn_allocator allocator;
};

struct cn_source_mark {
    uint32_t binary, text;
};

void cn_source_map_release(struct cn_source_map *map);
/* The place in the text of what stands at `offset` of the binary; 0 when nothing is known. */
uint32_t cn_source_place(const struct cn_source_map *map, uint64_t offset);

/* Reads a whole text that holds one module, "(module ...)" or its fields alone. The map may be
 * NULL; it is released in any case by the caller. */
CN_CHECKED enum cn_status cn_text_to_binary(struct cn_bytes text, struct cn_buffer *binary,
                                            struct cn_source_map *map, struct cn_error *error);

/* Loads a module from text: as cn_load of what it becomes, which is put into `binary` and must
 * outlive the module. Errors, those of the decoder and validator too, begin with line and column
 * and have no offset. */
CN_CHECKED enum cn_status cn_load_text(struct cn_bytes text, struct cn_buffer *binary,
                                       struct cn_module **result, struct cn_error *error);

/* The same of tokens. */
CN_CHECKED enum cn_status cn_text_tokens_to_binary(const struct cn_tokens *tokens,
                                                   struct cn_buffer *binary,
                                                   struct cn_source_map *map,
                                                   struct cn_error *error);

/* Reads the fields of a module from token *at up to the closing parenthesis (or the end) at
 * which it leaves *at. "(module" and the module's name have been read. */
CN_CHECKED enum cn_status cn_text_module(const struct cn_tokens *tokens, uint32_t *at,
                                         struct cn_buffer *binary, struct cn_source_map *map,
                                         struct cn_error *error);

#endif
