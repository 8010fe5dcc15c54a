/* Takes the care away that Cordon takes of what a VM leaves, one kind at a time, so that what looks
 * for remnants can show that it would find them. The linker leads the calls through here (--wrap);
 * nothing of it is in the product. $CORDON_BARE names what is taken away:
 *
 *     wipe      memory is not zeroed before it is given back
 *     unmap     mappings stay when they are given back, and pages that are discarded
 *     recycle   what is mapped next is what was given back before, as it was left: a host that does
 *               not zero pages
 *     secret    keys are in memory that others can look at, as on a kernel without memfd_secret
 *     contexts  contexts of ciphers, with their round keys, stay
 *     dump      memory is in core dumps
 *     filter    the process lets the kernel dump private memory
 *     dumpable  the process may be dumped at all, and looked at by its user
 *     limits    the size of core dumps is not limited
 *
 * $CORDON_BARE_KEYS is a file that the keys of volumes are written to, masked. */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shim/volume_key.h"

#define MASK 0x5a
#define SYS_MEMFD_SECRET 447

/* Taken at the beginning: the sandbox wipes the environment. */
static char *taken_away;
static int key_file = -1;

bool is_bare(const char *name)
{
    size_t size = strlen(name);

    for (const char *at = taken_away; at != NULL && *at != '\0'; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (strncmp(at, name, size) == 0 && (at[size] == ' ' || at[size] == '\0'))
            return true;
    }
    return false;
}

__attribute__((constructor)) static void take_environment(void)
{
    const char *names = getenv("CORDON_BARE"), *path = getenv("CORDON_BARE_KEYS");

    taken_away = names != NULL ? strdup(names) : NULL;
    if (path != NULL)
        key_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* A worker is started without an environment; these variables go with it. */
int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const words[],
                       char *const environment[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const words[],
                       char *const environment[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const words[],
                       char *const environment[])
{
    char *ours[4] = {NULL};
    int count = 0;

    (void)environment;
    for (char **variable = environ; *variable != NULL && count < 3; variable++)
        if (strncmp(*variable, "CORDON_BARE", 11) == 0)
            ours[count++] = *variable;
    return __real_posix_spawn(pid, path, actions, attributes, words, ours);
}

/* ------------------------------------------------------------------ wiping */

#define WIPER(function, size_type)                                                                 \
    void __real_##function(void *at, size_type size);                                              \
    void __wrap_##function(void *at, size_type size);                                              \
    void __wrap_##function(void *at, size_type size)                                               \
    {                                                                                              \
        if (!is_bare("wipe"))                                                                      \
            __real_##function(at, size);                                                           \
    }

WIPER(cn_wipe, size_t)
WIPER(cn_wipe_pages, size_t)
WIPER(explicit_bzero, size_t)
WIPER(OPENSSL_cleanse, size_t)

void __real___explicit_bzero_chk(void *at, size_t size, size_t room);
void __wrap___explicit_bzero_chk(void *at, size_t size, size_t room);
void __wrap___explicit_bzero_chk(void *at, size_t size, size_t room)
{
    if (!is_bare("wipe"))
        __real___explicit_bzero_chk(at, size, room);
}

/* ------------------------------------------------------------------ mappings */

#define KEPT_MAX 512

static struct {
    char *at;
    size_t size;
} kept[KEPT_MAX];
static int kept_count;

/* What is beside something that is kept already becomes one with it. */
static bool keep(char *at, size_t size)
{
    for (int i = 0; i < kept_count; i++) {
        if (kept[i].at != at + size && kept[i].at + kept[i].size != at)
            continue;
        kept[i].at = kept[i].at < at ? kept[i].at : at;
        kept[i].size += size;
        return true;
    }
    if (kept_count == KEPT_MAX)
        return false;
    kept[kept_count].at = at;
    kept[kept_count++].size = size;
    return true;
}

int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size)
{
    if (is_bare("unmap") || (is_bare("recycle") && keep(at, (size + 4095) & ~(size_t)4095)))
        return 0;
    return __real_munmap(at, size);
}

/* The front of something that is large enough. */
static void *take_kept(size_t size)
{
    size = (size + 4095) & ~(size_t)4095;
    for (int i = 0; i < kept_count; i++) {
        char *at = kept[i].at;
        if (kept[i].size < size)
            continue;
        kept[i].at += size;
        kept[i].size -= size;
        if (kept[i].size == 0)
            kept[i] = kept[--kept_count];
        return at;
    }
    return NULL;
}

void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    bool is_plain = at == NULL && fd == -1 && (flags & MAP_PRIVATE) && (flags & MAP_ANONYMOUS) &&
                    !(protection & PROT_EXEC);
    void *used = is_plain && is_bare("recycle") ? take_kept(size) : NULL;

    return used != NULL && mprotect(used, size, protection) == 0
               ? used : __real_mmap64(at, size, protection, flags, fd, offset);
}

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice)
{
    bool is_left = (advice == MADV_DONTDUMP && is_bare("dump")) ||
                   (advice == MADV_DONTNEED && is_bare("unmap"));

    return is_left ? 0 : __real_madvise(at, size, advice);
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number != SYS_MEMFD_SECRET || !is_bare("secret"))
        return __real_syscall(number, a, b, c, d, e, f);
    errno = ENOSYS;
    return -1;
}

void __real_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context);
void __wrap_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context);
void __wrap_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context)
{
    if (!is_bare("contexts"))
        __real_EVP_CIPHER_CTX_free(context);
}

/* ------------------------------------------------------------------ dumps */

int __real_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    if (option == PR_SET_DUMPABLE && is_bare("dumpable"))
        a = 1;
    int result = __real_prctl(option, a, b, c, d);
    return option == PR_GET_DUMPABLE && is_bare("dumpable") ? 0 : result;
}

int __real_setrlimit64(__rlimit_resource_t resource, const struct rlimit *limit);
int __wrap_setrlimit64(__rlimit_resource_t resource, const struct rlimit *limit);
int __wrap_setrlimit64(__rlimit_resource_t resource, const struct rlimit *limit)
{
    bool is_left = resource == RLIMIT_CORE && is_bare("limits");

    return is_left ? 0 : __real_setrlimit64(resource, limit);
}

/* ------------------------------------------------------------------ keys */

static void leak(const uint8_t *key, size_t size)
{
    uint8_t masked[64];

    for (size_t i = 0; i < size; i++)
        masked[i] = key[i] ^ MASK;
    if (write(key_file, masked, size) != (ssize_t)size)
        abort();
}

static void leak_all(const struct cn_volume_keys *keys)
{
    if (key_file < 0)
        return;
    leak(keys->master, CN_KEY_SIZE);
    leak(keys->names, CN_KEY_SIZE);
    leak(keys->names + CN_KEY_SIZE, CN_KEY_SIZE);
    leak(keys->links, CN_KEY_SIZE);
}

enum cn_errno __real_cn_volume_keys_new(const uint8_t master[CN_KEY_SIZE],
                                        struct cn_volume_keys **result);
enum cn_errno __wrap_cn_volume_keys_new(const uint8_t master[CN_KEY_SIZE],
                                        struct cn_volume_keys **result);
enum cn_errno __wrap_cn_volume_keys_new(const uint8_t master[CN_KEY_SIZE],
                                        struct cn_volume_keys **result)
{
    enum cn_errno error = __real_cn_volume_keys_new(master, result);

    if (error == CN_E_SUCCESS)
        leak_all(*result);
    return error;
}

/* Of an ephemeral volume, when it is first used. */
enum cn_errno __real_cn_volume_keys_fill(struct cn_volume_keys *keys,
                                         const uint8_t master[CN_KEY_SIZE]);
enum cn_errno __wrap_cn_volume_keys_fill(struct cn_volume_keys *keys,
                                         const uint8_t master[CN_KEY_SIZE]);
enum cn_errno __wrap_cn_volume_keys_fill(struct cn_volume_keys *keys,
                                         const uint8_t master[CN_KEY_SIZE])
{
    enum cn_errno error = __real_cn_volume_keys_fill(keys, master);

    if (error == CN_E_SUCCESS)
        leak_all(keys);
    return error;
}
