/* cordon wast: runs scripts of the WebAssembly test suite. The command's inside, shared by its
 * files alone. */
#ifndef CN_CLI_WAST_H
#define CN_CLI_WAST_H

#include <stdbool.h>

#include "loader/text.h"
#include "vm/thread.h"

/* Takes the words after the command and returns the exit code. */
int cli_wast(int argc, char **argv);

/* ---------------------------------------------------------------- wast_value.c */

enum wast_value_kind {
    WAST_NUMBER,       /* exactly these bits */
    WAST_NAN,          /* of a float: a canonical or an arithmetic one */
    WAST_VECTOR,
    WAST_NULL,         /* any null reference */
    WAST_REF,          /* of a kind: see `ref` */
    WAST_HOST,         /* a value of the host, as an externref or anyref */
};

/* What (ref.func) and the like ask for. */
enum wast_ref { WAST_REF_FUNC, WAST_REF_EXTERN, WAST_REF_ANY, WAST_REF_EQ, WAST_REF_I31,
                WAST_REF_STRUCT, WAST_REF_ARRAY, WAST_REF_EXN };

/* A constant, or what is expected of a result. */
struct wast_value {
    uint8_t kind;      /* enum wast_value_kind */
    uint8_t type;      /* CN_I32...CN_V128, or a reference's code */
    uint8_t lane_bits; /* of a vector with NaN patterns: 32 or 64 */
    uint8_t ref;
    uint8_t nans[4];   /* per lane, or [0]: 0 none, 1 canonical, 2 arithmetic */
    uint64_t bits[2];
};

struct wast_cursor {
    const struct cn_tokens *tokens;
    uint32_t at;
};

/* Reads "(type.const ...)" or "(ref...)"; false when it is none. */
bool wast_take_value(struct wast_cursor *cursor, struct wast_value *value);
/* Whether the slots, a result of that type, hold what is expected. */
bool wast_value_fits(const struct cn_store *store, const struct wast_value *value,
                     cn_valtype type, const union cn_slot *slots);
/* Whether it can be given for a parameter of that type. */
bool wast_value_may_be(const struct wast_value *value, cn_valtype type);
/* As text, cut to size. */
void wast_value_print(const struct wast_value *value, char *text, size_t size);
/* What stands in slots, by its type. */
void wast_slots_print(cn_valtype type, const union cn_slot *slots, char *text, size_t size);
/* The slots of an argument; how many they are. */
uint32_t wast_value_slots(const struct wast_value *value, union cn_slot *slots);

/* ---------------------------------------------------------------- wast_world.c */

struct wast_module {
    struct wast_module *next;
    struct cn_buffer binary;
    struct cn_module *module;
    struct cn_program *program;
};

struct wast_name {
    struct wast_name *next;
    struct cn_bytes name;
    struct cn_instance *instance;   /* or NULL */
    struct wast_module *definition; /* or NULL */
};

/* The store of one script, and what it has named. */
struct wast_world {
    struct cn_account account;
    struct cn_store *store;
    struct wast_module *modules;
    struct wast_name *names, *registered;
    struct cn_instance *current;
    struct wast_module *last_definition;
    struct cn_arena arena;
    bool preempt; /* stop at every safepoint */
    bool collect; /* at every allocation */
    bool single;  /* several memories or tables in a module are refused */
};

CN_CHECKED enum cn_status wast_world_open(struct wast_world *world);
void wast_world_close(struct wast_world *world);

/* Loads, translates and verifies binary->... of a module that is in the world from then on. */
CN_CHECKED enum cn_status wast_load(struct wast_world *world, struct wast_module *module,
                                    struct cn_error *error);
CN_CHECKED enum cn_status wast_instantiate(struct wast_world *world, struct wast_module *module,
                                           struct cn_instance **instance,
                                           struct cn_error *error);
struct wast_module *wast_module_new(struct wast_world *world);
/* Calls an exported function, or reads an exported global: its type and value. The error's text
 * is the trap's. */
#define WAST_SLOTS_MAX 4096
CN_CHECKED enum cn_status wast_call(struct wast_world *world, struct cn_func *func,
                                    const union cn_slot *arguments, union cn_slot *results,
                                    struct cn_error *error);
struct wast_name *wast_find(struct wast_name *list, struct cn_bytes name);
CN_CHECKED enum cn_status wast_set_name(struct wast_world *world, struct wast_name **list,
                                        struct cn_bytes name, struct wast_name what);

/* ---------------------------------------------------------------- wast_script.c */

struct wast_result {
    unsigned passed, failed;
    unsigned line, column;   /* of the first failure */
    char expected[300], found[300];
    char command[40];
};

struct wast_options {
    bool preempt, collect, single;
    const char *modules; /* folder where the scripts' modules are put, or NULL */
    const char *name;    /* of the script */
};

/* Runs a script; what fails is counted, the first failure described. */
void wast_run(struct cn_bytes text, const struct wast_options *options,
              struct wast_result *result);

#endif
