/* Reading a module's file. */
#ifndef CN_CLI_FILE_H
#define CN_CLI_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_file {
    uint8_t *bytes;
    size_t size;
};

/* Opens it ("-" is stdin), for cli_file_take to read later; -1 as cli_file_read. */
int cli_file_open(const char *path, int *code);
/* Reads and closes what was opened; the path is for messages. */
bool cli_file_take(struct cli_file *file, int fd, const char *path, int *code);

/* Reads all of it ("-" is stdin), or says why not on stderr and gives the exit code in *code. */
bool cli_file_read(struct cli_file *file, const char *path, int *code);
void cli_file_free(struct cli_file *file);

#endif
