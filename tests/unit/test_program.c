#include "vm/program.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/conformance/sample_module.h"
#include "vm/asm.h"
#include "vm/handlers.h"

static struct cn_arena arena;
static struct cn_program *program;
static struct cn_error error;

static void open_program(void)
{
    cn_arena_init(&arena, cn_heap);
    cr_assert_eq(cn_program_new(&program, sample_module(), cn_heap), CN_OK);
}

static void close_program(void)
{
    cn_program_free(program);
    cn_arena_release(&arena);
}

TestSuite(program, .init = open_program, .fini = close_program);

static struct cn_code assemble(const char *text)
{
    struct cn_code code = {.func = 0};

    cr_assert_eq(cn_asm(cn_bytes_of(text), &arena, &code, &error), CN_OK, "%s", error.text);
    return code;
}

Test(program, begins_with_stubs_of_the_right_shape)
{
    for (uint32_t i = 0; i < sample_module()->func_count; i++) {
        const struct cn_funcode *code = &program->funcs[i];
        cr_expect_not(cn_program_has(program, i));
        cr_expect_eq(code->entry, (const uint8_t *)&code->stub);
        cr_expect_eq(code->stub, cn_stub_handler());
        cr_expect_eq(code->entry_cost, 0);
        cr_expect_eq(code->func, i);
        cr_expect_eq(code->frame, code->header + CN_FRAME_HEADER);
    }
    cr_expect_eq(program->funcs[5].header, 3, "three results, one parameter");
    cr_expect_eq(program->funcs[5].params, 1);
    cr_expect_eq(program->funcs[1].header, 2, "two parameters, one result");
    cn_program_free(NULL);
}

Test(program, threads_a_copy_and_leaves_the_caller_alone)
{
    struct cn_code code = assemble("func 1 frame 9 header 2 entry $4\n"
                                   "L0: live 2\n"
                                   "    mov2 s0, s1, s4, s5\n"
                                   "    call func 7, window s6, $2\n"
                                   "    call func 1, window s4, $2\n"
                                   "    brnz s0, L0, $3, $1\n"
                                   "    br_table s1, x2\n"
                                   "      | L0, $1\n"
                                   "      | L1, $1\n"
                                   "L1: live 2\n"
                                   "    ret1 s0, header s2\n");
    uint8_t *before = cn_arena_alloc(&arena, code.size);

    memcpy(before, code.bytes, code.size);
    cr_assert_eq(cn_program_install(program, &code, &error), CN_OK, "%s", error.text);
    cr_expect(memcmp(before, code.bytes, code.size) == 0);

    const struct cn_funcode *made = &program->funcs[1];
    cr_expect(cn_program_has(program, 1));
    cr_expect_eq(made->entry, made->bytes);
    cr_expect_eq(made->size, code.size);
    cr_expect_eq(made->frame, 9);
    cr_expect_eq(made->entry_cost, 4);
    cr_expect_eq(made->block_size, code.size + 8, "one map, of no references");
    cr_expect_eq(program->code_size, made->block_size);
    cr_expect_eq(program->installed, 1);
    cr_expect_eq(cn_load_u64(made->bytes), cn_handler_of((uint32_t)cn_load_u64(before), 0));
    cr_expect_eq(cn_load_u64(made->bytes + 16 + 8), (uintptr_t)&program->funcs[7]);
    cr_expect_eq(cn_load_u64(made->bytes + 48 + 8), (uintptr_t)made);
    /* brnz at 80: slot at 88, target at 92; br_table at 104, entries at 120 and 128. */
    cr_expect_eq((int32_t)cn_load_u32(made->bytes + 92), -80);
    cr_expect_eq((int32_t)cn_load_u32(made->bytes + 120), -104);
    cr_expect_eq((int32_t)cn_load_u32(made->bytes + 128), 136 - 104);
}

Test(program, installs_a_function_once)
{
    struct cn_code code = assemble("func 2 frame 2 header 0 entry $1\n    ret header s0\n");

    cr_assert_eq(cn_program_install(program, &code, &error), CN_OK);
    const uint8_t *entry = program->funcs[2].entry;
    cr_expect_eq(cn_program_install(program, &code, &error), CN_MISUSE);
    cr_expect_eq(program->funcs[2].entry, entry);
    cr_expect_eq(program->installed, 1);
}

Test(program, keeps_the_stub_when_code_is_refused)
{
    struct cn_code code = assemble("func 2 frame 4 header 0 entry $1\n"
                                   "    zero s2, x1\n"
                                   "    mov s2, s3\n"
                                   "    ret header s0\n");

    cr_assert_eq(cn_program_install(program, &code, &error), CN_UNVERIFIED);
    cr_expect_str_eq(error.text, "function 2 at 16: a slot is read before it is written: slot 3");
    cr_expect_eq(error.offset, 16);
    cr_expect_not(cn_program_has(program, 2));
    cr_expect_eq(program->funcs[2].entry, (const uint8_t *)&program->funcs[2].stub);
    cr_expect_eq(program->installed, 0);
    cr_expect_eq(program->code_size, 0);
}

/* A heap of which the n-th block and all later ones cannot be had. */
struct meagre {
    long left, bytes;
};

static void *meagre_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct meagre *heap = context;

    if (new_size > 0 && heap->left-- <= 0)
        return NULL;
    heap->bytes += (long)new_size - (long)(old ? old_size : 0);
    return cn_heap.resize(NULL, old, old_size, new_size);
}

Test(program, gives_everything_back_wherever_memory_runs_out)
{
    struct cn_code code = assemble("func 2 frame 2 header 0 entry $1\n    ret header s0\n");
    int steps = 0;

    for (enum cn_status status = CN_NO_MEMORY; status != CN_OK; steps++) {
        struct meagre heap = {steps, 0};
        struct cn_program *made = NULL;
        status = cn_program_new(&made, sample_module(),
                                (struct cn_allocator){meagre_resize, &heap});
        if (status == CN_OK)
            status = cn_program_install(made, &code, &error);
        cr_assert(status == CN_OK || status == CN_NO_MEMORY);
        cn_program_free(made);
        cr_assert_eq(heap.bytes, 0, "after %d blocks", steps);
    }
    cr_expect_eq(steps, 10,
                 "program, functions, two orders of them, fields and where they begin, code, "
                 "scratch, code with maps");
}

Test(program, refuses_code_out_of_proportion_to_the_bodies)
{
    struct cn_code code = assemble("func 2 frame 2 header 0 entry $1\n    ret header s0\n");

    program->code_size_max = code.size - 1;
    cr_assert_eq(cn_program_install(program, &code, &error), CN_TOO_LARGE);
    cr_expect_not(cn_program_has(program, 2));
    program->code_size_max = code.size;
    cr_expect_eq(cn_program_install(program, &code, &error), CN_OK, "%s", error.text);
}

Test(program, does_not_keep_a_large_scratch)
{
    program->code_size_max = UINT64_MAX;
    struct cn_code code = assemble("func 2 frame 2 header 0 entry $1\n    ret header s0\n");
    enum { LABELS = 1 << 21 };

    code.size = LABELS * 16;
    uint8_t *ret = code.bytes;
    code.bytes = cn_arena_alloc(&arena, code.size);
    code.labels = cn_arena_array(&arena, LABELS, sizeof *code.labels);
    code.label_count = LABELS;
    for (uint32_t i = 0; i < LABELS; i++) {
        memcpy(code.bytes + 16 * (size_t)i, ret, 16);
        code.labels[i].offset = 16 * i;
    }
    cr_assert_eq(cn_program_install(program, &code, &error), CN_OK, "%s", error.text);
    cr_expect_eq(program->scratch_size, 0);
}
