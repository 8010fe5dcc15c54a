/* Reads whatever bytes come as the file of `cordon up`. It is either refused, with a text of one
 * line and a place, or understood; and either way all memory comes back (the sanitizer looks). */
#include <stdlib.h>
#include <string.h>

#include "cli/up_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_spec(const struct up_spec *spec)
{
    require(up_name_is_good(spec->name));
    require(spec->module != NULL && spec->args.count >= 1);
    require(spec->log_size <= UP_LOG_MAX && spec->count <= UP_VMS_MAX);
    for (uint32_t i = 0; i < spec->dir_count; i++)
        require(spec->dirs[i].path[0] == '/' && spec->dirs[i].guest[0] != '\0');
    for (uint32_t i = 0; i < spec->listener_count; i++)
        require(strchr(spec->listeners[i].address, ':') != NULL);
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++)
        require(cordon_quota_check((cordon_quota_t)i, spec->limit[i], NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct up_plan plan;
    struct up_fault fault = {{0, 0}, ""};
    char *copy = malloc(size ? size : 1);

    require(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size); /* of exactly its size: no byte behind it can be read unseen */
    setenv("HOME", "/home", 1);
    if (up_plan_read(&plan, copy, size, "/base", &fault)) {
        for (uint32_t i = 0; i < plan.count; i++)
            check_spec(&plan.vms[i]);
    } else {
        require(fault.text[0] != '\0');
    }
    up_plan_free(&plan);
    free(copy);
    return 0;
}
