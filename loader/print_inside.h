/* The printer's inside, shared by its files alone. */
#ifndef CN_LOADER_PRINT_INSIDE_H
#define CN_LOADER_PRINT_INSIDE_H

#include "core/module.h"
#include "loader/buffer.h"
#include "loader/reader.h"
#include "loader/text_parse.h"

struct cn_printer {
    const struct cn_module *module;
    struct cn_buffer *out;
    struct cn_names names;  /* functions whose name is theirs alone */
    struct cn_reader code;  /* of the body or expression at hand */
    const struct cn_deftype *group; /* first type of the group at hand, or NULL */
};

/* ---------------------------------------------------------------- print_words.c */

void cn_say(struct cn_printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* On a new line, `depth` levels in. */
void cn_new_line(struct cn_printer *p, uint32_t depth);
void cn_say_string(struct cn_printer *p, struct cn_bytes bytes);
/* " $name" or " 7". */
void cn_say_func(struct cn_printer *p, uint32_t func);
void cn_say_valtype(struct cn_printer *p, cn_valtype type);
void cn_say_heaptype(struct cn_printer *p, cn_valtype type);
void cn_say_signature(struct cn_printer *p, const struct cn_functype *type);
void cn_say_f32(struct cn_printer *p, uint32_t bits);
void cn_say_f64(struct cn_printer *p, uint64_t bits);

/* ---------------------------------------------------------------- print_code.c */

/* Instructions of a body, one on a line. */
void cn_print_body(struct cn_printer *p, struct cn_bytes code, uint32_t depth);
/* Those of a constant expression, in parentheses one behind another. */
void cn_print_constant(struct cn_printer *p, struct cn_constexpr expression);

#endif
