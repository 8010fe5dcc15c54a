/* A case as a line of JSON, its code as bytes: for those who have no reader of the text form. */
#include <stdio.h>

#include "cli/conform.h"
#include "cli/report.h"
#include "vm/asm.h"

static void print_bytes(const struct cn_code *code)
{
    printf(",\"bytes\":\"");
    for (uint32_t i = 0; i < code->size; i++)
        printf("%02x", code->bytes[i]);
    putchar('"');
}

static void print_labels(const struct cn_code *code)
{
    printf(",\"labels\":[");
    for (uint32_t i = 0; i < code->label_count; i++) {
        const struct cn_label *label = &code->labels[i];
        printf("%s{\"offset\":%u,\"live\":%u,\"ref_first\":%u,\"ref_count\":%u}", i ? "," : "",
               label->offset, label->live, label->ref_first, label->ref_count);
    }
    printf("],\"refs\":[");
    for (uint32_t i = 0; i < code->ref_count; i++)
        printf("%s{\"slot\":%u,\"type\":%u}", i ? "," : "", code->refs[i].slot,
               code->refs[i].type);
    putchar(']');
}

static void print_handlers(const struct cn_code *code)
{
    printf(",\"handlers\":[");
    for (uint32_t i = 0; i < code->handler_count; i++) {
        const struct cn_handler_entry *entry = &code->handlers[i];
        printf("%s{\"start\":%u,\"end\":%u,\"tag\":%u,\"label\":%u,\"cost\":%u,\"level\":%u,"
               "\"slot\":%u,\"gives\":%u}", i ? "," : "", entry->start, entry->end, entry->tag,
               entry->label, entry->cost, entry->level, entry->slot, entry->gives);
    }
    putchar(']');
}

static void print_expectation(const struct conform_case *test)
{
    printf(",\"rule\":\"%s\",\"accepted\":%s", cn_rule_name(test->rule),
           test->refused ? "false" : "true");
    if (!test->refused)
        return;
    printf(",\"offset\":%u", test->offset);
    if (cn_rule_number(test->rule)[0] != '\0')
        printf(",\"number\":%u", test->number);
}

bool conform_print(const char *path, const struct conform_case *test,
                   struct conform_verdict *verdict)
{
    struct cn_error error = {.text = ""};
    struct cn_arena arena;
    struct cn_code code;

    cn_arena_init(&arena, cn_heap);
    bool is_read = cn_asm(test->code, &arena, &code, &error) == CN_OK;
    if (is_read) {
        printf("{\"file\":");
        cli_report_string(stdout, path);
        printf(",\"line\":%u,\"case\":", test->line);
        cli_report_string(stdout, test->name);
        print_expectation(test);
        printf(",\"module\":\"%s\",\"func\":%u,\"frame\":%u,\"header\":%u,\"entry\":%u",
               test->module, code.func, code.frame, code.header, code.entry_cost);
        print_bytes(&code);
        print_labels(&code);
        print_handlers(&code);
        printf("}\n");
    } else {
        snprintf(verdict->found, sizeof verdict->found, "%s", error.text);
    }
    cn_arena_release(&arena);
    return is_read;
}
