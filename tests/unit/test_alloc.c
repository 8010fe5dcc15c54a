#include "core/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

/* Says no, or notes what it was asked for. */
struct note {
    size_t old_size, new_size;
    int calls;
};

static void *refuse(void *context, void *old, size_t old_size, size_t new_size)
{
    (void)old;
    *(struct note *)context = (struct note){old_size, new_size,
                                            ((struct note *)context)->calls + 1};
    return NULL;
}

Test(alloc, gives_zeros)
{
    char *block = cn_alloc(cn_heap, 1000);

    for (int i = 0; i < 1000; i++)
        cr_assert_eq(block[i], 0);
    cn_free(cn_heap, block, 1000);
}

Test(alloc, gives_a_block_for_no_bytes)
{
    void *block = cn_alloc(cn_heap, 0);

    cr_assert_not_null(block);
    block = cn_resize(cn_heap, block, 0, 0);
    cr_assert_not_null(block);
    cn_free(cn_heap, block, 0);
}

Test(alloc, keeps_what_was_there_when_a_block_grows_and_shrinks)
{
    char *block = cn_alloc(cn_heap, 4);

    memcpy(block, "abcd", 4);
    block = cn_resize(cn_heap, block, 4, 100000);
    cr_assert_eq(memcmp(block, "abcd", 4), 0);
    block = cn_resize(cn_heap, block, 100000, 2);
    cr_assert_eq(memcmp(block, "ab", 2), 0);
    cn_free(cn_heap, block, 2);
}

Test(alloc, refuses_arrays_that_no_size_can_hold)
{
    cr_assert_null(cn_alloc_array(cn_heap, SIZE_MAX / 2, 3));
    cr_assert_null(cn_alloc_array(cn_heap, SIZE_MAX, SIZE_MAX));
}

Test(alloc, frees_with_the_size_that_the_allocator_knows)
{
    struct note note = {0, 0, 0};
    struct cn_allocator allocator = {refuse, &note};
    char block;

    cn_free(allocator, &block, 10);
    cr_assert_eq(note.old_size, 10);
    cr_assert_eq(note.new_size, 0);
    cn_free(allocator, &block, 0);
    cr_assert_eq(note.old_size, 1, "a block for no bytes has one");
    cn_free(allocator, NULL, 10);
    cr_assert_eq(note.calls, 2, "there is nothing to free");
}

Test(alloc, passes_refusals_on)
{
    struct note note = {0, 0, 0};
    struct cn_allocator allocator = {refuse, &note};

    cr_assert_null(cn_alloc(allocator, 10));
    cr_assert_null(cn_alloc_array(allocator, 10, 10));
    cr_assert_null(cn_resize(allocator, NULL, 0, 5));
    cr_assert_eq(note.new_size, 5);
}
