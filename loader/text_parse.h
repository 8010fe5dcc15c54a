/* The inside of the text format's parser, shared by its files alone. */
#ifndef CN_LOADER_TEXT_PARSE_H
#define CN_LOADER_TEXT_PARSE_H

#include "core/arena.h"
#include "core/hash.h"
#include "core/types.h"
#include "core/wasm.h"
#include "loader/buffer.h"
#include "loader/text.h"

/* ---------------------------------------------------------------- text_names.c */

/* What an identifier can name. */
enum cn_space {
    CN_SPACE_TYPE,
    CN_SPACE_FUNC,
    CN_SPACE_TABLE,
    CN_SPACE_MEMORY,
    CN_SPACE_GLOBAL,
    CN_SPACE_TAG,
    CN_SPACE_ELEM,
    CN_SPACE_DATA,
    CN_SPACE_FIELD, /* scope: the type */
    CN_SPACE_LOCAL, /* scope: the function */
    CN_SPACE_LABEL, /* value: how many blocks are open inside it and it */
    CN_SPACE_OPERATOR, /* value: its place */
    CN_SPACE_KEYWORD,
};
#define CN_INDEX_SPACES CN_SPACE_FIELD

struct cn_name_entry {
    struct cn_bytes name; /* at == NULL: empty */
    uint64_t space;       /* enum cn_space and scope */
    uint64_t hash;
    uint32_t value;
};

struct cn_names {
    struct cn_allocator allocator;
    struct cn_hash_keys keys;
    struct cn_name_entry *entries;
    uint32_t count, capacity;
    uint32_t before;
};

#define CN_NO_VALUE UINT32_MAX

void cn_names_init(struct cn_names *names, struct cn_allocator allocator);
void cn_names_release(struct cn_names *names);
uint32_t cn_names_find(const struct cn_names *names, enum cn_space space, uint32_t scope,
                       struct cn_bytes name);
/* Gives the name a value and leaves the one that it had in names->before, else CN_NO_VALUE. The
 * name must stay where it is. */
CN_CHECKED enum cn_status cn_names_set(struct cn_names *names, enum cn_space space,
                                       uint32_t scope, struct cn_bytes name, uint32_t value);

/* ---------------------------------------------------------------- the parser */

/* A function type as it will stand in the type section, without the leading 0x60. */
struct cn_text_type {
    struct cn_bytes params;  /* encoded value types, one after another */
    struct cn_bytes results;
    uint32_t param_count, result_count;
    bool is_func;  /* else the rest means nothing */
    bool is_plain; /* final, without supertype, alone in its group: may stand for a type use */
};

/* An open block: what its label is called, and what the name meant before. */
struct cn_text_label {
    struct cn_bytes name;
    uint32_t before;
};

/* Where a custom section stands: before or behind a section, or at an end of the module. */
struct cn_custom_place {
    uint8_t section; /* id, or CN_CUSTOM_EDGE */
    bool is_before;
};
#define CN_CUSTOM_EDGE 255

struct cn_text_custom {
    struct cn_custom_place place;
    struct cn_bytes name, content;
};

/* The token at `text` became what stands at `offset` of a section's content. */
struct cn_text_mark {
    uint32_t offset, text;
    uint8_t section;
};

#define CN_TEXT_SECTIONS 14 /* by section id */

struct cn_parser {
    const struct cn_tokens *tokens;
    uint32_t at; /* the next token */
    struct cn_error *error;
    struct cn_allocator allocator;
    struct cn_arena arena;   /* names, encoded types */
    struct cn_names names;

    /* How many of each there are, and how many have been encoded. */
    uint32_t counts[CN_INDEX_SPACES];
    uint32_t done[CN_INDEX_SPACES];
    const char *first_definition; /* behind which no import may come; or NULL */

    struct cn_text_type *types; /* of the type section, implicit ones at the end */
    uint32_t type_count, type_room;

    /* The sections' contents, and how many entries each has. */
    struct cn_buffer sections[CN_TEXT_SECTIONS];
    uint32_t entries[CN_TEXT_SECTIONS];

    bool names_data;         /* code names data segments: their count must be stated */

    /* Places: what stands where in the content of a section, in order for each of them. */
    struct cn_source_map *map; /* NULL: nobody wants to know */
    struct cn_text_mark *marks;
    uint32_t mark_count, mark_room;
    uint32_t body_marks;       /* the first one of the function at hand */
    uint8_t code_section;      /* that p->code is, or will be, part of; 0: not known */

    /* Annotations: which have been used, of those from number annotations_done on. */
    bool *annotation_used;
    uint32_t annotations_done;
    struct cn_text_custom *customs;
    uint32_t custom_count, custom_room;
    struct cn_bytes module_name;
    struct cn_buffer func_names;   /* pairs of number and name */
    uint32_t func_name_count;
    struct cn_buffer hints;        /* of the function at hand */
    uint32_t hint_count;
    struct cn_buffer hinted_funcs;
    uint32_t hinted_func_count;

    /* The function at hand. */
    struct cn_buffer *code;  /* where instructions go */
    uint32_t scope;          /* of its locals */
    uint32_t local_count;
    struct cn_text_label *labels;
    uint32_t label_count, label_room;
    struct cn_buffer pending; /* encoded operators of folded instructions that are open */
    struct cn_text_open *opens;
    uint32_t open_count, open_room;
};

/* ---------------------------------------------------------------- text_tokens.c */

static inline const struct cn_token *cn_peek(const struct cn_parser *p)
{
    return &p->tokens->tokens[p->at];
}

static inline struct cn_bytes cn_token_at(const struct cn_parser *p, uint32_t at)
{
    return cn_token_text(p->tokens, &p->tokens->tokens[at]);
}

/* Fails at the next token: "unexpected token X". */
CN_CHECKED enum cn_status cn_unexpected(struct cn_parser *p);
/* Fails at token `number` with a text of its own. */
#define cn_text_fail(parser, number, ...)                                                          \
    cn_fail((parser)->error, CN_MALFORMED, (parser)->tokens->tokens[number].at, __VA_ARGS__)
CN_CHECKED enum cn_status cn_text_no_memory(struct cn_parser *p);

bool cn_next_is(const struct cn_parser *p, const char *word);
/* Whether "(word" comes next. */
bool cn_next_opens(const struct cn_parser *p, const char *word);
bool cn_accept(struct cn_parser *p, const char *word);
bool cn_accept_open(struct cn_parser *p, const char *word); /* both tokens */
CN_CHECKED enum cn_status cn_expect(struct cn_parser *p, const char *word);
CN_CHECKED enum cn_status cn_expect_kind(struct cn_parser *p, enum cn_token_kind kind);
static inline enum cn_status cn_expect_close(struct cn_parser *p)
{
    return cn_expect_kind(p, CN_TOKEN_CLOSE);
}
/* Moves behind the parenthesis that closes the one that was opened last. */
CN_CHECKED enum cn_status cn_skip_to_close(struct cn_parser *p);

/* The identifier that comes next as its name, or an empty name. */
CN_CHECKED enum cn_status cn_take_id(struct cn_parser *p, struct cn_bytes *name);
/* A string's bytes; `utf8` requires that they are a name. */
CN_CHECKED enum cn_status cn_take_string(struct cn_parser *p, bool utf8, struct cn_bytes *bytes);
CN_CHECKED enum cn_status cn_take_u32(struct cn_parser *p, uint32_t *value);
/* A number or an identifier of the space. */
CN_CHECKED enum cn_status cn_take_index(struct cn_parser *p, enum cn_space space, uint32_t scope,
                                        uint32_t *index);
static inline bool cn_next_is_index(const struct cn_parser *p)
{
    return cn_peek(p)->kind == CN_TOKEN_NUMBER || cn_peek(p)->kind == CN_TOKEN_ID;
}
/* Gives a name, unless it is empty, to number `value`: "duplicate WHAT" when it has another. */
CN_CHECKED enum cn_status cn_bind(struct cn_parser *p, enum cn_space space, uint32_t scope,
                                  struct cn_bytes name, uint32_t value);
/* "func", "table"...: what messages call a space. */
const char *cn_space_name(enum cn_space space);
/* Room for one more element of an array. */
CN_CHECKED enum cn_status cn_text_room(struct cn_parser *p, void *array, uint32_t count,
                                       uint32_t *room, size_t size);

/* ---------------------------------------------------------------- text_types.c */

bool cn_next_is_reftype(const struct cn_parser *p);
CN_CHECKED enum cn_status cn_text_valtype(struct cn_parser *p, struct cn_buffer *out);
/* A reference type, whose nullability and encoded heap type are also wanted apart. */
CN_CHECKED enum cn_status cn_text_reftype(struct cn_parser *p, struct cn_buffer *out);
CN_CHECKED enum cn_status cn_text_reftype_parts(struct cn_parser *p, bool *nullable,
                                                struct cn_buffer *heap);
CN_CHECKED enum cn_status cn_text_heaptype(struct cn_parser *p, struct cn_buffer *out);
/* The type section: all type definitions of the module, found by their places. */
CN_CHECKED enum cn_status cn_text_type_field(struct cn_parser *p);
CN_CHECKED enum cn_status cn_text_rec_field(struct cn_parser *p);
/* Scopes of parameters' names that are no function's: names are refused, or mean nothing. */
#define CN_SCOPE_NONE UINT32_MAX
#define CN_SCOPE_IGNORED (UINT32_MAX - 1)
/* (param ...)* (result ...)* as encoded lists; parameters' names are bound in `scope`. */
CN_CHECKED enum cn_status cn_text_signature(struct cn_parser *p, uint32_t scope,
                                            struct cn_text_type *type);
/* (type x)? and a signature: the index of the type, made where there is none yet. */
CN_CHECKED enum cn_status cn_text_type_use(struct cn_parser *p, uint32_t scope, uint32_t *index);
/* The index of a function type that is equal, made where there is none yet. */
CN_CHECKED enum cn_status cn_text_implicit_type(struct cn_parser *p,
                                                const struct cn_text_type *type,
                                                uint32_t *index);
CN_CHECKED enum cn_status cn_text_global_type(struct cn_parser *p, struct cn_buffer *out);
/* Address type, limits, shared, page size: a memory's type. */
CN_CHECKED enum cn_status cn_text_memory_type(struct cn_parser *p, struct cn_buffer *out);
/* (pagesize N): its binary logarithm, which stays as it was where there is none. */
CN_CHECKED enum cn_status cn_text_page_size(struct cn_parser *p, uint32_t *log2);
/* "i32", "i64" or nothing. */
CN_CHECKED enum cn_status cn_text_address_type(struct cn_parser *p, bool *is_64);
CN_CHECKED enum cn_status cn_text_table_type(struct cn_parser *p, struct cn_buffer *out);
/* Limits that a segment inside the definition gives. */
void cn_text_put_limits(struct cn_buffer *out, uint8_t flags, uint64_t min, uint64_t max);

/* ---------------------------------------------------------------- text_code.c */

/* Instructions up to a closing parenthesis, which stays; then the operator end. */
CN_CHECKED enum cn_status cn_text_expression(struct cn_parser *p, struct cn_buffer *out);
/* One folded instruction and the operator end. */
CN_CHECKED enum cn_status cn_text_folded_expression(struct cn_parser *p, struct cn_buffer *out);
void cn_text_release_opens(struct cn_parser *p);

/* text_immediates.c: what follows an operator, encoded; the operator's own bytes too where they
 * depend on it. */
CN_CHECKED enum cn_status cn_text_operator(struct cn_parser *p, uint32_t place,
                                           struct cn_buffer *out);
CN_CHECKED enum cn_status cn_text_block_type(struct cn_parser *p, struct cn_buffer *out);
CN_CHECKED enum cn_status cn_text_clauses(struct cn_parser *p, struct cn_buffer *out);
void cn_text_put_operator(struct cn_buffer *out, uint32_t op);
CN_CHECKED enum cn_status cn_text_label(struct cn_parser *p, uint32_t *depth);

/* ---------------------------------------------------------------- text_marks.c */

/* What comes next in p->code was made from token `at`. */
CN_CHECKED enum cn_status cn_mark(struct cn_parser *p, uint32_t at);
/* The same of the section's own content. */
CN_CHECKED enum cn_status cn_mark_entry(struct cn_parser *p, uint8_t section, uint32_t at);
/* The marks of the function at hand move by `distance`: its body got its place. */
void cn_move_body_marks(struct cn_parser *p, uint32_t distance);
/* The section's content begins at `offset` of the binary: its marks go to the map. */
CN_CHECKED enum cn_status cn_map_section(struct cn_parser *p, uint8_t section, uint32_t offset);

/* ---------------------------------------------------------------- text_annotations.c */

CN_CHECKED enum cn_status cn_annotations_begin(struct cn_parser *p);
/* Every annotation up to the next token must have been used. */
CN_CHECKED enum cn_status cn_annotations_end(struct cn_parser *p);
/* The unused annotation of that id that stands before token `at`, or NULL. */
const struct cn_annotation *cn_take_annotation(struct cn_parser *p, uint32_t at, const char *id);
/* Custom sections before the next token, which is a field or the module's end. */
CN_CHECKED enum cn_status cn_take_customs(struct cn_parser *p);
void cn_put_customs(const struct cn_parser *p, uint8_t section, bool before,
                    struct cn_buffer *out);
/* (@name ...) before the next token; an empty name for none. */
CN_CHECKED enum cn_status cn_take_name(struct cn_parser *p, struct cn_bytes *name);
CN_CHECKED enum cn_status cn_take_module_name(struct cn_parser *p);
/* The function's name: that of an annotation at the next token, else its identifier. */
CN_CHECKED enum cn_status cn_name_func(struct cn_parser *p, uint32_t index, struct cn_bytes id);
void cn_put_names(const struct cn_parser *p, struct cn_buffer *out);

#define CN_NO_HINT 255
/* The branch hint before token `at`, where the operator `op` stands. */
CN_CHECKED enum cn_status cn_take_hint(struct cn_parser *p, uint32_t at, uint32_t op,
                                       uint8_t *hint);
/* It is for what comes next in p->code. */
void cn_note_hint(struct cn_parser *p, uint8_t hint);
/* The function is complete. */
void cn_end_hints(struct cn_parser *p, uint32_t func);
void cn_put_hints(const struct cn_parser *p, struct cn_buffer *out);

/* ---------------------------------------------------------------- text_segments.c */

CN_CHECKED enum cn_status cn_text_elem_field(struct cn_parser *p);
CN_CHECKED enum cn_status cn_text_data_field(struct cn_parser *p);
/* The elements, or strings, inside a table's or memory's definition; how many, or their size. */
CN_CHECKED enum cn_status cn_text_inline_elems(struct cn_parser *p, uint32_t table, bool is_64,
                                               struct cn_bytes reftype, uint32_t *count);
CN_CHECKED enum cn_status cn_text_strings(struct cn_parser *p, struct cn_buffer *out);

#endif
