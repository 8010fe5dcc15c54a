#include "core/module.h"

#include <criterion/criterion.h>

#define TYPE(params, results, ...)                                                                 \
    CN_FUNCTYPE(params, results, ((const cn_valtype[]){__VA_ARGS__}))

static const struct cn_functype none = CN_FUNCTYPE(0, 0, NULL);
static const struct cn_functype one = TYPE(1, 0, CN_I32);
static const struct cn_functype both = TYPE(2, 1, CN_I32, CN_I64, CN_F64);
static const struct cn_functype shifted = TYPE(1, 2, CN_I32, CN_I64, CN_F64);
static const struct cn_functype many = TYPE(0, 2, CN_FUNCREF, CN_EXTERNREF);

static void expect_text(const struct cn_functype *type, const char *text)
{
    char room[64];

    cr_assert_str_eq(cn_functype_print(type, room, sizeof room), text);
}

Test(module, prints_types)
{
    expect_text(&none, "()");
    expect_text(&one, "(i32)");
    expect_text(&both, "(i32, i64) -> f64");
    expect_text(&many, "() -> (funcref, externref)");
}

Test(module, cuts_types_to_the_room)
{
    for (size_t size = 1; size <= 20; size++) {
        char room[32];
        memset(room, '#', sizeof room);
        cr_assert_eq(cn_functype_print(&both, room, size), room);
        cr_assert_eq(strncmp(room, "(i32, i64) -> f64", strlen(room)), 0);
        cr_assert_lt(strlen(room), size);
        cr_assert_eq(room[size], '#');
    }
}

Test(module, compares_types_by_structure)
{
    const struct cn_functype twin = TYPE(2, 1, CN_I32, CN_I64, CN_F64);
    const struct cn_functype other = TYPE(2, 1, CN_I32, CN_I64, CN_F32);

    cr_assert(cn_functype_equal(&both, &twin));
    cr_assert_not(cn_functype_equal(&both, &other));
    cr_assert_not(cn_functype_equal(&both, &shifted), "parameters are not results");
    cr_assert(cn_functype_equal(&none, &none));
}

Test(module, names_types_and_kinds)
{
    cr_assert_str_eq(cn_valtype_name(CN_V128), "v128");
    cr_assert_str_eq(cn_valtype_name(CN_EXTERNREF), "externref");
    cr_assert_str_eq(cn_valtype_name(0), "?");
    cr_assert_str_eq(cn_extern_kind_name(CN_EXTERN_GLOBAL), "global");
}

#define NAME(text) {(const uint8_t *)(text), sizeof(text) - 1}

static struct cn_export exports[] = {{NAME("memory"), CN_EXTERN_MEMORY, 1},
                                     {NAME("run"), CN_EXTERN_FUNC, 1},
                                     {NAME(""), CN_EXTERN_FUNC, 2}};
static struct cn_name names[] = {{0, NAME("zero")}, {3, NAME("three")}, {7, NAME("seven")}};
static uint32_t order[] = {2, 1, 0};
static const struct cn_module module = {.exports = exports, .export_count = 3,
                                        .export_order = order,
                                        .func_names = names, .func_name_count = 3};

Test(module, finds_exports)
{
    cr_assert_eq(cn_module_find_export(&module, cn_bytes_of("run")), &exports[1]);
    cr_assert_eq(cn_module_find_export(&module, cn_bytes_of("")), &exports[2]);
    cr_assert_null(cn_module_find_export(&module, cn_bytes_of("ru")));
    cr_assert_null(cn_module_find_export(&module, cn_bytes_of("runs")));
}

static void expect_name(uint32_t func, const char *text)
{
    cr_assert(cn_bytes_equal(cn_module_func_name(&module, func), cn_bytes_of(text)));
}

Test(module, names_functions_by_section_then_by_export)
{
    expect_name(0, "zero");
    expect_name(3, "three");
    expect_name(7, "seven");
    expect_name(1, "run");
    expect_name(5, "");
    expect_name(UINT32_MAX, "");
}
