#include "api/parcel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel takes up to 253 in one message (SCM_MAX_FD). */
#define FDS_AT_ONCE 200

struct head {
    uint32_t arg_count, environ_count, dir_count, listener_count;
    uint32_t has_stdio; /* a bit for each */
    uint32_t has_ledger;
    uint32_t key_count;
    uint64_t limit[CORDON_QUOTA_COUNT];
    uint32_t preempt_everywhere, collect_everywhere, move_on_grow; /* 0: not */
};

enum kind { DIRECTORY, KEPT, EPHEMERAL };

/* A directory or volume. */
struct row {
    uint64_t size, inodes;
    uint32_t kind, is_read_only;
};

/* After the head: a row per directory, then texts: arguments, environment, names of directories. */

static struct row row_of(const struct cn_wasi_dir *dir)
{
    const struct cn_mount *mount = (const struct cn_mount *)dir->volume;
    struct row row = {.kind = DIRECTORY, .is_read_only = dir->is_read_only};

    if (mount == NULL)
        return row;
    row.kind = mount->is_ephemeral ? EPHEMERAL : KEPT;
    row.size = mount->grant.size;
    row.inodes = mount->grant.inodes;
    return row;
}

uint32_t cn_parcel_key_count(const cordon_config_t *config)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < config->dir_count; i++)
        count += row_of(&config->dirs[i]).kind == KEPT;
    return count;
}

void cn_parcel_keys(const cordon_config_t *config, uint8_t *keys)
{
    for (uint32_t i = 0; i < config->dir_count; i++) {
        if (row_of(&config->dirs[i]).kind != KEPT)
            continue;
        memcpy(keys, config->dirs[i].volume->keys->master, CN_KEY_SIZE);
        keys += CN_KEY_SIZE;
    }
}

static size_t text_size(const char *const *texts, uint32_t count)
{
    size_t size = 0;

    for (uint32_t i = 0; i < count; i++)
        size += strlen(texts[i]) + 1;
    return size;
}

size_t cn_parcel_size(const cordon_config_t *config)
{
    size_t size = sizeof(struct head) + config->dir_count * sizeof(struct row) +
                  text_size(config->args, config->arg_count) +
                  text_size(config->environ, config->environ_count);

    for (uint32_t i = 0; i < config->dir_count; i++)
        size += strlen(config->dirs[i].guest_name) + 1;
    return size;
}

static uint32_t stdio_mask(const cordon_config_t *config)
{
    uint32_t mask = 0;

    for (int i = 0; i < 3; i++)
        mask |= config->stdio[i] >= 0 ? 1u << i : 0;
    return mask;
}

static uint32_t fd_count(const struct head *head)
{
    return (uint32_t)__builtin_popcount(head->has_stdio) + head->dir_count + head->listener_count +
           head->has_ledger;
}

static struct head head_of(const cordon_config_t *config)
{
    struct head head = {
        .arg_count = config->arg_count, .environ_count = config->environ_count,
        .dir_count = config->dir_count, .listener_count = config->listener_count,
        .has_stdio = stdio_mask(config), .has_ledger = config->ledger_fd >= 0,
        .key_count = cn_parcel_key_count(config),
        .preempt_everywhere = config->preempt_everywhere,
        .collect_everywhere = config->collect_everywhere, .move_on_grow = config->move_on_grow,
    };

    memcpy(head.limit, config->limit, sizeof head.limit);
    return head;
}

uint32_t cn_parcel_fd_count(const cordon_config_t *config)
{
    struct head head = head_of(config);

    return fd_count(&head);
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    return put(at, text, strlen(text) + 1);
}

void cn_parcel_write(const cordon_config_t *config, uint8_t *bytes)
{
    struct head head = head_of(config);

    bytes = put(bytes, &head, sizeof head);
    for (uint32_t i = 0; i < head.dir_count; i++) {
        struct row row = row_of(&config->dirs[i]);
        bytes = put(bytes, &row, sizeof row);
    }
    for (uint32_t i = 0; i < head.arg_count; i++)
        bytes = put_text(bytes, config->args[i]);
    for (uint32_t i = 0; i < head.environ_count; i++)
        bytes = put_text(bytes, config->environ[i]);
    for (uint32_t i = 0; i < head.dir_count; i++)
        bytes = put_text(bytes, config->dirs[i].guest_name);
}

void cn_parcel_fds(const cordon_config_t *config, int *fds)
{
    for (int i = 0; i < 3; i++)
        if (config->stdio[i] >= 0)
            *fds++ = config->stdio[i];
    for (uint32_t i = 0; i < config->dir_count; i++)
        *fds++ = config->dirs[i].host;
    for (uint32_t i = 0; i < config->listener_count; i++)
        *fds++ = config->listeners[i];
    if (config->ledger_fd >= 0)
        *fds++ = config->ledger_fd;
}

/* ------------------------------------------------------------------ unpacking */

struct reader {
    const uint8_t *at, *end;
    const uint8_t *keys;
    uint32_t keys_left;
    struct head head;
};

/* NULL when there are not so many left. */
static const void *take(struct reader *reader, size_t size)
{
    const uint8_t *bytes = reader->at;

    if (size > (size_t)(reader->end - bytes))
        return NULL;
    reader->at += size;
    return bytes;
}

static const char *take_text(struct reader *reader)
{
    const void *end = memchr(reader->at, '\0', (size_t)(reader->end - reader->at));

    return end ? take(reader, (size_t)((const uint8_t *)end + 1 - reader->at)) : NULL;
}

uint32_t cn_parcel_expects(const uint8_t *bytes, size_t size, uint32_t *keys)
{
    struct head head;

    *keys = 0;
    if (size < sizeof head)
        return UINT32_MAX;
    memcpy(&head, bytes, sizeof head);
    bool is_sane = head.has_stdio < 8 && head.has_ledger < 2 &&
                   head.dir_count < size / sizeof(struct row) && head.listener_count < 65536 &&
                   head.key_count <= CN_PARCEL_KEYS_MAX;
    *keys = is_sane ? head.key_count : 0;
    return is_sane ? fd_count(&head) : UINT32_MAX;
}

static bool take_texts(cordon_config_t *config, struct reader *reader, cordon_error_t *error)
{
    const struct head *head = &reader->head;
    const char *text = "";

    for (uint32_t i = 0; text != NULL && i < head->arg_count; i++)
        if ((text = take_text(reader)) != NULL && !cordon_config_arg(config, text, error))
            return false;
    for (uint32_t i = 0; text != NULL && i < head->environ_count; i++)
        if ((text = take_text(reader)) != NULL && !cordon_config_env(config, text, error))
            return false;
    return text != NULL;
}

static void close_all(const int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        close(fds[i]);
}

/* Takes the descriptor over. */
static bool take_volume(cordon_config_t *config, struct reader *reader, const struct row *row,
                        int fd, const char *guest)
{
    struct cn_mount *mount;
    struct cn_error cause;
    cordon_error_t error;
    const uint8_t *key = row->kind == KEPT && reader->keys_left > 0 ? reader->keys : NULL;

    if (key != NULL) {
        reader->keys += CN_KEY_SIZE;
        reader->keys_left--;
    }
    if (key == NULL && row->kind != EPHEMERAL) {
        close(fd);
        return false;
    }
    if (cn_mount_new(fd, key, &mount, &cause) != CN_OK)
        return false;
    mount->grant.size = row->size;
    mount->grant.inodes = row->inodes;
    return cn_api_config_mount(config, &mount->grant, mount->dir, guest, row->is_read_only,
                               &error);
}

/* Descriptors are taken over one by one; *used says how many are the config's. */
static bool take_grants(cordon_config_t *config, struct reader *reader, const uint8_t *rows,
                        const int *fds, uint32_t *used)
{
    const struct head *head = &reader->head;
    cordon_error_t error;
    struct row row;

    for (int i = 0; i < 3; i++)
        if (head->has_stdio & 1u << i)
            config->stdio[i] = config->taken_stdio[i] = fds[(*used)++];
    for (uint32_t i = 0; i < head->dir_count; i++) {
        const char *guest = take_text(reader);
        memcpy(&row, rows + i * sizeof row, sizeof row);
        if (guest == NULL)
            return false;
        int fd = fds[(*used)++];
        bool taken = row.kind == DIRECTORY
                         ? cn_api_config_dir(config, fd, guest, row.is_read_only, &error)
                         : take_volume(config, reader, &row, fd, guest);
        if (!taken)
            return false;
    }
    for (uint32_t i = 0; i < head->listener_count; i++)
        if (!cn_api_config_listener(config, fds[(*used)++], NULL, &error))
            return false;
    return !head->has_ledger || cn_api_config_ledger(config, fds[(*used)++], &error);
}

cordon_config_t *cn_parcel_read(const uint8_t *bytes, size_t size, const int *fds,
                                const uint8_t *keys, cordon_error_t *error)
{
    cordon_config_t *config = cordon_config_new(error);
    struct reader reader = {.at = bytes, .end = bytes + size, .keys = keys};
    const struct head *head = &reader.head;
    uint32_t used = 0, expected = cn_parcel_expects(bytes, size, &reader.keys_left);

    if (config == NULL || expected == UINT32_MAX) {
        close_all(fds, expected == UINT32_MAX ? 0 : expected);
        cordon_config_free(config);
        return NULL;
    }
    cn_api_fail(error, CORDON_INTERNAL, "the description of the VM is damaged");
    memcpy(&reader.head, take(&reader, sizeof *head), sizeof *head);
    memcpy(config->limit, head->limit, sizeof head->limit);
    cordon_config_test_mode(config, head->preempt_everywhere, head->move_on_grow,
                            head->collect_everywhere);
    const uint8_t *rows = take(&reader, head->dir_count * sizeof(struct row));
    if (rows != NULL && take_texts(config, &reader, error) &&
        take_grants(config, &reader, rows, fds, &used))
        return config;
    close_all(fds + used, expected - used);
    cordon_config_free(config);
    return NULL;
}

/* ------------------------------------------------------------------ descriptors */

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(FDS_AT_ONCE * sizeof(int))];
};

static bool send_some(int socket, const int *fds, uint32_t count)
{
    union control control = {0};
    char byte = 0;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof *fds)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
    ssize_t size;
    do
        size = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (size < 0 && errno == EINTR);
    return size == 1;
}

bool cn_parcel_send_fds(int socket, const int *fds, uint32_t count)
{
    for (uint32_t done = 0; done < count; done += FDS_AT_ONCE) {
        uint32_t some = count - done < FDS_AT_ONCE ? count - done : FDS_AT_ONCE;
        if (!send_some(socket, fds + done, some))
            return false;
    }
    return true;
}

/* How many came, at most `room`; 0 when none did. */
static uint32_t receive_some(int socket, int *fds, uint32_t room)
{
    union control control;
    char byte;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t size;

    do
        size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    struct cmsghdr *header = size == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header == NULL || header->cmsg_type != SCM_RIGHTS)
        return 0;
    uint32_t count = (uint32_t)((header->cmsg_len - CMSG_LEN(0)) / sizeof *fds);
    int received[FDS_AT_ONCE];
    memcpy(received, CMSG_DATA(header), count * sizeof *fds);
    if (count > room) {
        close_all(received + room, count - room);
        count = room;
    }
    memcpy(fds, received, count * sizeof *fds);
    return count;
}

bool cn_parcel_receive_fds(int socket, int *fds, uint32_t count)
{
    uint32_t done = 0, some;

    while (done < count) {
        some = receive_some(socket, fds + done, count - done);
        if (some == 0) {
            close_all(fds, done);
            errno = EPROTO;
            return false;
        }
        done += some;
    }
    return true;
}

/* ------------------------------------------------------------------ keys */

bool cn_parcel_send_keys(int socket, const uint8_t *keys, uint32_t count)
{
    size_t size = count * CN_KEY_SIZE, done = 0;

    while (done < size) {
        ssize_t some = send(socket, keys + done, size - done, MSG_NOSIGNAL);
        if (some < 0 && errno != EINTR)
            return false;
        done += some > 0 ? (size_t)some : 0;
    }
    return true;
}

bool cn_parcel_receive_keys(int socket, uint8_t *keys, uint32_t count)
{
    size_t size = count * CN_KEY_SIZE, done = 0;

    while (done < size) {
        ssize_t some = recv(socket, keys + done, size - done, 0);
        if (some == 0)
            errno = EPROTO;
        if (some == 0 || (some < 0 && errno != EINTR))
            return false;
        done += some > 0 ? (size_t)some : 0;
    }
    return true;
}
