/* Instructions, plain and folded, on a stack of our own: no nesting exhausts C's. */
#include "loader/text_parse.h"

enum open_kind {
    OPEN_BLOCK,        /* closed by the word end */
    OPEN_IF,
    OPEN_ELSE,
    OPEN_TRY,
    OPEN_CATCH,
    OPEN_CATCH_ALL,
    OPEN_FOLDED,       /* an operator in parentheses: comes behind its operands */
    OPEN_FOLDED_BLOCK, /* closed by a parenthesis, as all that follow */
    OPEN_FOLDED_IF,    /* before (then */
    OPEN_FOLDED_THEN,  /* behind it */
    OPEN_FOLDED_ELSE,
    OPEN_FOLDED_TRY,   /* before (do */
    OPEN_FOLDED_DO,
    OPEN_FOLDED_CATCH,
    OPEN_FOLDED_CATCH_ALL,
    OPEN_FOLDED_DELEGATE, /* nothing may follow, and there is no operator end */
    OPEN_PART,         /* inside (then, (else, (do or (catch */
};

struct cn_text_open {
    uint8_t kind;
    uint32_t pending;     /* where its operator stands in p->pending */
    struct cn_bytes name; /* of its label, while that is not pushed yet */
    uint32_t token;       /* its operator */
    uint8_t hint;         /* which way the branch goes, if that is said */
};

static enum cn_status open(struct cn_parser *p, enum open_kind kind, struct cn_bytes name)
{
    CN_TRY(cn_text_room(p, &p->opens, p->open_count, &p->open_room, sizeof *p->opens));
    p->opens[p->open_count++] =
        (struct cn_text_open){(uint8_t)kind, (uint32_t)p->pending.size, name, p->at,
                              CN_NO_HINT};
    return CN_OK;
}

void cn_text_release_opens(struct cn_parser *p)
{
    cn_free(p->allocator, p->opens, p->open_room * sizeof *p->opens);
}

static struct cn_text_open *top(const struct cn_parser *p)
{
    return &p->opens[p->open_count - 1];
}

/* ---------------------------------------------------------------- labels */

static enum cn_status push_label(struct cn_parser *p, struct cn_bytes name)
{
    struct cn_text_label label = {name, CN_NO_VALUE};

    CN_TRY(cn_text_room(p, &p->labels, p->label_count, &p->label_room, sizeof *p->labels));
    if (name.at != NULL) {
        if (cn_names_set(&p->names, CN_SPACE_LABEL, 0, name, p->label_count + 1) != CN_OK)
            return cn_text_no_memory(p);
        label.before = p->names.before;
    }
    p->labels[p->label_count++] = label;
    return CN_OK;
}

static enum cn_status pop_label(struct cn_parser *p)
{
    struct cn_text_label label = p->labels[--p->label_count];

    if (label.name.at == NULL)
        return CN_OK;
    return cn_names_set(&p->names, CN_SPACE_LABEL, 0, label.name, label.before) == CN_OK
               ? CN_OK
               : cn_text_no_memory(p);
}

/* The name that may be repeated behind end, else or catch. */
static enum cn_status check_label(struct cn_parser *p)
{
    struct cn_bytes name, own = p->labels[p->label_count - 1].name;
    uint32_t at = p->at;

    CN_TRY(cn_take_id(p, &name));
    if (name.at == NULL || (own.at != NULL && cn_bytes_equal(name, own)))
        return CN_OK;
    return cn_text_fail(p, at, "mismatching label: it is not that of the block");
}

/* ---------------------------------------------------------------- plain instructions */

/* Operator, label's name and type of a block; its label is pushed. */
static enum cn_status plain_block(struct cn_parser *p, uint32_t op)
{
    static const struct {
        uint32_t op;
        enum open_kind kind;
    } kinds[] = {{CN_WASM_IF, OPEN_IF}, {CN_WASM_TRY, OPEN_TRY}};
    enum open_kind kind = OPEN_BLOCK;
    struct cn_bytes name;

    for (size_t i = 0; i < 2; i++)
        if (kinds[i].op == op)
            kind = kinds[i].kind;
    CN_TRY(cn_take_id(p, &name));
    cn_text_put_operator(p->code, op);
    CN_TRY(cn_text_block_type(p, p->code));
    if (op == CN_WASM_TRY_TABLE)
        CN_TRY(cn_text_clauses(p, p->code));
    CN_TRY(push_label(p, name));
    return open(p, kind, name);
}

static enum cn_status plain_end(struct cn_parser *p)
{
    CN_TRY(check_label(p));
    cn_put_byte(p->code, CN_WASM_END);
    p->open_count--;
    return pop_label(p);
}

static enum cn_status plain_catch(struct cn_parser *p, uint32_t op)
{
    uint32_t tag;

    top(p)->kind = op == CN_WASM_CATCH ? OPEN_CATCH : OPEN_CATCH_ALL;
    cn_put_byte(p->code, (uint8_t)op);
    if (op == CN_WASM_CATCH_ALL)
        return check_label(p);
    CN_TRY(cn_take_index(p, CN_SPACE_TAG, 0, &tag));
    cn_put_u(p->code, tag);
    return CN_OK;
}

static enum cn_status put_delegate(struct cn_parser *p)
{
    uint32_t depth;

    cn_put_byte(p->code, CN_WASM_DELEGATE);
    CN_TRY(pop_label(p));
    CN_TRY(cn_text_label(p, &depth));
    cn_put_u(p->code, depth);
    return CN_OK;
}

/* The words that go on with a block or end it; p->at is behind the word. */
static enum cn_status continue_block(struct cn_parser *p, uint32_t op)
{
    enum open_kind kind = p->open_count > 0 ? (enum open_kind)top(p)->kind : OPEN_PART;
    bool may_catch = kind == OPEN_TRY || kind == OPEN_CATCH;

    if (op == CN_WASM_END && kind <= OPEN_CATCH_ALL)
        return plain_end(p);
    if (op == CN_WASM_ELSE && kind == OPEN_IF) {
        top(p)->kind = OPEN_ELSE;
        cn_put_byte(p->code, CN_WASM_ELSE);
        return check_label(p);
    }
    if ((op == CN_WASM_CATCH || op == CN_WASM_CATCH_ALL) && may_catch)
        return plain_catch(p, op);
    if (op == CN_WASM_DELEGATE && kind == OPEN_TRY) {
        p->open_count--;
        return put_delegate(p);
    }
    p->at--;
    return cn_unexpected(p);
}

static bool is_block(uint32_t op)
{
    return op == CN_WASM_BLOCK || op == CN_WASM_LOOP || op == CN_WASM_IF || op == CN_WASM_TRY ||
           op == CN_WASM_TRY_TABLE;
}

static bool continues_block(uint32_t op)
{
    return op == CN_WASM_END || op == CN_WASM_ELSE || op == CN_WASM_CATCH ||
           op == CN_WASM_CATCH_ALL || op == CN_WASM_DELEGATE;
}

/* The operator that comes next; its place. */
static enum cn_status take_operator(struct cn_parser *p, uint32_t *place)
{
    if (cn_peek(p)->kind != CN_TOKEN_WORD)
        return cn_unexpected(p);
    *place = cn_names_find(&p->names, CN_SPACE_OPERATOR, 0, cn_token_at(p, p->at));
    if (*place == CN_NO_VALUE)
        return cn_unexpected(p);
    p->at++;
    return CN_OK;
}

static enum cn_status plain(struct cn_parser *p, uint32_t base)
{
    uint32_t place;

    if (p->open_count > base && top(p)->kind >= OPEN_FOLDED && top(p)->kind != OPEN_PART &&
        top(p)->kind != OPEN_FOLDED_BLOCK)
        return cn_unexpected(p);
    uint8_t hint;
    CN_TRY(take_operator(p, &place));
    uint32_t op = cn_wasm_infos[place].op;
    CN_TRY(cn_take_hint(p, p->at - 1, op, &hint));
    cn_note_hint(p, hint);
    CN_TRY(cn_mark(p, p->at - 1));
    if (is_block(op))
        return plain_block(p, op);
    if (!continues_block(op))
        return cn_text_operator(p, place, p->code);
    if (p->open_count > base)
        return continue_block(p, op);
    p->at--;
    return cn_unexpected(p);
}

/* ---------------------------------------------------------------- folded instructions */

/* What p->pending holds of the innermost open instruction goes to the code. */
static enum cn_status put_pending(struct cn_parser *p)
{
    uint32_t start = top(p)->pending;

    cn_note_hint(p, top(p)->hint);
    CN_TRY(cn_mark(p, top(p)->token));
    cn_put(p->code, p->pending.bytes + start, p->pending.size - start);
    p->pending.size = start;
    return CN_OK;
}

/* "(" and the operator are behind us. */
static enum cn_status folded_block(struct cn_parser *p, uint32_t op)
{
    bool is_late = op == CN_WASM_IF || op == CN_WASM_TRY;
    struct cn_buffer *out = is_late ? &p->pending : p->code;
    struct cn_bytes name;

    CN_TRY(cn_take_id(p, &name));
    enum open_kind kind = op == CN_WASM_IF    ? OPEN_FOLDED_IF
                          : op == CN_WASM_TRY ? OPEN_FOLDED_TRY
                                              : OPEN_FOLDED_BLOCK;
    CN_TRY(open(p, kind, name));
    cn_text_put_operator(out, op);
    CN_TRY(cn_text_block_type(p, out));
    if (op == CN_WASM_TRY_TABLE)
        CN_TRY(cn_text_clauses(p, out));
    return is_late ? CN_OK : push_label(p, name);
}

static enum cn_status open_part(struct cn_parser *p)
{
    return open(p, OPEN_PART, (struct cn_bytes){NULL, 0});
}

/* (then, (else, (do, (catch, (catch_all, (delegate where they may stand; *is_part says whether
 * one was found. */
static enum cn_status folded_part(struct cn_parser *p, bool *is_part)
{
    struct cn_text_open *block = top(p);
    uint32_t tag;

    *is_part = true;
    if (block->kind == OPEN_FOLDED_IF && cn_accept_open(p, "then")) {
        CN_TRY(put_pending(p));
        block->kind = OPEN_FOLDED_THEN;
        CN_TRY(push_label(p, block->name));
        return open_part(p);
    }
    if (block->kind == OPEN_FOLDED_THEN && cn_accept_open(p, "else")) {
        block->kind = OPEN_FOLDED_ELSE;
        cn_put_byte(p->code, CN_WASM_ELSE);
        return open_part(p);
    }
    if (block->kind == OPEN_FOLDED_TRY && cn_accept_open(p, "do")) {
        CN_TRY(put_pending(p));
        block->kind = OPEN_FOLDED_DO;
        CN_TRY(push_label(p, block->name));
        return open_part(p);
    }
    bool may_catch = block->kind == OPEN_FOLDED_DO || block->kind == OPEN_FOLDED_CATCH;
    if (may_catch && cn_accept_open(p, "catch")) {
        block->kind = OPEN_FOLDED_CATCH;
        cn_put_byte(p->code, CN_WASM_CATCH);
        CN_TRY(cn_take_index(p, CN_SPACE_TAG, 0, &tag));
        cn_put_u(p->code, tag);
        return open_part(p);
    }
    if (may_catch && cn_accept_open(p, "catch_all")) {
        block->kind = OPEN_FOLDED_CATCH_ALL;
        cn_put_byte(p->code, CN_WASM_CATCH_ALL);
        return open_part(p);
    }
    if (block->kind == OPEN_FOLDED_DO && cn_accept_open(p, "delegate")) {
        block->kind = OPEN_FOLDED_DELEGATE;
        CN_TRY(put_delegate(p));
        return cn_expect_close(p);
    }
    *is_part = false;
    return CN_OK;
}

static enum cn_status folded(struct cn_parser *p, uint32_t base)
{
    bool is_part = false;
    uint32_t place;

    if (p->open_count > base)
        CN_TRY(folded_part(p, &is_part));
    if (is_part)
        return CN_OK;
    p->at++;
    uint8_t kind = p->open_count > base ? top(p)->kind : OPEN_PART;
    if (kind >= OPEN_FOLDED_THEN && kind != OPEN_PART)
        return cn_unexpected(p);
    uint32_t at = p->at - 1;
    uint8_t hint;
    CN_TRY(take_operator(p, &place));
    uint32_t op = cn_wasm_infos[place].op;
    CN_TRY(cn_take_hint(p, at, op, &hint));
    if (continues_block(op)) {
        p->at--;
        return cn_unexpected(p);
    }
    if (is_block(op)) {
        CN_TRY(cn_mark(p, at));
        CN_TRY(folded_block(p, op));
        top(p)->hint = hint;
        return CN_OK;
    }
    CN_TRY(open(p, OPEN_FOLDED, (struct cn_bytes){NULL, 0}));
    top(p)->token = at + 1;
    top(p)->hint = hint;
    return cn_text_operator(p, place, &p->pending);
}

/* A closing parenthesis that is ours. */
static enum cn_status close(struct cn_parser *p)
{
    switch (top(p)->kind) {
    case OPEN_FOLDED:
        CN_TRY(put_pending(p));
        break;
    case OPEN_PART:
    case OPEN_FOLDED_DELEGATE:
        break;
    case OPEN_FOLDED_BLOCK:
    case OPEN_FOLDED_THEN:
    case OPEN_FOLDED_ELSE:
    case OPEN_FOLDED_DO:
    case OPEN_FOLDED_CATCH:
    case OPEN_FOLDED_CATCH_ALL:
        cn_put_byte(p->code, CN_WASM_END);
        CN_TRY(pop_label(p));
        break;
    default:
        return cn_unexpected(p);
    }
    p->at++;
    p->open_count--;
    return CN_OK;
}

/* ---------------------------------------------------------------- expressions */

static enum cn_status instruction(struct cn_parser *p, uint32_t base)
{
    switch (cn_peek(p)->kind) {
    case CN_TOKEN_OPEN:
        return folded(p, base);
    case CN_TOKEN_CLOSE:
        return close(p);
    case CN_TOKEN_WORD:
        return plain(p, base);
    default:
        return cn_unexpected(p);
    }
}

enum cn_status cn_text_expression(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t base = p->open_count;

    p->code = out;
    while (p->open_count > base || cn_peek(p)->kind != CN_TOKEN_CLOSE)
        CN_TRY(instruction(p, base));
    CN_TRY(cn_mark(p, p->at));
    cn_put_byte(out, CN_WASM_END);
    return out->failed || p->pending.failed ? cn_text_no_memory(p) : CN_OK;
}

enum cn_status cn_text_folded_expression(struct cn_parser *p, struct cn_buffer *out)
{
    uint32_t base = p->open_count;

    p->code = out;
    if (cn_peek(p)->kind != CN_TOKEN_OPEN)
        return cn_unexpected(p);
    do {
        CN_TRY(instruction(p, base));
    } while (p->open_count > base);
    cn_put_byte(out, CN_WASM_END);
    return out->failed || p->pending.failed ? cn_text_no_memory(p) : CN_OK;
}
