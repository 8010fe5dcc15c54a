/* Threads that each have a store of their own for one shared module, and one that shares another
 * module meanwhile. Prints how many of the calls gave what they should. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <wasm.h>

enum { THREADS = 6, ROUNDS = 25 };

/* (module (import "" "f" (func (param i32) (result i32)))
 *   (func (export "g") (param i32) (result i32) (call 0 (local.get 0)))
 *   (func (export "h") unreachable)) */
static char binary[] =
    "\0asm\1\0\0\0"
    "\1\11\2\140\1\177\1\177\140\0\0"
    "\2\6\1\0\1f\0\0"
    "\3\3\2\0\1"
    "\7\11\2\1g\0\1\1h\0\2"
    "\12\14\2\6\0\40\0\20\0\13\3\0\0\13";

static wasm_engine_t *engine;
static wasm_shared_module_t *shared;

static wasm_trap_t *add(void *env, const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    results->data[0].of.i32 = arguments->data[0].of.i32 + *(int *)env;
    return NULL;
}

static wasm_module_t *load(wasm_store_t *store)
{
    wasm_byte_vec_t bytes = {sizeof binary - 1, binary};

    return wasm_module_new(store, &bytes);
}

static int call(const wasm_extern_vec_t *exports, int number)
{
    wasm_val_t given = WASM_I32_VAL(number), got = WASM_INIT_VAL;
    wasm_val_vec_t arguments = {1, &given}, results = {1, &got};
    wasm_trap_t *trap =
        wasm_func_call(wasm_extern_as_func(exports->data[0]), &arguments, &results);

    wasm_trap_delete(trap);
    return trap == NULL ? got.of.i32 : -1;
}

/* Frames are found by translating once more, which all stores of a module do in turns. */
static bool traps(const wasm_extern_vec_t *exports)
{
    wasm_trap_t *trap = wasm_func_call(wasm_extern_as_func(exports->data[1]), NULL, NULL);
    wasm_frame_t *origin = trap != NULL ? wasm_trap_origin(trap) : NULL;
    bool is_right = origin != NULL && wasm_frame_func_offset(origin) == 1;

    wasm_frame_delete(origin);
    wasm_trap_delete(trap);
    return is_right;
}

static intptr_t use(wasm_store_t *store, wasm_module_t *module, int number)
{
    wasm_functype_t *type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
    wasm_func_t *func = wasm_func_new_with_env(store, type, add, &number, NULL);
    wasm_extern_t *externs[] = {wasm_func_as_extern(func)};
    wasm_extern_vec_t imports = WASM_ARRAY_VEC(externs), exports;
    wasm_instance_t *instance = wasm_instance_new(store, module, &imports, NULL);
    intptr_t right = 0;

    wasm_functype_delete(type);
    wasm_instance_exports(instance, &exports);
    for (int i = 0; i < ROUNDS; i++)
        right += call(&exports, i) == i + number && traps(&exports);
    wasm_extern_vec_delete(&exports);
    wasm_instance_delete(instance);
    wasm_func_delete(func);
    return right;
}

static void *work(void *number)
{
    intptr_t right = 0;

    for (int i = 0; i < ROUNDS; i++) {
        wasm_store_t *store = wasm_store_new(engine);
        wasm_module_t *module = wasm_module_obtain(store, shared);
        right += use(store, module, (int)(intptr_t)number);
        wasm_store_delete(store);
        wasm_module_delete(module);
    }
    return (void *)right;
}

static void *share(void *unused)
{
    wasm_store_t *store = wasm_store_new(engine);

    for (int i = 0; i < ROUNDS; i++) {
        wasm_module_t *module = load(store);
        wasm_shared_module_t *own = wasm_module_share(module);
        wasm_module_delete(module);
        wasm_module_delete(wasm_module_obtain(store, own));
        wasm_shared_module_delete(own);
    }
    wasm_store_delete(store);
    return unused;
}

int main(void)
{
    pthread_t threads[THREADS + 1];
    intptr_t right = 0;
    void *result;

    engine = wasm_engine_new();
    wasm_store_t *store = wasm_store_new(engine);
    wasm_module_t *module = load(store);
    if (module == NULL)
        return 1;
    shared = wasm_module_share(module);
    wasm_module_delete(module);
    wasm_store_delete(store);
    for (intptr_t i = 0; i <= THREADS; i++)
        if (pthread_create(&threads[i], NULL, i < THREADS ? work : share, (void *)i) != 0)
            return 1;
    for (int i = 0; i <= THREADS; i++) {
        pthread_join(threads[i], &result);
        right += i < THREADS ? (intptr_t)result : 0;
    }
    wasm_shared_module_delete(shared);
    wasm_engine_delete(engine);
    printf("%d of %d\n", (int)right, THREADS * ROUNDS * ROUNDS);
    return right == THREADS * ROUNDS * ROUNDS ? 0 : 1;
}
