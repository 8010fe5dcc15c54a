/* The rows of spec/wasi.def as data, and the one way into every system call. */
#ifndef CN_SHIM_ENTER_H
#define CN_SHIM_ENTER_H

#include "shim/call.h"

enum cn_param_kind {
    CN_PARAM_END,
    CN_PARAM_FD,
    CN_PARAM_PATH,
    CN_PARAM_NUMBER,
    CN_PARAM_IOVECS,
    CN_PARAM_BUFFER,
    CN_PARAM_STRINGS,
    CN_PARAM_EVENTS,
    CN_PARAM_FILE_OP,
    CN_PARAM_OUT,
};

enum cn_fd_class {
    CN_CLASS_ANY,
    CN_CLASS_DATA,
    CN_CLASS_SEEKABLE,
    CN_CLASS_REGULAR,
    CN_CLASS_DIR,
    CN_CLASS_SOCKET,
    CN_CLASS_LISTENER,
    CN_CLASS_PRESSURE,
};

struct cn_param {
    uint8_t kind;    /* enum cn_param_kind */
    uint8_t detail;  /* FD: enum cn_fd_class; NUMBER: bits; STRINGS: 1 for the environment;
                      * FILE_OP: 1 when it may be refused */
    uint8_t slots;   /* WebAssembly parameters that it takes up */
    uint8_t size, size0; /* OUT: bytes, and bytes in wasi_unstable */
    uint32_t rights; /* FD */
};

#define CN_PARAMS_MAX 10

/* A function that can be imported. */
struct cn_import_row {
    const char *module;
    const char *name;
    bool is_unstable;
    struct cn_functype type;
    cn_call_fn call;
    struct cn_param params[CN_PARAMS_MAX]; /* up to a CN_PARAM_END */
};

extern const struct cn_import_row cn_import_rows[];
extern const uint32_t cn_import_row_count;

/* The host function of every row; `env` is a struct cn_binding. */
enum cn_status cn_wasi_enter(struct cn_thread *thread, void *env, union cn_slot *slots);

/* Takes one parameter from the slots: its checks, and its place in the call. `taken` counts
 * what has been taken of each kind. */
struct cn_taken {
    uint32_t fds, paths, numbers, outs;
    struct {
        uint32_t address;
        uint8_t size;
    } out[2];
};
enum cn_errno cn_param_take(const struct cn_param *param, const union cn_slot *slots,
                            struct cn_call *call, struct cn_taken *taken);

/* Writes the results that the call has left: after success only. */
void cn_param_put(const struct cn_call *call, const struct cn_taken *taken);

#endif
