/* Where in the text things come from, for messages about the binary that it becomes. */
#include "loader/text_parse.h"

static enum cn_status add(struct cn_parser *p, uint8_t section, size_t offset, uint32_t at)
{
    if (p->map == NULL || section == 0)
        return CN_OK;
    CN_TRY(cn_text_room(p, &p->marks, p->mark_count, &p->mark_room, sizeof *p->marks));
    p->marks[p->mark_count++] =
        (struct cn_text_mark){(uint32_t)offset, p->tokens->tokens[at].at, section};
    return CN_OK;
}

enum cn_status cn_mark(struct cn_parser *p, uint32_t at)
{
    return add(p, p->code_section, p->code->size, at);
}

enum cn_status cn_mark_entry(struct cn_parser *p, uint8_t section, uint32_t at)
{
    return add(p, section, p->sections[section].size, at);
}

void cn_move_body_marks(struct cn_parser *p, uint32_t distance)
{
    for (uint32_t i = p->body_marks; i < p->mark_count; i++)
        p->marks[i].offset += distance;
}

enum cn_status cn_map_section(struct cn_parser *p, uint8_t section, uint32_t offset)
{
    for (uint32_t i = 0; i < p->mark_count; i++) {
        if (p->marks[i].section != section)
            continue;
        CN_TRY(cn_text_room(p, &p->map->marks, p->map->count, &p->map->room,
                            sizeof *p->map->marks));
        p->map->marks[p->map->count++] =
            (struct cn_source_mark){offset + p->marks[i].offset, p->marks[i].text};
    }
    return CN_OK;
}
