#include "vm/field.h"

uint32_t cn_field_size(enum cn_field_kind kind)
{
    switch (kind) {
    case CN_FIELD_BITS64:
    case CN_FIELD_CODE:
    case CN_FIELD_OFFSET64:
        return 8;
    case CN_FIELD_SOURCE:
    case CN_FIELD_RESULT:
    case CN_FIELD_WINDOW:
    case CN_FIELD_HEADER:
    case CN_FIELD_FIRST:
    case CN_FIELD_SLOTS:
        return 2;
    default:
        return 4;
    }
}

const char *cn_field_prefix(enum cn_field_kind kind)
{
    switch (kind) {
    case CN_FIELD_CODE:
    case CN_FIELD_FUNC:
        return "func ";
    case CN_FIELD_OFFSET:
    case CN_FIELD_OFFSET64:
        return "+";
    case CN_FIELD_TARGET:
        return "L";
    case CN_FIELD_COST:
    case CN_FIELD_AFTER:
        return "$";
    case CN_FIELD_TABLE_SIZE:
    case CN_FIELD_SLOTS:
        return "x";
    case CN_FIELD_SOURCE:
    case CN_FIELD_RESULT:
    case CN_FIELD_FIRST:
        return "s";
    case CN_FIELD_WINDOW:
        return "window s";
    case CN_FIELD_HEADER:
        return "header s";
    case CN_FIELD_GLOBAL:
        return "global ";
    case CN_FIELD_MEMORY:
        return "memory ";
    case CN_FIELD_TABLE:
        return "table ";
    case CN_FIELD_TYPE:
        return "type ";
    case CN_FIELD_TAG:
        return "tag ";
    case CN_FIELD_DATA:
        return "data ";
    case CN_FIELD_ELEMENT:
        return "elem ";
    case CN_FIELD_STRUCT_FIELD:
        return "field ";
    case CN_FIELD_CAST:
        return "as ";
    default:
        return "";
    }
}

const char *cn_accumulator_name(enum cn_of of, bool second)
{
    if (of == CN_OF_F64)
        return "f0";
    if (of == CN_OF_F32)
        return "g0";
    return second ? "r1" : "r0";
}
