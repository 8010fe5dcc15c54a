#include "shim/stream.h"

#include <criterion/criterion.h>

static char bytes[16];

/* What is left of (3, 0, 5, 8) bytes after cutting, written as "offset+length ...". */
static int cut(uint64_t skip, uint64_t size, struct iovec **first)
{
    static struct iovec list[4];

    list[0] = (struct iovec){bytes, 3};
    list[1] = (struct iovec){bytes + 3, 0};
    list[2] = (struct iovec){bytes + 3, 5};
    list[3] = (struct iovec){bytes + 8, 8};
    *first = list;
    return cn_iovecs_cut(first, 4, skip, size);
}

static uint64_t total(const struct iovec *list, int count)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++)
        sum += list[i].iov_len;
    return sum;
}

Test(stream, cuts_lists_at_any_place)
{
    for (uint64_t skip = 0; skip <= 16; skip++) {
        for (uint64_t size = 0; size <= 20; size++) {
            struct iovec *first;
            int count = cut(skip, size, &first);
            uint64_t left = 16 - skip < size ? 16 - skip : size;
            cr_assert_eq(total(first, count), left);
            if (left > 0)
                cr_assert_eq((char *)first->iov_base, bytes + skip);
        }
    }
}

Test(stream, cuts_beyond_the_end_to_nothing)
{
    struct iovec *first;

    cr_expect_eq(cut(17, 5, &first), 0);
    cr_expect_eq(cut(UINT64_MAX, UINT64_MAX, &first), 0);
}
