/* Mappings that stores have done with and others take again, so that making a VM asks the kernel
 * for nothing where one like it has just ended. What is kept reads as zeros: it was wiped when it
 * was given back. It is charged to nobody while nobody has it, and there is little of it.
 *
 * Shared by threads. Where a stock is NULL the kernel is asked each time. */
#ifndef CN_VM_STOCK_H
#define CN_VM_STOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Mappings that are kept, and the pages of each that the machine has to have memory for. */
#define CN_STOCK_MAX 32u
#define CN_STOCK_PAGES 16u

struct cn_stock {
    pthread_mutex_t lock;
    uint32_t count;
    struct {
        void *at;
        uint64_t size;
    } kept[CN_STOCK_MAX]; /* the last one was given back last */
};

void cn_stock_init(struct cn_stock *stock);
void cn_stock_release(struct cn_stock *stock);

/* A memory's pages, as by cn_pages_map. */
void *cn_stock_take(struct cn_stock *stock, uint64_t size);
/* Wipes and gives back such a mapping, wherever it is by now. */
void cn_stock_give(struct cn_stock *stock, void *at, uint64_t size);

/* The same in two halves, for what is no memory and of another size than any: a kept one as it was,
 * or NULL; wiping a part of one, true when it reads as zeros and the machine has few pages for it;
 * and keeping one that does so all over. */
void *cn_stock_find(struct cn_stock *stock, uint64_t size);
bool cn_stock_clear(void *at, uint64_t size);
void cn_stock_keep(struct cn_stock *stock, void *at, uint64_t size);

#endif
