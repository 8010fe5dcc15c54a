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
    cn_free(v->allocator, v->memory, v->memory_size);
    cn_free(v->allocator, v->frames, v->frame_room * sizeof *v->frames);
    cn_free(v->allocator, v->runs, v->run_room * sizeof *v->runs);
    cn_free(v->allocator, v, sizeof *v);
}

/* ---------------------------------------------------------------- locals */

static enum cn_status add_run(struct cn_validator *v, uint32_t end, uint8_t type)
{
    if (v->run_count == v->run_room) {
        uint32_t room = v->run_room ? v->run_room * 2 : 64;
        struct cn_local_run *runs = cn_resize(v->allocator, v->runs,
                                              v->run_room * sizeof *runs, room * sizeof *runs);
        if (runs == NULL)
            return cn_fail_memory(v->reader.error);
        v->runs = runs;
        v->run_room = room;
    }
    v->runs[v->run_count++] = (struct cn_local_run){end, type};
    return CN_OK;
}

/* Adds `count` locals of a type. Only the near ones are written down one by one: a body of few
 * bytes must not cost the work of many locals. */
static enum cn_status add_locals(struct cn_validator *v, uint32_t count, uint8_t type)
{
    if (v->local_count < CN_LOCALS_NEAR) {
        uint32_t room = CN_LOCALS_NEAR - v->local_count;
        memset(v->near_locals + v->local_count, type, count < room ? count : room);
    }
    v->local_count += count;
    return count ? add_run(v, v->local_count, type) : CN_OK;
}

static enum cn_status read_locals(struct cn_validator *v, uint32_t *declared)
{
    struct cn_reader *reader = &v->reader;
    uint32_t runs, total = 0;

    v->run_count = 0;
    v->local_count = v->sig->param_count;
    if (v->local_count > 0)
        memcpy(v->near_locals, v->sig->params, v->local_count);
    CN_TRY(cn_read_count(reader, UINT32_MAX, 2, "runs of locals", &runs));
    for (uint32_t i = 0; i < runs; i++) {
        uint64_t offset = cn_reader_offset(reader);
        uint32_t count;
        cn_valtype type;
        CN_TRY(cn_read_u32(reader, &count));
        CN_TRY(cn_read_valtype(reader, &type));
        if (count > CN_LIMIT_LOCALS - total)
            return cn_fail(reader->error, CN_TOO_LARGE, offset,
                           "too many locals: found %llu, at most %u are supported",
                           (unsigned long long)total + count, CN_LIMIT_LOCALS);
        total += count;
        CN_TRY(add_locals(v, count, (uint8_t)type));
    }
    *declared = total;
    return CN_OK;
}

static uint8_t far_local(const struct cn_validator *v, uint32_t index)
{
    uint32_t low = 0, high = v->run_count - 1;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index < v->runs[middle].end)
            high = middle;
        else
            low = middle + 1;
    }
    return v->runs[low].type;
}

/* Reads a local's index and gives its type. */
static enum cn_status read_local(struct cn_validator *v, uint8_t *type)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t index;

    CN_TRY(cn_read_u32(&v->reader, &index));
    if (index >= v->local_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown local %u: the function has %u locals, parameters included",
                       index, v->local_count);
    *type = index < CN_LOCALS_NEAR ? v->near_locals[index] : far_local(v, index);
    return CN_OK;
}

/* ---------------------------------------------------------------- operators */

/* What an operator that is not here belongs to. */
static const char *proposal_of(uint8_t op)
{
    if ((op >= 0x06 && op <= 0x0a) || op == 0x18 || op == 0x19 || op == 0x1f)
        return " (exceptions are not supported yet)";
    if (op == 0x14 || op == 0x15 || (op >= 0xd3 && op <= 0xd6) || op == 0xfb)
        return " (garbage collection is not supported yet)";
    return op == 0xfe ? " (threads are not supported)" : "";
}

/* Any operator but those with functions of their own, by the book. */
static enum cn_status check_slowly(struct cn_validator *v, const struct cn_op_rule *rule)
{
    uint32_t bits;
    uint64_t wide;
    uint8_t type;

    switch (rule->kind) {
    case CN_OP_RULE_ILLEGAL:
        return cn_reject(v, CN_MALFORMED, "illegal opcode %02x%s", *v->op,
                         proposal_of(*v->op));
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
        CN_TRY(cn_check_memarg(v, rule));
        break;
    case CN_OP_RULE_LOCAL_GET:
        CN_TRY(read_local(v, &type));
        return cn_push(v, type);
    case CN_OP_RULE_LOCAL_SET:
        CN_TRY(read_local(v, &type));
        return cn_pop_type(v, type, rule->text);
    case CN_OP_RULE_LOCAL_TEE:
        CN_TRY(read_local(v, &type));
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

/* Types operators until the function's own end. The usual cases are decided here, on copies of
 * the two cursors; everything else goes through check_slowly, with the cursors put back. */
static enum cn_status check_operators(struct cn_validator *v)
{
    const uint8_t *at = v->reader.at;
    uint8_t *sp = v->sp;

    while (v->frame_count > 0) {
        if (CN_UNLIKELY(at == v->reader.end))
            return cn_fail(v->reader.error, CN_MALFORMED, (uint64_t)(at - v->reader.file),
                           "unexpected end of section or function: expected %u more end "
                           "operators", v->frame_count);
        const uint8_t *op = at++;
        const struct cn_op_rule *rule = &v->rules[*op];

        if (rule->kind == CN_OP_RULE_LOCAL_GET) {
            if (CN_LIKELY(at < v->reader.end && *at < 0x80 && *at < v->local_count &&
                          v->limit - sp > 1)) {
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
            if (CN_LIKELY(next && ((cn_load_u32(sp - 4) ^ rule->want) & rule->mask) == 0 &&
                          sp - v->floor >= rule->pops && v->limit - sp > 1)) {
                at = next;
                sp -= rule->pops;
                *sp = rule->result;
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
    v->sig = &v->sigs[func->type];
    v->sp = v->floor = v->stack;
    v->frame_count = 0;
    CN_TRY(read_locals(v, &declared));
    CN_TRY(cn_open_frame(v, CN_WASM_CALL, v->sig));
    CN_TRY(check_operators(v));
    if (v->reader.at != end)
        return cn_fail(v->reader.error, CN_MALFORMED, cn_reader_offset(&v->reader),
                       "section size mismatch: %zu bytes follow the end of the function",
                       cn_reader_left(&v->reader));
    func->local_count = declared;
    return CN_OK;
}
