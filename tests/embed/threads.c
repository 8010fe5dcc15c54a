/* What cordon.h says of threads, for ThreadSanitizer: VMs of one module in threads of their own,
 * their controls in other hands meanwhile, and pointers to their functions that are called from
 * threads where they must not be. A program of its own: Criterion does not run under TSan. */
#include <cordon.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VMS 3
#define NUMBERS 32

/* work(n): C sorts n numbers by a function of the guest's, which asks the host in turn. */
static const char guest[] =
    "(module"
    "  (import \"env\" \"sort\" (func $sort (param i32 i32 i32)))"
    "  (import \"env\" \"difference\" (func $difference (param i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1) (table 2 funcref) (elem (i32.const 1) $compare)"
    "  (func $compare (param i32 i32) (result i32)"
    "    (call $difference (i32.load (local.get 0)) (i32.load (local.get 1))))"
    "  (func (export \"twice\") (param i32) (result i32)"
    "    (i32.mul (local.get 0) (i32.const 2)))"
    "  (func (export \"work\") (param $n i32) (result i32) (local $i i32)"
    "    (loop $again"
    "      (i32.store (i32.shl (local.get $i) (i32.const 2))"
    "        (i32.sub (local.get $n) (local.get $i)))"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))"
    "    (call $sort (i32.const 0) (i32.shl (local.get $n) (i32.const 2)) (i32.const 1))"
    "    (i32.load (i32.const 4)))"
    "  (func (export \"spin\") (loop $again (br $again))))";

struct worker {
    pthread_t thread;
    cordon_vm_t *vm;
    int32_t (*twice)(int32_t);
};

static cordon_host_t *host;
static cordon_module_t *module;
static cordon_linker_t *linker;
static cordon_config_t *config;
static struct worker workers[VMS];
static int rounds = 200;
static _Atomic int busy;
static _Atomic uint32_t served, refused;

static void need(bool is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "threads: %s\n", what);
        abort();
    }
}

static void sort(void *bytes, size_t size, int (*compare)(const void *, const void *))
{
    qsort(bytes, size / 4, 4, compare);
}

static int32_t difference(int32_t a, int32_t b)
{
    return a - b;
}

/* False while somebody from elsewhere is in the VM, which may be: it is nobody's then. */
static bool call(cordon_vm_t *vm, const char *name, int32_t number, int32_t *answer,
                 cordon_result_t *how)
{
    cordon_value_t value = {.type = CORDON_I32, .i32 = number};
    cordon_error_t error;
    uint32_t count = strcmp(name, "spin") != 0;

    if (!cordon_vm_invoke(vm, name, &value, count, &value, count, how, &error)) {
        need(error.kind == CORDON_MISUSE, error.message);
        return false;
    }
    *answer = value.i32;
    return true;
}

static void *work(void *context)
{
    struct worker *worker = context;
    cordon_result_t how;
    cordon_error_t error;
    int32_t answer;

    for (int i = 0; i < rounds; i++) {
        if (!call(worker->vm, "work", NUMBERS, &answer, &how))
            continue;
        need(how.end == CORDON_END_RETURN && answer == 2, "sorted wrongly");
        cordon_c_fn one = cordon_export_fn(worker->vm, "twice", "i32(i32)", &error);
        need(one != NULL, error.message);
        cordon_fn_free(worker->vm, one);
    }
    while (!call(worker->vm, "spin", 0, &answer, &how))
        ;
    need(how.end == CORDON_END_KILLED, "it was not killed");
    atomic_fetch_sub(&busy, 1);
    return NULL;
}

/* Calls what is not its to call: gets the answer, or zero. */
static void *intrude(void *context)
{
    (void)context;
    while (atomic_load(&busy) > 0)
        for (int i = 0; i < VMS; i++) {
            int32_t answer = workers[i].twice(21);
            need(answer == 0 || answer == 42, "another answer");
            atomic_fetch_add(answer == 42 ? &served : &refused, 1);
        }
    return NULL;
}

static void *control(void *context)
{
    cordon_stats_t stats;

    (void)context;
    for (int i = 0; i < rounds * 4; i++) {
        cordon_ctl_t *ctl = cordon_vm_ctl(workers[i % VMS].vm);
        cordon_ctl_pause(ctl);
        cordon_ctl_limit(ctl, CORDON_MEMORY, (uint64_t)(64 + i) << 20);
        cordon_ctl_stats(ctl, &stats);
        cordon_ctl_resume(ctl);
    }
    while (atomic_load(&busy) > 0)
        for (int i = 0; i < VMS; i++) {
            cordon_ctl_stats(cordon_vm_ctl(workers[i].vm), &stats);
            if (stats.fuel > 3000000) /* it spins */
                cordon_ctl_kill(cordon_vm_ctl(workers[i].vm), 15);
        }
    return NULL;
}

static void open_all(void)
{
    cordon_error_t error = {0};

    host = cordon_host_new(&error);
    linker = cordon_linker_new(host, &error);
    config = cordon_config_new(&error);
    cordon_host_translation(host, CORDON_TRANSLATE_EAGER);
    module = cordon_module_load(host, guest, strlen(guest), &error);
    need(module != NULL &&
         cordon_bind(linker, "env", "sort", "void(buf, fn<i32(ptr<4>, ptr<4>)>)",
                     (void (*)(void))sort, &error) &&
         cordon_bind(linker, "env", "difference", "i32(i32, i32)", (void (*)(void))difference,
                     &error), error.message);
    for (int i = 0; i < VMS; i++) {
        workers[i].vm = cordon_vm_new(host, module, linker, config, &error);
        need(workers[i].vm != NULL, error.message);
        workers[i].twice = (int32_t (*)(int32_t))cordon_export_fn(workers[i].vm, "twice",
                                                                  "i32(i32)", &error);
        need(workers[i].twice != NULL, error.message);
    }
}

int main(int argc, char **argv)
{
    pthread_t intruders[2], controller;
    uint64_t counted = 0;
    cordon_stats_t stats;

    if (argc > 1)
        rounds = atoi(argv[1]);
    open_all();
    atomic_store(&busy, VMS);
    for (int i = 0; i < VMS; i++)
        need(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "no thread");
    for (int i = 0; i < 2; i++)
        need(pthread_create(&intruders[i], NULL, intrude, NULL) == 0, "no thread");
    need(pthread_create(&controller, NULL, control, NULL) == 0, "no thread");
    for (int i = 0; i < VMS; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_join(intruders[0], NULL);
    pthread_join(intruders[1], NULL);
    pthread_join(controller, NULL);
    for (int i = 0; i < VMS; i++) {
        cordon_vm_stats(workers[i].vm, &stats);
        counted += stats.foreign_calls;
        cordon_vm_free(workers[i].vm);
    }
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    printf("%u calls from elsewhere refused, %u served\n", refused, served);
    need(counted > 0 && counted <= refused, "refused calls were not counted");
    return 0;
}
