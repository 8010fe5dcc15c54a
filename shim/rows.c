/* spec/wasi.def as a table, for three modules: types for the linker, kinds for the gateway. */
#include "shim/enter.h"

#define STABLE "wasi_snapshot_preview1"
#define UNSTABLE "wasi_unstable"
#define CORDON "cordon"

/* Types: the same rows, each parameter read as the WebAssembly types it takes up. */
#define FD(class, right) CN_I32,
#define FD2(class, right, other) CN_I32,
#define FD_OF(class, right) CN_I32,
#define PATH CN_I32, CN_I32,
#define U32(name) CN_I32,
#define U64(name) CN_I64,
#define IOVECS CN_I32, CN_I32,
#define BUFFER CN_I32, CN_I32,
#define STRINGS(which) CN_I32, CN_I32,
#define EVENTS CN_I32, CN_I32, CN_I32,
#define FILE_OP(how)
#define OUT_U16 CN_I32,
#define OUT_U32 CN_I32,
#define OUT_U64 CN_I32,
#define OUT_FDSTAT CN_I32,
#define OUT_FILESTAT CN_I32,
#define OUT_PRESTAT CN_I32,
#define OUT_QUOTA CN_I32,

#define CALL(name, ...) static const cn_valtype types_##name[] = {__VA_ARGS__ CN_I32};
#define CALL_NEW(name, ...) CALL(name, __VA_ARGS__)
#define CALL_EXIT(name, ...) CALL(name, __VA_ARGS__)
#define CALL_CORDON(name, ...) CALL(name, __VA_ARGS__)
#include "spec/wasi.def"
#undef CALL
#undef CALL_NEW
#undef CALL_EXIT
#undef CALL_CORDON

#undef FD
#undef FD2
#undef FD_OF
#undef PATH
#undef U32
#undef U64
#undef IOVECS
#undef BUFFER
#undef STRINGS
#undef EVENTS
#undef FILE_OP
#undef OUT_U16
#undef OUT_U32
#undef OUT_U64
#undef OUT_FDSTAT
#undef OUT_FILESTAT
#undef OUT_PRESTAT
#undef OUT_QUOTA

/* Kinds: the same rows again. */
#define FD(class, right) {CN_PARAM_FD, CN_CLASS_##class, 1, 0, 0, CN_RIGHT_##right},
#define FD2(class, right, other)                                                                   \
    {CN_PARAM_FD, CN_CLASS_##class, 1, 0, 0, (uint32_t)CN_RIGHT_##right | CN_RIGHT_##other},
#define FD_OF(class, right) FD(class, right)
#define PATH {CN_PARAM_PATH, 0, 2, 0, 0, 0},
#define U32(name) {CN_PARAM_NUMBER, 32, 1, 0, 0, 0},
#define U64(name) {CN_PARAM_NUMBER, 64, 1, 0, 0, 0},
#define IOVECS {CN_PARAM_IOVECS, 0, 2, 0, 0, 0},
#define BUFFER {CN_PARAM_BUFFER, 0, 2, 0, 0, 0},
#define STRINGS(which) {CN_PARAM_STRINGS, STRINGS_##which, 2, 0, 0, 0},
#define STRINGS_args 0
#define STRINGS_environ 1
#define EVENTS {CN_PARAM_EVENTS, 0, 3, 0, 0, 0},
#define FILE_OP(how) {CN_PARAM_FILE_OP, FILE_OP_##how, 0, 0, 0, 0},
#define FILE_OP_waits 0
#define FILE_OP_may_refuse 1
#define OUT_OF(size, size0) {CN_PARAM_OUT, 0, 1, size, size0, 0},
#define OUT_U16 OUT_OF(2, 2)
#define OUT_U32 OUT_OF(4, 4)
#define OUT_U64 OUT_OF(8, 8)
#define OUT_FDSTAT OUT_OF(sizeof(struct cn_abi_fdstat), sizeof(struct cn_abi_fdstat))
#define OUT_FILESTAT OUT_OF(sizeof(struct cn_abi_filestat), sizeof(struct cn_abi_filestat0))
#define OUT_PRESTAT OUT_OF(sizeof(struct cn_abi_prestat), sizeof(struct cn_abi_prestat))
#define OUT_QUOTA OUT_OF(sizeof(struct cn_abi_quota), 0)

#define COUNT_OF(name) (sizeof types_##name / sizeof *types_##name - 1)
#define ROW(module, name, call, results, unstable, ...)                                            \
    {module, #name, unstable, CN_FUNCTYPE(COUNT_OF(name), results, types_##name), call,            \
     {__VA_ARGS__}},

const struct cn_import_row cn_import_rows[] = {
#define CALL(name, ...) ROW(STABLE, name, cn_wasi_##name, 1, false, __VA_ARGS__)
#define CALL_NEW(name, ...) ROW(STABLE, name, cn_wasi_##name, 1, false, __VA_ARGS__)
#define CALL_EXIT(name, ...) ROW(STABLE, name, cn_wasi_##name, 0, false, __VA_ARGS__)
#define CALL_CORDON(name, ...) ROW(CORDON, name, cn_cordon_##name, 1, false, __VA_ARGS__)
#include "spec/wasi.def"
#undef CALL
#undef CALL_NEW
#undef CALL_EXIT
#undef CALL_CORDON
#define CALL(name, ...) ROW(UNSTABLE, name, cn_wasi_##name, 1, true, __VA_ARGS__)
#define CALL_NEW(name, ...)
#define CALL_EXIT(name, ...) ROW(UNSTABLE, name, cn_wasi_##name, 0, true, __VA_ARGS__)
#define CALL_CORDON(name, ...)
#include "spec/wasi.def"
};

const uint32_t cn_import_row_count = sizeof cn_import_rows / sizeof *cn_import_rows;
