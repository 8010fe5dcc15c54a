/* Says whatever bytes come to a host, after the greeting. Every line of its answers is a JSON
 * object, and afterwards it has forgotten the client and closed everything. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/up_conn.h"

#define ROUNDS 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct up_host host;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_size;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void on_done(uv_async_t *async)
{
    up_vms_reap(async->data);
}

/* A host with a VM that has ended: its module is not there. */
static void start(void)
{
    static uv_loop_t loop;
    struct up_spec spec;
    cordon_error_t error;

    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    host.loop = &loop;
    host.last = &host.vms;
    host.is_quiet = host.stays = true;
    host.cordon = cordon_host_new(&error);
    host.linker = cordon_linker_new(host.cordon, &error);
    require(up_modules_init(&host.modules, &error));
    uv_async_init(host.loop, &host.done, on_done);
    uv_timer_init(host.loop, &host.sampler);
    uv_timer_init(host.loop, &host.linger);
    host.done.data = &host;
    host.nothing = -1;
    /* In the abstract name space: no file to remove. */
    int size = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "cordon-fuzz-%d",
                        (int)getpid());
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
    host.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(bind(host.listener, (struct sockaddr *)&address, address_size) == 0);
    require(listen(host.listener, 16) == 0 && up_serve_start(&host));
    up_spec_init(&spec);
    snprintf(spec.name, sizeof spec.name, "web");
    spec.module = strdup("/nothere");
    require(up_strings_add(&spec.args, "nothere"));
    require(up_vm_add(&host, &spec, false, &error) != NULL);
    while (host.live_count > 0)
        uv_run(host.loop, UV_RUN_ONCE);
}

static void check_answers(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL)
            return;
        json_t *line = json_loadb(text + at, (size_t)(end - text) - at, 0, NULL);
        require(json_is_object(line));
        json_decref(line);
        at = (size_t)(end - text) + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hello[] = "{\"cordon\": 1}\n";
    static char answers[1 << 20];
    size_t got = 0, sent = 0;
    bool is_over = false;

    if (host.loop == NULL)
        start();
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(connect(client, (struct sockaddr *)&address, address_size) == 0);
    require(send(client, hello, sizeof hello - 1, 0) == sizeof hello - 1);
    for (int i = 0; i < ROUNDS && !is_over; i++) {
        ssize_t count = send(client, data + sent, size - sent, MSG_NOSIGNAL);
        sent += count > 0 ? (size_t)count : 0;
        if (sent == size || count < 0)
            shutdown(client, SHUT_WR);
        uv_run(host.loop, UV_RUN_NOWAIT);
        if (got == sizeof answers)
            got = 0;
        count = read(client, answers + got, sizeof answers - got);
        got += count > 0 ? (size_t)count : 0;
        is_over = count == 0 || (count < 0 && sent == size && host.conn_count == 0);
    }
    require(is_over);
    check_answers(answers, got);
    close(client);
    for (int i = 0; i < ROUNDS && host.conn_count > 0; i++)
        uv_run(host.loop, UV_RUN_NOWAIT);
    require(host.conn_count == 0 && host.live_count == 0);
    return 0;
}
