#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/wiped.h"

#define LINE_MAX_BYTES ((size_t)256 << 20)
#define PATIENCE_MS 30000

static bool fail(struct cli_client *client, const char *what)
{
    cli_complain("%s: %s", client->path, what);
    client->code = 125;
    return false;
}

/* ------------------------------------------------------------------ lines */

static bool send_all(struct cli_client *client, const char *text, size_t size, const int *fds,
                     int count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(128 * sizeof(int))];
    } control = {.bytes = {0}};
    size_t done = 0;

    while (done < size) {
        struct iovec part = {(char *)(uintptr_t)text + done, size - done};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (done == 0 && count > 0) {
            message.msg_control = &control;
            message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
            struct cmsghdr *head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
            memcpy(CMSG_DATA(head), fds, (size_t)count * sizeof(int));
        }
        ssize_t sent = sendmsg(client->socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        done += sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

bool cli_client_send(struct cli_client *client, json_t *request, const int *fds, int count)
{
    json_object_set_new(request, "id", json_integer(++client->id));
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (text == NULL)
        return fail(client, "the request cannot be written down: its texts must be UTF-8");
    size_t size = strlen(text);
    text[size] = '\n'; /* instead of the end: it is sent by its size */
    bool sent = send_all(client, text, size + 1, fds, count);
    cli_json_free(text);
    return sent || fail(client, strerror(errno));
}

/* More bytes; 0 at the end. */
static ssize_t receive(struct cli_client *client, bool has_patience)
{
    struct pollfd entry = {.fd = client->socket, .events = POLLIN};
    ssize_t count;

    if (client->in_room - client->in_size < 65536) {
        size_t room = client->in_room ? client->in_room * 2 : 1u << 17;
        char *in = room <= LINE_MAX_BYTES ? realloc(client->in, room) : NULL;
        if (in == NULL) {
            errno = ENOMEM;
            return -1;
        }
        client->in = in;
        client->in_room = room;
    }
    do {
        if (poll(&entry, 1, has_patience ? PATIENCE_MS : -1) == 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        count = read(client->socket, client->in + client->in_size,
                     client->in_room - client->in_size);
    } while (count < 0 && errno == EINTR);
    if (count > 0)
        client->in_size += (size_t)count;
    return count;
}

json_t *cli_client_line(struct cli_client *client, bool has_patience)
{
    json_error_t error;

    if (client->in_at > 0) {
        memmove(client->in, client->in + client->in_at, client->in_size - client->in_at);
        client->in_size -= client->in_at;
        client->in_at = 0;
    }
    for (size_t seen = 0;;) {
        const char *end = client->in_size > seen
                              ? memchr(client->in + seen, '\n', client->in_size - seen) : NULL;
        if (end != NULL) {
            size_t size = (size_t)(end - client->in);
            client->in_at = size + 1;
            json_t *line = json_loadb(client->in, size, 0, &error);
            if (!json_is_object(line))
                fail(client, "an answer that is no JSON object");
            return json_is_object(line) ? line : (json_decref(line), NULL);
        }
        seen = client->in_size;
        ssize_t count = receive(client, has_patience);
        if (count <= 0) {
            bool is_gone = count == 0 || errno == ECONNRESET;
            fail(client, is_gone ? "the host has ended the connection" : strerror(errno));
            return NULL;
        }
    }
}

json_t *cli_client_ok(struct cli_client *client, json_t *line)
{
    const json_t *error = json_object_get(line, "error");
    const json_t *code = json_object_get(error, "exit_code");
    json_t *ok = json_incref(json_object_get(line, "ok"));

    if (error != NULL) {
        const char *message = json_string_value(json_object_get(error, "message"));
        cli_complain("%s", message ? message : "refused");
        client->code = json_is_integer(code) ? (int)json_integer_value(code) : 1;
    } else if (ok == NULL)
        fail(client, "an answer without \"ok\" or \"error\"");
    json_decref(line);
    return ok;
}

json_t *cli_client_ask(struct cli_client *client, json_t *request)
{
    if (!cli_client_send(client, request, NULL, 0))
        return NULL;
    json_t *line = cli_client_line(client, true);
    return line != NULL ? cli_client_ok(client, line) : NULL;
}

/* ------------------------------------------------------------------ opening */

static bool greet(struct cli_client *client)
{
    static const char hello[] = "{\"cordon\": 1}\n";
    const json_t *version;

    if (!send_all(client, hello, sizeof hello - 1, NULL, 0) && errno != EPIPE)
        return fail(client, strerror(errno));
    json_t *line = cli_client_line(client, true);
    if (line == NULL)
        return false;
    version = json_object_get(line, "cordon");
    if (json_is_integer(version) && json_integer_value(version) == 1) {
        json_decref(line);
        return true;
    }
    if (json_object_get(line, "error") == NULL)
        fail(client, "no host of Cordon");
    else
        json_decref(cli_client_ok(client, json_incref(line)));
    json_decref(line);
    client->code = 125;
    return false;
}

bool cli_client_open(struct cli_client *client, const char *host, bool is_quiet)
{
    *client = (struct cli_client){.socket = -1, .code = 125};
    if (!cli_place(client->path, host, false))
        return false;
    client->socket = cli_place_connect(client->path);
    if (client->socket >= 0)
        return greet(client);
    bool is_nobody = errno == ENOENT || errno == ECONNREFUSED;
    if (!is_nobody)
        return fail(client, strerror(errno));
    if (!is_quiet)
        cli_complain("no host runs at %s (cordon up FILE starts one)", client->path);
    client->code = is_quiet ? 0 : 125;
    return false;
}

void cli_client_close(struct cli_client *client)
{
    if (client->socket >= 0)
        close(client->socket);
    free(client->in);
    *client = (struct cli_client){.socket = -1};
}
