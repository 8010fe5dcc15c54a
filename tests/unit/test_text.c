#include "loader/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "loader/load.h"
#include "tests/fuzz/capped.h"

/* Loads a text, checks that all memory comes back, and gives the error. */
static struct cn_error refusal_of(const char *text)
{
    struct capped capped = {0, 1 << 20};
    struct cn_buffer binary = {.allocator = capped_allocator(&capped)};
    struct cn_error error = {CN_OK, 0, ""};
    struct cn_module *module = NULL;

    enum cn_status status =
        cn_load_text((struct cn_bytes){(const uint8_t *)text, strlen(text)}, &binary, &module,
                     &error);
    cr_assert_eq(status, error.status, "%s", text);
    cn_module_free(module);
    cn_buffer_free(&binary);
    cr_assert_eq(capped.used, 0, "%s: %zu bytes are not given back", text, capped.used);
    return error;
}

Test(text, gives_all_memory_back_when_a_table_is_refused)
{
    const char *texts[] = {"(table 1 funfrec)", "(table 1 (ref null x))", "(table funcref x)",
                           "(table funcref (x))", "(table funcref (elem $x))",
                           "(table 1 funcref (foo))", "(table i64 1 x)", "(table x)"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cn_error error = refusal_of(texts[i]);
        cr_assert_eq(error.status, CN_MALFORMED, "%s: %s", texts[i], error.text);
        cr_assert_eq(strncmp(error.text, "line 1, column ", 15), 0, "%s", error.text);
    }
}

/* Whatever allocation fails, the result is a failure or whole, never a module cut short. */
Test(text, gives_all_memory_back_when_it_runs_out)
{
    const char *text = "(table $t funcref (elem $f)) (func $f) "
                       "(table i64 2 (ref func) (ref.func $f))";

    for (size_t cap = 0; cap < 16384; cap += 64) {
        struct capped capped = {0, cap};
        struct cn_buffer binary = {.allocator = capped_allocator(&capped)};
        struct cn_module *module = NULL;
        enum cn_status status =
            cn_load_text((struct cn_bytes){(const uint8_t *)text, strlen(text)}, &binary, &module,
                         NULL);
        cr_assert(status == CN_NO_MEMORY || (status == CN_OK && module->table_count == 2),
                  "cap %zu: status %d", cap, status);
        cn_module_free(module);
        cn_buffer_free(&binary);
        cr_assert_eq(capped.used, 0);
    }
}
