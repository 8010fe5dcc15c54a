#include "hooks.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct hooks *hooks;

static _Atomic bool watches;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

enum way { ERRNO, POINTER, HEAP, ZERO, NUMBER, AFTER, BYTES, LIST, MESSAGE };

#define ERRORS_MAX 12
static const struct {
    const char *name;
    enum way way;
    long number; /* of a system call that is made by it, or -1 */
    int errors[ERRORS_MAX];
} rows[] = {
#define FAULT(name, type, way, ...) {#name, way, -1, {__VA_ARGS__}},
#define NUMBERED(name, ...) {#name, ERRNO, SYS_##name, {__VA_ARGS__}},
#include "calls.def"
#undef NUMBERED
#undef FAULT
};

const char *call_name(enum call call)
{
    return rows[call].name;
}

const char *call_symbol(enum call call)
{
    return rows[call].number < 0 ? rows[call].name : "syscall";
}

bool call_allocates(enum call call)
{
    return rows[call].way == HEAP || rows[call].way == POINTER;
}

int call_error(enum call call, uint32_t number)
{
    uint32_t count = 0;

    while (rows[call].errors[count] != 0)
        count++;
    if (number == count && rows[call].way >= BYTES)
        return SHORT_TRANSFER;
    return number < count ? rows[call].errors[number] : 0;
}

static struct site *find_site(enum call call, void *at)
{
    struct site *sites = hooks->sites;

    for (uint32_t i = 0; i < hooks->site_count; i++)
        if (sites[i].at == at && sites[i].call == call)
            return &sites[i];
    if (hooks->site_count == SITES_MAX)
        return &sites[SITES_MAX - 1];
    sites[hooks->site_count] = (struct site){call, at, 0};
    return &sites[hooks->site_count++];
}

void hooks_watch(void)
{
    for (uint32_t i = 0; i < hooks->site_count; i++)
        hooks->sites[i].times = 0;
    hooks->injected = hooks->allocations = hooks->calls = 0;
    hooks->blocks = hooks->mapped = 0;
    watches = true;
}

void hooks_rest(void)
{
    watches = false;
}

/* The error that this call has to give, or 0. */
static int ask(enum call call, void *at)
{
    const struct fault *fault;
    uint32_t number;
    bool is_hit;

    if (!watches)
        return 0;
    fault = &hooks->fault;
    pthread_mutex_lock(&lock);
    struct site *site = find_site(call, at);
    site->times++;
    if (call_allocates(call))
        hooks->allocations++;
    number = fault->site == NULL ? hooks->allocations : site->times;
    is_hit = (fault->site == NULL ? call_allocates(call) : fault->site == site) &&
             fault->count > 0 && number >= fault->first && number - fault->first < fault->count;
    hooks->injected += is_hit;
    pthread_mutex_unlock(&lock);
    return is_hit ? fault->error : 0;
}

/* ------------------------------------------------------------------ less than was asked for */

/* Arguments and results are whole registers on every machine that Cordon runs on, so that all calls
 * can be led through one function. */
typedef long reg;
typedef reg (*any_fn)(reg, reg, reg, reg, reg, reg);

static reg half_list(any_fn real, const reg *a)
{
    const struct iovec *list = (const void *)a[1];
    struct iovec one = {NULL, 0};

    if (a[2] > 0)
        one = (struct iovec){list->iov_base, (list->iov_len + 1) / 2};
    return real(a[0], (reg)&one, a[2] > 0, a[3], a[4], a[5]);
}

static reg half_message(any_fn real, const reg *a)
{
    struct msghdr *message = (void *)a[1], half = *message;
    struct iovec one = {NULL, 0};

    if (half.msg_iovlen > 0)
        one = (struct iovec){half.msg_iov->iov_base, (half.msg_iov->iov_len + 1) / 2};
    half.msg_iov = &one;
    half.msg_iovlen = half.msg_iovlen > 0;
    reg result = real(a[0], (reg)&half, a[2], a[3], a[4], a[5]);
    message->msg_controllen = half.msg_controllen;
    message->msg_flags = half.msg_flags;
    return result;
}

static reg half_of(enum call call, any_fn real, const reg *a)
{
    if (rows[call].way == LIST)
        return half_list(real, a);
    if (rows[call].way == MESSAGE)
        return half_message(real, a);
    reg size = call == CALL_getrandom ? a[1] : a[2];
    if (call == CALL_getrandom)
        return real(a[0], (size + 1) / 2, a[2], a[3], a[4], a[5]);
    return real(a[0], a[1], (size + 1) / 2, a[3], a[4], a[5]);
}

/* ------------------------------------------------------------------ what is not given back */

void __real_free(void *block);
void __wrap_free(void *block);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);

static int64_t pages(reg size)
{
    return (size + 4095) & ~4095l;
}

static void note_memory(enum call call, const reg *a, reg result)
{
    if (!watches)
        return;
    if ((call == CALL_malloc || call == CALL_calloc || call == CALL_strdup ||
         call == CALL_open_memstream) && result != 0)
        hooks->blocks++;
    if (call == CALL_realloc && a[0] == 0 && result != 0)
        hooks->blocks++;
    if (call == CALL_mmap64 && result != -1 && (a[3] & MAP_FIXED) == 0)
        hooks->mapped += pages(a[1]);
    /* To a fixed place is to where a mapping was made for it, which is counted. */
    if (call == CALL_mremap && result != -1)
        hooks->mapped += ((a[3] & MREMAP_FIXED) == 0 ? pages(a[2]) : 0) - pages(a[1]);
}

void __wrap_free(void *block)
{
    if (watches && block != NULL)
        hooks->blocks--;
    __real_free(block);
}

int __wrap_munmap(void *at, size_t size)
{
    int result = __real_munmap(at, size);

    if (watches && result == 0)
        hooks->mapped -= pages((reg)size);
    return result;
}

/* ------------------------------------------------------------------ the calls themselves */

static reg make(enum call call, any_fn real, const reg *a)
{
    uint32_t number = watches && !call_allocates(call) ? ++hooks->calls : 0;

    if (number != 0 && number == hooks->kill_before)
        raise(SIGKILL);
    reg result = real(a[0], a[1], a[2], a[3], a[4], a[5]);
    int error = errno;
    if (number != 0 && number == hooks->kill_after)
        raise(SIGKILL);
    note_memory(call, a, result);
    errno = error;
    return result;
}

static enum call by_number(reg number)
{
    for (int i = 0; i < CALL_COUNT; i++)
        if (rows[i].number == number)
            return (enum call)i;
    return CALL_syscall;
}

static reg lead(enum call call, any_fn real, void *at, const reg *a)
{
    if (call == CALL_syscall && a[0] == SYS_futex && a[2] == FUTEX_WAKE)
        return make(call, real, a); /* it cannot fail */
    if (call == CALL_syscall)
        call = by_number(a[0]);
    int error = ask(call, at);
    enum way way = rows[call].way;

    if (error == SHORT_TRANSFER)
        return half_of(call, real, a);
    if (error == 0 || way == AFTER) {
        reg result = make(call, real, a);
        if (error == 0)
            return result;
    }
    if (way == NUMBER)
        return error;
    errno = error;
    return way == HEAP || way == ZERO ? 0 : -1;
}

#define FAULT(name, type, ...)                                                                     \
    type __real_##name(reg, reg, reg, reg, reg, reg);                                              \
    type __wrap_##name(reg a, reg b, reg c, reg d, reg e, reg f);                                  \
    type __wrap_##name(reg a, reg b, reg c, reg d, reg e, reg f)                                   \
    {                                                                                              \
        const reg all[] = {a, b, c, d, e, f};                                                      \
        return (type)lead(CALL_##name, (any_fn)(void (*)(void))__real_##name,                      \
                          __builtin_return_address(0), all);                                       \
    }
#define NUMBERED(...)
#include "calls.def"
#undef NUMBERED
#undef FAULT

/* ------------------------------------------------------------------ the library of ciphers */

int CRYPTO_set_mem_functions(void *(*allocate)(size_t, const char *, int),
                             void *(*resize)(void *, size_t, const char *, int),
                             void (*release)(void *, const char *, int));

static void *allocate(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (ask(CALL_malloc, __builtin_return_address(0)) != 0)
        return NULL;
    return __real_malloc((reg)size, 0, 0, 0, 0, 0);
}

static void *resize(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (ask(CALL_realloc, __builtin_return_address(0)) != 0)
        return NULL;
    return __real_realloc((reg)old, (reg)size, 0, 0, 0, 0);
}

static void release(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    __real_free(block);
}

void hooks_begin(void)
{
    void *shared = mmap(NULL, sizeof *hooks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);

    if (shared == MAP_FAILED)
        abort();
    hooks = shared;
    (void)CRYPTO_set_mem_functions(allocate, resize, release);
}
