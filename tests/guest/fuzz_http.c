/* libFuzzer target: whatever bytes arrive, the parser stays inside them, and what it takes keeps
 * its promises. The text has no byte behind its end. */
#include <cordon/http.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* No path that was taken has a segment that leaves, and none ends early. */
static void check_path(const char *path)
{
    if (strcmp(path, "*") == 0)
        return;
    require(path[0] == '/');
    for (const char *at = path; at != NULL; at = strchr(at + 1, '/')) {
        size_t segment = strcspn(at + 1, "/");
        require(!(segment == 1 && at[1] == '.'));
        require(!(segment == 2 && at[1] == '.' && at[2] == '.'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request request;
    char *text = malloc(size ? size : 1);

    memcpy(text, data, size);
    long head = http_head_size(text, size);
    require(head <= (long)size);
    if (head > 0) {
        char *exact = malloc((size_t)head);
        memcpy(exact, text, (size_t)head);
        if (http_parse(exact, (size_t)head, &http_limits_default, &request) == 0) {
            check_path(request.path);
            require(request.content_length <= http_limits_default.body);
            require(request.header_count <= HTTP_HEADERS_MAX);
            require(http_header(&request, "Transfer-Encoding") == NULL);
            for (int i = 0; i < request.header_count; i++)
                require(strpbrk(request.headers[i].value, "\r\n") == NULL);
        }
        free(exact);
    }
    free(text);
    return 0;
}
