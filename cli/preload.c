#include "cli/preload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 0, or the exit code after one line. */
static int open_one(struct cli_preload *preload, const char *option)
{
    const char *mark = strchr(option, '=');
    int code = 0;

    preload->option = option;
    if (mark == NULL || mark == option || mark[1] == '\0') {
        cli_complain("--preload %s: expected NAME=FILE, as in util=util.wasm", option);
        return 125;
    }
    preload->path = mark + 1;
    preload->name = strndup(option, (size_t)(mark - option));
    if (preload->name == NULL) {
        cli_complain("no memory left");
        return 125;
    }
    preload->fd = cli_file_open(preload->path, &code);
    return preload->fd >= 0 ? 0 : code;
}

bool cli_preloads_open(struct cli_preloads *preloads, const struct cli_list *options, int *code)
{
    *code = 0;
    if (options->count == 0)
        return true;
    preloads->items = calloc((size_t)options->count, sizeof *preloads->items);
    if (preloads->items == NULL) {
        cli_complain("no memory left");
        *code = 125;
        return false;
    }
    for (int i = 0; i < options->count && *code == 0; i++) {
        struct cli_preload *preload = &preloads->items[preloads->count++];
        preload->fd = -1;
        *code = open_one(preload, options->items[i]);
    }
    return *code == 0;
}

bool cli_preloads_take(struct cli_preloads *preloads, int *code)
{
    for (int i = 0; i < preloads->count; i++) {
        struct cli_preload *preload = &preloads->items[i];
        int fd = preload->fd;
        preload->fd = -1;
        if (!cli_file_take(&preload->file, fd, preload->path, code))
            return false;
    }
    return true;
}

/* Says of which module an error is. */
static bool fail(const struct cli_preload *preload, const cordon_error_t *cause,
                 cordon_error_t *error)
{
    char place[40] = "";

    *error = *cause;
    if (cause->offset != UINT64_MAX)
        snprintf(place, sizeof place, "at offset 0x%llx: ", (unsigned long long)cause->offset);
    error->offset = UINT64_MAX;
    snprintf(error->message, sizeof error->message, "--preload %.100s: %s%.200s", preload->option,
             place, cause->message);
    return false;
}

bool cli_preloads_link(struct cli_preloads *preloads, cordon_host_t *host,
                       cordon_linker_t *linker, cordon_error_t *error)
{
    cordon_error_t cause;

    for (int i = 0; i < preloads->count; i++) {
        struct cli_preload *preload = &preloads->items[i];
        preload->module =
            cordon_module_load(host, preload->file.bytes, preload->file.size, &cause);
        if (preload->module == NULL ||
            !cordon_linker_module(linker, preload->name, preload->module, &cause))
            return fail(preload, &cause, error);
    }
    return true;
}

void cli_preloads_free(struct cli_preloads *preloads)
{
    for (int i = 0; i < preloads->count; i++) {
        struct cli_preload *preload = &preloads->items[i];
        if (preload->fd >= 0)
            close(preload->fd);
        cordon_module_free(preload->module);
        cli_file_free(&preload->file);
        free(preload->name);
    }
    free(preloads->items);
}
