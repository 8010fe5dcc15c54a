#include "tests/unit/wasm_fixture.h"

#include "core/limits.h"

/* ---------------------------------------------------------------- header and sections */

Test(decode, takes_the_empty_module)
{
    struct loaded loaded = accept(BYTES(HEADER));

    cr_assert_eq(loaded.module->func_count, 0);
    cr_assert_eq(loaded.module->start, CN_NO_INDEX);
    unload(&loaded);
}

Test(decode, refuses_what_has_no_header)
{
    refuses_at((struct cn_bytes){NULL, 0}, 0, "unexpected end");
    refuses_at(BYTES(0, 'a'), 2, "unexpected end");
    refuses_at(BYTES('(', 'm', 'o', 'd', 'u', 'l', 'e', ')'), 0, "magic header not detected");
    refuses_at(BYTES(0, 'a', 's', 'm', 1), 5, "unexpected end");
    refuses_at(BYTES(0, 'a', 's', 'm', 2, 0, 0, 0), 4, "unknown binary version");
    refuses_at(BYTES(0, 'a', 's', 'm', 0x0d, 0, 1, 0), 4, "unknown binary version");
}

Test(decode, refuses_sections_out_of_order)
{
    refuses_at(MODULE(SECTION(MEMORIES, 0), SECTION(TYPES, 0)), 11,
               "unexpected content after last section");
    refuses_at(MODULE(SECTION(TYPES, 0), SECTION(TYPES, 0)), 11,
               "unexpected content after last section");
    refuses(MODULE(SECTION(CODE, 0), SECTION(DATA_COUNT, 0)),
            "unexpected content after last section");
    accepts(MODULE(SECTION(DATA_COUNT, 0), SECTION(CODE, 0), SECTION(DATAS, 0)));
}

Test(decode, refuses_sections_of_the_wrong_size)
{
    refuses_at(MODULE(TYPES, 5, 0), 8, "length out of bounds");
    refuses_at(MODULE(SECTION(TYPES, 0, 0)), 11, "section size mismatch");
    refuses(MODULE(SECTION(TYPES, 1, FUNC, 0)), "unexpected end");
    refuses_at(MODULE(14, 0), 8, "malformed section id");
}

Test(decode, looks_at_the_names_of_custom_sections_only)
{
    accepts(MODULE(SECTION(0, 1, 'x', 0xff, 0xff), SECTION(TYPES, 0), SECTION(0, 0)));
    refuses(MODULE(0, 0), "unexpected end");
    refuses_at(MODULE(SECTION(0, 2, 'x')), 10, "length out of bounds");
    refuses_at(MODULE(SECTION(0, 1, 0xff)), 10, "malformed UTF-8 encoding");
}

/* ---------------------------------------------------------------- the parts */

Test(decode, keeps_types)
{
    struct loaded loaded = accept(MODULE(SECTION(TYPES, 2, FUNC, 2, I32, XREF, 1, F64, NO_TYPE)));
    const struct cn_functype *type = cn_module_functype(loaded.module, 0);

    cr_assert_eq(loaded.module->type_count, 2);
    cr_assert_eq(type->param_count, 2);
    cr_assert_eq(cn_functype_params(type)[1], CN_EXTERNREF);
    cr_assert_eq(cn_functype_results(type)[0], CN_F64);
    unload(&loaded);
}

Test(decode, refuses_types_that_are_none)
{
    refuses_at(MODULE(SECTION(TYPES, 1, 0x61, 0, 0)), 11, "malformed definition type");
    refuses_at(MODULE(SECTION(TYPES, 1, FUNC, 1, 0x68, 0)), 13, "malformed value type");
    refuses_at(MODULE(SECTION(TYPES, 1, FUNC, 1, 0x7a, 0)), 13,
               "malformed value type: found 0x7a");
    refuses_at(MODULE(SECTION(TYPES, 200, 1, FUNC, 0, 0)), 10,
               "unexpected end of section or function: 200 types announced");
}

Test(decode, counts_imports_first)
{
    struct loaded loaded = accept(MODULE(
        SECTION(TYPES, 1, NO_TYPE),
        SECTION(IMPORTS, 5, 1, 'm', 1, 'f', 0, 0, 1, 'm', 1, 'g', 3, I64, 1, 1, 'm', 1, 'h', 0, 0,
                1, 'm', 1, 't', 1, FREF, 0, 7, 1, 'm', 1, 'y', 2, 1, 1, 2),
        SECTION(FUNCTIONS, 1, 0), SECTION(TABLES, 1, XREF, 1, 0, 9),
        SECTION(GLOBALS, 1, I32, 0, 0x41, 5, END), SECTION(CODE, 1, BODY(0))));
    const struct cn_module *module = loaded.module;

    cr_assert_eq(module->import_count, 5);
    cr_assert_eq(module->imports[2].index, 1, "the second function");
    cr_assert(cn_bytes_equal(module->imports[2].name, cn_bytes_of("h")));
    cr_assert_eq(module->imported_func_count, 2);
    cr_assert_eq(module->func_count, 3);
    cr_assert_eq(module->funcs[0].body.size, 0);
    cr_assert_eq(module->funcs[2].body.size, 2);
    cr_assert_eq(module->table_count, 2);
    cr_assert_eq(module->tables[0].type.limits.min, 7);
    cr_assert_eq(module->tables[0].type.limits.max, UINT64_MAX);
    cr_assert_eq(module->tables[1].type.element, CN_EXTERNREF);
    cr_assert_eq(module->memories[0].limits.max, 2);
    cr_assert_eq(module->global_count, 2);
    cr_assert(module->globals[0].type.is_mutable);
    cr_assert_eq(module->globals[1].init.code.size, 3);
    unload(&loaded);
}

Test(decode, refuses_imports_of_unknown_things)
{
    refuses_at(MODULE(SECTION(IMPORTS, 1, 0, 0, 5, 0)), 13, "malformed import kind");
    refuses_at(MODULE(SECTION(IMPORTS, 1, 0, 0, 0, 0)), 14, "unknown type 0");
    refuses_at(MODULE(SECTION(IMPORTS, 1, 0, 0, 3, I32, 2)), 15, "malformed mutability");
}

Test(decode, wants_limits_in_order)
{
    refuses(MODULE(SECTION(TABLES, 1, FREF, 1, 2, 1)),
            "size minimum must not be greater than maximum");
    refuses_at(MODULE(SECTION(TABLES, 1, FREF, 2, 0)), 12, "malformed limits flags");
    refuses_at(MODULE(SECTION(TABLES, 1, I32, 0, 0)), 11, "malformed reference type");
    refuses(MODULE(SECTION(MEMORIES, 1, 0, 0x81, 0x80, 0x04)), "memory size must be at most");
    refuses(MODULE(SECTION(MEMORIES, 1, 1, 0, 0x81, 0x80, 0x04)), "memory size must be at most");
    accepts(MODULE(SECTION(MEMORIES, 1, 1, 0x80, 0x80, 0x04, 0x80, 0x80, 0x04)));
}

Test(decode, allows_many_memories)
{
    struct loaded loaded = load_bytes(
        MODULE(SECTION(IMPORTS, 1, 0, 0, 2, 0, 0), SECTION(MEMORIES, 2, 0, 0, 5, 1, 2)), cn_heap);

    cr_assert_eq(loaded.status, CN_OK);
    cr_assert_eq(loaded.module->memory_count, 3);
    cr_assert(loaded.module->memories[2].is_64);
    cr_assert_not(loaded.module->memories[1].is_64);
    unload(&loaded);
    refuses(MODULE(SECTION(MEMORIES, 1, 2, 0)), "shared memory must have maximum");
    refuses(MODULE(SECTION(MEMORIES, 1, 8, 0, 3)), "invalid custom page size");
    refuses(MODULE(SECTION(MEMORIES, 1, 16, 0)), "malformed limits flags");
}

Test(decode, keeps_exports_apart)
{
    struct loaded loaded = accept(MODULE(SECTION(MEMORIES, 1, 0, 0),
                                         SECTION(EXPORTS, 2, 1, 'a', 2, 0, 1, 'b', 2, 0)));
    const struct cn_export *export = cn_module_find_export(loaded.module, cn_bytes_of("b"));

    cr_assert_eq(export, &loaded.module->exports[1]);
    unload(&loaded);
    refuses(MODULE(SECTION(MEMORIES, 1, 0, 0),
                   SECTION(EXPORTS, 3, 1, 'a', 2, 0, 1, 'b', 2, 0, 1, 'a', 2, 0)),
            "duplicate export name: found \"a\" twice");
    refuses_at(MODULE(SECTION(EXPORTS, 1, 0, 2, 0)), 12, "unknown memory 0");
    refuses_at(MODULE(SECTION(EXPORTS, 1, 0, 9, 0)), 12, "malformed export kind");
}

/* A module that exports its memory under 1000 names of two letters; `twin` has the name of the
 * first, unless it is 0. */
static struct cn_bytes export_often(uint8_t *bytes, uint32_t twin)
{
    enum { NAMES = 1000, SIZE = 2 + NAMES * 5 };
    const uint8_t start[] = {HEADER, SECTION(MEMORIES, 1, 0, 0), EXPORTS, (SIZE & 0x7f) | 0x80,
                             SIZE >> 7, (NAMES & 0x7f) | 0x80, NAMES >> 7};
    uint8_t *at = bytes;

    memcpy(at, start, sizeof start);
    at += sizeof start;
    for (uint32_t i = 0; i < NAMES; i++) {
        uint32_t number = i > 0 && i == twin ? 0 : i * 389 % 1009; /* 1009 is prime */
        const uint8_t entry[] = {2, (uint8_t)('0' + number % 32), (uint8_t)('0' + number / 32),
                                 CN_EXTERN_MEMORY, 0};
        memcpy(at, entry, sizeof entry);
        at += sizeof entry;
    }
    return (struct cn_bytes){bytes, (size_t)(at - bytes)};
}

Test(decode, finds_equal_names_among_many)
{
    uint8_t bytes[8192];

    accepts(export_often(bytes, 0));
    refuses(export_often(bytes, 1), "duplicate export name: found \"00\" twice");
    refuses(export_often(bytes, 500), "duplicate export name: found \"00\" twice");
    refuses(export_often(bytes, 999), "duplicate export name: found \"00\" twice");
}

Test(decode, takes_a_start_function_of_no_type_only)
{
    struct loaded loaded = accept(MODULE(SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 1, 0),
                                         SECTION(START, 0), SECTION(CODE, 1, BODY(0))));

    cr_assert_eq(loaded.module->start, 0);
    unload(&loaded);
    refuses(MODULE(SECTION(START, 0)), "unknown function 0");
    refuses(MODULE(SECTION(TYPES, 1, FUNC, 1, I32, 0), SECTION(FUNCTIONS, 1, 0),
                   SECTION(START, 0), SECTION(CODE, 1, BODY(0))),
            "start function: expected type (), found (i32)");
}

Test(decode, wants_a_body_for_each_function)
{
    refuses(MODULE(SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 1, 0)),
            "function and code section have inconsistent lengths");
    refuses(MODULE(SECTION(CODE, 1, BODY(0))),
            "function and code section have inconsistent lengths");
    refuses(MODULE(SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 1, 0),
                   SECTION(CODE, 1, 9, 0, END)),
            "unexpected end of section or function: function body of 9 bytes");
}

Test(decode, wants_as_many_segments_as_announced)
{
    refuses(MODULE(SECTION(DATA_COUNT, 1)), "data count and data section");
    refuses(MODULE(SECTION(DATA_COUNT, 1), SECTION(DATAS, 0)), "data count and data section");
    accepts(MODULE(SECTION(DATA_COUNT, 1), SECTION(DATAS, 1, 1, 0)));
}

/* ---------------------------------------------------------------- segments */

Test(decode, knows_all_kinds_of_element_segments)
{
    struct loaded loaded = accept(MODULE(
        SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 1, 0),
        SECTION(TABLES, 2, FREF, 0, 9, XREF, 0, 9),
        SECTION(ELEMENTS, 8, 0, 0x41, 0, END, 2, 0, 0, 1, 0, 1, 0, 2, 0, 0x41, 1, END, 0, 0, 3, 0,
                1, 0, 4, 0x41, 2, END, 1, 0xd2, 0, END, 5, XREF, 1, 0xd0, XREF, END, 6, 1, 0x41,
                3, END, XREF, 0, 7, FREF, 0),
        SECTION(CODE, 1, BODY(0))));
    const struct cn_element_segment *elements = loaded.module->elements;

    cr_assert_eq(loaded.module->element_count, 8);
    cr_assert_eq(elements[0].count, 2);
    cr_assert_not_null(elements[0].funcs);
    cr_assert_eq(elements[1].mode, CN_SEGMENT_PASSIVE);
    cr_assert_eq(elements[3].mode, CN_SEGMENT_DECLARATIVE);
    cr_assert_eq(elements[4].exprs[0].code.size, 3);
    cr_assert_eq(elements[5].type, CN_EXTERNREF);
    cr_assert_eq(elements[6].table, 1);
    cr_assert_eq(elements[7].mode, CN_SEGMENT_DECLARATIVE);
    cr_assert(loaded.module->funcs[0].is_referenced);
    unload(&loaded);
}

Test(decode, refuses_element_segments_that_do_not_fit)
{
    refuses(MODULE(SECTION(ELEMENTS, 1, 8, 0, 0)), "malformed elements segment kind");
    refuses(MODULE(SECTION(ELEMENTS, 1, 0, 0x41, 0, END, 0)), "unknown table 0");
    refuses(MODULE(SECTION(ELEMENTS, 1, 1, 1, 0)), "malformed element kind");
    refuses(MODULE(SECTION(ELEMENTS, 1, 1, 0, 1, 3)), "unknown function 3");
    refuses(MODULE(SECTION(TABLES, 1, XREF, 0, 0), SECTION(ELEMENTS, 1, 0, 0x41, 0, END, 0)),
            "type mismatch: table 0 expects elements of externref, found (ref func)");
    refuses(MODULE(SECTION(ELEMENTS, 1, 5, FREF, 1, 0xd0, XREF, END)),
            "type mismatch: instruction requires [funcref] but stack has [externref]");
}

Test(decode, keeps_data_segments)
{
    struct loaded loaded = accept(MODULE(
        SECTION(MEMORIES, 1, 0, 1),
        SECTION(DATAS, 3, 0, 0x41, 7, END, 2, 'h', 'i', 1, 1, 'x', 2, 0, 0x41, 9, END, 0)));
    const struct cn_data_segment *datas = loaded.module->datas;

    cr_assert_eq(datas[0].mode, CN_SEGMENT_ACTIVE);
    cr_assert(cn_bytes_equal(datas[0].bytes, cn_bytes_of("hi")));
    cr_assert_eq(datas[1].mode, CN_SEGMENT_PASSIVE);
    cr_assert_eq(datas[2].offset.code.size, 3);
    unload(&loaded);
    refuses(MODULE(SECTION(DATAS, 1, 0, 0x41, 0, END, 0)), "unknown memory 0");
    refuses(MODULE(SECTION(DATAS, 1, 3, 0, 0)), "malformed data segment kind");
    refuses(MODULE(SECTION(DATAS, 1, 1, 5, 1)), "unexpected end of section or function");
}

/* ---------------------------------------------------------------- constant expressions */

#define GLOBAL(type, ...) MODULE(SECTION(GLOBALS, 1, type, 0, __VA_ARGS__))

Test(decode, types_constant_expressions)
{
    accepts(GLOBAL(I32, 0x41, 1, 0x41, 2, 0x6a, 0x41, 3, 0x6c, 0x41, 4, 0x6b, END));
    accepts(GLOBAL(I64, 0x42, 1, 0x42, 2, 0x7c, 0x42, 3, 0x7d, 0x42, 4, 0x7e, END));
    accepts(GLOBAL(F32, 0x43, 0, 0, 0, 0, END));
    accepts(GLOBAL(F64, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, END));
    accepts(GLOBAL(XREF, 0xd0, XREF, END));
    refuses(GLOBAL(I32, 0x42, 1, END), "type mismatch: instruction requires [i32] but stack has");
    refuses(GLOBAL(I32, END, 0), "type mismatch: instruction requires [i32] but stack has []");
    refuses(GLOBAL(I32, 0x41, 1, 0x41, 1, END), "type mismatch: constant expression expects one");
    refuses(GLOBAL(I32, 0x41, 1, 0x6a, END),
            "type mismatch: instruction requires [i32] but stack has []");
    refuses(GLOBAL(I32, 0x41, 1, 0x45, END), "constant expression required: found i32.eqz");
    refuses(GLOBAL(I32, 0x41, 1, 0xfc, 0, END), "constant expression required");
    refuses(GLOBAL(I32, 0x41, 1, 0xff, END), "illegal opcode ff");
    refuses(GLOBAL(I32, 0x41, 1, 0x01), "constant expression required: found nop");
    refuses(GLOBAL(I32, 0x41, 1, 0x41), "unexpected end of section or function");
    refuses(GLOBAL(FREF, 0xd2, 0, END), "unknown function 0");
}

Test(decode, lets_constant_expressions_read_earlier_globals)
{
    accepts(MODULE(SECTION(GLOBALS, 2, I32, 0, 0x41, 1, END, I32, 0, 0x23, 0, END)));
    refuses(MODULE(SECTION(GLOBALS, 1, I32, 0, 0x23, 0, END)), "unknown global 0");
    refuses(MODULE(SECTION(GLOBALS, 2, I32, 1, 0x41, 1, END, I32, 0, 0x23, 0, END)),
            "constant expression required: global 0 is mutable");
}

Test(decode, notes_functions_that_globals_name)
{
    struct loaded loaded = accept(MODULE(SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 2, 0, 0),
                                         SECTION(GLOBALS, 1, FREF, 0, 0xd2, 1, END),
                                         SECTION(CODE, 2, BODY(0), BODY(0))));

    cr_assert_not(loaded.module->funcs[0].is_referenced);
    cr_assert(loaded.module->funcs[1].is_referenced);
    unload(&loaded);
}

/* ---------------------------------------------------------------- names */

#define NAMED(...)                                                                                 \
    MODULE(SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 3, 0, 0, 0),                             \
           SECTION(CODE, 3, BODY(0), BODY(0), BODY(0)),                                            \
           SECTION(0, 4, 'n', 'a', 'm', 'e', __VA_ARGS__))

Test(decode, keeps_names)
{
    struct loaded loaded = accept(NAMED(0, 2, 1, 'M', 1, 7, 2, 0, 1, 'a', 2, 1, 'c'));

    cr_assert(cn_bytes_equal(loaded.module->name, cn_bytes_of("M")));
    cr_assert(cn_bytes_equal(cn_module_func_name(loaded.module, 2), cn_bytes_of("c")));
    cr_assert_eq(cn_module_func_name(loaded.module, 1).size, 0);
    unload(&loaded);
}

static void expect_names(struct cn_bytes bytes, uint32_t count)
{
    struct loaded loaded = accept(bytes);

    cr_assert_eq(loaded.module->func_name_count, count, "%u names",
                 loaded.module->func_name_count);
    unload(&loaded);
}

Test(decode, leaves_out_names_that_are_broken)
{
    expect_names(NAMED(1), 0);
    expect_names(NAMED(1, 9, 1, 0, 1, 'a'), 0);
    expect_names(NAMED(1, 0x84, 0x80, 0x80, 0x80, 0x80, 0), 0);
    expect_names(NAMED(1, 4, 9, 0, 1, 'a'), 1);
    expect_names(NAMED(1, 7, 2, 0, 1, 0xff, 1, 1, 'b'), 1);
    expect_names(NAMED(1, 7, 2, 1, 1, 'b', 0, 1, 'a'), 1);
    expect_names(NAMED(1, 7, 2, 0, 1, 'a', 9, 1, 'b'), 1);
    expect_names(NAMED(2, 1, 0, 1, 4, 1, 0, 1, 'a'), 1);
}

/* ---------------------------------------------------------------- memory */

/* Gives `left` blocks, then none; knows what is out, and how much was at most. */
struct scarce {
    size_t left;
    size_t used;
    size_t peak;
};

static void *scarce_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct scarce *scarce = context;

    cr_assert_geq(scarce->used, old_size);
    if (new_size == 0) {
        free(old);
        scarce->used -= old_size;
        return NULL;
    }
    if (scarce->left == 0)
        return NULL;
    scarce->left--;
    scarce->used += new_size - old_size;
    scarce->peak = scarce->used > scarce->peak ? scarce->used : scarce->peak;
    return realloc(old, new_size);
}

Test(decode, gives_all_memory_back_whichever_allocation_fails)
{
    struct cn_bytes bytes = MODULE(
        SECTION(TYPES, 1, FUNC, 1, I32, 0), SECTION(IMPORTS, 1, 0, 0, 3, I32, 0),
        SECTION(FUNCTIONS, 1, 0), SECTION(TABLES, 1, FREF, 0, 0), SECTION(MEMORIES, 1, 0, 0),
        SECTION(GLOBALS, 1, I32, 0, 0x23, 0, END), SECTION(EXPORTS, 1, 0, 0, 0),
        SECTION(ELEMENTS, 1, 1, 0, 1, 0), SECTION(CODE, 1, BODY(1, 3, I32, 0x02, 0x40, 0x0b)),
        SECTION(DATAS, 1, 1, 1, 'x'), SECTION(0, 4, 'n', 'a', 'm', 'e', 1, 4, 1, 0, 1, 'f'));
    size_t failures = 0;

    for (size_t count = 0;; count++) {
        struct scarce scarce = {.left = count};
        struct cn_allocator allocator = {scarce_resize, &scarce};
        struct loaded loaded = load_bytes(bytes, allocator);
        if (loaded.status == CN_OK)
            cn_module_free(loaded.module);
        else
            cr_assert_eq(loaded.error.status, CN_NO_MEMORY);
        free(loaded.copy);
        cr_assert_eq(scarce.used, 0, "%zu bytes lost with %zu allocations", scarce.used, count);
        if (loaded.status == CN_OK)
            break;
        failures++;
    }
    cr_assert_gt(failures, 5);
}

Test(decode, takes_no_memory_for_counts_that_cannot_be)
{
    for (uint8_t id = TYPES; id <= DATAS; id++) {
        const uint8_t bytes[] = {HEADER, id, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0};
        struct scarce scarce = {.left = SIZE_MAX};
        struct cn_allocator allocator = {scarce_resize, &scarce};
        struct loaded loaded =
            load_bytes((struct cn_bytes){bytes, sizeof bytes}, allocator);
        cr_assert_neq(loaded.status, CN_OK);
        cr_assert_lt(scarce.peak, 64 * 1024, "section %u: %zu bytes", id, scarce.peak);
        free(loaded.copy);
    }
}
