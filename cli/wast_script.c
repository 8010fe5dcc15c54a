/* The commands of a script, one after another (WebAssembly/spec, interpreter/README.md,
 * "Scripts"). */
#include <stdio.h>

#include "cli/wast.h"

#define VALUES_MAX 1024

struct script {
    const struct wast_options *options;
    struct wast_cursor cursor;
    struct wast_world world;
    struct wast_result *result;
    uint32_t command; /* token where the command at hand begins */
    char found[300];  /* why it failed, or what was found */
    char expected[300];
};

static const struct cn_token *peek(const struct script *s)
{
    return &s->cursor.tokens->tokens[s->cursor.at];
}

static struct cn_bytes text_at(const struct script *s, uint32_t at)
{
    return cn_token_text(s->cursor.tokens, &s->cursor.tokens->tokens[at]);
}

static bool next_is(const struct script *s, const char *word)
{
    return peek(s)->kind == CN_TOKEN_WORD &&
           cn_bytes_equal(text_at(s, s->cursor.at), cn_bytes_of(word));
}

static bool accept(struct script *s, const char *word)
{
    bool is_it = next_is(s, word);

    s->cursor.at += is_it;
    return is_it;
}

static bool accept_open(struct script *s, const char *word)
{
    if (peek(s)->kind != CN_TOKEN_OPEN)
        return false;
    s->cursor.at++;
    if (accept(s, word))
        return true;
    s->cursor.at--;
    return false;
}

/* Behind the parenthesis that closes what was opened at token `open`. */
static uint32_t end_of(const struct script *s, uint32_t open)
{
    uint32_t depth = 0, at = open;

    do {
        depth += s->cursor.tokens->tokens[at].kind == CN_TOKEN_OPEN;
        depth -= s->cursor.tokens->tokens[at].kind == CN_TOKEN_CLOSE;
        if (s->cursor.tokens->tokens[at].kind == CN_TOKEN_END)
            return at;
        at++;
    } while (depth > 0);
    return at;
}

static bool explain(struct script *s, const char *expected, const char *found)
{
    snprintf(s->expected, sizeof s->expected, "%s", expected);
    snprintf(s->found, sizeof s->found, "%s", found);
    return false;
}

static bool not_understood(struct script *s)
{
    struct cn_bytes text = text_at(s, s->cursor.at);
    char word[60];

    snprintf(word, sizeof word, "\"%.*s\"", text.size < 50 ? (int)text.size : 50,
             (const char *)text.at);
    return explain(s, "a command of the script format", word);
}

/* A string's bytes, kept as long as the world. */
static bool take_string(struct script *s, struct cn_bytes *bytes)
{
    struct cn_bytes quoted = text_at(s, s->cursor.at);

    if (peek(s)->kind != CN_TOKEN_STRING)
        return not_understood(s);
    uint8_t *out = cn_arena_alloc(&s->world.arena, quoted.size);
    if (out == NULL)
        return explain(s, "memory", "none left");
    *bytes = (struct cn_bytes){out, cn_token_unquote(quoted, out)};
    s->cursor.at++;
    return true;
}

/* $name, or nothing. */
static struct cn_bytes take_id(struct script *s)
{
    if (peek(s)->kind != CN_TOKEN_ID)
        return (struct cn_bytes){NULL, 0};
    return text_at(s, s->cursor.at++);
}

/* ---------------------------------------------------------------- modules */

/* A module as it stands in a script. */
struct module_form {
    struct cn_bytes id;
    bool is_definition;
    uint32_t body; /* token behind the words "module definition $id" */
};

static enum cn_status take_strings(struct script *s, struct cn_buffer *out)
{
    struct cn_bytes bytes;

    while (peek(s)->kind == CN_TOKEN_STRING) {
        if (!take_string(s, &bytes))
            return CN_NO_MEMORY;
        cn_put(out, bytes.at, bytes.size);
    }
    return CN_OK;
}

/* The text in quotes is a whole one of its own. */
static enum cn_status read_quoted(struct script *s, struct cn_buffer *binary,
                                  struct cn_error *error)
{
    struct cn_buffer text = {.allocator = cn_heap};
    struct cn_tokens tokens = {.allocator = cn_heap};
    enum cn_status status = take_strings(s, &text);

    if (status == CN_OK)
        status = cn_tokens_read(&tokens, cn_buffer_bytes(&text), cn_heap, error);
    tokens.is_narrow = s->world.single;
    if (status == CN_OK)
        status = cn_text_tokens_to_binary(&tokens, binary, NULL, error);
    cn_tokens_release(&tokens);
    cn_buffer_free(&text);
    return status;
}

/* The bytes of a module, of which "(module" is behind us; then the closing parenthesis. */
static enum cn_status read_module(struct script *s, struct module_form *form,
                                  struct cn_buffer *binary, struct cn_error *error)
{
    enum cn_status status;

    form->is_definition = accept(s, "definition");
    form->id = take_id(s);
    if (accept(s, "binary"))
        status = take_strings(s, binary);
    else if (accept(s, "quote"))
        status = read_quoted(s, binary, error);
    else
        status = cn_text_module(s->cursor.tokens, &s->cursor.at, binary, NULL, error);
    CN_TRY(status);
    if (peek(s)->kind != CN_TOKEN_CLOSE)
        return cn_fail(error, CN_MALFORMED, peek(s)->at, "unexpected token");
    s->cursor.at++;
    return CN_OK;
}

/* FOLDER/script-LINE.wasm: what is in a script, for whoever needs modules of all kinds. */
static void put_module(const struct script *s, const struct cn_buffer *binary)
{
    const char *name = strrchr(s->options->name, '/');
    uint32_t line, column;
    char path[4096];

    name = name != NULL ? name + 1 : s->options->name;
    cn_text_place(s->cursor.tokens->text, s->cursor.tokens->tokens[s->command].at, &line,
                  &column);
    snprintf(path, sizeof path, "%s/%s-%u.wasm", s->options->modules, name, line);
    FILE *file = fopen(path, "wb");
    bool ok = file != NULL && fwrite(binary->bytes, 1, binary->size, file) == binary->size;
    if (file == NULL || fclose(file) != 0 || !ok)
        fprintf(stderr, "cordon: %s cannot be written\n", path);
}

/* Reads and loads, so that it can be instantiated. */
static enum cn_status load_module(struct script *s, struct module_form *form,
                                  struct wast_module **module, struct cn_error *error)
{
    *module = wast_module_new(&s->world);
    if (*module == NULL)
        return CN_NO_MEMORY;
    CN_TRY(read_module(s, form, &(*module)->binary, error));
    if (s->options->modules != NULL)
        put_module(s, &(*module)->binary);
    return wast_load(&s->world, *module, error);
}

static bool name_module(struct script *s, struct cn_bytes id, struct cn_instance *instance,
                        struct wast_module *definition)
{
    struct wast_name what = {.instance = instance, .definition = definition};

    if (instance != NULL)
        s->world.current = instance;
    if (id.at == NULL)
        return true;
    return wast_set_name(&s->world, &s->world.names, id, what) == CN_OK;
}

/* (module instance $instance? $definition?) */
static bool run_instance(struct script *s)
{
    struct cn_bytes id = take_id(s), of = take_id(s);
    struct wast_module *definition = s->world.last_definition;
    struct cn_error error = {.text = ""};
    struct cn_instance *instance;

    if (of.at != NULL) {
        struct wast_name *named = wast_find(s->world.names, of);
        while (named != NULL && named->definition == NULL)
            named = wast_find(named->next, of);
        definition = named != NULL ? named->definition : NULL;
    }
    if (definition == NULL)
        return explain(s, "a module definition", "none of this name");
    if (wast_instantiate(&s->world, definition, &instance, &error) != CN_OK)
        return explain(s, "an instance", error.text);
    return name_module(s, id, instance, NULL);
}

/* "(module" is behind us. */
static bool run_module(struct script *s)
{
    struct cn_error error = {.text = ""};
    struct module_form form;
    struct wast_module *module;
    struct cn_instance *instance = NULL;

    if (accept(s, "instance"))
        return run_instance(s);
    s->world.current = NULL;
    enum cn_status status = load_module(s, &form, &module, &error);
    if (status == CN_OK && !form.is_definition)
        status = wast_instantiate(&s->world, module, &instance, &error);
    if (status != CN_OK)
        return explain(s, "a module", error.text[0] ? error.text : cn_status_text(status));
    s->world.last_definition = module;
    return name_module(s, form.id, instance, module);
}

/* A script may be nothing but a module's fields. */
static bool run_fields(struct script *s)
{
    struct wast_module *module = wast_module_new(&s->world);
    struct cn_error error = {.text = ""};
    struct cn_instance *instance;

    if (module == NULL)
        return explain(s, "memory", "none left");
    if (cn_text_module(s->cursor.tokens, &s->cursor.at, &module->binary, NULL,
                       &error) != CN_OK ||
        wast_load(&s->world, module, &error) != CN_OK ||
        wast_instantiate(&s->world, module, &instance, &error) != CN_OK)
        return explain(s, "a module", error.text);
    return name_module(s, (struct cn_bytes){NULL, 0}, instance, module);
}

static bool run_register(struct script *s)
{
    struct wast_name what = {.instance = s->world.current};
    struct cn_bytes name, id;

    if (!take_string(s, &name))
        return false;
    id = take_id(s);
    if (id.at != NULL) {
        const struct wast_name *named = wast_find(s->world.names, id);
        what.instance = named != NULL ? named->instance : NULL;
    }
    if (what.instance == NULL)
        return explain(s, "an instance to register", "none");
    return wast_set_name(&s->world, &s->world.registered, name, what) == CN_OK;
}

/* ---------------------------------------------------------------- actions */

/* What an action came to. */
struct outcome {
    enum cn_status status;
    struct cn_error error;
    struct cn_functype type;
    cn_valtype global;       /* type of a global, where type.types points */
    union cn_slot slots[WAST_SLOTS_MAX];
};

static bool take_arguments(struct script *s, const struct cn_functype *type,
                           union cn_slot *slots)
{
    uint32_t count = 0, values = 0;
    struct wast_value value;

    for (; peek(s)->kind == CN_TOKEN_OPEN; values++) {
        if (values == type->param_count || count + 2 > WAST_SLOTS_MAX)
            return explain(s, "as many arguments as parameters", "more");
        if (!wast_take_value(&s->cursor, &value))
            return explain(s, "an argument", "something else");
        if (!wast_value_may_be(&value, cn_functype_params(type)[values]))
            return explain(s, "an argument of the parameter's type", "another type");
        count += wast_value_slots(&value, slots + count);
    }
    if (values != type->param_count)
        return explain(s, "as many arguments as parameters", "fewer");
    return true;
}

static bool find_export(struct script *s, struct cn_extern *found)
{
    struct cn_instance *instance = s->world.current;
    struct cn_bytes id = take_id(s), name;

    if (id.at != NULL) {
        const struct wast_name *named = wast_find(s->world.names, id);
        instance = named != NULL ? named->instance : NULL;
    }
    if (!take_string(s, &name))
        return false;
    if (instance == NULL || !cn_instance_export(instance, name, found))
        return explain(s, "an export of this name", "none");
    return true;
}

/* (invoke ...) or (get ...); false when it cannot even be tried. */
static bool act(struct script *s, struct outcome *outcome)
{
    static union cn_slot arguments[WAST_SLOTS_MAX];
    bool is_call = accept_open(s, "invoke");
    struct cn_extern found;

    outcome->status = CN_OK;
    outcome->error.text[0] = '\0';
    if (!is_call && !accept_open(s, "get"))
        return not_understood(s);
    if (!find_export(s, &found))
        return false;
    if (!is_call && found.kind == CN_EXTERN_GLOBAL) {
        outcome->global = found.global->type.type;
        outcome->type = cn_functype_of(0, 1, &outcome->global);
        memcpy(outcome->slots, found.global->values, sizeof found.global->values);
    } else if (is_call && found.kind == CN_EXTERN_FUNC) {
        outcome->type = *found.func->type;
        if (!take_arguments(s, &outcome->type, arguments))
            return false;
        outcome->status = wast_call(&s->world, found.func, arguments, outcome->slots,
                                    &outcome->error);
    } else {
        return explain(s, "an export of the right kind", "another");
    }
    if (peek(s)->kind != CN_TOKEN_CLOSE)
        return not_understood(s);
    s->cursor.at++;
    return true;
}

static bool run_action(struct script *s)
{
    static struct outcome outcome;

    s->cursor.at = s->command;
    if (!act(s, &outcome))
        return false;
    return outcome.status == CN_OK || explain(s, "a return", outcome.error.text);
}

/* ---------------------------------------------------------------- assertions of values */

static bool mismatch(struct script *s, const struct wast_value *value, cn_valtype type,
                     const union cn_slot *slots)
{
    wast_value_print(value, s->expected, sizeof s->expected);
    wast_slots_print(type, slots, s->found, sizeof s->found);
    return false;
}

/* One expected result, or (either ...) of several. */
static bool check_result(struct script *s, cn_valtype type, const union cn_slot *slots)
{
    struct wast_value value;
    bool fits = false;

    if (!accept_open(s, "either")) {
        if (!wast_take_value(&s->cursor, &value))
            return not_understood(s);
        return wast_value_fits(s->world.store, &value, type, slots) ||
               mismatch(s, &value, type, slots);
    }
    while (peek(s)->kind == CN_TOKEN_OPEN) {
        if (!wast_take_value(&s->cursor, &value))
            return not_understood(s);
        fits = fits || wast_value_fits(s->world.store, &value, type, slots);
    }
    s->cursor.at++;
    return fits || mismatch(s, &value, type, slots);
}

static bool assert_return(struct script *s)
{
    static struct outcome outcome;
    const union cn_slot *slots = outcome.slots;

    if (!act(s, &outcome))
        return false;
    if (outcome.status != CN_OK)
        return explain(s, "a return", outcome.error.text);
    for (uint32_t i = 0; i < outcome.type.result_count; i++) {
        cn_valtype type = cn_functype_results(&outcome.type)[i];
        if (peek(s)->kind != CN_TOKEN_OPEN)
            return explain(s, "fewer results", "more");
        if (!check_result(s, type, slots))
            return false;
        slots += cn_valtype_slots(type);
    }
    return peek(s)->kind == CN_TOKEN_CLOSE || explain(s, "more results", "fewer");
}

/* ---------------------------------------------------------------- assertions of failures */

/* The text at the end of an assertion must begin what was found. */
static bool check_text(struct script *s, const char *found)
{
    struct cn_bytes text;

    if (!take_string(s, &text))
        return false;
    if (strlen(found) >= text.size && memcmp(found, text.at, text.size) == 0)
        return true;
    snprintf(s->expected, sizeof s->expected, "%.*s", (int)text.size, (const char *)text.at);
    snprintf(s->found, sizeof s->found, "%s", found);
    return false;
}

/* A failure of one of these kinds, and its text. */
static bool check_failure(struct script *s, bool is_right_kind, enum cn_status status,
                          const struct cn_error *error)
{
    char found[300];

    if (is_right_kind)
        return check_text(s, error->text);
    if (status == CN_OK)
        snprintf(found, sizeof found, "no failure");
    else
        snprintf(found, sizeof found, "another failure: %s: %s", cn_status_text(status),
                 error->text);
    if (check_text(s, found))
        return explain(s, "a failure", found);
    return false;
}

static bool assert_module(struct script *s, enum cn_status wanted, bool runs)
{
    struct cn_error error = {.text = ""};
    uint32_t open = s->cursor.at;
    struct module_form form;
    struct wast_module *module;
    struct cn_instance *instance;

    if (!accept_open(s, "module"))
        return not_understood(s);
    enum cn_status status = load_module(s, &form, &module, &error);
    if (status == CN_OK && runs)
        status = wast_instantiate(&s->world, module, &instance, &error);
    s->cursor.at = end_of(s, open);
    if (runs && wanted == CN_OK)
        return check_failure(s, cn_status_is_trap(status), status, &error);
    return check_failure(s, status == wanted, status, &error);
}

static bool assert_malformed(struct script *s)
{
    return assert_module(s, CN_MALFORMED, false);
}

static bool assert_invalid(struct script *s)
{
    return assert_module(s, CN_INVALID, false);
}

static bool assert_unlinkable(struct script *s)
{
    return assert_module(s, CN_UNLINKABLE, true);
}

static bool next_opens_module(const struct script *s)
{
    return peek(s)->kind == CN_TOKEN_OPEN &&
           cn_bytes_equal(text_at(s, s->cursor.at + 1), cn_bytes_of("module"));
}

static bool assert_trap(struct script *s)
{
    static struct outcome outcome;

    if (next_opens_module(s))
        return assert_module(s, CN_OK, true);
    if (!act(s, &outcome))
        return false;
    bool is_trap = cn_status_is_trap(outcome.status) &&
                   outcome.status != CN_TRAP_STACK_OVERFLOW;
    return check_failure(s, is_trap, outcome.status, &outcome.error);
}

static bool assert_exhaustion(struct script *s)
{
    static struct outcome outcome;

    if (!act(s, &outcome))
        return false;
    return check_failure(s, outcome.status == CN_TRAP_STACK_OVERFLOW, outcome.status,
                         &outcome.error);
}

static bool assert_exception(struct script *s)
{
    static struct outcome outcome;

    if (!act(s, &outcome))
        return false;
    if (strncmp(outcome.error.text, "uncaught exception", 18) == 0)
        return true;
    return explain(s, "an exception",
                   outcome.status == CN_OK ? "a return" : outcome.error.text);
}

/* ---------------------------------------------------------------- the whole */

static const struct {
    const char *name;
    bool (*run)(struct script *s);
    bool is_assertion;
} commands[] = {
    {"module", run_module, false},
    {"register", run_register, false},
    {"invoke", run_action, false},
    {"get", run_action, false},
    {"assert_return", assert_return, true},
    {"assert_trap", assert_trap, true},
    {"assert_exhaustion", assert_exhaustion, true},
    {"assert_invalid", assert_invalid, true},
    {"assert_malformed", assert_malformed, true},
    {"assert_unlinkable", assert_unlinkable, true},
    {"assert_exception", assert_exception, true},
    {"assert_invalid_custom", assert_invalid, true},
    {"assert_malformed_custom", assert_malformed, true},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void note_failure(struct script *s)
{
    struct wast_result *result = s->result;
    struct cn_bytes word = text_at(s, s->command + 1);
    uint32_t line, column;

    if (result->failed++ > 0)
        return;
    cn_text_place(s->cursor.tokens->text, s->cursor.tokens->tokens[s->command].at, &line,
                  &column);
    result->line = line;
    result->column = column;
    snprintf(result->command, sizeof result->command, "%.*s", (int)word.size,
             (const char *)word.at);
    snprintf(result->expected, sizeof result->expected, "%s", s->expected);
    snprintf(result->found, sizeof result->found, "%s", s->found);
}

/* Runs the command at the cursor and moves behind it. */
static void run_command(struct script *s)
{
    size_t i = 0;

    s->command = s->cursor.at;
    while (i < COMMAND_COUNT && !accept_open(s, commands[i].name))
        i++;
    if (i == COMMAND_COUNT) {
        if (!run_fields(s))
            note_failure(s);
        s->cursor.at = peek(s)->kind == CN_TOKEN_END ? s->cursor.at : end_of(s, s->command);
        return;
    }
    if (!commands[i].run(s))
        note_failure(s);
    else if (commands[i].is_assertion)
        s->result->passed++;
    s->cursor.at = end_of(s, s->command);
}

static void run_all(struct script *s)
{
    while (peek(s)->kind == CN_TOKEN_OPEN)
        run_command(s);
    if (peek(s)->kind == CN_TOKEN_END)
        return;
    s->command = s->cursor.at;
    not_understood(s);
    note_failure(s);
}

void wast_run(struct cn_bytes text, const struct wast_options *options,
              struct wast_result *result)
{
    struct script s = {.options = options, .result = result,
                       .world = {.preempt = options->preempt, .collect = options->collect,
                                 .single = options->single}};
    struct cn_error error = {.text = ""};
    struct cn_tokens tokens;
    uint32_t line, column;

    enum cn_status status = cn_tokens_read(&tokens, text, cn_heap, &error);
    s.cursor.tokens = &tokens;
    if (status != CN_OK) {
        cn_text_place(text, error.offset, &line, &column);
        result->failed++;
        result->line = line;
        result->column = column;
        snprintf(result->expected, sizeof result->expected, "a script");
        snprintf(result->found, sizeof result->found, "%s", error.text);
    } else if (wast_world_open(&s.world) != CN_OK) {
        result->failed++;
        snprintf(result->found, sizeof result->found, "the store cannot be set up");
    } else {
        run_all(&s);
    }
    wast_world_close(&s.world);
    cn_tokens_release(&tokens);
}
