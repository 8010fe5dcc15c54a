#include "talk.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 8

void talk_end(struct talk *talk)
{
    if (talk->fd >= 0)
        close(talk->fd);
    talk->fd = -1;
}

/* A line, without its end. */
static bool hear(struct talk *talk)
{
    struct pollfd entry = {.fd = talk->fd, .events = POLLIN};

    for (talk->size = 0; talk->size + 1 < TALK_ROOM; talk->size++) {
        if (poll(&entry, 1, talk->patience_ms) != 1)
            return false;
        if (recv(talk->fd, talk->in + talk->size, 1, 0) != 1) {
            talk_end(talk);
            return false;
        }
        if (talk->in[talk->size] == '\n')
            break;
    }
    talk->in[talk->size] = '\0';
    return true;
}

static bool say(struct talk *talk, const char *line, const int *fds, uint32_t fd_count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {0};
    char text[1024];
    struct iovec bytes = {text, (size_t)snprintf(text, sizeof text, "%s\n", line)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

    if (fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof *fds);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(fd_count * sizeof *fds);
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof *fds);
    }
    if (sendmsg(talk->fd, &message, MSG_NOSIGNAL) == (ssize_t)bytes.iov_len)
        return true;
    talk_end(talk);
    return false;
}

bool talk_ask(struct talk *talk, const char *line, const int *fds, uint32_t fd_count)
{
    if (talk->fd < 0 || !say(talk, line, fds, fd_count))
        return false;
    do {
        if (!hear(talk))
            return false;
    } while (strstr(talk->in, "\"log\":") != NULL);
    return true;
}

bool talk_begin(struct talk *talk, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (talk->fd >= 0 && connect(talk->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        talk_ask(talk, "{\"cordon\": 1}", NULL, 0))
        return true;
    talk_end(talk);
    return false;
}

bool talk_used(const struct talk *talk, const char *quota, uint64_t *used)
{
    json_t *answer = json_loads(talk->in, 0, NULL);
    json_t *vms = json_object_get(json_object_get(answer, "ok"), "vms");
    json_t *quotas = json_object_get(json_array_get(vms, 0), "quotas");
    json_t *number = json_object_get(json_object_get(quotas, quota), "used");

    *used = (uint64_t)json_integer_value(number);
    bool is_there = json_is_integer(number);
    json_decref(answer);
    return is_there;
}
