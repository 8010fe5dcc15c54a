/* The metrics listener: GET /metrics over HTTP/1.0, one answer per connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/up.h"

#define CLIENTS_MAX 32
#define HEAD_MAX 4096
#define PATIENCE_MS 10000

struct client {
    struct client *next;
    struct up_metrics *metrics;
    uv_tcp_t stream;
    uv_timer_t timer;
    uv_write_t write;
    int handles;
    char head[HEAD_MAX];
    size_t size;
    char *answer;
    bool is_answered;
};

struct up_metrics {
    struct up_host *host;
    uv_tcp_t listener;
    struct client *clients;
    int count; /* of open clients, and the listener */
};

static void release(struct up_metrics *metrics)
{
    if (--metrics->count == 0)
        free(metrics);
}

static void client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct up_metrics *metrics = client->metrics;
    struct client **place = &metrics->clients;

    if (--client->handles > 0)
        return;
    while (*place != client)
        place = &(*place)->next;
    *place = client->next;
    free(client->answer);
    free(client);
    release(metrics);
}

static void close_client(struct client *client)
{
    if (uv_is_closing((uv_handle_t *)&client->timer))
        return;
    uv_close((uv_handle_t *)&client->timer, client_closed);
    uv_close((uv_handle_t *)&client->stream, client_closed);
}

static void out_of_patience(uv_timer_t *timer)
{
    close_client(timer->data);
}

static void written(uv_write_t *write, int status)
{
    (void)status;
    close_client(write->data);
}

/* The head is complete. */
static void answer(struct client *client)
{
    static const char text_type[] = "text/plain; version=0.0.4; charset=utf-8";
    bool is_get = strncmp(client->head, "GET ", 4) == 0;
    bool is_known = is_get && strncmp(client->head + 4, "/metrics", 8) == 0 &&
                    strchr(" ?", client->head[12]) != NULL;
    const char *status = !is_get ? "405 Method Not Allowed" : is_known ? "200 OK"
                                                                        : "404 Not Found";
    char *body = NULL;
    size_t size = 0;

    client->is_answered = true;
    if (is_known)
        body = up_figures_metrics(client->metrics->host, &size);
    size_t room = size + 256;
    client->answer = malloc(room);
    if (client->answer == NULL || (is_known && body == NULL)) {
        free(body);
        close_client(client);
        return;
    }
    int head = snprintf(client->answer, room,
                        "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "Connection: close\r\n\r\n", status, text_type, size);
    if (size > 0)
        memcpy(client->answer + head, body, size);
    free(body);
    uv_buf_t buffer = uv_buf_init(client->answer, (unsigned)((size_t)head + size));
    client->write.data = client;
    if (uv_write(&client->write, (uv_stream_t *)&client->stream, &buffer, 1, written) != 0)
        close_client(client);
}

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct client *client = handle->data;
    static char ignored[4096];

    (void)wanted;
    if (client->is_answered)
        *buffer = uv_buf_init(ignored, sizeof ignored);
    else
        *buffer = uv_buf_init(client->head + client->size,
                              (unsigned)(sizeof client->head - 1 - client->size));
}

static void take(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct client *client = stream->data;

    (void)buffer;
    if (size < 0 && !client->is_answered)
        close_client(client);
    else if (size < 0)
        uv_read_stop(stream); /* it has said all that it had to say, and waits for the answer */
    if (size <= 0 || client->is_answered)
        return;
    client->size += (size_t)size;
    client->head[client->size] = '\0';
    if (strstr(client->head, "\r\n\r\n") != NULL || strstr(client->head, "\n\n") != NULL)
        answer(client);
    else if (client->size == sizeof client->head - 1)
        close_client(client);
}

static void connected(uv_stream_t *listener, int status)
{
    struct up_metrics *metrics = listener->data;
    struct client *client = status == 0 ? calloc(1, sizeof *client) : NULL;

    if (client == NULL)
        return;
    client->metrics = metrics;
    client->handles = 2;
    uv_timer_init(metrics->host->loop, &client->timer);
    uv_tcp_init(metrics->host->loop, &client->stream);
    client->timer.data = client->stream.data = client;
    client->next = metrics->clients;
    metrics->clients = client;
    metrics->count++;
    if (uv_accept(listener, (uv_stream_t *)&client->stream) != 0 ||
        metrics->count > CLIENTS_MAX + 1) {
        close_client(client);
        return;
    }
    uv_timer_start(&client->timer, out_of_patience, PATIENCE_MS, 0);
    uv_read_start((uv_stream_t *)&client->stream, give_room, take);
}

static bool parse(const char *address, struct sockaddr_storage *result)
{
    char host[80];
    const char *colon = strrchr(address, ':');
    size_t size = (size_t)(colon - address);
    int port = (int)strtol(colon + 1, NULL, 10);

    snprintf(host, sizeof host, "%.*s", (int)size, address);
    if (host[0] == '[' && size > 2 && host[size - 1] == ']') {
        host[size - 1] = '\0';
        return uv_ip6_addr(host + 1, port, (struct sockaddr_in6 *)result) == 0;
    }
    return uv_ip4_addr(host, port, (struct sockaddr_in *)result) == 0;
}

static void say_port(struct up_metrics *metrics, const char *address)
{
    struct sockaddr_storage bound;
    int size = sizeof bound;

    uv_tcp_getsockname(&metrics->listener, (struct sockaddr *)&bound, &size);
    unsigned port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                      : ((struct sockaddr_in *)&bound)->sin_port);
    up_say(metrics->host, "metrics", "at http://%.*s:%u/metrics",
           (int)(strrchr(address, ':') - address), address, port);
}

bool up_metrics_start(struct up_host *host, const char *address)
{
    struct up_metrics *metrics = calloc(1, sizeof *metrics);
    struct sockaddr_storage place = {0};
    int status = metrics != NULL && parse(address, &place) ? 0 : UV_EINVAL;

    if (metrics == NULL)
        return false;
    metrics->host = host;
    metrics->count = 1;
    host->metrics = metrics;
    uv_tcp_init(host->loop, &metrics->listener);
    metrics->listener.data = metrics;
    if (status == 0)
        status = uv_tcp_bind(&metrics->listener, (struct sockaddr *)&place, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&metrics->listener, 32, connected);
    if (status == 0)
        say_port(metrics, address);
    else
        up_say(host, "metrics", "%s: %s", address, uv_strerror(status));
    return status == 0;
}

static void listener_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void up_metrics_stop(struct up_host *host)
{
    struct up_metrics *metrics = host->metrics;

    if (metrics == NULL)
        return;
    host->metrics = NULL;
    for (struct client *client = metrics->clients; client != NULL; client = client->next)
        close_client(client);
    uv_close((uv_handle_t *)&metrics->listener, listener_closed);
}
