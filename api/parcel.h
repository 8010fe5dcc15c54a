/* A config on its way to another process: bytes, and descriptors in a certain order. Both sides
 * are the same program, so the bytes have no version; they are checked all the same. */
#ifndef CN_API_PARCEL_H
#define CN_API_PARCEL_H

#include "api/internal.h"
#include "shim/volume_store.h"

/* Volumes with keys: these are sent in one page. */
#define CN_PARCEL_KEYS_MAX (4096u / CN_KEY_SIZE)

/* How many bytes it comes to, and how many descriptors. */
size_t cn_parcel_size(const cordon_config_t *config);
uint32_t cn_parcel_fd_count(const cordon_config_t *config);

/* Writes exactly so many; the descriptors stay the config's. */
void cn_parcel_write(const cordon_config_t *config, uint8_t *bytes);
void cn_parcel_fds(const cordon_config_t *config, int *fds);

/* Keys of volumes are no part of the bytes: how many there are, and they themselves, for a page of
 * locked memory. */
uint32_t cn_parcel_key_count(const cordon_config_t *config);
void cn_parcel_keys(const cordon_config_t *config, uint8_t *keys);

/* How many descriptors, and keys, belong to the parcel; UINT32_MAX when it is none. */
uint32_t cn_parcel_expects(const uint8_t *bytes, size_t size, uint32_t *keys);
/* The config again. The descriptors, as many as expected, are taken over. NULL with the error. */
cordon_config_t *cn_parcel_read(const uint8_t *bytes, size_t size, const int *fds,
                                const uint8_t *keys, cordon_error_t *error);

/* Sends and receives descriptors over a socket, any number of them; false with errno. What was
 * received when it failed is closed. */
bool cn_parcel_send_fds(int socket, const int *fds, uint32_t count);
bool cn_parcel_receive_fds(int socket, int *fds, uint32_t count);
/* The same of keys, to and from locked memory. */
bool cn_parcel_send_keys(int socket, const uint8_t *keys, uint32_t count);
bool cn_parcel_receive_keys(int socket, uint8_t *keys, uint32_t count);

#endif
