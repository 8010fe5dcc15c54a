#include "loader/print.h"

#include <inttypes.h>

#include "loader/decode.h"
#include "loader/print_inside.h"

/* ---------------------------------------------------------------- types */

static void say_storage(struct cn_printer *p, const struct cn_field_type *field)
{
    if (field->is_mutable)
        cn_say(p, "(mut ");
    cn_say_valtype(p, field->type);
    if (field->is_mutable)
        cn_say(p, ")");
}

static void say_composite(struct cn_printer *p, const struct cn_deftype *type)
{
    switch ((enum cn_deftype_kind)type->kind) {
    case CN_DEF_FUNC:
        cn_say(p, "(func");
        cn_say_signature(p, &type->func);
        break;
    case CN_DEF_STRUCT:
        cn_say(p, "(struct");
        for (uint32_t i = 0; i < type->field_count; i++) {
            cn_say(p, " (field ");
            say_storage(p, &type->fields[i]);
            cn_say(p, ")");
        }
        break;
    case CN_DEF_ARRAY:
        cn_say(p, "(array ");
        say_storage(p, type->fields);
        break;
    }
    cn_say(p, ")");
}

static void say_type(struct cn_printer *p, uint32_t index)
{
    const struct cn_deftype *type = &p->module->types[index];
    bool is_sub = !type->is_final || type->super != CN_NO_INDEX;

    cn_say(p, "(type (;%u;) ", index);
    if (is_sub)
        cn_say(p, type->is_final ? "(sub final " : "(sub ");
    if (type->super != CN_NO_INDEX) {
        uint32_t distance = type->super - p->group->canonical;
        cn_say(p, "%u ", distance < p->group->group_size ? p->group->group + distance
                                                         : type->super);
    }
    say_composite(p, type);
    cn_say(p, is_sub ? "))" : ")");
}

static void print_types(struct cn_printer *p)
{
    const struct cn_module *module = p->module;

    for (uint32_t i = 0; i < module->type_count;) {
        uint32_t end = i + module->types[i].group_size;
        bool is_group = end - i > 1;
        p->group = &module->types[i];
        cn_new_line(p, 1);
        if (is_group)
            cn_say(p, "(rec");
        for (; i < end; i++) {
            if (is_group)
                cn_new_line(p, 2);
            say_type(p, i);
        }
        if (is_group)
            cn_say(p, ")");
    }
    p->group = NULL;
}

static void say_limits(struct cn_printer *p, const struct cn_limits *limits, bool is_64)
{
    cn_say(p, is_64 ? " i64 %" PRIu64 : " %" PRIu64, limits->min);
    if (limits->max != UINT64_MAX)
        cn_say(p, " %" PRIu64, limits->max);
}

static void say_table_type(struct cn_printer *p, const struct cn_table_type *type)
{
    say_limits(p, &type->limits, type->is_64);
    cn_say(p, " ");
    cn_say_valtype(p, type->element);
}

static void say_memory_type(struct cn_printer *p, const struct cn_memory_type *type)
{
    say_limits(p, &type->limits, type->is_64);
    if (type->is_shared)
        cn_say(p, " shared");
    if (type->page_log2 != CN_PAGE_LOG2)
        cn_say(p, " (pagesize %u)", 1u << type->page_log2);
}

static void say_global_type(struct cn_printer *p, const struct cn_global_type *type)
{
    cn_say(p, type->is_mutable ? " (mut " : " ");
    cn_say_valtype(p, type->type);
    if (type->is_mutable)
        cn_say(p, ")");
}

/* ---------------------------------------------------------------- functions */

/* " $name", or an annotation where another function has that name, and the number. */
static void say_func_id(struct cn_printer *p, uint32_t func)
{
    struct cn_bytes name = cn_module_given_name(p->module, func);

    if (name.size > 0 && cn_names_find(&p->names, CN_SPACE_FUNC, 0, name) == func)
        cn_say_func(p, func);
    cn_say(p, " (;%u;)", func);
    if (name.size > 0 && cn_names_find(&p->names, CN_SPACE_FUNC, 0, name) != func) {
        cn_say(p, " (@name ");
        cn_say_string(p, name);
        cn_say(p, ")");
    }
}

/* The signature is for the reader; where equal types have several numbers it could not be the
 * words of the type. */
static void say_type_use(struct cn_printer *p, uint32_t type)
{
    cn_say(p, " (type %u)", type);
    if (p->module->types[type].canonical == type)
        cn_say_signature(p, cn_module_functype(p->module, type));
}

/* Declarations of locals; leaves the code behind them. */
static void print_locals(struct cn_printer *p, struct cn_bytes *body)
{
    struct cn_reader reader = cn_reader_of(*body, p->module->file, NULL);
    uint32_t runs = 0, count = 0;
    cn_valtype type;

    if (cn_read_u32(&reader, &runs) != CN_OK)
        return;
    while (runs-- > 0 && cn_read_u32(&reader, &count) == CN_OK &&
           cn_read_valtype(p->module, &reader, &type) == CN_OK) {
        if (count == 0)
            continue;
        cn_new_line(p, 2);
        cn_say(p, "(local");
        for (; count > 0; count--) {
            cn_say(p, " ");
            cn_say_valtype(p, type);
        }
        cn_say(p, ")");
    }
    body->size -= (size_t)(reader.at - body->at);
    body->at = reader.at;
}

static void print_func(struct cn_printer *p, uint32_t func)
{
    struct cn_bytes body = p->module->funcs[func].body;

    cn_new_line(p, 1);
    cn_say(p, "(func");
    say_func_id(p, func);
    say_type_use(p, p->module->funcs[func].type);
    print_locals(p, &body);
    cn_print_body(p, body, 2);
    cn_say(p, ")");
}

/* ---------------------------------------------------------------- imports and exports */

static void print_import(struct cn_printer *p, const struct cn_import *import)
{
    const struct cn_module *module = p->module;
    uint32_t index = import->index;

    cn_new_line(p, 1);
    cn_say(p, "(import ");
    cn_say_string(p, import->module);
    cn_say(p, " ");
    cn_say_string(p, import->name);
    switch (import->kind) {
    case CN_EXTERN_FUNC:
        cn_say(p, " (func");
        say_func_id(p, index);
        say_type_use(p, module->funcs[index].type);
        break;
    case CN_EXTERN_TABLE:
        cn_say(p, " (table (;%u;)", index);
        say_table_type(p, &module->tables[index].type);
        break;
    case CN_EXTERN_MEMORY:
        cn_say(p, " (memory (;%u;)", index);
        say_memory_type(p, &module->memories[index]);
        break;
    case CN_EXTERN_GLOBAL:
        cn_say(p, " (global (;%u;)", index);
        say_global_type(p, &module->globals[index].type);
        break;
    case CN_EXTERN_TAG:
        cn_say(p, " (tag (;%u;)", index);
        say_type_use(p, module->tags[index]);
        break;
    }
    cn_say(p, "))");
}

static void print_export(struct cn_printer *p, const struct cn_export *export)
{
    static const char *const words[] = {"func", "table", "memory", "global", "tag"};

    cn_new_line(p, 1);
    cn_say(p, "(export ");
    cn_say_string(p, export->name);
    cn_say(p, " (%s", words[export->kind]);
    if (export->kind == CN_EXTERN_FUNC)
        cn_say_func(p, export->index);
    else
        cn_say(p, " %u", export->index);
    cn_say(p, "))");
}

/* ---------------------------------------------------------------- definitions */

static void print_tables(struct cn_printer *p)
{
    const struct cn_module *module = p->module;

    for (uint32_t i = module->imported_table_count; i < module->table_count; i++) {
        cn_new_line(p, 1);
        cn_say(p, "(table (;%u;)", i);
        say_table_type(p, &module->tables[i].type);
        if (module->tables[i].init.code.size > 0)
            cn_print_constant(p, module->tables[i].init);
        cn_say(p, ")");
    }
}

static void print_memories_and_tags(struct cn_printer *p)
{
    const struct cn_module *module = p->module;

    for (uint32_t i = module->imported_memory_count; i < module->memory_count; i++) {
        cn_new_line(p, 1);
        cn_say(p, "(memory (;%u;)", i);
        say_memory_type(p, &module->memories[i]);
        cn_say(p, ")");
    }
    for (uint32_t i = module->imported_tag_count; i < module->tag_count; i++) {
        cn_new_line(p, 1);
        cn_say(p, "(tag (;%u;)", i);
        say_type_use(p, module->tags[i]);
        cn_say(p, ")");
    }
}

static void print_globals(struct cn_printer *p)
{
    const struct cn_module *module = p->module;

    for (uint32_t i = module->imported_global_count; i < module->global_count; i++) {
        cn_new_line(p, 1);
        cn_say(p, "(global (;%u;)", i);
        say_global_type(p, &module->globals[i].type);
        cn_print_constant(p, module->globals[i].init);
        cn_say(p, ")");
    }
}

static void say_offset(struct cn_printer *p, struct cn_constexpr offset)
{
    cn_say(p, " (offset");
    cn_print_constant(p, offset);
    cn_say(p, ")");
}

static void print_element(struct cn_printer *p, uint32_t index)
{
    const struct cn_element_segment *segment = &p->module->elements[index];

    cn_new_line(p, 1);
    cn_say(p, "(elem (;%u;)", index);
    if (segment->mode == CN_SEGMENT_DECLARATIVE)
        cn_say(p, " declare");
    if (segment->mode == CN_SEGMENT_ACTIVE) {
        cn_say(p, " (table %u)", segment->table);
        say_offset(p, segment->offset);
    }
    cn_say(p, " ");
    if (segment->funcs != NULL || segment->exprs == NULL)
        cn_say(p, "func");
    else
        cn_say_valtype(p, segment->type);
    for (uint32_t i = 0; i < segment->count; i++) {
        if (segment->exprs == NULL) {
            cn_say_func(p, segment->funcs[i]);
            continue;
        }
        cn_say(p, " (item");
        cn_print_constant(p, segment->exprs[i]);
        cn_say(p, ")");
    }
    cn_say(p, ")");
}

static void print_data(struct cn_printer *p, uint32_t index)
{
    const struct cn_data_segment *segment = &p->module->datas[index];

    cn_new_line(p, 1);
    cn_say(p, "(data (;%u;)", index);
    if (segment->mode == CN_SEGMENT_ACTIVE) {
        cn_say(p, " (memory %u)", segment->memory);
        say_offset(p, segment->offset);
    }
    cn_say(p, " ");
    cn_say_string(p, segment->bytes);
    cn_say(p, ")");
}

/* ---------------------------------------------------------------- custom sections */

static const char *const section_words[] = {
    NULL,     "type",  "import", "func", "table", "memory",    "global",
    "export", "start", "elem",   "code", "data",  "datacount", "tag"};

static void print_custom(struct cn_printer *p, struct cn_reader *section, uint8_t before)
{
    struct cn_bytes name;

    if (cn_read_name(section, "name", &name) != CN_OK ||
        cn_bytes_equal(name, cn_bytes_of("name")))
        return;
    cn_new_line(p, 1);
    cn_say(p, "(@custom ");
    cn_say_string(p, name);
    if (before == 0)
        cn_say(p, " (before first) ");
    else
        cn_say(p, " (after %s) ", section_words[before]);
    cn_say_string(p, (struct cn_bytes){section->at, cn_reader_left(section)});
    cn_say(p, ")");
}

/* The file once more: the module does not keep them. */
static void print_customs(struct cn_printer *p)
{
    struct cn_bytes file = p->module->file, content;
    struct cn_reader reader = cn_reader_of(file, file, NULL);
    uint8_t id, before = 0;

    for (reader.at += 8; cn_read_u8(&reader, &id) == CN_OK &&
                         cn_read_sized(&reader, "section", &content) == CN_OK;) {
        struct cn_reader section = cn_reader_of(content, file, NULL);
        if (id == 0)
            print_custom(p, &section, before);
        else
            before = id;
    }
}

/* ---------------------------------------------------------------- the module */

/* The first function of a name has it. */
static enum cn_status name_funcs(struct cn_printer *p)
{
    const struct cn_module *module = p->module;

    for (uint32_t i = module->func_name_count; i-- > 0;)
        if (module->func_names[i].name.size > 0)
            CN_TRY(cn_names_set(&p->names, CN_SPACE_FUNC, 0, module->func_names[i].name,
                                module->func_names[i].index));
    return CN_OK;
}

static void print_module(struct cn_printer *p)
{
    const struct cn_module *module = p->module;

    cn_say(p, "(module");
    if (module->name.size > 0) {
        cn_say(p, " (@name ");
        cn_say_string(p, module->name);
        cn_say(p, ")");
    }
    print_types(p);
    for (uint32_t i = 0; i < module->import_count; i++)
        print_import(p, &module->imports[i]);
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++)
        print_func(p, i);
    print_tables(p);
    print_memories_and_tags(p);
    print_globals(p);
    for (uint32_t i = 0; i < module->export_count; i++)
        print_export(p, &module->exports[i]);
    if (module->start != CN_NO_INDEX) {
        cn_new_line(p, 1);
        cn_say(p, "(start");
        cn_say_func(p, module->start);
        cn_say(p, ")");
    }
    for (uint32_t i = 0; i < module->element_count; i++)
        print_element(p, i);
    for (uint32_t i = 0; i < module->data_count; i++)
        print_data(p, i);
    print_customs(p);
    cn_say(p, ")\n");
}

enum cn_status cn_print(const struct cn_module *module, struct cn_buffer *out)
{
    struct cn_printer p = {.module = module, .out = out};

    cn_names_init(&p.names, out->allocator);
    enum cn_status status = name_funcs(&p);
    if (status == CN_OK)
        print_module(&p);
    cn_names_release(&p.names);
    return status == CN_OK && out->failed ? CN_NO_MEMORY : status;
}
