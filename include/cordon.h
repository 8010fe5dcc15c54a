/* Cordon: run one untrusted WebAssembly program under quotas, inside your own.
 *
 *     cordon_error_t error;
 *     cordon_host_t *host = cordon_host_new(&error);
 *     cordon_module_t *module = cordon_module_load(host, bytes, size, &error);
 *     cordon_linker_t *linker = cordon_linker_new(host, &error);
 *     cordon_linker_allow_wasi(linker);
 *     cordon_config_t *config = cordon_config_new(&error);
 *     cordon_config_arg(config, "app", &error);
 *     cordon_config_limit(config, CORDON_MEMORY, 64 << 20);
 *     cordon_vm_t *vm = cordon_vm_new(host, module, linker, config, &error);
 *     cordon_result_t result;
 *     cordon_vm_run(vm, &result);
 *
 * Ownership: every _new and _load gives a handle that its _free takes back; _free(NULL) is fine.
 * A host outlives its modules, linkers and VMs; a module outlives the VMs made from it.
 *
 * Errors: a function that can fail takes a cordon_error_t, which the caller provides and which
 * is written on failure only. It then returns NULL or false. The library never prints, never
 * exits, installs no signal handlers and has no global state, unless cordon_lock_ciphers is called.
 * The process should ignore SIGPIPE, or a guest that writes to a closed socket ends it.
 *
 * Threads: a VM is used by one thread at a time, not always the same; a call while another thread
 * runs it is refused. Hosts and controls may be
 * used by several, and so may VMs of one module if it was loaded with CORDON_TRANSLATE_EAGER:
 * otherwise they add to its code while they run, and one thread has to run them all.
 * cordon_ctl_kill may be called from a signal handler.
 *
 * Units: bytes, nanoseconds, thousandths of a core, bytes or operations per second. Of a rate,
 * used is what has passed in all, and refused how often the guest had to wait for it.
 */
#ifndef CORDON_H
#define CORDON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CORDON_VERSION "0.1.0"
#define CORDON_API __attribute__((visibility("default")))

/* The version of the library that is linked, as in CORDON_VERSION. */
CORDON_API const char *cordon_version(void);

/* ------------------------------------------------------------------ errors */

typedef enum cordon_kind {
    CORDON_NO_ERROR,
    CORDON_MISUSE,      /* the interface was used wrongly */
    CORDON_BAD_MODULE,  /* not WebAssembly, not valid, or above a limit: offset says where */
    CORDON_LINK,        /* an import cannot be satisfied */
    CORDON_NO_EXPORT,   /* the module has no such export */
    CORDON_TRAP,        /* the guest did what WebAssembly forbids */
    CORDON_QUOTA,       /* a quota ended it, or does not let it start */
    CORDON_IO,          /* the host's system refused something */
    CORDON_INTERNAL,    /* Cordon's own mistake: please report it */
    CORDON_LOCKED,      /* the process has locked itself, and this would need what it gave up */
} cordon_kind_t;

typedef struct cordon_error {
    cordon_kind_t kind;
    uint64_t offset; /* in the module's file, UINT64_MAX when there is none */
    int quota;       /* with CORDON_QUOTA: which one, a cordon_quota_t */
    char message[400];
} cordon_error_t;

/* Which of the known words (up to a NULL) was probably meant; NULL when none is near. */
CORDON_API const char *cordon_suggest(const char *word, const char *const *known);

/* What is held back of a guest's text until more of it comes. Zeroed at the beginning. */
typedef struct cordon_terminal {
    uint64_t held[9];
} cordon_terminal_t;
/* So many bytes more than it gets a call can give. */
#define CORDON_TERMINAL_MORE 33

/* Makes what a guest wrote harmless for a terminal, which obeys what it is shown: text in UTF-8
 * passes, with line ends, tabs, backspaces, bells, colours and what moves within the line; of
 * everything else the first byte becomes a question mark. `shown` has room for `size` and
 * CORDON_TERMINAL_MORE bytes; returns how many there are. A character may be cut between two
 * calls. The filter of `cordon run` and `cordon logs`. */
CORDON_API size_t cordon_terminal_show(cordon_terminal_t *terminal, const void *bytes, size_t size,
                                       void *shown);

/* ------------------------------------------------------------------ hosts and modules */

typedef struct cordon_host cordon_host_t;
typedef struct cordon_module cordon_module_t;

/* A host: what its modules and VMs share. There may be any number in a process. It keeps a few
 * small mappings of VMs that were freed, wiped, for those that come: 2 MiB at most. */
CORDON_API cordon_host_t *cordon_host_new(cordon_error_t *error);
CORDON_API void cordon_host_free(cordon_host_t *host);

/* How modules are translated. */
typedef enum cordon_translation {
    CORDON_TRANSLATE_AUTO, /* large modules function by function at the first call */
    CORDON_TRANSLATE_EAGER,
    CORDON_TRANSLATE_LAZY,
} cordon_translation_t;
CORDON_API void cordon_host_translation(cordon_host_t *host, cordon_translation_t how);

/* The most memory that loading and translating one module may take; unlimited at first. */
CORDON_API void cordon_host_memory(cordon_host_t *host, uint64_t bytes);

/* The most memory that the host's VMs may have together; unlimited at first. What a VM reserves
 * (CORDON_MEMORY_RESERVE) is kept for it; beyond that they take what is left as they ask, and
 * meet its end like that of their own quotas. May be changed at any time, also below what they
 * have: then nobody gets more. Modules' own memory is not part of it. */
CORDON_API void cordon_host_total(cordon_host_t *host, uint64_t bytes);

/* Decodes and validates a module (WebAssembly core 3.0; spec/standard.md says what else), and
 * translates it unless that is left for later. The bytes are the binary format, or the text
 * format where they begin with a parenthesis, a comment or space: then errors begin with line and
 * column. The bytes must stay as they are until the module is freed. NULL with CORDON_BAD_MODULE,
 * CORDON_QUOTA when memory is exhausted. */
CORDON_API cordon_module_t *cordon_module_load(cordon_host_t *host, const void *bytes,
                                               size_t size, cordon_error_t *error);
CORDON_API void cordon_module_free(cordon_module_t *module);

/* ------------------------------------------------------------------ values */

typedef struct cordon_vm cordon_vm_t;

typedef enum cordon_type {
    CORDON_I32,
    CORDON_I64,
    CORDON_F32,
    CORDON_F64,
    CORDON_FUNCREF,   /* a function of the VM that gave it, for as long as that VM; NULL is null */
    CORDON_EXTERNREF, /* a pointer or number of the host's, below 2^62; NULL is null */
    CORDON_V128,
    CORDON_ANYREF,    /* a reference to an object of the guest's: see cordon_ref_release */
} cordon_type_t;

typedef struct cordon_value {
    cordon_type_t type;
    union {
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
        void *ref;
        uint8_t v128[16]; /* as in memory: the lowest lane first */
    };
} cordon_value_t;

/* A result that is a reference to something of the guest's, an object, an exception or an i31, has
 * the type CORDON_ANYREF, and `ref` keeps it alive until it is released. It can be given as an
 * argument, any number of times, to the VM that it came from. VMs release what is left when they
 * are freed. */
CORDON_API void cordon_ref_release(cordon_vm_t *vm, const cordon_value_t *value);

/* The number of parameters and results of an exported function, and their types: up to `room`
 * of them are written, parameters first. False when there is no such exported function. */
CORDON_API bool cordon_module_signature(const cordon_module_t *module, const char *name,
                                        uint32_t *params, uint32_t *results,
                                        cordon_type_t *types, uint32_t room);

/* ------------------------------------------------------------------ linking */

typedef struct cordon_linker cordon_linker_t;

/* A linker: by name, what the imports of modules are joined to. */
CORDON_API cordon_linker_t *cordon_linker_new(cordon_host_t *host, cordon_error_t *error);
CORDON_API void cordon_linker_free(cordon_linker_t *linker);

/* WASI preview 1 and Cordon's own few calls, with what the VM's config grants. */
CORDON_API void cordon_linker_allow_wasi(cordon_linker_t *linker);

/* Any C function, called through libffi. The signature is C's way round, "f64(f64, f64)", with
 * the words of spec/signature.def:
 *
 *     i32 u32 i64 u64 f32 f64   numbers, for parameters and results; void for no result
 *     *i32 ... *f64   pointer to a number: the guest gives an address, what stands there is copied
 *                     for C, aligned, and copied back when the function returns
 *     buf       void *, size_t: the guest gives address and length; checked
 *     ptr<N>    void *: N bytes at the guest's address; checked
 *     str       const char *: a copy of the text up to its zero byte, at most 1 MiB
 *     text      const char *: the guest gives address and length; a copy with a zero byte behind
 *     fn<...>   pointer to a function with the signature between, as in fn<i32(ptr<4>, ptr<4>)>:
 *               the guest's one of a number in its table 0, as compilers for C number function
 *               pointers. As cordon_export_fn; it is gone when the function returns
 *     vm, user  cordon_vm_t *, void *: nothing of the guest's
 *
 * Addresses are 32 bits wide and in memory 0 of the caller. What is not all there traps before the
 * function is called. Copies are gone when it returns; views (buf, ptr) hold until the guest runs
 * again, and are not aligned.
 *
 * "(ii*~$)i" is understood as WAMR does, with the VM as the function's first parameter; and
 * "i(ii*)" as wasm3 does.
 *
 * The signature must agree with the type of the module's import, which is checked when a VM is
 * made; the error then names both. Names and signature are copied. Of two with the same names the
 * later one counts. While the function runs the guest cannot be suspended, so it should be short.
 * It must not free the VM. It may call the guest (cordon_vm_invoke): then the bytes of `buf` and
 * `ptr` stay where they are, as memory.grow gives -1 meanwhile where the memory would have to
 * move; what they hold may change, like what copies were made of. */
CORDON_API bool cordon_bind(cordon_linker_t *linker, const char *module, const char *name,
                            const char *signature, void (*function)(void),
                            cordon_error_t *error);
/* The same with a pointer of your own, which a parameter `user` gives the function. */
CORDON_API bool cordon_bind_with(cordon_linker_t *linker, const char *module, const char *name,
                                 const char *signature, void (*function)(void), void *user,
                                 cordon_error_t *error);

/* A C function that takes its arguments as an array and writes its result there, without
 * libffi: slots[0...] hold the arguments, as the guest gives them: addresses are not looked at.
 * The result is written to slots[0]. False traps. The signature may have v128 here, which takes
 * two slots, the low half first. */
typedef bool (*cordon_raw_fn)(void *user, cordon_vm_t *vm, uint64_t *slots);
CORDON_API bool cordon_bind_raw(cordon_linker_t *linker, const char *module, const char *name,
                                const char *signature, cordon_raw_fn function, void *user,
                                cordon_error_t *error);

/* From within a host function: when it returns, the guest traps with that text, which is copied.
 * Of several the first counts. Returns false, for raw functions to return. */
CORDON_API bool cordon_vm_trap(cordon_vm_t *vm, const char *text);

/* From within a host function: its answer comes later. When it returns the guest waits, and other
 * VMs run, until somebody completes the call; what the function returns then counts for nothing,
 * unless it traps. Copies and views that it was given are gone as always, and `*word` is copied
 * back when it returns. Kill, pause and CORDON_TIMEOUT work on the guest meanwhile as on one that
 * sleeps, and other threads of the guest run on.
 *
 * The token stands for this one call. It may be completed before the function has returned. 0 when
 * the call cannot wait: outside of a host function, for a second time in one call, or where the
 * guest's memory quota has no room for some 300 bytes; and beneath a function of C's that cannot be
 * suspended, but then the guest traps: cordon_vm_invoke. */
typedef uint64_t cordon_token_t;
CORDON_API cordon_token_t cordon_vm_pend(cordon_vm_t *vm);

/* Complete the call, from any thread: the guest goes on with that result (NULL for a function
 * without one), or traps with the text, which is copied. Each token once; CORDON_MISUSE when it
 * was completed already or its VM is over, and when the function has a result of another type (the
 * call then waits on). A VM may be killed or freed meanwhile, but the host must be there. */
CORDON_API bool cordon_complete(cordon_host_t *host, cordon_token_t token,
                                const cordon_value_t *result, cordon_error_t *error);
CORDON_API bool cordon_complete_trap(cordon_host_t *host, cordon_token_t token, const char *text,
                                     cordon_error_t *error);
/* So too, but by a function that is called like a raw host function in place of the first, by
 * whoever runs the VM then: with the arguments as that has left them, it may write to the guest's
 * memory, trap, or wait for something else by cordon_vm_pend. It is called exactly once; where the
 * VM ended before, with NULL for `vm` and `slots`, so that it can give back what is `user`'s. */
CORDON_API bool cordon_complete_with(cordon_host_t *host, cordon_token_t token,
                                     cordon_raw_fn function, void *user, cordon_error_t *error);

/* The guest's memory 0 and its size in bytes, for host functions that are given addresses in
 * it: that of the module that calls; NULL and 0 when it has none. Check every address against the
 * size. Valid until the guest runs again. */
CORDON_API void *cordon_vm_memory(cordon_vm_t *vm, uint64_t *size);
/* The same of the memory that the guest exports under a name; NULL and 0 too when it exports
 * none. Sizes are whole pages of the guest's, which may be of one byte. */
CORDON_API void *cordon_vm_memory_of(cordon_vm_t *vm, const char *name, uint64_t *size);

/* What modules can import besides functions: a memory (in pages of 64 KiB), a table of references
 * (CORDON_FUNCREF, CORDON_EXTERNREF), a global. Every VM that is made with the linker has its own,
 * charged to it; cordon_vm_instance(vm, module) finds them again. CORDON_UNLIMITED for no maximum.
 * Names are copied. CORDON_MISUSE for a maximum below the minimum, a table of numbers, or a global
 * that begins with a reference to something of a VM's. */
CORDON_API bool cordon_linker_memory(cordon_linker_t *linker, const char *module, const char *name,
                                     uint64_t min_pages, uint64_t max_pages,
                                     cordon_error_t *error);
CORDON_API bool cordon_linker_table(cordon_linker_t *linker, const char *module, const char *name,
                                    cordon_type_t type, uint64_t min, uint64_t max,
                                    cordon_error_t *error);
CORDON_API bool cordon_linker_global(cordon_linker_t *linker, const char *module, const char *name,
                                     const cordon_value_t *value, bool is_mutable,
                                     cordon_error_t *error);

/* Another module, of which every VM that is made with the linker gets an instance of that name
 * before its own module's, as by cordon_vm_add. The module must outlive the VMs. */
CORDON_API bool cordon_linker_module(cordon_linker_t *linker, const char *name,
                                     cordon_module_t *module, cordon_error_t *error);

/* ------------------------------------------------------------------ quotas */

/* The rows of spec/quota.def. */
typedef enum cordon_quota {
    CORDON_MEMORY,   /* bytes: everything the guest makes the host allocate */
    CORDON_STACK,    /* bytes: the guest's call stack */
    CORDON_FDS,      /* open descriptors */
    CORDON_DISK,     /* bytes that it may add below writable directories */
    CORDON_INODES,   /* files and directories that it may add */
    CORDON_CPUS,     /* thousandths of a core: rate of CPU time */
    CORDON_WEIGHT,   /* 1 to 10000: its part of a host's workers when these are busy */
    CORDON_CPU_RESERVE, /* thousandths of a core, at most 1000: what it has of them in any case */
    CORDON_CPU_TIME, /* nanoseconds of CPU time */
    CORDON_TIMEOUT,  /* nanoseconds of wall time */
    CORDON_FUEL,     /* WebAssembly operators */
    CORDON_DISK_RATE,   /* bytes per second: reads and writes of files */
    CORDON_DISK_OPS,    /* per second: operations on files and directories */
    CORDON_NET_RX,      /* bytes received over connections */
    CORDON_NET_TX,      /* bytes sent over connections */
    CORDON_NET_RX_RATE, /* bytes per second */
    CORDON_NET_TX_RATE, /* bytes per second */
    CORDON_CONNECTIONS, /* connections open at once */
    CORDON_TIMERS,      /* subscriptions of polls under way */
    CORDON_LOG_RATE,    /* bytes per second: standard output and error */
    CORDON_THREADS,     /* threads that the guest spawns, at once */
    CORDON_MEMORY_RESERVE, /* bytes that the host keeps for it: cordon_host_total */
    CORDON_CPU_BURST,   /* nanoseconds of CPU time that a rest saves up, besides what 10 ms bring:
                           with CORDON_CPUS, ahead of whose rate it is then for so long */
    CORDON_QUOTA_COUNT
} cordon_quota_t;

#define CORDON_UNLIMITED UINT64_MAX

/* Whether a quota may have that value: weights have a range, and rates of CPU time end at the one
 * core that a VM can use. CORDON_MISUSE says why not. */
CORDON_API bool cordon_quota_check(cordon_quota_t quota, uint64_t value, cordon_error_t *error);

/* The key of the row: "memory", "cpu_time". */
CORDON_API const char *cordon_quota_name(cordon_quota_t quota);

/* ------------------------------------------------------------------ private volumes
 *
 * A store is a directory of the host with volumes in it, whose names and contents are sealed with a
 * key for each (spec/volume.md). The keys of volumes that are kept are wrapped with the host key,
 * which is in a file on another device, and changes when a volume is removed: what was copied of
 * the store before opens nothing afterwards. Ephemeral volumes have their key in memory alone.
 *
 * A store is locked while it is open: open it for a moment. One thread at a time. */
typedef struct cordon_store cordon_store_t;

/* For a process that has nothing else to do with OpenSSL's libcrypto: from now on what that
 * allocates, the round keys of volumes among it, is in locked memory, in no core dump, and wiped
 * when it is freed. To be called once, before anything of it is used; false when that is too late.
 * Without it a program that embeds Cordon has these in its heap while they are used: wiped
 * afterwards, but not locked. Takes some 600 KiB of what may be locked (RLIMIT_MEMLOCK); what is
 * beyond the limit is not locked. */
CORDON_API bool cordon_lock_ciphers(void);

/* Makes what is not there. `key_file` may be NULL: then there are ephemeral volumes and lists. A
 * key file on the store's own device is refused (CORDON_MISUSE) unless `on_same_disk`, which gives
 * up the claim that what is removed is erased; `may_make_key` makes one for a store that is new.
 * Finishes what a process that was ended had begun. NULL with CORDON_IO, CORDON_QUOTA. */
typedef struct cordon_store_options {
    const char *path, *key_file;
    bool on_same_disk, may_make_key;
} cordon_store_options_t;
CORDON_API cordon_store_t *cordon_store_open(const cordon_store_options_t *options,
                                             cordon_error_t *error);
/* NULL is fine. Volumes that were given to a config stay. */
CORDON_API void cordon_store_close(cordon_store_t *store);

/* A volume that may hold so many bytes (in blocks of 4 KiB), and so many files, directories and
 * links; CORDON_UNLIMITED: as many as CORDON_DISK and CORDON_INODES say of the VM that has it. */
CORDON_API bool cordon_store_create(cordon_store_t *store, const char *name, uint64_t size,
                                    uint64_t inodes, cordon_error_t *error);

/* Destroys its key, removes its files, and writes a signed record, in this order. */
CORDON_API bool cordon_store_remove(cordon_store_t *store, const char *name,
                                    cordon_error_t *error);

typedef struct cordon_volume_info {
    char name[64];
    uint64_t size, inodes; /* that it may hold */
    uint64_t created;      /* seconds since 1970 */
    bool in_use;
} cordon_volume_info_t;

/* Volume number `index`; false when there are no more. */
CORDON_API bool cordon_store_list(const cordon_store_t *store, uint32_t index,
                                  cordon_volume_info_t *info);

/* What is in a volume, and what is wrong with it. All that is wrong is 0 in a volume that is
 * sound. */
typedef struct cordon_volume_report {
    uint64_t files, dirs, links, bytes;
    uint64_t foreign;   /* wrong: names that were not written by a VM of this volume */
    uint64_t unopened;  /* wrong: files and links that do not open */
    uint64_t blocks;    /* wrong: blocks that are damaged */
    uint64_t leftovers; /* what a VM that was ended was about to make; removed */
    bool is_incomplete; /* wrong: it could not be read through */
} cordon_volume_report_t;

/* Reads all of it. CORDON_MISUSE when it is in use. True is not yet sound. */
CORDON_API bool cordon_store_check(cordon_store_t *store, const char *name,
                                   cordon_volume_report_t *report, cordon_error_t *error);
/* How many records of removed volumes there are, and how many of them are as they were signed. */
CORDON_API bool cordon_store_check_records(cordon_store_t *store, uint64_t *all, uint64_t *good,
                                           cordon_error_t *error);

/* Writes what is in it, in clear, as a tar archive to the descriptor. */
CORDON_API bool cordon_store_export(cordon_store_t *store, const char *name, int fd,
                                    cordon_error_t *error);

/* ------------------------------------------------------------------ what a VM is given */

typedef struct cordon_config cordon_config_t;

/* Nothing granted: no arguments, no environment, closed stdio, no directories; default quotas. */
CORDON_API cordon_config_t *cordon_config_new(cordon_error_t *error);
/* Closes what it opened; VMs made from it keep what they were given. */
CORDON_API void cordon_config_free(cordon_config_t *config);

CORDON_API bool cordon_config_arg(cordon_config_t *config, const char *text,
                                  cordon_error_t *error);
/* "KEY=value"; of two with the same key the later one counts. */
CORDON_API bool cordon_config_env(cordon_config_t *config, const char *text,
                                  cordon_error_t *error);
/* Descriptor `number` (0, 1, 2) of the guest is the host's `fd`, which stays the caller's and
 * whose flags are never changed. What is written to a terminal is filtered: escape sequences but
 * colours and movement within the line are shown as "?". */
CORDON_API bool cordon_config_stdio(cordon_config_t *config, int number, int fd,
                                    cordon_error_t *error);
/* Functions in place of descriptors: what the guest reads comes from one, what it writes goes to
 * one, whose rate is CORDON_LOG_RATE as always. Called by whoever runs the VM, within a system
 * call: they should be short, and must use nothing of the VM but its control. They return how
 * many bytes they have put there or taken, fewer than asked for as they like; 0 from reading is
 * the end. CORDON_LATER: not now, the guest waits (and others run) until cordon_ctl_go_on; what
 * was not taken is offered again. CORDON_BROKEN: the guest gets an error (EIO, EPIPE). Nothing is
 * filtered. Not for cells, which are in another process. */
#define CORDON_LATER (-1)
#define CORDON_BROKEN (-2)
typedef int64_t (*cordon_read_fn)(void *user, cordon_vm_t *vm, void *bytes, size_t room);
typedef int64_t (*cordon_write_fn)(void *user, cordon_vm_t *vm, const void *bytes, size_t size);
CORDON_API bool cordon_config_input(cordon_config_t *config, cordon_read_fn read, void *user,
                                    cordon_error_t *error);
CORDON_API bool cordon_config_output(cordon_config_t *config, int number, cordon_write_fn write,
                                     void *user, cordon_error_t *error);
/* A directory of the host, opened now, under the name `guest`. */
CORDON_API bool cordon_config_dir(cordon_config_t *config, const char *path, const char *guest,
                                  bool read_only, cordon_error_t *error);
/* A private volume of an open store, under the name `guest`: see cordon_store_open. */
typedef struct cordon_volume {
    const char *name;   /* of one that is kept; NULL: an ephemeral one, made now */
    const char *guest;  /* what the guest calls it */
    bool read_only;
    uint64_t size, inodes; /* what it may hold for this VM; 0: as it was made, and where it was
                              made without, CORDON_DISK and CORDON_INODES */
} cordon_volume_t;

/* The volume is locked for this config and the VMs made from it, and its key is in this process's
 * memory until the last of them is gone (an ephemeral one's is made with the VM, by its process).
 * One VM at a time has it. CORDON_MISUSE: there is none, or
 * it is in use; CORDON_QUOTA: no memory can be locked; CORDON_IO. */
CORDON_API bool cordon_config_volume(cordon_config_t *config, cordon_store_t *store,
                                     const cordon_volume_t *volume, cordon_error_t *error);
/* Takes the volumes from the config again, as if they had not been given: keys are wiped, unless
 * VMs of this process have them. What cordon_cell_new was given is the cell's. */
CORDON_API void cordon_config_close_volumes(cordon_config_t *config);

/* A volume on its way to another process, which may open neither store nor host key: a locked
 * directory, and a pipe from which its key can be read once; -1 for an ephemeral volume, whose key
 * is made by the process that uses it. */
typedef struct cordon_lent {
    int dir, key;          /* descriptors */
    uint64_t size, inodes; /* what it may hold; CORDON_UNLIMITED: as the VM's quotas say */
} cordon_lent_t;

/* Opens a volume for another process; `guest` and `read_only` are not looked at. The descriptors
 * are the caller's to close; the volume stays locked as long as anybody has that of the directory.
 * Fails as cordon_config_volume. */
CORDON_API bool cordon_store_lend(cordon_store_t *store, const cordon_volume_t *volume,
                                  cordon_lent_t *lent, cordon_error_t *error);
/* In the other process, for a config of its own; the descriptors stay the caller's. CORDON_MISUSE
 * for what nobody lends. */
CORDON_API bool cordon_config_lent(cordon_config_t *config, const cordon_lent_t *lent,
                                   const char *guest, bool read_only, cordon_error_t *error);

/* A listening socket on "HOST:PORT" or "[V6]:PORT" (a numeric address), bound now; *port is the
 * port, which matters when 0 was asked for; `port` may be NULL. */
CORDON_API bool cordon_config_listen(cordon_config_t *config, const char *address,
                                     uint16_t *port, cordon_error_t *error);
/* The same from descriptors that are open already, for a process that was handed them by another:
 * a directory, and a listening TCP socket. They are duplicated; the caller's stay its own. */
CORDON_API bool cordon_config_dir_fd(cordon_config_t *config, int fd, const char *guest,
                                     bool read_only, cordon_error_t *error);
CORDON_API bool cordon_config_listener_fd(cordon_config_t *config, int fd, uint16_t *port,
                                          cordon_error_t *error);
CORDON_API bool cordon_config_limit(cordon_config_t *config, cordon_quota_t quota,
                                    uint64_t value, cordon_error_t *error);
/* Keeps the disk's books in a file, which is empty at first or was given so before: VMs made from
 * the config go on with what stands there, one at a time, so that what a VM adds to its directories
 * counts against CORDON_DISK and CORDON_INODES of those that come after it. It is written to as
 * things change: a VM whose process dies has not got away with anything, and the next one compares
 * the books with the directories first. The descriptor is duplicated; it is open for reading and
 * writing. */
CORDON_API bool cordon_config_ledger(cordon_config_t *config, int fd, cordon_error_t *error);

/* For tests of Cordon itself: stop at every safepoint; move memory on every growth; collect the
 * heap at every allocation. */
CORDON_API void cordon_config_test_mode(cordon_config_t *config, bool preempt_everywhere,
                                        bool move_on_grow, bool collect_everywhere);

/* ------------------------------------------------------------------ virtual machines */

/* How a run ended. */
typedef enum cordon_end {
    CORDON_END_NONE,   /* nothing has run yet */
    CORDON_END_RETURN, /* the function returned */
    CORDON_END_EXIT,   /* the guest exited: exit_code */
    CORDON_END_TRAP,   /* the guest trapped: message, frames */
    CORDON_END_QUOTA,  /* a quota ended it: quota */
    CORDON_END_KILLED, /* cordon_ctl_kill: signal */
    CORDON_END_ERROR,  /* Cordon could not go on: message */
} cordon_end_t;

typedef struct cordon_frame {
    char module[32];     /* the name of its instance, cut when longer; "" for the main one */
    char function[64];   /* its name, cut when longer; "" for none */
    uint32_t index;      /* in the module */
    uint64_t offset;     /* of the operator, in the module's file */
} cordon_frame_t;

#define CORDON_FRAMES_MAX 16

typedef struct cordon_result {
    cordon_end_t end;
    int exit_code;       /* what `cordon run` would exit with */
    cordon_quota_t quota; /* which one ended it, or kept a call stack that trapped from growing;
                             CORDON_QUOTA_COUNT when none */
    int signal;
    char message[256];
    uint32_t frame_count;
    cordon_frame_t frames[CORDON_FRAMES_MAX];
} cordon_result_t;

typedef struct cordon_stats {
    uint64_t wall_ns, cpu_ns, fuel;
    uint64_t used[CORDON_QUOTA_COUNT];
    uint64_t peak[CORDON_QUOTA_COUNT];
    uint64_t limit[CORDON_QUOTA_COUNT];
    uint64_t refused[CORDON_QUOTA_COUNT]; /* how often a quota said no */
    uint64_t net_in, net_out, connections, file_read, file_written;
    uint64_t foreign_calls; /* of its functions through C's pointers, refused: cordon_export_fn */
    bool is_paused; /* cordon_ctl_pause has come true: all its threads stand at safepoints */
} cordon_stats_t;

/* Makes a VM: joins imports, allocates memories and tables, and charges all of it. Nothing of
 * the guest runs yet. CORDON_LINK, CORDON_QUOTA, CORDON_TRAP (a segment does not fit). The
 * config is not needed afterwards; the linker must outlive the VM. The module's instance is named
 * "main"; without a module (NULL) it is for cordon_vm_add to add one. */
CORDON_API cordon_vm_t *cordon_vm_new(cordon_host_t *host, cordon_module_t *module,
                                      const cordon_linker_t *linker,
                                      const cordon_config_t *config, cordon_error_t *error);
/* Gives back everything the VM holds. */
CORDON_API void cordon_vm_free(cordon_vm_t *vm);

/* Runs the main module's start function, then "_start" (or, where there is none, only
 * "_initialize"). False when a command was expected and there is neither; otherwise *result
 * says how it ended. */
CORDON_API bool cordon_vm_run(cordon_vm_t *vm, cordon_result_t *result, cordon_error_t *error);

/* Calls an exported function; before the first call the start function and "_initialize" are
 * run. False when there is no such function, the arguments do not fit its type, or another thread
 * uses the VM (CORDON_MISUSE). After a run that ended otherwise than by returning, nothing runs any
 * more: the same end is reported.
 *
 * A host function may call the guest that has called it, on the thread that it is called on, and so
 * on, 200 times in one another (spec/limits.def), each with a call stack of its own. Beneath your C
 * frames a guest cannot be suspended: it goes on when its slice is over, and that counts as used;
 * it goes on when it is paused, until your function has returned; and what would have to wait (a
 * sleep, an accept, a read of what is not there yet, a wait for another thread) traps `cannot
 * suspend through native frame`. Kills, time limits and all other quotas end it as ever. When a
 * call ends otherwise than by returning, the VM has ended: *result says how. Your function should
 * return, whatever it returns; further calls run nothing and report the same; the guest does not go
 * on, and how the outermost call ended is just that, with the frames of all levels. */
CORDON_API bool cordon_vm_invoke(cordon_vm_t *vm, const char *name,
                                 const cordon_value_t *arguments, uint32_t argument_count,
                                 cordon_value_t *results, uint32_t result_room,
                                 cordon_result_t *result, cordon_error_t *error);

/* What it has used so far. The CPU time of calls that are over within some 5 us, call no host
 * function and have no limit of time or of its rate is not measured, but taken from their fuel, and
 * 60 ns for each. */
CORDON_API void cordon_vm_stats(const cordon_vm_t *vm, cordon_stats_t *stats);

/* ------------------------------------------------------------------ in steps
 *
 * For an event loop of one's own: a VM runs for at most so much fuel and time, and then the caller
 * has its thread back. Any number of VMs can be run so, in turns, on one thread.
 *
 *     cordon_vm_begin(vm, NULL, NULL, 0, &error);
 *     while (cordon_vm_step(vm, 10000, CORDON_UNLIMITED, NULL) != CORDON_OVER)
 *         ...;
 *     cordon_vm_end(vm, NULL, 0, &result, &error);
 */

/* Begins what cordon_vm_run does (with `name` NULL), or a call as by cordon_vm_invoke. Nothing runs
 * yet. From here to cordon_vm_end the VM cannot be run otherwise; it can be freed. False as these
 * say, and CORDON_MISUSE when it runs already. */
CORDON_API bool cordon_vm_begin(cordon_vm_t *vm, const char *name,
                                const cordon_value_t *arguments, uint32_t argument_count,
                                cordon_error_t *error);

typedef enum cordon_state {
    CORDON_AGAIN, /* it wants to go on: the fuel or the time of the step is used up */
    CORDON_WAIT,  /* there is nothing to do for it until something happens */
    CORDON_OVER,  /* it has ended: cordon_vm_end */
} cordon_state_t;

typedef struct cordon_step {
    cordon_state_t state;
    uint64_t fuel;     /* that it used */
    uint64_t until_ns; /* with CORDON_WAIT: the moment of CLOCK_MONOTONIC when to go on at the
                          latest; UINT64_MAX for none */
} cordon_step_t;

/* Lets it run for at most so much fuel and so many nanoseconds; CORDON_UNLIMITED for as long as it
 * has something to do. `step` may be NULL. A step of fuel is the same on every machine: the guest
 * stops before the first block of its code that costs more than is left, and that rest is kept for
 * the next step, so that whoever gives it n in all has it use n at most, and even steps of 1 come
 * to the end. Time is looked at some 200 times in a millisecond; a host function is not
 * interrupted. Quotas hold as always. CORDON_OVER also when nothing was begun.
 *
 * While it waits it may be given a step at any time, which does no harm. */
CORDON_API cordon_state_t cordon_vm_step(cordon_vm_t *vm, uint64_t fuel, uint64_t ns,
                                         cordon_step_t *step);

/* A descriptor for poll, epoll or uv_poll: readable when the VM is to be given its next step. That
 * is at once when something was begun, and after CORDON_AGAIN; after CORDON_WAIT when `until_ns`
 * has come, something it waits for has happened, a host function was completed, or its control
 * wants something of it. It belongs to the VM: do not close it. -1 with CORDON_IO when descriptors
 * are exhausted. */
CORDON_API int cordon_vm_descriptor(cordon_vm_t *vm, cordon_error_t *error);

/* How it ended, and up to `result_room` of what the function returned; then something else can be
 * begun. CORDON_MISUSE when it is not over, and when nothing was begun. */
CORDON_API bool cordon_vm_end(cordon_vm_t *vm, cordon_value_t *results, uint32_t result_room,
                              cordon_result_t *result, cordon_error_t *error);

/* ------------------------------------------------------------------ several modules in a VM */

/* An instance: a module in a VM, which may have several. It lives as long as the VM, and is used
 * as the VM is: by one thread at a time, and not while the host's workers run it. */
typedef struct cordon_instance cordon_instance_t;

/* Adds an instance of another module to the VM. What it imports is looked for by its module's name
 * among the instances that are there already, whose exports of all kinds can be imported, then
 * among the linker's functions, then in WASI. So instances share functions, memories, tables,
 * globals and tags; all of them have one account, one set of descriptors, one call stack. The one
 * named "main" is what cordon_vm_run and cordon_vm_invoke mean.
 *
 * Nothing runs yet: its start function and "_initialize" are run before the next call, those of
 * all instances in the order in which they were added. In a VM of several modules, or with a table
 * of the linker's, guests cannot spawn threads. NULL with CORDON_MISUSE while the guest runs, has
 * threads or has ended, or when there is an instance of that name; else as cordon_vm_new. */
CORDON_API cordon_instance_t *cordon_vm_add(cordon_vm_t *vm, const char *name,
                                            cordon_module_t *module, cordon_error_t *error);

/* The instance of that name; NULL when there is none. For a name under which the linker has
 * memories, tables and globals, these are what it exports. */
CORDON_API cordon_instance_t *cordon_vm_instance(cordon_vm_t *vm, const char *name);

/* cordon_vm_invoke, and cordon_vm_memory_of, of any instance. */
CORDON_API bool cordon_instance_invoke(cordon_instance_t *instance, const char *name,
                                       const cordon_value_t *arguments, uint32_t argument_count,
                                       cordon_value_t *results, uint32_t result_room,
                                       cordon_result_t *result, cordon_error_t *error);
CORDON_API void *cordon_instance_memory(cordon_instance_t *instance, const char *name,
                                        uint64_t *size);

/* Makes an exported memory so many pages larger (its own pages: 64 KiB mostly), as by memory.grow:
 * addresses that were had of it are void then. CORDON_NO_EXPORT; CORDON_MISUSE beyond its maximum;
 * CORDON_QUOTA when the VM's memory quota does not allow it, or a function of C's has pointers into
 * it and it would have to move. */
CORDON_API bool cordon_instance_memory_grow(cordon_instance_t *instance, const char *name,
                                            uint64_t pages, cordon_error_t *error);

/* An exported function as a CORDON_FUNCREF, for cordon_vm_call: who calls one often looks for its
 * name once. Good for as long as the VM. CORDON_NO_EXPORT. */
CORDON_API bool cordon_instance_func(cordon_instance_t *instance, const char *name,
                                     cordon_value_t *function, cordon_error_t *error);

/* Calls a function that a CORDON_FUNCREF of this VM refers to: an export, a result, a global, an
 * element. */
CORDON_API bool cordon_vm_call(cordon_vm_t *vm, const cordon_value_t *function,
                               const cordon_value_t *arguments, uint32_t argument_count,
                               cordon_value_t *results, uint32_t result_room,
                               cordon_result_t *result, cordon_error_t *error);

/* A function of the guest's as a pointer of C: an exported one, or what a CORDON_FUNCREF refers to
 * (a result, an element of a table). To be cast to the type that the signature says: numbers, and
 * pointers, which have to be NULL or point into the memory 0 of the function's module: the guest
 * gets their addresses in it. So `qsort` sorts the guest's memory by "i32(ptr<4>, ptr<4>)". For
 * `ptr<N>` and `*word` N bytes have to be there, for `buf` as many as the second parameter says;
 * else the guest traps. While such a call is under way the guest's memory does not move
 * (memory.grow gives -1 instead), so that C can have pointers into it.
 *
 * It may be called from a host function that the guest has called, on the thread that this is
 * called on, with all that cordon_vm_invoke says of such calls; or, like that, while nothing of the
 * VM runs. When the guest ends in it, by a trap or a quota, it returns zero, and so do all further
 * calls without that anything runs, until C has returned to the guest, which then ends with the
 * first reason; called from outside, the next cordon_vm_invoke or cordon_vm_wait says how it ended.
 * A call from another thread while the VM is in use does nothing: it returns zero, and is counted
 * (cordon_stats_t, foreign_calls). C functions that are given one have to bear whatever it answers:
 * it is the guest that compares, or counts.
 *
 * NULL with CORDON_NO_EXPORT, with CORDON_MISUSE when the signature does not agree with the
 * function's type (both are named), and with CORDON_LOCKED in a process that can make no executable
 * memory: after cordon_sandbox_enter, or under a filter that refuses it. The code is never in a
 * page that is writable and executable at once. The pointer is the VM's until cordon_fn_free or
 * cordon_vm_free. A stale one returns zero while the host lives, until its place is given to
 * another function one day. */
typedef void (*cordon_c_fn)(void);
CORDON_API cordon_c_fn cordon_export_fn(cordon_vm_t *vm, const char *name, const char *signature,
                                        cordon_error_t *error);
CORDON_API cordon_c_fn cordon_vm_fn(cordon_vm_t *vm, const cordon_value_t *function,
                                    const char *signature, cordon_error_t *error);
CORDON_API void cordon_fn_free(cordon_vm_t *vm, cordon_c_fn function);

/* An exported global's value. CORDON_NO_EXPORT; CORDON_MISUSE when it is constant, or the value is
 * of another type. */
CORDON_API bool cordon_instance_global(cordon_instance_t *instance, const char *name,
                                       cordon_value_t *value, cordon_error_t *error);
CORDON_API bool cordon_instance_set_global(cordon_instance_t *instance, const char *name,
                                           const cordon_value_t *value, cordon_error_t *error);

/* An exported table's size and elements. CORDON_MISUSE when there is no element of that number. */
CORDON_API bool cordon_instance_table_size(cordon_instance_t *instance, const char *name,
                                           uint64_t *size, cordon_error_t *error);
CORDON_API bool cordon_instance_table_get(cordon_instance_t *instance, const char *name,
                                          uint64_t index, cordon_value_t *value,
                                          cordon_error_t *error);
CORDON_API bool cordon_instance_table_set(cordon_instance_t *instance, const char *name,
                                          uint64_t index, const cordon_value_t *value,
                                          cordon_error_t *error);
/* `count` more elements, all of that value, as by table.grow. CORDON_MISUSE for a value of another
 * type, and beyond the table's maximum; CORDON_QUOTA when the memory quota does not allow it. */
CORDON_API bool cordon_instance_table_grow(cordon_instance_t *instance, const char *name,
                                           uint64_t count, const cordon_value_t *value,
                                           cordon_error_t *error);

/* ------------------------------------------------------------------ many at once */

/* Starts `workers` threads (0: one per core that the process may use) that run the host's VMs in
 * turns of 0.2 to 2 ms, and share CPU time among them by weight, reservation and limit
 * (CORDON_WEIGHT, CORDON_CPU_RESERVE, CORDON_CPUS). One more thread waits for what VMs wait for.
 * They live as long as the host, and have all signals blocked. CORDON_IO. */
CORDON_API bool cordon_host_start(cordon_host_t *host, uint32_t workers, cordon_error_t *error);

/* Puts a control group of the kernel's (cgroups v1 or v2) around the process of each cell that is
 * started from now on: a fence that stops what gets past the VM's quotas, with room for what they
 * allow. `what`, which may be NULL, is told what is fenced ("memory, pids (cgroup v1)"). CORDON_IO
 * when no group was delegated to this process: then there is no fence, and nothing else differs.
 * With v2 this process may move into a group of its own below the one it is in, until the host is
 * freed. Before the first cell is made, once. */
CORDON_API bool cordon_host_fence(cordon_host_t *host, char *what, size_t what_room,
                                  cordon_error_t *error);

/* Runs the VM as cordon_vm_run does, but on the host's workers: comes back at once. `done`, which
 * may be NULL, is called by one of the workers when the VM has ended. It should be short and must
 * not free the VM or wait for it. Until it has been called, only the VM's control may be used, and
 * cordon_vm_free, which kills the VM and waits. CORDON_QUOTA when the host cannot promise the
 * reservation: all of them together come to nine tenths of its workers at most. */
typedef void (*cordon_done_fn)(void *user, cordon_vm_t *vm, const cordon_result_t *result);
CORDON_API bool cordon_vm_start(cordon_vm_t *vm, cordon_done_fn done, void *user,
                                cordon_error_t *error);
/* So too, but a call as by cordon_vm_invoke. When it has ended, in `done` or later, cordon_vm_end
 * says how, and gives what the function returned; then something else can be started. Fails as
 * cordon_vm_start and cordon_vm_begin do. */
CORDON_API bool cordon_vm_start_call(cordon_vm_t *vm, const char *name,
                                     const cordon_value_t *arguments, uint32_t argument_count,
                                     cordon_done_fn done, void *user, cordon_error_t *error);
/* Waits until a started VM has ended, and `done` has returned. */
CORDON_API void cordon_vm_wait(cordon_vm_t *vm, cordon_result_t *result);

/* In place of cordon_host_start: the host gets no threads, and what cordon_vm_start starts runs
 * within cordon_host_step, on the thread that calls that. This thread is the one worker then: the
 * host chooses whose turn is next, by weight, reservation and limit as above (what is reserved is a
 * part of the time that it is given), and `done` is called in there. So many VMs can run under all
 * their quotas on the thread of an event loop:
 *
 *     cordon_host_begin(host, &error);
 *     cordon_vm_start(vm, done, user, &error);      any number of them, at any time
 *     int fd = cordon_host_descriptor(host, &error);
 *     ... whenever fd is readable:
 *         cordon_host_step(host, 2000000, NULL);
 *
 * Turns that block, as in a function of yours that waits, keep the other VMs waiting, too. There
 * are no cells. CORDON_MISUSE when the host has workers, or has begun already; CORDON_IO. */
CORDON_API bool cordon_host_begin(cordon_host_t *host, cordon_error_t *error);

/* Gives turns to the host's VMs for about so many nanoseconds (CORDON_UNLIMITED: for as long as one
 * has something to do): one turn at least, if somebody is ready, and none that takes more than is
 * left, or 50 us. A turn ends at a safepoint of the guest's, and when a function of yours has
 * returned.
 *
 * CORDON_AGAIN when a VM is ready to go on; CORDON_WAIT when there is nothing to do until something
 * happens, or until the moment of CLOCK_MONOTONIC that is written to `until_ns`, which may be NULL
 * (0 with CORDON_AGAIN, UINT64_MAX for none); CORDON_OVER when no started VM is left.
 *
 * Any thread may call it, one at a time: while another is in there, or from within a function that
 * it has called, nothing is done, and it returns CORDON_AGAIN. It may be called at any time, which
 * does no harm. cordon_vm_wait and cordon_vm_free of a started VM give turns until that has ended;
 * they may not be called from within. */
CORDON_API cordon_state_t cordon_host_step(cordon_host_t *host, uint64_t ns, uint64_t *until_ns);

/* A descriptor for poll, epoll or uv_poll: readable when cordon_host_step should be called, because
 * a VM was started, is ready, was completed or is wanted something of by its control, because what
 * one waits for has happened, or its moment has come. It belongs to the host: do not close it. -1
 * with CORDON_MISUSE without cordon_host_begin, with CORDON_IO when descriptors are exhausted. */
CORDON_API int cordon_host_descriptor(cordon_host_t *host, cordon_error_t *error);

#define CORDON_OVERRUNS 16

typedef struct cordon_host_stats {
    uint32_t workers;  /* 0 before cordon_host_start; 1 after cordon_host_begin */
    uint32_t vms;      /* started and not ended */
    uint32_t runnable; /* of these: running, or waiting for nothing but their turn */
    uint64_t reserved; /* thousandths of a core that are promised */
    uint64_t memory, memory_total; /* bytes that VMs have or reserve; cordon_host_total */
    uint64_t busy_ns;  /* CPU time of all turns so far */
    uint64_t turns;
    uint64_t overruns[CORDON_OVERRUNS]; /* entry i: turns that took 2^i us of CPU time and more
                                           beyond the slice they were given */
} cordon_host_stats_t;
CORDON_API void cordon_host_stats(cordon_host_t *host, cordon_host_stats_t *stats);

/* ------------------------------------------------------------------ control */

typedef struct cordon_ctl cordon_ctl_t;

/* The VM's control, which lives as long as the VM; its functions may be called by any thread. */
CORDON_API cordon_ctl_t *cordon_vm_ctl(cordon_vm_t *vm);
/* Ends the guest within milliseconds, wherever it is. `signal` is reported; the exit code
 * becomes 128 + signal. Safe in signal handlers. */
CORDON_API void cordon_ctl_kill(cordon_ctl_t *ctl, int signal);
/* It stops at its next safepoint, within about a millisecond unless it waits in a call of the
 * host's; the statistics say when it has. */
CORDON_API void cordon_ctl_pause(cordon_ctl_t *ctl);
CORDON_API void cordon_ctl_resume(cordon_ctl_t *ctl);
/* Changes a quota, from the guest's next slice on (within some two milliseconds while it runs).
 * One below what is in use takes nothing away, but refuses more. CORDON_STACK counts up to 1 GiB,
 * or to what it was when the VM was made if that was more. False for numbers that are no quota, for
 * values that it cannot have, and for a reservation that the host cannot promise. */
CORDON_API bool cordon_ctl_limit(cordon_ctl_t *ctl, cordon_quota_t quota, uint64_t value);
/* The function that is standard stream `number` (cordon_config_input) is worth calling again. */
CORDON_API void cordon_ctl_go_on(cordon_ctl_t *ctl, int number);
/* The figures as they were at the end of the guest's last slice; of calls that take a few
 * microseconds each, up to a millisecond before that. */
CORDON_API void cordon_ctl_stats(cordon_ctl_t *ctl, cordon_stats_t *stats);

/* ------------------------------------------------------------------ the process's own sandbox */

/* The layers of the sandbox, in the order in which they are put up: the rows of
 * spec/sandbox.def, which says what each is and needs, and which system calls are left. */
typedef enum cordon_layer {
    CORDON_LAYER_OPENAT2,
    CORDON_LAYER_LIMITS,
    CORDON_LAYER_USER,
    CORDON_LAYER_DUMPABLE,
    CORDON_LAYER_MDWE,
    CORDON_LAYER_NO_NEW_PRIVS,
    CORDON_LAYER_LANDLOCK,
    CORDON_LAYER_TRUNCATE,
    CORDON_LAYER_NETWORK,
    CORDON_LAYER_DEVICES,
    CORDON_LAYER_SCOPE,
    CORDON_LAYER_SECCOMP,
    CORDON_LAYER_COUNT
} cordon_layer_t;

/* What the process will still have to do. All zero: one VM on the calling thread, with the
 * standard streams of its own and nothing else. */
typedef struct cordon_sandbox {
    cordon_config_t *config;  /* the directories, listeners and standard streams that VMs made from
                                 it are given; may be NULL */
    const int *dirs;          /* more directories, as descriptors, for reading and writing */
    uint32_t dir_count;
    bool has_threads;         /* cordon_host_start will be called */
    bool has_sockets;         /* the process itself sends and receives over a socket */
    bool dies_with_parent;    /* the kernel kills it when the thread that started it ends */
    bool is_best_effort;      /* go without the layers that this kernel lacks */
    bool is_strict;           /* lock memory first, as cordon_lock_memory does; where that has a
                                 bound, there is no memory beyond it */
    bool has_user;            /* become `user` and `group`; otherwise root becomes the owner of
                                 the first directory granted for writing, else of the first
                                 directory, else nobody (65534), and others stay who they are;
                                 volumes are given to whoever it becomes */
    uint32_t user, group;
} cordon_sandbox_t;

typedef struct cordon_sandbox_report {
    bool active[CORDON_LAYER_COUNT];
    int landlock_abi;         /* of the kernel; 0 when it has none */
    uint32_t user, group;     /* who the process is now: 0 only where root's own directories are
                                 granted, and never without CORDON_LAYER_LANDLOCK */
} cordon_sandbox_report_t;

/* Locks the memory of the calling process, for good: none that can be written is ever swapped out,
 * of what there is and of what will be, nor of what its VMs will have. Pages are locked when they
 * are touched. RLIMIT_MEMLOCK is raised to have no bound, which root may do, and others where there
 * was none; without that, and without CAP_IPC_LOCK, it fails (CORDON_IO). Builds with a sanitizer
 * lock nothing. */
CORDON_API bool cordon_lock_memory(cordon_error_t *error);

/* Locks the calling process, for good: resource limits; no capabilities, no root; no core dumps;
 * no new privileges; Landlock; seccomp; and tries acts which these must stop. Afterwards no path
 * can be opened but those beneath the granted directories, so all that is needed must be open:
 * the module's file, the config's directories and listeners. To be called by the only thread
 * that there is, before a module is read; the library never does so by itself, as a process with
 * anything else to do would not survive it.
 *
 * A system call that Cordon never makes ends the process by SIGSYS; a handler, which must be
 * installed before, can say so (cordon_sandbox_call). Other calls that are not in the rows fail
 * with EPERM.
 *
 * False when a layer cannot be had, an act was not stopped (CORDON_IO), or there are other
 * threads (CORDON_MISUSE); some of the layers may stand then, and the process should end. */
CORDON_API bool cordon_sandbox_enter(const cordon_sandbox_t *sandbox,
                                     cordon_sandbox_report_t *report, cordon_error_t *error);

/* What the kernel offers: `active` says which layers could be had. Changes nothing. */
CORDON_API void cordon_sandbox_probe(cordon_sandbox_report_t *report);

/* A layer's key in spec/sandbox.def: "landlock". */
CORDON_API const char *cordon_layer_key(cordon_layer_t layer);

/* The name of the system call of that number (si_syscall of a SIGSYS), if it is one that ends the
 * process; NULL for others. Safe in signal handlers. */
CORDON_API const char *cordon_sandbox_call(int number);
/* ------------------------------------------------------------------ a process of its own */

/* A cell: a VM that another process makes and runs, in turns that this host's workers give it. It
 * shares CPU time and memory with the host's other VMs as if it were in this process, and a bug in
 * Cordon that its guest makes use of reaches that process alone, which holds nothing but what the
 * VM was given. What the process says is not believed further than its own VM: CPU time is the
 * kernel's count of the whole process. A process that dies is an end of its VM like others. */
typedef struct cordon_cell cordon_cell_t;

/* For the module in a file, which the process will read; the descriptor stays the caller's, and so
 * does the config, whose descriptors are sent when the cell starts. CORDON_QUOTA when the host has
 * not the memory that is reserved. */
CORDON_API cordon_cell_t *cordon_cell_new(cordon_host_t *host, const cordon_config_t *config,
                                          int module, cordon_error_t *error);

/* Called by the host's workers, and short: when the process has made the VM, and when all is over.
 * If it could not be made the end is CORDON_END_ERROR, the message says why and exit_code what
 * `cordon run` would exit with; CORDON_END_ERROR too, with exit code 125, when the process died. */
typedef struct cordon_cell_events {
    void (*made)(void *user, cordon_cell_t *cell);
    void (*ended)(void *user, cordon_cell_t *cell, const cordon_result_t *result);
    void *user;
} cordon_cell_events_t;

/* `pid` is a child of this process, which calls (or will call) cordon_cell_inside with the other
 * end of `socket`, a pair of connected Unix stream sockets. Both are taken over, whether this
 * succeeds or not: the cell waits for the child, and kills it if need be. Once per cell. Events may
 * be NULL. CORDON_MISUSE without workers (cordon_host_start), CORDON_QUOTA when the reservation of
 * CPU time cannot be promised, CORDON_IO. */
CORDON_API bool cordon_cell_start(cordon_cell_t *cell, int pid, int socket,
                                  const cordon_cell_events_t *events, cordon_error_t *error);

/* Its control, as cordon_vm_ctl; it lives as long as the cell. A process that does not end its VM
 * within 50 ms after cordon_ctl_kill is killed itself. */
CORDON_API cordon_ctl_t *cordon_cell_ctl(cordon_cell_t *cell);
/* Waits until a started cell has ended, and `ended` has returned. */
CORDON_API void cordon_cell_wait(cordon_cell_t *cell, cordon_result_t *result);
/* Kills what still runs, and waits for the process to end. NULL is fine. */
CORDON_API void cordon_cell_free(cordon_cell_t *cell);

/* In the child: makes the VM that comes over the socket and runs it to its end, in the turns that
 * are given. WASI is what its imports can be joined to. Before the module is read `lock` is called
 * (unless it is NULL): there the process gives up what the config does not need. It may fail with
 * an error, which then is the VM's. False when there was nobody at the other end of the socket:
 * CORDON_IO. The process should do nothing else, and exit. */
typedef bool (*cordon_lock_fn)(void *user, cordon_config_t *config, cordon_error_t *error);
CORDON_API bool cordon_cell_inside(int socket, cordon_lock_fn lock, void *user,
                                   cordon_error_t *error);

#ifdef __cplusplus
}
#endif

#endif
