/* Gives the translator one fault at a time and sees who notices: the verifier, which must refuse
 * whatever is not safe, or a comparison of what the code does with what it should do.
 *
 *   mutants [-places=N] [-fault=NAME] [-v] MODULE.wasm...
 *
 * Every mutant lives in a process of its own, because a faulty translator may end it. What the
 * verifier accepts is run: once to be compared with the code of the translator without a fault,
 * and once more with garbage under it, nothing behind its stack, its memory moved and its heap
 * collected whenever that is allowed. What comes out differently then has not been safe. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/alloc.h"
#include "loader/load.h"
#include "loader/translate.h"
#include "tests/fuzz/twin.h"
#include "tests/mutants/fault.h"
#include "vm/program.h"

#define FUEL 20000
#define FUNCTIONS_MAX 12 /* exported ones that are called */
/* Processor time: of a translator whose fault makes it go round for ever, and of everything else,
 * which ends by itself. */
#define SECONDS_TRANSLATING 1
#define SECONDS_RUNNING 20
#define GARBAGE 0xa5a5a5a5a5a5a5a5u

/* What became of a mutant. As long as its process lives: how far it has got. */
enum end {
    END_TRANSLATING, /* the translator itself crashed */
    END_NO_EFFECT,   /* the same code, to the byte */
    END_VERIFYING,   /* the verifier crashed */
    END_REFUSED,
    END_RUNNING,     /* accepted, and something was touched or told apart that must not be */
    END_DIFFERS,     /* results, traps or what is left in memory */
    END_FUEL,        /* fuel alone */
    END_SAME,
    END_COUNT
};

struct report {
    enum end end;
    bool struck;
    char text[200]; /* of the verifier */
};

struct subject {
    const char *path;
    struct cn_module *module;
    struct cn_code *codes; /* without fault, by function */
    uint32_t calls[FUNCTIONS_MAX];
    uint32_t call_count;
    struct outcome outcomes[FUNCTIONS_MAX][TWIN_ARGUMENT_SETS];
};

static struct {
    uint32_t places;
    const char *only;
    bool is_verbose;
    struct report *report; /* shared with the processes */
    uint32_t counts[FAULT_COUNT][END_COUNT];
    int silence, stderr_kept;
} run;

static void *room_for(size_t count, size_t size)
{
    void *room = calloc(count + 1, size);

    if (room == NULL)
        exit(2);
    return room;
}

static void *copy_of(const void *from, size_t count, size_t size)
{
    void *to = room_for(count, size);

    if (count > 0)
        memcpy(to, from, count * size);
    return to;
}

/* ------------------------------------------------------------------ without a fault */

static struct cn_code kept(const struct cn_code *code)
{
    struct cn_code copy = *code;

    copy.bytes = copy_of(code->bytes, code->size, 1);
    copy.labels = copy_of(code->labels, code->label_count, sizeof *code->labels);
    copy.refs = copy_of(code->refs, code->ref_count, sizeof *code->refs);
    copy.handlers = copy_of(code->handlers, code->handler_count, sizeof *code->handlers);
    return copy;
}

static void free_kept(struct cn_code *code)
{
    free(code->bytes);
    free(code->labels);
    free(code->refs);
    free(code->handlers);
}

static void free_codes(const struct cn_module *module, struct cn_code *codes)
{
    for (uint32_t i = 0; codes != NULL && i < module->func_count; i++)
        free_kept(&codes[i]);
    free(codes);
}

/* What the translator makes of the module; NULL when it gives up. */
static struct cn_code *translate(const struct cn_module *module)
{
    struct cn_code *codes = room_for(module->func_count, sizeof *codes), code;
    struct cn_translator *translator;
    struct cn_error error;
    enum cn_status status = cn_translator_new(module, cn_heap, &translator);

    for (uint32_t i = module->imported_func_count; status == CN_OK && i < module->func_count; i++) {
        status = cn_translate(translator, i, &code, &error);
        if (status == CN_OK)
            codes[i] = kept(&code);
    }
    cn_translator_free(translator);
    if (status == CN_OK)
        return codes;
    free_codes(module, codes);
    return NULL;
}

static struct cn_program *program_of(const struct subject *s, struct cn_code *codes)
{
    struct cn_program *program;
    struct cn_error error;

    if (cn_program_new(&program, s->module, cn_heap) != CN_OK)
        exit(2);
    for (uint32_t i = s->module->imported_func_count; i < s->module->func_count; i++) {
        if (cn_program_install(program, &codes[i], &error) == CN_OK)
            continue;
        memcpy(run.report->text, error.text, sizeof run.report->text - 1);
        cn_program_free(program);
        return NULL;
    }
    return program;
}

static bool suits(const struct cn_module *module)
{
    for (uint32_t i = 0; i < module->import_count; i++) {
        enum cn_extern_kind kind = module->imports[i].kind;
        if (kind != CN_EXTERN_FUNC && kind != CN_EXTERN_GLOBAL)
            return false;
    }
    return module->func_count > module->imported_func_count;
}

static void choose_calls(struct subject *s)
{
    for (uint32_t i = 0; i < s->module->export_count && s->call_count < FUNCTIONS_MAX; i++)
        if (s->module->exports[i].kind == CN_EXTERN_FUNC &&
            s->module->exports[i].index >= s->module->imported_func_count)
            s->calls[s->call_count++] = s->module->exports[i].index;
}

static bool open_subject(struct subject *s)
{
    struct cn_program *program;

    if (!suits(s->module))
        return false;
    fault_arm(FAULT_NONE, FAULT_NOWHERE);
    s->codes = translate(s->module);
    program = s->codes != NULL ? program_of(s, s->codes) : NULL;
    if (program == NULL)
        return false;
    choose_calls(s);
    for (uint32_t i = 0; i < s->call_count; i++)
        for (uint32_t set = 0; set < TWIN_ARGUMENT_SETS; set++) {
            twin_choose_arguments(set);
            s->outcomes[i][set] = twin_run(program, s->calls[i], FUEL, 0, false);
        }
    cn_program_free(program);
    return true;
}

/* ------------------------------------------------------------------ one mutant */

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->stop == b->stop && a->trap == b->trap && a->state == b->state;
}

static void run_mutant(const struct subject *s, struct cn_program *program)
{
    enum end end = END_SAME;

    for (uint32_t i = 0; i < s->call_count; i++)
        for (uint32_t set = 0; set < TWIN_ARGUMENT_SETS; set++) {
            const struct outcome *should = &s->outcomes[i][set];
            twin_choose_arguments(set);
            struct outcome is = twin_compare(program, s->calls[i], FUEL);
            if (!same(&is, should))
                end = END_DIFFERS;
            else if (is.fuel_left != should->fuel_left && end == END_SAME)
                end = END_FUEL;
        }
    run.report->end = end;
}

static void limit_time(time_t seconds)
{
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = seconds}, NULL);
}

static bool is_as_before(const struct subject *s, const struct cn_code *codes)
{
    for (uint32_t i = s->module->imported_func_count; i < s->module->func_count; i++)
        if (!cn_code_equal(&codes[i], &s->codes[i]))
            return false;
    return true;
}

static void live(const struct subject *s, enum fault fault, uint32_t place)
{
    struct cn_program *program;

    limit_time(SECONDS_TRANSLATING);
    dup2(run.silence, STDERR_FILENO);
    fault_arm(fault, place);
    struct cn_code *codes = translate(s->module);
    fault_arm(FAULT_NONE, FAULT_NOWHERE);
    dup2(run.stderr_kept, STDERR_FILENO);
    if (codes == NULL)
        return;
    run.report->end = END_NO_EFFECT;
    if (is_as_before(s, codes))
        return;
    limit_time(SECONDS_RUNNING);
    run.report->end = END_VERIFYING;
    program = program_of(s, codes);
    run.report->end = program == NULL ? END_REFUSED : END_RUNNING;
    if (program != NULL)
        run_mutant(s, program);
}

static void try_mutant(const struct subject *s, enum fault fault, uint32_t place)
{
    int status = 0;

    *run.report = (struct report){.end = END_TRANSLATING};
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        exit(2);
    if (child == 0) {
        live(s, fault, place);
        _exit(0);
    }
    waitpid(child, &status, 0);
    enum end end = run.report->end;
    run.counts[fault][end]++;
    if (end == END_RUNNING || end == END_VERIFYING)
        printf("UNSAFE %s, place %u of %s: %s; status %x\n", fault_name(fault), place, s->path,
               fault_text(fault), status);
    else if (run.is_verbose && end != END_NO_EFFECT && end != END_TRANSLATING)
        printf("%s place %d of %s: %s\n", fault_name(fault), (int)place, s->path,
               end == END_REFUSED  ? run.report->text
               : end == END_SAME   ? "the same"
               : end == END_FUEL   ? "other fuel"
                                   : "differs");
}

/* ------------------------------------------------------------------ all of them */

static uint32_t count_places(const struct subject *s, enum fault fault)
{
    fault_arm(fault, FAULT_NOWHERE);
    free_codes(s->module, translate(s->module));
    return fault_places();
}

/* Places that lie evenly, and all at once: a faulty translator makes its mistake again. */
static void try_fault(const struct subject *s, enum fault fault)
{
    uint32_t places = count_places(s, fault);
    uint32_t tried = places < run.places ? places : run.places;

    for (uint32_t i = 0; i < tried; i++)
        try_mutant(s, fault, (uint32_t)(((uint64_t)i * places + fault % places) / tried) % places);
    if (places > 1)
        try_mutant(s, fault, FAULT_EVERYWHERE);
}

static void try_module(const char *path)
{
    FILE *file = fopen(path, "rb");
    static uint8_t bytes[1u << 20];
    struct subject s = {.path = path};
    struct cn_error error;

    if (file == NULL)
        return;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (cn_load((struct cn_bytes){bytes, size}, cn_heap, &s.module, &error) != CN_OK)
        return;
    if (open_subject(&s))
        for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++)
            if (run.only == NULL || strcmp(run.only, fault_name(fault)) == 0)
                try_fault(&s, fault);
    free_codes(s.module, s.codes);
    cn_module_free(s.module);
}

static void print_counts(void)
{
    static const char *const heads[END_COUNT] = {"broken", "none", "crash", "refused",
                                                 "UNSAFE", "differs", "fuel", "same"};
    uint32_t sums[END_COUNT] = {0};

    printf("%-24s", "fault");
    for (int end = 0; end < END_COUNT; end++)
        printf(" %8s", heads[end]);
    for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        printf("\n%-24s", fault_name(fault));
        for (int end = 0; end < END_COUNT; end++) {
            printf(" %8u", run.counts[fault][end]);
            sums[end] += run.counts[fault][end];
        }
    }
    printf("\n%-24s", "all");
    for (int end = 0; end < END_COUNT; end++)
        printf(" %8u", sums[end]);
    printf("\n");
}

int main(int count, char **words)
{
    run.places = 2;
    run.silence = open("/dev/null", O_WRONLY | O_CLOEXEC);
    run.stderr_kept = dup(STDERR_FILENO);
    run.report = mmap(NULL, sizeof *run.report, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.report == MAP_FAILED || run.silence < 0)
        return 2;
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "-places=", 8) == 0)
            run.places = (uint32_t)strtoul(words[i] + 8, NULL, 10);
        else if (strncmp(words[i], "-fault=", 7) == 0)
            run.only = words[i] + 7;
        else if (strcmp(words[i], "-v") == 0)
            run.is_verbose = true;
        else
            try_module(words[i]);
    }
    print_counts();
    return 0;
}
