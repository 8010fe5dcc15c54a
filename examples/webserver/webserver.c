/* A web server for a guest: the files of its granted directory, and /status, which shows what
 * the server uses of its quotas.
 *
 *     cordon run --dir www::/ --listen 8080 --memory 64m webserver.wasm
 */
#include <cordon/http.h>
#include <cordon/listen.h>
#include <cordon/quota.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"}, {".css", "text/css"},     {".js", "text/javascript"},
    {".txt", "text/plain; charset=utf-8"}, {".png", "image/png"},    {".svg", "image/svg+xml"},
    {".json", "application/json"},         {".jpg", "image/jpeg"},   {".wasm", "application/wasm"},
};

static const char *type_of(const char *path)
{
    const char *suffix = strrchr(path, '.');

    for (size_t i = 0; suffix != NULL && i < sizeof types / sizeof types[0]; i++)
        if (strcasecmp(suffix, types[i].suffix) == 0)
            return types[i].type;
    return "application/octet-stream";
}

static void refuse(struct http_response *response, int status)
{
    char text[80];
    int size = snprintf(text, sizeof text, "%d %s\n", status, http_reason(status));

    http_text(response, status, "text/plain", text, (size_t)size);
}

/* ------------------------------------------------------------------ /status */

struct row {
    enum cordon_quota_id id;
    const char *name, *unit;
    uint64_t divisor;
};

static const struct row rows[] = {
    {CORDON_QUOTA_MEMORY, "memory", "KiB", 1024},
    {CORDON_QUOTA_FDS, "descriptors", "", 1},
    {CORDON_QUOTA_DISK, "disk", "KiB", 1024},
    {CORDON_QUOTA_INODES, "files made", "", 1},
    {CORDON_QUOTA_CPU_TIME, "processor time", "ms", 1000000},
    {CORDON_QUOTA_FUEL, "operators executed", "", 1},
};

static size_t put_row(char *text, size_t size, const struct row *row)
{
    struct cordon_quota quota;
    char limit[32] = "unlimited";

    if (cordon_quota_get(row->id, &quota) != 0)
        return 0;
    if (quota.limit != CORDON_UNLIMITED)
        snprintf(limit, sizeof limit, "%llu %s",
                 (unsigned long long)(quota.limit / row->divisor), row->unit);
    int written = snprintf(text, size, "<tr><td>%s<td>%llu %s<td>%s\n", row->name,
                           (unsigned long long)(quota.used / row->divisor), row->unit, limit);
    return written > 0 && (size_t)written < size ? (size_t)written : 0;
}

static void show_status(struct http_response *response)
{
    char page[2048] = "<!doctype html><title>status</title><h1>What I use, and what I may</h1>"
                      "<table><tr><th>quota<th>used<th>limit\n";
    size_t size = strlen(page);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        size += put_row(page + size, sizeof page - size, &rows[i]);
    http_text(response, 200, "text/html; charset=utf-8", page, size);
}

/* ------------------------------------------------------------------ files */

static void send_file(struct http_response *response, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY);

    if (fd < 0) {
        refuse(response, errno == ENOENT || errno == ENOTDIR  ? 404
                         : errno == EMFILE || errno == ENFILE ? 503
                                                              : 403);
        return;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        refuse(response, 404);
        return;
    }
    http_file(response, 200, type_of(path), fd, (uint64_t)status.st_size);
}

static void answer(void *user, const struct http_request *request,
                   struct http_response *response)
{
    char index[sizeof "index.html" + 4096];

    (void)user;
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        refuse(response, 405);
    } else if (strcmp(request->path, "/status") == 0) {
        show_status(response);
    } else if (request->path[strlen(request->path) - 1] == '/') {
        snprintf(index, sizeof index, "%sindex.html", request->path);
        send_file(response, index);
    } else {
        send_file(response, request->path);
    }
}

int main(void)
{
    int listener = cordon_listener_first();

    if (listener < 0) {
        fprintf(stderr, "webserver: no listener was granted (--listen PORT)\n");
        return 2;
    }
    http_serve(listener, NULL, answer, NULL);
    perror("webserver");
    return 1;
}
