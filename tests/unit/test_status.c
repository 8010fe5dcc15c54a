#include "core/status.h"

#include <criterion/criterion.h>

Test(status, has_a_text_for_every_row)
{
    for (int i = 0; i < CN_STATUS_COUNT; i++) {
        cr_assert_not_null(cn_status_text((enum cn_status)i));
        cr_assert_gt(strlen(cn_status_text((enum cn_status)i)), 0);
    }
}

Test(status, says_the_words_of_the_specification_for_traps)
{
    cr_assert_str_eq(cn_status_text(CN_TRAP_DIVIDE_BY_ZERO), "integer divide by zero");
    cr_assert_str_eq(cn_status_text(CN_TRAP_STACK_OVERFLOW), "call stack exhausted");
}

Test(status, tells_traps_from_other_failures)
{
    cr_assert_not(cn_status_is_trap(CN_OK));
    cr_assert_not(cn_status_is_trap(CN_INVALID));
    cr_assert_not(cn_status_is_trap(CN_EXITED));
    cr_assert(cn_status_is_trap(CN_TRAP_UNREACHABLE));
    cr_assert(cn_status_is_trap((enum cn_status)(CN_STATUS_COUNT - 1)));
}

Test(status, gives_exit_codes)
{
    cr_assert_eq(cn_status_exit_code(CN_OK), 0);
    cr_assert_eq(cn_status_exit_code(CN_MALFORMED), 126);
    cr_assert_eq(cn_status_exit_code(CN_INVALID), 126);
    cr_assert_eq(cn_status_exit_code(CN_TOO_LARGE), 126);
    cr_assert_eq(cn_status_exit_code(CN_NOT_FOUND), 127);
    cr_assert_eq(cn_status_exit_code(CN_TRAP_UNREACHABLE), 134);
}

Test(status, survives_numbers_that_are_none)
{
    cr_assert_str_eq(cn_status_text((enum cn_status)9999), "unknown status");
    cr_assert_eq(cn_status_exit_code((enum cn_status)9999), 125);
    cr_assert_not(cn_status_is_trap((enum cn_status)9999));
}
