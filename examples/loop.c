/* A thousand programs on the thread of a libuv loop, beside whatever else that does. The host
 * chooses whose turn is next, and holds each to its quotas; the loop is told when to give it some
 * of its time. */
#include <stdio.h>
#include <uv.h>

#include "include/cordon.h"

#define COUNT 1000
#define STEP_NS 2000000 /* that the guests may have before the loop looks after the rest */

/* Counts down, and exits with 7; or spins until its fuel is used up. */
static const char text[] =
    "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (func (export \"_start\") (local $n i32)"
    "    (local.set $n (i32.const 20000))"
    "    (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    "    (call $exit (i32.const 7))))";

struct world {
    cordon_host_t *host;
    cordon_vm_t *vms[COUNT];
    uv_poll_t poll;    /* of the host's descriptor */
    uv_timer_t ticker; /* the rest */
    int ticks, exits, quotas;
};

/* Within cordon_host_step. */
static void ended(void *user, cordon_vm_t *vm, const cordon_result_t *how)
{
    struct world *world = user;

    (void)vm;
    world->exits += how->end == CORDON_END_EXIT && how->exit_code == 7;
    world->quotas += how->end == CORDON_END_QUOTA && how->quota == CORDON_FUEL;
}

static void step(uv_poll_t *poll, int status, int events)
{
    struct world *world = poll->data;

    (void)status, (void)events;
    if (cordon_host_step(world->host, STEP_NS, NULL) != CORDON_OVER)
        return;
    uv_close((uv_handle_t *)poll, NULL);
    uv_close((uv_handle_t *)&world->ticker, NULL);
}

static void tick(uv_timer_t *ticker)
{
    struct world *world = ticker->data;

    world->ticks++;
}

/* Every fourth has not the fuel that it needs; every second twice the weight of the others. */
static bool start_all(struct world *world, cordon_module_t *module, cordon_linker_t *linker,
                      cordon_error_t *error)
{
    bool is_done = true;

    for (int i = 0; i < COUNT && is_done; i++) {
        cordon_config_t *config = cordon_config_new(error);
        is_done = config != NULL &&
                  cordon_config_limit(config, CORDON_WEIGHT, i % 2 ? 200 : 100, error) &&
                  cordon_config_limit(config, CORDON_FUEL, i % 4 ? 1000000 : 1000, error);
        if (is_done)
            world->vms[i] = cordon_vm_new(world->host, module, linker, config, error);
        is_done = world->vms[i] != NULL && cordon_vm_start(world->vms[i], ended, world, error);
        cordon_config_free(config);
    }
    return is_done;
}

static bool run(struct world *world, cordon_module_t *module, cordon_linker_t *linker,
                cordon_error_t *error)
{
    int descriptor = cordon_host_descriptor(world->host, error);

    if (descriptor < 0 || !start_all(world, module, linker, error))
        return false;
    world->poll.data = world->ticker.data = world;
    uv_poll_init(uv_default_loop(), &world->poll, descriptor);
    uv_poll_start(&world->poll, UV_READABLE, step);
    uv_timer_init(uv_default_loop(), &world->ticker);
    uv_timer_start(&world->ticker, tick, 1, 1);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    printf("%d programs have exited, %d had no fuel left, %s\n", world->exits, world->quotas,
           world->ticks > 0 ? "and the loop had time for the rest" : "and nothing else was done");
    return true;
}

int main(void)
{
    static struct world world;
    cordon_error_t error = {0};
    world.host = cordon_host_new(&error);
    cordon_linker_t *linker = world.host ? cordon_linker_new(world.host, &error) : NULL;
    cordon_module_t *module =
        linker ? cordon_module_load(world.host, text, sizeof text - 1, &error) : NULL;

    if (linker != NULL)
        cordon_linker_allow_wasi(linker);
    bool is_done = module != NULL && cordon_host_begin(world.host, &error) &&
                   run(&world, module, linker, &error);
    if (!is_done)
        fprintf(stderr, "%s\n", error.message);
    for (int i = 0; i < COUNT; i++)
        cordon_vm_free(world.vms[i]);
    uv_loop_close(uv_default_loop());
    cordon_module_free(module);
    cordon_linker_free(linker);
    cordon_host_free(world.host);
    return is_done ? 0 : 1;
}
