/* The control socket: connections, lines, descriptors that come along, bounds on all of them.
 * Nothing here waits for a client. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/base64.h"
#include "cli/up_conn.h"
#include "cli/wiped.h"

#define LINE_MAX_BYTES (1u << 20)
#define OUT_ENOUGH 65536u /* while more than this is not yet taken, nothing more is answered */
#define CONNS_MAX 256
#define PATIENCE_MS 10000
#define LOG_PIECE 12288

static const char *const codes[] = {
#define STATE(...)
#define REQUEST(...)
#define REFUSAL(name, code, ...) code,
#include "spec/control.def"
#undef REFUSAL
#undef REQUEST
#undef STATE
};

/* ------------------------------------------------------------------ ends */

static void free_conn(struct up_conn *conn)
{
    for (int i = 0; i < conn->fd_count; i++)
        if (conn->fds[i] >= 0)
            close(conn->fds[i]);
    close(conn->socket);
    if (conn->in != NULL)
        explicit_bzero(conn->in, conn->in_room); /* arguments and variables of guests */
    free(conn->in);
    free(conn->out);
    free(conn);
}

static void handle_closed(uv_handle_t *handle)
{
    struct up_conn *conn = handle->data;

    if (--conn->handles == 0)
        free_conn(conn);
}

static void close_conn(struct up_conn *conn)
{
    struct up_host *host = conn->host;
    struct up_conn **place = &host->conns;

    if (conn->is_closed)
        return;
    conn->is_closed = true;
    while (*place != conn)
        place = &(*place)->next;
    *place = conn->next;
    host->conn_count--;
    for (struct up_vm *vm = host->vms; vm != NULL; vm = vm->next)
        if (vm->asked == conn)
            vm->asked = NULL;
    uv_close((uv_handle_t *)&conn->poll, handle_closed);
    uv_close((uv_handle_t *)&conn->timer, handle_closed);
}

/* ------------------------------------------------------------------ sending */

static bool reserve(char **bytes, size_t *room, size_t wanted)
{
    size_t more = *room ? *room : 4096;

    if (wanted <= *room)
        return true;
    while (more < wanted)
        more *= 2;
    char *grown = malloc(more);
    if (grown == NULL)
        return false;
    if (*bytes != NULL) {
        memcpy(grown, *bytes, *room);
        explicit_bzero(*bytes, *room); /* what moves leaves nothing behind */
        free(*bytes);
    }
    *bytes = grown;
    *room = more;
    return true;
}

static void put(struct up_conn *conn, const char *text, size_t size)
{
    if (conn->out_at == conn->out_size)
        conn->out_at = conn->out_size = 0;
    if (!reserve(&conn->out, &conn->out_room, conn->out_size + size)) {
        conn->is_lost = true;
        return;
    }
    memcpy(conn->out + conn->out_size, text, size);
    conn->out_size += size;
}

void up_conn_send(struct up_conn *conn, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (text == NULL)
        conn->is_lost = true;
    else {
        put(conn, text, strlen(text));
        put(conn, "\n", 1);
    }
    cli_json_free(text);
}

void up_conn_answer(struct up_conn *conn, json_t *answer)
{
    up_conn_send(conn, json_pack("{s:I, s:o}", "id", conn->id, "ok", answer));
}

void up_conn_refuse(struct up_conn *conn, enum up_refusal why, json_t *more, const char *format,
                    ...)
{
    json_t *error = more ? more : json_object();
    char text[700];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_object_set_new(error, "code", json_string(codes[why]));
    json_t *message = json_string(text);
    json_object_set_new(error, "message", message ? message : json_string(codes[why]));
    up_conn_send(conn, json_pack("{s:I, s:o}", "id", conn->id, "error", error));
}

/* What the socket takes now. */
static void flush(struct up_conn *conn)
{
    while (conn->out_at < conn->out_size) {
        ssize_t count = send(conn->socket, conn->out + conn->out_at,
                             conn->out_size - conn->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno != EAGAIN)
            conn->is_lost = true;
        if (count <= 0)
            return;
        conn->out_at += (size_t)count;
        uv_timer_again(&conn->timer);
    }
    if (conn->out_room > OUT_ENOUGH) {
        free(conn->out);
        conn->out = NULL;
        conn->out_room = 0;
    }
    conn->out_at = conn->out_size = 0;
}

static size_t unsent(const struct up_conn *conn)
{
    return conn->out_size - conn->out_at;
}

/* ------------------------------------------------------------------ logs */

void up_conn_send_log(struct up_conn *conn, struct up_vm *vm, uint64_t from, uint64_t until)
{
    conn->log = vm;
    conn->log_at = from;
    conn->log_until = until;
}

/* A piece of the log as a line of base64. */
static void put_log(struct up_conn *conn, size_t room)
{
    const struct up_log *log = &conn->log->log;
    uint8_t bytes[LOG_PIECE];
    char text[CLI_BASE64_SIZE(LOG_PIECE)];
    uint64_t lost = conn->log_at < log->begin ? log->begin - conn->log_at : 0;
    size_t size = up_log_read(log, &conn->log_at, bytes, room);

    cli_base64_write(bytes, size, text);
    json_t *line = json_pack("{s:I, s:s}", "id", conn->id, "log", text);
    if (lost > 0)
        json_object_set_new(line, "lost", json_integer((json_int_t)lost));
    up_conn_send(conn, line);
}

static void send_log(struct up_conn *conn)
{
    while (conn->log != NULL && unsent(conn) < OUT_ENOUGH && !conn->is_lost) {
        const struct up_log *log = &conn->log->log;
        uint64_t until = conn->log_until < log->end ? conn->log_until : log->end;
        uint64_t left = conn->log_at < until ? until - conn->log_at : 0;
        if (left > 0) {
            put_log(conn, left < LOG_PIECE ? (size_t)left : LOG_PIECE);
            continue;
        }
        if (conn->log_until == UINT64_MAX && up_vm_is_live(conn->log) && !conn->is_eof)
            return; /* for up_serve_log to come */
        conn->log = NULL;
        up_conn_answer(conn, json_object());
    }
    conn->is_choked |= conn->log != NULL && !conn->is_lost;
}

/* ------------------------------------------------------------------ lines */

static void close_unclaimed(struct up_conn *conn)
{
    for (int i = 0; i < conn->fd_count; i++)
        if (conn->fds[i] >= 0)
            close(conn->fds[i]);
    conn->fd_count = 0;
}

/* Handles complete lines while their answers are taken. */
static void handle_lines(struct up_conn *conn)
{
    size_t at = 0;

    while (!conn->is_ending && !conn->is_waiting && conn->log == NULL && !conn->is_lost &&
           !conn->is_closed) {
        conn->is_choked = unsent(conn) >= OUT_ENOUGH;
        if (conn->is_choked)
            break;
        size_t from = at > conn->in_seen ? at : conn->in_seen;
        char *end = from < conn->in_size ? memchr(conn->in + from, '\n', conn->in_size - from)
                                         : NULL;
        conn->in_seen = conn->in_size;
        if (end == NULL)
            break;
        conn->id = 0;
        up_answer_line(conn, conn->in + at, (size_t)(end - conn->in) - at);
        close_unclaimed(conn);
        at = (size_t)(end - conn->in) + 1;
        conn->in_seen = at;
        uv_timer_again(&conn->timer);
        flush(conn);
    }
    if (at > 0) {
        memmove(conn->in, conn->in + at, conn->in_size - at);
        explicit_bzero(conn->in + conn->in_size - at, at);
        conn->in_size -= at;
        conn->in_seen = conn->in_seen > at ? conn->in_seen - at : 0;
    }
    if (conn->in_size >= LINE_MAX_BYTES && conn->in_seen == conn->in_size && !conn->is_ending) {
        conn->id = 0;
        up_conn_refuse(conn, UP_REFUSED_BAD_LINE, NULL, "a line of more than 1 MiB");
        conn->is_ending = true;
    }
}

static void update(struct up_conn *conn);

/* As long as something is unfinished, the client's or ours, the clock runs. */
static void set_timer(struct up_conn *conn)
{
    bool is_halfway = conn->in_size > 0 && !conn->is_waiting && conn->log == NULL;

    bool is_slow = unsent(conn) > 0 && conn->log == NULL;

    if (!conn->is_greeted || is_halfway || is_slow) {
        if (!uv_is_active((uv_handle_t *)&conn->timer))
            uv_timer_again(&conn->timer);
    } else
        uv_timer_stop(&conn->timer);
}

static void out_of_patience(uv_timer_t *timer)
{
    struct up_conn *conn = timer->data;

    conn->id = 0;
    if (unsent(conn) == 0)
        up_conn_refuse(conn, UP_REFUSED_TIMEOUT, NULL, "the line was not completed in 10 s");
    flush(conn);
    close_conn(conn);
}

static void take_fds(struct up_conn *conn, struct msghdr *message)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
            if (conn->fd_count < UP_FDS_MAX)
                conn->fds[conn->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

static void receive(struct up_conn *conn)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(253 * sizeof(int))];
    } control;

    while (conn->in_size < LINE_MAX_BYTES && !conn->is_eof) {
        size_t room = LINE_MAX_BYTES - conn->in_size;
        if (room > 65536)
            room = 65536;
        if (!reserve(&conn->in, &conn->in_room, conn->in_size + room)) {
            conn->is_lost = true;
            return;
        }
        struct iovec part = {conn->in + conn->in_size, room};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                 .msg_controllen = sizeof control};
        ssize_t count = recvmsg(conn->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno != EAGAIN)
            conn->is_lost = true;
        if (count < 0)
            return;
        take_fds(conn, &message);
        conn->is_eof = count == 0;
        conn->in_size += (size_t)count;
        if (message.msg_controllen > 0)
            return;
    }
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct up_conn *conn = poll->data;

    if (status < 0)
        conn->is_lost = true;
    if (events & UV_READABLE)
        receive(conn);
    update(conn);
}

/* Does what can be done now, and decides what to wait for. */
static void update(struct up_conn *conn)
{
    if (conn->is_closed)
        return;
    conn->is_choked = false;
    flush(conn);
    send_log(conn);
    handle_lines(conn);
    send_log(conn);
    flush(conn);
    if (conn->is_closed) /* a request has ended the host */
        return;
    bool is_idle = !conn->is_waiting && conn->log == NULL && unsent(conn) == 0;
    if (conn->is_lost || (is_idle && (conn->is_ending || conn->is_eof))) {
        close_conn(conn);
        return;
    }
    int events = unsent(conn) > 0 || conn->is_choked ? UV_WRITABLE : 0;
    if (!conn->is_eof && !conn->is_ending && conn->in_size < LINE_MAX_BYTES)
        events |= UV_READABLE;
    set_timer(conn);
    if (events != 0)
        uv_poll_start(&conn->poll, events, on_event);
    else
        uv_poll_stop(&conn->poll);
}

/* ------------------------------------------------------------------ from the VMs */

void up_serve_log(struct up_vm *vm)
{
    for (struct up_conn *conn = vm->host->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->log == vm)
            update(conn);
    }
}

void up_serve_forget(struct up_vm *vm)
{
    for (struct up_conn *conn = vm->host->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->log != vm)
            continue;
        conn->log = NULL;
        up_conn_answer(conn, json_object());
        update(conn);
    }
    up_serve_started(vm, "the host does not know it any more");
}

void up_serve_started(struct up_vm *vm, const char *failure)
{
    struct up_conn *conn = vm->asked;

    if (conn == NULL)
        return;
    vm->asked = NULL;
    conn->is_waiting = false;
    if (failure == NULL)
        up_conn_answer(conn, json_pack("{s:s}", "vm", vm->spec.name));
    else
        up_conn_refuse(conn, UP_REFUSED_FAILED,
                       json_pack("{s:s, s:i}", "vm", vm->spec.name, "exit_code",
                                 vm->end.exit_code), "%s", failure);
    update(conn);
}

/* ------------------------------------------------------------------ accepting */

static bool is_welcome(struct up_conn *conn)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(conn->socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        up_conn_refuse(conn, UP_REFUSED_DENIED, NULL,
                       "this host answers its own user and root alone");
        return false;
    }
    if (conn->host->conn_count > CONNS_MAX) {
        up_conn_refuse(conn, UP_REFUSED_BUSY, NULL, "more than %d connections", CONNS_MAX);
        return false;
    }
    return true;
}

static void add_conn(struct up_host *host, int socket)
{
    struct up_conn *conn = calloc(1, sizeof *conn);

    if (conn == NULL || uv_poll_init(host->loop, &conn->poll, socket) != 0) {
        close(socket);
        free(conn);
        return;
    }
    conn->host = host;
    conn->socket = socket;
    conn->handles = 2;
    uv_timer_init(host->loop, &conn->timer);
    uv_timer_start(&conn->timer, out_of_patience, PATIENCE_MS, PATIENCE_MS);
    conn->poll.data = conn->timer.data = conn;
    conn->next = host->conns;
    host->conns = conn;
    host->conn_count++;
    conn->is_ending = !is_welcome(conn);
    update(conn);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct up_host *host = poll->data;

    (void)events;
    for (int i = 0; status == 0 && i < 16; i++) {
        int socket = accept4(host->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        /* What the kernel has none left of it will not have at once. */
        if (socket < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            uv_poll_stop(&host->accept); /* until up_serve_again */
        if (socket < 0)
            return;
        add_conn(host, socket);
    }
}

bool up_serve_start(struct up_host *host)
{
    if (uv_poll_init(host->loop, &host->accept, host->listener) != 0)
        return false;
    host->accept.data = host;
    return uv_poll_start(&host->accept, UV_READABLE, on_connection) == 0;
}

void up_serve_again(struct up_host *host)
{
    if (!uv_is_closing((uv_handle_t *)&host->accept))
        uv_poll_start(&host->accept, UV_READABLE, on_connection);
}

void up_serve_stop(struct up_host *host)
{
    while (host->conns != NULL) {
        flush(host->conns);
        close_conn(host->conns);
    }
    uv_close((uv_handle_t *)&host->accept, NULL);
}
