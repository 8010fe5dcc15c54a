/* heap_pauses MODULE.wat FUNCTION ARGUMENT: runs it and says what the collector did: how long each
 * of its steps kept everything else waiting, and what it cost in all. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/whole.h"
#include "loader/load.h"
#include "loader/text.h"
#include "vm/heap.h"
#include "vm/thread.h"

#define PAUSES_MAX 10000000u
#define SLICE 1000000

static struct cn_error error;

static void need(enum cn_status status)
{
    if (status == CN_OK)
        return;
    fprintf(stderr, "heap_pauses: %s\n", error.text);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct cn_bytes read_file(const char *path)
{
    static uint8_t bytes[1u << 20];
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        exit(2);
    struct cn_bytes all = {bytes, fread(bytes, 1, sizeof bytes, file)};
    fclose(file);
    return all;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The steps are timed as the thread's caller sees them: between two of them it has control. */
static void run(struct cn_store *store, struct cn_thread *thread)
{
    static uint64_t pauses[PAUSES_MAX];
    uint64_t begin = now_ns(), collecting = 0;
    uint32_t count = 0;
    enum cn_stop stop = CN_STOP_FUEL;

    while (stop == CN_STOP_FUEL || stop == CN_STOP_YIELD) {
        if (cn_heap_is_collecting(store)) {
            uint64_t before = now_ns();
            cn_heap_step(store);
            pauses[count] = now_ns() - before;
            collecting += pauses[count];
            count += count < PAUSES_MAX - 1;
            continue;
        }
        stop = cn_thread_run(thread, SLICE);
    }
    uint64_t total = now_ns() - begin;
    struct cn_heap_stats stats = cn_heap_stats(store);
    qsort(pauses, count, sizeof *pauses, compare);
    printf("%.3f s, of which %.3f s in %u further steps of %" PRIu64 " collections; "
           "%" PRIu64 " objects, %.1f MiB live\n",
           (double)total / 1e9, (double)collecting / 1e9, count, stats.collections, stats.objects,
           (double)stats.live / (1 << 20));
    if (count > 0)
        printf("steps: median %.1f us, 99%% %.1f us, longest %.1f us\n",
               (double)pauses[count / 2] / 1e3, (double)pauses[count - 1 - count / 100] / 1e3,
               (double)pauses[count - 1] / 1e3);
}

int main(int argc, char **argv)
{
    struct cn_buffer binary = {.allocator = cn_heap};
    struct cn_account account;
    struct cn_module *module;
    struct cn_program *program;
    struct cn_store *store;
    struct cn_instance *instance;
    struct cn_thread *thread;
    struct cn_extern func;

    if (argc != 4)
        return 2;
    cn_account_init(&account);
    need(cn_load_text(read_file(argv[1]), &binary, &module, &error));
    need(cn_program_new(&program, module, cn_heap));
    need(cn_translate_program(program, &error));
    need(cn_store_new(&store, &account));
    need(cn_instantiate(store, program, NULL, &instance, &error));
    need(cn_thread_new(store, 8u << 20, &thread));
    if (!cn_instance_export(instance, cn_bytes_of(argv[2]), &func))
        return 2;
    union cn_slot argument = {.u64 = strtoul(argv[3], NULL, 10)};
    need(cn_thread_call(thread, func.func, &argument));
    run(store, thread);
    return 0;
}
