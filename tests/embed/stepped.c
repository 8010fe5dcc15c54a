/* A host in steps, for ThreadSanitizer: two threads give the turns, whoever is there first; others
 * start VMs, kill, pause, change and wait for them meanwhile, and answer what they ask. */
#include <cordon.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VMS 16
#define ANSWERS 64

/* Computes a little, and asks, ten times. */
static const char guest[] =
    "(module (import \"env\" \"ask\" (func $ask (result i32)))"
    "  (func (export \"_start\") (local $i i32) (local $n i32)"
    "    (loop $again"
    "      (local.set $n (i32.const 50000))"
    "      (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    "      (drop (call $ask))"
    "      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "        (i32.const 10))))))";

static cordon_host_t *host;
static cordon_vm_t *vms[VMS];
static _Atomic bool is_over;
static _Atomic int ended_count;
static _Atomic uint64_t tokens[ANSWERS];
static _Atomic uint32_t token_count;

static void need(bool is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "stepped: %s\n", what);
        abort();
    }
}

static bool ask(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    cordon_token_t token = cordon_vm_pend(vm);

    (void)user, (void)slots;
    need(token != 0, "no token");
    need(cordon_host_step(host, 1000000, NULL) == CORDON_AGAIN, "a step within a step");
    atomic_store(&tokens[atomic_fetch_add(&token_count, 1) % ANSWERS], token);
    return true;
}

static void *answer(void *context)
{
    cordon_value_t value = {.type = CORDON_I32, .i32 = 1};
    cordon_error_t error;

    while (!atomic_load(&is_over))
        for (int i = 0; i < ANSWERS; i++) {
            cordon_token_t token = atomic_exchange(&tokens[i], 0);
            if (token != 0)
                (void)cordon_complete(host, token, &value, &error); /* unless it is killed */
        }
    return context;
}

static void *give_steps(void *context)
{
    while (!atomic_load(&is_over))
        (void)cordon_host_step(host, 500000, NULL);
    return context;
}

static void *control(void *context)
{
    for (unsigned i = 0; !atomic_load(&is_over); i++) {
        cordon_ctl_t *ctl = cordon_vm_ctl(vms[i % VMS]);
        cordon_stats_t stats;
        cordon_host_stats_t figures;
        cordon_ctl_pause(ctl);
        cordon_ctl_limit(ctl, CORDON_WEIGHT, i % 500 + 1);
        cordon_ctl_stats(ctl, &stats);
        cordon_host_stats(host, &figures);
        cordon_ctl_resume(ctl);
        if (i % 7 == 0)
            cordon_ctl_kill(cordon_vm_ctl(vms[3]), 9);
    }
    return context;
}

static void ended(void *user, cordon_vm_t *vm, const cordon_result_t *result)
{
    (void)user, (void)vm;
    need(result->end == CORDON_END_RETURN || result->end == CORDON_END_KILLED, result->message);
    atomic_fetch_add(&ended_count, 1);
}

static void run_once(cordon_module_t *module, cordon_linker_t *linker, cordon_config_t *config)
{
    static void *(*const acts[])(void *) = {give_steps, give_steps, control, answer};
    pthread_t threads[4];
    cordon_result_t result;
    cordon_error_t error;

    atomic_store(&is_over, false);
    atomic_store(&ended_count, 0);
    for (int i = 0; i < VMS; i++) {
        vms[i] = cordon_vm_new(host, module, linker, config, &error);
        need(vms[i] != NULL, error.message);
    }
    for (int i = 0; i < 4; i++)
        need(pthread_create(&threads[i], NULL, acts[i], NULL) == 0, "no thread");
    for (int i = 0; i < VMS; i++)
        need(i % 2 ? cordon_vm_start(vms[i], ended, NULL, &error)
                   : cordon_vm_start_call(vms[i], "_start", NULL, 0, ended, NULL, &error),
             error.message);
    for (int i = 0; i < VMS; i++)
        cordon_vm_wait(vms[i], &result);
    atomic_store(&is_over, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    need(atomic_load(&ended_count) == VMS, "not all have ended");
    for (int i = 0; i < VMS; i++)
        cordon_vm_free(vms[i]);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    cordon_error_t error = {0};
    host = cordon_host_new(&error);
    cordon_host_translation(host, CORDON_TRANSLATE_EAGER);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    cordon_module_t *module = cordon_module_load(host, guest, strlen(guest), &error);

    need(module != NULL && cordon_host_begin(host, &error), error.message);
    need(cordon_bind_raw(linker, "env", "ask", "i32()", ask, NULL, &error), error.message);
    for (int i = 0; i < rounds; i++)
        run_once(module, linker, config);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    printf("%d rounds\n", rounds);
    return 0;
}
