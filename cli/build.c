#include "cli/build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/file.h"
#include "cli/options.h"
#include "loader/load.h"
#include "loader/print.h"
#include "loader/text.h"

struct build {
    const char *usage;
    const char *input, *output; /* output NULL: named after the input */
    struct cli_file file;
    struct cn_buffer binary;
};

static bool parse(struct build *build, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
            build->output = argv[++i];
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            cli_complain("unknown option %s: %s", argv[i], build->usage);
            return false;
        } else if (build->input == NULL) {
            build->input = argv[i];
        } else {
            cli_complain("one module at a time, found %s too: %s", argv[i], build->usage);
            return false;
        }
    }
    if (build->input == NULL)
        cli_complain("no module given: %s (\"-\" is standard input or output)", build->usage);
    return build->input != NULL;
}

/* app.wat becomes app.wasm; the caller frees it. */
static char *output_name(const struct build *build)
{
    size_t size = strlen(build->input);
    char *name = malloc(size + sizeof ".wasm");

    if (name == NULL)
        return NULL;
    if (size > 4 && strcmp(build->input + size - 4, ".wat") == 0)
        size -= 4;
    memcpy(name, build->input, size);
    memcpy(name + size, ".wasm", sizeof ".wasm");
    return name;
}

/* Validates, too: what is built can be run. */
static int make_binary(struct build *build)
{
    struct cn_bytes text = {build->file.bytes, build->file.size};
    struct cn_error error = {.text = ""};
    struct cn_module *module = NULL;

    enum cn_status status = cn_is_text(text)
                                ? cn_load_text(text, &build->binary, &module, &error)
                                : cn_fail(&error, CN_MALFORMED, CN_NO_OFFSET,
                                          "not in the text format: it begins with no parenthesis");
    cn_module_free(module);
    if (status == CN_OK)
        return 0;
    cli_complain("%s: %s", build->input, error.text);
    return cn_status_exit_code(status);
}

/* Half a file is worse than none; a device is left alone. */
static void take_away(const char *path)
{
    struct stat status;

    if (lstat(path, &status) == 0 && S_ISREG(status.st_mode))
        unlink(path);
}

static int write_file(const struct cn_buffer *content, const char *path)
{
    bool is_stdout = strcmp(path, "-") == 0;
    FILE *file = is_stdout ? stdout : fopen(path, "wb");

    if (file == NULL) {
        cli_complain("%s: %s", path, strerror(errno));
        return 125;
    }
    bool ok = fwrite(content->bytes, 1, content->size, file) == content->size;
    ok = (is_stdout ? fflush(file) : fclose(file)) == 0 && ok;
    if (ok)
        return 0;
    cli_complain("%s: %s", path, strerror(errno));
    if (!is_stdout)
        take_away(path);
    return 125;
}

static int build_and_write(struct build *build)
{
    int code = make_binary(build);

    if (code != 0)
        return code;
    if (build->output != NULL || strcmp(build->input, "-") == 0)
        return write_file(&build->binary, build->output != NULL ? build->output : "-");
    char *name = output_name(build);
    if (name == NULL) {
        cli_complain("no memory left");
        return 125;
    }
    code = write_file(&build->binary, name);
    free(name);
    return code;
}

/* The text of a module, from the binary format or from another text. */
static int make_text(struct build *build, struct cn_buffer *text)
{
    struct cn_bytes file = {build->file.bytes, build->file.size};
    struct cn_error error = {.offset = CN_NO_OFFSET};
    struct cn_module *module = NULL;

    enum cn_status status = cn_is_text(file)
                                ? cn_load_text(file, &build->binary, &module, &error)
                                : cn_load(file, cn_heap, &module, &error);
    if (status == CN_OK)
        status = cn_print(module, text);
    cn_module_free(module);
    if (status == CN_OK)
        return 0;
    cli_complain("%s: %s", build->input, error.text);
    return cn_status_exit_code(status);
}

int cli_print(int argc, char **argv)
{
    struct build build = {.binary.allocator = cn_heap,
                          .usage = "cordon print app.wasm [-o app.wat]"};
    struct cn_buffer text = {.allocator = cn_heap};
    int code = 125;

    if (!parse(&build, argc, argv) || !cli_file_read(&build.file, build.input, &code))
        return code;
    code = make_text(&build, &text);
    if (code == 0)
        code = write_file(&text, build.output != NULL ? build.output : "-");
    cn_buffer_free(&text);
    cn_buffer_free(&build.binary);
    cli_file_free(&build.file);
    return code;
}

int cli_build(int argc, char **argv)
{
    struct build build = {.binary.allocator = cn_heap,
                          .usage = "cordon build app.wat [-o app.wasm]"};
    int code = 125;

    if (!parse(&build, argc, argv) || !cli_file_read(&build.file, build.input, &code))
        return code;
    code = build_and_write(&build);
    cn_buffer_free(&build.binary);
    cli_file_free(&build.file);
    return code;
}
