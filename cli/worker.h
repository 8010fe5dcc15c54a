/* The process of one VM of `cordon up`. */
#ifndef CN_CLI_WORKER_H
#define CN_CLI_WORKER_H

/* Where its socket stands. */
#define CLI_WORKER_SOCKET 3

/* Arguments: the parent's number, the sandbox's mode, and the numbers of user and group or
 * neither. */
int cli_worker(int argc, char **argv);

#endif
