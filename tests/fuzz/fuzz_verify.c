/* Makes register code out of the fuzzer's bytes, most of it nearly right, and gives it to the
 * verifier. What the verifier accepts is run, twice. */
#include <stdlib.h>
#include <string.h>

#include "core/insn.h"
#include "tests/conformance/sample_module.h"
#include "tests/fuzz/twin.h"
#include "vm/field.h"

#define NUMBERS 6u
#define REFS 2u /* of each type */
#define TEMPS 10u
#define LABELS_MAX 6u
#define CODE_ROOM 8192u
/* Types of the sample module. */
#define STRUCT 8u
#define FIRST_ARRAY 9u
#define OTHER_STRUCT 12u
#define OTHER_ARRAYS 7u /* behind it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A function in the making. The frame is: parameters or results, header, objects, numbers,
 * funcrefs, externrefs, exnrefs, and from `window` on what calls use. */
struct draft {
    const uint8_t *data;
    size_t left;
    const struct cn_module *module;
    const struct cn_functype *type;
    struct cn_code code;
    uint32_t objects, numbers, funcs, externs, exns, window;
    unsigned accumulators; /* which are set, as far as we know */
    uint8_t bytes[CODE_ROOM] __attribute__((aligned(8)));
    struct cn_label labels[LABELS_MAX];
    struct cn_ref_slot refs[16];
};

static uint32_t choose(struct draft *draft, uint32_t count)
{
    if (draft->left == 0 || count < 2)
        return 0;
    draft->left--;
    return *draft->data++ % count;
}

/* Now and then things are wrong. */
static bool strays(struct draft *draft)
{
    return choose(draft, 64) == 63;
}

static uint32_t any_slot(struct draft *draft)
{
    return choose(draft, draft->code.frame + 2);
}

static bool param_is(const struct draft *draft, uint32_t i, cn_valtype type)
{
    cn_valtype given = cn_functype_params(draft->type)[i];

    return cn_valtype_is_num(type) ? cn_valtype_is_num(given) : given == type;
}

static uint32_t param_slot(const struct draft *draft, uint32_t i)
{
    uint32_t slot = 0;

    while (i-- > 0)
        slot += cn_valtype_slots(cn_functype_params(draft->type)[i]);
    return slot;
}

/* A slot that should hold something of the type. */
static uint32_t slot_of(struct draft *draft, cn_valtype type)
{
    uint32_t i = choose(draft, 8);

    if (strays(draft))
        return any_slot(draft);
    if (i < draft->type->param_count && param_is(draft, i, type))
        return param_slot(draft, i);
    if (type == CN_FUNCREF)
        return draft->funcs + i % REFS;
    if (type == CN_EXTERNREF)
        return draft->externs + i % REFS;
    if (type == CN_ANYREF)
        return draft->objects + i % REFS;
    if (type == CN_EXNREF)
        return draft->exns + i % REFS;
    return draft->numbers + i % (type == CN_V128 ? NUMBERS - 1 : NUMBERS);
}

static cn_valtype type_of(struct draft *draft, uint8_t of, cn_valtype any)
{
    (void)draft;
    switch (of) {
    case CN_OF_FUNC:
        return CN_FUNCREF;
    case CN_OF_EXTERN:
        return CN_EXTERNREF;
    case CN_OF_OBJ:
        return CN_ANYREF;
    case CN_OF_EXN:
        return CN_EXNREF;
    case CN_OF_V128:
        return CN_V128;
    case CN_OF_ANY:
    case CN_OF_REF:
        return any;
    default:
        return CN_I32;
    }
}

static uint8_t *append(struct draft *draft, uint32_t variant)
{
    uint8_t *at = draft->bytes + draft->code.size;
    uint32_t size = cn_variant_infos[variant].size;

    memset(at, 0, size);
    cn_store_u64(at, variant);
    draft->code.size += size;
    return at;
}

static uint8_t *append_insn(struct draft *draft, enum cn_insn insn)
{
    return append(draft, cn_insn_infos[insn].first_variant);
}

/* Moves values of these types to slots from `to` on. */
static void append_moves(struct draft *draft, const cn_valtype *types, uint32_t count, uint32_t to)
{
    for (uint32_t i = 0; i < count; i++) {
        enum cn_insn insn = types[i] == CN_V128 ? CN_INSN_MOV_V128 : CN_INSN_MOV;
        if (!strays(draft)) {
            uint32_t from = slot_of(draft, types[i]);
            uint8_t *at = append(draft, cn_variant_of(insn, (const uint8_t[4]){CN_TO_S, CN_S}));
            cn_store_u16(at + 8, (uint16_t)to);
            cn_store_u16(at + 10, (uint16_t)from);
        }
        to += cn_valtype_slots(types[i]);
    }
}

/* A number of something where most hold values of one type and one holds such references. */
static uint32_t choose_holder(struct draft *draft, cn_valtype any, const uint32_t holders[3],
                              uint32_t others)
{
    if (any == CN_EXTERNREF)
        return holders[0];
    if (any == CN_ANYREF)
        return holders[1];
    return any == CN_EXNREF ? holders[2] : others * choose(draft, 2);
}

/* A value for a field that is no operand. */
static uint64_t choose_field(struct draft *draft, enum cn_field_kind kind, cn_valtype any)
{
    /* Of the sample module: externref, anyref, exnref. */
    static const uint32_t globals[] = {2, 7, 8}, tables[] = {1, 3, 4}, elements[] = {1, 2, 3};
    const struct cn_module *module = draft->module;
    uint32_t stray = strays(draft) ? 1 : 0;

    switch (kind) {
    case CN_FIELD_TARGET:
        return choose(draft, draft->code.label_count + stray);
    case CN_FIELD_COST:
    case CN_FIELD_AFTER:
        return choose(draft, 4);
    case CN_FIELD_HEADER:
        return draft->code.header + stray;
    case CN_FIELD_WINDOW:
        return draft->window + choose(draft, 3) * stray;
    case CN_FIELD_FIRST:
        return stray ? any_slot(draft) : draft->numbers + choose(draft, NUMBERS - 2);
    case CN_FIELD_SLOTS:
        return choose(draft, 4);
    case CN_FIELD_CODE:
    case CN_FIELD_FUNC:
        return choose(draft, module->func_count + stray);
    case CN_FIELD_GLOBAL:
        return any != CN_I32 ? choose_holder(draft, any, globals, 6)
                             : choose(draft, module->global_count + stray);
    case CN_FIELD_MEMORY:
        return choose(draft, module->memory_count + stray);
    case CN_FIELD_TABLE:
        return choose_holder(draft, any, tables, 2) + stray;
    case CN_FIELD_TYPE:
        return choose(draft, module->type_count + stray);
    case CN_FIELD_DATA:
        return choose(draft, module->data_count + stray);
    case CN_FIELD_ELEMENT:
        return choose_holder(draft, any, elements, 4) + stray;
    case CN_FIELD_REFTYPE:
        return cn_valtype_code(any);
    case CN_FIELD_BITS64:
    case CN_FIELD_OFFSET64:
        return choose(draft, 2) ? ~(uint64_t)choose(draft, 256) : choose(draft, 256);
    case CN_FIELD_OFFSET:
    case CN_FIELD_IMMEDIATE:
    case CN_FIELD_BITS32:
        return choose(draft, 2) ? choose(draft, 256) : choose(draft, 256) * 0x01010101u;
    default:
        return choose(draft, 4);
    }
}

static void set_up_arguments(struct draft *draft, const struct cn_functype *type)
{
    append_moves(draft, cn_functype_params(type), type->param_count, draft->window);
}

/* What a call calls is decided first, because its arguments come before it. */
static uint32_t choose_callee(struct draft *draft, enum cn_insn insn)
{
    const struct cn_module *module = draft->module;
    bool is_import = insn == CN_INSN_CALL_IMPORT || insn == CN_INSN_RETURN_CALL_IMPORT;
    bool is_indirect = insn == CN_INSN_CALL_INDIRECT || insn == CN_INSN_RETURN_CALL_INDIRECT ||
                       insn == CN_INSN_CALL_INDIRECT_64 ||
                       insn == CN_INSN_RETURN_CALL_INDIRECT_64;
    uint32_t callee = is_import ? 0 : 1 + choose(draft, module->func_count - 1);
    uint32_t type = module->funcs[callee].type;

    set_up_arguments(draft, cn_module_functype(module, type));
    return is_indirect ? type : callee;
}

static unsigned accumulator_bit(uint8_t of, bool second)
{
    if (of == CN_OF_F32)
        return 8;
    if (of == CN_OF_F64)
        return 4;
    return second ? 2 : 1;
}

static bool reads_unset(const struct draft *draft, const struct cn_variant_info *variant)
{
    const struct cn_insn_info *row = &cn_insn_infos[variant->insn];

    for (uint32_t i = 0; i < row->operand_count; i++) {
        uint8_t form = variant->forms[i + 1];
        unsigned bit = accumulator_bit(row->operands[i], form == CN_Q);
        if (form != CN_S && form != CN_I && !(draft->accumulators & bit))
            return true;
    }
    return false;
}

static void note_accumulators(struct draft *draft, const struct cn_variant_info *variant)
{
    const struct cn_insn_info *row = &cn_insn_infos[variant->insn];
    bool second = variant->forms[0] == CN_TO_Q || variant->forms[0] == CN_TO_C;

    if (row->traits & CN_INSN_IS_CALL)
        draft->accumulators = 0;
    if (row->result != CN_OF_NONE && variant->forms[0] != CN_TO_S)
        draft->accumulators |= accumulator_bit(row->result, second);
}

/* A variant of the instruction whose accumulators are set, most of the time. */
static uint32_t choose_variant(struct draft *draft, enum cn_insn insn)
{
    uint32_t first = cn_insn_infos[insn].first_variant;
    uint32_t next = insn + 1 < CN_INSN_COUNT ? cn_insn_infos[insn + 1].first_variant
                                             : CN_VARIANT_COUNT;
    uint32_t start = (choose(draft, 256) * 256 + choose(draft, 256)) % (next - first);
    bool any = strays(draft);

    for (uint32_t i = 0; i < next - first; i++) {
        uint32_t number = first + (start + i) % (next - first);
        if (any || !reads_unset(draft, &cn_variant_infos[number]))
            return number;
    }
    return first + start;
}

/* Calls and branches are rows among many, but most of what can go wrong goes wrong there. */
static enum cn_insn choose_insn(struct draft *draft)
{
    uint32_t number = choose(draft, 256) * 256 + choose(draft, 256);
    uint32_t kind = choose(draft, 16);

    if (kind == 10)
        return (enum cn_insn)(CN_INSN_BR_NULL +
                              number % (CN_INSN_ARRAY_SET_V128 - CN_INSN_BR_NULL + 1));
    if (kind == 15)
        return (enum cn_insn)(CN_INSN_CALL + number % 3);
    if (kind >= 13)
        return (enum cn_insn)(CN_INSN_BRNZ + number % (CN_INSN_LOAD8_BR_NE - CN_INSN_BRNZ + 1));
    if (kind >= 11)
        return (enum cn_insn)(CN_INSN_GLOBAL_GET +
                              number % (CN_INSN_MOV_V128 - CN_INSN_GLOBAL_GET));
    number %= CN_INSN_COUNT;
    bool ends = (cn_insn_infos[number].traits & CN_INSN_IS_END) != 0;
    return ends && !strays(draft) ? CN_INSN_MOV : (enum cn_insn)number;
}

static void append_entries(struct draft *draft, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *entry = draft->bytes + draft->code.size;
        cn_store_u32(entry, (uint32_t)choose_field(draft, CN_FIELD_TARGET, CN_I32));
        cn_store_u32(entry + 4, choose(draft, 4));
        draft->code.size += 8;
    }
}

/* Instructions that work on objects, whose fields have to fit together. */
static bool is_of_objects(enum cn_insn insn)
{
    return insn >= CN_INSN_BR_NULL && insn <= CN_INSN_ARRAY_SET_V128;
}

static uint64_t choose_of_objects(struct draft *draft, enum cn_insn insn, enum cn_field_kind kind)
{
    static const cn_valtype casts[] = {
        CN_ANYREF, CN_EXTERNREF, CN_FUNCREF,
        CN_REF_ABSTRACT(CN_HEAP_STRUCT, CN_HIERARCHY_ANY, true),
        CN_REF_ABSTRACT(CN_HEAP_I31, CN_HIERARCHY_ANY, false),
        CN_REF_ABSTRACT(FIRST_ARRAY, CN_HIERARCHY_ANY, true) | CN_REF_INDEX_BIT,
        CN_REF_ABSTRACT(STRUCT, CN_HIERARCHY_ANY, false) | CN_REF_INDEX_BIT};
    bool is_bulk = insn == CN_INSN_ARRAY_FILL || insn == CN_INSN_ARRAY_INIT_DATA ||
                   insn == CN_INSN_ARRAY_INIT_ELEM;

    if (strays(draft))
        return choose_field(draft, kind, CN_ANYREF);
    switch (kind) {
    case CN_FIELD_TYPE:
        if (insn < CN_INSN_ARRAY_NEW_DEFAULT)
            return choose(draft, 4) ? STRUCT : OTHER_STRUCT;
        return choose(draft, 2) ? FIRST_ARRAY + choose(draft, 3)
                                : OTHER_STRUCT + 1 + choose(draft, OTHER_ARRAYS);
    case CN_FIELD_STRUCT_FIELD:
        return choose(draft, 5);
    case CN_FIELD_CAST:
        return casts[choose(draft, sizeof casts / sizeof casts[0])];
    case CN_FIELD_FIRST:
        return is_bulk ? draft->numbers - 1 : choose_field(draft, kind, CN_ANYREF);
    default:
        return choose_field(draft, kind, CN_ANYREF);
    }
}

static void append_any(struct draft *draft)
{
    static const cn_valtype kinds[] = {CN_I32,       CN_I32,    CN_FUNCREF,
                                       CN_EXTERNREF, CN_ANYREF, CN_EXNREF};
    enum cn_insn insn = choose_insn(draft);
    const struct cn_insn_info *row = &cn_insn_infos[insn];
    cn_valtype any = kinds[choose(draft, 6)];
    uint32_t callee = row->traits & CN_INSN_IS_CALL ? choose_callee(draft, insn) : 0;
    uint32_t number = choose_variant(draft, insn);
    const struct cn_variant_info *variant = &cn_variant_infos[number];
    uint8_t *at = append(draft, number);

    for (uint32_t i = 0; i < variant->field_count; i++) {
        const struct cn_field *field = &variant->fields[i];
        enum cn_field_kind kind = (enum cn_field_kind)field->kind;
        uint64_t value;
        if (kind == CN_FIELD_SOURCE || kind == CN_FIELD_RESULT)
            value = slot_of(draft, type_of(draft, field->of, any));
        else
            value = is_of_objects(insn) ? choose_of_objects(draft, insn, kind)
                                        : choose_field(draft, kind, any);
        bool names_callee =
            kind == CN_FIELD_CODE || kind == CN_FIELD_FUNC || kind == CN_FIELD_TYPE;
        if (names_callee && (row->traits & CN_INSN_IS_CALL) && !strays(draft))
            value = callee;
        memcpy(at + field->at, &value, cn_field_size(kind));
        if (kind == CN_FIELD_TABLE_SIZE)
            append_entries(draft, value);
    }
    note_accumulators(draft, variant);
}

/* ------------------------------------------------------------------ a whole function */

static void lay_out_frame(struct draft *draft, uint32_t func)
{
    const struct cn_functype *type = draft->type;
    uint32_t params = type->param_slots, results = type->result_slots;
    struct cn_code *code = &draft->code;

    code->func = func;
    code->header = params > results ? params : results;
    draft->objects = code->header + CN_FRAME_HEADER;
    draft->numbers = draft->objects + REFS;
    draft->funcs = draft->numbers + NUMBERS;
    draft->externs = draft->funcs + REFS;
    draft->exns = draft->externs + REFS;
    draft->window = draft->exns + REFS;
    code->frame = draft->window + TEMPS;
    code->bytes = draft->bytes;
    code->labels = draft->labels;
    code->refs = draft->refs;
    code->label_count = choose(draft, LABELS_MAX + 1);
    code->entry_cost = strays(draft) ? 0 : 1 + choose(draft, 3);
}

static void add_ref(struct draft *draft, uint32_t slot, cn_valtype type)
{
    draft->refs[draft->code.ref_count++] =
        (struct cn_ref_slot){(uint16_t)slot, cn_valtype_code(type)};
}

/* All labels have the same map: everything below the window is set. */
static void list_refs(struct draft *draft)
{
    for (uint32_t i = 0; i < draft->type->param_count; i++)
        if (cn_valtype_is_ref(cn_functype_params(draft->type)[i]))
            add_ref(draft, param_slot(draft, i), cn_functype_params(draft->type)[i]);
    for (uint32_t i = 0; i < REFS; i++)
        add_ref(draft, draft->objects + i, CN_ANYREF);
    for (uint32_t i = 0; i < REFS; i++)
        add_ref(draft, draft->funcs + i, strays(draft) ? CN_EXTERNREF : CN_FUNCREF);
    for (uint32_t i = 0; i < REFS; i++)
        add_ref(draft, draft->externs + i, CN_EXTERNREF);
    for (uint32_t i = 0; i < REFS; i++)
        add_ref(draft, draft->exns + i, CN_EXNREF);
}

static void append_zero(struct draft *draft, uint32_t first, uint32_t count)
{
    uint8_t *at = append_insn(draft, CN_INSN_ZERO);

    cn_store_u16(at + CN_AT_ZERO_first, (uint16_t)first);
    cn_store_u16(at + CN_AT_ZERO_count, (uint16_t)count);
}

static void append_null(struct draft *draft, uint32_t slot, cn_valtype type)
{
    uint8_t *at = append_insn(draft, CN_INSN_REF_NULL);

    cn_store_u16(at + CN_AT_REF_NULL_d, (uint16_t)slot);
    cn_store_u32(at + CN_AT_REF_NULL_reftype, cn_valtype_code(type));
}

/* A structure and an array, mostly of no elements: as many as a parameter says else. */
static void append_objects(struct draft *draft)
{
    bool has_length = draft->type->param_count > 0 && param_is(draft, 0, CN_I32) &&
                      cn_functype_params(draft->type)[0] == CN_I32;
    uint8_t *at = append_insn(draft, CN_INSN_STRUCT_NEW_DEFAULT);

    cn_store_u16(at + CN_AT_STRUCT_NEW_DEFAULT_d, (uint16_t)draft->objects);
    cn_store_u32(at + CN_AT_STRUCT_NEW_DEFAULT_type, STRUCT);
    at = append_insn(draft, CN_INSN_ARRAY_NEW_DEFAULT);
    cn_store_u16(at + CN_AT_ARRAY_NEW_DEFAULT_d, (uint16_t)(draft->objects + 1));
    cn_store_u16(at + CN_AT_ARRAY_NEW_DEFAULT_a, (uint16_t)(has_length ? 0 : draft->numbers));
    cn_store_u32(at + CN_AT_ARRAY_NEW_DEFAULT_type, FIRST_ARRAY + choose(draft, 3));
}

static void append_prologue(struct draft *draft)
{
    if (!strays(draft))
        append_zero(draft, draft->numbers, NUMBERS);
    append_objects(draft);
    for (uint32_t i = 0; i < REFS; i++) {
        if (!strays(draft))
            append_null(draft, draft->funcs + i, CN_FUNCREF);
        append_null(draft, draft->externs + i, CN_EXTERNREF);
        append_null(draft, draft->exns + i, CN_EXNREF);
    }
}

static void place_label(struct draft *draft, uint32_t index)
{
    draft->labels[index] = (struct cn_label){
        .offset = draft->code.size,
        .live = (uint16_t)(draft->window + (strays(draft) ? 1 : 0)),
        .ref_count = (uint16_t)(draft->code.ref_count - (strays(draft) ? 1 : 0)),
    };
    draft->accumulators = 0;
}

static void append_return(struct draft *draft)
{
    const struct cn_functype *type = draft->type;
    uint8_t *at;

    append_moves(draft, cn_functype_results(type), type->result_count, draft->window);
    at = append_insn(draft, CN_INSN_RETN);
    cn_store_u16(at + CN_AT_RETN_first, (uint16_t)draft->window);
    cn_store_u16(at + CN_AT_RETN_count, (uint16_t)type->result_slots);
    cn_store_u16(at + CN_AT_RETN_header, (uint16_t)draft->code.header);
}

static void make_function(struct draft *draft, uint32_t func)
{
    draft->type = cn_module_type_of(draft->module, func);
    draft->code = (struct cn_code){.size = 0};
    draft->accumulators = 0;
    lay_out_frame(draft, func);
    list_refs(draft);
    append_prologue(draft);
    for (uint32_t label = 0; label <= draft->code.label_count; label++) {
        for (uint32_t i = 1 + choose(draft, 6); i > 0; i--)
            append_any(draft);
        if (label < draft->code.label_count)
            place_label(draft, label);
    }
    append_return(draft);
}

/* Functions whose code is refused get this one instead. */
static void install_plain(struct cn_program *program, struct draft *draft, uint32_t func)
{
    struct cn_error error;

    draft->left = 0;
    make_function(draft, func);
    if (cn_program_install(program, &draft->code, &error) != CN_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct draft draft;
    struct cn_program *program;
    struct cn_error error;
    uint32_t accepted = 0; /* a bit for each function that is the input's and may run */

    draft.data = data;
    draft.left = size;
    draft.module = sample_module();
    if (cn_program_new(&program, draft.module, cn_heap) != CN_OK)
        return 0;
    for (uint32_t func = 1; func < draft.module->func_count; func++) {
        bool is_chosen = draft.left > 0;
        make_function(&draft, func);
        size_t left = draft.left;
        if (cn_program_install(program, &draft.code, &error) == CN_OK)
            accepted |= is_chosen ? 1u << func : 0;
        else
            install_plain(program, &draft, func);
        draft.left = left;
    }
    /* What the input had no bytes left for is always the same, and runs when it is called. */
    for (uint32_t func = 1; func < draft.module->func_count; func++)
        if (accepted & 1u << func)
            (void)twin_compare(program, func, 3000);
    cn_program_free(program);
    return 0;
}
