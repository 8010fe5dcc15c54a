/* The text format's tokens (core 6.3), all of a text at once.
 *
 * Annotations are not among the tokens: those that mean something to us are kept in a list of
 * their own, with the token that they stand before.
 */
#ifndef CN_LOADER_TEXT_LEXER_H
#define CN_LOADER_TEXT_LEXER_H

#include "core/alloc.h"
#include "core/bytes.h"
#include "core/error.h"
#include "core/status.h"

enum cn_token_kind {
    CN_TOKEN_END,     /* behind the last one */
    CN_TOKEN_OPEN,
    CN_TOKEN_CLOSE,
    CN_TOKEN_STRING,  /* quotes included */
    CN_TOKEN_ID,      /* $ included; $"..." too */
    CN_TOKEN_WORD,    /* begins with a small letter */
    CN_TOKEN_NUMBER,  /* begins with a digit or a sign, and is well-formed */
};

struct cn_token {
    uint32_t at;   /* offset in the text */
    uint32_t size;
    uint8_t kind;  /* enum cn_token_kind */
};

/* (@id ...): its tokens stand in `inner` [first, end), without the parentheses. */
struct cn_annotation {
    uint32_t before;      /* number of the token that follows it */
    uint32_t at;          /* offset in the text */
    struct cn_bytes id;
    uint32_t first, end;
};

struct cn_tokens {
    struct cn_allocator allocator;
    struct cn_bytes text;
    bool is_narrow;          /* limits have 32 bits, as before WebAssembly 3.0 */
    struct cn_token *tokens; /* a CN_TOKEN_END is last */
    uint32_t count, room;
    struct cn_token *inner;
    uint32_t inner_count, inner_room;
    struct cn_annotation *annotations;
    uint32_t annotation_count, annotation_room;
};

/* Reads a text of at most 1 GiB. error->offset is the place in the text. Release it in any
 * case. */
CN_CHECKED enum cn_status cn_tokens_read(struct cn_tokens *tokens, struct cn_bytes text,
                                         struct cn_allocator allocator, struct cn_error *error);
void cn_tokens_release(struct cn_tokens *tokens);

static inline struct cn_bytes cn_token_text(const struct cn_tokens *tokens,
                                            const struct cn_token *token)
{
    return (struct cn_bytes){tokens->text.at + token->at, token->size};
}

/* The bytes of a string token without its quotes, escapes replaced, written to `out`, which has
 * room for the token's size. Returns how many. Lexing has checked the string. */
size_t cn_token_unquote(struct cn_bytes string, uint8_t *out);

/* Line and column, from 1, of an offset; columns count bytes. */
void cn_text_place(struct cn_bytes text, uint64_t offset, uint32_t *line, uint32_t *column);

/* ---------------------------------------------------------------- text_number.c */

/* Whether the atom is a number of the text format: integer, float, inf, nan, nan:0x... with a
 * sign or not. */
bool cn_atom_is_number(struct cn_bytes atom);
/* Whether it is an integer, sign allowed. */
bool cn_atom_is_integer(struct cn_bytes atom);
/* An unsigned number; false when it is none or above `max`. */
bool cn_parse_nat(struct cn_bytes atom, uint64_t max, uint64_t *value);
/* An integer of so many bits, signed or unsigned notation; false when out of range or none. */
bool cn_parse_int(struct cn_bytes atom, unsigned bits, uint64_t *value);
/* A float as its bits, rounded to nearest; false when out of range or none. */
bool cn_parse_f32(struct cn_bytes atom, uint32_t *bits);
bool cn_parse_f64(struct cn_bytes atom, uint64_t *bits);

#endif
