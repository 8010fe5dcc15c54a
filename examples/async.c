/* Guests in a libuv loop that call a host function which takes its time: meanwhile others run. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "include/cordon.h"

/* Waits twice, and gives the sum of the answers. */
static const char text[] =
    "(module (import \"env\" \"look_up\" (func $look_up (param i32) (result i32)))"
    "  (func (export \"f\") (param i32) (result i32)"
    "    (i32.add (call $look_up (local.get 0)) (call $look_up (i32.const 10)))))";

#define COUNT 3

struct guest {
    const char *name;
    cordon_vm_t *vm;
    uv_poll_t poll; /* of the VM's descriptor */
};

/* One question under way: a timer stands for the database, or whatever it is. */
struct question {
    uv_timer_t timer;
    cordon_host_t *host;
    cordon_token_t token;
    int answer;
};

static void free_question(uv_handle_t *timer)
{
    free(timer->data);
}

static void answer(uv_timer_t *timer)
{
    struct question *question = timer->data;
    cordon_value_t value = {.type = CORDON_I32, .i32 = question->answer};
    cordon_error_t error;

    (void)cordon_complete(question->host, question->token, &value, &error); /* unless it is over */
    uv_close((uv_handle_t *)timer, free_question);
}

/* "i32(user, vm, i32)": the answer comes after as many milliseconds as it is. */
static int32_t look_up(void *host, cordon_vm_t *vm, int32_t number)
{
    struct question *question = malloc(sizeof *question);
    cordon_token_t token = question != NULL ? cordon_vm_pend(vm) : 0;

    if (token == 0) {
        free(question);
        cordon_vm_trap(vm, "no question more");
        return 0;
    }
    *question = (struct question){.host = host, .token = token, .answer = number};
    question->timer.data = question;
    uv_timer_init(uv_default_loop(), &question->timer);
    uv_timer_start(&question->timer, answer, (uint64_t)number, 0);
    return 0;
}

/* A millisecond, or until it waits. */
static void step(uv_poll_t *poll, int status, int events)
{
    struct guest *guest = poll->data;
    cordon_value_t sum = {0};
    cordon_result_t how;
    cordon_error_t error;

    (void)status, (void)events;
    if (cordon_vm_step(guest->vm, CORDON_UNLIMITED, 1000000, NULL) != CORDON_OVER)
        return;
    if (cordon_vm_end(guest->vm, &sum, 1, &how, &error))
        printf("%s: %d\n", guest->name, sum.i32);
    uv_close((uv_handle_t *)poll, NULL);
}

static bool begin(struct guest *guest, int number, cordon_error_t *error)
{
    cordon_value_t value = {.type = CORDON_I32, .i32 = number};
    int descriptor = cordon_vm_descriptor(guest->vm, error);

    if (descriptor < 0 || !cordon_vm_begin(guest->vm, "f", &value, 1, error))
        return false;
    guest->poll.data = guest;
    uv_poll_init(uv_default_loop(), &guest->poll, descriptor);
    uv_poll_start(&guest->poll, UV_READABLE, step);
    step(&guest->poll, 0, 0);
    return true;
}

static bool run(cordon_host_t *host, cordon_module_t *module, cordon_linker_t *linker,
                struct guest *guests, cordon_error_t *error)
{
    static const char *const names[COUNT] = {"slow", "quick", "middling"};
    static const int numbers[COUNT] = {300, 1, 150};
    cordon_config_t *config = cordon_config_new(error);
    bool is_done = config != NULL && cordon_bind_with(linker, "env", "look_up",
                                                      "i32(user, vm, i32)",
                                                      (void (*)(void))look_up, host, error);

    for (int i = 0; i < COUNT && is_done; i++) {
        guests[i].name = names[i];
        guests[i].vm = cordon_vm_new(host, module, linker, config, error);
        is_done = guests[i].vm != NULL && begin(&guests[i], numbers[i], error);
    }
    if (is_done)
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    cordon_config_free(config);
    return is_done;
}

int main(void)
{
    static struct guest guests[COUNT];
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_linker_t *linker = host ? cordon_linker_new(host, &error) : NULL;
    cordon_module_t *module =
        linker ? cordon_module_load(host, text, sizeof text - 1, &error) : NULL;
    bool is_done = module != NULL && run(host, module, linker, guests, &error);

    if (!is_done)
        fprintf(stderr, "%s\n", error.message);
    for (int i = 0; i < COUNT; i++)
        cordon_vm_free(guests[i].vm);
    uv_loop_close(uv_default_loop());
    cordon_module_free(module);
    cordon_linker_free(linker);
    cordon_host_free(host);
    return is_done ? 0 : 1;
}
