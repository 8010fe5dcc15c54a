/* The request parser against requests, good and bad, one row each. Runs as a guest, and natively
 * under sanitizers. */
#include <cordon/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDS "\r\nHost: h\r\n\r\n"

static const struct {
    const char *request;
    int status;          /* 0: taken */
    const char *path;    /* of one that is taken */
} rows[] = {
    {"GET / HTTP/1.1" ENDS, 0, "/"},
    {"GET /a/b HTTP/1.1" ENDS, 0, "/a/b"},
    {"GET /%41%62?x=%00 HTTP/1.1" ENDS, 0, "/Ab"},
    {"GET /a/./b/../c HTTP/1.1" ENDS, 0, "/a/c"},
    {"GET /a/b/.. HTTP/1.1" ENDS, 0, "/a/"},
    {"GET /a/. HTTP/1.1" ENDS, 0, "/a/"},
    {"GET /... HTTP/1.1" ENDS, 0, "/..."},
    {"GET /.. HTTP/1.1" ENDS, 400, NULL},
    {"GET /../etc HTTP/1.1" ENDS, 400, NULL},
    {"GET /a/../../etc HTTP/1.1" ENDS, 400, NULL},
    {"GET /%2e%2e/etc HTTP/1.1" ENDS, 400, NULL},
    {"GET /a/%2e%2E/%2e./etc HTTP/1.1" ENDS, 400, NULL},
    {"GET /..%2fetc HTTP/1.1" ENDS, 400, NULL},
    {"GET /..%5cetc HTTP/1.1" ENDS, 400, NULL},
    {"GET /a%00b HTTP/1.1" ENDS, 400, NULL},
    {"GET /a%0 HTTP/1.1" ENDS, 400, NULL},
    {"GET /a% HTTP/1.1" ENDS, 400, NULL},
    {"GET /a%zz HTTP/1.1" ENDS, 400, NULL},
    {"GET /a#b HTTP/1.1" ENDS, 400, NULL},
    {"GET a HTTP/1.1" ENDS, 400, NULL},
    {"GET http://h/a HTTP/1.1" ENDS, 0, "/a"},
    {"GET HTTP://h:80/?a HTTP/1.1" ENDS, 0, "/"},
    {"GET http://h HTTP/1.1" ENDS, 400, NULL},
    {"GET http:///a HTTP/1.1" ENDS, 400, NULL},
    {"GET http://user@h/a HTTP/1.1" ENDS, 400, NULL},
    {"GET http://h/../a HTTP/1.1" ENDS, 400, NULL},
    {"GET https://h/a HTTP/1.1" ENDS, 400, NULL},
    {"GET  / HTTP/1.1" ENDS, 400, NULL},
    {"GET /  HTTP/1.1" ENDS, 400, NULL},
    {"GET /\t HTTP/1.1" ENDS, 400, NULL},
    {"GET /a\x80 HTTP/1.1" ENDS, 400, NULL},
    {" GET / HTTP/1.1" ENDS, 400, NULL},
    {"G@T / HTTP/1.1" ENDS, 400, NULL},
    {"GET /" ENDS, 400, NULL},
    {"GET / HTTP/1.1 " ENDS, 400, NULL},
    {"GET / http/1.1" ENDS, 400, NULL},
    {"GET / HTTP/1" ENDS, 400, NULL},
    {"GET / HTTP/11.1" ENDS, 400, NULL},
    {"GET / HTTP/2.0" ENDS, 505, NULL},
    {"GET / HTTP/0.9" ENDS, 505, NULL},
    {"GET / HTTP/1.2" ENDS, 505, NULL},
    {"OPTIONS * HTTP/1.1" ENDS, 0, "*"},
    {"GET * HTTP/1.1" ENDS, 400, NULL},
    {"GET / HTTP/1.0\r\n\r\n", 0, "/"},
    {"GET / HTTP/1.1\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n folded\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tfolded\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\n: empty name\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB: \t \r\n\r\n", 0, "/"},
    {"GET / HTTP/1.1\r\nHost: h\r\nA: x\x01y\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nA: x\x7fy\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nA: a\rb\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", 0, "/"},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 4294967297\r\n\r\n", 413, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n", 413, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 501, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: identity\r\n\r\n", 501, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\nContent-Length: 5\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", 417, NULL},
};

static int failures;

static void expect(int holds, const char *what, const char *request)
{
    if (holds)
        return;
    failures++;
    printf("%s: %.60s\n", what, request);
}

/* Parses a copy that has no byte behind its end, so that sanitizers see a read past it. */
static int parse(const char *text, struct http_request *request, char **copy)
{
    size_t size = strlen(text);
    long head = http_head_size(text, size);

    *copy = NULL;
    if (head <= 0)
        return head < 0 ? 400 : 1;
    *copy = malloc((size_t)head);
    memcpy(*copy, text, (size_t)head);
    return http_parse(*copy, (size_t)head, &http_limits_default, request);
}

static void test_rows(void)
{
    struct http_request request;
    char *copy;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = parse(rows[i].request, &request, &copy);
        if (status != rows[i].status)
            printf("%d, expected %d: ", status, rows[i].status);
        expect(status == rows[i].status, "status", rows[i].request);
        if (status == 0 && rows[i].path != NULL)
            expect(strcmp(request.path, rows[i].path) == 0, request.path, rows[i].request);
        free(copy);
    }
}

static void test_parts(void)
{
    static const char text[] = "POST /p?a=b&c HTTP/1.1\r\nHost: h\r\nX-Thing:  two words \r\n"
                               "Content-Length: 12\r\nConnection: foo, Close\r\n\r\nbody";
    struct http_request request;
    char *copy;

    expect(parse(text, &request, &copy) == 0, "refused", text);
    expect(strcmp(request.method, "POST") == 0, "method", request.method);
    expect(strcmp(request.target, "/p?a=b&c") == 0, "target", request.target);
    expect(strcmp(request.query, "a=b&c") == 0, "query", request.query);
    expect(request.minor == 1 && !request.keep_alive, "keep-alive", text);
    expect(request.content_length == 12 && request.header_count == 4, "length", text);
    const char *thing = http_header(&request, "x-thing");
    expect(thing != NULL && strcmp(thing, "two words") == 0, "header", text);
    expect(http_header(&request, "X-Other") == NULL, "header that is not there", text);
    free(copy);
    expect(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &request, &copy) == 0 &&
               request.keep_alive, "1.0 kept alive", "");
    free(copy);
    expect(parse("GET / HTTP/1.0\r\n\r\n", &request, &copy) == 0 && !request.keep_alive,
           "1.0 closed", "");
    free(copy);
}

static void test_ends(void)
{
    static const struct {
        const char *text;
        long size;
    } ends[] = {
        {"", 0}, {"GET", 0}, {"GET / HTTP/1.1\r\n", 0}, {"a\r\n\r", 0}, {"a\r\n\r\n", 5},
        {"a\r\n\r\nb\n", 5}, {"\n", -1}, {"a\n", -1}, {"a\r\nb\n", -1}, {"a\r\n\n", -1},
    };

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        expect(http_head_size(ends[i].text, strlen(ends[i].text)) == ends[i].size, "head size",
               ends[i].text);
}

static void test_limits(void)
{
    static char text[40000];
    struct http_request request;
    char *copy;

    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    strcpy(text + 4 + 4096, " HTTP/1.1" ENDS);
    expect(parse(text, &request, &copy) == 0, "the longest target", "");
    free(copy);
    memset(text + 5, 'a', 5000);
    strcpy(text + 4 + 4097, " HTTP/1.1" ENDS);
    expect(parse(text, &request, &copy) == 414, "a target too long", "");
    free(copy);
    size_t size = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 1; i < HTTP_HEADERS_MAX; i++)
        size += (size_t)sprintf(text + size, "H%d: v\r\n", i);
    strcpy(text + size, "\r\n");
    expect(parse(text, &request, &copy) == 0, "the most headers", "");
    free(copy);
    strcpy(text + size, "More: v\r\n\r\n");
    expect(parse(text, &request, &copy) == 431, "a header too many", "");
    free(copy);
}

int main(void)
{
    test_rows();
    test_parts();
    test_ends();
    test_limits();
    if (failures == 0)
        puts("ok");
    return failures != 0;
}
