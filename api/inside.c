/* The process of a cell: one VM, from its description to its last words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cell.h"
#include "api/internal.h"
#include "api/parcel.h"
#include "host/clock.h"
#include "host/inside.h"

/* As much as any module may have. */
#define MODULE_LARGEST ((uint64_t)1 << 30)

struct inside {
    struct cn_inside inside;
    cordon_host_t *host;
    cordon_config_t *config;
    cordon_linker_t *linker;
    cordon_module_t *module;
    cordon_vm_t *vm;
    uint8_t *bytes; /* of the module */
    size_t size;
    int module_fd;
};

/* ------------------------------------------------------------------ unpacking */

/* None of the descriptors when it fails. */
static bool receive_all(int socket, int *fds, uint32_t count, uint8_t *keys, uint32_t key_count)
{
    if (!cn_parcel_receive_fds(socket, fds, count))
        return false;
    if (cn_parcel_receive_keys(socket, keys, key_count))
        return true;
    for (uint32_t i = 0; i < count; i++)
        close(fds[i]);
    return false;
}

static bool receive_config(struct inside *in, int socket, cordon_error_t *error)
{
    uint8_t *parcel = (uint8_t *)(in->inside.page + 1);
    size_t size = in->inside.size - sizeof *in->inside.page;
    uint32_t key_count, count = cn_parcel_expects(parcel, size, &key_count);
    int *fds = count == UINT32_MAX ? NULL : cn_alloc_array(cn_heap, count + 1, sizeof *fds);
    uint8_t *keys = key_count > 0 ? cn_secret_page() : NULL;

    cn_api_fail(error, CORDON_IO, "the VM's description cannot be read");
    if (key_count > 0 && keys == NULL)
        cn_api_fail(error, CORDON_QUOTA, "no memory can be locked for a key");
    else if (fds != NULL && receive_all(socket, fds, count, keys, key_count))
        in->config = cn_parcel_read(parcel, size, fds, keys, error);
    cn_secret_free(keys);
    if (fds != NULL)
        cn_free(cn_heap, fds, (count + 1) * sizeof *fds);
    explicit_bzero(parcel, size); /* arguments and environment: for the other side, too */
    return in->config != NULL;
}

/* The page and the module are first. False when there is nobody to tell what is wrong. */
static bool join(struct inside *in, int socket, cordon_error_t *error)
{
    int fds[2];

    if (!cn_parcel_receive_fds(socket, fds, 2))
        return cn_api_fail(error, CORDON_IO, "no host at the other end of the socket: %s",
                           strerror(errno));
    in->module_fd = fds[1];
    (void)lseek(in->module_fd, 0, SEEK_SET); /* a restart reads it again */
    in->host = cordon_host_new(error);
    if (in->host == NULL) {
        close(fds[0]);
        return false;
    }
    enum cn_status status = cn_inside_init(&in->inside, fds[0], socket, &in->host->pot);
    close(fds[0]);
    return status == CN_OK || cn_api_fail(error, CORDON_IO, "the page that is shared with the "
                                          "host: %s", strerror(errno));
}

/* ------------------------------------------------------------------ making */

static bool read_module(struct inside *in, cordon_error_t *error)
{
    struct stat status;

    if (fstat(in->module_fd, &status) != 0)
        return cn_api_fail(error, CORDON_IO, "the module: %s", strerror(errno));
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > MODULE_LARGEST)
        return cn_api_fail(error, CORDON_BAD_MODULE, "the module is no regular file of at most "
                           "1 GiB");
    size_t room = (size_t)status.st_size, done = 0;
    in->bytes = cn_resize(cn_heap, NULL, 0, room + 1);
    if (in->bytes == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    in->size = room + 1;
    while (done < room) {
        ssize_t count = read(in->module_fd, in->bytes + done, room - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return cn_api_fail(error, CORDON_IO, "the module: %s", strerror(errno));
        if (count == 0)
            break;
        done += (size_t)count;
    }
    cordon_host_memory(in->host, MODULE_LARGEST);
    in->module = cordon_module_load(in->host, in->bytes, done, error);
    return in->module != NULL;
}

static bool make(struct inside *in, cordon_lock_fn lock, void *user, int *code,
                 cordon_error_t *error)
{
    struct cn_func **calls;
    uint32_t count = 0;

    *code = 125;
    if (lock != NULL && !lock(user, in->config, error))
        return false;
    *code = 126;
    in->linker = cordon_linker_new(in->host, error);
    if (in->linker == NULL || !read_module(in, error))
        return false;
    cordon_linker_allow_wasi(in->linker);
    in->vm = cordon_vm_new(in->host, in->module, in->linker, in->config, error);
    if (in->vm == NULL) {
        *code = error->kind == CORDON_QUOTA ? 137 : error->kind == CORDON_TRAP ? 134 : 126;
        return false;
    }
    if (!cn_api_program(in->vm, &calls, &count, error)) {
        *code = error->kind == CORDON_NO_EXPORT ? 127 : 126;
        return false;
    }
    cn_vm_prepare(&in->vm->vm, calls, count);
    return true;
}

/* ------------------------------------------------------------------ from beginning to end */

static void give_back(struct inside *in)
{
    cordon_vm_free(in->vm);
    cordon_linker_free(in->linker);
    cordon_module_free(in->module);
    cn_free(cn_heap, in->bytes, in->size);
    cordon_config_free(in->config);
    cn_inside_release(&in->inside);
    cordon_host_free(in->host);
    if (in->module_fd >= 0)
        close(in->module_fd);
}

/* In turns: what it holds is wiped and given back in the VM's own time. */
static void free_vm(struct inside *in)
{
    cn_inside_publish(&in->inside, &in->vm->vm);
    while (!cn_vm_give_back(&in->vm->vm, cn_clock_ns(CLOCK_MONOTONIC) + in->inside.page->slice_ns))
        cn_inside_yield(&in->inside);
    cordon_vm_free(in->vm);
    in->vm = NULL;
}

static void run(struct inside *in, int socket, cordon_lock_fn lock, void *user)
{
    struct cn_last_words words = {.result = {.end = CORDON_END_ERROR, .exit_code = 125,
                                             .quota = CORDON_QUOTA_COUNT}};
    cordon_error_t error = {0};

    if (receive_config(in, socket, &error) &&
        make(in, lock, user, &words.result.exit_code, &error)) {
        cn_inside_serve(&in->inside, &in->vm->vm);
        cn_api_result(in->vm, &words.result);
    } else {
        snprintf(words.result.message, sizeof words.result.message, "%.255s", error.message);
    }
    if (in->vm != NULL)
        free_vm(in);
    cn_inside_end(&in->inside, &words, sizeof words);
}

bool cordon_cell_inside(int socket, cordon_lock_fn lock, void *user, cordon_error_t *error)
{
    struct inside in = {.module_fd = -1};
    bool joined = join(&in, socket, error);

    if (joined)
        run(&in, socket, lock, user);
    give_back(&in);
    return joined;
}
