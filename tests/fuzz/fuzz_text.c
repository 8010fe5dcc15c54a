/* Text becomes a binary, and a binary text, until nothing changes any more: whatever comes is
 * either refused, with a place in the text, or printed so that reading the text gives a module
 * that is printed in the same words, at the latest when that is done once more. Inputs in the
 * binary format begin at the second step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/load.h"
#include "loader/print.h"
#include "loader/text.h"
#include "tests/fuzz/capped.h"

#define MEMORY_CAP ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what, const char *text)
{
    fprintf(stderr, "fuzz_text: %s: %s\n", what, text);
    abort();
}

static void check_refusal(const struct cn_error *error, enum cn_status status)
{
    if (error->status != status || error->text[0] == '\0' || strchr(error->text, '\n') != NULL)
        die("an error that says nothing", error->text);
    if (status != CN_NO_MEMORY && strncmp(error->text, "line ", 5) != 0)
        die("an error that has no place", error->text);
}

/* False when memory ran out. */
static bool print(const struct cn_module *module, struct cn_buffer *text)
{
    enum cn_status status = cn_print(module, text);

    if (status != CN_OK && status != CN_NO_MEMORY)
        die("a valid module was not printed", cn_status_text(status));
    return status == CN_OK;
}

static bool has_as_many(const struct cn_module *a, const struct cn_module *b)
{
    return a->type_count == b->type_count && a->import_count == b->import_count &&
           a->func_count == b->func_count && a->table_count == b->table_count &&
           a->memory_count == b->memory_count && a->global_count == b->global_count &&
           a->tag_count == b->tag_count && a->export_count == b->export_count &&
           a->element_count == b->element_count && a->data_count == b->data_count;
}

/* What was printed is read and printed again. The text may differ while `moves` are left: sections
 * and elses of nothing are not kept, nor that memory 0 was named. */
static void check_print(const struct cn_module *printed, const struct cn_buffer *once, int moves,
                        struct cn_allocator allocator)
{
    struct cn_buffer binary = {.allocator = allocator}, twice = {.allocator = allocator};
    struct cn_module *module = NULL;
    struct cn_error error = {CN_OK, 0, ""};

    enum cn_status status = cn_load_text(cn_buffer_bytes(once), &binary, &module, &error);
    if (status != CN_OK && status != CN_NO_MEMORY)
        die("what was printed is refused", error.text);
    if (status == CN_OK && !has_as_many(printed, module))
        die("what was printed has lost something", "");
    bool is_same = status != CN_OK || !print(module, &twice) ||
                   cn_bytes_equal(cn_buffer_bytes(once), cn_buffer_bytes(&twice));
    if (!is_same && moves == 0)
        die("what was printed is another module", "");
    if (!is_same)
        check_print(module, &twice, moves - 1, allocator);
    cn_module_free(module);
    cn_buffer_free(&twice);
    cn_buffer_free(&binary);
}

static void check(struct cn_bytes file, struct cn_allocator allocator)
{
    struct cn_buffer binary = {.allocator = allocator}, text = {.allocator = allocator};
    struct cn_module *module = NULL;
    struct cn_error error = {CN_OK, 0, ""};
    bool is_text = cn_is_text(file);

    enum cn_status status = is_text ? cn_load_text(file, &binary, &module, &error)
                                    : cn_load(file, allocator, &module, &error);
    if (status != CN_OK && is_text)
        check_refusal(&error, status);
    if (status == CN_OK && print(module, &text))
        check_print(module, &text, 1, allocator);
    cn_module_free(module);
    cn_buffer_free(&text);
    cn_buffer_free(&binary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capped capped = {0, MEMORY_CAP};
    uint8_t *copy = malloc(size ? size : 1);

    if (copy == NULL)
        die("no memory for the input", "");
    if (size > 0)
        memcpy(copy, data, size); /* of exactly its size: no byte behind it can be read unseen */
    check((struct cn_bytes){copy, size}, capped_allocator(&capped));
    if (capped.used != 0)
        die("memory was not given back", "");
    free(copy);
    return 0;
}
