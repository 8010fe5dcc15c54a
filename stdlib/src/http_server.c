/* The server's loop: connections as small state machines on one poll. */
#include <cordon/http.h>
#include <cordon/quota.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUT_SIZE 16384u
#define ACCEPTS_PER_TURN 64
/* How long a connection must have been silent to be closed for the sake of another: whoever
 * just answered may well ask again, and would find nobody. */
#define IDLE_ENOUGH_MS 1000

struct connection {
    int fd;
    bool closes;           /* after what is being sent */
    bool has_head;         /* the request's head is parsed; its body is still arriving */
    size_t head_size;
    int64_t since_ms;      /* of the last byte, or of the request's first one */
    size_t in_used;
    char *in;              /* room for a head and a body */
    size_t in_room;
    size_t out_at, out_used;
    char *out;
    char *body;            /* what a handler answered with beyond `out` */
    size_t body_at, body_size;
    int file;              /* a file being sent, or -1 */
    uint64_t file_left;
    struct http_request request;
};

struct http_response {
    struct connection *connection;
    bool is_answered;
};

struct server {
    int listener;
    const struct http_limits *limits;
    http_handler handler;
    void *user;
    struct connection **connections;
    struct pollfd *polled;
    struct connection *spare; /* made before its client is accepted, who could not be sent away */
    int count;
    bool is_full;          /* no descriptor for another connection until one closes */
    bool is_crowded;       /* clients wait for room: every answer ends its connection */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ answers */

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"}, {204, "No Content"}, {206, "Partial Content"},
        {301, "Moved Permanently"}, {302, "Found"}, {304, "Not Modified"},
        {400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {408, "Request Timeout"}, {413, "Content Too Large"},
        {414, "URI Too Long"}, {417, "Expectation Failed"}, {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
        {501, "Not Implemented"}, {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

static bool put_head(struct http_response *response, int status, const char *type, uint64_t size)
{
    struct connection *c = response->connection;

    if (response->is_answered)
        return false;
    response->is_answered = true;
    int written = snprintf(c->out + c->out_used, OUT_SIZE - c->out_used,
                           "HTTP/1.1 %d %s\r\nContent-Type: %.200s\r\nContent-Length: %llu\r\n"
                           "%s\r\n",
                           status, http_reason(status), type, (unsigned long long)size,
                           c->closes ? "Connection: close\r\n" : "");
    c->out_used += (size_t)written;
    return true;
}

static bool is_head(const struct connection *c)
{
    return c->request.method != NULL && strcmp(c->request.method, "HEAD") == 0;
}

void http_text(struct http_response *response, int status, const char *type, const void *body,
               size_t size)
{
    struct connection *c = response->connection;

    if (!put_head(response, status, type, size) || is_head(c) || size == 0)
        return;
    if (size <= OUT_SIZE - c->out_used) {
        memcpy(c->out + c->out_used, body, size);
        c->out_used += size;
        return;
    }
    c->body = malloc(size);
    if (c->body == NULL) {
        c->closes = true; /* the head has promised what cannot be kept */
        return;
    }
    memcpy(c->body, body, size);
    c->body_at = 0;
    c->body_size = size;
}

void http_file(struct http_response *response, int status, const char *type, int fd,
               uint64_t size)
{
    struct connection *c = response->connection;

    if (!put_head(response, status, type, size) || is_head(c) || size == 0) {
        close(fd);
        return;
    }
    c->file = fd;
    c->file_left = size;
}

static void answer_error(struct connection *c, int status)
{
    struct http_response response = {c, false};
    char text[80];
    int size = snprintf(text, sizeof text, "%d %s\n", status, http_reason(status));

    c->closes = true;
    http_text(&response, status, "text/plain", text, (size_t)size);
}

/* ------------------------------------------------------------------ connections */

static struct connection *new_connection(const struct http_limits *limits)
{
    struct connection *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->in_room = limits->head;
    c->in = malloc(c->in_room);
    c->out = malloc(OUT_SIZE);
    if (c->in == NULL || c->out == NULL) {
        free(c->in);
        free(c->out);
        free(c);
        return NULL;
    }
    c->fd = -1;
    c->file = -1;
    return c;
}

static void free_connection(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    if (c->file >= 0)
        close(c->file);
    free(c->body);
    free(c->in);
    free(c->out);
    free(c);
}

static void drop_connection(struct server *server, int index)
{
    free_connection(server->connections[index]);
    server->connections[index] = server->connections[--server->count];
    server->is_full = false;
}

static bool is_sending(const struct connection *c)
{
    return c->out_at < c->out_used || c->body != NULL || c->file >= 0;
}

static bool is_idle(const struct connection *c)
{
    return !is_sending(c) && c->in_used == 0;
}

/* ------------------------------------------------------------------ sending */

/* Fills the empty buffer from what is still to be sent; false at the end or a broken file. */
static bool refill(struct connection *c)
{
    c->out_at = c->out_used = 0;
    if (c->body != NULL) {
        size_t left = c->body_size - c->body_at;
        size_t size = left < OUT_SIZE ? left : OUT_SIZE;
        memcpy(c->out, c->body + c->body_at, size);
        c->body_at += size;
        c->out_used = size;
        if (c->body_at == c->body_size) {
            free(c->body);
            c->body = NULL;
        }
        return true;
    }
    if (c->file < 0)
        return false;
    size_t wanted = c->file_left < OUT_SIZE ? (size_t)c->file_left : OUT_SIZE;
    ssize_t got = read(c->file, c->out, wanted);
    if (got > 0) {
        c->out_used = (size_t)got;
        c->file_left -= (uint64_t)got;
    } else {
        /* Shorter than when it was opened: the client notices by the closed connection. */
        c->closes = true;
        c->file_left = 0;
    }
    if (c->file_left == 0) {
        close(c->file);
        c->file = -1;
    }
    return c->out_used > 0;
}

/* Sends what the client takes now; false when the connection is to be closed. */
static bool send_some(struct connection *c)
{
    while (is_sending(c)) {
        if (c->out_at == c->out_used && !refill(c))
            break;
        ssize_t sent = send(c->fd, c->out + c->out_at, c->out_used - c->out_at, 0);
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        c->out_at += (size_t)sent;
        c->since_ms = now_ms();
    }
    c->out_at = c->out_used = 0;
    return !c->closes;
}

/* ------------------------------------------------------------------ receiving */

/* Makes room for the body that the head announces. */
static bool make_room(struct connection *c, size_t wanted)
{
    if (wanted <= c->in_room)
        return true;
    char *more = malloc(wanted);
    if (more == NULL)
        return false;
    memcpy(more, c->in, c->in_used);
    /* The request points into the old buffer. */
    ptrdiff_t moved = more - c->in;
    c->request.method += moved;
    c->request.target += moved;
    if (c->request.query[0] != '\0')
        c->request.query += moved;
    for (int i = 0; i < c->request.header_count; i++) {
        c->request.headers[i].name += moved;
        c->request.headers[i].value += moved;
    }
    free(c->in);
    c->in = more;
    c->in_room = wanted;
    return true;
}

/* Parses the head when it is complete; 0 to go on, 1 when more must arrive, else a status. */
static int take_head(struct server *server, struct connection *c)
{
    /* One empty line before a request is forgiven (RFC 9112, 2.2). */
    if (c->in_used >= 2 && c->in[0] == '\r' && c->in[1] == '\n') {
        memmove(c->in, c->in + 2, c->in_used - 2);
        c->in_used -= 2;
    }
    long size = http_head_size(c->in, c->in_used);
    if (size < 0)
        return 400;
    if (size == 0)
        return c->in_used >= server->limits->head ? 431 : 1;
    if ((size_t)size > server->limits->head)
        return 431;
    int status = http_parse(c->in, (size_t)size, server->limits, &c->request);
    if (status != 0)
        return status;
    c->has_head = true;
    c->head_size = (size_t)size;
    return make_room(c, c->head_size + c->request.content_length) ? 0 : 503;
}

static void handle(struct server *server, struct connection *c)
{
    struct http_response response = {c, false};
    size_t used = c->head_size + c->request.content_length;

    c->request.body = c->in + c->head_size;
    c->closes = !c->request.keep_alive || server->is_crowded;
    server->handler(server->user, &c->request, &response);
    if (!response.is_answered)
        http_text(&response, 500, "text/plain", "no answer\n", 10);
    memmove(c->in, c->in + used, c->in_used - used);
    c->in_used -= used;
    c->has_head = false;
    c->request.method = NULL;
    c->since_ms = now_ms();
}

/* Answers every request that has arrived whole, as long as the client takes the answers. False
 * when the connection is to be closed. */
static bool work(struct server *server, struct connection *c)
{
    for (;;) {
        if (is_sending(c) || c->closes)
            return send_some(c);
        if (!c->has_head) {
            int status = c->in_used > 0 ? take_head(server, c) : 1;
            if (status == 1)
                return true;
            if (status != 0) {
                c->request.method = NULL;
                answer_error(c, status);
                continue;
            }
        }
        if (c->in_used < c->head_size + c->request.content_length)
            return true;
        handle(server, c);
        if (!send_some(c))
            return false;
        if (is_sending(c))
            return true;
    }
}

static bool receive(struct server *server, struct connection *c)
{
    if (c->in_used < c->in_room) {
        ssize_t got = recv(c->fd, c->in + c->in_used, c->in_room - c->in_used, 0);
        if (got == 0)
            return false;
        if (got < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        if (c->in_used == 0)
            c->since_ms = now_ms();
        c->in_used += (size_t)got;
    }
    return work(server, c);
}

/* ------------------------------------------------------------------ the loop */

/* Closes the connection that has been idle longest; false when none has been so for long. */
static bool close_an_idle_one(struct server *server)
{
    int64_t since = now_ms() - IDLE_ENOUGH_MS;
    int oldest = -1;

    for (int i = 0; i < server->count; i++) {
        const struct connection *c = server->connections[i];
        if (is_idle(c) && c->since_ms <= since) {
            since = c->since_ms;
            oldest = i;
        }
    }
    if (oldest < 0)
        return false;
    drop_connection(server, oldest);
    return true;
}

/* Whether another connection would leave descriptors for the files that answers need. */
static bool has_descriptors(void)
{
    struct cordon_quota quota;

    if (cordon_quota_get(CORDON_QUOTA_FDS, &quota) != 0 || quota.limit == CORDON_UNLIMITED)
        return true;
    return quota.used < quota.limit - quota.limit / 8;
}

/* No room for who waits: until there is, every answer ends its connection, so that all get
 * their turn. -1 when there is no connection whose end could make room. */
static int wait_for_room(struct server *server)
{
    server->is_crowded = true;
    server->is_full = true;
    return server->count > 0 ? 0 : -1;
}

static bool has_room(struct server *server)
{
    if (server->spare == NULL)
        server->spare = new_connection(server->limits);
    return server->spare != NULL && server->count < server->limits->connections &&
           (server->count == 0 || has_descriptors());
}

static void add_connection(struct server *server, int fd)
{
    server->spare->fd = fd;
    server->spare->since_ms = now_ms();
    server->connections[server->count++] = server->spare;
    server->spare = NULL;
}

/* 0, or -1 when the listener is of no use any more. */
static int accept_some(struct server *server)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (!has_room(server)) {
            if (!close_an_idle_one(server))
                return wait_for_room(server);
            continue;
        }
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
            if (!close_an_idle_one(server))
                return wait_for_room(server);
        } else if (fd < 0) {
            server->is_crowded = server->is_crowded && errno != EAGAIN;
            return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : -1;
        } else {
            add_connection(server, fd);
        }
    }
    return 0;
}

static int time_limit(const struct server *server, const struct connection *c)
{
    if (c->in_used > 0 && !is_sending(c))
        return server->limits->request_ms;
    if (server->is_full && is_idle(c) && server->limits->idle_ms > IDLE_ENOUGH_MS)
        return IDLE_ENOUGH_MS;
    return server->limits->idle_ms;
}

/* Closes what has been silent for too long; returns how long until the next one might be. */
static int close_silent_ones(struct server *server)
{
    int64_t now = now_ms();
    int64_t next = 60000;

    for (int i = server->count - 1; i >= 0; i--) {
        struct connection *c = server->connections[i];
        int64_t left = c->since_ms + time_limit(server, c) - now;
        if (left <= 0)
            drop_connection(server, i);
        else if (left < next)
            next = left;
    }
    return (int)next;
}

/* The listener first (unless there is no room), then every connection. */
static int fill_polled(struct server *server)
{
    int polled = 0;

    if (!server->is_full)
        server->polled[polled++] = (struct pollfd){server->listener, POLLIN, 0};
    for (int i = 0; i < server->count; i++) {
        struct connection *c = server->connections[i];
        server->polled[polled++] =
            (struct pollfd){c->fd, is_sending(c) ? POLLOUT : POLLIN, 0};
    }
    return polled;
}

static int turn(struct server *server)
{
    int timeout = close_silent_ones(server);
    int polled = fill_polled(server);
    int first = polled - server->count; /* 1 when the listener is among them */

    if (poll(server->polled, (nfds_t)polled, timeout) < 0)
        return errno == EINTR ? 0 : -1;
    /* From the end, because dropping one moves the last into its place. */
    for (int i = server->count - 1; i >= 0; i--) {
        short events = server->polled[first + i].revents;
        struct connection *c = server->connections[i];
        if (events == 0)
            continue;
        bool keep = (events & POLLOUT) ? work(server, c) : receive(server, c);
        if (!keep)
            drop_connection(server, i);
    }
    return first == 1 && server->polled[0].revents != 0 ? accept_some(server) : 0;
}

int http_serve(int listener, const struct http_limits *limits, http_handler handler, void *user)
{
    struct server server = {.listener = listener, .handler = handler, .user = user};

    server.limits = limits ? limits : &http_limits_default;
    server.connections = calloc((size_t)server.limits->connections, sizeof(struct connection *));
    server.polled = calloc((size_t)server.limits->connections + 1, sizeof(struct pollfd));
    int result = server.connections != NULL && server.polled != NULL ? 0 : -1;
    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
    while (result == 0)
        result = turn(&server);
    int why = errno;
    while (server.count > 0)
        drop_connection(&server, 0);
    if (server.spare != NULL)
        free_connection(server.spare);
    free(server.connections);
    free(server.polled);
    errno = why;
    return -1;
}
