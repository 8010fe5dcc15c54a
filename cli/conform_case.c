/* One case: read out of its file, assembled, verified, and the verdict compared. */
#include "cli/conform.h"

#include <stdio.h>
#include <stdlib.h>

#include "vm/asm.h"
#include "vm/disasm.h"
#include "vm/program.h"

#define SHEET_MAX (1u << 24)

/* ------------------------------------------------------------------ reading */

static size_t line_length(const struct conform_reader *reader)
{
    const char *end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));

    return (size_t)((end != NULL ? end : reader->end) - reader->at);
}

static void skip_line(struct conform_reader *reader)
{
    reader->at += line_length(reader);
    reader->at += reader->at < reader->end;
    reader->line++;
}

static bool begins_with(const struct conform_reader *reader, const char *word)
{
    size_t length = strlen(word);

    return line_length(reader) >= length && memcmp(reader->at, word, length) == 0;
}

/* "SLOT_KIND: a sentence": the rule that the case belongs to. */
static bool find_rule(const char *name, enum cn_rule *rule)
{
    size_t length = strcspn(name, ":");

    for (int i = 0; i < CN_RULE_COUNT; i++) {
        const char *known = cn_rule_name((enum cn_rule)i);
        if (strlen(known) == length && strncmp(known, name, length) == 0) {
            *rule = (enum cn_rule)i;
            return true;
        }
    }
    return false;
}

/* "refused at 16 number 5", "refused at 16" where the rule has no number. */
static bool take_refusal(const char *text, struct conform_case *test)
{
    bool wants_number = cn_rule_number(test->rule)[0] != '\0';
    int length = 0;

    test->refused = true;
    if (sscanf(text, "refused at %u%n", &test->offset, &length) < 1)
        return false;
    text += length;
    length = 0;
    if (wants_number && sscanf(text, " number %u%n", &test->number, &length) < 1)
        return false;
    return text[length] == '\0';
}

/* A line between "case" and "func"; what is wrong with it, or NULL. */
static const char *take_line(const char *line, struct conform_case *test, bool *expects)
{
    int length = 0;

    if (line[0] == '\0' || line[0] == ';')
        return NULL;
    if (sscanf(line, "module %159[a-z0-9_]%n", test->module, &length) == 1)
        return line[length] == '\0' ? NULL : "a name of a module has letters and digits";
    if (strncmp(line, "expect ", 7) != 0)
        return "a line that says nothing";
    if (*expects)
        return "two expectations";
    *expects = true;
    if (strcmp(line + 7, "ok") == 0 || take_refusal(line + 7, test))
        return NULL;
    return "an expectation that is none";
}

bool conform_next(struct conform_reader *reader, struct conform_case *test)
{
    bool expects = false;
    char line[CONFORM_NAME_MAX];

    while (reader->at < reader->end && !begins_with(reader, "case "))
        skip_line(reader);
    if (reader->at >= reader->end)
        return false;
    *test = (struct conform_case){.line = reader->line, .module = "sample"};
    snprintf(test->name, sizeof test->name, "%.*s", (int)line_length(reader) - 5, reader->at + 5);
    if (!find_rule(test->name, &test->rule))
        test->problem = "a rule of that name";
    for (skip_line(reader); reader->at < reader->end && !begins_with(reader, "func ") &&
                            !begins_with(reader, "case "); skip_line(reader)) {
        snprintf(line, sizeof line, "%.*s", (int)line_length(reader), reader->at);
        const char *problem = take_line(line, test, &expects);
        if (test->problem == NULL)
            test->problem = problem;
    }
    if (!expects && test->problem == NULL)
        test->problem = "no expectation";
    if (!begins_with(reader, "func ") && test->problem == NULL)
        test->problem = "no code";
    test->code.at = (const uint8_t *)reader->at;
    test->code_line = reader->line;
    while (reader->at < reader->end && !begins_with(reader, "case "))
        skip_line(reader);
    test->code.size = (size_t)((const uint8_t *)reader->at - test->code.at);
    return true;
}

/* ------------------------------------------------------------------ to text and back */

struct sheet {
    char *text;
    size_t used, room;
    bool full;
};

static void add_line(void *context, const char *text)
{
    struct sheet *sheet = context;
    size_t length = strlen(text);

    if (length + 1 > sheet->room - sheet->used) {
        size_t room = (sheet->room + length + 1) * 2;
        char *more = room < SHEET_MAX ? realloc(sheet->text, room) : NULL;
        sheet->full = sheet->full || more == NULL;
        if (more == NULL)
            return;
        sheet->text = more;
        sheet->room = room;
    }
    memcpy(sheet->text + sheet->used, text, length);
    sheet->used += length;
    sheet->text[sheet->used++] = '\n';
}

static bool survives_text(const struct cn_module *module, const struct cn_code *code,
                          char *found, size_t size)
{
    struct sheet sheet = {NULL, 0, 0, false};
    struct cn_error error = {.text = ""};
    struct cn_arena arena;
    struct cn_code again;

    cn_arena_init(&arena, cn_heap);
    cn_disasm(module, code, add_line, &sheet);
    struct cn_bytes text = {(const uint8_t *)sheet.text, sheet.used};
    bool is_read = !sheet.full && cn_asm(text, &arena, &again, &error) == CN_OK;
    bool same = is_read && cn_code_equal(code, &again);
    if (!same)
        snprintf(found, size, "accepted, but printed and read back it is %s",
                 is_read ? "other code" : error.text);
    cn_arena_release(&arena);
    free(sheet.text);
    return same;
}

/* ------------------------------------------------------------------ running */

/* The refusal, as the verifier's text ends. */
static void print_refusal(const struct conform_case *test, char *text, size_t size)
{
    const char *what = cn_rule_number(test->rule);
    char number[64] = "";

    if (what[0] != '\0')
        snprintf(number, sizeof number, ": %s %u", what, test->number);
    snprintf(text, size, "at %u: %s%s", test->offset, cn_rule_text(test->rule), number);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);

    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static void note_variants(const struct cn_code *code, struct conform_coverage *coverage)
{
    char text[CONFORM_TEXT_MAX];

    for (uint32_t at = 0; at < code->size;) {
        uint64_t number = cn_load_u64(code->bytes + at);
        if (number < CN_VARIANT_COUNT)
            coverage->variants[number] = true;
        at += cn_disasm_insn(code, at, text, sizeof text);
    }
}

static void judge(const struct conform_case *test, const struct cn_module *module,
                  const struct cn_code *code, struct conform_coverage *coverage,
                  struct conform_verdict *verdict)
{
    struct cn_error error = {.text = ""};
    struct cn_program *program;

    if (cn_program_new(&program, module, cn_heap) != CN_OK) {
        snprintf(verdict->found, sizeof verdict->found, "no memory left");
        return;
    }
    enum cn_status status = cn_program_install(program, code, &error);
    cn_program_free(program);
    snprintf(verdict->found, sizeof verdict->found, "%s",
             status == CN_OK ? "accepted" : error.text);
    if (test->refused)
        verdict->passed = status == CN_UNVERIFIED && ends_with(error.text, verdict->expected);
    else
        verdict->passed = status == CN_OK && survives_text(module, code, verdict->found,
                                                           sizeof verdict->found);
    if (!verdict->passed)
        return;
    (test->refused ? coverage->refused : coverage->accepted)[test->rule]++;
    if (!test->refused)
        note_variants(code, coverage);
}

void conform_run(const struct conform_case *test, const struct cn_module *module,
                 struct conform_coverage *coverage, struct conform_verdict *verdict)
{
    struct cn_error error = {.text = ""};
    struct cn_arena arena;
    struct cn_code code;

    verdict->passed = false;
    verdict->line = test->line;
    snprintf(verdict->expected, sizeof verdict->expected, "accepted");
    if (test->refused)
        print_refusal(test, verdict->expected, sizeof verdict->expected);
    cn_arena_init(&arena, cn_heap);
    if (cn_asm(test->code, &arena, &code, &error) == CN_OK) {
        judge(test, module, &code, coverage, verdict);
    } else {
        const char *what = strstr(error.text, ": ");
        snprintf(verdict->found, sizeof verdict->found, "no code: %s",
                 what != NULL ? what + 2 : error.text);
        verdict->line = test->code_line + (unsigned)error.offset - 1;
    }
    cn_arena_release(&arena);
}
