#include "api/closure.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define ROOM ((size_t)64)
/* The first place stays empty: checkers of function types look at what stands before a function. */
#define PER_PAGE (PAGE / ROOM - 1)

_Static_assert(sizeof(ffi_closure) <= ROOM, "a closure has room");

/* A page of code; it is mapped once more, as data, while one of its closures is being written. */
struct cn_closure_page {
    struct cn_closure_page *next;
    uint8_t *code;
    int fd;
    uint32_t used; /* of its closures, those that were taken at least once */
    struct cn_closure closures[PER_PAGE];
};

void cn_closures_init(struct cn_closures *closures)
{
    *closures = (struct cn_closures){.pages = NULL};
    pthread_mutex_init(&closures->lock, NULL);
}

void cn_closures_release(struct cn_closures *closures)
{
    while (closures->pages != NULL) {
        struct cn_closure_page *page = closures->pages;
        closures->pages = page->next;
        munmap(page->code, PAGE);
        close(page->fd);
        cn_free(cn_heap, page, sizeof *page);
    }
    pthread_mutex_destroy(&closures->lock);
}

/* ------------------------------------------------------------------ pages */

/* Asked in a way that no sandbox punishes: a filter like Cordon's ends a process that wants a
 * memfd. */
static bool is_locked(void)
{
    void *code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (code == MAP_FAILED)
        return errno != ENOMEM;
    munmap(code, PAGE);
    return false;
}

static bool map_page(struct cn_closure_page *page)
{
    void *code = MAP_FAILED;

    page->fd = memfd_create("cordon", MFD_CLOEXEC);
    if (page->fd >= 0 && ftruncate(page->fd, PAGE) == 0)
        code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, page->fd, 0);
    if (code != MAP_FAILED) {
        page->code = code;
        return true;
    }
    if (page->fd >= 0)
        close(page->fd);
    return false;
}

static bool fail_locked(cordon_error_t *error)
{
    return cn_api_fail(error, CORDON_LOCKED,
                       "no function pointer can be made: this process is locked and has no "
                       "executable memory to give");
}

static bool add_page(struct cn_closures *closures, cordon_error_t *error)
{
    if (is_locked())
        return fail_locked(error);
    struct cn_closure_page *page = cn_alloc(cn_heap, sizeof *page);
    if (page == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    if (!map_page(page)) {
        int why = errno;
        cn_free(cn_heap, page, sizeof *page);
        return cn_api_fail(error, CORDON_IO, "no page for function pointers: %s", strerror(why));
    }
    page->next = closures->pages;
    closures->pages = page;
    return true;
}

/* ------------------------------------------------------------------ closures */

static struct cn_closure *take(struct cn_closures *closures, cordon_error_t *error)
{
    struct cn_closure_page *page = closures->pages;
    struct cn_closure *closure = closures->first_free;

    /* What was given back last is taken last: whoever still calls it meets nothing. */
    if (page != NULL && page->used == PER_PAGE && closure != NULL) {
        closures->first_free = closure->next;
        return closure;
    }
    if (page == NULL || page->used == PER_PAGE) {
        if (!add_page(closures, error))
            return NULL;
        page = closures->pages;
    }
    closure = &page->closures[page->used];
    page->used++;
    closure->code = (cordon_c_fn)(uintptr_t)(page->code + ROOM * page->used);
    return closure;
}

static void put_back(struct cn_closures *closures, struct cn_closure *closure)
{
    closure->next = NULL;
    if (closures->first_free == NULL)
        closures->first_free = closure;
    else
        closures->last_free->next = closure;
    closures->last_free = closure;
}

static bool write_closure(struct cn_closures *closures, struct cn_closure *closure,
                          void (*function)(ffi_cif *, void *, void **, void *))
{
    struct cn_closure_page *page = closures->pages;
    uintptr_t code = (uintptr_t)closure->code;

    while (code - (uintptr_t)page->code >= PAGE)
        page = page->next;
    uint8_t *data = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);
    if (data == MAP_FAILED)
        return false;
    ffi_closure *written = (ffi_closure *)(void *)(data + (code - (uintptr_t)page->code));
    memset(written, 0, sizeof *written);
    bool is_written =
        ffi_prep_closure_loc(written, &closure->cif, function, closure, (void *)code) == FFI_OK;
    munmap(data, PAGE);
    return is_written;
}

static bool prepare(struct cn_closures *closures, struct cn_closure *closure,
                    const struct cn_sign *sign,
                    void (*function)(ffi_cif *, void *, void **, void *))
{
    closure->sign = *sign;
    uint32_t count = cn_native_types(sign, closure->types);
    return ffi_prep_cif(&closure->cif, FFI_DEFAULT_ABI, count, cn_native_result(sign),
                        closure->types) == FFI_OK &&
           write_closure(closures, closure, function);
}

struct cn_closure *cn_closure_new(struct cn_closures *closures, const struct cn_sign *sign,
                                  void (*function)(ffi_cif *, void *, void **, void *),
                                  cordon_error_t *error)
{
    pthread_mutex_lock(&closures->lock);
    struct cn_closure *closure = take(closures, error);
    if (closure != NULL && !prepare(closures, closure, sign, function)) {
        put_back(closures, closure);
        closure = NULL;
        fail_locked(error);
    }
    pthread_mutex_unlock(&closures->lock);
    return closure;
}

void cn_closure_free(struct cn_closures *closures, struct cn_closure *closure)
{
    atomic_store(&closure->vm, NULL);
    pthread_mutex_lock(&closures->lock);
    put_back(closures, closure);
    pthread_mutex_unlock(&closures->lock);
}
