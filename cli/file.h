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

/* Reads all of it ("-" is stdin), or says why not on stderr and gives the exit code in *code. */
bool cli_file_read(struct cli_file *file, const char *path, int *code);
void cli_file_free(struct cli_file *file);

#endif
