/* A program that embeds Cordon and lives longer than its VMs: what is left of one is looked for in
 * it from outside.
 *
 *     keeper MODULE FOLDER STORE
 *
 * Reads an argument and a variable for the guest, a line each, from standard input, so that they
 * are in nobody's command line; starts `guest hold` with a directory (FOLDER, as /d), an ephemeral
 * volume of STORE (as /v, which it writes to) and a listener; says "port N", and "live" when the
 * guest is ready. A line more ends the VM: "gone". Another one ends the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/cordon.h"

#define MODULE_MAX (1u << 22)
#define LINE_MAX_SIZE 256

static cordon_error_t error;

static void must(bool is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "keeper: %s: %s\n", what, error.message);
    exit(1);
}

/* Not to be found here: by hand, as what wipes may be taken away. */
static void forget(char *text, size_t size)
{
    for (volatile char *at = text; size > 0; size--)
        *at++ = '\0';
}

/* A byte at a time, with no buffer of anybody's. */
static bool hear(char line[LINE_MAX_SIZE])
{
    size_t size = 0;

    while (size < LINE_MAX_SIZE - 1 && read(0, line + size, 1) == 1 && line[size] != '\n')
        size++;
    line[size] = '\0';
    return size > 0;
}

/* Its bytes stay. */
static cordon_module_t *load(cordon_host_t *host, const char *path)
{
    static uint8_t bytes[MODULE_MAX];
    FILE *file = fopen(path, "rb");

    must(file != NULL, path);
    size_t size = fread(bytes, 1, MODULE_MAX, file);
    fclose(file);
    cordon_module_t *module = cordon_module_load(host, bytes, size, &error);
    must(module != NULL, "the module");
    return module;
}

static void grant_words(cordon_config_t *config)
{
    char line[LINE_MAX_SIZE];

    must(cordon_config_arg(config, "guest", &error), "the name");
    must(cordon_config_arg(config, "hold", &error), "the act");
    must(cordon_config_arg(config, "/v", &error), "the place");
    must(hear(line) && cordon_config_arg(config, line, &error), "the argument");
    must(hear(line) && cordon_config_env(config, line, &error), "the variable");
    forget(line, sizeof line);
}

static void grant_volume(cordon_config_t *config, const char *path)
{
    const cordon_store_options_t options = {.path = path};
    const cordon_volume_t volume = {.guest = "/v"};
    cordon_store_t *store = cordon_store_open(&options, &error);

    must(store != NULL && cordon_config_volume(config, store, &volume, &error), "the volume");
    cordon_store_close(store);
}

/* Until it has said that it is ready. */
static void wait_for(int output)
{
    char line[LINE_MAX_SIZE];
    size_t size = 0;

    while (read(output, line + size, 1) == 1) {
        if (line[size] == '\n') {
            if (size == 5 && memcmp(line, "ready", 5) == 0)
                break;
            size = 0;
        } else if (size < sizeof line - 1) {
            size++;
        }
    }
    forget(line, sizeof line);
}

static cordon_config_t *grants(char **words, int output, uint16_t *port)
{
    cordon_config_t *config = cordon_config_new(&error);

    must(config != NULL, "the config");
    grant_words(config);
    grant_volume(config, words[3]);
    must(cordon_config_dir(config, words[2], "/d", false, &error), words[2]);
    must(cordon_config_listen(config, "127.0.0.1:0", port, &error), "a listener");
    must(cordon_config_stdio(config, 1, output, &error), "standard output");
    return config;
}

int main(int count, char **words)
{
    cordon_result_t result;
    char line[LINE_MAX_SIZE];
    uint16_t port;
    int ends[2];

    must(count == 4 && pipe(ends) == 0, "MODULE FOLDER STORE");
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module = load(host, words[1]);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_linker_allow_wasi(linker);
    must(cordon_host_start(host, 1, &error), "workers");
    cordon_config_t *config = grants(words, ends[1], &port);
    cordon_vm_t *vm = cordon_vm_new(host, module, linker, config, &error);
    must(vm != NULL, "the VM");
    cordon_config_free(config);
    must(cordon_vm_start(vm, NULL, NULL, &error), "its start");
    dprintf(1, "port %u\n", port);
    wait_for(ends[0]);
    dprintf(1, "live\n");
    hear(line);
    cordon_ctl_kill(cordon_vm_ctl(vm), 9);
    cordon_vm_wait(vm, &result);
    cordon_vm_free(vm);
    dprintf(1, "gone\n");
    hear(line);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    return result.end == CORDON_END_KILLED ? 0 : 1;
}
