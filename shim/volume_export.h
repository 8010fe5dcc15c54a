/* A volume's contents in clear, as a tar archive (POSIX.1-2001, pax). */
#ifndef CN_SHIM_VOLUME_EXPORT_H
#define CN_SHIM_VOLUME_EXPORT_H

#include "core/error.h"
#include "shim/volume.h"

/* Writes it to a descriptor. Hard links become files of their own, times are kept, owners are not.
 * CN_IO, also for what is damaged: then the archive ends before it. */
CN_CHECKED enum cn_status cn_volume_export(struct cn_volume *volume, int root, int to,
                                           struct cn_error *error);

#endif
