/* Memory that is locked and in no core dump, and the library of ciphers in it. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "core/locked.h"
#include "core/platform.h"
#include "shim/volume_key.h"
#include "shim/volume_vault.h"

/* The flags of the mapping that an address is in, as the kernel writes them. */
static bool flags_of(const void *at, char *flags, size_t size)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long from, to;
    bool is_in = false, found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && strchr(line, ':') > strchr(line, ' '))
            is_in = (uintptr_t)at >= from && (uintptr_t)at < to;
        if (is_in && strncmp(line, "VmFlags:", 8) == 0) {
            snprintf(flags, size, "%.250s", line);
            found = true;
        }
    }
    fclose(file);
    return found;
}

static void is_guarded(const void *at)
{
    char flags[256];
    cr_assert(flags_of(at, flags, sizeof flags));
    /* Sanitizers make nothing of mlock. */
    cr_assert(CN_IS_SANITIZED || strstr(flags, " lo") != NULL, "not locked: %s", flags);
    cr_assert(strstr(flags, " dd") != NULL, "in core dumps: %s", flags);
}

Test(locked, keeps_what_is_in_it_where_it_is_guarded)
{
    uint8_t *at = cn_alloc(cn_locked, 100), ordinary[8];
    char flags[256];
    cr_assert(flags_of(ordinary, flags, sizeof flags));
    cr_assert_null(strstr(flags, " dd"), "the control");
    is_guarded(at);
    memset(at, 7, 100);
    at = cn_resize(cn_locked, at, 100, 4096);
    cr_assert_eq(at[99], 7);
    at = cn_resize(cn_locked, at, 4096, 100000);
    is_guarded(at + 99999);
    cr_assert_eq(at[99], 7);
    at[50000] = 9;
    at = cn_resize(cn_locked, at, 100000, 60);
    cr_assert_eq(at[59], 7);
    at = cn_resize(cn_locked, at, 60, 4096);
    for (int i = 60; i < 4096; i++)
        cr_assert_eq(at[i], 0, "what was cut off is there again");
    cn_free(cn_locked, at, 4096);
    cr_assert_null(cn_resize(cn_locked, NULL, 0, SIZE_MAX - 5));
}

Test(locked, is_had_beyond_the_limit_too)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0)
        cr_skip_test("the limit cannot be changed");
    uint8_t *at = cn_alloc(cn_locked, 1 << 20);
    cr_assert_not_null(at);
    at[1 << 19] = 1;
    cn_free(cn_locked, at, 1 << 20);
}

static uint8_t *take(size_t size)
{
    return cn_vault_take(size, "", 0);
}

/* The functions that the command gives to the library. (What runs these tests has used it before
 * they begin, so that it does not take them here.) */
Test(locked, has_all_that_ciphers_allocate)
{
    uint8_t *seen[4] = {NULL};
    for (size_t bytes = 1; bytes < 100000; bytes = bytes * 3 + 1) {
        uint8_t *block = take(bytes);
        is_guarded(block);
        is_guarded(block + bytes - 1);
        cr_assert_eq((uintptr_t)block % 16, 0);
        memset(block, 5, bytes);
        block = cn_vault_move(block, bytes * 2, "", 0);
        for (size_t i = 0; i < bytes; i++)
            cr_assert_eq(block[i], 5);
        block = cn_vault_move(block, 1, "", 0);
        cr_assert_eq(*block, 5);
        cn_vault_give_back(block, "", 0);
    }
    for (int i = 0; i < 4; i++)
        memset(seen[i] = take(3000), 5, 3000);
    for (int i = 0; i < 4; i++)
        cr_assert(i == 0 || seen[i] >= seen[i - 1] + 3000 || seen[i] + 3000 <= seen[i - 1]);
    for (int i = 0; i < 4; i++)
        cn_vault_give_back(seen[i], "", 0);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3000; k++)
            cr_assert_neq(seen[i][k], 5, "what is freed is wiped");
    cr_assert_eq(take(3000), seen[3], "and used again");
    cr_assert_null(cn_vault_move(take(10), 0, "", 0));
    cr_assert_null(take(0));
    cr_assert_null(take(SIZE_MAX - 5));
    cn_vault_give_back(NULL, "", 0);
}

Test(locked, has_keys_beyond_what_the_kernel_hides)
{
    struct cn_volume_keys *keys;
    uint8_t *made[2000], *empty = cn_secret_page();
    cr_assert_eq(cn_volume_keys_new(NULL, &keys), CN_E_SUCCESS);
    is_guarded(keys);
    is_guarded(empty);
    cn_secret_free(empty);
    for (uint32_t i = 0; i < 2000; i++) {
        made[i] = cn_volume_key_make(keys, "test", (struct cn_bytes){(uint8_t *)&i, sizeof i});
        cr_assert_not_null(made[i]);
        if (i > 0)
            cr_assert(memcmp(made[i], made[i - 1], CN_KEY_SIZE) != 0);
    }
    is_guarded(made[0]);
    is_guarded(made[1999]);
    for (int i = 0; i < 2000; i++)
        cn_volume_key_drop(keys, made[i]);
    cr_assert_not_null(cn_volume_key_make(keys, "test", (struct cn_bytes){NULL, 0}));
    cn_volume_keys_free(keys);
}
