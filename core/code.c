#include "core/code.h"

#include <string.h>

static bool same_refs(const struct cn_code *a, const struct cn_label *x, const struct cn_code *b,
                      const struct cn_label *y)
{
    for (uint32_t i = 0; i < x->ref_count; i++) {
        const struct cn_ref_slot *p = &a->refs[x->ref_first + i];
        const struct cn_ref_slot *q = &b->refs[y->ref_first + i];
        if (p->slot != q->slot || p->type != q->type)
            return false;
    }
    return true;
}

static bool same_labels(const struct cn_code *a, const struct cn_code *b)
{
    for (uint32_t i = 0; i < a->label_count; i++) {
        const struct cn_label *x = &a->labels[i], *y = &b->labels[i];
        if (x->offset != y->offset || x->live != y->live || x->ref_count != y->ref_count ||
            !same_refs(a, x, b, y))
            return false;
    }
    return true;
}

static bool same_handlers(const struct cn_code *a, const struct cn_code *b)
{
    for (uint32_t i = 0; i < a->handler_count; i++) {
        const struct cn_handler_entry *x = &a->handlers[i], *y = &b->handlers[i];
        if (x->start != y->start || x->end != y->end || x->tag != y->tag ||
            x->label != y->label || x->cost != y->cost || x->level != y->level ||
            x->slot != y->slot || x->gives != y->gives)
            return false;
    }
    return true;
}

bool cn_code_equal(const struct cn_code *a, const struct cn_code *b)
{
    return a->func == b->func && a->frame == b->frame && a->header == b->header &&
           a->entry_cost == b->entry_cost && a->size == b->size &&
           a->label_count == b->label_count && a->handler_count == b->handler_count &&
           (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0) && same_labels(a, b) &&
           same_handlers(a, b);
}
