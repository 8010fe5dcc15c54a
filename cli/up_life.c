/* Loading, making and freeing a VM: what the loop's pool does, because it may take long. */
#include <stdio.h>

#include "cli/up_life.h"

static void make_here(struct up_life *life)
{
    struct up_host *host = life->vm->host;
    struct up_loaded *loaded = &life->loaded;

    up_module_load(&host->modules, &life->vm->spec, loaded);
    life->error_code = loaded->error_code;
    life->error = loaded->error;
    if (loaded->module == NULL)
        return;
    life->error_code = 126;
    life->handle = cordon_vm_new(host->cordon, loaded->module, host->linker, life->vm->config,
                                 &life->error);
    if (life->handle == NULL && life->error.kind == CORDON_QUOTA)
        life->error_code = 137;
    else if (life->handle == NULL && life->error.kind == CORDON_TRAP)
        life->error_code = 134;
}

/* What a client has lent is kept for the next life, if there may be one. */
static bool keeps_volumes(const struct up_spec *spec)
{
    return spec->lent_count > 0 && spec->restart != UP_RESTART_NO;
}

/* Volumes are open, and their keys in this process, for no longer than it takes to hand them on. */
void up_life_make(struct up_life *life)
{
    struct up_vm *vm = life->vm;

    if (!up_spec_open_volumes(&vm->spec, vm->host->store, vm->config, &life->error)) {
        life->error_code = 125;
        return;
    }
    if (vm->spec.is_shared)
        make_here(life);
    else
        up_cell_make(life);
    if (!keeps_volumes(&vm->spec))
        cordon_config_close_volumes(vm->config);
}

bool up_life_is_made(const struct up_life *life)
{
    return life->handle != NULL || (life->cell != NULL && life->pid > 0);
}

cordon_ctl_t *up_life_ctl(const struct up_life *life)
{
    return life->cell != NULL ? cordon_cell_ctl(life->cell) : cordon_vm_ctl(life->handle);
}

/* On a worker of the host's. */
static void done(void *user, cordon_vm_t *vm, const cordon_result_t *result)
{
    struct up_life *life = user;

    (void)vm;
    life->result = *result;
    atomic_store(&life->is_done, true);
    uv_async_send(&life->vm->host->done);
}

bool up_life_start(struct up_life *life)
{
    if (life->cell != NULL)
        return up_cell_start(life);
    if (cordon_vm_start(life->handle, done, life, &life->error)) {
        atomic_store(&life->is_made, true);
        return true;
    }
    life->error_code = life->error.kind == CORDON_NO_EXPORT ? 127
                       : life->error.kind == CORDON_QUOTA   ? 137
                                                            : 126;
    return false;
}

void up_life_free(struct up_life *life)
{
    if (life->cell != NULL) {
        cordon_cell_free(life->cell);
        life->cell = NULL;
        return;
    }
    if (life->is_started)
        cordon_vm_wait(life->handle, &life->result);
    cordon_vm_free(life->handle);
    life->handle = NULL;
    up_module_release(&life->vm->host->modules, &life->loaded);
}

const char *up_end_text(const cordon_result_t *result, char *text, size_t size)
{
    switch (result->end) {
    case CORDON_END_NONE:
        snprintf(text, size, "%s", "");
        break;
    case CORDON_END_TRAP:
        snprintf(text, size, "trap: %s", result->message);
        break;
    case CORDON_END_QUOTA:
        snprintf(text, size, "quota exhausted: %s", cordon_quota_name(result->quota));
        break;
    case CORDON_END_KILLED:
        snprintf(text, size, "killed, signal %d", result->signal);
        break;
    case CORDON_END_ERROR:
        snprintf(text, size, "%s", result->message);
        break;
    default:
        snprintf(text, size, "exit code %d", result->exit_code);
        break;
    }
    return text;
}
