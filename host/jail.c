/* The order in which the layers are put up, and what is missing. Each has a function of its own in
 * another file, so that the tests' linker can leave one out. */
#include "host/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MDWE_GET 66 /* PR_GET_MDWE of linux/prctl.h, which older headers lack */

static const struct {
    const char *key, *what, *needs;
    bool is_required;
} layers[] = {
#define LAYER(name, key, required, what, needs) {#key, what, needs, required},
#define CALL(...)
#define ANSWER(...)
#define DEADLY(...)
#define SANITIZER(...)
#include "spec/sandbox.def"
#undef SANITIZER
#undef DEADLY
#undef ANSWER
#undef CALL
#undef LAYER
};

/* The Landlock layers that come with later versions. */
static const struct {
    enum cn_layer layer;
    int abi;
} later[] = {{CN_LAYER_LANDLOCK, 2}, {CN_LAYER_TRUNCATE, 3}, {CN_LAYER_NETWORK, 4},
             {CN_LAYER_DEVICES, 5}, {CN_LAYER_SCOPE, 6}};

const char *cn_layer_key(enum cn_layer layer)
{
    return layers[layer].key;
}

void cn_jail_probe(bool offers[CN_LAYER_COUNT], int *landlock_abi)
{
    int abi = cn_jail_landlock_abi();

    offers[CN_LAYER_OPENAT2] = cn_jail_has_openat2();
    offers[CN_LAYER_LIMITS] = offers[CN_LAYER_USER] = offers[CN_LAYER_DUMPABLE] = true;
    offers[CN_LAYER_MDWE] = prctl(MDWE_GET, 0, 0, 0, 0) >= 0;
    offers[CN_LAYER_NO_NEW_PRIVS] = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0;
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        offers[later[i].layer] = abi >= later[i].abi;
    offers[CN_LAYER_SECCOMP] = cn_jail_has_filters();
    *landlock_abi = abi;
}

static enum cn_status require(const struct cn_jail *jail, const bool *offers,
                              struct cn_error *error)
{
    for (int i = 0; i < CN_LAYER_COUNT && !jail->is_best_effort; i++)
        if (layers[i].is_required && !offers[i])
            return cn_fail(error, CN_IO, CN_NO_OFFSET,
                           "the sandbox's layer %s is missing: it needs %s", layers[i].key,
                           layers[i].needs);
    return CN_OK;
}

/* Landlock binds the thread that asks for it and those it starts later, no others. */
static enum cn_status only_thread(struct cn_error *error)
{
    struct stat tasks;

    if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET,
                       "the sandbox has to be entered before threads are started");
    return CN_OK;
}

enum cn_status cn_jail_enter(struct cn_jail *jail, struct cn_error *error)
{
    bool offers[CN_LAYER_COUNT];

    if (jail->is_strict)
        CN_TRY(cn_jail_lock(true, error));
    cn_jail_probe(offers, &jail->landlock_abi);
    CN_TRY(require(jail, offers, error));
    CN_TRY(only_thread(error));
    memset(jail->active, 0, sizeof jail->active);
    jail->active[CN_LAYER_OPENAT2] = offers[CN_LAYER_OPENAT2];
    CN_TRY(cn_jail_limits(jail, error));
    CN_TRY(cn_jail_user(jail, error));
    CN_TRY(cn_jail_privileges(jail, error));
    if (offers[CN_LAYER_LANDLOCK])
        CN_TRY(cn_jail_landlock(jail, error));
    CN_TRY(cn_jail_check(jail, error));
    if (!offers[CN_LAYER_SECCOMP])
        return CN_OK;
    CN_TRY(cn_jail_filter(jail, error));
    return cn_jail_check_filter(jail, error);
}
