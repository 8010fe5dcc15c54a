#include "tests/unit/vm_fixture.h"

static struct cn_tabledecl tables[] = {
    {.type = {CN_FUNCREF, {1, 4}, false}},
    {.type = {CN_EXTERNREF, {0, UINT64_MAX}, false}},
};
static struct cn_module module = {.tables = tables, .table_count = 2, .start = CN_NO_INDEX};

Test(table, grows_to_its_maximum_with_the_value_it_is_given)
{
    struct fixture f;
    int thing;

    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_table *table = f.instance->tables[0];
    cr_expect_null(table->elements[0]);
    cr_expect_eq(cn_table_grow(f.store, table, 4, NULL), -1);
    cr_expect_eq(cn_table_grow(f.store, table, UINT32_MAX, NULL), -1);
    cr_expect_eq(cn_table_grow(f.store, table, 0, &thing), 1);
    cr_assert_eq(cn_table_grow(f.store, table, 3, &thing), 1);
    cr_expect_eq(table->size, 4);
    cr_expect_null(table->elements[0]);
    cr_expect_eq(table->elements[1], &thing);
    cr_expect_eq(table->elements[3], &thing);
    cr_expect_eq(cn_table_grow(f.store, table, 1, NULL), -1);
    fixture_close(&f);
}

Test(table, stops_at_the_quota_and_is_charged_exactly)
{
    struct fixture f;

    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_table *table = f.instance->tables[1];
    uint64_t used = f.account.used[CN_QUOTA_MEMORY];
    f.account.limit[CN_QUOTA_MEMORY] = used + 1000;
    cr_expect_eq(cn_table_grow(f.store, table, 126, NULL), -1);
    cr_expect_eq(cn_table_grow(f.store, table, UINT32_MAX, NULL), -1);
    cr_expect_eq(f.account.used[CN_QUOTA_MEMORY], used);
    cr_expect_eq(cn_table_grow(f.store, table, 100, NULL), 0);
    cr_expect_leq(f.account.used[CN_QUOTA_MEMORY], used + 1000);
    cr_expect_eq(cn_table_grow(f.store, table, 100, NULL), -1);
    cr_expect_eq(table->size, 100);
    fixture_close(&f);
}
