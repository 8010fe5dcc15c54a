/* Which slots hold references to the heap where a guest can stand still: written down by the
 * verifier, read by the collector.
 *
 * A call's map is for while the callee runs, and found from the return address: the word in
 * front of `after` says how far behind it the map stands. The other maps are for a stopped
 * thread's innermost frame: by the offset of pc in the function's code.
 */
#ifndef CN_VM_MAPS_H
#define CN_VM_MAPS_H

#include "core/alloc.h"
#include "core/bytes.h"
#include "vm/program.h"
#include "vm/verify_state.h"

struct cn_root_map {
    uint16_t header : 15; /* slot of the function's header */
    uint16_t has_bits : 1;
    uint16_t count;       /* of words */
    uint16_t words[];     /* each a slot; or 16 bits, of which the lowest is the lowest slot's */
};

/* A place where a thread can stand, and the distance of its map from the function's code. */
struct cn_root_point {
    uint32_t offset;
    uint32_t map;
};

#define CN_RECENT_MAPS 8

/* The maps of one function in the making. */
struct cn_maps {
    struct cn_allocator allocator;
    uint64_t limit;              /* no more bytes than this */
    uint8_t *bytes;              /* the maps, one after another */
    uint32_t used, room;
    struct cn_root_point *points;
    uint32_t point_count, point_room;
    uint32_t recent[CN_RECENT_MAPS]; /* where the last ones begin: most are equal to one of them */
    uint32_t recent_count;
    uint32_t last;               /* the map of the state that had this version */
    uint64_t last_version;
    bool is_exhausted;           /* no memory was left */
    bool is_too_large;           /* the limit was reached */
};

void cn_maps_free(struct cn_maps *maps);

/* Where the map of what is in the slots now stands; equal ones are written once. */
uint32_t cn_maps_note(struct cn_maps *maps, struct cn_verify_state *state);
/* A thread can stand at this offset of the code of `code_size` bytes. */
void cn_maps_note_point(struct cn_maps *maps, struct cn_verify_state *state, uint32_t offset,
                        uint32_t code_size);

/* Bytes that the maps take behind the code. */
static inline uint64_t cn_maps_size(const struct cn_maps *maps)
{
    return (((uint64_t)maps->used + 7) & ~7ull) + maps->point_count * sizeof *maps->points;
}
/* Copies them there; returns where the points stand. */
const struct cn_root_point *cn_maps_write(const struct cn_maps *maps, uint8_t *behind_code);

/* The map for a thread that stands at this offset, or NULL: no slot holds a reference. */
const struct cn_root_map *cn_funcode_map_at(const struct cn_funcode *code, uint32_t offset);

/* The map of the call that returns to pc. */
static inline const struct cn_root_map *cn_map_of_call(const uint8_t *pc)
{
    return (const struct cn_root_map *)(const void *)(pc + cn_load_u32(pc - 8));
}

#endif
