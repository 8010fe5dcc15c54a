#include "core/wasm.h"

#include <string.h>

#define ROW(opcode, name, text, immediates, types)                                                 \
    [CN_WASM_PLACE(opcode)] = {text, types, opcode, CN_IMM_##immediates},
#define PREFIXED_ROW(prefix, number, name, text, immediates, types)                                \
    ROW(CN_WASM_PREFIXED(prefix, number), name, text, immediates, types)

const struct cn_wasm_info cn_wasm_infos[CN_WASM_PLACES] = {
#define OP(byte, ...) ROW(byte, __VA_ARGS__)
#define OP_FB(number, ...) PREFIXED_ROW(0xfb, number, __VA_ARGS__)
#define OP_FC(number, ...) PREFIXED_ROW(0xfc, number, __VA_ARGS__)
#define OP_FD(number, ...) PREFIXED_ROW(0xfd, number, __VA_ARGS__)
#define OP_FE(number, ...) PREFIXED_ROW(0xfe, number, __VA_ARGS__)
#include "spec/wasm.def"
#undef OP
#undef OP_FB
#undef OP_FC
#undef OP_FD
#undef OP_FE
};

uint32_t cn_wasm_alignment(const struct cn_wasm_info *info)
{
    const char *address = strchr(info->types, 'a');

    return address != NULL && address[1] >= '0' && address[1] <= '4' ? (uint32_t)(address[1] - '0')
                                                                     : 0;
}
