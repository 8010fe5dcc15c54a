/* A thousand VMs in one thread, in turns of 1,000 operators each. */
#include <stdio.h>

#include "include/cordon.h"

#define COUNT 1000
#define FUEL 1000

/* Each adds up the numbers below its own. */
static const char guest[] =
    "(module (func (export \"sum\") (param $n i32) (result i32) (local $sum i32)"
    "  (loop $l"
    "    (local.set $sum (i32.add (local.get $sum) (local.get $n)))"
    "    (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    "  (local.get $sum)))";

static cordon_vm_t *vms[COUNT];

static bool begin_all(cordon_host_t *host, cordon_module_t *module, cordon_error_t *error)
{
    cordon_linker_t *linker = cordon_linker_new(host, error);
    cordon_config_t *config = cordon_config_new(error);
    bool is_done = linker != NULL && config != NULL;

    for (int i = 0; i < COUNT && is_done; i++) {
        cordon_value_t number = {.type = CORDON_I32, .i32 = i + 1};
        vms[i] = cordon_vm_new(host, module, linker, config, error);
        is_done = vms[i] != NULL && cordon_vm_begin(vms[i], "sum", &number, 1, error);
    }
    cordon_config_free(config);
    cordon_linker_free(linker); /* nothing is imported, so nothing of it is needed any more */
    return is_done;
}

/* What they all come to; those that are over are freed. */
static bool run_all(long long *sum, int *rounds, cordon_error_t *error)
{
    int running = COUNT;

    for (*rounds = 0; running > 0; ++*rounds) {
        for (int i = 0; i < COUNT; i++) {
            cordon_value_t result = {0};
            cordon_result_t how;
            if (vms[i] == NULL ||
                cordon_vm_step(vms[i], FUEL, CORDON_UNLIMITED, NULL) != CORDON_OVER)
                continue;
            if (!cordon_vm_end(vms[i], &result, 1, &how, error))
                return false;
            *sum += result.i32;
            cordon_vm_free(vms[i]);
            vms[i] = NULL;
            running--;
        }
    }
    return true;
}

int main(void)
{
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module =
        host ? cordon_module_load(host, guest, sizeof guest - 1, &error) : NULL;
    long long sum = 0;
    int rounds = 0;
    bool is_done =
        module != NULL && begin_all(host, module, &error) && run_all(&sum, &rounds, &error);

    if (is_done)
        printf("%d VMs in %d rounds: %lld\n", COUNT, rounds, sum);
    else
        fprintf(stderr, "%s\n", error.message);
    for (int i = 0; i < COUNT; i++)
        cordon_vm_free(vms[i]);
    cordon_module_free(module);
    cordon_host_free(host);
    return is_done ? 0 : 1;
}
