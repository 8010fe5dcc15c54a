#include "cli/native.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Ends the part before the mark, and returns what stands behind it; NULL when a part is empty. */
static char *cut(char *part, char *mark)
{
    if (part == NULL || mark == NULL || mark == part || mark[1] == '\0')
        return NULL;
    *mark = '\0';
    return mark + 1;
}

/* MODULE.NAME=LIBRARY:SYMBOL:SIGNATURE. A module's name may have dots, a function's has none. */
static bool split(struct cli_native *native, const char *text)
{
    native->text = strdup(text);
    if (native->text == NULL)
        return false;
    native->module = native->text;
    char *library = cut(native->text, strchr(native->text, '='));
    native->name = library != NULL ? cut(native->text, strrchr(native->text, '.')) : NULL;
    native->library = library;
    char *symbol = library != NULL ? cut(library, strchr(library, ':')) : NULL;
    native->symbol = symbol;
    native->signature = symbol != NULL ? cut(symbol, strchr(symbol, ':')) : NULL;
    return native->name != NULL && native->signature != NULL;
}

/* 0, or the exit code after one line. */
static int find(struct cli_native *native, const char *text)
{
    if (!split(native, text)) {
        cli_complain("--import-native %s: expected MODULE.NAME=LIBRARY:SYMBOL:SIGNATURE, as in "
                     "env.cos=libm.so.6:cos:f64(f64)", text);
        return 125;
    }
    void *library = dlopen(native->library, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        cli_complain("--import-native %s: %s", text, dlerror());
        return 127;
    }
    native->function = (void (*)(void))(uintptr_t)dlsym(library, native->symbol);
    if (native->function != NULL)
        return 0;
    cli_complain("--import-native %s: %s has no function %s", text, native->library,
                 native->symbol);
    return 127;
}

bool cli_natives_open(struct cli_natives *natives, const struct cli_list *options, int *code)
{
    *code = 0;
    if (options->count == 0)
        return true;
    natives->items = calloc((size_t)options->count, sizeof *natives->items);
    if (natives->items == NULL) {
        cli_complain("no memory left");
        *code = 125;
        return false;
    }
    for (int i = 0; i < options->count && *code == 0; i++)
        *code = find(&natives->items[natives->count++], options->items[i]);
    return *code == 0;
}

void cli_natives_free(struct cli_natives *natives)
{
    for (int i = 0; i < natives->count; i++)
        free(natives->items[i].text);
    free(natives->items);
}

bool cli_natives_bind(const struct cli_natives *natives, cordon_linker_t *linker,
                      cordon_error_t *error)
{
    for (int i = 0; i < natives->count; i++) {
        const struct cli_native *native = &natives->items[i];
        if (!cordon_bind(linker, native->module, native->name, native->signature,
                         native->function, error))
            return false;
    }
    return true;
}
