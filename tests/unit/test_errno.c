#include "shim/errno.h"

#include <criterion/criterion.h>
#include <errno.h>

Test(errnos, says_the_same_as_the_host)
{
    cr_expect_eq(cn_errno_of_host(ENOENT), 44);
    cr_expect_eq(cn_errno_of_host(EAGAIN), 6);
    cr_expect_eq(cn_errno_of_host(EOPNOTSUPP), 58);
    cr_expect_eq(cn_errno_of_host(EDQUOT), 19);
    cr_expect_eq(cn_errno_of_host(ENOSPC), 51);
    cr_expect_eq(cn_errno_of_host(EXDEV), 75);
    cr_expect_eq(cn_errno_of_host(E2BIG), 1);
}

Test(errnos, tells_the_hosts_limit_from_the_guests)
{
    cr_expect_eq(cn_errno_of_host(EMFILE), CN_E_NFILE);
    cr_expect_eq(cn_errno_of_host(ENFILE), CN_E_NFILE);
}

Test(errnos, calls_everything_else_an_input_output_error)
{
    cr_expect_eq(cn_errno_of_host(EREMOTEIO), CN_E_IO);
    cr_expect_eq(cn_errno_of_host(-1), CN_E_IO);
    cr_expect_eq(cn_errno_of_host(0), CN_E_IO);
}

Test(errnos, has_a_name_for_each_number)
{
    cr_expect_str_eq(cn_errno_name(0), "SUCCESS");
    cr_expect_str_eq(cn_errno_name(76), "NOTCAPABLE");
    cr_expect_str_eq(cn_errno_name(77), "?");
}
