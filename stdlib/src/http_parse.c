/* Requests: from bytes to struct http_request, strictly. */
#include <cordon/http.h>

#include <string.h>
#include <strings.h>

const struct http_limits http_limits_default = {
    .head = 8192, .target = 4096, .body = 1 << 20, .connections = 128, .idle_ms = 30000,
    .request_ms = 10000,
};

/* Where parsing stands; the text ends at `end`. */
struct cursor {
    char *at;
    char *end;
};

/* The letters of tokens (RFC 9110, 5.6.2). */
static bool is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static char *take_token(struct cursor *cursor, char closing)
{
    char *start = cursor->at;

    while (cursor->at < cursor->end && is_token((unsigned char)*cursor->at))
        cursor->at++;
    if (cursor->at == start || cursor->at >= cursor->end || *cursor->at != closing)
        return NULL;
    *cursor->at++ = '\0';
    return start;
}

static bool take_line_end(struct cursor *cursor)
{
    if (cursor->end - cursor->at < 2 || cursor->at[0] != '\r' || cursor->at[1] != '\n')
        return false;
    cursor->at[0] = '\0';
    cursor->at += 2;
    return true;
}

long http_head_size(const char *buffer, size_t size)
{
    const char *at = buffer;
    const char *end = buffer + size;

    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (at == buffer || at[-1] != '\r')
            return -1;
        at++;
        if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
            return at + 2 - buffer;
    }
    return 0;
}

/* ------------------------------------------------------------------ the target */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes %XX in place. An encoded zero or slash is refused: they mean something else to
 * whoever opens files. */
static bool decode(char *text)
{
    char *out = text;

    for (; *text != '\0'; text++) {
        if (*text != '%') {
            *out++ = *text;
            continue;
        }
        int high = hex_digit(text[1]);
        int low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0)
            return false;
        char c = (char)(high * 16 + low);
        if (c == '\0' || c == '/' || c == '\\')
            return false;
        *out++ = c;
        text += 2;
    }
    *out = '\0';
    return true;
}

/* Removes "." and ".." segments in place (RFC 3986, 5.2.4); ".." above the root is refused. */
static bool remove_dots(char *path)
{
    char *in = path, *out = path;

    while (*in != '\0') {
        size_t size = 1 + strcspn(in + 1, "/");
        bool last = in[size] == '\0';
        if (size == 2 && in[1] == '.') {
            if (last)
                *out++ = '/';
        } else if (size == 3 && in[1] == '.' && in[2] == '.') {
            if (out == path)
                return false;
            do
                out--;
            while (*out != '/');
            if (last)
                *out++ = '/';
        } else {
            memmove(out, in, size);
            out += size;
        }
        in += size;
    }
    *out = '\0';
    return true;
}

/* Where the path begins in a target: at its beginning, or behind "http://host", which every
 * server has to take (RFC 9112, 3.2.2). NULL for other targets. */
static char *find_path(char *target)
{
    if (strncasecmp(target, "http://", 7) == 0) {
        size_t host = strcspn(target + 7, "/?@");
        target += 7 + host;
        if (host == 0)
            return NULL;
    }
    return *target == '/' ? target : NULL;
}

static int parse_target(struct cursor *cursor, const struct http_limits *limits,
                        struct http_request *request, char *path)
{
    char *start = cursor->at;

    while (cursor->at < cursor->end && *cursor->at > ' ' && *cursor->at < 0x7f)
        cursor->at++;
    size_t size = (size_t)(cursor->at - start);
    if (size > limits->target)
        return 414;
    if (size == 0 || cursor->at >= cursor->end || *cursor->at != ' ')
        return 400;
    *cursor->at++ = '\0';
    request->target = start;
    request->path = path;
    request->query = "";
    if (strcmp(start, "*") == 0 && strcmp(request->method, "OPTIONS") == 0) {
        memcpy(path, "*", 2);
        return 0;
    }
    const char *in = find_path(start);
    if (in == NULL || memchr(start, '#', size) != NULL)
        return 400;
    size_t path_size = strcspn(in, "?");
    memcpy(path, in, path_size);
    path[path_size] = '\0';
    if (in[path_size] == '?')
        request->query = in + path_size + 1;
    return decode(path) && remove_dots(path) ? 0 : 400;
}

static int parse_version(struct cursor *cursor, struct http_request *request)
{
    const char *version = cursor->at;

    if (cursor->end - version < 10 || strncmp(version, "HTTP/", 5) != 0)
        return 400;
    if (version[6] != '.' || version[5] < '0' || version[5] > '9' || version[7] < '0' ||
        version[7] > '9')
        return 400;
    if (version[5] != '1' || version[7] > '1')
        return 505;
    request->minor = version[7] - '0';
    cursor->at += 8;
    return take_line_end(cursor) ? 0 : 400;
}

/* ------------------------------------------------------------------ headers */

/* Visible letters, blanks, and bytes above ASCII. */
static bool is_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static int parse_header(struct cursor *cursor, struct http_request *request)
{
    if (request->header_count == HTTP_HEADERS_MAX)
        return 431;
    struct http_header *header = &request->headers[request->header_count];
    header->name = take_token(cursor, ':');
    if (header->name == NULL)
        return 400;
    char *line_end = memchr(cursor->at, '\r', (size_t)(cursor->end - cursor->at));
    if (line_end == NULL)
        return 400;
    char *value = cursor->at + strspn(cursor->at, " \t");
    cursor->at = line_end;
    if (!take_line_end(cursor))
        return 400;
    if (value > line_end)
        value = line_end;
    /* A zero inside would hide what follows it. */
    if (strlen(value) != (size_t)(line_end - value))
        return 400;
    while (line_end > value && (line_end[-1] == ' ' || line_end[-1] == '\t'))
        *--line_end = '\0';
    header->value = value;
    request->header_count++;
    return is_value(value) ? 0 : 400;
}

const char *http_header(const struct http_request *request, const char *name)
{
    for (int i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

static int count_headers(const struct http_request *request, const char *name)
{
    int count = 0;

    for (int i = 0; i < request->header_count; i++)
        count += strcasecmp(request->headers[i].name, name) == 0;
    return count;
}

static int parse_length(const char *text, size_t max, size_t *result)
{
    size_t value = 0;

    if (*text == '\0')
        return 400;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return 400;
        if (value > (SIZE_MAX - 9) / 10)
            return 413;
        value = value * 10 + (size_t)(*text - '0');
    }
    *result = value;
    return value > max ? 413 : 0;
}

/* Whether a comma-separated list has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t wanted = strlen(word);

    while (list != NULL && *list != '\0') {
        list += strspn(list, " \t,");
        size_t size = strcspn(list, ",");
        size_t trimmed = size;
        while (trimmed > 0 && (list[trimmed - 1] == ' ' || list[trimmed - 1] == '\t'))
            trimmed--;
        if (trimmed == wanted && strncasecmp(list, word, wanted) == 0)
            return true;
        list += size;
    }
    return false;
}

/* What the headers say about where the request ends and whether another may follow. */
static int check_framing(struct http_request *request, const struct http_limits *limits)
{
    int hosts = count_headers(request, "Host");
    int lengths = count_headers(request, "Content-Length");
    const char *connection = http_header(request, "Connection");

    if (hosts > 1 || (hosts == 0 && request->minor == 1) || lengths > 1)
        return 400;
    if (http_header(request, "Transfer-Encoding") != NULL)
        return lengths > 0 ? 400 : 501;
    if (http_header(request, "Expect") != NULL)
        return 417;
    request->keep_alive = request->minor == 1 ? !has_word(connection, "close")
                                              : has_word(connection, "keep-alive");
    if (lengths == 0)
        return 0;
    return parse_length(http_header(request, "Content-Length"), limits->body,
                        &request->content_length);
}

int http_parse(char *head, size_t size, const struct http_limits *limits,
               struct http_request *request)
{
    /* Decoding only shortens, but the target as it was sent is kept too. */
    static char path[65536];
    struct cursor cursor = {head, head + size};
    int status;

    memset(request, 0, sizeof *request);
    if (limits->target >= sizeof path)
        return 500;
    request->method = take_token(&cursor, ' ');
    if (request->method == NULL)
        return 400;
    if ((status = parse_target(&cursor, limits, request, path)) != 0)
        return status;
    if ((status = parse_version(&cursor, request)) != 0)
        return status;
    while (cursor.at < cursor.end && *cursor.at != '\r')
        if ((status = parse_header(&cursor, request)) != 0)
            return status;
    if (!take_line_end(&cursor) || cursor.at != cursor.end)
        return 400;
    return check_framing(request, limits);
}
