/* The process's own sandbox: from what its VMs are given to what is left of the system. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/internal.h"
#include "host/jail.h"
#include "shim/resolve.h"
#include "shim/volume_store.h"
#include "shim/stream.h"

_Static_assert((int)CORDON_LAYER_COUNT == (int)CN_LAYER_COUNT,
               "cordon.h has the layers of sandbox.def");

static bool is_socket(int fd)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* What the standard streams need: later nothing is opened anew. */
static void prepare_stdio(cordon_config_t *config, struct cn_jail *jail)
{
    for (int i = 0; i < 3; i++) {
        if (config->stdio[i] >= 0 && config->own_stdio[i] < 0)
            config->own_stdio[i] = cn_stream_reopen(config->stdio[i]);
        if (is_socket(config->stdio[i]))
            jail->grants |= CN_JAIL_SOCKETS;
    }
}

static bool is_read_only(const struct cn_wasi_dir *dir)
{
    return dir->is_read_only || cn_is_procfs(dir->host);
}

/* One list of all directories; NULL when there is no memory for it. */
static struct cn_jail_dir *list_dirs(const cordon_sandbox_t *sandbox, struct cn_jail *jail)
{
    const cordon_config_t *config = sandbox->config;
    uint32_t granted = config != NULL ? config->dir_count : 0;
    struct cn_jail_dir *dirs =
        cn_alloc_array(cn_heap, granted + sandbox->dir_count + 1, sizeof *dirs);

    for (uint32_t i = 0; dirs != NULL && i < granted; i++)
        dirs[i] = (struct cn_jail_dir){config->dirs[i].host, is_read_only(&config->dirs[i]),
                                       config->dirs[i].volume != NULL};
    for (uint32_t i = 0; dirs != NULL && i < sandbox->dir_count; i++)
        dirs[granted + i] = (struct cn_jail_dir){sandbox->dirs[i], false, false};
    jail->dirs = dirs;
    jail->dir_count = granted + sandbox->dir_count;
    for (uint32_t i = 0; dirs != NULL && i < jail->dir_count; i++)
        jail->grants |= dirs[i].is_read_only ? CN_JAIL_READ : CN_JAIL_WRITE;
    return dirs;
}

/* Volumes belong to whoever the process becomes. */
static enum cn_status give_volumes(const cordon_config_t *config, struct cn_jail *jail,
                                   struct cn_error *error)
{
    cn_jail_choose_user(jail);
    for (uint32_t i = 0; i < config->dir_count; i++)
        if (config->dirs[i].volume != NULL)
            CN_TRY(cn_mount_give_to((struct cn_mount *)config->dirs[i].volume, jail->user,
                                    jail->group, error));
    return CN_OK;
}

bool cordon_sandbox_enter(const cordon_sandbox_t *sandbox, cordon_sandbox_report_t *report,
                          cordon_error_t *error)
{
    struct cn_jail jail = {
        .dies_with_parent = sandbox->dies_with_parent,
        .is_best_effort = sandbox->is_best_effort, .is_strict = sandbox->is_strict,
        .has_user = sandbox->has_user,
        .user = sandbox->user, .group = sandbox->group,
        .grants = (sandbox->has_threads ? CN_JAIL_THREADS : 0) |
                  (sandbox->has_sockets ? CN_JAIL_SOCKETS : 0),
    };
    struct cn_error cause = {0};
    struct cn_jail_dir *dirs = list_dirs(sandbox, &jail);

    if (dirs == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    if (sandbox->config != NULL)
        prepare_stdio(sandbox->config, &jail);
    if (sandbox->config != NULL && sandbox->config->listener_count > 0)
        jail.grants |= CN_JAIL_SOCKETS;
    if (sandbox->config != NULL)
        cause.status = give_volumes(sandbox->config, &jail, &cause);
    if (cause.status == CN_OK)
        cause.status = cn_jail_enter(&jail, &cause);
    cn_free(cn_heap, dirs, (jail.dir_count + 1) * sizeof *dirs);
    if (cause.status != CN_OK)
        return cn_api_fail_with(error, &cause);
    memcpy(report->active, jail.active, sizeof report->active);
    report->landlock_abi = jail.landlock_abi;
    report->user = jail.user;
    report->group = jail.group;
    return true;
}

bool cordon_lock_memory(cordon_error_t *error)
{
    struct cn_error cause = {0};

    cause.status = cn_jail_lock(false, &cause);
    return cause.status == CN_OK || cn_api_fail_with(error, &cause);
}

void cordon_sandbox_probe(cordon_sandbox_report_t *report)
{
    cn_jail_probe(report->active, &report->landlock_abi);
    report->user = geteuid();
    report->group = getegid();
}

const char *cordon_layer_key(cordon_layer_t layer)
{
    return (unsigned)layer < CORDON_LAYER_COUNT ? cn_layer_key((enum cn_layer)layer) : "";
}

const char *cordon_sandbox_call(int number)
{
    return cn_jail_call_name(number);
}
