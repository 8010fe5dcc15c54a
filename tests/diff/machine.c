#include "tests/diff/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUEL_MAX 50000000
#define SLICE (1 << 20)

uint8_t *machine_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        exit(2);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    if (bytes == NULL || fread(bytes, 1, *size, file) != *size)
        exit(2);
    fclose(file);
    return bytes;
}

enum cn_status machine_call(struct cn_store *store, struct cn_func *func, int preempt,
                            const union cn_slot *arguments, union cn_slot *results)
{
    struct cn_thread *thread;
    enum cn_status status = cn_thread_new(store, 1 << 20, &thread);
    enum cn_stop stop = CN_STOP_FUEL;
    int64_t fuel = 0;

    if (status != CN_OK)
        return status;
    status = cn_thread_call(thread, func, arguments);
    while (status == CN_OK && (stop == CN_STOP_FUEL || stop == CN_STOP_YIELD)) {
        int64_t slice = preempt ? (int64_t)cn_thread_due(thread) : SLICE;
        stop = cn_thread_run(thread, slice);
        fuel += slice - thread->fuel;
        if (fuel > FUEL_MAX)
            status = CN_OVER_QUOTA;
    }
    if (status == CN_OK && stop == CN_STOP_DONE)
        memcpy(results, thread->stack, func->type->result_slots * sizeof *results);
    else if (status == CN_OK)
        status = thread->error.status;
    cn_thread_free(thread);
    return status;
}
