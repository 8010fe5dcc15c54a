/* A small, strict HTTP/1.1 server for guests (RFC 9110, RFC 9112).
 *
 *     static void answer(void *user, const struct http_request *request,
 *                        struct http_response *response)
 *     {
 *         http_text(response, 200, "text/plain", "hello\n", 6);
 *     }
 *     int main(void) { return http_serve(cordon_listener_first(), NULL, answer, NULL); }
 *
 * One thread, one poll loop, any number of connections up to the limits; keep-alive and
 * pipelining. Everything has a stated maximum, and what passes it gets the status that HTTP has
 * for it. What is ambiguous is refused, because two readers who disagree about where a request
 * ends are a hole: bare line feeds, folded headers, blanks before colons, repeated or signed
 * lengths, transfer encodings.
 */
#ifndef CORDON_HTTP_H
#define CORDON_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEADERS_MAX 64

struct http_limits {
    size_t head;           /* bytes of request line and headers: 431 (414 for the target) */
    size_t target;         /* bytes of the request target */
    size_t body;           /* bytes of a body: 413 */
    int connections;       /* at once; more wait in the listener's queue */
    int idle_ms;           /* without a byte between requests, or while a client reads */
    int request_ms;        /* for a request to arrive whole */
};

/* 8 KiB, 4 KiB, 1 MiB, 128, 30 s, 10 s. */
extern const struct http_limits http_limits_default;

struct http_header {
    const char *name; /* as sent; compare with http_header() */
    const char *value;
};

/* A request; all of it is valid until the handler returns. */
struct http_request {
    const char *method;  /* "GET" */
    const char *target;  /* as sent */
    char *path;          /* decoded, begins with '/', without "." and ".." */
    const char *query;   /* what follows '?', undecoded, or "" */
    int minor;           /* HTTP/1.minor */
    bool keep_alive;
    struct http_header headers[HTTP_HEADERS_MAX];
    int header_count;
    size_t content_length;
    const char *body;
};

/* The value of a header, its name compared without case; NULL when there is none. */
const char *http_header(const struct http_request *request, const char *name);

/* ------------------------------------------------------------------ parsing alone */

/* Parses the head of a request that ends at head[size] with an empty line. The text is changed
 * in place, and the request points into it. 0, or the status with which it is refused. */
int http_parse(char *head, size_t size, const struct http_limits *limits,
               struct http_request *request);

/* The number of bytes of the head in the buffer, its empty line included; 0 when it is not
 * complete, -1 when it can never be right (a bare line feed). */
long http_head_size(const char *buffer, size_t size);

/* ------------------------------------------------------------------ answering */

struct http_response;

/* Answers with bytes, which are copied. */
void http_text(struct http_response *response, int status, const char *type, const void *body,
               size_t size);

/* Answers with an open file of `size` bytes, which is read as the client takes it, and closed. */
void http_file(struct http_response *response, int status, const char *type, int fd,
               uint64_t size);

/* "Not Found" for 404. */
const char *http_reason(int status);

typedef void (*http_handler)(void *user, const struct http_request *request,
                             struct http_response *response);

/* Serves until something fails that cannot be mended; returns -1 with errno. NULL limits are
 * the default ones.
 *
 * When more clients come than there is room for (connections, or all but an eighth of the
 * descriptors, which are left for files), they wait in the listener's queue. While they do, every
 * answer ends its connection ("Connection: close") so that all get their turn, and connections
 * that have been silent for a second are closed. The listener is left alone until there is room
 * instead of being asked in vain. */
int http_serve(int listener, const struct http_limits *limits, http_handler handler, void *user);

#endif
