#include "loader/validate.h"

#include <string.h>

#include "core/limits.h"
#include "core/wasm.h"
#include "loader/decode.h"

enum cn_status cn_validator_new(struct cn_allocator allocator, const struct cn_module *module,
                                struct cn_validator **result)
{
    struct cn_validator *v = cn_alloc(allocator, sizeof *v);

    if (v == NULL)
        return CN_NO_MEMORY;
    v->allocator = allocator;
    v->module = module;
    cn_rules_init(v);
    if (cn_stack_reserve(v, 0) != CN_OK) {
        cn_validator_free(v);
        return CN_NO_MEMORY;
    }
    *result = v;
    return CN_OK;
}

void cn_validator_free(struct cn_validator *v)
{
    if (v == NULL)
        return;
    cn_free(v->allocator, v->memory, v->memory_size * sizeof *v->memory);
    cn_free(v->allocator, v->frames, v->frame_room * sizeof *v->frames);
    cn_free(v->allocator, v->runs, v->run_room * sizeof *v->runs);
    cn_free(v->allocator, v->inits, v->init_room * sizeof *v->inits);
    if (v->stamps != NULL)
        cn_free(v->allocator, v->stamps,
                (CN_LIMIT_LOCALS + CN_LIMIT_PARAMS) * sizeof *v->stamps);
    cn_free(v->allocator, v, sizeof *v);
}

/* ---------------------------------------------------------------- operators */

/* Any operator but those with functions of their own, by the book. */
static enum cn_status check_slowly(struct cn_validator *v, const struct cn_op_rule *rule)
{
    uint32_t bits, index;
    uint64_t wide;
    cn_valtype type;

    switch (rule->kind) {
    case CN_OP_RULE_ILLEGAL:
        return cn_reject(v, CN_MALFORMED, "illegal opcode %02x", *v->op);
    case CN_OP_RULE_I32:
        CN_TRY(cn_read_s32(&v->reader, (int32_t *)&bits));
        break;
    case CN_OP_RULE_I64:
        CN_TRY(cn_read_s64(&v->reader, (int64_t *)&wide));
        break;
    case CN_OP_RULE_F32:
        CN_TRY(cn_read_f32(&v->reader, &bits));
        break;
    case CN_OP_RULE_F64:
        CN_TRY(cn_read_f64(&v->reader, &wide));
        break;
    case CN_OP_RULE_MEMARG:
        return cn_check_memarg(v, rule);
    case CN_OP_RULE_LOCAL_GET:
        CN_TRY(cn_read_local(v, &index, &type));
        CN_TRY(cn_check_local_is_set(v, index, type));
        return cn_push(v, type);
    case CN_OP_RULE_LOCAL_SET:
        CN_TRY(cn_read_local(v, &index, &type));
        CN_TRY(cn_mark_local_set(v, index, type));
        return cn_pop_type(v, type, rule->text);
    case CN_OP_RULE_LOCAL_TEE:
        CN_TRY(cn_read_local(v, &index, &type));
        CN_TRY(cn_mark_local_set(v, index, type));
        CN_TRY(cn_pop_type(v, type, rule->text));
        return cn_push(v, type);
    case CN_OP_RULE_CHECK:
        return rule->check(v, rule);
    default:
        break;
    }
    return cn_apply(v, rule);
}

/* How many bytes the LEB128 number has that begins at `at`: 1 to 4, all of which are well-formed
 * whatever their sign; 0 when there are more, or fewer than 4 bytes to look at. */
static inline size_t short_leb(const uint8_t *at, const uint8_t *end)
{
    if (CN_UNLIKELY(end - at < 4))
        return 0;
    uint32_t last = ~cn_load_u32(at) & 0x80808080u;
    return last ? (size_t)__builtin_ctz(last) / 8 + 1 : 0;
}

/* The immediates of the most frequent operators, read without a call; NULL: not so simple. */
static inline const uint8_t *skip_immediates(const struct cn_validator *v,
                                             const struct cn_op_rule *rule, const uint8_t *at)
{
    const uint8_t *end = v->reader.end;
    size_t size;

    switch (rule->kind) {
    case CN_OP_RULE_PLAIN:
        return at;
    case CN_OP_RULE_I32:
    case CN_OP_RULE_I64:
        size = short_leb(at, end);
        return size ? at + size : NULL;
    case CN_OP_RULE_F32:
        return end - at >= 4 ? at + 4 : NULL;
    case CN_OP_RULE_F64:
        return end - at >= 8 ? at + 8 : NULL;
    case CN_OP_RULE_MEMARG:
        if (at == end || *at > rule->align || v->module->memory_count == 0)
            return NULL;
        size = short_leb(at + 1, end);
        return size ? at + 1 + size : NULL;
    default:
        return NULL;
    }
}

/* Whether the types that the rule wants stand at the top, as they are: two at a time. */
static inline bool operands_stand(const cn_valtype *sp, const struct cn_op_rule *rule)
{
    uint64_t top, below, want_top, want_below;

    memcpy(&top, sp - 2, sizeof top);
    memcpy(&below, sp - 4, sizeof below);
    memcpy(&want_top, rule->want + 2, sizeof want_top);
    memcpy(&want_below, rule->want, sizeof want_below);
    return (((top ^ want_top) & rule->mask[0]) | ((below ^ want_below) & rule->mask[1])) == 0;
}

/* The body is over, but blocks are open. The reference interpreter reads on, so what it says
 * depends on what follows in the file. */
static enum cn_status fail_open(const struct cn_validator *v)
{
    const uint8_t *end = v->reader.end;
    const char *what = end == v->reader.file_end ? "unexpected end of section or function"
                       : *end == CN_WASM_END     ? "section size mismatch"
                                                 : "END opcode expected";

    return cn_fail(v->reader.error, CN_MALFORMED, (uint64_t)(end - v->reader.file),
                   "%s: the function's body ends with %u blocks open", what, v->frame_count);
}

/* Types operators until the function's own end. The usual cases are decided here, on copies of
 * the two cursors; everything else goes through check_slowly, with the cursors put back. */
static enum cn_status check_operators(struct cn_validator *v)
{
    const uint8_t *at = v->reader.at;
    cn_valtype *sp = v->sp;

    while (v->frame_count > 0) {
        if (CN_UNLIKELY(at == v->reader.end))
            return fail_open(v);
        const uint8_t *op = at++;
        const struct cn_op_rule *rule = &v->rules[*op];

        if (rule->kind == CN_OP_RULE_LOCAL_GET) {
            if (CN_LIKELY(at < v->reader.end && *at < 0x80 && *at < v->local_count &&
                          v->near_locals[*at] > CN_TYPE_UNSET && v->limit - sp > 2)) {
                *sp++ = v->near_locals[*at++];
                continue;
            }
        } else if (rule->kind == CN_OP_RULE_LOCAL_SET || rule->kind == CN_OP_RULE_LOCAL_TEE) {
            if (CN_LIKELY(at < v->reader.end && *at < 0x80 && *at < v->local_count &&
                          sp > v->floor && sp[-1] == v->near_locals[*at])) {
                at++;
                sp -= rule->kind == CN_OP_RULE_LOCAL_SET;
                continue;
            }
        } else {
            const uint8_t *next = skip_immediates(v, rule, at);
            if (CN_LIKELY(next && operands_stand(sp, rule) &&
                          sp - v->floor >= rule->pops && v->limit - sp > 2)) {
                at = next;
                sp -= rule->pops;
                sp[0] = rule->results[0];
                sp[1] = rule->results[1];
                sp += rule->pushes;
                continue;
            }
        }
        v->op = op;
        v->reader.at = at;
        v->sp = sp;
        CN_TRY(check_slowly(v, rule));
        at = v->reader.at;
        sp = v->sp;
    }
    return CN_OK;
}

enum cn_status cn_validate_body(struct cn_validator *v, struct cn_funcdecl *func)
{
    const uint8_t *end = func->body.at + func->body.size;
    uint32_t declared = 0;

    v->reader.at = func->body.at;
    v->reader.end = end;
    v->op = func->body.at;
    v->type = cn_module_functype(v->module, func->type);
    v->sp = v->floor = v->stack;
    v->frame_count = 0;
    CN_TRY(cn_read_locals(v, &declared));
    CN_TRY(cn_open_frame(v, CN_WASM_CALL, (struct cn_block_type){v->type, CN_TYPE_ANY}));
    CN_TRY(check_operators(v));
    if (v->reader.at != end)
        return cn_fail(v->reader.error, CN_MALFORMED, cn_reader_offset(&v->reader),
                       "section size mismatch: %zu bytes follow the end of the function",
                       cn_reader_left(&v->reader));
    func->local_count = declared;
    return CN_OK;
}
