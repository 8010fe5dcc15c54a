/* What the handles of cordon.h stand for. Shared by the files of api/ alone. */
#ifndef CN_API_INTERNAL_H
#define CN_API_INTERNAL_H

#include <pthread.h>

#include "api/closures.h"
#include "core/error.h"
#include "core/module.h"
#include "host/fence.h"
#include "host/vm.h"
#include "include/cordon.h"
#include "loader/buffer.h"
#include "loader/translate.h"
#include "vm/stock.h"

struct cn_sign;

struct cordon_host {
    cordon_translation_t translation;
    uint64_t memory_limit; /* for loading one module */
    struct cn_pot pot;     /* memory of all its VMs */
    struct cn_stock stock; /* mappings that they have done with */
    struct cn_pool *pool;  /* NULL until cordon_host_start */
    struct cn_pends pends; /* host functions of its VMs that are answered later */
    struct cn_fences fences;
    struct cn_closures closures;
    bool has_fences;
};

struct cordon_module {
    struct cn_account account; /* what loading and translating it takes */
    struct cn_buffer binary; /* what a text became */
    struct cn_module *module;
    struct cn_program *program;
    struct cn_translator *translator; /* for functions without code, and to explain traps */
    pthread_mutex_t lock;             /* of program and translator, once it is loaded */
};

/* A function that a linker offers. */
struct cn_binding {
    struct cn_binding *next;
    char *module, *name;
    const struct cn_functype *type;
    cn_host_fn call;
    struct cn_native *native; /* for cordon_bind: the libffi side */
    cordon_raw_fn raw;
    void *user;
};

/* What a linker has for imports besides functions: each VM gets its own. */
struct cn_offer {
    struct cn_offer *next;
    const char *module, *name;
    enum cn_extern_kind kind;
    struct cn_memory_type memory; /* as the kind says */
    struct cn_table_type table;
    struct cn_global_type global;
    cordon_value_t value;         /* of the global */
};

/* A module of which each VM gets an instance, for others to import from. */
struct cn_companion {
    struct cn_companion *next;
    const char *name;
    struct cordon_module *module;
};

struct cordon_linker {
    struct cn_arena arena;
    struct cn_binding *bindings;
    struct cn_offer *offers;         /* in the order in which they were made, as are the next */
    struct cn_companion *companions;
    bool allows_wasi;
};

struct cn_volume_grant;

/* A standard stream that is a function: one of these, or none. */
struct cn_stream {
    cordon_read_fn read;
    cordon_write_fn write;
    void *user;
    struct cordon_vm *vm; /* in the VM's own copy: whose it is */
};

struct cordon_config {
    struct cn_arena arena;
    const char **args, **environ;
    struct cn_wasi_dir *dirs;
    int *listeners;
    uint32_t arg_count, environ_count, dir_count, listener_count;
    uint32_t arg_room, environ_room, dir_room, listener_room;
    struct cn_stream streams[3]; /* functions instead of these: */
    int stdio[3], own_stdio[3]; /* own: opened anew before the sandbox, or -1 */
    int taken_stdio[3];         /* what of stdio the config closes, or -1 */
    uint64_t limit[CORDON_QUOTA_COUNT];
    int ledger_fd; /* or -1 */
    void *ledger;  /* the same, mapped */
    bool preempt_everywhere, collect_everywhere, move_on_grow;
};

/* A control is a VM seen from other threads: one of this process, or a cell. */
struct cn_ctl_ops {
    void (*kill)(cordon_ctl_t *ctl, int signal);
    void (*pause)(cordon_ctl_t *ctl, bool paused);
    enum cn_status (*limit)(cordon_ctl_t *ctl, enum cn_quota quota, uint64_t value);
    struct cn_figures (*figures)(cordon_ctl_t *ctl);
    void (*feed)(cordon_ctl_t *ctl, int number);
};

struct cordon_ctl {
    const struct cn_ctl_ops *ops;
    _Atomic uint64_t foreign_calls;
};

extern const struct cn_ctl_ops cn_api_vm_ctl;

/* A memory, table or global of the linker's, as the VM got it. */
struct cn_thing {
    struct cn_thing *next;
    const char *name;
    struct cn_extern external;
};

/* What imports of that module name are joined to. */
struct cordon_instance {
    struct cordon_instance *next;  /* in the VM, in the order in which they were added */
    struct cordon_vm *vm;
    const char *name;
    struct cordon_module *module;  /* NULL where the linker's things are all that there is */
    struct cn_instance *instance;  /* NULL also where it could not be finished */
    struct cn_thing *things;
    _Atomic(const struct cn_export *) last; /* of its exports, that was asked for; or NULL */
    bool has_failed;               /* nothing is joined to it; but its functions may be in use */
};

struct cordon_vm {
    struct cn_vm vm; /* first */
    struct cordon_ctl ctl;
    struct cordon_host *host;
    const struct cordon_linker *linker;
    struct cordon_instance *instances, *main;
    uint32_t module_count;      /* of the instances: those of modules */
    uint32_t initialized_count; /* of these: start and _initialize have run */
    struct cn_func *one_call[1]; /* where nothing has to run before it */
    struct cn_stream streams[3];
    struct cn_begun *begun;     /* of step.c; or NULL */
    struct cn_arena arena;      /* charged to the VM */
    pthread_mutex_t ended_lock; /* of is_started */
    pthread_cond_t ended_cond;
    cordon_done_fn done;
    void *done_user;
    bool is_started;     /* the host's workers have it */
    bool is_settled;     /* the fuel that a trap left unspent was given back */
    _Atomic bool is_busy;   /* a run or a call is under way, or workers have it */
    _Atomic uintptr_t host_thread; /* the thread in which a function of the embedder's is under
                                      way, that the guest has called; or 0 */
    cordon_token_t pending; /* it has said that its answer comes later; or 0 */
    struct cn_closure *closures; /* pointers to its functions */
    struct cn_closure *idle_fns; /* for calls of C functions that want one, last used first */
    uint32_t idle_fn_count;
    bool is_broken;      /* the guest cannot go on when that returns: */
    struct cn_error broken; /* why, unless vm.end says so */
};

/* The module's translator, made anew when it was given up; NULL when memory is exhausted. */
struct cn_translator *cn_api_translator(struct cordon_module *module);

/* Add to what is granted, and take the descriptor over whether they succeed or not. */
bool cn_api_config_dir(cordon_config_t *config, int fd, const char *guest, bool read_only,
                       cordon_error_t *error);
bool cn_api_config_mount(cordon_config_t *config, struct cn_volume_grant *mount, int fd,
                         const char *guest, bool read_only, cordon_error_t *error);
bool cn_api_config_listener(cordon_config_t *config, int fd, uint16_t *port,
                            cordon_error_t *error);
bool cn_api_config_ledger(cordon_config_t *config, int fd, cordon_error_t *error);

/* The public form of what was used. */
void cn_api_stats(const struct cn_figures *figures, cordon_stats_t *stats);

/* Writes the error; returns false, so that a caller can return it. */
bool cn_api_fail(cordon_error_t *error, cordon_kind_t kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* CORDON_QUOTA, with the quota that was in the way. */
bool cn_api_fail_quota(cordon_error_t *error, enum cn_quota quota, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same from a failure of a layer below. */
bool cn_api_fail_with(cordon_error_t *error, const struct cn_error *cause);

/* Whether the host's workers have the VM. */
bool cn_api_is_started(struct cordon_vm *vm);
/* Has the host's workers give back the VM's memory, in turns that count as its own, and waits. */
void cn_api_tear_down(struct cordon_vm *vm);
/* Waits until the host's workers have done with the VM. */
void cn_api_vm_wait(struct cordon_vm *vm);

/* The functions that running the VM as a program comes to, in the VM's arena; false when it is
 * none. From then on it counts as initialized. */
bool cn_api_program(struct cordon_vm *vm, struct cn_func ***calls, uint32_t *count,
                    cordon_error_t *error);

/* instance.c: the one of that name, or NULL. */
struct cordon_instance *cn_api_instance_named(const struct cordon_vm *vm, struct cn_bytes name);
/* Something that it exports; false when there is nothing of that name. */
bool cn_api_instance_find(const struct cordon_instance *instance, struct cn_bytes name,
                          struct cn_extern *result);
/* An exported function, or NULL; also NULL without an instance. */
struct cn_func *cn_api_export_func(struct cordon_instance *instance, const char *name);
/* Which one that is; whose program that is. NULL when it is none of the VM's. */
const struct cordon_instance *cn_api_instance_of(const struct cordon_vm *vm,
                                                 const struct cn_instance *instance);
struct cordon_module *cn_api_module_of(const struct cordon_vm *vm,
                                       const struct cn_program *program);
/* An empty one; one of a module, joined to what is there. NULL with the error. */
struct cordon_instance *cn_api_instance_new(struct cordon_vm *vm, const char *name,
                                            cordon_error_t *error);
struct cordon_instance *cn_api_instance_add(struct cordon_vm *vm, const char *name,
                                            cordon_module_t *module, cordon_error_t *error);
/* What has to run before anything else of those that were added does: an array of the VM's, with
 * room for one more. They count as initialized then. False when memory is exhausted. */
bool cn_api_initial_calls(struct cordon_vm *vm, bool is_command, struct cn_func ***calls,
                          uint32_t *count);

/* offer.c: makes what the VM's linker has besides functions. */
bool cn_api_give_offers(struct cordon_vm *vm, cordon_error_t *error);

/* Fills the public result from how the VM ended. */
void cn_api_result(struct cordon_vm *vm, cordon_result_t *result);

/* Where in the module the frame stands, which is of one of its functions; false when memory is
 * exhausted. From any thread. */
bool cn_api_origin(struct cordon_module *module, const struct cn_frame *frame,
                   struct cn_origin *origin);

/* ref.c, types in the store's terms: whether what stands in a slot is of this type. */
bool cn_api_ref_is(const struct cn_store *store, uint64_t reference, cn_valtype type);
/* Whether a reference may be given for one of this type; what stands for it in a slot; and the way
 * back, false when there is no memory for a handle. */
bool cn_api_ref_fits(const struct cn_store *store, const cordon_value_t *value, cn_valtype type);
uint64_t cn_api_ref_take(const cordon_value_t *value);
bool cn_api_ref_give(struct cn_store *store, uint64_t reference, cordon_value_t *value);

cordon_type_t cn_api_type(cn_valtype type);
/* The type of values of that kind, nullable where it is one of references. */
cn_valtype cn_api_valtype(cordon_type_t type);

_Static_assert(CN_I32 - CN_I64 == CORDON_I64 && CN_I32 - CN_F32 == CORDON_F32 &&
               CN_I32 - CN_F64 == CORDON_F64 && CORDON_I32 == 0, "numbers in one order");

/* Of a number's type: the public one, and whether it is one of 32 bits. */
static inline cordon_type_t cn_api_number_type(cn_valtype type)
{
    return (cordon_type_t)(CN_I32 - type);
}
static inline bool cn_api_is_narrow(cn_valtype type)
{
    return type == CN_I32 || type == CN_F32;
}

/* value.c: writes the value to its slot, or two; returns how many. */
uint32_t cn_api_put_value(union cn_slot *slots, const cordon_value_t *value);
/* The way back; false when there is no memory for a handle. */
bool cn_api_take_value(struct cn_store *store, const union cn_slot *slots, cn_valtype type,
                       cordon_value_t *value);
/* Whether it may be given for one of this type, which is in the store's terms. */
bool cn_api_value_fits(const struct cn_store *store, const cordon_value_t *value,
                       cn_valtype type);

/* Prepares a C function for calls as the signature says; NULL when libffi cannot. In the arena. */
struct cn_native *cn_native_new(struct cn_arena *arena, const struct cn_binding *binding,
                                const struct cn_sign *sign, void (*function)(void), void *user);
/* The cn_host_fn of such a function; env is the binding. */
enum cn_status cn_native_call(struct cn_thread *thread, void *env, union cn_slot *slots);

/* A call of the embedder's function: what is to be given back after it, as it may be beneath
 * another one. */
struct cn_host_call {
    uintptr_t thread;
    cordon_token_t pending;
};

/* What no other thread that is there now is known by; pthread_self without a call. */
static inline uintptr_t cn_api_this_thread(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

static inline void cn_api_enter_host(struct cordon_vm *vm, struct cn_host_call *call)
{
    call->thread = atomic_load_explicit(&vm->host_thread, memory_order_relaxed);
    call->pending = vm->pending;
    vm->pending = 0;
    atomic_store_explicit(&vm->host_thread, cn_api_this_thread(), memory_order_relaxed);
}

/* Whether the function has simply returned; else cn_api_host_stopped says what comes of that. It is
 * for the caller to give back `pending`. */
static inline bool cn_api_leave_host(struct cordon_vm *vm, const struct cn_host_call *call)
{
    atomic_store_explicit(&vm->host_thread, call->thread, memory_order_relaxed);
    return !vm->is_broken && vm->pending == 0 && vm->vm.end.kind == CN_END_NONE;
}

/* Whether the caller is such a function. */
static inline bool cn_api_is_in_host(struct cordon_vm *vm)
{
    return atomic_load_explicit(&vm->host_thread, memory_order_relaxed) ==
           cn_api_this_thread();
}

/* From within such a function: the guest will trap when it returns. The first one counts. */
void cn_api_break(struct cordon_vm *vm, enum cn_status trap, const char *text);
/* Why the guest ends, when it may not go on after such a call. */
enum cn_status cn_api_host_broke(struct cordon_vm *vm, struct cn_thread *thread);

/* Whether arguments are of the function's types; `name` is for the error. */
bool cn_api_arguments_fit(const struct cordon_vm *vm, const struct cn_func *func,
                          const char *name, const cordon_value_t *arguments, uint32_t count,
                          cordon_error_t *error);
/* Forgets what was begun to be run in steps or as a call on workers, wherever it stands. */
void cn_api_begun_free(struct cordon_vm *vm);
/* The workers have brought it to its end. */
void cn_api_begun_over(struct cordon_vm *vm);

/* host.c: takes the VM for a start; cn_api_end_call gives it back if that fails. */
bool cn_api_begin_start(struct cordon_vm *vm, cordon_error_t *error);
/* Has the host's workers make the calls; the VM stays taken when it fails. `done` must be set. */
bool cn_api_start(struct cordon_vm *vm, const struct cn_calls *calls, cordon_error_t *error);

/* What comes of such a call when it has not simply returned with `status`. */
enum cn_status cn_api_host_stopped(struct cordon_vm *vm, struct cn_thread *thread,
                                   union cn_slot *slots, enum cn_status status);
/* The call is made again: whether it waits for its answer, which it gets now if it is there. */
static inline bool cn_api_host_waits(const struct cn_thread *thread)
{
    return thread->call_state.words[0] != 0;
}
enum cn_status cn_api_host_went_on(struct cordon_vm *vm, struct cn_thread *thread,
                                   union cn_slot *slots);
/* An answer comes too late. */
void cn_api_answer_dropped(const struct cn_answer *answer);

/* What there is for an import: of the VM's instances, of the linker's functions, of WASI. */
bool cn_api_resolve(struct cordon_vm *vm, const struct cn_module *module, uint32_t import,
                    struct cn_extern *result, cordon_error_t *error);

/* export.c: from now on the pointers to its functions do nothing. */
void cn_api_drop_fns(struct cordon_vm *vm);

/* How a guest can be called from where the caller is now. */
enum cn_way {
    CN_WAY_NONE,    /* not at all: another thread uses the VM */
    CN_WAY_TOP,     /* nothing of it is under way; cn_api_end_call must follow */
    CN_WAY_BENEATH, /* from within a host function that the guest has called */
};
enum cn_way cn_api_begin_call(struct cordon_vm *vm);
void cn_api_end_call(struct cordon_vm *vm, enum cn_way way);

/* Makes the call; true when it has returned. Otherwise vm->vm.end says why not, or is_broken. */
bool cn_api_call(struct cordon_vm *vm, enum cn_way way, struct cn_func *func,
                 const union cn_slot *arguments, union cn_slot *results);
/* Whether nothing has to run before the next call. */
static inline bool cn_api_is_initialized(const struct cordon_vm *vm)
{
    return vm->initialized_count == vm->module_count;
}
/* Runs what has to run before the first call; vm->vm.end says how that went. False when there was
 * no memory for that. */
bool cn_api_initialize(struct cordon_vm *vm);

/* Fills the public result from how such a call ended. */
void cn_api_call_result(struct cordon_vm *vm, bool has_returned, cordon_result_t *result);

#endif
