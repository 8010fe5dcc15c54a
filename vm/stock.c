#define _GNU_SOURCE 1 /* mincore */
#include "vm/stock.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "core/wipe.h"
#include "vm/pages.h"

#define PAGE ((uint64_t)4096)
/* A mapping of more pages is not looked through, and one with more gaps neither. */
#define PAGES_MAX 1024u
#define GAPS_MAX 4u

void cn_stock_init(struct cn_stock *stock)
{
    pthread_mutex_init(&stock->lock, NULL);
    stock->count = 0;
}

void cn_stock_release(struct cn_stock *stock)
{
    for (uint32_t i = 0; i < stock->count; i++)
        munmap(stock->kept[i].at, stock->kept[i].size);
    stock->count = 0;
    pthread_mutex_destroy(&stock->lock);
}

/* ------------------------------------------------------------------ taking */

static void take_out(struct cn_stock *stock, uint32_t number)
{
    stock->count--;
    for (uint32_t i = number; i < stock->count; i++)
        stock->kept[i] = stock->kept[i + 1];
}

void *cn_stock_find(struct cn_stock *stock, uint64_t size)
{
    void *found = NULL;

    if (stock == NULL)
        return NULL;
    pthread_mutex_lock(&stock->lock);
    for (uint32_t i = stock->count; i-- > 0 && found == NULL;) {
        if (stock->kept[i].size != size)
            continue;
        found = stock->kept[i].at;
        take_out(stock, i);
    }
    pthread_mutex_unlock(&stock->lock);
    return found;
}

void *cn_stock_take(struct cn_stock *stock, uint64_t size)
{
    void *at = cn_stock_find(stock, size);

    return at != NULL ? at : cn_pages_map(size);
}

/* ------------------------------------------------------------------ giving back */

void cn_stock_keep(struct cn_stock *stock, void *at, uint64_t size)
{
    void *old = NULL;
    uint64_t old_size = 0;

    pthread_mutex_lock(&stock->lock);
    if (stock->count == CN_STOCK_MAX) {
        old = stock->kept[0].at;
        old_size = stock->kept[0].size;
        take_out(stock, 0);
    }
    stock->kept[stock->count].at = at;
    stock->kept[stock->count++].size = size;
    pthread_mutex_unlock(&stock->lock);
    if (old != NULL)
        munmap(old, old_size);
}

/* A mapping as the kernel sees it. Pages that are not there may be zeros, or what was written out
 * to the swap: so they are given up, and then are zeros. */
struct survey {
    uint8_t *at;
    uint64_t pages;
    unsigned char is_there[PAGES_MAX];
};

static uint64_t run_length(const struct survey *survey, uint64_t from)
{
    uint64_t end = from;

    while (end < survey->pages && !((survey->is_there[end] ^ survey->is_there[from]) & 1))
        end++;
    return end - from;
}

static bool clear(struct survey *survey)
{
    uint64_t length, gaps = 0, there = 0;

    if (survey->pages > PAGES_MAX ||
        mincore(survey->at, survey->pages * PAGE, survey->is_there) != 0)
        return false;
    for (uint64_t i = 0; i < survey->pages; i += length) {
        uint8_t *from = survey->at + i * PAGE;
        length = run_length(survey, i);
        if (survey->is_there[i] & 1) {
            there += length;
            if (there > CN_STOCK_PAGES)
                return false;
            cn_wipe(from, length * PAGE);
        } else if (++gaps > GAPS_MAX || madvise(from, length * PAGE, MADV_DONTNEED) != 0) {
            return false;
        }
    }
    return true;
}

bool cn_stock_clear(void *at, uint64_t size)
{
    struct survey survey;

    survey.at = at;
    survey.pages = size / PAGE;
    return clear(&survey);
}

void cn_stock_give(struct cn_stock *stock, void *at, uint64_t size)
{
    if (stock != NULL && cn_stock_clear(at, size)) {
        cn_stock_keep(stock, at, size);
        return;
    }
    cn_wipe_pages(at, size);
    munmap(at, size);
}
