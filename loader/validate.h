/* Typing of code (core 3.3 and 7.3): a stack of types and a stack of blocks, both in memory of
 * their own, so that no nesting exhausts the C stack. */
#ifndef CN_LOADER_VALIDATE_H
#define CN_LOADER_VALIDATE_H

#include "core/error.h"
#include "core/module.h"
#include "core/wasm.h"
#include "loader/reader.h"

/* On the stack of types: what code that nothing reaches may take for any type, for any
 * reference; and of a local that must be set before it is read. */
enum { CN_TYPE_ANY, CN_TYPE_ANY_REF, CN_TYPE_UNSET };

struct cn_validator;

#define CN_RULE_POPS 4

/* How an operator is typed. */
struct cn_op_rule {
    const char *text;    /* NULL: there is no such operator */
    enum cn_status (*check)(struct cn_validator *v, const struct cn_op_rule *rule);
    cn_valtype want[CN_RULE_POPS]; /* the operands are the last `pops` of them */
    uint64_t mask[2];    /* of the top two types, and the two below: what are operands */
    cn_valtype results[2];
    uint8_t kind;        /* enum cn_op_rule_kind */
    uint8_t immediate;   /* enum cn_wasm_immediate */
    uint8_t pops;
    uint8_t pushes;
    uint8_t align;       /* of a load or store: binary logarithm of what it moves */
    uint8_t addresses;   /* bit i: want[i] is an address of the memory that is named */
    uint8_t lanes;       /* lane numbers are below this */
    bool is_atomic;      /* aligned exactly */
    bool gives_address;
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

/* Types of what a block or branch takes or gives. */
struct cn_type_list {
    const cn_valtype *types;
    uint32_t count;
};

/* A block's type: a function type of the module, or at most one result. */
struct cn_block_type {
    const struct cn_functype *func; /* or NULL */
    cn_valtype result;              /* CN_TYPE_ANY: none */
};

struct cn_block_frame {
    struct cn_block_type type;
    uint32_t height;      /* of the stack of types below its parameters */
    uint32_t init_height; /* of the list of locals that have been set */
    uint8_t op;           /* CN_WASM_BLOCK...; CALL for the function itself */
    bool is_unreachable;
};

/* Declared locals of one type, up to index `end`. */
struct cn_local_run {
    uint32_t end;
    cn_valtype type;
};

/* Locals whose types are kept one by one; the others are looked up in their runs. */
#define CN_LOCALS_NEAR 512
/* Types below the stack, so that the top four can always be loaded. */
#define CN_STACK_GUARD 4

struct cn_validator {
    const struct cn_module *module;
    struct cn_allocator allocator;
    bool has_data_count;
    uint32_t data_count; /* declared */

    /* The function or constant expression at hand. */
    struct cn_reader reader;
    const uint8_t *op; /* the operator that is being typed */
    const struct cn_functype *type;
    uint32_t local_count;

    cn_valtype *memory; /* of the stack: guard, then types */
    size_t memory_size; /* in types */
    cn_valtype *stack, *sp, *floor, *limit; /* bottom; top; bottom of the block; end */
    struct cn_block_frame *frames;
    uint32_t frame_count, frame_room;
    struct cn_local_run *runs;
    uint32_t run_count, run_room;

    /* Locals without a default value: those that are set have this function's stamp. */
    uint32_t *stamps;
    uint32_t stamp;
    uint32_t *inits; /* which ones were set, in order */
    uint32_t init_count, init_room;

    struct cn_op_rule rules[CN_WASM_PLACES];
    cn_valtype near_locals[CN_LOCALS_NEAR];
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
/* Memory 0 has addresses of this type. */
void cn_rules_set_address(struct cn_validator *v, cn_valtype address);

/* ---------------------------------------------------------------- typing.c */

/* Fails at the current operator. */
#define cn_reject(v, status, ...)                                                                  \
    cn_fail((v)->reader.error, status, (uint64_t)((v)->op - (v)->reader.file), __VA_ARGS__)

/* Room for the text of a type. */
#define CN_TYPE_TEXT 32
/* "any" for CN_TYPE_ANY, else the type's name; returns text. */
const char *cn_type_text(cn_valtype type, char text[CN_TYPE_TEXT]);
/* "type mismatch: instruction requires [...] but stack has [...] (who)"; `found` may be NULL. */
enum cn_status cn_fail_type(struct cn_validator *v, const char *who, cn_valtype expected,
                            const cn_valtype *found);

static inline struct cn_block_frame *cn_top_frame(const struct cn_validator *v)
{
    return &v->frames[v->frame_count - 1];
}

/* Whether a value of type `found`, which may be a CN_TYPE_..., can stand for `expected`. */
static inline bool cn_type_fits(const struct cn_validator *v, cn_valtype found,
                                cn_valtype expected)
{
    return found == expected || found == CN_TYPE_ANY ||
           (found == CN_TYPE_ANY_REF ? cn_valtype_is_ref(expected)
                                     : cn_valtype_is_subtype(v->module->types, found, expected));
}

/* Makes room for `count` more types and one to spare. */
CN_CHECKED enum cn_status cn_stack_reserve(struct cn_validator *v, size_t count);
CN_CHECKED enum cn_status cn_push(struct cn_validator *v, cn_valtype type);
CN_CHECKED enum cn_status cn_push_all(struct cn_validator *v, struct cn_type_list list);
/* Takes one value of any type; `who` expects it. */
CN_CHECKED enum cn_status cn_pop_any(struct cn_validator *v, const char *who, cn_valtype *found);
CN_CHECKED enum cn_status cn_pop_type(struct cn_validator *v, cn_valtype expected,
                                      const char *who);
/* Takes a reference of any type: CN_TYPE_ANY_REF where nothing is known. */
CN_CHECKED enum cn_status cn_pop_ref(struct cn_validator *v, const char *who, cn_valtype *found);
CN_CHECKED enum cn_status cn_pop_all(struct cn_validator *v, struct cn_type_list list,
                                     const char *who);
/* As cn_pop_all, but what is there stays there. */
CN_CHECKED enum cn_status cn_peek_all(struct cn_validator *v, struct cn_type_list list,
                                      const char *who);
/* Takes and gives what the rule says. */
CN_CHECKED enum cn_status cn_apply(struct cn_validator *v, const struct cn_op_rule *rule);

CN_CHECKED enum cn_status cn_open_frame(struct cn_validator *v, uint8_t op,
                                        struct cn_block_type type);
/* What follows is reached by nothing until the block's end. */
void cn_become_dead(struct cn_validator *v);

static inline struct cn_type_list cn_params_of(const struct cn_functype *type)
{
    return (struct cn_type_list){cn_functype_params(type), type->param_count};
}

static inline struct cn_type_list cn_results_of(const struct cn_functype *type)
{
    return (struct cn_type_list){cn_functype_results(type), type->result_count};
}

static inline struct cn_type_list cn_block_params(const struct cn_block_type *type)
{
    return type->func != NULL ? cn_params_of(type->func) : (struct cn_type_list){NULL, 0};
}

/* Valid as long as the block type itself. */
static inline struct cn_type_list cn_block_results(const struct cn_block_type *type)
{
    if (type->func != NULL)
        return cn_results_of(type->func);
    return (struct cn_type_list){&type->result, type->result != CN_TYPE_ANY};
}

/* ---------------------------------------------------------------- locals.c */

/* Reads the declarations and prepares all locals of the function; gives how many are declared. */
CN_CHECKED enum cn_status cn_read_locals(struct cn_validator *v, uint32_t *declared);
/* Reads a local's index and gives its type. */
CN_CHECKED enum cn_status cn_read_local(struct cn_validator *v, uint32_t *index,
                                        cn_valtype *type);
CN_CHECKED enum cn_status cn_check_local_is_set(struct cn_validator *v, uint32_t index,
                                                cn_valtype type);
/* The local has a value from here to the end of the block. */
CN_CHECKED enum cn_status cn_mark_local_set(struct cn_validator *v, uint32_t index,
                                            cn_valtype type);
/* Locals that were set since the list had this height are unset again. */
void cn_unset_locals(struct cn_validator *v, uint32_t init_height);

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
CN_CHECK(call_ref);
CN_CHECK(return_call);
CN_CHECK(return_call_indirect);
CN_CHECK(return_call_ref);
CN_CHECK(try);
CN_CHECK(catch);
CN_CHECK(catch_all);
CN_CHECK(delegate);
CN_CHECK(throw);
CN_CHECK(rethrow);
CN_CHECK(throw_ref);
CN_CHECK(try_table);
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
CN_CHECK(fence);
CN_CHECK(ref_null);
CN_CHECK(ref_is_null);
CN_CHECK(ref_func);
CN_CHECK(ref_eq);
CN_CHECK(ref_as_non_null);
CN_CHECK(br_on_null);
CN_CHECK(br_on_non_null);
CN_CHECK(struct_new);
CN_CHECK(struct_new_default);
CN_CHECK(struct_get);
CN_CHECK(struct_set);
CN_CHECK(array_new);
CN_CHECK(array_new_default);
CN_CHECK(array_new_fixed);
CN_CHECK(array_new_data);
CN_CHECK(array_new_elem);
CN_CHECK(array_get);
CN_CHECK(array_set);
CN_CHECK(array_len);
CN_CHECK(array_fill);
CN_CHECK(array_copy);
CN_CHECK(array_init_data);
CN_CHECK(array_init_elem);
CN_CHECK(ref_test);
CN_CHECK(ref_cast);
CN_CHECK(br_on_cast);
CN_CHECK(any_convert_extern);
CN_CHECK(extern_convert_any);
CN_CHECK(ref_i31);
CN_CHECK(i31_get);
CN_CHECK(prefixed);
CN_CHECK(lane);
CN_CHECK(shuffle);
CN_CHECK(v128_const);
CN_CHECK(memarg_lane);

/* Reading indices: "unknown WHAT ..." when there is none of this number. */
CN_CHECKED enum cn_status cn_check_number(struct cn_validator *v, const char *what,
                                          uint32_t count, uint32_t index);
CN_CHECKED enum cn_status cn_read_number(struct cn_validator *v, const char *what,
                                         uint32_t count, uint32_t *index);
/* A type of a function; of a struct or an array. */
CN_CHECKED enum cn_status cn_read_type_of(struct cn_validator *v, enum cn_deftype_kind kind,
                                          uint32_t *index);
/* Reads the index of an open block and gives what a branch to it hands over. */
CN_CHECKED enum cn_status cn_read_label(struct cn_validator *v, struct cn_type_list *label);
CN_CHECKED enum cn_status cn_read_data_index(struct cn_validator *v,
                                             const struct cn_op_rule *rule);

/* What stands behind a load or store. */
CN_CHECKED enum cn_status cn_check_memarg(struct cn_validator *v, const struct cn_op_rule *rule);

#endif
