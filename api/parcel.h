/* A config on its way to another process: bytes, and descriptors in a certain order. Both sides
 * are the same program, so the bytes have no version; they are checked all the same. */
#ifndef CN_API_PARCEL_H
#define CN_API_PARCEL_H

#include "api/internal.h"

/* How many bytes it comes to, and how many descriptors. */
size_t cn_parcel_size(const cordon_config_t *config);
uint32_t cn_parcel_fd_count(const cordon_config_t *config);

/* Writes exactly so many; the descriptors stay the config's. */
void cn_parcel_write(const cordon_config_t *config, uint8_t *bytes);
void cn_parcel_fds(const cordon_config_t *config, int *fds);

/* How many descriptors belong to the parcel; UINT32_MAX when it is none. */
uint32_t cn_parcel_expects(const uint8_t *bytes, size_t size);
/* The config again. The descriptors, as many as expected, are taken over. NULL with the error. */
cordon_config_t *cn_parcel_read(const uint8_t *bytes, size_t size, const int *fds,
                                cordon_error_t *error);

/* Sends and receives descriptors over a socket, any number of them; false with errno. What was
 * received when it failed is closed. */
bool cn_parcel_send_fds(int socket, const int *fds, uint32_t count);
bool cn_parcel_receive_fds(int socket, int *fds, uint32_t count);

#endif
