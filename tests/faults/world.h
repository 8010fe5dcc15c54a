/* What a guest is given: directories, streams, a connection, a private volume's store; and what has
 * to hold of them when it is gone. */
#ifndef CN_TESTS_FAULTS_WORLD_H
#define CN_TESTS_FAULTS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "include/cordon.h"

struct world {
    char root[64], fixed[64], store[80], key[80];
    int dirs[2], ledger, listener, client, input[2], output[2];
    uint16_t port;
};

/* Ends the program when it does not hold: the test cannot go on. */
void require(bool condition, const char *what);

void open_world(struct world *world);
void close_world(struct world *world);
/* Descriptors that this process has. */
uint32_t open_count(void);

cordon_store_t *open_store(const struct world *world, cordon_error_t *error);
/* Whatever failed, the store opens, which finishes what was begun, and nothing in it is damaged. */
bool check_store(const struct world *world);
/* Whoever goes on with the ledger of a directory is charged for what is there, and nothing else. */
bool check_disk(const char *path, int dir, int ledger);
/* What is there, as a ledger counts it. */
void count_disk(const char *path, uint64_t *bytes, uint64_t *inodes);

#endif
