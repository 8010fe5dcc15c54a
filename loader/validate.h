/* Typing of code (core 3.3 and 7.3): a stack of types and a stack of blocks, both in memory of
 * their own, so that no nesting exhausts the C stack. */
#ifndef CN_LOADER_VALIDATE_H
#define CN_LOADER_VALIDATE_H

#include "core/error.h"
#include "core/module.h"
#include "loader/reader.h"

/* A function type as bytes of the file: that is how the stack of types holds them, too. */
struct cn_sig {
    const uint8_t *params;
    const uint8_t *results;
    uint32_t param_count;
    uint32_t result_count;
};

/* On the stack of types: what code that nothing reaches may take for any type. */
#define CN_TYPE_ANY 0

struct cn_validator;

/* How an operator is typed. */
struct cn_op_rule {
    const char *text;    /* NULL: there is no such operator */
    enum cn_status (*check)(struct cn_validator *v, const struct cn_op_rule *rule);
    uint32_t want, mask; /* of the top four bytes of the stack: the operands */
    uint8_t kind;        /* enum cn_op_rule_kind */
    uint8_t pops;
    uint8_t pushes;      /* 0 or 1 */
    uint8_t result;
    uint8_t align;       /* of a load or store: binary logarithm of what it moves */
};

/* What stands behind an operator, where the operands say all else; CHECK: see its function. */
enum cn_op_rule_kind {
    CN_OP_RULE_ILLEGAL,
    CN_OP_RULE_PLAIN,
    CN_OP_RULE_I32,
    CN_OP_RULE_I64,
    CN_OP_RULE_F32,
    CN_OP_RULE_F64,
    CN_OP_RULE_MEMARG,
    CN_OP_RULE_LOCAL_GET,
    CN_OP_RULE_LOCAL_SET,
    CN_OP_RULE_LOCAL_TEE,
    CN_OP_RULE_CHECK,
};

struct cn_block_frame {
    const struct cn_sig *sig;
    uint32_t height; /* of the stack of types below its parameters */
    uint8_t op;      /* CN_WASM_BLOCK, LOOP, IF, ELSE; CALL for the function itself */
    bool is_unreachable;
};

/* Declared locals of one type, up to index `end`. */
struct cn_local_run {
    uint32_t end;
    uint8_t type;
};

/* Locals whose types are kept one by one; the others are looked up in their runs. */
#define CN_LOCALS_NEAR 2048
/* Bytes below the stack, so that the top four can always be loaded. */
#define CN_STACK_GUARD 4
#define CN_PREFIXED_RULES 32

struct cn_validator {
    const struct cn_module *module;
    const struct cn_sig *sigs;
    struct cn_allocator allocator;
    bool has_data_count;
    uint32_t data_count; /* declared */

    /* The function or constant expression at hand. */
    struct cn_reader reader;
    const uint8_t *op; /* the operator that is being typed */
    const struct cn_sig *sig;
    uint32_t local_count;

    uint8_t *memory; /* of the stack: guard, then types */
    size_t memory_size;
    uint8_t *stack, *sp, *floor, *limit; /* bottom; top; bottom of the block; end */
    struct cn_block_frame *frames;
    uint32_t frame_count, frame_room;
    struct cn_local_run *runs;
    uint32_t run_count, run_room;

    struct cn_op_rule rules[256];
    struct cn_op_rule prefixed[CN_PREFIXED_RULES]; /* behind 0xfc */
    uint8_t near_locals[CN_LOCALS_NEAR];
};

CN_CHECKED enum cn_status cn_validator_new(struct cn_allocator allocator,
                                           const struct cn_module *module,
                                           struct cn_validator **result);
void cn_validator_free(struct cn_validator *validator);

/* Types the body of function `func` and sets its local_count. */
CN_CHECKED enum cn_status cn_validate_body(struct cn_validator *v, struct cn_funcdecl *func);

/* constant.c: reads and types a constant expression of the given type. Functions that it
 * names become referenced. */
CN_CHECKED enum cn_status cn_validate_constant(struct cn_validator *v, struct cn_reader *reader,
                                               cn_valtype type, struct cn_constexpr *result);

/* ---------------------------------------------------------------- rules.c */

void cn_rules_init(struct cn_validator *v);

/* ---------------------------------------------------------------- typing.c */

/* Fails at the current operator. */
#define cn_reject(v, status, ...)                                                                  \
    cn_fail((v)->reader.error, status, (uint64_t)((v)->op - (v)->reader.file), __VA_ARGS__)

/* "nothing" for CN_TYPE_ANY, else the type's name. */
const char *cn_type_text(uint8_t type);

static inline struct cn_block_frame *cn_top_frame(const struct cn_validator *v)
{
    return &v->frames[v->frame_count - 1];
}

/* Makes room for `count` more types and one to spare. */
CN_CHECKED enum cn_status cn_stack_reserve(struct cn_validator *v, size_t count);
CN_CHECKED enum cn_status cn_push(struct cn_validator *v, uint8_t type);
CN_CHECKED enum cn_status cn_push_all(struct cn_validator *v, const uint8_t *types,
                                      uint32_t count);
/* Takes one value; CN_TYPE_ANY expects none in particular. `who` expects it. */
CN_CHECKED enum cn_status cn_pop_any(struct cn_validator *v, const char *who, uint8_t *found);
CN_CHECKED enum cn_status cn_pop_type(struct cn_validator *v, uint8_t expected,
                                      const char *who);
CN_CHECKED enum cn_status cn_pop_all(struct cn_validator *v, const uint8_t *types,
                                     uint32_t count, const char *who);
/* As cn_pop_all, but what is there stays there. */
CN_CHECKED enum cn_status cn_peek_all(struct cn_validator *v, const uint8_t *types,
                                      uint32_t count, const char *who);
/* Takes and gives what the rule says. */
CN_CHECKED enum cn_status cn_apply(struct cn_validator *v, const struct cn_op_rule *rule);

CN_CHECKED enum cn_status cn_open_frame(struct cn_validator *v, uint8_t op,
                                        const struct cn_sig *sig);
/* What follows is reached by nothing until the block's end. */
void cn_become_dead(struct cn_validator *v);
/* The type of a block without parameters and with this result; CN_TYPE_ANY: none. NULL when
 * there is no such type. */
const struct cn_sig *cn_sig_of_result(uint8_t type);

/* ---------------------------------------------------------------- check_*.c */

#define CN_CHECK(name)                                                                             \
    enum cn_status cn_check_##name(struct cn_validator *v, const struct cn_op_rule *rule)

CN_CHECK(unreachable);
CN_CHECK(block);
CN_CHECK(loop);
CN_CHECK(if);
CN_CHECK(else);
CN_CHECK(end);
CN_CHECK(br);
CN_CHECK(br_if);
CN_CHECK(br_table);
CN_CHECK(return);
CN_CHECK(call);
CN_CHECK(call_indirect);
CN_CHECK(return_call);
CN_CHECK(return_call_indirect);
CN_CHECK(drop);
CN_CHECK(select);
CN_CHECK(select_typed);
CN_CHECK(global_get);
CN_CHECK(global_set);
CN_CHECK(table_get);
CN_CHECK(table_set);
CN_CHECK(table_grow);
CN_CHECK(table_size);
CN_CHECK(table_fill);
CN_CHECK(table_copy);
CN_CHECK(table_init);
CN_CHECK(elem_drop);
CN_CHECK(memory_op);
CN_CHECK(memory_copy);
CN_CHECK(memory_init);
CN_CHECK(data_drop);
CN_CHECK(ref_null);
CN_CHECK(ref_is_null);
CN_CHECK(ref_func);
CN_CHECK(prefixed);
CN_CHECK(simd);

/* What stands behind a load or store. */
CN_CHECKED enum cn_status cn_check_memarg(struct cn_validator *v, const struct cn_op_rule *rule);

#endif
