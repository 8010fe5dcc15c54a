/* Host functions that are answered from other threads at random moments, while their VMs are
 * killed, paused and freed: a program of its own, because Criterion does not run under TSan. */
#include <cordon.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RING 4096
#define VMS 12
#define ANSWERERS 2

/* Every answer is three times what was asked. */
static const char guest[] =
    "(module (import \"env\" \"ask\" (func $ask (param i32) (result i32)))"
    "  (func (export \"_start\") (local $n i32) (local $sum i32) (local.set $n (i32.const 7))"
    "    (loop $l (local.set $sum (i32.add (local.get $sum) (call $ask (local.get $n))))"
    "      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    "    (if (i32.ne (local.get $sum) (i32.const 84)) (then unreachable))))";

static cordon_host_t *host;
static cordon_module_t *module;
static cordon_linker_t *linker;
static cordon_config_t *config;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct asked {
    cordon_token_t token;
    int32_t number;
} asked[RING];
static uint32_t asked_count;
static _Atomic bool is_over;
static _Atomic uint32_t completed, late, called, trapped;

static void need(bool is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "storm: %s\n", what);
        abort();
    }
}

static bool ask(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct asked one = {cordon_vm_pend(vm), (int32_t)slots[0]};

    (void)user;
    need(one.token != 0, "a call cannot wait");
    pthread_mutex_lock(&lock);
    need(asked_count < RING, "nobody answers");
    asked[asked_count++] = one;
    pthread_mutex_unlock(&lock);
    return true;
}

static bool answer(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    (void)user;
    atomic_fetch_add(&called, 1);
    if (vm != NULL)
        slots[0] = (uint32_t)slots[0] * 3;
    return true;
}

/* One of those that wait, whichever. */
static bool pick(unsigned *seed, struct asked *one)
{
    pthread_mutex_lock(&lock);
    bool found = asked_count > 0;
    if (found) {
        uint32_t at = (uint32_t)rand_r(seed) % asked_count;
        *one = asked[at];
        asked[at] = asked[--asked_count];
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void complete(unsigned *seed, const struct asked *one, uint32_t *functions)
{
    cordon_value_t number = {.type = CORDON_I32, .i32 = one->number * 3};
    cordon_error_t error;
    bool by_function = rand_r(seed) % 2;
    bool is_done = by_function ? cordon_complete_with(host, one->token, answer, NULL, &error)
                               : cordon_complete(host, one->token, &number, &error);

    *functions += by_function && is_done;
    atomic_fetch_add(is_done ? &completed : &late, 1);
    need(!cordon_complete(host, one->token, &number, &error), "a call was completed twice");
}

static void *answer_all(void *context)
{
    unsigned seed = *(unsigned *)context;
    uint32_t *functions = context;
    struct asked one;

    *functions = 0;
    while (!atomic_load(&is_over)) {
        if (pick(&seed, &one))
            complete(&seed, &one, functions);
        if (rand_r(&seed) % 4 == 0)
            nanosleep(&(struct timespec){0, rand_r(&seed) % 200000}, NULL);
    }
    return NULL;
}

static void ended(void *user, cordon_vm_t *vm, const cordon_result_t *how)
{
    (void)user, (void)vm;
    if (how->end != CORDON_END_RETURN && how->end != CORDON_END_KILLED)
        atomic_fetch_add(&trapped, 1);
}

static void disturb(cordon_vm_t *vm, unsigned *seed)
{
    cordon_ctl_t *control = cordon_vm_ctl(vm);
    cordon_result_t how;

    nanosleep(&(struct timespec){0, rand_r(seed) % 300000}, NULL);
    switch (rand_r(seed) % 4) {
    case 0:
        cordon_ctl_kill(control, 9);
        break;
    case 1:
        cordon_ctl_pause(control);
        if (rand_r(seed) % 2)
            cordon_ctl_resume(control);
        break;
    default:
        cordon_vm_wait(vm, &how);
        break;
    }
}

static void weather(unsigned *seed)
{
    cordon_vm_t *vms[VMS];
    cordon_error_t error;

    for (int i = 0; i < VMS; i++) {
        vms[i] = cordon_vm_new(host, module, linker, config, &error);
        need(vms[i] != NULL && cordon_vm_start(vms[i], ended, NULL, &error), error.message);
    }
    for (int i = 0; i < VMS; i++)
        disturb(vms[i], seed);
    for (int i = 0; i < VMS; i++)
        cordon_vm_free(vms[i]);
}

static void open_all(void)
{
    cordon_error_t error = {0};

    host = cordon_host_new(&error);
    linker = cordon_linker_new(host, &error);
    config = cordon_config_new(&error);
    cordon_host_translation(host, CORDON_TRANSLATE_EAGER);
    module = cordon_module_load(host, guest, strlen(guest), &error);
    need(module != NULL && cordon_host_start(host, 2, &error) &&
         cordon_bind_raw(linker, "env", "ask", "i32(i32)", ask, NULL, &error), error.message);
}

int main(int argc, char **argv)
{
    unsigned seed = 1, seeds[ANSWERERS];
    int rounds = argc > 1 ? atoi(argv[1]) : 30;
    pthread_t threads[ANSWERERS];
    uint32_t functions = 0;

    open_all();
    for (unsigned i = 0; i < ANSWERERS; i++) {
        seeds[i] = i;
        need(pthread_create(&threads[i], NULL, answer_all, &seeds[i]) == 0, "no thread");
    }
    for (int i = 0; i < rounds; i++)
        weather(&seed);
    atomic_store(&is_over, true);
    for (int i = 0; i < ANSWERERS; i++) {
        pthread_join(threads[i], NULL);
        functions += seeds[i];
    }
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    need(called == functions, "a function was not called, or twice");
    need(trapped == 0, "an answer was another's");
    printf("%u answers, %u came too late\n", completed, late);
    return completed > 0 ? 0 : 1;
}
