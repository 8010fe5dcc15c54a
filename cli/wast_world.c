/* What a script runs in: a store, the modules that it loaded, the names that it gave. */
#include <time.h>

#include "api/whole.h"
#include "cli/wast.h"
#include "loader/load.h"
#include "vm/heap.h"
#include "vm/program.h"

#define MEMORY_MAX (16ull << 30)
#define STACK_SIZE (1u << 20)
#define SLICE (1 << 20)

/* The host module that scripts import from. Nobody looks at what it prints. */
static const char spectest[] =
    "(module"
    "  (func (export \"print\"))"
    "  (func (export \"print_i32\") (param i32))"
    "  (func (export \"print_i64\") (param i64))"
    "  (func (export \"print_f32\") (param f32))"
    "  (func (export \"print_f64\") (param f64))"
    "  (func (export \"print_i32_f32\") (param i32 f32))"
    "  (func (export \"print_f64_f64\") (param f64 f64))"
    "  (global (export \"global_i32\") i32 (i32.const 666))"
    "  (global (export \"global_i64\") i64 (i64.const 666))"
    "  (global (export \"global_f32\") f32 (f32.const 666.6))"
    "  (global (export \"global_f64\") f64 (f64.const 666.6))"
    "  (table (export \"table\") 10 20 funcref)"
    "  (table (export \"table64\") i64 10 20 funcref)"
    "  (memory (export \"memory\") 1 2)"
    "  (memory (export \"shared_memory\") 1 2 shared))";

/* ---------------------------------------------------------------- modules */

struct wast_module *wast_module_new(struct wast_world *world)
{
    struct wast_module *module = cn_arena_alloc(&world->arena, sizeof *module);

    if (module == NULL)
        return NULL;
    module->binary.allocator = cn_heap;
    module->next = world->modules;
    world->modules = module;
    return module;
}

/* The standard that the threads proposal extends knows one of each. */
static enum cn_status check_single(const struct cn_module *module, struct cn_error *error)
{
    if (module->memory_count > 1)
        return cn_fail(error, CN_INVALID, CN_NO_OFFSET, "multiple memories");
    if (module->table_count > 1)
        return cn_fail(error, CN_INVALID, CN_NO_OFFSET, "multiple tables");
    return CN_OK;
}

enum cn_status wast_load(struct wast_world *world, struct wast_module *module,
                         struct cn_error *error)
{
    CN_TRY(cn_load(cn_buffer_bytes(&module->binary), cn_heap, &module->module, error));
    if (world->single)
        CN_TRY(check_single(module->module, error));
    CN_TRY(cn_program_new(&module->program, module->module, cn_heap));
    return cn_translate_program(module->program, error);
}

static enum cn_status resolve(struct wast_world *world, const struct cn_module *module,
                              struct cn_extern *externs, struct cn_error *error)
{
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct cn_import *import = &module->imports[i];
        const struct wast_name *from = wast_find(world->registered, import->module);
        if (from == NULL || !cn_instance_export(from->instance, import->name, &externs[i]))
            return cn_fail(error, CN_UNLINKABLE, CN_NO_OFFSET, "unknown import");
    }
    return CN_OK;
}

enum cn_status wast_instantiate(struct wast_world *world, struct wast_module *module,
                                struct cn_instance **instance, struct cn_error *error)
{
    uint32_t count = module->module->import_count;
    struct cn_extern *externs = cn_arena_array(&world->arena, count, sizeof *externs);
    union cn_slot none[2];

    if (externs == NULL)
        return CN_NO_MEMORY;
    CN_TRY(resolve(world, module->module, externs, error));
    CN_TRY(cn_instantiate(world->store, module->program, externs, instance, error));
    if (module->module->start == CN_NO_INDEX)
        return CN_OK;
    return wast_call(world, (*instance)->funcs[module->module->start], none, none, error);
}

/* ---------------------------------------------------------------- calls */

/* A script has one thread, so nobody can notify it when it sleeps: its time passes, or it sleeps
 * for ever, which is told. */
static enum cn_status sleep_through(struct cn_thread *thread)
{
    struct cn_sleeper *sleeper = &thread->sleeper;
    uint64_t ns = sleeper->timeout_ns;
    struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    if (sleeper->state != CN_ASLEEP || ns > (uint64_t)INT64_MAX)
        return cn_fail(&thread->error, CN_MISUSE, CN_NO_OFFSET, "it waits for ever");
    while (nanosleep(&time, &time) != 0) {
    }
    cn_sleep_end(sleeper, CN_OVERSLEPT);
    return CN_OK;
}

enum cn_status wast_call(struct wast_world *world, struct cn_func *func,
                         const union cn_slot *arguments, union cn_slot *results,
                         struct cn_error *error)
{
    enum cn_stop stop = CN_STOP_FUEL;
    struct cn_thread *thread;

    CN_TRY(cn_thread_new(world->store, STACK_SIZE, &thread));
    enum cn_status status = cn_thread_call(thread, func, arguments);
    while (status == CN_OK && (stop == CN_STOP_FUEL || stop == CN_STOP_YIELD)) {
        stop = cn_thread_run(thread, world->preempt ? (int64_t)cn_thread_due(thread) : SLICE);
        if (stop == CN_STOP_PARKED && sleep_through(thread) == CN_OK)
            stop = CN_STOP_YIELD;
    }
    if (status == CN_OK && stop == CN_STOP_DONE) {
        memcpy(results, thread->stack, func->type->result_slots * sizeof *results);
    } else if (status == CN_OK) {
        *error = thread->error;
        status = thread->error.status;
        if (error->text[0] == '\0')
            status = cn_fail(error, status, CN_NO_OFFSET, "%s", cn_status_text(status));
    }
    cn_thread_free(thread);
    return status;
}

/* ---------------------------------------------------------------- names */

struct wast_name *wast_find(struct wast_name *list, struct cn_bytes name)
{
    while (list != NULL && !cn_bytes_equal(list->name, name))
        list = list->next;
    return list;
}

enum cn_status wast_set_name(struct wast_world *world, struct wast_name **list,
                             struct cn_bytes name, struct wast_name what)
{
    struct wast_name *made = cn_arena_alloc(&world->arena, sizeof *made);

    if (made == NULL)
        return CN_NO_MEMORY;
    *made = what;
    made->name = name;
    made->next = *list;
    *list = made;
    return CN_OK;
}

/* ---------------------------------------------------------------- the world */

static enum cn_status add_spectest(struct wast_world *world)
{
    struct wast_module *module = wast_module_new(world);
    struct cn_error error = {.text = ""};
    struct wast_name name = {0};

    if (module == NULL)
        return CN_NO_MEMORY;
    CN_TRY(cn_text_to_binary(cn_bytes_of(spectest), &module->binary, NULL, &error));
    bool single = world->single;
    world->single = false;
    CN_TRY(wast_load(world, module, &error));
    world->single = single;
    CN_TRY(wast_instantiate(world, module, &name.instance, &error));
    return wast_set_name(world, &world->registered, cn_bytes_of("spectest"), name);
}

enum cn_status wast_world_open(struct wast_world *world)
{
    cn_arena_init(&world->arena, cn_heap);
    cn_account_init(&world->account);
    world->account.limit[CN_QUOTA_MEMORY] = MEMORY_MAX;
    CN_TRY(cn_store_new(&world->store, &world->account));
    cn_heap_collect_always(world->store, world->collect);
    return add_spectest(world);
}

void wast_world_close(struct wast_world *world)
{
    cn_store_free(world->store);
    while (world->modules != NULL) {
        struct wast_module *module = world->modules;
        world->modules = module->next;
        cn_program_free(module->program);
        cn_module_free(module->module);
        cn_buffer_free(&module->binary);
    }
    cn_arena_release(&world->arena);
}
