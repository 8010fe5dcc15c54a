#include "shim/volume_vault.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "core/locked.h"
#include "core/wipe.h"

#define CHUNK ((size_t)64 * 1024)
#define SMALLEST 32u /* with the head */
#define CLASSES 10u  /* each twice the one before: up to 16 KiB */
#define HEAD 16u

/* Before each block. */
struct head {
    size_t size;   /* as it was asked for */
    size_t number; /* of its class; CLASSES: pages of its own */
};

_Static_assert(sizeof(struct head) == HEAD, "blocks are aligned to 16 bytes");

static struct {
    pthread_mutex_t lock;
    struct vacant { struct vacant *next; } *vacant[CLASSES];
    uint8_t *chunk; /* chunks are kept: what is in them is handed out again */
    size_t left;
} vault = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t class_of(size_t size)
{
    size_t number = 0;

    while (number < CLASSES && (size_t)SMALLEST << number < size + HEAD)
        number++;
    return number;
}

static void *cut(size_t number)
{
    size_t size = (size_t)SMALLEST << number;

    if (vault.left < size) {
        uint8_t *chunk = cn_resize(cn_locked, NULL, 0, CHUNK);
        if (chunk == NULL)
            return NULL;
        vault.chunk = chunk;
        vault.left = CHUNK;
    }
    vault.left -= size;
    return vault.chunk + vault.left;
}

static struct head *find(size_t number)
{
    pthread_mutex_lock(&vault.lock);
    struct vacant *block = vault.vacant[number];
    if (block != NULL)
        vault.vacant[number] = block->next;
    else
        block = cut(number);
    pthread_mutex_unlock(&vault.lock);
    return (struct head *)block;
}

void *cn_vault_take(size_t size, const char *file, int line)
{
    size_t number = class_of(size);

    (void)file;
    (void)line;
    if (size == 0 || size > SIZE_MAX / 2)
        return NULL;
    struct head *head = number < CLASSES ? find(number)
                                         : cn_resize(cn_locked, NULL, 0, size + HEAD);
    if (head == NULL)
        return NULL;
    *head = (struct head){size, number};
    return head + 1;
}

void cn_vault_give_back(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    if (block == NULL)
        return;
    struct head *head = (struct head *)block - 1;
    size_t number = head->number;
    if (number >= CLASSES) {
        cn_free(cn_locked, head, head->size + HEAD);
        return;
    }
    cn_wipe(head, head->size + HEAD);
    struct vacant *vacant = (struct vacant *)head;
    pthread_mutex_lock(&vault.lock);
    vacant->next = vault.vacant[number];
    vault.vacant[number] = vacant;
    pthread_mutex_unlock(&vault.lock);
}

void *cn_vault_move(void *block, size_t size, const char *file, int line)
{
    if (block == NULL)
        return cn_vault_take(size, file, line);
    const struct head *head = (const struct head *)block - 1;
    void *other = size > 0 ? cn_vault_take(size, file, line) : NULL;
    if (other != NULL)
        memcpy(other, block, head->size < size ? head->size : size);
    if (other != NULL || size == 0)
        cn_vault_give_back(block, file, line);
    return other;
}

bool cn_vault_ciphers(void)
{
    return CRYPTO_set_mem_functions(cn_vault_take, cn_vault_move, cn_vault_give_back) == 1;
}
