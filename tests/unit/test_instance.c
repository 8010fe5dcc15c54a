#include "vm/instance.h"

#include <string.h>

#include "tests/unit/vm_fixture.h"
#include "vm/segment.h"
#include "vm/types.h"

static const cn_valtype i32_to_i32[] = {CN_I32, CN_I32};
static struct cn_deftype types[] = {
    CN_DEFTYPE(0, 1, 1, i32_to_i32),
    CN_DEFTYPE(1, 0, 0, NULL),
    CN_DEFTYPE(2, 1, 1, i32_to_i32),
};

static const uint8_t body[10] = {0};

static struct cn_import imports[] = {
    {NAME("env"), NAME("f"), CN_EXTERN_FUNC, 0},
    {NAME("env"), NAME("g"), CN_EXTERN_GLOBAL, 0},
};
static struct cn_export exports[] = {
    {NAME("mem"), CN_EXTERN_MEMORY, 0},
    {NAME("tab"), CN_EXTERN_TABLE, 0},
    {NAME("fun"), CN_EXTERN_FUNC, 2},
    {NAME("sum"), CN_EXTERN_GLOBAL, 2},
};
static uint32_t export_order[] = {2, 0, 3, 1};
static struct cn_funcdecl funcs[] = {
    {.type = 0},
    {.type = 1, .body = {body, 10}},
    {.type = 2, .is_referenced = true, .body = {body, 3}},
};
static struct cn_tabledecl tables[] = {{.type = {CN_FUNCREF, {4, 8}, false}}};
static struct cn_memory_type memories[] = {{.limits = {2, UINT64_MAX}, .page_log2 = CN_PAGE_LOG2}};
static struct cn_globaldecl globals[] = {
    {{CN_I32, false}, {{NULL, 0}}},
    {{CN_I64, true}, EXPR(0x42, 0x7f)},
    /* (global.get 0) * 3 - 1 */
    {{CN_I32, false}, EXPR(0x23, 0, 0x41, 3, 0x6c, 0x41, 1, 0x6b)},
    {{CN_FUNCREF, false}, EXPR(0xd2, 2)},
    {{CN_F64, false}, EXPR(0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f)},
    {{CN_F32, false}, EXPR(0x43, 0, 0, 0xc0, 0x3f)},
    {{CN_EXTERNREF, true}, EXPR(0xd0, 0x6f)},
    /* 2^63 - 1 + 1 wraps */
    {{CN_I64, false},
     EXPR(0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x42, 1, 0x7c)},
};
static struct cn_constexpr exprs[] = {EXPR(0xd0, 0x70), EXPR(0xd2, 1), EXPR(0x23, 3)};
static uint32_t indices[] = {2, 0};
static struct cn_element_segment elements[] = {
    {CN_SEGMENT_ACTIVE, CN_FUNCREF, 0, EXPR(0x41, 1), 2, indices, NULL},
    {CN_SEGMENT_PASSIVE, CN_FUNCREF, 0, {{NULL, 0}}, 3, NULL, exprs},
    {CN_SEGMENT_DECLARATIVE, CN_FUNCREF, 0, {{NULL, 0}}, 2, indices, NULL},
};
static struct cn_data_segment datas[] = {
    {CN_SEGMENT_ACTIVE, 0, EXPR(0x23, 2), NAME("hello")},
    {CN_SEGMENT_PASSIVE, 0, {{NULL, 0}}, NAME("later")},
};

static struct cn_module sample(void)
{
    return (struct cn_module){
        .types = types, .type_count = COUNT(types),
        .imports = imports, .import_count = COUNT(imports),
        .exports = exports, .export_count = COUNT(exports),
        .export_order = export_order,
        .funcs = funcs, .func_count = COUNT(funcs), .imported_func_count = 1,
        .tables = tables, .table_count = 1,
        .memories = memories, .memory_count = 1,
        .globals = globals, .global_count = COUNT(globals), .imported_global_count = 1,
        .elements = elements, .element_count = COUNT(elements),
        .datas = datas, .data_count = COUNT(datas),
        .start = CN_NO_INDEX,
    };
}

static enum cn_status host_nothing(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    (void)thread;
    (void)env;
    (void)slots;
    return CN_OK;
}

static struct cn_global given_global = {.value = {.u64 = 7}, .type = {CN_I32, false}};

static void give(struct fixture *fixture, struct cn_extern externs[2])
{
    externs[0].kind = CN_EXTERN_FUNC;
    cr_assert_eq(cn_host_func_new(fixture->store, &externs[0].func, &types[0].func,
                                  host_nothing, NULL),
                 CN_OK);
    externs[1].kind = CN_EXTERN_GLOBAL;
    externs[1].global = &given_global;
}

Test(instance, holds_what_the_module_says)
{
    struct cn_module module = sample();
    struct cn_extern externs[2];
    struct fixture f;

    fixture_open(&f, &module);
    give(&f, externs);
    cr_assert_eq(fixture_make(&f, externs), CN_OK, "%s", f.error.text);
    struct cn_instance *in = f.instance;

    cr_expect_eq(in->funcs[0], externs[0].func);
    cr_expect_eq(in->funcs[2]->index, 2);
    cr_expect_eq(in->funcs[2]->instance, in);
    cr_expect_eq(in->funcs[2]->code, &f.program->funcs[2]);
    cr_expect_eq(in->type_ids[0], in->type_ids[2], "equal types have equal ids");
    cr_expect_neq(in->type_ids[0], in->type_ids[1]);
    cr_expect_eq(in->funcs[0]->type_id, in->funcs[2]->type_id);

    cr_expect_eq(in->globals[0], &given_global);
    cr_expect_eq(in->globals[1]->value.i64, -1);
    cr_expect_eq(in->globals[2]->value.u64, 20);
    cr_expect_eq(in->globals[3]->value.ref, in->funcs[2]);
    cr_expect_eq(in->globals[4]->value.f64, 1.5);
    cr_expect_eq(in->globals[5]->value.f32, 1.5f);
    cr_expect_eq(in->globals[6]->value.ref, NULL);
    cr_expect_eq(in->globals[7]->value.i64, INT64_MIN);

    cr_expect_eq(in->tables[0]->size, 4);
    cr_expect_eq(in->tables[0]->elements[0], NULL);
    cr_expect_eq(in->tables[0]->elements[1], in->funcs[2]);
    cr_expect_eq(in->tables[0]->elements[2], in->funcs[0]);
    cr_expect_eq(in->memories[0]->size, 2 * CN_PAGE_SIZE);
    cr_expect(memcmp(in->memories[0]->base + 20, "hello", 6) == 0);

    cr_expect(in->element_dropped[0] && !in->element_dropped[1] && in->element_dropped[2]);
    cr_expect(in->data_dropped[0] && !in->data_dropped[1]);
    cr_expect_eq(cn_segment_element(in, 1, 0), NULL);
    cr_expect_eq(cn_segment_element(in, 1, 1), in->funcs[1]);
    cr_expect_eq(cn_segment_element(in, 1, 2), in->funcs[2]);
    cr_expect_eq(in->code_charge, 13 * CN_CODE_BYTES_WITH_MAPS);
    fixture_close(&f);
}

Test(instance, gives_its_exports_by_name)
{
    struct cn_module module = sample();
    struct cn_extern externs[2], found = {CN_EXTERN_GLOBAL, {NULL}};
    struct fixture f;

    fixture_open(&f, &module);
    give(&f, externs);
    cr_assert_eq(fixture_make(&f, externs), CN_OK);
    cr_expect(cn_instance_export(f.instance, cn_bytes_of("mem"), &found));
    cr_expect(found.kind == CN_EXTERN_MEMORY && found.memory == f.instance->memories[0]);
    cr_expect(cn_instance_export(f.instance, cn_bytes_of("fun"), &found));
    cr_expect(found.kind == CN_EXTERN_FUNC && found.func == f.instance->funcs[2]);
    cr_expect(cn_instance_export(f.instance, cn_bytes_of("tab"), &found));
    cr_expect(found.kind == CN_EXTERN_TABLE && found.table == f.instance->tables[0]);
    cr_expect(cn_instance_export(f.instance, cn_bytes_of("sum"), &found));
    cr_expect(found.kind == CN_EXTERN_GLOBAL && found.global == f.instance->globals[2]);
    cr_expect_not(cn_instance_export(f.instance, cn_bytes_of("me"), &found));
    fixture_close(&f);
}

/* Every charge fails once, by a quota that leaves room for less than the whole. */
Test(instance, gives_everything_back_wherever_memory_runs_out)
{
    struct cn_module module = sample();
    struct cn_extern externs[2];
    struct fixture f;
    uint64_t need;

    fixture_open(&f, &module);
    give(&f, externs);
    uint64_t before = f.account.used[CN_QUOTA_MEMORY];
    cr_assert_eq(fixture_make(&f, externs), CN_OK);
    need = f.account.used[CN_QUOTA_MEMORY] - before;
    fixture_close(&f);

    fixture_open(&f, &module);
    give(&f, externs);
    for (uint64_t room = 0; room < need; room += room > 4096 && room < need - 4096 ? 4096 : 1) {
        f.account.limit[CN_QUOTA_MEMORY] = before + room;
        cr_assert_eq(fixture_make(&f, externs), CN_NO_MEMORY);
        cr_assert_eq(f.account.used[CN_QUOTA_MEMORY], before);
        cr_assert_null(f.instance, "a failure leaves the result alone");
        cr_assert_eq(f.error.status, CN_NO_MEMORY);
    }
    f.account.limit[CN_QUOTA_MEMORY] = before + need;
    cr_assert_eq(fixture_make(&f, externs), CN_OK);
    fixture_close(&f);
}

Test(instance, says_what_asked_for_too_much)
{
    struct cn_memory_type large[] = {{.limits = {65536, UINT64_MAX}, .page_log2 = CN_PAGE_LOG2}};
    struct cn_module module = {.memories = large, .memory_count = 1, .start = CN_NO_INDEX};
    struct fixture f;

    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_NO_MEMORY);
    cr_expect(strstr(f.error.text, "memory 0 starts with 65536 pages"), "%s", f.error.text);
    cr_expect(strstr(f.error.text, "4294967296 bytes"), "%s", f.error.text);
    f.account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    fixture_close(&f);

    struct cn_tabledecl wide[] = {{.type = {CN_EXTERNREF, {UINT32_MAX, UINT64_MAX}, false}}};
    module = (struct cn_module){.tables = wide, .table_count = 1, .start = CN_NO_INDEX};
    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_NO_MEMORY);
    cr_expect(strstr(f.error.text, "table 0 starts with 4294967295 elements"), "%s",
              f.error.text);
    fixture_close(&f);
}

static void expect_trap(struct cn_module *module, enum cn_status expected)
{
    struct cn_extern externs[2];
    struct fixture f;

    fixture_open(&f, module);
    give(&f, externs);
    uint64_t before = f.account.used[CN_QUOTA_MEMORY];
    enum cn_status status = fixture_make(&f, externs);
    cr_expect_eq(status, expected, "%s: %s", cn_status_text(status), f.error.text);
    cr_expect(expected == CN_OK || strstr(f.error.text, cn_status_text(expected)));
    if (expected != CN_OK)
        cr_expect_eq(f.account.used[CN_QUOTA_MEMORY], before);
    fixture_close(&f);
}

Test(instance, traps_when_a_segment_does_not_fit)
{
    struct cn_module module = sample();
    struct cn_element_segment element = elements[0];
    struct cn_data_segment data = datas[0];

    module.elements = &element;
    module.element_count = 1;
    module.datas = &data;
    module.data_count = 1;
    element.offset = (struct cn_constexpr)EXPR(0x41, 2);
    expect_trap(&module, CN_OK);
    element.offset = (struct cn_constexpr)EXPR(0x41, 3);
    expect_trap(&module, CN_TRAP_OUT_OF_BOUNDS_TABLE);
    element.offset = (struct cn_constexpr)EXPR(0x41, 0x7f); /* -1 is 2^32 - 1 */
    expect_trap(&module, CN_TRAP_OUT_OF_BOUNDS_TABLE);
    element.count = 0;
    element.offset = (struct cn_constexpr)EXPR(0x41, 4);
    expect_trap(&module, CN_OK);
    element.offset = (struct cn_constexpr)EXPR(0x41, 5);
    expect_trap(&module, CN_TRAP_OUT_OF_BOUNDS_TABLE);

    element.offset = (struct cn_constexpr)EXPR(0x41, 0);
    data.offset = (struct cn_constexpr)EXPR(0x41, 0xfb, 0xff, 0x07); /* 131067 */
    expect_trap(&module, CN_OK);
    data.offset = (struct cn_constexpr)EXPR(0x41, 0xfc, 0xff, 0x07);
    expect_trap(&module, CN_TRAP_OUT_OF_BOUNDS_MEMORY);
    data.bytes.size = 0;
    data.offset = (struct cn_constexpr)EXPR(0x41, 0x80, 0x80, 0x08);
    expect_trap(&module, CN_OK);
    data.offset = (struct cn_constexpr)EXPR(0x41, 0x81, 0x80, 0x08);
    expect_trap(&module, CN_TRAP_OUT_OF_BOUNDS_MEMORY);
}

/* An instance whose data segment does not fit has already put a function into a table of
 * another one: the function must stay callable (core 4.5.4). */
Test(instance, lives_on_when_a_function_of_it_escaped_before_a_trap)
{
    struct cn_tabledecl table[] = {{.type = {CN_FUNCREF, {2, UINT64_MAX}, false}}};
    struct cn_export export[] = {{NAME("t"), CN_EXTERN_TABLE, 0}};
    uint32_t order[] = {0};
    struct cn_module owner = {.tables = table, .table_count = 1, .exports = export,
                              .export_count = 1, .export_order = order, .start = CN_NO_INDEX};
    struct cn_import import[] = {{NAME("o"), NAME("t"), CN_EXTERN_TABLE, 0}};
    struct cn_funcdecl func[] = {{.type = 1, .body = {body, 10}}};
    uint32_t index[] = {0};
    struct cn_element_segment element[] = {
        {CN_SEGMENT_ACTIVE, CN_FUNCREF, 0, EXPR(0x41, 1), 1, index, NULL}};
    struct cn_memory_type memory[] = {{.limits = {1, 1}, .page_log2 = CN_PAGE_LOG2}};
    struct cn_data_segment data[] = {
        {CN_SEGMENT_ACTIVE, 0, EXPR(0x41, 0), NAME("in")},
        {CN_SEGMENT_ACTIVE, 0, EXPR(0x41, 0x7f), NAME("out")}};
    struct cn_module guest = {
        .types = types, .type_count = COUNT(types), .imports = import, .import_count = 1,
        .funcs = func, .func_count = 1, .tables = table, .table_count = 1,
        .imported_table_count = 1, .memories = memory, .memory_count = 1,
        .elements = element, .element_count = 1, .datas = data, .data_count = 2,
        .start = CN_NO_INDEX};
    struct cn_program *program;
    struct cn_instance *none = NULL;
    struct cn_extern given;
    struct fixture f;

    fixture_open(&f, &owner);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    cr_assert(cn_instance_export(f.instance, cn_bytes_of("t"), &given));
    cr_assert_eq(cn_program_new(&program, &guest, cn_heap), CN_OK);
    cr_assert_eq(cn_instantiate(f.store, program, &given, &none, &f.error),
                 CN_TRAP_OUT_OF_BOUNDS_MEMORY);
    cr_assert_null(none);
    const struct cn_func *escaped = given.table->elements[1];
    cr_assert_not_null(escaped);
    cr_expect_eq(escaped->code, &program->funcs[0]);
    cr_expect(memcmp(escaped->instance->memories[0]->base, "in", 2) == 0);
    fixture_close(&f);
    cn_program_free(program);
}

/* What the loader would never pass: nothing may be forged or read outside. */
Test(instance, refuses_constant_expressions_that_make_no_sense)
{
    const struct {
        cn_valtype type;
        struct cn_constexpr init;
    } bad[] = {
        {CN_FUNCREF, EXPR(0x41, 5)},        /* an integer as a reference */
        {CN_FUNCREF, EXPR(0xd0, 0x6f)},     /* a null of the other type */
        {CN_FUNCREF, EXPR(0xd2, 99)},       /* no such function */
        {CN_I32, EXPR(0x23, 0)},            /* itself */
        {CN_I32, EXPR(0x23, 0x80)},         /* cut off */
        {CN_I32, EXPR(0x6a)},               /* nothing to add */
        {CN_I32, EXPR(0x41, 1, 0x42, 1, 0x6a)},
        {CN_I32, EXPR(0x41, 1, 0x41, 1)},   /* two values */
        {CN_I32, {{NULL, 0}}},
        {CN_I32, EXPR(0x00)},
        {CN_I64, EXPR(0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80)},
        {CN_F64, EXPR(0x44, 0, 0)},
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct cn_globaldecl global = {{bad[i].type, false}, bad[i].init};
        struct cn_module module = {.globals = &global, .global_count = 1, .types = types,
                                   .funcs = funcs, .start = CN_NO_INDEX};
        struct fixture f;
        fixture_open(&f, &module);
        uint64_t before = f.account.used[CN_QUOTA_MEMORY];
        cr_expect_eq(fixture_make(&f, NULL), CN_INVALID, "case %zu", i);
        cr_expect_eq(f.account.used[CN_QUOTA_MEMORY], before);
        fixture_close(&f);
    }
}

Test(instance, evaluates_deep_constant_expressions_in_charged_memory)
{
    enum { DEPTH = 1000 };
    static uint8_t code[DEPTH * 3];
    struct cn_globaldecl global = {{CN_I32, false}, {{code, sizeof code}}};
    struct cn_module module = {.globals = &global, .global_count = 1, .start = CN_NO_INDEX};
    struct fixture f;

    for (int i = 0; i < DEPTH; i++) {
        code[2 * i] = 0x41;
        code[2 * i + 1] = 1;
        code[2 * DEPTH + i] = 0x6a;
    }
    code[sizeof code - 1] = 0x0b;
    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK, "%s", f.error.text);
    cr_expect_eq(f.instance->globals[0]->value.u64, DEPTH);
    cr_expect_geq(f.account.peak[CN_QUOTA_MEMORY],
                  f.account.used[CN_QUOTA_MEMORY] + DEPTH * sizeof(union cn_slot));
    fixture_close(&f);
}

Test(instance, numbers_a_million_types_quickly_and_forgets_them)
{
    enum { TYPES = 1000000 };
    static struct cn_functype many[TYPES];
    static cn_valtype values[TYPES][10];
    struct cn_type_registry *registry;
    struct cn_account account;
    uint32_t number;

    cn_account_init(&account);
    for (uint32_t i = 0; i < TYPES; i++) {
        many[i] = (struct cn_functype)CN_FUNCTYPE(10, 0, values[i]);
        for (uint32_t j = 0; j < 10; j++)
            values[i][j] = CN_F64 + (i >> 2 * j) % 4;
    }
    cr_assert_eq(cn_types_new(cn_account_allocator(&account), &registry), CN_OK);
    uint64_t empty = account.used[CN_QUOTA_MEMORY];
    for (uint32_t i = 0; i < TYPES; i++) {
        cr_assert_eq(cn_types_number(registry, &many[i], &number), CN_OK);
        cr_assert_eq(number, i);
    }
    cr_assert_eq(cn_types_number(registry, &many[77777], &number), CN_OK);
    cr_expect_eq(number, 77777);
    cn_types_forget(registry, 500);
    cr_assert_eq(cn_types_number(registry, &many[499], &number), CN_OK);
    cr_expect_eq(number, 499);
    cr_assert_eq(cn_types_number(registry, &many[77777], &number), CN_OK);
    cr_expect_eq(number, 500);
    cn_types_forget(registry, 0);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], empty);
    cn_types_free(registry);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], 0);
}
