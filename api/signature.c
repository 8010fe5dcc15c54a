#include "api/signature.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    cn_valtype type;   /* of a number */
    uint32_t slots;    /* that a place takes, of i32 */
    bool is_number;
} words[CN_SIGN_WORDS] = {
    [CN_SIGN_NONE] = {"void", 0, 0, false},
#define NUMBER(name, text, type, c) [CN_SIGN_##name] = {text, type, 1, true},
#define PLACE(name, text, count, c, meaning) [CN_SIGN_##name] = {text, 0, count, false},
#define LETTER(...)
#include "spec/signature.def"
#undef NUMBER
#undef PLACE
#undef LETTER
    [CN_SIGN_V128] = {"v128", CN_V128, 1, true},
};

enum dialect { CORDON, WAMR, WASM3 };

static const struct {
    enum dialect dialect;
    char letter;
    enum cn_sign_word word;
} letters[] = {
#define NUMBER(...)
#define PLACE(...)
#define LETTER(dialect, letter, name) {dialect, letter, CN_SIGN_##name},
#include "spec/signature.def"
#undef NUMBER
#undef PLACE
#undef LETTER
};

bool cn_sign_is_number(enum cn_sign_word word)
{
    return words[word].is_number;
}

cn_valtype cn_sign_valtype(enum cn_sign_word word)
{
    return words[word].type;
}

const char *cn_sign_name(enum cn_sign_word word)
{
    return words[word].name;
}

uint32_t cn_sign_slots(enum cn_sign_word word)
{
    return words[word].slots;
}

/* ------------------------------------------------------------------ words */

/* What is being read: where, and the types of the guest's parameters so far. */
struct parser {
    struct cn_arena *arena;
    const char *at;
    struct cn_sign *sign;
    cn_valtype types[CN_SIGN_MAX + 1];
    uint32_t params;
};

static void skip_blanks(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t");
}

static bool take(struct parser *parser, const char *token)
{
    size_t size = strlen(token);

    skip_blanks(parser);
    if (strncmp(parser->at, token, size) != 0)
        return false;
    parser->at += size;
    skip_blanks(parser);
    return true;
}

/* A word of the table that stands here whole; CN_SIGN_WORDS when there is none. */
static enum cn_sign_word take_word(struct parser *parser)
{
    skip_blanks(parser);
    size_t size = strspn(parser->at, "abcdefghijklmnopqrstuvwxyz0123456789");
    for (int word = CN_SIGN_NONE; word < CN_SIGN_WORDS; word++)
        if (strlen(words[word].name) == size && memcmp(parser->at, words[word].name, size) == 0) {
            parser->at += size;
            skip_blanks(parser);
            return (enum cn_sign_word)word;
        }
    return CN_SIGN_WORDS;
}

/* The N of ptr<N>. */
static bool take_size(struct parser *parser, uint32_t *size)
{
    char *end;

    if (!take(parser, "<") || *parser->at < '0' || *parser->at > '9')
        return false;
    unsigned long value = strtoul(parser->at, &end, 10);
    parser->at = end;
    *size = (uint32_t)value;
    return value > 0 && value <= INT32_MAX && take(parser, ">");
}

/* Takes note of a parameter, and of the guest's that stand for it. */
static bool add(struct parser *parser, struct cn_sign_part part)
{
    uint32_t slots = part.is_pointer ? 1 : words[part.word].slots;
    bool is_number = words[part.word].is_number && !part.is_pointer;
    struct cn_sign *sign = parser->sign;

    if (sign->count == CN_SIGN_MAX || parser->params + slots > CN_SIGN_MAX)
        return false;
    sign->parts[sign->count++] = part;
    for (uint32_t i = 0; i < slots; i++)
        parser->types[parser->params++] = is_number ? words[part.word].type : CN_I32;
    return true;
}

uint32_t cn_sign_slot_size(enum cn_sign_word word)
{
    return words[word].type == CN_I32 || words[word].type == CN_F32 ? 4 : 8;
}

bool cn_sign_is_outward(const struct cn_sign *sign)
{
    bool is_outward = sign->result != CN_SIGN_V128;

    for (uint32_t i = 0; i < sign->count; i++) {
        enum cn_sign_word word = sign->parts[i].word;
        is_outward = is_outward && word != CN_SIGN_V128 &&
                     (words[word].is_number || word == CN_SIGN_PTR || word == CN_SIGN_BUF);
    }
    return is_outward;
}

/* The signature's type in WebAssembly; false when memory is exhausted. */
static bool set_type(struct parser *parser)
{
    uint32_t results = parser->sign->result != CN_SIGN_NONE, count = parser->params + results;
    cn_valtype *kept = cn_arena_array(parser->arena, count, sizeof *kept);
    struct cn_functype *type = cn_arena_alloc(parser->arena, sizeof *type);

    if (kept == NULL || type == NULL)
        return false;
    if (results > 0)
        parser->types[parser->params] = words[parser->sign->result].type;
    memcpy(kept, parser->types, count * sizeof *kept);
    *type = cn_functype_of(parser->params, results, kept);
    parser->sign->type = type;
    return true;
}

static bool parse_own(struct parser *parser);

/* The signature of fn<...>: what a guest's function takes of C. */
static bool take_inner(struct parser *parser, struct cn_sign_part *part)
{
    struct cn_sign *sign = cn_arena_alloc(parser->arena, sizeof *sign);

    if (sign == NULL || !take(parser, "<"))
        return false;
    struct parser inner = {.arena = parser->arena, .at = parser->at, .sign = sign};
    bool is_sound = parse_own(&inner) && set_type(&inner) && cn_sign_is_outward(sign);
    parser->at = inner.at;
    part->inner = sign;
    return is_sound && take(parser, ">");
}

static bool take_part(struct parser *parser)
{
    struct cn_sign_part part = {.is_pointer = take(parser, "*")};
    const char *at = parser->at;

    part.word = take_word(parser);
    bool is_sound = part.word != CN_SIGN_WORDS && part.word != CN_SIGN_NONE;
    if (part.is_pointer) {
        is_sound = is_sound && words[part.word].is_number && part.word != CN_SIGN_V128;
        part.size = is_sound ? cn_sign_slot_size(part.word) : 0;
    }
    if (!is_sound) {
        parser->at = at;
        return false;
    }
    if (part.word == CN_SIGN_PTR && !take_size(parser, &part.size))
        return false;
    if (part.word == CN_SIGN_FN && !take_inner(parser, &part))
        return false;
    return add(parser, part);
}

/* ------------------------------------------------------------------ the three ways to write one */

/* "f64(f64, f64)". */
static bool parse_own(struct parser *parser)
{
    enum cn_sign_word result = take_word(parser);

    if (result != CN_SIGN_NONE && (result == CN_SIGN_WORDS || !words[result].is_number))
        return false;
    parser->sign->result = result;
    if (!take(parser, "("))
        return false;
    const char *first = parser->at;
    if (take(parser, ")"))
        return true;
    if (take_word(parser) == CN_SIGN_NONE)
        return take(parser, ")");
    parser->at = first;
    do
        if (!take_part(parser))
            return false;
    while (take(parser, ","));
    return take(parser, ")");
}

static enum cn_sign_word word_of(enum dialect dialect, char letter)
{
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (letters[i].dialect == dialect && letters[i].letter == letter)
            return letters[i].word;
    return CN_SIGN_WORDS;
}

static bool take_letter_result(struct parser *parser, enum dialect dialect)
{
    enum cn_sign_word word = word_of(dialect, *parser->at);

    if (word == CN_SIGN_WORDS || !words[word].is_number)
        return false;
    parser->sign->result = word;
    parser->at++;
    return true;
}

/* The letters between parentheses. */
static bool take_letters(struct parser *parser, enum dialect dialect)
{
    if (!take(parser, "("))
        return false;
    while (!take(parser, ")")) {
        struct cn_sign_part part = {.word = word_of(dialect, *parser->at), .size = 1};
        if (part.word == CN_SIGN_WORDS)
            return false;
        parser->at++;
        if (dialect == WAMR && part.word == CN_SIGN_PTR && take(parser, "~"))
            part.word = CN_SIGN_BUF;
        if (!add(parser, part))
            return false;
        skip_blanks(parser);
    }
    return true;
}

static bool parse_wamr(struct parser *parser)
{
    if (!add(parser, (struct cn_sign_part){.word = CN_SIGN_VM}) || !take_letters(parser, WAMR))
        return false;
    return *parser->at == '\0' || take_letter_result(parser, WAMR);
}

static bool parse_wasm3(struct parser *parser)
{
    if (*parser->at == 'v')
        parser->at++;
    else if (!take_letter_result(parser, WASM3))
        return false;
    return take_letters(parser, WASM3);
}

/* They cannot be taken for one another: ours begins with a word, WAMR's with a parenthesis, and
 * wasm3's with one letter before it. */
static enum dialect dialect_of(const char *text)
{
    if (*text == '(')
        return WAMR;
    if (*text != '\0' && text[1 + strspn(text + 1, " \t")] == '(')
        return WASM3;
    return CORDON;
}

static bool parse(struct parser *parser)
{
    skip_blanks(parser);
    switch (dialect_of(parser->at)) {
    case WAMR:
        return parse_wamr(parser) && *parser->at == '\0';
    case WASM3:
        return parse_wasm3(parser) && *parser->at == '\0';
    default:
        return parse_own(parser) && *parser->at == '\0';
    }
}

bool cn_sign_parse(struct cn_arena *arena, const char *text, struct cn_sign *sign,
                   cordon_error_t *error)
{
    struct parser parser = {.arena = arena, .at = text, .sign = sign};

    *sign = (struct cn_sign){.result = CN_SIGN_NONE};
    if (!parse(&parser))
        return cn_api_fail(error, CORDON_MISUSE,
                           "signature \"%s\": expected a type at \"%s\", as in "
                           "\"f64(i32, f64)\" (i32 u32 i64 u64 f32 f64 and pointers to them as "
                           "*i32, buf str text ptr<N> fn<...> vm user, void)", text, parser.at);
    return set_type(&parser) || cn_api_fail(error, CORDON_QUOTA, "no memory left");
}
