#include "shim/volume_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096u
#define PURPOSE_MAX 64u
#define AREA_PAGES 8u /* some 880 files that are open at once; pages for more are locked alone */
#define AREA_SIZE (AREA_PAGES * PAGE)
#define SYS_MEMFD_SECRET 447 /* of Linux 5.14, on every machine */

_Static_assert(sizeof(struct cn_key_page) <= PAGE, "a page of keys is a page");
_Static_assert(sizeof(struct cn_known_keys) <= PAGE, "so is that of known ones");
_Static_assert(sizeof(struct cn_volume_keys) <= PAGE, "so is what leads to them");

void *cn_secret_page(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (mlock(page, PAGE) == 0 && madvise(page, PAGE, MADV_DONTDUMP) == 0 &&
        madvise(page, PAGE, MADV_DONTFORK) == 0)
        return page;
    munmap(page, PAGE);
    return NULL;
}

void cn_secret_free(void *page)
{
    if (page == NULL)
        return;
    OPENSSL_cleanse(page, PAGE);
    munmap(page, PAGE);
}

/* ------------------------------------------------------------------ slots */

/* `count` keys side by side. */
static uint8_t *take(struct cn_key_page *page, uint32_t count)
{
    for (uint32_t at = 0; at + count <= CN_KEYS_ON_PAGE; at++) {
        uint32_t run = 0;
        while (run < count && !(page->taken[(at + run) / 64] >> (at + run) % 64 & 1))
            run++;
        if (run < count)
            continue;
        for (uint32_t i = at; i < at + count; i++)
            page->taken[i / 64] |= (uint64_t)1 << i % 64;
        return page->keys[at];
    }
    return NULL;
}

/* Pages that the kernel itself does not map, and locks; NULL when there are none to be had, as
 * always in a sandbox. */
static uint8_t *secret_area(void)
{
    int fd = (int)syscall(SYS_MEMFD_SECRET, O_CLOEXEC);
    void *area = MAP_FAILED;

    if (fd < 0)
        return NULL;
    if (ftruncate(fd, AREA_SIZE) == 0)
        area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (area == MAP_FAILED)
        return NULL;
    if (madvise(area, AREA_SIZE, MADV_DONTFORK) == 0)
        return area;
    munmap(area, AREA_SIZE);
    return NULL;
}

/* Of the area as long as it has some. */
static void *take_page(struct cn_volume_keys *keys)
{
    if (keys->area != NULL && keys->area_taken < AREA_PAGES)
        return keys->area + PAGE * keys->area_taken++;
    return cn_secret_page();
}

static bool is_of_area(const struct cn_volume_keys *keys, const void *page)
{
    uintptr_t at = (uintptr_t)page, area = (uintptr_t)keys->area;

    return area != 0 && at >= area && at < area + AREA_SIZE;
}

static uint8_t *take_any(struct cn_volume_keys *keys, uint32_t count)
{
    uint8_t *key = NULL;

    for (struct cn_key_page *page = keys->pages; page != NULL && key == NULL; page = page->next)
        key = take(page, count);
    if (key != NULL)
        return key;
    struct cn_key_page *page = take_page(keys);
    if (page == NULL)
        return NULL;
    page->next = keys->pages;
    keys->pages = page;
    return take(page, count);
}

void cn_volume_key_drop(struct cn_volume_keys *keys, uint8_t *key)
{
    if (key == NULL)
        return;
    OPENSSL_cleanse(key, CN_KEY_SIZE);
    for (struct cn_key_page *page = keys->pages; page != NULL; page = page->next) {
        if (key < page->keys[0] || key > page->keys[CN_KEYS_ON_PAGE - 1])
            continue;
        size_t at = (size_t)(key - page->keys[0]) / CN_KEY_SIZE;
        page->taken[at / 64] &= ~((uint64_t)1 << at % 64);
    }
}

/* ------------------------------------------------------------------ making keys */

bool cn_random(void *to, size_t size)
{
    uint8_t *at = to;

    while (size > 0) {
        ssize_t more = getrandom(at, size, 0);
        if (more < 0 && errno != EINTR)
            return false;
        at += more > 0 ? more : 0;
        size -= more > 0 ? (size_t)more : 0;
    }
    return true;
}

static int derive(EVP_KDF_CTX *context, const uint8_t *key, struct cn_bytes info,
                  struct cn_bytes out)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", digest, 0),
        OSSL_PARAM_construct_octet_string("key", (void *)(uintptr_t)key, CN_KEY_SIZE),
        OSSL_PARAM_construct_octet_string("info", (void *)(uintptr_t)info.at, info.size),
        OSSL_PARAM_construct_end(),
    };

    return EVP_KDF_derive(context, (uint8_t *)(uintptr_t)out.at, out.size, params);
}

enum cn_errno cn_key_derive(const uint8_t key[CN_KEY_SIZE], const char *purpose,
                            struct cn_bytes id, uint8_t *out, size_t size)
{
    uint8_t info[PURPOSE_MAX];
    size_t word = strlen(purpose) + 1; /* its zero parts it from the id */

    if (word > sizeof info || id.size > sizeof info - word)
        return CN_E_INVAL;
    memcpy(info, purpose, word);
    if (id.size > 0)
        memcpy(info + word, id.at, id.size);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    int done = context != NULL ? derive(context, key, (struct cn_bytes){info, word + id.size},
                                        (struct cn_bytes){out, size})
                               : 0;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return done == 1 ? CN_E_SUCCESS : CN_E_IO;
}

/* Where the key of a file is, if it is known; ids are random. NULL for keys of another kind. */
static struct cn_known_key *place_of(const struct cn_volume_keys *keys, const char *purpose,
                                     struct cn_bytes id)
{
    bool is_of_file = id.size == CN_KEY_ID && strcmp(purpose, "file") == 0;

    return is_of_file && keys->known != NULL ? &keys->known->at[id.at[0] % CN_KNOWN_KEYS] : NULL;
}

uint8_t *cn_volume_key_make(struct cn_volume_keys *keys, const char *purpose, struct cn_bytes id)
{
    struct cn_known_key *known = place_of(keys, purpose, id);
    uint8_t *key = take_any(keys, 1);

    if (key == NULL)
        return NULL;
    if (known != NULL && known->is_there && memcmp(known->id, id.at, CN_KEY_ID) == 0)
        return memcpy(key, known->key, CN_KEY_SIZE);
    if (cn_key_derive(keys->master, purpose, id, key, CN_KEY_SIZE) != CN_E_SUCCESS) {
        cn_volume_key_drop(keys, key);
        return NULL;
    }
    if (known != NULL) {
        memcpy(known->id, id.at, CN_KEY_ID);
        memcpy(known->key, key, CN_KEY_SIZE);
        known->is_there = true;
    }
    return key;
}

enum cn_errno cn_volume_keys_open(struct cn_volume_keys **result)
{
    uint8_t *area = secret_area();
    struct cn_volume_keys *keys = area != NULL ? (void *)area : cn_secret_page();

    if (keys == NULL)
        return CN_E_NOMEM;
    keys->area = area;
    keys->area_taken = 1;
    keys->known = take_page(keys); /* NULL: none are known */
    keys->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    keys->siv = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
    if (keys->gcm == NULL || keys->siv == NULL) {
        cn_volume_keys_free(keys);
        return CN_E_NOMEM;
    }
    *result = keys;
    return CN_E_SUCCESS;
}

static void drop_pages(struct cn_volume_keys *keys)
{
    while (keys->pages != NULL) {
        struct cn_key_page *page = keys->pages;
        keys->pages = page->next;
        if (!is_of_area(keys, page))
            cn_secret_free(page);
    }
}

enum cn_errno cn_volume_keys_fill(struct cn_volume_keys *keys, const uint8_t master[CN_KEY_SIZE])
{
    const struct cn_bytes none = {NULL, 0};
    enum cn_errno error = CN_E_NOMEM;

    keys->master = take_any(keys, 1);
    keys->names = take_any(keys, 2);
    keys->links = take_any(keys, 1);
    if (keys->master != NULL && keys->names != NULL && keys->links != NULL) {
        if (master != NULL)
            memcpy(keys->master, master, CN_KEY_SIZE);
        error = master != NULL || cn_random(keys->master, CN_KEY_SIZE) ? CN_E_SUCCESS
                                                                       : CN_E_IO;
    }
    if (error == CN_E_SUCCESS)
        error = cn_key_derive(keys->master, "names", none, keys->names, 2 * CN_KEY_SIZE);
    if (error == CN_E_SUCCESS)
        error = cn_key_derive(keys->master, "links", none, keys->links, CN_KEY_SIZE);
    if (error != CN_E_SUCCESS)
        keys->master = NULL;
    return error;
}

enum cn_errno cn_volume_keys_new(const uint8_t master[CN_KEY_SIZE],
                                 struct cn_volume_keys **result)
{
    struct cn_volume_keys *keys;
    enum cn_errno error = cn_volume_keys_open(&keys);

    if (error != CN_E_SUCCESS)
        return error;
    error = cn_volume_keys_fill(keys, master);
    if (error != CN_E_SUCCESS)
        cn_volume_keys_free(keys);
    else
        *result = keys;
    return error;
}

void cn_volume_keys_free(struct cn_volume_keys *keys)
{
    if (keys == NULL)
        return;
    drop_pages(keys);
    if (!is_of_area(keys, keys->known))
        cn_secret_free(keys->known);
    EVP_CIPHER_free(keys->gcm);
    EVP_CIPHER_free(keys->siv);
    uint8_t *area = keys->area;
    if (area == NULL) {
        cn_secret_free(keys);
        return;
    }
    OPENSSL_cleanse(area, AREA_SIZE);
    munmap(area, AREA_SIZE);
}
