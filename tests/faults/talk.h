/* Talking to a host, as spec/control.md says. */
#ifndef CN_TESTS_FAULTS_TALK_H
#define CN_TESTS_FAULTS_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TALK_ROOM 65536

struct talk {
    int fd; /* -1: there is no connection */
    int patience_ms;
    size_t size;
    char in[TALK_ROOM]; /* the last answer, as a text */
};

/* Connects and greets; false when nobody listens there or answers. */
bool talk_begin(struct talk *talk, const char *path);
void talk_end(struct talk *talk);
/* Sends a line, with descriptors, and reads up to its answer, which is in talk->in then. False when
 * there is none: with a connection that was lost (fd < 0), or when patience has come to its end. */
bool talk_ask(struct talk *talk, const char *line, const int *fds, uint32_t fd_count);
/* From an answer to `stats` of one VM. */
bool talk_used(const struct talk *talk, const char *quota, uint64_t *used);

#endif
