/* WASI preview 1 as it crosses the border: numbers and layouts of the snapshot, as the guest's
 * headers have them. Padding is spelled out, so that a zeroed structure has no stray bytes. */
#ifndef CN_SHIM_ABI_H
#define CN_SHIM_ABI_H

#include <stdint.h>

/* What a call gives back. The values from CN_E_PARK on never reach the guest: they tell the
 * gateway how to leave. */
enum cn_errno {
#define ERRNO(name, number, host) CN_E_##name = number,
#define ERRNO_OURS(name, number) CN_E_##name = number,
#include "spec/wasi_errno.def"
#undef ERRNO
#undef ERRNO_OURS
    CN_E_PARK = 0x10000, /* wait for what was registered, then make the call again */
    CN_E_YIELD,          /* make the call again at once */
    CN_E_EXIT,           /* the guest ends */
};

enum cn_rights {
    CN_RIGHT_NONE = 0,
#define RIGHT(name, bit, kinds, effect) CN_RIGHT_##name = 1 << bit,
#include "spec/wasi_rights.def"
#undef RIGHT
};

/* What a right is for, and whether it lets something be changed: columns of the rows. */
enum { CN_FOR_FILE = 1, CN_FOR_DIR = 2, CN_FOR_BOTH = 3, CN_FOR_STREAM = 4 };
enum { CN_RIGHT_KEEPS, CN_RIGHT_CHANGES };

enum {
    CN_RIGHTS_FILE = 0
#define RIGHT(name, bit, kinds, effect) | ((CN_FOR_##kinds & CN_FOR_FILE) ? 1 << bit : 0)
#include "spec/wasi_rights.def"
#undef RIGHT
    ,
    CN_RIGHTS_DIR = 0
#define RIGHT(name, bit, kinds, effect) | ((CN_FOR_##kinds & CN_FOR_DIR) ? 1 << bit : 0)
#include "spec/wasi_rights.def"
#undef RIGHT
    ,
    CN_RIGHTS_CHANGING = 0
#define RIGHT(name, bit, kinds, effect) | (CN_RIGHT_##effect == CN_RIGHT_CHANGES ? 1 << bit : 0)
#include "spec/wasi_rights.def"
#undef RIGHT
    ,
};

enum cn_filetype {
    CN_FILETYPE_UNKNOWN,
    CN_FILETYPE_BLOCK_DEVICE,
    CN_FILETYPE_CHARACTER_DEVICE,
    CN_FILETYPE_DIRECTORY,
    CN_FILETYPE_REGULAR_FILE,
    CN_FILETYPE_SOCKET_DGRAM,
    CN_FILETYPE_SOCKET_STREAM,
    CN_FILETYPE_SYMBOLIC_LINK,
};

enum { CN_CLOCK_REALTIME, CN_CLOCK_MONOTONIC, CN_CLOCK_PROCESS_CPU, CN_CLOCK_THREAD_CPU };

enum {
    CN_FDFLAG_APPEND = 1,
    CN_FDFLAG_DSYNC = 2,
    CN_FDFLAG_NONBLOCK = 4,
    CN_FDFLAG_RSYNC = 8,
    CN_FDFLAG_SYNC = 16,
    CN_FDFLAGS_ALL = 31,
};

enum { CN_OFLAG_CREAT = 1, CN_OFLAG_DIRECTORY = 2, CN_OFLAG_EXCL = 4, CN_OFLAG_TRUNC = 8 };
enum { CN_OFLAGS_ALL = 15 };
enum { CN_LOOKUP_FOLLOW = 1 };

enum {
    CN_FST_ATIM = 1,
    CN_FST_ATIM_NOW = 2,
    CN_FST_MTIM = 4,
    CN_FST_MTIM_NOW = 8,
    CN_FST_ALL = 15,
};

enum { CN_RECV_PEEK = 1, CN_RECV_WAITALL = 2, CN_RECV_ALL = 3 };
enum { CN_SHUT_RD = 1, CN_SHUT_WR = 2 };
enum { CN_EVENT_CLOCK, CN_EVENT_FD_READ, CN_EVENT_FD_WRITE };
enum { CN_EVENT_HANGUP = 1 };
enum { CN_SUBCLOCK_ABSTIME = 1 };

struct cn_abi_fdstat {
    uint8_t filetype, pad0;
    uint16_t flags;
    uint32_t pad1;
    uint64_t rights_base;
    uint64_t rights_inheriting;
};
_Static_assert(sizeof(struct cn_abi_fdstat) == 24, "layout of fdstat");

struct cn_abi_filestat {
    uint64_t dev;
    uint64_t ino;
    uint8_t filetype, pad[7];
    uint64_t nlink;
    uint64_t size;
    uint64_t atim, mtim, ctim;
};
_Static_assert(sizeof(struct cn_abi_filestat) == 64, "layout of filestat");

/* As wasi_unstable has it: the number of links in 32 bits. */
struct cn_abi_filestat0 {
    uint64_t dev;
    uint64_t ino;
    uint8_t filetype, pad[3];
    uint32_t nlink;
    uint64_t size;
    uint64_t atim, mtim, ctim;
};
_Static_assert(sizeof(struct cn_abi_filestat0) == 56, "layout of the older filestat");

struct cn_abi_prestat {
    uint8_t tag, pad[3];
    uint32_t name_length;
};
_Static_assert(sizeof(struct cn_abi_prestat) == 8, "layout of prestat");

struct cn_abi_dirent {
    uint64_t next;
    uint64_t ino;
    uint32_t name_length;
    uint8_t type, pad[3];
};
_Static_assert(sizeof(struct cn_abi_dirent) == 24, "layout of dirent");

struct cn_abi_iovec {
    uint32_t address;
    uint32_t length;
};

struct cn_abi_subscription {
    uint64_t userdata;
    uint8_t tag, pad0[7];
    union {
        struct {
            uint32_t id, pad1;
            uint64_t timeout;
            uint64_t precision;
            uint16_t flags, pad2[3];
        } clock;
        uint32_t fd;
    };
};
_Static_assert(sizeof(struct cn_abi_subscription) == 48, "layout of subscription");

/* As wasi_unstable has it: the clock begins with an identifier that nobody used. */
struct cn_abi_subscription0 {
    uint64_t userdata;
    uint8_t tag, pad0[7];
    union {
        struct {
            uint64_t identifier;
            uint32_t id, pad1;
            uint64_t timeout;
            uint64_t precision;
            uint16_t flags, pad2[3];
        } clock;
        uint32_t fd;
    };
};
_Static_assert(sizeof(struct cn_abi_subscription0) == 56, "layout of the older subscription");

struct cn_abi_event {
    uint64_t userdata;
    uint16_t error;
    uint8_t type, pad0[5];
    uint64_t byte_count;
    uint16_t flags, pad1[3];
};
_Static_assert(sizeof(struct cn_abi_event) == 32, "layout of event");

/* What cordon.quota_get writes. */
struct cn_abi_quota {
    uint64_t used;
    uint64_t limit; /* UINT64_MAX when there is none */
    uint64_t peak;
};
_Static_assert(sizeof(struct cn_abi_quota) == 24, "layout of a quota");

#endif
