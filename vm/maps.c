#include "vm/maps.h"

#include <assert.h>
#include <string.h>

void cn_maps_free(struct cn_maps *maps)
{
    cn_free(maps->allocator, maps->bytes, maps->room);
    cn_free(maps->allocator, maps->points, maps->point_room * sizeof *maps->points);
    *maps = (struct cn_maps){.allocator = maps->allocator, .limit = maps->limit};
}

/* Room for `need` elements. */
static bool reserve(struct cn_maps *maps, void *array, uint32_t *room, uint64_t need, size_t size)
{
    void **place = array;
    uint64_t more = *room < 64 ? 128 : *room;

    if (need <= *room)
        return true;
    maps->is_too_large |= need * size > maps->limit;
    if (maps->is_too_large)
        return false;
    while (more < need)
        more *= 2;
    void *moved = more > UINT32_MAX / 16
                      ? NULL
                      : cn_resize(maps->allocator, *place, *room * size, more * size);
    if (moved == NULL) {
        maps->is_exhausted = true;
        return false;
    }
    *place = moved;
    *room = (uint32_t)more;
    return true;
}

static const struct cn_root_map *map_at(const struct cn_maps *maps, uint32_t at)
{
    return (const struct cn_root_map *)(const void *)(maps->bytes + at);
}

static size_t size_of(const struct cn_root_map *map)
{
    return sizeof *map + map->count * sizeof map->words[0];
}

/* The slots that hold references to the heap, behind the maps that are there, in the form that
 * takes less room; NULL when there is none. */
static struct cn_root_map *draw(struct cn_maps *maps, struct cn_verify_state *state)
{
    uint32_t top = state->ref_count > 0 ? state->ref_top : 0, bit_words = (top + 15) / 16;
    bool has_bits = bit_words < state->ref_count;
    uint32_t words = has_bits ? bit_words : state->ref_count;

    if (!reserve(maps, &maps->bytes, &maps->room,
                 maps->used + sizeof(struct cn_root_map) + (uint64_t)words * 2, 1))
        return NULL;
    struct cn_root_map *map = (struct cn_root_map *)(void *)(maps->bytes + maps->used);
    *map = (struct cn_root_map){.header = state->header & 0x7fff, .has_bits = has_bits,
                                .count = (uint16_t)(has_bits ? words : 0)};
    memset(map->words, 0, (size_t)words * 2);
    state->work -= top;
    for (uint32_t i = 0; i < top; i++) {
        if (!cn_kind_is_heap_ref((enum cn_kind)state->kinds[i]))
            continue;
        if (has_bits)
            map->words[i / 16] |= (uint16_t)(1u << i % 16);
        else
            map->words[map->count++] = (uint16_t)i;
    }
    while (has_bits && map->count > 0 && map->words[map->count - 1] == 0)
        map->count--;
    return map;
}

uint32_t cn_maps_note(struct cn_maps *maps, struct cn_verify_state *state)
{
    if (maps->recent_count > 0 && maps->last_version == state->version)
        return maps->last;
    maps->last_version = state->version;
    const struct cn_root_map *map = draw(maps, state);
    if (map == NULL)
        return 0;
    uint32_t known = maps->recent_count < CN_RECENT_MAPS ? maps->recent_count : CN_RECENT_MAPS;
    state->work -= map->count * 2 + CN_RECENT_MAPS;
    for (uint32_t i = 0; i < known; i++) {
        const struct cn_root_map *other = map_at(maps, maps->recent[i]);
        if (other->count == map->count && memcmp(other, map, size_of(map)) == 0) {
            maps->last = maps->recent[i];
            return maps->last;
        }
    }
    maps->last = maps->used;
    maps->recent[maps->recent_count++ % CN_RECENT_MAPS] = maps->used;
    maps->used += (uint32_t)size_of(map);
    return maps->last;
}

void cn_maps_note_point(struct cn_maps *maps, struct cn_verify_state *state, uint32_t offset,
                        uint32_t code_size)
{
    /* Up to the first reference nobody needs to be told that there are none. */
    if (state->ref_count == 0 && maps->point_count == 0)
        return;
    uint32_t map = cn_maps_note(maps, state);
    if (maps->is_exhausted || maps->is_too_large)
        return;
    if (maps->point_count == 0 && map_at(maps, map)->count == 0)
        return;
    if (reserve(maps, &maps->points, &maps->point_room, (uint64_t)maps->point_count + 1,
                sizeof *maps->points))
        maps->points[maps->point_count++] = (struct cn_root_point){offset, code_size + map};
}

const struct cn_root_point *cn_maps_write(const struct cn_maps *maps, uint8_t *behind_code)
{
    size_t padded = (maps->used + 7u) & ~7u;
    struct cn_root_point *points = (struct cn_root_point *)(void *)(behind_code + padded);

    if (maps->used > 0)
        memcpy(behind_code, maps->bytes, maps->used);
    memset(behind_code + maps->used, 0, padded - maps->used);
    if (maps->point_count > 0)
        memcpy(points, maps->points, maps->point_count * sizeof *points);
    return points;
}

const struct cn_root_map *cn_funcode_map_at(const struct cn_funcode *code, uint32_t offset)
{
    uint32_t low = 0, high = code->point_count;

    if (high == 0 || offset < code->points[0].offset)
        return NULL;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (code->points[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    assert(code->points[low].offset == offset);
    return (const struct cn_root_map *)(const void *)(code->bytes + code->points[low].map);
}
