/* Makes the door binary of the `cordon` command: its guests can import door.act, which tries an act
 * of acts.def from within Cordon's own process, past the shim, as somebody would who has broken out
 * of the interpreter. The linker leads some of the command's calls through this file (--wrap), so
 * that nothing of it is in the product. $CORDON_DOOR_LAYERS names the sandbox's layers that are
 * put up; all when it is not set. */
#include "door.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "host/jail.h"
#include "include/cordon.h"

/* Taken at the beginning: the sandbox wipes the environment. */
static char *layers, *root;

__attribute__((constructor)) static void take_environment(void)
{
    const char *names = getenv("CORDON_DOOR_LAYERS"), *folder = getenv("CORDON_DOOR_ROOT");

    layers = names != NULL ? strdup(names) : NULL;
    root = folder != NULL ? strdup(folder) : NULL;
    door_prepare(getenv("CORDON_DOOR_PARENT"), getenv("CORDON_DOOR_ABSTRACT"));
}

/* A worker is started without an environment; the door's variables go with it. */
int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const words[],
                       char *const environment[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const words[],
                       char *const environment[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const words[],
                       char *const environment[])
{
    char *ours[8] = {NULL};
    int count = 0;

    (void)environment;
    for (char **variable = environ; *variable != NULL && count < 7; variable++)
        if (strncmp(*variable, "CORDON_DOOR", 11) == 0)
            ours[count++] = *variable;
    return __real_posix_spawn(pid, path, actions, attributes, words, ours);
}

static bool has_layer(const char *name)
{
    const char *list = layers;
    size_t size = strlen(name);

    for (const char *at = list; at != NULL && *at != '\0'; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (strncmp(at, name, size) == 0 && (at[size] == ' ' || at[size] == '\0'))
            return true;
    }
    return list == NULL;
}

static bool act(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    (void)user;
    (void)vm;
    slots[0] = (uint64_t)door_act((int)slots[0], root);
    return true;
}

void __real_cordon_linker_allow_wasi(cordon_linker_t *linker);
void __wrap_cordon_linker_allow_wasi(cordon_linker_t *linker);
void __wrap_cordon_linker_allow_wasi(cordon_linker_t *linker)
{
    cordon_error_t error;

    __real_cordon_linker_allow_wasi(linker);
    if (!cordon_bind_raw(linker, "door", "act", "i64(i32)", act, NULL, &error))
        abort();
}

/* A layer that is put up only when it is named. */
#define LAYER_OF(function, name)                                                                   \
    enum cn_status __real_##function(struct cn_jail *jail, struct cn_error *error);                \
    enum cn_status __wrap_##function(struct cn_jail *jail, struct cn_error *error);                \
    enum cn_status __wrap_##function(struct cn_jail *jail, struct cn_error *error)                 \
    {                                                                                              \
        return has_layer(name) ? __real_##function(jail, error) : CN_OK;                           \
    }

LAYER_OF(cn_jail_limits, "limits")
LAYER_OF(cn_jail_landlock, "landlock")
LAYER_OF(cn_jail_filter, "seccomp")

/* Without the change of users the rest still looks at who the process is. */
enum cn_status __real_cn_jail_user(struct cn_jail *jail, struct cn_error *error);
enum cn_status __wrap_cn_jail_user(struct cn_jail *jail, struct cn_error *error);
enum cn_status __wrap_cn_jail_user(struct cn_jail *jail, struct cn_error *error)
{
    return has_layer("user") ? __real_cn_jail_user(jail, error) : CN_OK;
}

/* No new privileges are the ground that Landlock and seccomp stand on. */
enum cn_status __wrap_cn_jail_privileges(struct cn_jail *jail, struct cn_error *error);
enum cn_status __wrap_cn_jail_privileges(struct cn_jail *jail, struct cn_error *error)
{
    (void)jail;
    (void)error;
    prctl(PR_SET_DUMPABLE, !has_layer("dumpable"), 0, 0, 0);
    if (has_layer("mdwe"))
        prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? CN_OK : CN_IO;
}

/* The self-check would notice. */
enum cn_status __wrap_cn_jail_check(const struct cn_jail *jail, struct cn_error *error);
enum cn_status __wrap_cn_jail_check(const struct cn_jail *jail, struct cn_error *error)
{
    (void)jail;
    (void)error;
    return CN_OK;
}

enum cn_status __wrap_cn_jail_check_filter(const struct cn_jail *jail, struct cn_error *error);
enum cn_status __wrap_cn_jail_check_filter(const struct cn_jail *jail, struct cn_error *error)
{
    (void)jail;
    (void)error;
    return CN_OK;
}
