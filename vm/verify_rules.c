/* What the rules are called: the rows of spec/verify.def. */
#include "vm/verify.h"

static const struct {
    const char *name, *text, *number;
} rules[CN_RULE_COUNT] = {
#define RULE(name, text, number) {#name, text, number},
#include "spec/verify.def"
#undef RULE
};

const char *cn_rule_name(enum cn_rule rule)
{
    return rules[rule].name;
}

const char *cn_rule_text(enum cn_rule rule)
{
    return rules[rule].text;
}

const char *cn_rule_number(enum cn_rule rule)
{
    return rules[rule].number;
}
