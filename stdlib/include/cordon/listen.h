/* The listening sockets that this guest was granted with --listen.
 *
 * A guest's descriptors are, in this order: stdin, stdout, stderr, the granted directories, the
 * granted listeners. So a plain server needs no guessing:
 *
 *     int connection = accept(cordon_listener_first(), NULL, NULL);
 */
#ifndef CORDON_LISTEN_H
#define CORDON_LISTEN_H

/* Descriptor of the first granted listener; the others follow it. -1 when there is none. */
int cordon_listener_first(void);

/* How many were granted. */
int cordon_listener_count(void);

#endif
