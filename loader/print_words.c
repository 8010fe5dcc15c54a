/* Words, names, numbers and types in the text format. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "loader/print_inside.h"

/* Deeper blocks are not set further in: a line must not be longer than its content. */
#define INDENT_MAX 16

void cn_say(struct cn_printer *p, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        cn_put(p->out, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void cn_new_line(struct cn_printer *p, uint32_t depth)
{
    cn_put_byte(p->out, '\n');
    for (uint32_t i = 0; i < depth && i < INDENT_MAX; i++)
        cn_put(p->out, "  ", 2);
}

void cn_say_string(struct cn_printer *p, struct cn_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";

    cn_put_byte(p->out, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.at[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            cn_put_byte(p->out, c);
            continue;
        }
        const uint8_t escape[] = {'\\', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
        cn_put(p->out, escape, sizeof escape);
    }
    cn_put_byte(p->out, '"');
}

static bool is_plain_id(struct cn_bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.at[i] <= ' ' || name.at[i] >= 0x7f || strchr("\"(),;[]{}", name.at[i]) != NULL)
            return false;
    return name.size > 0;
}

void cn_say_func(struct cn_printer *p, uint32_t func)
{
    struct cn_bytes name = cn_module_given_name(p->module, func);

    if (name.size == 0 || cn_names_find(&p->names, CN_SPACE_FUNC, 0, name) != func) {
        cn_say(p, " %u", func);
        return;
    }
    cn_say(p, " $");
    if (is_plain_id(name))
        cn_put(p->out, name.at, name.size);
    else
        cn_say_string(p, name);
}

/* ---------------------------------------------------------------- types */

/* Inside a group that is equal to an earlier one, references to its own members are to stay that:
 * else it would be another group. */
static cn_valtype as_written(const struct cn_printer *p, cn_valtype type)
{
    const struct cn_deftype *group = p->group;

    if (group == NULL || !cn_valtype_is_ref(type) || !cn_ref_is_defined(type))
        return type;
    uint32_t distance = cn_ref_heap(type) - group->canonical;
    return distance < group->group_size ? (type & ~CN_REF_HEAP_MASK) | (group->group + distance)
                                        : type;
}

void cn_say_heaptype(struct cn_printer *p, cn_valtype type)
{
    if (cn_ref_is_defined(type))
        cn_say(p, "%u", cn_ref_heap(type));
    else
        cn_say(p, "%s", cn_heap_name(cn_ref_heap(type)));
}

void cn_say_valtype(struct cn_printer *p, cn_valtype type)
{
    char text[40];

    cn_say(p, "%s", cn_valtype_print(as_written(p, type), text, sizeof text));
}

static void say_list(struct cn_printer *p, const char *word, const cn_valtype *types,
                     uint32_t count)
{
    if (count == 0)
        return;
    cn_say(p, " (%s", word);
    for (uint32_t i = 0; i < count; i++) {
        cn_say(p, " ");
        cn_say_valtype(p, types[i]);
    }
    cn_say(p, ")");
}

void cn_say_signature(struct cn_printer *p, const struct cn_functype *type)
{
    say_list(p, "param", cn_functype_params(type), type->param_count);
    say_list(p, "result", cn_functype_results(type), type->result_count);
}

/* ---------------------------------------------------------------- floats */

void cn_say_f32(struct cn_printer *p, uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    if (value != value)
        cn_say(p, "%snan:0x%" PRIx32, bits >> 31 ? "-" : "", bits & 0x7fffff);
    else
        cn_say(p, "%.9g", (double)value);
}

void cn_say_f64(struct cn_printer *p, uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    if (value != value)
        cn_say(p, "%snan:0x%" PRIx64, bits >> 63 ? "-" : "", bits & 0xfffffffffffffu);
    else
        cn_say(p, "%.17g", value);
}
