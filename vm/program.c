#include "vm/program.h"

#include <stdio.h>
#include <string.h>

#include "core/name.h"
#include "vm/handlers.h"
#include "vm/maps.h"
#include "vm/types.h"
#include "vm/verify.h"

/* A larger scratch is not kept for the next function. */
#define SCRATCH_KEPT ((size_t)1 << 20)

static uint32_t header_slots(const struct cn_functype *type)
{
    return type->param_slots > type->result_slots ? type->param_slots : type->result_slots;
}

/* Whether functions of the module are likely to have references to the heap in their slots. */
static bool has_heap_refs(const struct cn_module *module)
{
    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct cn_deftype *type = &module->types[i];
        if (type->kind != CN_DEF_FUNC)
            return true;
        for (uint32_t j = 0; j < type->func.param_count + type->func.result_count; j++)
            if (cn_valtype_is_heap_ref(type->func.types[j]))
                return true;
    }
    for (uint32_t i = 0; i < module->table_count; i++)
        if (cn_valtype_is_heap_ref(module->tables[i].type.element))
            return true;
    for (uint32_t i = 0; i < module->global_count; i++)
        if (cn_valtype_is_heap_ref(module->globals[i].type.type))
            return true;
    return false;
}

static void place_fields(struct cn_program *program)
{
    const struct cn_module *module = program->module;
    uint32_t *next = program->offsets;

    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct cn_deftype *type = &module->types[i];
        uint32_t end = CN_OBJECT_HEADER;
        program->first_offset[i] = (uint32_t)(next - program->offsets);
        for (uint32_t j = 0; j < type->field_count; j++) {
            *next = cn_field_place(end, type->fields[j].type);
            end = *next++ + cn_storage_size(type->fields[j].type);
        }
    }
}

static bool make_tables(struct cn_program *program)
{
    const struct cn_module *module = program->module;
    struct cn_allocator allocator = program->allocator;
    size_t count = module->func_count;

    for (uint32_t i = 0; i < module->type_count; i++)
        program->offset_count += module->types[i].field_count;
    program->funcs = cn_alloc_array(allocator, count, sizeof *program->funcs);
    program->by_place = cn_alloc_array(allocator, count, sizeof *program->by_place);
    program->newest = cn_alloc_array(allocator, count, sizeof *program->newest);
    program->offsets = cn_alloc_array(allocator, program->offset_count, sizeof *program->offsets);
    program->first_offset =
        cn_alloc_array(allocator, module->type_count, sizeof *program->first_offset);
    return program->funcs != NULL && program->by_place != NULL && program->newest != NULL &&
           program->offsets != NULL && program->first_offset != NULL;
}

static void free_tables(struct cn_program *program)
{
    struct cn_allocator allocator = program->allocator;
    size_t count = program->module->func_count;

    cn_free(allocator, program->by_place, count * sizeof *program->by_place);
    cn_free(allocator, program->newest, count * sizeof *program->newest);
    cn_free(allocator, program->funcs, count * sizeof *program->funcs);
    cn_free(allocator, program->offsets, program->offset_count * sizeof *program->offsets);
    cn_free(allocator, program->first_offset,
            (size_t)program->module->type_count * sizeof *program->first_offset);
    cn_free(allocator, program, sizeof *program);
}

enum cn_status cn_program_new(struct cn_program **result, const struct cn_module *module,
                              struct cn_allocator allocator)
{
    struct cn_program *program = cn_alloc(allocator, sizeof *program);
    uint64_t stub = cn_stub_handler();

    if (program == NULL)
        return CN_NO_MEMORY;
    program->module = module;
    program->allocator = allocator;
    program->code_per_byte =
        has_heap_refs(module) ? CN_CODE_BYTES_WITH_MAPS : CN_CODE_BYTES_PER_BODY_BYTE;
    if (!make_tables(program)) {
        free_tables(program);
        return CN_NO_MEMORY;
    }
    place_fields(program);
    for (uint32_t i = 0; i < module->func_count; i++) {
        struct cn_funcode *code = &program->funcs[i];
        code->func = i;
        program->code_size_max += (uint64_t)module->funcs[i].body.size * program->code_per_byte;
        code->params = cn_module_type_of(module, i)->param_slots;
        code->stub = stub;
        code->entry = (const uint8_t *)&code->stub;
        code->header = header_slots(cn_module_type_of(module, i));
        code->frame = code->header + CN_FRAME_HEADER;
    }
    program->code_size_max += CN_CODE_BYTES_SPARE;
    *result = program;
    return CN_OK;
}

void cn_program_free(struct cn_program *program)
{
    if (program == NULL)
        return;
    for (uint32_t i = 0; i < program->module->func_count; i++) {
        const struct cn_funcode *code = &program->funcs[i];
        cn_free(program->allocator, code->bytes, code->block_size);
        cn_free(program->allocator, code->handlers,
                code->handler_count * sizeof *code->handlers);
    }
    cn_free(program->allocator, program->scratch, program->scratch_size);
    free_tables(program);
}

/* ------------------------------------------------------------------ finding code */

static const uint8_t *place_of(const struct cn_program *program, uint32_t func)
{
    return program->funcs[func].bytes;
}

/* Lets the entry at `root` sink until no child stands behind it. */
static void sink(const struct cn_program *program, uint32_t root, uint32_t count)
{
    uint32_t *heap = program->newest;

    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count &&
            place_of(program, heap[child]) < place_of(program, heap[child + 1]))
            child++;
        if (place_of(program, heap[root]) >= place_of(program, heap[child]))
            return;
        uint32_t held = heap[root];
        heap[root] = heap[child];
        heap[child] = held;
        root = child;
    }
}

/* Sorts the newest ones and merges them with the others, from the back. */
static void sort_by_place(struct cn_program *program)
{
    uint32_t *newest = program->newest, count = program->newest_count;

    for (uint32_t i = count / 2; i-- > 0;)
        sink(program, i, count);
    for (uint32_t last = count; last-- > 1;) {
        uint32_t held = newest[0];
        newest[0] = newest[last];
        newest[last] = held;
        sink(program, 0, last);
    }
    uint32_t old = program->sorted, to = old + count;
    while (count > 0) {
        bool takes_old = old > 0 && place_of(program, program->by_place[old - 1]) >
                                        place_of(program, newest[count - 1]);
        program->by_place[--to] = takes_old ? program->by_place[--old] : newest[--count];
    }
    program->sorted += program->newest_count;
    program->newest_count = 0;
}

/* Held for a search or a sort, never while waiting for anything. */
static void lock_order(struct cn_program *program)
{
    while (atomic_flag_test_and_set_explicit(&program->order_lock, memory_order_acquire))
        ;
}

static const struct cn_funcode *find(const struct cn_program *program, const uint8_t *pc)
{
    uint32_t low = 0, high;

    for (high = program->sorted; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        const struct cn_funcode *code = &program->funcs[program->by_place[middle]];
        if (pc < code->bytes)
            high = middle;
        else if (pc >= code->bytes + code->size)
            low = middle + 1;
        else
            return code;
    }
    return NULL;
}

const struct cn_funcode *cn_program_find(struct cn_program *program, const uint8_t *pc)
{
    lock_order(program);
    if (program->newest_count > 0)
        sort_by_place(program);
    const struct cn_funcode *found = find(program, pc);
    atomic_flag_clear_explicit(&program->order_lock, memory_order_release);
    return found;
}

/* ------------------------------------------------------------------ installing */

static enum cn_status make_scratch(struct cn_program *program, size_t size)
{
    if (size <= program->scratch_size)
        return CN_OK;
    uint8_t *scratch =
        cn_resize(program->allocator, program->scratch, program->scratch_size, size);
    if (scratch == NULL)
        return CN_NO_MEMORY;
    program->scratch = scratch;
    program->scratch_size = size;
    return CN_OK;
}

static void shed_scratch(struct cn_program *program)
{
    if (program->scratch_size <= SCRATCH_KEPT)
        return;
    cn_free(program->allocator, program->scratch, program->scratch_size);
    program->scratch = NULL;
    program->scratch_size = 0;
}

static enum cn_status tell_verdict(const struct cn_program *program, uint32_t func,
                                   const struct cn_verdict *verdict, struct cn_error *error)
{
    struct cn_bytes given = {NULL, 0};
    char name[64], detail[64] = "";
    const char *what = cn_rule_number(verdict->rule);

    if (func < program->module->func_count)
        given = cn_module_func_name(program->module, func);
    if (what[0] != '\0')
        snprintf(detail, sizeof detail, ": %s %u", what, verdict->number);
    return cn_fail(error, CN_UNVERIFIED, verdict->offset, "function %u%s%s at %u: %s%s", func,
                   given.size ? " " : "", cn_name_print(given, name, sizeof name),
                   verdict->offset, cn_rule_text(verdict->rule), detail);
}

/* A copy of the handlers for the function to keep; labels become offsets. */
static enum cn_status keep_handlers(struct cn_program *program, const struct cn_code *code)
{
    struct cn_funcode *made = &program->funcs[code->func];
    size_t size = code->handler_count * sizeof *made->handlers;

    if (size == 0)
        return CN_OK;
    if (made->handlers == NULL) /* else from an attempt for which memory did not suffice */
        made->handlers = cn_resize(program->allocator, NULL, 0, size);
    if (made->handlers == NULL)
        return CN_NO_MEMORY;
    made->handler_count = code->handler_count;
    memcpy(made->handlers, code->handlers, size);
    for (uint32_t i = 0; i < code->handler_count; i++)
        if (made->handlers[i].label != CN_NO_LABEL)
            made->handlers[i].label = code->labels[made->handlers[i].label].offset;
    return CN_OK;
}

static enum cn_status refuse_size(const struct cn_program *program, struct cn_error *error)
{
    return cn_fail(error, CN_TOO_LARGE, CN_NO_OFFSET,
                   "the module's register code exceeds %u bytes per byte of its bodies",
                   program->code_per_byte);
}

/* Puts the maps behind the verified code and lets it be run. */
static enum cn_status publish(struct cn_program *program, const struct cn_code *code,
                              uint8_t *bytes, const struct cn_maps *maps, struct cn_error *error)
{
    struct cn_funcode *made = &program->funcs[code->func];
    uint64_t block_size = code->size + cn_maps_size(maps);
    uint64_t size = block_size + (uint64_t)code->handler_count * sizeof *code->handlers;

    if (size > program->code_size_max - program->code_size)
        return refuse_size(program, error);
    if (keep_handlers(program, code) != CN_OK)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory for handlers");
    uint8_t *block = cn_resize(program->allocator, bytes, code->size, block_size);
    if (block == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory for the maps of code");
    made->points = cn_maps_write(maps, block + code->size);
    made->point_count = maps->point_count;
    made->block_size = block_size;
    made->bytes = block;
    made->size = code->size;
    made->entry = block;
    made->frame = code->frame;
    made->entry_cost = code->entry_cost;
    program->code_size += size;
    lock_order(program);
    program->newest[program->newest_count++] = code->func;
    atomic_flag_clear_explicit(&program->order_lock, memory_order_release);
    program->installed++;
    return CN_OK;
}

static enum cn_status verify(struct cn_program *program, const struct cn_code *code,
                             uint8_t *bytes, struct cn_maps *maps, struct cn_error *error)
{
    if (make_scratch(program, cn_verify_scratch(code)) != CN_OK)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory to verify code");
    if (code->size > 0)
        memcpy(bytes, code->bytes, code->size);
    struct cn_verdict verdict = cn_verify(program, code, bytes, program->scratch, maps);
    shed_scratch(program);
    if (verdict.status == CN_OK && maps->is_too_large)
        return refuse_size(program, error);
    if (verdict.status == CN_OK && maps->is_exhausted)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory for the maps of code");
    return verdict.status == CN_OK ? CN_OK : tell_verdict(program, code->func, &verdict, error);
}

enum cn_status cn_program_install(struct cn_program *program, const struct cn_code *code,
                                  struct cn_error *error)
{
    struct cn_maps maps = {.allocator = program->allocator,
                           .limit = program->code_size_max - program->code_size};

    if (code->func < program->module->func_count && cn_program_has(program, code->func))
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "function %u already has code",
                       code->func);
    uint64_t size = code->size + (uint64_t)code->handler_count * sizeof *code->handlers;
    if (size > program->code_size_max - program->code_size)
        return refuse_size(program, error);
    uint8_t *bytes = cn_resize(program->allocator, NULL, 0, code->size);
    if (bytes == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory for %u bytes of code",
                       code->size);
    enum cn_status status = verify(program, code, bytes, &maps, error);
    if (status == CN_OK)
        status = publish(program, code, bytes, &maps, error);
    if (status != CN_OK)
        cn_free(program->allocator, bytes, code->size);
    cn_maps_free(&maps);
    return status;
}
