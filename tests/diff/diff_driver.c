/* Calls every function that a generated module exports with a few arguments, and prints what
 * came of each call: the result's bits or the kind of trap, and a hash of the memory.
 *
 *   diff_driver [--preempt] MODULE.wasm...    --preempt also collects at every allocation
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/whole.h"
#include "loader/load.h"
#include "tests/diff/machine.h"
#include "vm/heap.h"

static int preempt;

/* The four sets of arguments; run.js has the same. */
static const struct {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
} arguments[] = {
    {0, 0, 0.0f, 0.0},
    {-1, INT64_MIN, 1.5f, -2.5},
    {123456789, 1234567890123456789, -1e10f, 1e300},
    {INT32_MIN, 4294967295, 0.1f, 3.0},
};
#define SETS (sizeof arguments / sizeof arguments[0])

/* Of all memories, one behind the other. */
static uint32_t hash_of(const struct cn_instance *instance)
{
    uint32_t hash = 2166136261u;

    for (uint32_t n = 0; n < instance->module->memory_count; n++)
        for (uint64_t i = 0; i < instance->memories[n]->size; i++)
            hash = (hash ^ instance->memories[n]->base[i]) * 16777619u;
    return hash;
}

/* What both engines can tell apart. */
static const char *kind_of(enum cn_status status)
{
    switch (status) {
    case CN_TRAP_DIVIDE_BY_ZERO:
        return "divide";
    case CN_TRAP_INTEGER_OVERFLOW:
    case CN_TRAP_INVALID_CONVERSION:
        return "overflow";
    case CN_TRAP_OUT_OF_BOUNDS_MEMORY:
    case CN_TRAP_UNALIGNED_ATOMIC: /* where it is both, the engines look at one or the other */
        return "bounds";
    case CN_TRAP_NULL_REFERENCE:
    case CN_TRAP_NULL_STRUCT:
    case CN_TRAP_NULL_ARRAY:
    case CN_TRAP_NULL_I31:
    case CN_TRAP_NULL_FUNCTION:
    case CN_TRAP_NULL_EXCEPTION:
        return "null";
    case CN_TRAP_CAST_FAILURE:
        return "cast";
    case CN_TRAP_OUT_OF_BOUNDS_ARRAY:
        return "array";
    case CN_TRAP_OUT_OF_BOUNDS_TABLE:
        return "table";
    case CN_TRAP_EXCEPTION:
        return "exception";
    case CN_OVER_QUOTA:
        return "fuel";
    default:
        return cn_status_text(status);
    }
}

static void print_result(const struct cn_functype *type, union cn_slot value)
{
    cn_valtype result = cn_functype_results(type)[0];

    if (result == CN_I32 || result == CN_F32)
        printf("%08" PRIx32, value.u32);
    else
        printf("%016" PRIx64, value.u64);
}

static int call_export(struct cn_store *store, struct cn_instance *instance, const char *name,
                       struct cn_func *func)
{
    for (size_t i = 0; i < SETS; i++) {
        union cn_slot slots[4] = {{0}}, result = {0};
        slots[0].u64 = (uint32_t)arguments[i].i32;
        slots[1].i64 = arguments[i].i64;
        slots[2].f32 = arguments[i].f32;
        slots[3].f64 = arguments[i].f64;
        enum cn_status status = machine_call(store, func, preempt, slots, &result);
        printf("%s %zu ", name, i);
        if (status == CN_OK)
            print_result(func->type, result);
        else
            printf("%s", kind_of(status));
        printf(" %08" PRIx32 "\n", hash_of(instance));
        if (status == CN_OVER_QUOTA)
            return 0;
    }
    return 1;
}

static enum cn_status run(const char *path, struct cn_store *store, struct cn_error *error)
{
    size_t size;
    uint8_t *bytes = machine_read(path, &size);
    struct cn_module *module;
    struct cn_program *program;
    struct cn_instance *instance;

    CN_TRY(cn_load((struct cn_bytes){bytes, size}, cn_heap, &module, error));
    CN_TRY(cn_program_new(&program, module, cn_heap));
    CN_TRY(cn_translate_program(program, error));
    CN_TRY(cn_instantiate(store, program, NULL, &instance, error));
    for (int i = 0;; i++) {
        char name[16];
        struct cn_extern found;
        snprintf(name, sizeof name, "f%d", i);
        if (!cn_instance_export(instance, cn_bytes_of(name), &found) ||
            !call_export(store, instance, name, found.func))
            return CN_OK;
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct cn_account account;
        struct cn_store *store;
        struct cn_error error = {.text = ""};
        if (strcmp(argv[i], "--preempt") == 0) {
            preempt = 1;
            continue;
        }
        printf("module %s\n", argv[i]);
        cn_account_init(&account);
        if (cn_store_new(&store, &account) != CN_OK)
            return 2;
        cn_heap_collect_always(store, preempt);
        if (run(argv[i], store, &error) != CN_OK)
            printf("refused: %s\n", error.text);
        cn_store_free(store);
    }
    return 0;
}
