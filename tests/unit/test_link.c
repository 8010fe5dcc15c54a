#include <string.h>

#include "tests/unit/vm_fixture.h"
#include "vm/types.h"

static const cn_valtype values[] = {CN_I32, CN_I64, CN_F64};
static struct cn_deftype types[] = {
    CN_DEFTYPE(0, 2, 1, values),
    CN_DEFTYPE(1, 1, 2, values),
};
static struct cn_funcdecl funcs[] = {{.type = 0}};
static struct cn_tabledecl tables[] = {{.type = {CN_FUNCREF, {10, 20}, false}}};
static struct cn_memory_type memories[] = {
    {.limits = {1, 2}, .page_log2 = CN_PAGE_LOG2},
    {.limits = {1, UINT64_MAX}, .page_log2 = CN_PAGE_LOG2},
};
static struct cn_globaldecl globals[] = {{{CN_I32, true}, {{NULL, 0}}}};
static struct cn_import imports[] = {
    {NAME("env"), NAME("f"), CN_EXTERN_FUNC, 0},
    {NAME("env"), NAME("t"), CN_EXTERN_TABLE, 0},
    {NAME("env"), NAME("m"), CN_EXTERN_MEMORY, 0},
    {NAME("env"), NAME("n"), CN_EXTERN_MEMORY, 1},
    {NAME("env"), NAME("g"), CN_EXTERN_GLOBAL, 0},
    {NAME("\x1b[31m\"\xc2\x9b"), NAME("abcdefghijklmnopqrstuvwxyz0123456789-\xc3\xa4\xc3\xb6"),
     CN_EXTERN_FUNC, 0},
};
enum { F, T, M, N, G, ODD };
static struct cn_module module = {
    .types = types, .type_count = 2, .imports = imports, .import_count = COUNT(imports),
    .funcs = funcs, .func_count = 1, .tables = tables, .table_count = 1,
    .memories = memories, .memory_count = 2, .globals = globals, .global_count = 1,
};

/* A store that knows the module's types. */
static uint32_t ids[2];
static struct cn_store *world(void)
{
    static struct cn_account account;
    static struct cn_store *store;

    if (store != NULL)
        return store;
    cn_account_init(&account);
    cr_assert_eq(cn_store_new(&store, &account), CN_OK);
    cr_assert_eq(cn_types_add(store->types, &module, ids), CN_OK);
    return store;
}

static uint32_t number(const struct cn_functype *type)
{
    uint32_t result;

    cr_assert_eq(cn_types_number(world()->types, type, &result), CN_OK);
    return result;
}

static void expect(uint32_t import, struct cn_extern given, const char *refusal)
{
    struct cn_error error = {.text = ""};
    enum cn_status status =
        cn_import_matches(world(), &module, ids, import, &given, &error);

    cr_expect_eq(status, refusal ? CN_UNLINKABLE : CN_OK, "import %u: %s", import, error.text);
    cr_expect_str_eq(error.text, refusal ? refusal : "");
}

static struct cn_extern func(struct cn_func *it)
{
    return (struct cn_extern){CN_EXTERN_FUNC, {.func = it}};
}

static struct cn_extern table(cn_valtype type, uint32_t size, uint64_t max, struct cn_table *it)
{
    *it = (struct cn_table){.size = size, .max = max, .type = type};
    return (struct cn_extern){CN_EXTERN_TABLE, {.table = it}};
}

static struct cn_extern memory(uint64_t pages, uint64_t max, struct cn_memory *it)
{
    *it = (struct cn_memory){.size = pages * CN_PAGE_SIZE, .pages_max = max,
                             .page_log2 = CN_PAGE_LOG2, .address_mask = UINT32_MAX};
    return (struct cn_extern){CN_EXTERN_MEMORY, {.memory = it}};
}

static struct cn_extern global(cn_valtype type, bool is_mutable, struct cn_global *it)
{
    *it = (struct cn_global){.type = {type, is_mutable}};
    return (struct cn_extern){CN_EXTERN_GLOBAL, {.global = it}};
}

Test(link, compares_functions_by_their_types)
{
    struct cn_functype same =
        CN_FUNCTYPE(2, 1, ((const cn_valtype[]){CN_I32, CN_I64, CN_F64}));
    struct cn_func good = {.type = &same, .type_id = number(&same)};
    struct cn_func bad = {.type = &types[1].func, .type_id = number(&types[1].func)};
    struct cn_memory m;

    expect(F, func(&good), NULL);
    expect(F, func(&bad),
           "incompatible import type: \"env\".\"f\": expected function (i32, i64) -> f64, "
           "found function (i32) -> (i64, f64)");
    expect(F, memory(1, 2, &m),
           "incompatible import type: \"env\".\"f\": expected function (i32, i64) -> f64, "
           "found memory, pages of 1 to 2");
}

Test(link, compares_tables_by_element_and_limits)
{
    struct cn_table t;

    expect(T, table(CN_FUNCREF, 10, 20, &t), NULL);
    expect(T, table(CN_FUNCREF, 15, 15, &t), NULL);
    expect(T, table(CN_EXTERNREF, 10, 20, &t),
           "incompatible import type: \"env\".\"t\": expected table of funcref, size of 10 to 20, "
           "found table of externref, size of 10 to 20");
    expect(T, table(CN_FUNCREF, 9, 20, &t),
           "incompatible import type: \"env\".\"t\": expected table of funcref, size of 10 to 20, "
           "found table of funcref, size of 9 to 20");
    expect(T, table(CN_FUNCREF, 10, 21, &t),
           "incompatible import type: \"env\".\"t\": expected table of funcref, size of 10 to 20, "
           "found table of funcref, size of 10 to 21");
    expect(T, table(CN_FUNCREF, 10, UINT64_MAX, &t),
           "incompatible import type: \"env\".\"t\": expected table of funcref, size of 10 to 20, "
           "found table of funcref, size of 10 without a maximum");
}

Test(link, compares_memories_by_limits)
{
    struct cn_memory m;

    expect(M, memory(1, 2, &m), NULL);
    expect(M, memory(2, 2, &m), NULL);
    expect(M, memory(0, 2, &m),
           "incompatible import type: \"env\".\"m\": expected memory, pages of 1 to 2, "
           "found memory, pages of 0 to 2");
    expect(M, memory(1, UINT64_MAX, &m),
           "incompatible import type: \"env\".\"m\": expected memory, pages of 1 to 2, "
           "found memory, pages of 1 without a maximum");
    expect(N, memory(1, 1, &m), NULL);
    expect(N, memory(5, UINT64_MAX, &m), NULL);
    expect(N, memory(0, UINT64_MAX, &m),
           "incompatible import type: \"env\".\"n\": expected memory, pages of 1 without "
           "a maximum, "
           "found memory, pages of 0 without a maximum");
}

Test(link, compares_globals_exactly)
{
    struct cn_global g;

    expect(G, global(CN_I32, true, &g), NULL);
    expect(G, global(CN_I32, false, &g),
           "incompatible import type: \"env\".\"g\": expected mutable global of i32, "
           "found constant global of i32");
    expect(G, global(CN_I64, true, &g),
           "incompatible import type: \"env\".\"g\": expected mutable global of i32, "
           "found mutable global of i64");
}

Test(link, prints_names_that_cannot_harm_a_terminal)
{
    struct cn_error error;
    struct cn_func bad = {.type = &types[1].func, .type_id = number(&types[1].func)};
    struct cn_extern given = func(&bad);

    cr_assert_eq(cn_import_matches(world(), &module, ids, ODD, &given, &error), CN_UNLINKABLE);
    cr_expect(strncmp(error.text, "incompatible import type: \"?[31m???\".\"", 37) == 0, "%s",
              error.text);
    cr_expect_null(strpbrk(error.text, "\x1b\x9b"));
    cr_expect(strstr(error.text, "0123456789-\xc3\xa4\""), "cut before the last letter: %s",
              error.text);
}
