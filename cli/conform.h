/* cordon conform: runs cases of register code through the verifier; spec/conformance.md tells the
 * form of their files. The command's inside, shared by its files alone. */
#ifndef CN_CLI_CONFORM_H
#define CN_CLI_CONFORM_H

#include "core/insn.h"
#include "vm/verify.h"

/* Takes the words after the command and returns the exit code. */
int cli_conform(int argc, char **argv);

/* ---------------------------------------------------------------- conform_case.c */

#define CONFORM_NAME_MAX 160
#define CONFORM_TEXT_MAX 480

struct conform_case {
    unsigned line;      /* where it begins, counted from 1 */
    unsigned code_line; /* where its code does */
    char name[CONFORM_NAME_MAX];
    char module[CONFORM_NAME_MAX];
    enum cn_rule rule;
    bool refused;
    uint32_t offset, number;
    struct cn_bytes code;
    const char *problem; /* what makes it no case, or NULL */
};

/* A file of cases that is being read. */
struct conform_reader {
    const char *at, *end;
    unsigned line;
};

/* Reads the next case; false when there are no more. */
bool conform_next(struct conform_reader *reader, struct conform_case *test);

struct conform_verdict {
    bool passed;
    unsigned line;
    char expected[CONFORM_TEXT_MAX], found[CONFORM_TEXT_MAX];
};

/* Which rules and which instructions, form by form, all cases together have looked at. */
struct conform_coverage {
    unsigned refused[CN_RULE_COUNT], accepted[CN_RULE_COUNT];
    bool variants[CN_VARIANT_COUNT];
};

/* Runs a case on its module: whether the verifier's verdict is the expected one, to the number.
 * Code that is accepted must also be the same when it has been printed and read back. */
void conform_run(const struct conform_case *test, const struct cn_module *module,
                 struct conform_coverage *coverage, struct conform_verdict *verdict);

/* ---------------------------------------------------------------- conform_print.c */

/* Prints a case as a line of JSON, with its code as bytes; false when there is no code. */
bool conform_print(const char *path, const struct conform_case *test,
                   struct conform_verdict *verdict);

#endif
