/* Instructions in the text format. The code has been validated: it can be read without looking
 * for its end. */
#include <inttypes.h>

#include "loader/decode.h"
#include "loader/print_inside.h"

/* Reading what cannot fail. */
static uint32_t take_u32(struct cn_printer *p)
{
    uint32_t value = 0;

    return cn_read_u32(&p->code, &value) == CN_OK ? value : 0;
}

static uint64_t take_u64(struct cn_printer *p)
{
    uint64_t value = 0;

    return cn_read_u64(&p->code, &value) == CN_OK ? value : 0;
}

static uint8_t take_u8(struct cn_printer *p)
{
    uint8_t value = 0;

    return cn_read_u8(&p->code, &value) == CN_OK ? value : 0;
}

static void say_numbers(struct cn_printer *p, int count)
{
    while (count-- > 0)
        cn_say(p, " %u", take_u32(p));
}

static void say_two_swapped(struct cn_printer *p)
{
    uint32_t first = take_u32(p), second = take_u32(p);

    cn_say(p, " %u %u", second, first);
}

/* ---------------------------------------------------------------- immediates */

static void say_type_use(struct cn_printer *p, uint32_t type)
{
    cn_say(p, " (type %u)", type);
}

static void say_block_type(struct cn_printer *p)
{
    cn_valtype type;

    if (*p->code.at == 0x40) {
        p->code.at++;
    } else if ((*p->code.at & 0xc0) == 0x40) {
        if (cn_read_valtype(p->module, &p->code, &type) != CN_OK)
            return;
        cn_say(p, " (result ");
        cn_say_valtype(p, type);
        cn_say(p, ")");
    } else {
        say_type_use(p, take_u32(p));
    }
}

static void say_clauses(struct cn_printer *p)
{
    static const char *const kinds[] = {"catch", "catch_ref", "catch_all", "catch_all_ref"};

    for (uint32_t count = take_u32(p); count > 0; count--) {
        uint8_t kind = take_u8(p) & 3;
        cn_say(p, " (%s", kinds[kind]);
        say_numbers(p, kind < 2 ? 2 : 1);
        cn_say(p, ")");
    }
}

static void say_labels(struct cn_printer *p)
{
    for (uint32_t count = take_u32(p) + 1; count > 0; count--)
        cn_say(p, " %u", take_u32(p));
}

static void say_types(struct cn_printer *p)
{
    cn_valtype type;

    cn_say(p, " (result");
    for (uint32_t count = take_u32(p); count > 0; count--) {
        if (cn_read_valtype(p->module, &p->code, &type) != CN_OK)
            break;
        cn_say(p, " ");
        cn_say_valtype(p, type);
    }
    cn_say(p, ")");
}

static void say_memarg(struct cn_printer *p, const struct cn_wasm_info *info)
{
    enum { HAS_MEMORY = 64 };
    uint32_t flags = take_u32(p);

    if (flags & HAS_MEMORY)
        cn_say(p, " %u", take_u32(p));
    uint64_t offset = take_u64(p);
    if (offset != 0)
        cn_say(p, " offset=%" PRIu64, offset);
    if ((flags & (HAS_MEMORY - 1)) != cn_wasm_alignment(info))
        cn_say(p, " align=%" PRIu64, (uint64_t)1 << (flags & (HAS_MEMORY - 1)));
}

static void say_ref(struct cn_printer *p, bool nullable)
{
    cn_valtype type;

    if (cn_read_heaptype(p->module, &p->code, nullable, &type) != CN_OK)
        return;
    cn_say(p, nullable ? " (ref null " : " (ref ");
    cn_say_heaptype(p, type);
    cn_say(p, ")");
}

static void say_heaptype(struct cn_printer *p, uint32_t op)
{
    cn_valtype type;

    if (op == CN_WASM_REF_NULL) {
        if (cn_read_heaptype(p->module, &p->code, true, &type) != CN_OK)
            return;
        cn_say(p, " ");
        cn_say_heaptype(p, type);
        return;
    }
    say_ref(p, op == CN_WASM_REF_TEST_NULL || op == CN_WASM_REF_CAST_NULL);
}

static void say_cast(struct cn_printer *p)
{
    uint8_t flags = take_u8(p);

    cn_say(p, " %u", take_u32(p));
    say_ref(p, flags & 1);
    say_ref(p, flags & 2);
}

static void say_vector(struct cn_printer *p)
{
    cn_say(p, " i32x4");
    for (int i = 0; i < 4; i++, p->code.at += 4)
        cn_say(p, " 0x%08" PRIx32, cn_load_u32(p->code.at));
}

static void say_constant(struct cn_printer *p, uint8_t immediate)
{
    uint32_t bits;
    uint64_t wide;

    switch (immediate) {
    case CN_IMM_I32:
        if (cn_read_s32(&p->code, (int32_t *)&bits) == CN_OK)
            cn_say(p, " %" PRId32, (int32_t)bits);
        return;
    case CN_IMM_I64:
        if (cn_read_s64(&p->code, (int64_t *)&wide) == CN_OK)
            cn_say(p, " %" PRId64, (int64_t)wide);
        return;
    case CN_IMM_F32:
        cn_say(p, " ");
        if (cn_read_f32(&p->code, &bits) == CN_OK)
            cn_say_f32(p, bits);
        return;
    default:
        cn_say(p, " ");
        if (cn_read_f64(&p->code, &wide) == CN_OK)
            cn_say_f64(p, wide);
        return;
    }
}

static void say_indirect(struct cn_printer *p)
{
    uint32_t type = take_u32(p), table = take_u32(p);

    if (table != 0)
        cn_say(p, " %u", table);
    say_type_use(p, type);
}

/* One number or two as they stand, or nothing of the kind. */
static bool say_plain_numbers(struct cn_printer *p, uint8_t immediate)
{
    switch (immediate) {
    case CN_IMM_LABEL:
    case CN_IMM_LOCAL:
    case CN_IMM_GLOBAL:
    case CN_IMM_TABLE:
    case CN_IMM_TAG:
    case CN_IMM_TYPE:
    case CN_IMM_MEMORY:
    case CN_IMM_DATA:
    case CN_IMM_ELEM:
        say_numbers(p, 1);
        return true;
    case CN_IMM_TYPE_FIELD:
    case CN_IMM_TYPE_COUNT:
    case CN_IMM_TYPE_DATA:
    case CN_IMM_TYPE_ELEM:
    case CN_IMM_TYPE_TYPE:
    case CN_IMM_MEMORY_MEMORY:
    case CN_IMM_TABLE_TABLE:
        say_numbers(p, 2);
        return true;
    default:
        return false;
    }
}

static void say_immediates(struct cn_printer *p, const struct cn_wasm_info *info)
{
    if (say_plain_numbers(p, info->immediate))
        return;
    switch ((enum cn_wasm_immediate)info->immediate) {
    case CN_IMM_BLOCK:
        say_block_type(p);
        break;
    case CN_IMM_TRY_TABLE:
        say_block_type(p);
        say_clauses(p);
        break;
    case CN_IMM_LABELS:
        say_labels(p);
        break;
    case CN_IMM_FUNC:
        cn_say_func(p, take_u32(p));
        break;
    case CN_IMM_TYPE_TABLE:
        say_indirect(p);
        break;
    case CN_IMM_TYPES:
        say_types(p);
        break;
    case CN_IMM_MEMARG:
        say_memarg(p, info);
        break;
    case CN_IMM_MEMARG_LANE:
        say_memarg(p, info);
        cn_say(p, " %u", take_u8(p));
        break;
    case CN_IMM_V128:
        say_vector(p);
        break;
    case CN_IMM_LANE:
        cn_say(p, " %u", take_u8(p));
        break;
    case CN_IMM_LANES:
        for (int i = 0; i < 16; i++)
            cn_say(p, " %u", take_u8(p));
        break;
    case CN_IMM_HEAPTYPE:
        say_heaptype(p, info->op);
        break;
    case CN_IMM_CAST:
        say_cast(p);
        break;
    case CN_IMM_DATA_MEMORY:
    case CN_IMM_ELEM_TABLE:
        say_two_swapped(p);
        break;
    case CN_IMM_FENCE:
        take_u8(p);
        break;
    case CN_IMM_I32:
    case CN_IMM_I64:
    case CN_IMM_F32:
    case CN_IMM_F64:
        say_constant(p, info->immediate);
        break;
    default:
        break;
    }
}

/* ---------------------------------------------------------------- instructions */

static const struct cn_wasm_info *take_operator(struct cn_printer *p)
{
    uint8_t byte = take_u8(p);

    if (byte < 0xfb || byte > 0xfe)
        return &cn_wasm_infos[byte];
    return &cn_wasm_infos[cn_wasm_place(byte, take_u32(p))];
}

static bool opens(uint32_t op)
{
    return op == CN_WASM_BLOCK || op == CN_WASM_LOOP || op == CN_WASM_IF || op == CN_WASM_TRY ||
           op == CN_WASM_TRY_TABLE;
}

static bool goes_on(uint32_t op)
{
    return op == CN_WASM_ELSE || op == CN_WASM_CATCH || op == CN_WASM_CATCH_ALL;
}

/* A memory access that names memory 0 by its number, and the like, would read back otherwise
 * without changing anything; so would an else of nothing. */
void cn_print_body(struct cn_printer *p, struct cn_bytes code, uint32_t depth)
{
    uint32_t base = depth;

    p->code = cn_reader_of(code, p->module->file, NULL);
    for (;;) {
        const struct cn_wasm_info *info = take_operator(p);
        bool closes = info->op == CN_WASM_END || info->op == CN_WASM_DELEGATE;
        if (closes && depth == base)
            return;
        if (closes)
            depth--;
        cn_new_line(p, goes_on(info->op) ? depth - 1 : depth);
        cn_say(p, "%s", info->text);
        say_immediates(p, info);
        if (opens(info->op))
            depth++;
        if (p->code.at >= p->code.end)
            return;
    }
}

/* Plain instructions one behind another are fine where an expression is expected. */
void cn_print_constant(struct cn_printer *p, struct cn_constexpr expression)
{
    p->code = cn_reader_of(expression.code, p->module->file, NULL);
    for (;;) {
        const struct cn_wasm_info *info = take_operator(p);
        if (info->op == CN_WASM_END)
            return;
        cn_say(p, " %s", info->text);
        say_immediates(p, info);
        if (p->code.at >= p->code.end)
            return;
    }
}
