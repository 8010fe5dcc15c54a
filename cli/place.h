/* Where a host's control socket is. */
#ifndef CN_CLI_PLACE_H
#define CN_CLI_PLACE_H

#include <stdbool.h>

#define CLI_PLACE_MAX 108 /* what a socket's address has room for */

/* The path: `given`, or the default, whose folder is made when `make` says so. False after one
 * line on stderr. */
bool cli_place(char path[CLI_PLACE_MAX], const char *given, bool make);

/* Connects to the socket; -1 with errno. */
int cli_place_connect(const char *path);

/* Who listens there; 0 when that cannot be told. */
int cli_place_peer(int socket);

#endif
