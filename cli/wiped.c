#include "cli/wiped.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Before each block; as large as what a block is aligned to. */
struct head {
    size_t size;
    size_t reserved;
};

static void *take(size_t size)
{
    struct head *head = size < SIZE_MAX / 2 ? malloc(sizeof *head + size) : NULL;

    if (head == NULL)
        return NULL;
    *head = (struct head){size, 0};
    return head + 1;
}

static void give_back(void *block)
{
    if (block == NULL)
        return;
    struct head *head = (struct head *)block - 1;
    explicit_bzero(block, head->size);
    free(head);
}

void cli_json_wipes(void)
{
    json_set_alloc_funcs(take, give_back);
}

void cli_json_free(void *text)
{
    json_free_t give_it_back;

    json_get_alloc_funcs(NULL, &give_it_back);
    give_it_back(text);
}
