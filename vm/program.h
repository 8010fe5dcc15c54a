/* The verified code of a module: the only thing that can be run.
 *
 * A program is made empty for a module; functions enter it through cn_program_install, which
 * verifies them (vm/verify.h) and only then threads the code: variant numbers become handler
 * addresses, labels distances, function numbers addresses. Nothing else writes `entry`. Once
 * installed, code is read-only. Shared by all VMs that run the module; install under one lock.
 */
#ifndef CN_VM_PROGRAM_H
#define CN_VM_PROGRAM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/code.h"
#include "core/error.h"
#include "core/module.h"

struct cn_root_point;

/* One function's code. Until it is installed, entry points at `stub`, an instruction that
 * suspends the guest with "needs code", so that translation can be lazy. */
struct cn_funcode {
    const uint8_t *entry;
    uint32_t frame;      /* slots of its frame; before install: header and its words only */
    uint32_t entry_cost; /* fuel charged by the caller; before install 0 */
    uint32_t header;
    uint32_t params;     /* slots of its parameters */
    uint32_t func;       /* index in the module */
    uint64_t stub;       /* handler of the "needs code" instruction */
    uint8_t *bytes;      /* the code that entry points into, or NULL; behind it its maps */
    uint32_t size;       /* of the code alone */
    uint32_t point_count;
    uint64_t block_size; /* with the maps: vm/maps.h */
    const struct cn_root_point *points;
    uint32_t handler_count;
    struct cn_handler_entry *handlers; /* label is an offset, or CN_NO_LABEL */
};

struct cn_program {
    const struct cn_module *module;
    struct cn_allocator allocator;
    struct cn_funcode *funcs; /* one per function of the module, imports included */
    /* Where the fields of structures lie: those of type i from offsets[first_offset[i]] on. */
    uint32_t *offsets, *first_offset;
    uint32_t offset_count;
    uint32_t code_per_byte;   /* CN_CODE_BYTES_PER_BODY_BYTE, or more for its maps */
    uint64_t code_size;       /* bytes installed, with maps */
    uint64_t code_size_max;   /* by the bodies' sizes; more is refused as CN_TOO_LARGE */
    uint32_t installed;       /* functions installed */
    atomic_flag order_lock;   /* for the following: VMs look for code while others install some */
    uint32_t *by_place;       /* the first `sorted` installed ones, in the order of their bytes */
    uint32_t sorted;
    uint32_t *newest;         /* those that were installed since, in any order */
    uint32_t newest_count;
    uint8_t *scratch;         /* the verifier's, kept between functions */
    size_t scratch_size;
};

/* A function's register code is charged with this many bytes per byte of its body, when the
 * module is instantiated: then neither quotas nor results depend on what was translated. */
#define CN_CODE_BYTES_PER_BODY_BYTE 8u
/* The same where the module has references to the heap, whose places the collector is told. */
#define CN_CODE_BYTES_WITH_MAPS 16u
/* What a whole module's code may have beyond that: then it is refused. Compilers' code takes 4
 * to 5 bytes per byte. */
#define CN_CODE_BYTES_SPARE (1u << 20)

/* The module must outlive the program. CN_NO_MEMORY is the only failure. */
CN_CHECKED enum cn_status cn_program_new(struct cn_program **result,
                                         const struct cn_module *module,
                                         struct cn_allocator allocator);

void cn_program_free(struct cn_program *program);

/* Verifies the code and makes it the function's. Copies what it needs; `code` stays the
 * caller's. CN_UNVERIFIED with function, offset and reason in `error` when the proof fails:
 * error->offset then counts from the beginning of the function's register code. */
CN_CHECKED enum cn_status cn_program_install(struct cn_program *program,
                                             const struct cn_code *code,
                                             struct cn_error *error);

/* The function whose code `pc` is in, or NULL. The functions' order by place is brought up to
 * date, so that this takes as long as installing did. */
const struct cn_funcode *cn_program_find(struct cn_program *program, const uint8_t *pc);

static inline bool cn_program_has(const struct cn_program *program, uint32_t func)
{
    return program->funcs[func].bytes != NULL;
}

#endif
