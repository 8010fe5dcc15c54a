/* Loads and stores: an addition or a scaled index in front becomes part of the address. */
#include "loader/ir.h"

struct cn_place cn_code_place(struct cn_translator *t)
{
    enum { HAS_MEMORY = 64 };
    uint32_t flags = cn_code_u32(t); /* the alignment is a hint that Cordon has no use for */
    struct cn_place place = {0};

    if (flags & HAS_MEMORY)
        place.memory = cn_code_u32(t);
    place.offset = cn_code_u64(t);
    place.is_64 = t->module->memories[place.memory].is_64;
    return place;
}

/* The forms of one access: of memory 0 base + offset, two addends, and base + scaled index (0:
 * none); the same where its addresses have 64 bits; and of any memory. */
struct access {
    uint16_t plain, two, scaled;
    uint16_t plain_64, two_64, scaled_64;
    uint16_t at;
    uint8_t shift;
};

static struct access access_of(uint32_t insn)
{
#define PLAIN(name) CN_INSN_##name, CN_INSN_##name##_2, 0,                                         \
                    CN_INSN_##name##_64, CN_INSN_##name##_64_2, 0, CN_INSN_##name##_AT
#define ACCESS(name)                                                                               \
    case CN_INSN_##name:                                                                           \
        return (struct access){PLAIN(name), 0}
#define SCALED(name, shift)                                                                        \
    case CN_INSN_##name:                                                                           \
        return (struct access){CN_INSN_##name, CN_INSN_##name##_2, CN_INSN_##name##_X,             \
                               CN_INSN_##name##_64, CN_INSN_##name##_64_2, CN_INSN_##name##_64_X,  \
                               CN_INSN_##name##_AT, shift}
#define NO_64(name, two)                                                                           \
    case CN_INSN_##name:                                                                           \
        return (struct access){CN_INSN_##name, two, 0, 0, 0, 0, CN_INSN_##name##_AT, 0}
    switch (insn) {
    ACCESS(LOAD8_U); ACCESS(LOAD8_S); SCALED(LOAD16_U, 1); SCALED(LOAD16_S, 1);
    SCALED(LOAD32_U, 2); SCALED(LOAD32_S, 2); SCALED(LOAD64, 3); SCALED(LOAD_F32, 2);
    SCALED(LOAD_F64, 3);
    ACCESS(LOAD_V128);
    ACCESS(STORE_V128); ACCESS(STORE8); SCALED(STORE16, 1); SCALED(STORE32, 2); SCALED(STORE64, 3);
    SCALED(STORE_F32, 2); SCALED(STORE_F64, 3);
    NO_64(LOAD32_SPLAT, CN_INSN_LOAD32_SPLAT_2); NO_64(LOAD64_SPLAT, CN_INSN_LOAD64_SPLAT_2);
    NO_64(LOAD8_SPLAT, 0); NO_64(LOAD16_SPLAT, 0); NO_64(LOAD8X8_S, 0); NO_64(LOAD8X8_U, 0);
    NO_64(LOAD16X4_S, 0); NO_64(LOAD16X4_U, 0); NO_64(LOAD32X2_S, 0); NO_64(LOAD32X2_U, 0);
    NO_64(LOAD32_ZERO, 0); NO_64(LOAD64_ZERO, 0);
    NO_64(LOAD8_LANE, 0); NO_64(LOAD16_LANE, 0); NO_64(LOAD32_LANE, 0); NO_64(LOAD64_LANE, 0);
    NO_64(STORE8_LANE, 0); NO_64(STORE16_LANE, 0); NO_64(STORE32_LANE, 0);
    default: return (struct access){.plain = (uint16_t)insn};
    }
#undef PLAIN
#undef ACCESS
#undef SCALED
#undef NO_64
}

/* Memory 0 with addresses of 32 bits, the same with 64, and all else. */
enum reach { NEAR, NEAR_64, FAR };

static enum reach reach_of(const struct access *access, const struct cn_place *place)
{
    if (place->memory > 0 || place->offset > UINT32_MAX || (place->is_64 && !access->plain_64))
        return FAR;
    return place->is_64 ? NEAR_64 : NEAR;
}

bool cn_place_is_near(const struct cn_place *place)
{
    return place->memory == 0 && !place->is_64;
}

uint32_t cn_far_access(uint32_t insn)
{
    return access_of(insn).at;
}

/* The offset of 64 bits takes the place of the first two words. */
void cn_set_far(struct cn_ir *ir, const struct cn_place *place)
{
    ir->wide[0] = place->offset;
    ir->x[2] = place->memory;
}

static bool is_scaled(const struct cn_ir *inner, uint32_t shl_add, uint32_t scaled,
                      uint32_t shift)
{
    return inner && inner->insn == shl_add && scaled && inner->x[0] == shift;
}

/* base + scaled index, where `inner` computes it. */
static struct cn_ir *emit_scaled(struct cn_translator *t, uint32_t insn, struct cn_ir *inner)
{
    const struct cn_ir taken = cn_take(t, inner);
    struct cn_ir *ir = cn_emit(t, insn);

    ir->s[0] = taken.s[1];
    ir->s[1] = taken.s[0];
    return ir;
}

/* Two addends. With 64 bits the first one must be in a slot, preferably a local's. */
static struct cn_ir *emit_two(struct cn_translator *t, uint32_t insn, struct cn_ir *inner,
                              bool first_in_slot)
{
    const struct cn_ir taken = cn_take(t, inner);
    struct cn_ir *ir = cn_emit(t, insn);
    bool swap = first_in_slot && (taken.forms[1] != CN_S ||
                                  (taken.forms[2] == CN_S && taken.s[1] < t->temps));

    for (int i = 0; i < 2; i++) {
        int from = swap ? 1 - i : i;
        ir->forms[i + 1] = taken.forms[from + 1];
        ir->s[i] = taken.s[from];
        ir->imm[i] = taken.imm[from];
    }
    return ir;
}

static struct cn_ir *emit_near(struct cn_translator *t, const struct access *access,
                               const struct cn_value *address, bool is_64, int *operands)
{
    struct cn_ir *inner = cn_fusible(t, address);
    uint32_t two = is_64 ? access->two_64 : access->two;
    uint32_t scaled = is_64 ? access->scaled_64 : access->scaled;

    *operands = 2;
    if (is_scaled(inner, is_64 ? CN_INSN_I64_SHL_ADD : CN_INSN_I32_SHL_ADD, scaled,
                  access->shift))
        return emit_scaled(t, scaled, inner);
    if (inner && inner->insn == CN_INSN_ADD && two)
        return emit_two(t, two, inner, is_64);
    struct cn_ir *ir = cn_emit(t, is_64 ? access->plain_64 : access->plain);
    cn_set_operand(ir, 0, address);
    *operands = 1;
    return ir;
}

/* Emits the access with the best form for its address; returns it with the address operands
 * set, and how many there are. */
static struct cn_ir *emit_access(struct cn_translator *t, const struct access *access,
                                 const struct cn_value *address, const struct cn_place *place,
                                 int *operands)
{
    enum reach reach = reach_of(access, place);
    struct cn_ir *ir;

    if (reach == FAR) {
        ir = cn_emit(t, access->at);
        cn_set_operand(ir, 0, address);
        cn_set_far(ir, place);
        *operands = 1;
        return ir;
    }
    ir = emit_near(t, access, address, reach == NEAR_64, operands);
    ir->x[0] = (uint32_t)place->offset;
    return ir;
}

void cn_lower_load(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_place place = cn_code_place(t);
    const struct access access = access_of(how->insn);
    struct cn_value address = cn_pop_operand(t, reach_of(&access, &place) != FAR);
    int operands;
    struct cn_ir *ir = emit_access(t, &access, &address, &place, &operands);

    cn_push_result(t, ir, how->result);
}

void cn_lower_store(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_place place = cn_code_place(t);
    const struct access access = access_of(how->insn);
    const bool is_near = reach_of(&access, &place) != FAR;
    const bool is_float = how->type == CN_F32 || how->type == CN_F64;
    struct cn_value value = cn_pop(t);
    struct cn_value address = cn_pop(t);
    int operands;

    /* Only one immediate: a constant address with a constant value puts the address in a slot. */
    address = cn_as_operand(t, address, is_near && value.kind != CN_VALUE_CONST);
    value = cn_as_operand(t, value, !is_float);
    /* The value's own instruction may still stand between the address and here: that is no
     * obstacle, because the address is computed again at the access. */
    struct cn_ir *ir = emit_access(t, &access, &address, &place, &operands);
    cn_set_operand(ir, operands, &value);
}

/* Operands in slots, the address first; any memory. */
void cn_lower_atomic(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_place place = cn_code_place(t);
    const struct cn_insn_info *info = &cn_insn_infos[how->insn];
    struct cn_value values[3];

    for (int i = info->operand_count; i-- > 0;)
        values[i] = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, how->insn);
    for (int i = 0; i < info->operand_count; i++)
        cn_set_operand(ir, i, &values[i]);
    cn_set_far(ir, &place);
    if (info->result != CN_OF_NONE)
        cn_push_result(t, ir, how->result);
}

/* Nothing to do: only one thread of a VM runs at a time. */
void cn_lower_fence(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    t->at++;
}
