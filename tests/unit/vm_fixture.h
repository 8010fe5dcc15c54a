/* Modules made by hand, and an account to charge them to, for the tests of vm/. */
#ifndef CN_TESTS_VM_FIXTURE_H
#define CN_TESTS_VM_FIXTURE_H

#include <criterion/criterion.h>
#include <inttypes.h>

#include "vm/instance.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define EXPR(...)                                                                                  \
    {{(const uint8_t[]){__VA_ARGS__, 0x0b}, sizeof((const uint8_t[]){__VA_ARGS__, 0x0b})}}
#define NAME(text) {(const uint8_t *)(text), sizeof(text) - 1}

/* A store on an account of its own. */
struct fixture {
    struct cn_account account;
    struct cn_store *store;
    struct cn_program *program;
    struct cn_instance *instance;
    struct cn_error error;
};

static inline void fixture_open(struct fixture *fixture, const struct cn_module *module)
{
    *fixture = (struct fixture){.store = NULL};
    cn_account_init(&fixture->account);
    cr_assert_eq(cn_store_new(&fixture->store, &fixture->account), CN_OK);
    cr_assert_eq(cn_program_new(&fixture->program, module, cn_heap), CN_OK);
}

static inline enum cn_status fixture_make(struct fixture *fixture,
                                          const struct cn_extern *externs)
{
    return cn_instantiate(fixture->store, fixture->program, externs, &fixture->instance,
                          &fixture->error);
}

static inline void fixture_close(struct fixture *fixture)
{
    cn_store_free(fixture->store);
    cn_program_free(fixture->program);
    cr_assert_eq(fixture->account.used[CN_QUOTA_MEMORY], 0, "%" PRIu64 " bytes are still charged",
                 fixture->account.used[CN_QUOTA_MEMORY]);
}

#endif
