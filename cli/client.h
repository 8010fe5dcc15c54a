/* The other end of the control socket: spec/control.md. */
#ifndef CN_CLI_CLIENT_H
#define CN_CLI_CLIENT_H

#include <jansson.h>

#include "cli/place.h"

struct cli_client {
    char path[CLI_PLACE_MAX];
    int socket;
    char *in;
    size_t in_size, in_room, in_at; /* at: where the next line begins */
    json_int_t id;
    int code; /* what to exit with after a failure */
};

/* Connects and greets; false after one line on stderr, or without one where `is_quiet` and nobody
 * listens. */
bool cli_client_open(struct cli_client *client, const char *host, bool is_quiet);
void cli_client_close(struct cli_client *client);

/* Sends a request, which is given up, with descriptors; false after one line on stderr. */
bool cli_client_send(struct cli_client *client, json_t *request, const int *fds, int count);
/* The next line; NULL after one line on stderr. Without patience it waits as long as it takes. */
json_t *cli_client_line(struct cli_client *client, bool has_patience);
/* Both, and what stands under "ok"; NULL after one line on stderr, also for a refusal. */
json_t *cli_client_ask(struct cli_client *client, json_t *request);
/* The "ok" of a line, which is given up; NULL after the refusal was said on stderr. */
json_t *cli_client_ok(struct cli_client *client, json_t *line);

#endif
