/* Reading a directory with cookies that mean something: cookie n is the place after n entries.
 *
 * The host's own positions stay here, one per entry that was seen, so that a guest can go back
 * to any of them and can never make up one. Everything is charged to the VM's MEMORY.
 */
#ifndef CN_SHIM_DIR_STREAM_H
#define CN_SHIM_DIR_STREAM_H

#include "core/alloc.h"
#include "shim/abi.h"

struct cn_dir_stream;
struct cn_volume;

struct cn_dir_entry {
    uint64_t ino;  /* the host's */
    uint64_t next; /* the cookie after this entry */
    enum cn_filetype type;
    const char *name; /* valid until the next call */
    uint32_t name_length;
};

/* A stream of its own over the directory behind `host`, at its start; in that volume, or NULL. */
enum cn_errno cn_dir_stream_new(struct cn_allocator allocator, int host,
                                const struct cn_volume *volume, struct cn_dir_stream **result);

/* NULL is fine. */
void cn_dir_stream_free(struct cn_dir_stream *stream, struct cn_allocator allocator);

/* Goes to the cookie: 0 is the start, read anew; INVAL for a place that was never reached. */
enum cn_errno cn_dir_stream_seek(struct cn_dir_stream *stream, uint64_t cookie);

/* The entry at the present place without passing it; a NULL name at the end. NOMEM when its
 * place cannot be remembered. */
enum cn_errno cn_dir_stream_peek(struct cn_dir_stream *stream, struct cn_allocator allocator,
                                 struct cn_dir_entry *entry);

/* Passes the entry that was looked at. */
void cn_dir_stream_pass(struct cn_dir_stream *stream);

#endif
