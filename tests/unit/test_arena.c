#include "core/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The heap, with its bytes counted and an end. */
struct purse {
    size_t used;
    size_t cap;
};

static void *purse_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct purse *purse = context;

    if (new_size > purse->cap - (purse->used - old_size))
        return NULL;
    purse->used += new_size - old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_size);
}

static struct cn_arena open_arena(struct purse *purse)
{
    struct cn_arena arena;

    cn_arena_init(&arena, (struct cn_allocator){purse_resize, purse});
    return arena;
}

Test(arena, takes_nothing_before_it_is_asked)
{
    struct purse purse = {0, SIZE_MAX};
    struct cn_arena arena = open_arena(&purse);

    cr_assert_eq(purse.used, 0);
    cr_assert_eq(cn_arena_size(&arena), 0);
    cn_arena_release(&arena);
}

Test(arena, gives_zeroed_aligned_pieces_that_do_not_overlap)
{
    struct purse purse = {0, SIZE_MAX};
    struct cn_arena arena = open_arena(&purse);
    uint8_t *pieces[300];

    for (size_t i = 0; i < 300; i++) {
        size_t size = i * i % 20000;
        pieces[i] = cn_arena_alloc(&arena, size);
        cr_assert_not_null(pieces[i]);
        cr_assert_eq((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < size; k++)
            cr_assert_eq(pieces[i][k], 0);
        memset(pieces[i], (int)i | 1, size);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i * i % 20000; k++)
            cr_assert_eq(pieces[i][k], (uint8_t)(i | 1));
    cn_arena_release(&arena);
}

Test(arena, gives_everything_back)
{
    struct purse purse = {0, SIZE_MAX};
    struct cn_arena arena = open_arena(&purse);

    for (size_t size = 1; size < 1000000; size *= 3)
        cr_assert_not_null(cn_arena_alloc(&arena, size));
    cr_assert_eq(cn_arena_size(&arena), purse.used);
    cn_arena_release(&arena);
    cr_assert_eq(purse.used, 0);
    cr_assert_not_null(cn_arena_alloc(&arena, 10), "it can be used again");
    cn_arena_release(&arena);
}

Test(arena, goes_on_filling_its_chunk_behind_a_large_piece)
{
    struct purse purse = {0, SIZE_MAX};
    struct cn_arena arena = open_arena(&purse);

    cn_arena_alloc(&arena, 100);
    cn_arena_alloc(&arena, 100000);
    size_t used = purse.used;
    cn_arena_alloc(&arena, 100);
    cr_assert_eq(purse.used, used);
    cn_arena_release(&arena);
}

Test(arena, says_when_memory_is_exhausted_and_stays_whole)
{
    struct purse purse = {0, 100000};
    struct cn_arena arena = open_arena(&purse);

    cr_assert_not_null(cn_arena_alloc(&arena, 50000));
    cr_assert_null(cn_arena_alloc(&arena, 60000));
    cr_assert_not_null(cn_arena_alloc(&arena, 100));
    cn_arena_release(&arena);
    cr_assert_eq(purse.used, 0);
}

Test(arena, refuses_sizes_that_cannot_be)
{
    struct purse purse = {0, SIZE_MAX};
    struct cn_arena arena = open_arena(&purse);

    cr_assert_null(cn_arena_alloc(&arena, SIZE_MAX));
    cr_assert_null(cn_arena_alloc(&arena, SIZE_MAX - 15));
    cr_assert_null(cn_arena_array(&arena, SIZE_MAX / 4, 8));
    cr_assert_eq(purse.used, 0);
}

Test(arena, releases_a_zeroed_one)
{
    struct cn_arena arena = {0};

    cn_arena_release(&arena);
}
