#include "tests/conformance/sample_module.h"

#include <stdio.h>
#include <stdlib.h>

#include "loader/text.h"

/* Tests cannot do without it, and keep it. */
static const struct cn_module *load(const char *path, struct cn_buffer *binary)
{
    struct cn_error error = {.text = "cannot be read"};
    struct cn_module *module = NULL;
    FILE *file = fopen(path, "rb");
    uint8_t text[16384];

    binary->allocator = cn_heap;
    if (file != NULL) {
        struct cn_bytes bytes = {text, fread(text, 1, sizeof text, file)};
        fclose(file);
        if (cn_load_text(bytes, binary, &module, &error) == CN_OK)
            return module;
    }
    fprintf(stderr, "%s: %s\n", path, error.text);
    abort();
}

const struct cn_module *sample_module(void)
{
    static const struct cn_module *module;
    static struct cn_buffer binary;

    if (module == NULL)
        module = load(CN_SAMPLE_FOLDER "/sample.wat", &binary);
    return module;
}

const struct cn_module *bare_module(void)
{
    static const struct cn_module *module;
    static struct cn_buffer binary;

    if (module == NULL)
        module = load(CN_SAMPLE_FOLDER "/bare.wat", &binary);
    return module;
}
