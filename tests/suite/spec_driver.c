/* Executes the commands of a test script, flattened by run_spec.py, on the machine itself:
 * loader, translator, verifier, interpreter, without the layers above.
 *
 *   module NAME FILE                 instantiate; "-" for no name
 *   register AS NAME
 *   return NAME FIELD ARG... = VALUE...
 *   trap TEXT NAME FIELD ARG...      texts and fields are in hexadecimal
 *   exhaustion TEXT NAME FIELD ARG...
 *   action NAME FIELD ARG...
 *   get NAME FIELD = VALUE
 *   reject TEXT FILE                 malformed or invalid
 *   unlinkable TEXT FILE             cannot be linked, or traps when it is instantiated
 * A line begins with its place in the script. Prints one line per failure, then the counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/load.h"
#include "tests/suite/machine.h"

#define NAMES_MAX 512
#define WORDS_MAX 256

struct loaded {
    struct loaded *next;
    uint8_t *bytes;
    struct cn_module *module;
    struct cn_program *program;
    struct cn_instance *instance;
};

/* Everything that was loaded lives to the end: its functions may stand in others' tables. */
static struct loaded *everything;

static struct loaded *loaded_new(void)
{
    struct loaded *it = calloc(1, sizeof *it);

    if (it == NULL)
        exit(2);
    it->next = everything;
    everything = it;
    return it;
}

static void free_everything(void)
{
    while (everything != NULL) {
        struct loaded *it = everything;
        everything = it->next;
        cn_program_free(it->program);
        cn_module_free(it->module);
        free(it->bytes);
        free(it);
    }
}

struct named {
    char name[128];
    struct cn_instance *instance;
};

static struct cn_account account;
static struct cn_store *store;
static struct cn_instance *current;
static struct named names[NAMES_MAX], registered[NAMES_MAX];
static int name_count, registered_count;
static int passed, failed;
static int preempt;

static void fail(const char *place, const char *format, const char *a, const char *b)
{
    printf("%s: ", place);
    printf(format, a, b);
    putchar('\n');
    failed++;
}

/* In place; the bytes may hold zeros. */
static struct cn_bytes bytes_from_hex(char *word)
{
    size_t size = strlen(word) / 2;

    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        sscanf(word + 2 * i, "%2x", &byte);
        word[i] = (char)byte;
    }
    word[size] = '\0';
    return (struct cn_bytes){(const uint8_t *)word, size};
}

static char *from_hex(char *word)
{
    bytes_from_hex(word);
    return word;
}

static struct cn_instance *find(struct named *list, int count, const char *name)
{
    for (int i = count; i-- > 0;)
        if (strcmp(list[i].name, name) == 0)
            return list[i].instance;
    return NULL;
}

static struct cn_instance *instance_named(const char *name)
{
    return strcmp(name, "-") == 0 ? current : find(names, name_count, name);
}

static void add_name(struct named *list, int *count, const char *name, struct cn_instance *what)
{
    if (*count == NAMES_MAX)
        exit(2);
    snprintf(list[*count].name, sizeof list[*count].name, "%s", name);
    list[(*count)++].instance = what;
}

/* ------------------------------------------------------------------ modules */

static enum cn_status resolve(const struct cn_module *module, struct cn_extern *externs,
                              struct cn_error *error)
{
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct cn_import *import = &module->imports[i];
        char from[128];
        snprintf(from, sizeof from, "%.*s", (int)import->module.size,
                 (const char *)import->module.at);
        struct cn_instance *instance = find(registered, registered_count, from);
        if (instance == NULL || !cn_instance_export(instance, import->name, &externs[i]))
            return cn_fail(error, CN_UNLINKABLE, CN_NO_OFFSET, "unknown import");
    }
    return CN_OK;
}

static const char *const trap_text[] = {
#define STATUS(name, code, text) [CN_##name] = text,
#define TRAP(name, text) [CN_TRAP_##name] = text,
#include "spec/error.def"
#undef STATUS
#undef TRAP
};

static enum cn_status instantiate(const char *path, struct loaded *it, struct cn_error *error)
{
    union cn_slot none;
    size_t size;

    it->bytes = machine_read(path, &size);
    CN_TRY(cn_load((struct cn_bytes){it->bytes, size}, cn_heap, &it->module, error));
    CN_TRY(cn_program_new(&it->program, it->module, cn_heap));
    CN_TRY(machine_translate(it->program, error));
    struct cn_extern *externs = calloc(it->module->import_count + 1, sizeof *externs);
    enum cn_status status = resolve(it->module, externs, error);
    if (status == CN_OK)
        status = cn_instantiate(store, it->program, externs, &it->instance, error);
    free(externs);
    CN_TRY(status);
    if (it->module->start == CN_NO_INDEX)
        return CN_OK;
    status = machine_call(store, it->instance->funcs[it->module->start], preempt, &none, &none);
    return status == CN_OK ? CN_OK
                           : cn_fail(error, status, CN_NO_OFFSET, "%s", cn_status_text(status));
}

static void run_module(const char *place, const char *name, const char *path)
{
    struct cn_error error = {.text = ""};
    struct loaded *it = loaded_new();

    current = NULL;
    if (instantiate(path, it, &error) != CN_OK) {
        fail(place, "module %s: %s", path, error.text);
        return;
    }
    current = it->instance;
    if (strcmp(name, "-") != 0)
        add_name(names, &name_count, name, current);
}

static int is_prefix(const char *expected, const char *text)
{
    return strncmp(text, expected, strlen(expected)) == 0;
}

static void run_reject(const char *place, const char *expected, const char *path)
{
    struct cn_error error = {.text = ""};
    struct cn_module *module;
    size_t size;
    uint8_t *bytes = machine_read(path, &size);

    if (cn_load((struct cn_bytes){bytes, size}, cn_heap, &module, &error) == CN_OK) {
        cn_module_free(module);
        fail(place, "accepted, expected: %s%s", expected, "");
    } else {
        passed++;
    }
    free(bytes);
}

static void run_unlinkable(const char *place, const char *expected, const char *path)
{
    struct cn_error error = {.text = ""};
    struct loaded *it = loaded_new();

    if (instantiate(path, it, &error) == CN_OK)
        fail(place, "linked, expected: %s%s", expected, "");
    else if (!is_prefix(expected, error.text))
        fail(place, "found \"%s\", expected \"%s\"", error.text, expected);
    else
        passed++;
}

/* ------------------------------------------------------------------ values */

static int is_vector(const char *word)
{
    return strncmp(word, "v128", 4) == 0;
}

static int is_nan(const char *type, const char *value, uint64_t bits)
{
    int wide = type[1] == '6';
    uint64_t quiet = wide ? 0x7ff8000000000000u : 0x7fc00000u;
    uint64_t sign = wide ? 0x8000000000000000u : 0x80000000u;

    if (strncmp(value, "nan:canonical", 13) == 0)
        return (bits & ~sign) == quiet;
    return (bits & quiet) == quiet;
}

/* A vector is "v128:TYPE:LANE,LANE...". Writes its lanes, or compares them with what is there. */
static int take_lanes(const char *word, union cn_slot *slots, int compare)
{
    const char *type = word + 5;
    const char *value = strchr(type, ':') + 1;
    unsigned bits = (unsigned)strtoul(type + 1, NULL, 10);
    int equal = 1;

    for (unsigned at = 0; at < 128; at += bits) {
        uint64_t mask = ~0ull >> (64 - bits);
        uint64_t found = slots[at / 64].u64 >> at % 64 & mask;
        if (strncmp(value, "nan:", 4) == 0)
            equal = equal && is_nan(type, value, found);
        else if (compare)
            equal = equal && found == (strtoull(value, NULL, 10) & mask);
        else
            slots[at / 64].u64 |= (strtoull(value, NULL, 10) & mask) << at % 64;
        value += strcspn(value, ",");
        value += *value == ',';
    }
    return equal;
}

/* Writes the value to its slot, or two; returns how many. */
static int parse_value(const char *word, union cn_slot *slots)
{
    const char *value = strchr(word, ':') + 1;

    slots[0].u64 = 0;
    if (is_vector(word)) {
        slots[1].u64 = 0;
        take_lanes(word, slots, 0);
        return 2;
    }
    if (strncmp(word, "externref", 9) == 0 || strncmp(word, "funcref", 7) == 0)
        slots[0].u64 = strcmp(value, "null") == 0 ? 0 : strtoull(value, NULL, 10) + 1;
    else
        slots[0].u64 = strtoull(value, NULL, 10);
    return 1;
}

static int matches_one(const char *word, union cn_slot *slots)
{
    union cn_slot slot = slots[0], expected;

    if (is_vector(word))
        return take_lanes(word, slots, 1);
    if (strncmp(word, "i32", 3) == 0 || strncmp(word, "f32", 3) == 0)
        slot.u64 = slot.u32;
    if (strstr(word, ":nan:") != NULL)
        return is_nan(word, word + 4, slot.u64);
    if (strncmp(word, "funcref", 7) == 0 && strcmp(word + 8, "null") != 0)
        return slot.u64 != 0;
    parse_value(word, &expected);
    return slot.u64 == expected.u64;
}

/* One value, or several with bars between them of which any will do. */
static int matches(const char *word, union cn_slot *slots)
{
    char one[400];

    for (;;) {
        size_t length = strcspn(word, "|");
        snprintf(one, sizeof one, "%.*s", (int)length, word);
        if (matches_one(one, slots))
            return 1;
        if (word[length] == '\0')
            return 0;
        word += length + 1;
    }
}

/* ------------------------------------------------------------------ actions */

/* words: NAME FIELD ARG... [= VALUE...]; returns the number of arguments, and where values
 * begin. */
static int split(char **words, int count, int *values)
{
    int at = 2;

    while (at < count && strcmp(words[at], "=") != 0)
        at++;
    *values = at + 1;
    return at - 2;
}

/* Gives the slots of the results, too. */
static enum cn_status act(char **words, int arguments, union cn_slot *results,
                          uint32_t *result_slots)
{
    static union cn_slot slots[2 * WORDS_MAX];
    struct cn_instance *instance = instance_named(words[0]);
    struct cn_extern found;

    if (instance == NULL || !cn_instance_export(instance, bytes_from_hex(words[1]), &found))
        return CN_NOT_FOUND;
    if (found.kind == CN_EXTERN_GLOBAL) {
        results[0] = found.global->values[0];
        results[1] = found.global->values[1];
        *result_slots = cn_valtype_slots(found.global->type.type);
        return CN_OK;
    }
    for (int i = 0, at = 0; i < arguments; i++)
        at += parse_value(words[2 + i], slots + at);
    *result_slots = found.func->type->result_slots;
    return machine_call(store, found.func, preempt, slots, results);
}

static void run_return(const char *place, char **words, int count)
{
    static union cn_slot results[2000];
    uint32_t result_slots;
    int values, arguments = split(words, count, &values);
    enum cn_status status = act(words, arguments, results, &result_slots);

    if (status != CN_OK) {
        fail(place, "%s: %s", words[1], trap_text[status]);
        return;
    }
    for (uint32_t at = 0; values < count; values++) {
        uint32_t slots = is_vector(words[values]) ? 2 : 1;
        unsigned long long low = results[at].u64, high = results[at + 1].u64;
        char found[40];
        if (at + slots <= result_slots && matches(words[values], results + at)) {
            at += slots;
            continue;
        }
        if (slots == 2)
            snprintf(found, sizeof found, "0x%016llx%016llx", high, low);
        else
            snprintf(found, sizeof found, "0x%llx", low);
        fail(place, "found %s, expected %s", found, words[values]);
        return;
    }
    passed++;
}

static void run_trap(const char *place, const char *expected, char **words, int count)
{
    static union cn_slot results[2000];
    uint32_t result_slots;
    int values, arguments = split(words, count, &values);
    enum cn_status status = act(words, arguments, results, &result_slots);

    if (status == CN_OK)
        fail(place, "%s returned, expected: %s", words[1], expected);
    else if (!is_prefix(expected, trap_text[status]) && !is_prefix(trap_text[status], expected))
        fail(place, "found \"%s\", expected \"%s\"", trap_text[status], expected);
    else
        passed++;
}

static void run_line(char *line)
{
    char *words[WORDS_MAX];
    int count = 0;

    for (char *word = strtok(line, " \n"); word != NULL && count < WORDS_MAX;
         word = strtok(NULL, " \n"))
        words[count++] = word;
    if (count < 3)
        return;
    const char *place = words[0], *what = words[1];
    if (strcmp(what, "module") == 0)
        run_module(place, words[2], words[3]);
    else if (strcmp(what, "register") == 0)
        add_name(registered, &registered_count, from_hex(words[2]), instance_named(words[3]));
    else if (strcmp(what, "reject") == 0)
        run_reject(place, from_hex(words[2]), words[3]);
    else if (strcmp(what, "unlinkable") == 0)
        run_unlinkable(place, from_hex(words[2]), words[3]);
    else if (strcmp(what, "trap") == 0 || strcmp(what, "exhaustion") == 0)
        run_trap(place, from_hex(words[2]), words + 3, count - 3);
    else if (strcmp(what, "return") == 0 || strcmp(what, "get") == 0 ||
             strcmp(what, "action") == 0)
        run_return(place, words + 2, count - 2);
}

int main(int argc, char **argv)
{
    static char line[1 << 20];
    FILE *script = argc > 1 ? fopen(argv[1], "r") : NULL;

    if (script == NULL)
        return 2;
    preempt = argc > 2 && strcmp(argv[2], "--preempt") == 0;
    cn_account_init(&account);
    account.limit[CN_QUOTA_MEMORY] = 8ull << 30;
    if (cn_store_new(&store, &account) != CN_OK)
        return 2;
    while (fgets(line, sizeof line, script) != NULL)
        run_line(line);
    fclose(script);
    cn_store_free(store);
    free_everything();
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
