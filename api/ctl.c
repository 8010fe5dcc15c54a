/* Controls: what any thread may do to a VM, wherever it runs. */
#include <stddef.h>
#include <string.h>

#include "api/internal.h"

void cn_api_stats(const struct cn_figures *figures, cordon_stats_t *stats)
{
    const struct cn_account *account = &figures->account;
    const struct cn_wasi_stats *wasi = &figures->wasi;

    memset(stats, 0, sizeof *stats);
    stats->wall_ns = figures->wall_ns;
    stats->cpu_ns = figures->cpu_ns;
    stats->fuel = account->used[CN_QUOTA_FUEL];
    memcpy(stats->used, account->used, sizeof stats->used);
    memcpy(stats->peak, account->peak, sizeof stats->peak);
    memcpy(stats->limit, account->limit, sizeof stats->limit);
    memcpy(stats->refused, account->refused, sizeof stats->refused);
    stats->net_in = wasi->net_in;
    stats->net_out = wasi->net_out;
    stats->connections = wasi->connections;
    stats->file_read = wasi->file_read;
    stats->file_written = wasi->file_written;
    stats->is_paused = figures->is_held;
}

/* ------------------------------------------------------------------ of a VM in this process */

static struct cn_vm *vm_of(cordon_ctl_t *ctl)
{
    return &((struct cordon_vm *)((char *)ctl - offsetof(struct cordon_vm, ctl)))->vm;
}

static void kill_vm(cordon_ctl_t *ctl, int signal)
{
    cn_vm_kill(vm_of(ctl), signal);
}

static void pause_vm(cordon_ctl_t *ctl, bool paused)
{
    cn_vm_pause(vm_of(ctl), paused);
}

static enum cn_status limit_vm(cordon_ctl_t *ctl, enum cn_quota quota, uint64_t value)
{
    return cn_vm_limit(vm_of(ctl), quota, value);
}

static struct cn_figures figures_of_vm(cordon_ctl_t *ctl)
{
    return cn_vm_published(vm_of(ctl));
}

static void feed_vm(cordon_ctl_t *ctl, int number)
{
    cn_wasi_feed_again(vm_of(ctl)->wasi, number);
}

const struct cn_ctl_ops cn_api_vm_ctl = {kill_vm, pause_vm, limit_vm, figures_of_vm, feed_vm};

cordon_ctl_t *cordon_vm_ctl(cordon_vm_t *vm)
{
    return &vm->ctl;
}

/* ------------------------------------------------------------------ of any */

void cordon_ctl_kill(cordon_ctl_t *ctl, int signal)
{
    ctl->ops->kill(ctl, signal > 0 ? signal : 9);
}

void cordon_ctl_pause(cordon_ctl_t *ctl)
{
    ctl->ops->pause(ctl, true);
}

void cordon_ctl_resume(cordon_ctl_t *ctl)
{
    ctl->ops->pause(ctl, false);
}

bool cordon_ctl_limit(cordon_ctl_t *ctl, cordon_quota_t quota, uint64_t value)
{
    return cordon_quota_check(quota, value, NULL) &&
           ctl->ops->limit(ctl, (enum cn_quota)quota, value) == CN_OK;
}

void cordon_ctl_stats(cordon_ctl_t *ctl, cordon_stats_t *stats)
{
    struct cn_figures seen = ctl->ops->figures(ctl);

    cn_api_stats(&seen, stats);
    stats->foreign_calls = atomic_load(&ctl->foreign_calls);
}

void cordon_ctl_go_on(cordon_ctl_t *ctl, int number)
{
    if (ctl->ops->feed != NULL && number >= 0 && number <= 2)
        ctl->ops->feed(ctl, number);
}
