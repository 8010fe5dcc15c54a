/* A web server that gives every request a VM of its own, with a deadline, and all of them one
 * thread: PORT, or 0 for any, which it says. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/cordon.h"

#define DEADLINE_NS 50000000
#define CLIENTS_MAX 1024

/* Greets whoever is named by the path, which it reads; "/loop" keeps it busy for ever. */
static const char guest[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\""
    "    (func $read (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_write\""
    "    (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1) (data (i32.const 32) \"hello, \")"
    "  (func (export \"_start\")"
    "    (i32.store (i32.const 0) (i32.const 39)) (i32.store (i32.const 4) (i32.const 1000))"
    "    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))"
    "    (if (i64.eq (i64.load (i32.const 39)) (i64.const 0x0a706f6f6c2f))"
    "      (then (loop $l (br $l))))"
    "    (i32.store (i32.const 0) (i32.const 32))"
    "    (i32.store (i32.const 4) (i32.add (i32.load (i32.const 8)) (i32.const 7)))"
    "    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))";

struct client {
    int socket; /* -1: nobody */
    cordon_vm_t *vm;
    char in[2048], out[2048];
    size_t in_size, path_at, out_size;
};

static struct client clients[CLIENTS_MAX];
static struct client *active[CLIENTS_MAX]; /* those that have a VM */
static int active_count, loop;
static cordon_host_t *host;
static cordon_module_t *module;
static cordon_linker_t *linker;
static cordon_config_t *config;

static void die(const char *what)
{
    fprintf(stderr, "server: %s\n", what);
    exit(1);
}

/* The guest's standard input is the path, and its standard output what is sent. */
static int64_t give_path(void *user, cordon_vm_t *vm, void *bytes, size_t room)
{
    struct client *client = *(struct client **)user;
    const char *end = strchr(client->in + client->path_at, ' ');
    size_t size = end != NULL ? (size_t)(end - client->in) - client->path_at : 0;

    (void)vm;
    if (size == 0 || size >= room)
        return 0;
    memcpy(bytes, client->in + client->path_at, size);
    ((char *)bytes)[size] = '\n';
    client->path_at += size;
    return (int64_t)size + 1;
}

static int64_t take_answer(void *user, cordon_vm_t *vm, const void *bytes, size_t size)
{
    struct client *client = *(struct client **)user;
    size_t room = sizeof client->out - client->out_size;

    (void)vm;
    if (size > room)
        return CORDON_BROKEN;
    memcpy(client->out + client->out_size, bytes, size);
    client->out_size += size;
    return (int64_t)size;
}

static struct client *stepped; /* whose VM runs: what the two are about */

static void leave(struct client *client)
{
    close(client->socket);
    client->socket = -1;
}

static void respond(struct client *client, const char *status)
{
    char text[4096];
    int size = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%.*s", status,
                        client->out_size, (int)client->out_size, client->out);

    if (send(client->socket, text, (size_t)size, 0) != size)
        leave(client);
    client->in_size = 0;
}

static void begin(struct client *client)
{
    cordon_error_t error;

    client->out_size = 0;
    client->path_at = 4;
    client->vm = cordon_vm_new(host, module, linker, config, &error);
    if (client->vm == NULL || !cordon_vm_begin(client->vm, NULL, NULL, 0, &error))
        die(error.message);
    active[active_count++] = client;
}

static void receive(struct client *client)
{
    if (client->vm != NULL)
        return; /* one after the other */
    size_t room = sizeof client->in - 1 - client->in_size;
    ssize_t size = recv(client->socket, client->in + client->in_size, room, MSG_DONTWAIT);

    if (size <= 0) {
        leave(client);
        return;
    }
    client->in_size += (size_t)size;
    client->in[client->in_size] = '\0';
    if (strstr(client->in, "\r\n\r\n") != NULL && strncmp(client->in, "GET ", 4) == 0)
        begin(client);
    else if (room == (size_t)size)
        leave(client);
}

/* A millisecond for each; those that are over are answered. */
static void step_all(void)
{
    for (int i = active_count - 1; i >= 0; i--) {
        struct client *client = stepped = active[i];
        cordon_result_t how;
        cordon_error_t error;
        if (cordon_vm_step(client->vm, CORDON_UNLIMITED, 1000000, NULL) != CORDON_OVER)
            continue;
        if (!cordon_vm_end(client->vm, NULL, 0, &how, &error))
            die(error.message);
        cordon_vm_free(client->vm);
        client->vm = NULL;
        active[i] = active[--active_count];
        respond(client, how.end == CORDON_END_RETURN  ? "200 OK"
                        : how.end == CORDON_END_QUOTA ? "504 Gateway Timeout"
                                                      : "500 Internal Server Error");
    }
}

static void greet(int listener)
{
    int number = 0;

    while (number < CLIENTS_MAX && clients[number].socket >= 0)
        number++;
    int socket = accept(listener, NULL, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)number};
    if (socket < 0 || number == CLIENTS_MAX || epoll_ctl(loop, EPOLL_CTL_ADD, socket, &event) != 0)
        close(socket);
    else
        clients[number] = (struct client){.socket = socket};
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = CLIENTS_MAX};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    loop = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 128) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) != 0)
        die("cannot listen");
    printf("http://127.0.0.1:%d/\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void prepare(void)
{
    cordon_error_t error;

    host = cordon_host_new(&error);
    module = cordon_module_load(host, guest, sizeof guest - 1, &error);
    linker = cordon_linker_new(host, &error);
    config = cordon_config_new(&error);
    if (module == NULL || config == NULL)
        die(error.message);
    cordon_linker_allow_wasi(linker);
    if (!cordon_config_limit(config, CORDON_TIMEOUT, DEADLINE_NS, &error) ||
        !cordon_config_limit(config, CORDON_MEMORY, 1 << 20, &error) ||
        !cordon_config_input(config, give_path, &stepped, &error) ||
        !cordon_config_output(config, 1, take_answer, &stepped, &error))
        die(error.message);
}

int main(int argc, char **argv)
{
    struct epoll_event events[64];

    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < CLIENTS_MAX; i++)
        clients[i].socket = -1;
    prepare();
    int listener = listen_on((uint16_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 8080));
    for (;;) {
        int count = epoll_wait(loop, events, 64, active_count > 0 ? 0 : -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == CLIENTS_MAX)
                greet(listener);
            else
                receive(&clients[events[i].data.u32]);
        }
        step_all();
    }
}
