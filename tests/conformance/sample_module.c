#include "tests/conformance/sample_module.h"

static const cn_valtype values[] = {CN_I32, CN_I32, CN_I32, CN_F64, CN_F64, CN_EXTERNREF,
                                    CN_FUNCREF, CN_EXTERNREF, CN_I64, CN_I32, CN_I64, CN_F32,
                                    CN_F32, CN_F32, CN_I32, CN_V128, CN_I32, CN_V128};
static const struct cn_field_type fields[] = {
    {CN_I32, true}, {CN_EXTERNREF, true}, {CN_I8, true}, {CN_F64, true}, {CN_V128, true},
    {CN_EXTERNREF, true}, {CN_I8, true}, {CN_I64, true}};
#define OBJECT(number, kind_, count, first)                                                        \
    {                                                                                              \
        .kind = kind_, .is_final = true, .super = CN_NO_INDEX, .canonical = number,                \
        .group = number, .group_size = 1, .field_count = count, .fields = first                    \
    }
static struct cn_deftype types[] = {
    CN_DEFTYPE(0, 0, 0, values),
    CN_DEFTYPE(1, 2, 1, values),
    CN_DEFTYPE(2, 1, 1, values + 3),
    CN_DEFTYPE(3, 2, 1, values + 5),
    CN_DEFTYPE(4, 1, 3, values + 8),
    CN_DEFTYPE(5, 1, 1, values + 12),
    CN_DEFTYPE(6, 0, 1, values + 14),
    {.kind = CN_DEF_FUNC, .is_final = true, .super = CN_NO_INDEX, .canonical = 7, .group = 7,
     .group_size = 1, .func = {2, 1, values + 15, 3, 2}},
    OBJECT(8, CN_DEF_STRUCT, 5, fields),
    OBJECT(9, CN_DEF_ARRAY, 1, fields + 5),
    OBJECT(10, CN_DEF_ARRAY, 1, fields + 6),
    OBJECT(11, CN_DEF_ARRAY, 1, fields + 7),
};
static const uint8_t body[] = {0, 0x0b};
#define OWN(number) {.type = number, .is_referenced = true, .body = {body, sizeof body}}
static struct cn_funcdecl funcs[] = {{.type = 1}, OWN(1), OWN(0), OWN(2),
                                     OWN(3),      OWN(4), OWN(5), OWN(6), OWN(7)};
static struct cn_import imports[] = {
    {{(const uint8_t *)"env", 3}, {(const uint8_t *)"f", 1}, CN_EXTERN_FUNC, 0}};
static struct cn_tabledecl tables[] = {{.type = {CN_FUNCREF, {8, UINT64_MAX}, false}},
                                        {.type = {CN_EXTERNREF, {8, 20}, false}},
                                        {.type = {CN_FUNCREF, {3, UINT64_MAX}, false}}};
static struct cn_memory_type memories[] = {
    {.limits = {1, 3}, .page_log2 = CN_PAGE_LOG2},
    {.limits = {0, 2}, .page_log2 = CN_PAGE_LOG2},
};

#define BYTES(...) {{(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})}}
static struct cn_globaldecl globals[] = {
    {{CN_I32, true}, BYTES(0x41, 5, 0x0b)},
    {{CN_I64, false}, BYTES(0x42, 6, 0x0b)},
    {{CN_EXTERNREF, true}, BYTES(0xd0, 0x6f, 0x0b)},
    {{CN_F64, true}, BYTES(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x0b)},
    {{CN_FUNCREF, false}, BYTES(0xd2, 7, 0x0b)},
    {{CN_V128, true}, BYTES(0xfd, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0x0b)},
};
static const uint32_t first_elements[] = {1, 2, 3, 4, 5, 6, 7, 0};
static struct cn_constexpr null_elements[] = {BYTES(0xd0, 0x6f, 0x0b)};
static struct cn_element_segment elements[] = {
    {CN_SEGMENT_ACTIVE, CN_FUNCREF, 0, BYTES(0x41, 0, 0x0b), 8, first_elements, NULL},
    {CN_SEGMENT_PASSIVE, CN_EXTERNREF, 0, {{NULL, 0}}, 1, NULL, null_elements}};
static struct cn_data_segment datas[] = {
    {CN_SEGMENT_PASSIVE, 0, {{NULL, 0}}, {(const uint8_t *)"some data", 9}}};

/* Nothing; externref and funcref; v128 and i32. */
static uint32_t tags[] = {0, 3, 7};

static const struct cn_module bare = {
    .types = types, .type_count = 12,
    .imports = imports, .import_count = 1,
    .funcs = funcs, .func_count = 9, .imported_func_count = 1,
    .start = CN_NO_INDEX,
};

static const struct cn_module sample = {
    .types = types, .type_count = 12,
    .imports = imports, .import_count = 1,
    .funcs = funcs, .func_count = 9, .imported_func_count = 1,
    .tables = tables, .table_count = 3,
    .memories = memories, .memory_count = 2,
    .tags = tags, .tag_count = 3,
    .globals = globals, .global_count = 6,
    .elements = elements, .element_count = 2,
    .datas = datas, .data_count = 1,
    .start = CN_NO_INDEX,
};

const struct cn_module *sample_module(void)
{
    return &sample;
}

const struct cn_module *bare_module(void)
{
    return &bare;
}
