/* Runs the register code in the files that are given through the verifier and compares its
 * verdicts with what the files expect. Every rule of spec/verify.def needs a case that it
 * refuses and one beside it that it lets pass.
 *
 *   case RULE: a sentence               a case belongs to a rule
 *   module bare                         for a module without memories, tables, globals
 *   expect ok
 *   expect refused at OFFSET number N   by exactly this rule
 *   func ...                            the code, to the next case; see vm/disasm.h
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/sample_module.h"
#include "vm/asm.h"
#include "vm/disasm.h"
#include "vm/verify.h"

struct suite {
    const char *file;
    int passed, failed;
    int refused[CN_RULE_COUNT], accepted[CN_RULE_COUNT];
};

struct test {
    char name[200];
    enum cn_rule rule;
    bool is_bare, refused;
    unsigned offset, number;
    struct cn_bytes code;
};

static void complain(struct suite *suite, const struct test *test, const char *what)
{
    printf("%s: %s: %s\n", suite->file, test->name, what);
    suite->failed++;
}

static bool find_rule(const char *name, enum cn_rule *rule)
{
    size_t length = strcspn(name, ":\n");

    for (int i = 0; i < CN_RULE_COUNT; i++) {
        const char *known = cn_rule_name((enum cn_rule)i);
        if (strlen(known) == length && strncmp(known, name, length) == 0) {
            *rule = (enum cn_rule)i;
            return true;
        }
    }
    return false;
}

/* Runs one case: the verdict must be the expected one, to the number. */
static void run_test(struct suite *suite, const struct test *test)
{
    const struct cn_module *module = test->is_bare ? bare_module() : sample_module();
    struct cn_program *program;
    struct cn_arena arena;
    struct cn_code code;
    struct cn_error error = {.text = ""};
    char text[600];

    cn_arena_init(&arena, cn_heap);
    if (cn_asm(test->code, &arena, &code, &error) != CN_OK) {
        complain(suite, test, error.text);
    } else if (cn_program_new(&program, module, cn_heap) == CN_OK) {
        enum cn_status status = cn_program_install(program, &code, &error);
        char wanted[300];
        snprintf(wanted, sizeof wanted, "at %u: %s", test->offset, cn_rule_text(test->rule));
        const char *number = strrchr(error.text, ' ');
        bool same = status == (test->refused ? CN_UNVERIFIED : CN_OK);
        if (same && test->refused)
            same = strstr(error.text, wanted) && error.offset == test->offset &&
                   (cn_rule_number(test->rule)[0] == '\0' ||
                    (number && strtoul(number, NULL, 10) == test->number));
        snprintf(text, sizeof text, "expected %s, found %s",
                 test->refused ? wanted : "acceptance", status == CN_OK ? "it" : error.text);
        if (same)
            suite->passed++;
        else
            complain(suite, test, text);
        (test->refused ? suite->refused : suite->accepted)[test->rule]++;
        cn_program_free(program);
    }
    cn_arena_release(&arena);
}

static const char *next_line(const char *at)
{
    const char *end = strchr(at, '\n');

    return end ? end + 1 : at + strlen(at);
}

/* Reads the case at `at` up to the next one. */
static const char *read_test(const char *at, struct suite *suite, struct test *test)
{
    *test = (struct test){.refused = false};
    snprintf(test->name, sizeof test->name, "%.*s", (int)strcspn(at + 5, "\n"), at + 5);
    if (!find_rule(at + 5, &test->rule))
        complain(suite, test, "no such rule");
    for (at = next_line(at); strncmp(at, "func ", 5) != 0 && *at; at = next_line(at)) {
        if (strncmp(at, "module bare", 11) == 0)
            test->is_bare = true;
        else if (sscanf(at, "expect refused at %u number %u", &test->offset, &test->number) > 0)
            test->refused = true;
        else if (strncmp(at, "expect ok", 9) != 0 && *at != '\n' && *at != ';')
            complain(suite, test, "a line that says nothing");
    }
    test->code.at = (const uint8_t *)at;
    while (*at && strncmp(at, "case ", 5) != 0)
        at = next_line(at);
    test->code.size = (size_t)(at - (const char *)test->code.at);
    return at;
}

static void run_file(struct suite *suite, const char *path)
{
    FILE *file = fopen(path, "rb");
    static char text[1 << 20];
    struct test test;

    suite->file = path;
    if (file == NULL) {
        printf("%s: cannot be read\n", path);
        suite->failed++;
        return;
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *at = text;
    while (*at && strncmp(at, "case ", 5) != 0)
        at = next_line(at);
    while (*at) {
        at = read_test(at, suite, &test);
        run_test(suite, &test);
    }
}

int main(int count, char **paths)
{
    struct suite suite = {.passed = 0};

    for (int i = 1; i < count; i++)
        run_file(&suite, paths[i]);
    for (int i = 0; i < CN_RULE_COUNT; i++) {
        if (suite.refused[i] > 0 && suite.accepted[i] > 0)
            continue;
        printf("rule %s: %d refused, %d accepted\n", cn_rule_name((enum cn_rule)i),
               suite.refused[i], suite.accepted[i]);
        suite.failed++;
    }
    printf("%d passed, %d failed\n", suite.passed, suite.failed);
    return suite.failed > 0;
}
