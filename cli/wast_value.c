/* Values in scripts: constants, patterns of results, references of the host. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/wast.h"
#include "vm/heap.h"
#include "vm/types.h"

/* A value of the host in a slot: see "References" in spec/bytecode.md. */
#define HOST_SHIFT 2

static const struct cn_token *peek(const struct wast_cursor *cursor)
{
    return &cursor->tokens->tokens[cursor->at];
}

static struct cn_bytes text_at(const struct wast_cursor *cursor)
{
    return cn_token_text(cursor->tokens, peek(cursor));
}

static bool next_is(const struct wast_cursor *cursor, const char *word)
{
    return cn_bytes_equal(text_at(cursor), cn_bytes_of(word));
}

static bool accept(struct wast_cursor *cursor, const char *word)
{
    bool is_it = next_is(cursor, word);

    cursor->at += is_it;
    return is_it;
}

/* ---------------------------------------------------------------- numbers */

/* A float of so many bits, or one of the two NaN patterns. */
static bool take_float(struct wast_cursor *cursor, unsigned bits, uint64_t *value, uint8_t *nan)
{
    uint32_t narrow = 0;
    bool ok;

    *nan = accept(cursor, "nan:canonical") ? 1 : accept(cursor, "nan:arithmetic") ? 2 : 0;
    if (*nan != 0)
        return true;
    if (bits == 64) {
        ok = cn_parse_f64(text_at(cursor), value);
    } else {
        ok = cn_parse_f32(text_at(cursor), &narrow);
        *value = narrow;
    }
    cursor->at += ok;
    return ok;
}

static bool take_int(struct wast_cursor *cursor, unsigned bits, uint64_t *value)
{
    bool ok = cn_parse_int(text_at(cursor), bits, value);

    cursor->at += ok;
    return ok;
}

static bool take_number(struct wast_cursor *cursor, struct wast_value *value)
{
    bool wide = value->type == CN_I64 || value->type == CN_F64;

    if (value->type == CN_I32 || value->type == CN_I64)
        return take_int(cursor, wide ? 64 : 32, value->bits);
    if (!take_float(cursor, wide ? 64 : 32, value->bits, value->nans))
        return false;
    value->kind = value->nans[0] ? WAST_NAN : WAST_NUMBER;
    return true;
}

static bool take_vector(struct wast_cursor *cursor, struct wast_value *value)
{
    static const struct {
        const char *name;
        unsigned bits;
        bool is_float;
    } shapes[] = {{"i8x16", 8, false},  {"i16x8", 16, false}, {"i32x4", 32, false},
                  {"i64x2", 64, false}, {"f32x4", 32, true},  {"f64x2", 64, true}};
    size_t i = 0;

    while (i < 6 && !accept(cursor, shapes[i].name))
        i++;
    if (i == 6)
        return false;
    value->kind = WAST_VECTOR;
    value->lane_bits = shapes[i].is_float ? (uint8_t)shapes[i].bits : 0;
    for (unsigned lane = 0; lane < 128 / shapes[i].bits; lane++) {
        uint64_t bits = 0;
        if (shapes[i].is_float ? !take_float(cursor, shapes[i].bits, &bits, &value->nans[lane])
                               : !take_int(cursor, shapes[i].bits, &bits))
            return false;
        memcpy((uint8_t *)value->bits + lane * shapes[i].bits / 8, &bits, shapes[i].bits / 8);
    }
    return true;
}

/* ---------------------------------------------------------------- references */

static const struct {
    const char *name;
    uint8_t ref, code;
} refs[] = {{"ref.func", WAST_REF_FUNC, CN_HEAP_FUNC},
            {"ref.extern", WAST_REF_EXTERN, CN_HEAP_EXTERN},
            {"ref.host", WAST_REF_ANY, CN_HEAP_ANY},
            {"ref.any", WAST_REF_ANY, CN_HEAP_ANY},
            {"ref.eq", WAST_REF_EQ, CN_HEAP_ANY},
            {"ref.i31", WAST_REF_I31, CN_HEAP_ANY},
            {"ref.struct", WAST_REF_STRUCT, CN_HEAP_ANY},
            {"ref.array", WAST_REF_ARRAY, CN_HEAP_ANY},
            {"ref.exn", WAST_REF_EXN, CN_HEAP_EXN}};

#define REF_COUNT (sizeof refs / sizeof refs[0])

static uint8_t refs_code(uint8_t ref)
{
    size_t i = 0;

    while (refs[i].ref != ref)
        i++;
    return refs[i].code;
}

static bool take_null(struct wast_cursor *cursor, struct wast_value *value)
{
    value->kind = WAST_NULL;
    value->type = CN_HEAP_ANY;
    if (peek(cursor)->kind == CN_TOKEN_CLOSE)
        return true;
    /* Any heap type: there is one null only. */
    if (peek(cursor)->kind == CN_TOKEN_OPEN)
        while (peek(cursor)->kind != CN_TOKEN_CLOSE)
            cursor->at++;
    cursor->at++;
    return true;
}

static bool take_ref(struct wast_cursor *cursor, struct wast_value *value)
{
    size_t i = 0;

    while (i < REF_COUNT && !accept(cursor, refs[i].name))
        i++;
    if (i == REF_COUNT)
        return false;
    value->kind = WAST_REF;
    value->ref = refs[i].ref;
    value->type = refs[i].code;
    if (peek(cursor)->kind != CN_TOKEN_NUMBER)
        return true;
    uint64_t number;
    if (!cn_parse_nat(text_at(cursor), UINT64_MAX >> HOST_SHIFT, &number))
        return false;
    value->kind = WAST_HOST;
    value->bits[0] = number << HOST_SHIFT | CN_REF_HOST_BITS;
    cursor->at++;
    return true;
}

bool wast_take_value(struct wast_cursor *cursor, struct wast_value *value)
{
    static const struct {
        const char *name;
        uint8_t type;
    } numbers[] = {{"i32.const", CN_I32}, {"i64.const", CN_I64}, {"f32.const", CN_F32},
                   {"f64.const", CN_F64}};
    bool ok = false;
    size_t i = 0;

    *value = (struct wast_value){0};
    if (peek(cursor)->kind != CN_TOKEN_OPEN)
        return false;
    cursor->at++;
    while (i < 4 && !accept(cursor, numbers[i].name))
        i++;
    if (i < 4) {
        value->type = numbers[i].type;
        ok = take_number(cursor, value);
    } else if (accept(cursor, "v128.const")) {
        value->type = CN_V128;
        ok = take_vector(cursor, value);
    } else if (accept(cursor, "ref.null")) {
        ok = take_null(cursor, value);
    } else {
        ok = take_ref(cursor, value);
    }
    if (!ok || peek(cursor)->kind != CN_TOKEN_CLOSE)
        return false;
    cursor->at++;
    return true;
}

/* ---------------------------------------------------------------- comparing */

static bool is_nan(uint64_t bits, unsigned width, uint8_t pattern)
{
    uint64_t quiet = width == 64 ? 0x7ff8000000000000u : 0x7fc00000u;
    uint64_t sign = 1ull << (width - 1);

    return pattern == 1 ? (bits & ~sign) == quiet : (bits & quiet) == quiet;
}

static bool vector_fits(const struct wast_value *value, const union cn_slot *slots)
{
    unsigned size = value->lane_bits / 8u;

    if (size == 0)
        return slots[0].u64 == value->bits[0] && slots[1].u64 == value->bits[1];
    for (unsigned lane = 0; lane < 16 / size; lane++) {
        uint64_t found = 0, wanted = 0;
        memcpy(&found, (const uint8_t *)slots + lane * size, size);
        memcpy(&wanted, (const uint8_t *)value->bits + lane * size, size);
        if (value->nans[lane] ? !is_nan(found, size * 8, value->nans[lane]) : found != wanted)
            return false;
    }
    return true;
}

/* Whether a reference of hierarchy any is to an object of a type of that kind. */
static bool is_object_of(const struct cn_store *store, uint64_t bits, enum cn_deftype_kind kind)
{
    const struct cn_object *object = cn_ref_object(bits);

    return object != NULL && store->types->layouts[object->type].kind == kind;
}

static bool ref_fits(const struct cn_store *store, const struct wast_value *value, uint8_t code,
                     uint64_t bits)
{
    if (bits == 0 || code != refs_code(value->ref))
        return false;
    switch ((enum wast_ref)value->ref) {
    case WAST_REF_I31:
        return bits & CN_REF_I31_BIT;
    case WAST_REF_EQ:
        return (bits & CN_REF_TAG_BITS) != CN_REF_HOST_BITS;
    case WAST_REF_STRUCT:
        return is_object_of(store, bits, CN_DEF_STRUCT);
    case WAST_REF_ARRAY:
        return is_object_of(store, bits, CN_DEF_ARRAY);
    default:
        return true;
    }
}

static bool is_host_type(uint8_t code)
{
    return code == CN_HEAP_EXTERN || code == CN_HEAP_ANY;
}

bool wast_value_fits(const struct cn_store *store, const struct wast_value *value,
                     cn_valtype type, const union cn_slot *slots)
{
    bool is_wide = value->type == CN_I64 || value->type == CN_F64;
    uint8_t code = cn_valtype_code(type);

    switch ((enum wast_value_kind)value->kind) {
    case WAST_NUMBER:
        return code == value->type && (is_wide ? slots->u64 : slots->u32) == value->bits[0];
    case WAST_NAN:
        return code == value->type &&
               is_nan(is_wide ? slots->u64 : slots->u32, is_wide ? 64 : 32, value->nans[0]);
    case WAST_VECTOR:
        return code == CN_V128 && vector_fits(value, slots);
    case WAST_NULL:
        return cn_valtype_is_ref(type) && slots->u64 == 0;
    case WAST_HOST:
        return is_host_type(code) && slots->u64 == value->bits[0];
    default:
        return ref_fits(store, value, code, slots->u64);
    }
}

bool wast_value_may_be(const struct wast_value *value, cn_valtype type)
{
    uint8_t code = cn_valtype_code(type);

    switch ((enum wast_value_kind)value->kind) {
    case WAST_NUMBER:
    case WAST_VECTOR:
        return code == value->type;
    case WAST_NULL:
        return cn_valtype_is_ref(type) && cn_ref_is_nullable(type);
    case WAST_HOST:
        return cn_valtype_is_ref(type) && !cn_ref_is_defined(type) &&
               is_host_type((uint8_t)cn_ref_heap(type));
    default:
        return false;
    }
}

uint32_t wast_value_slots(const struct wast_value *value, union cn_slot *slots)
{
    slots[0].u64 = value->bits[0];
    if (value->type != CN_V128)
        return 1;
    slots[1].u64 = value->bits[1];
    return 2;
}

/* ---------------------------------------------------------------- printing */

static double as_f64(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static float as_f32(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;

    memcpy(&value, &low, sizeof value);
    return value;
}

void wast_slots_print(cn_valtype type, const union cn_slot *slots, char *text, size_t size)
{
    switch (cn_valtype_code(type)) {
    case CN_I32:
        snprintf(text, size, "i32 %" PRId32 " (0x%" PRIx32 ")", slots->i32, slots->u32);
        break;
    case CN_I64:
        snprintf(text, size, "i64 %" PRId64 " (0x%" PRIx64 ")", slots->i64, slots->u64);
        break;
    case CN_F32:
        snprintf(text, size, "f32 %.9g (0x%" PRIx32 ")", (double)slots->f32, slots->u32);
        break;
    case CN_F64:
        snprintf(text, size, "f64 %.17g (0x%" PRIx64 ")", slots->f64, slots->u64);
        break;
    case CN_V128:
        snprintf(text, size, "v128 i64x2 0x%016" PRIx64 " 0x%016" PRIx64, slots[0].u64,
                 slots[1].u64);
        break;
    default:
        snprintf(text, size, slots->u64 == 0 ? "null" : "%s 0x%" PRIx64, cn_valtype_name(type),
                 slots->u64);
        break;
    }
}

void wast_value_print(const struct wast_value *value, char *text, size_t size)
{
    static const char *const patterns[] = {"", "nan:canonical", "nan:arithmetic"};
    union cn_slot slots[2] = {{.u64 = value->bits[0]}, {.u64 = value->bits[1]}};

    switch ((enum wast_value_kind)value->kind) {
    case WAST_NAN:
        snprintf(text, size, "%s", patterns[value->nans[0]]);
        break;
    case WAST_NULL:
        snprintf(text, size, "null");
        break;
    case WAST_REF:
        snprintf(text, size, "a %s", refs[value->ref].name);
        break;
    case WAST_HOST:
        snprintf(text, size, "host value %" PRIu64, value->bits[0] >> HOST_SHIFT);
        break;
    case WAST_VECTOR:
        if (value->lane_bits == 32)
            snprintf(text, size, "v128 f32x4 %g %g %g %g", (double)as_f32(value->bits[0]),
                     (double)as_f32(value->bits[0] >> 32), (double)as_f32(value->bits[1]),
                     (double)as_f32(value->bits[1] >> 32));
        else if (value->lane_bits == 64)
            snprintf(text, size, "v128 f64x2 %g %g", as_f64(value->bits[0]),
                     as_f64(value->bits[1]));
        else
            wast_slots_print(CN_V128, slots, text, size);
        break;
    default:
        wast_slots_print(value->type, slots, text, size);
        break;
    }
}
