#include "tests/fuzz/twin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/heap.h"
#include "vm/types.h"

#define STACK_SIZE ((size_t)64 * 1024)
#define GUARD_SIZE ((size_t)64 * 1024)
#define PAGE_SIZE 4096u
#define EXTERNREF(number) ((uint64_t)(0x400 + (number)) << 2 | CN_REF_HOST_BITS)
#define EXTERNREFS 4u
#define PAGES_MAX 4
#define TABLE_MAX 1000

/* Which of the sets of arguments functions are given. */
static uint32_t argument_set;
static enum twin_slices slices;

static void die(const char *what)
{
    fprintf(stderr, "twin: %s\n", what);
    abort();
}

/* Every import is this: it mixes its arguments into whatever its results are. */
static enum cn_status mix_arguments(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    const struct cn_functype *type = env;
    uint64_t sum = 17;
    (void)thread;

    for (uint32_t i = 0, slot = 0; i < type->param_count; i++) {
        cn_valtype param = cn_functype_params(type)[i];
        for (uint32_t end = slot + cn_valtype_slots(param); slot < end; slot++)
            if (!cn_valtype_is_ref(param))
                sum = sum * 31 + (uint32_t)slots[slot].u64;
    }
    for (uint32_t i = 0, slot = 0; i < type->result_count; i++) {
        cn_valtype result = cn_functype_results(type)[i];
        for (uint32_t end = slot + cn_valtype_slots(result); slot < end; slot++) {
            slots[slot].u64 = result == CN_I32 || result == CN_F32 ? (uint32_t)sum : sum;
            if (cn_valtype_is_ref(result))
                slots[slot].ref = NULL;
        }
    }
    return CN_OK;
}

struct world {
    struct cn_account account;
    struct cn_store *store;
    struct cn_instance *instance;
    struct cn_thread *thread;
    struct cn_global *globals;  /* imported ones */
    void *guard;                /* behind the stack */
    struct cn_extern *externs;
};

static void *zeroed(size_t count, size_t size)
{
    void *block = calloc(count + 1, size);

    if (block == NULL)
        die("no memory");
    return block;
}

static void give_import(struct world *world, const struct cn_module *module, uint32_t i)
{
    const struct cn_import *import = &module->imports[i];
    struct cn_extern *given = &world->externs[i];

    given->kind = import->kind;
    if (import->kind == CN_EXTERN_FUNC) {
        const struct cn_functype *type = cn_module_type_of(module, import->index);
        if (cn_host_func_new(world->store, &given->func, type, mix_arguments,
                             (void *)(uintptr_t)type) != CN_OK)
            die("no host function");
    } else if (import->kind == CN_EXTERN_GLOBAL) {
        given->global = &world->globals[import->index];
        given->global->type = module->globals[import->index].type;
    } else {
        die("imported tables and memories are not for this test");
    }
}

static bool open_world(struct world *world, struct cn_program *program, bool move_on_grow)
{
    const struct cn_module *module = program->module;
    struct cn_error error;

    *world = (struct world){.store = NULL};
    cn_account_init(&world->account);
    world->account.limit[CN_QUOTA_MEMORY] = 64u << 20;
    if (cn_store_new(&world->store, &world->account) != CN_OK)
        die("no store");
    /* The machine and its heap are as unkind in one world as they can be. */
    world->store->move_on_grow = move_on_grow;
    cn_heap_collect_always(world->store, move_on_grow);
    world->externs = zeroed(module->import_count, sizeof *world->externs);
    world->globals = zeroed(module->imported_global_count, sizeof *world->globals);
    for (uint32_t i = 0; i < module->import_count; i++)
        give_import(world, module, i);
    return cn_instantiate(world->store, program, world->externs, &world->instance, &error) ==
           CN_OK;
}

static void close_world(struct world *world)
{
    if (world->thread != NULL) {
        if (world->guard != NULL)
            munmap(world->guard, GUARD_SIZE);
        cn_thread_free(world->thread);
    }
    cn_store_free(world->store);
    if (world->account.used[CN_QUOTA_MEMORY] != 0)
        die("not everything was given back");
    free(world->externs);
    free(world->globals);
}

/* Only low halves differ between the worlds: an i32 or f32 leaves the upper half of its slot as it
 * was, so the upper half of a number may be what the same thread left there before
 * (spec/bytecode.md). Whatever else is read before it is written shows in the low one. */
static void fill(union cn_slot *stack, uint64_t garbage)
{
    static union cn_slot slots[STACK_SIZE / sizeof(union cn_slot)];
    static uint64_t filled_with;

    if (garbage == 0)
        return; /* a new stack is zeros */
    for (size_t i = 0; filled_with != garbage && i < sizeof slots / sizeof *slots; i++)
        slots[i].u64 = (uint32_t)(garbage + (garbage & 1 ? i * 0x9e3779b1u : 0));
    filled_with = garbage;
    memcpy(stack, slots, sizeof slots);
}

/* A stack full of garbage with nothing behind it. */
static void make_thread(struct world *world, uint64_t garbage)
{
    if (cn_thread_new(world->store, STACK_SIZE, &world->thread) != CN_OK)
        die("no thread");
    char *end = (char *)world->thread->stack + STACK_SIZE;
    void *guard = mmap(end, GUARD_SIZE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (guard != MAP_FAILED) /* else something stands there already */
        world->guard = guard;
    fill(world->thread->stack, garbage);
}

/* ------------------------------------------------------------------ what is left */

static uint64_t add(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Objects have other addresses in the other world; their types are the same. */
static uint64_t name_of_object(const struct world *world, uint64_t ref)
{
    if (ref & CN_REF_I31_BIT)
        return ref;
    if (ref & CN_REF_HOST_BITS) {
        if (ref < EXTERNREF(0) || ref >= EXTERNREF(EXTERNREFS))
            die("an externref has been forged");
        return ref;
    }
    const struct cn_object *object = cn_ref_object(ref);
    if (object->type >= world->store->types->count)
        die("a freed object is still in use");
    return (uint64_t)object->length << 32 | (object->type + 1);
}

static uint64_t name_of_ref(const struct world *world, cn_valtype type, const void *ref)
{
    const struct cn_instance *instance = world->instance;

    if (ref == NULL)
        return 0;
    if (cn_valtype_is_heap_ref(type))
        return name_of_object(world, (uintptr_t)ref);
    for (uint32_t i = 0; i < instance->module->func_count; i++)
        if (instance->funcs[i] == ref)
            return i + 1;
    die("a funcref has been forged");
    return 0;
}

static uint64_t value_of(const struct world *world, cn_valtype type, union cn_slot slot)
{
    if (cn_valtype_is_ref(type))
        return name_of_ref(world, type, slot.ref);
    return type == CN_I32 || type == CN_F32 ? slot.u32 : slot.u64;
}

/* Most pages are zeros, which is soon said. */
static uint64_t add_page(uint64_t hash, const uint8_t *page)
{
    static const uint8_t zeros[PAGE_SIZE];

    if (memcmp(page, zeros, PAGE_SIZE) == 0)
        return add(hash, 0);
    for (uint32_t i = 0; i < PAGE_SIZE; i += 8)
        hash = add(hash, cn_load_u64(page + i));
    return hash;
}

static uint64_t hash_state(const struct world *world, const struct cn_functype *type, bool done)
{
    const struct cn_instance *instance = world->instance;
    const struct cn_module *module = instance->module;
    uint64_t hash = 1;

    for (uint32_t i = 0; i < module->global_count; i++)
        for (uint32_t k = 0; k < cn_valtype_slots(instance->globals[i]->type.type); k++)
            hash = add(hash, value_of(world, instance->globals[i]->type.type,
                                      instance->globals[i]->values[k]));
    for (uint32_t i = 0; i < module->table_count; i++) {
        const struct cn_table *table = instance->tables[i];
        hash = add(hash, table->size);
        for (uint32_t j = 0; j < table->size; j++)
            hash = add(hash, name_of_ref(world, table->type, table->elements[j]));
    }
    for (uint32_t i = 0; i < module->memory_count; i++) {
        const struct cn_memory *memory = instance->memories[i];
        hash = add(hash, memory->size);
        for (uint64_t j = 0; j < memory->size; j += PAGE_SIZE)
            hash = add_page(hash, memory->base + j);
    }
    for (uint32_t i = 0, slot = 0; done && i < type->result_count; i++) {
        cn_valtype result = cn_functype_results(type)[i];
        for (uint32_t end = slot + cn_valtype_slots(result); slot < end; slot++)
            hash = add(hash, value_of(world, result, world->thread->stack[slot]));
    }
    return hash;
}

void twin_choose_slices(enum twin_slices chosen)
{
    slices = chosen;
}

/* The one after `slice`, with so much fuel left. */
static int64_t next_slice(const struct world *world, int64_t slice, int64_t fuel)
{
    int64_t due = (int64_t)cn_thread_due(world->thread);

    if (slices == TWIN_MIXED)
        return slice * 5 % 97 + due;
    return slices == TWIN_WHOLE ? fuel : due;
}

static void run_thread(struct world *world, struct outcome *outcome, int64_t fuel)
{
    int64_t slice = 7;

    outcome->fuel_left = fuel;
    do {
        slice = next_slice(world, slice, outcome->fuel_left);
        if (slice > outcome->fuel_left)
            slice = outcome->fuel_left;
        outcome->stop = cn_thread_run(world->thread, slice);
        if (world->thread->fuel < 0 || world->thread->fuel > slice)
            die("fuel went astray");
        outcome->fuel_left -= slice - world->thread->fuel;
        if (outcome->stop == CN_STOP_FUEL &&
            (int64_t)cn_thread_due(world->thread) > outcome->fuel_left)
            break;
    } while (outcome->stop == CN_STOP_FUEL || outcome->stop == CN_STOP_YIELD);
    if (outcome->stop == CN_STOP_TRAP)
        outcome->trap = world->thread->trap;
}

void twin_choose_arguments(uint32_t set)
{
    argument_set = set % TWIN_ARGUMENT_SETS;
}

static uint64_t number_for(cn_valtype type, uint32_t slot)
{
    static const uint64_t integers[TWIN_ARGUMENT_SETS] = {0, UINT64_MAX, 1234567890123456789u,
                                                          0x80000000u};
    static const double floats[TWIN_ARGUMENT_SETS] = {0, -2.5, 1e300, 3};
    union cn_slot number = {.u64 = integers[argument_set]};

    if (argument_set == 0)
        return slot * 3 + 2;
    if (type == CN_F64)
        number.f64 = floats[argument_set];
    if (type == CN_F32)
        number = (union cn_slot){.f32 = (float)floats[argument_set]};
    return number.u64;
}

/* Something for a parameter. Null where the machine knows nothing else of the type. */
static union cn_slot argument_of(const struct world *world, cn_valtype type, uint32_t slot)
{
    const struct cn_instance *instance = world->instance;

    if (type == CN_EXTERNREF)
        return (union cn_slot){.u64 = EXTERNREF(slot % EXTERNREFS)};
    if (type == CN_FUNCREF)
        return (union cn_slot){.ref = instance->funcs[slot % instance->module->func_count]};
    if (type == CN_ANYREF)
        return (union cn_slot){.u64 = (uint64_t)slot << 1 | CN_REF_I31_BIT};
    return (union cn_slot){.u64 = cn_valtype_is_ref(type) ? 0 : number_for(type, slot)};
}

bool twin_is_small(const struct cn_module *module)
{
    for (uint32_t i = 0; i < module->import_count; i++)
        if (module->imports[i].kind != CN_EXTERN_FUNC &&
            module->imports[i].kind != CN_EXTERN_GLOBAL)
            return false;
    for (uint32_t i = 0; i < module->memory_count; i++)
        if (module->memories[i].limits.min > PAGES_MAX)
            return false;
    for (uint32_t i = 0; i < module->table_count; i++)
        if (module->tables[i].type.limits.min > TABLE_MAX)
            return false;
    return true;
}

struct outcome twin_run(struct cn_program *program, uint32_t func, int64_t fuel,
                        uint64_t garbage, bool move_on_grow)
{
    const struct cn_functype *type = cn_module_type_of(program->module, func);
    struct outcome outcome = {.stop = CN_STOP_FAILED};
    struct world world;
    struct cn_frame frames[8];
    union cn_slot *arguments = zeroed(type->param_slots, sizeof *arguments);

    if (open_world(&world, program, move_on_grow)) {
        make_thread(&world, garbage);
        for (uint32_t i = 0, slot = 0; i < type->param_count; i++) {
            cn_valtype param = cn_functype_params(type)[i];
            for (uint32_t end = slot + cn_valtype_slots(param); slot < end; slot++) {
                arguments[slot] = argument_of(&world, param, slot);
            }
        }
        if (cn_thread_call(world.thread, world.instance->funcs[func], arguments) == CN_OK) {
            world.thread->r0 = world.thread->r1 = garbage;
            world.thread->f0 = (double)garbage;
            world.thread->g0 = (float)garbage;
            run_thread(&world, &outcome, fuel);
            (void)cn_thread_frames(world.thread, frames, 8);
            outcome.state = hash_state(&world, type, outcome.stop == CN_STOP_DONE);
        }
    }
    close_world(&world);
    free(arguments);
    return outcome;
}

struct outcome twin_compare(struct cn_program *program, uint32_t func, int64_t fuel)
{
    struct outcome one = twin_run(program, func, fuel, 0, false);
    struct outcome two = twin_run(program, func, fuel, 0xa5a5a5a5a5a5a5a5u, true);

    if (one.stop != two.stop || one.trap != two.trap || one.fuel_left != two.fuel_left ||
        one.state != two.state) {
        fprintf(stderr, "twin: stops %d %d, traps %d %d, fuel %lld %lld, states %llx %llx\n",
                one.stop, two.stop, one.trap, two.trap, (long long)one.fuel_left,
                (long long)two.fuel_left, (unsigned long long)one.state,
                (unsigned long long)two.state);
        die("two runs of verified code differ");
    }
    return one;
}
