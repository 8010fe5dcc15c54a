/* The command line of `cordon run`, taken apart. */
#ifndef CN_CLI_OPTIONS_H
#define CN_CLI_OPTIONS_H

#include "include/cordon.h"

struct cli_list {
    const char **items;
    int count;
};

struct cli_options {
    struct cli_list dir, volume, env, listen, import_native, preload;
    const char *invoke, *meta, *user, *store, *key_file;
    enum cli_sandbox { CLI_SANDBOX_REQUIRED, CLI_SANDBOX_BEST_EFFORT, CLI_SANDBOX_OFF } sandbox;
    const char *sandbox_mode; /* the same in words, or NULL: the default */
    const char *name, *restart, *log_size, *host; /* with detach */
    bool detach, stats, eager, lazy, preempt_everywhere, collect_everywhere, move_on_grow;
    bool key_on_same_disk, strict, help, version;
    bool is_closed[3]; /* standard descriptors that this process was not given */
    uint64_t limit[CORDON_QUOTA_COUNT];
    const char *module; /* NULL when there is none */
    char **args;        /* what follows it */
    int arg_count;
};

/* Fills the options from argv[1...]. On a mistake false, after one line on stderr. The lists
 * are its own until it is released. */
bool cli_options_parse(struct cli_options *options, int argc, char **argv);

/* Frees what parsing took, whether it succeeded or not. */
void cli_options_release(struct cli_options *options);

/* "64m" to bytes, "500ms" to nanoseconds, "0.2" to thousandths, "100" to a count, "10m/s" (or
 * "10m") to bytes per second, "unlimited"; false when it is none. `unit` is that of the quota's
 * row. */
enum cli_unit {
    CLI_BYTES,
    CLI_COUNT,
    CLI_NANOSECONDS,
    CLI_MILLICORES,
    CLI_BYTES_PER_SECOND,
    CLI_COUNT_PER_SECOND,
};
bool cli_parse_amount(const char *text, enum cli_unit unit, uint64_t *result);

/* The unit of a quota, and an amount of it for people: "64 MiB", "1.5 s", "unlimited". */
enum cli_unit cli_quota_unit(cordon_quota_t quota);
char *cli_format_amount(uint64_t amount, enum cli_unit unit, char *text, size_t size);

/* What somebody gives a quota, checked; on a mistake false, and what was expected in `why`, which
 * has room for CLI_WHY_MAX. */
#define CLI_WHY_MAX 120
bool cli_parse_quota(cordon_quota_t quota, const char *text, uint64_t *value, char *why);
/* The same of an amount that is a number already. */
bool cli_check_quota(cordon_quota_t quota, uint64_t value, char *why);

/* Prints `cordon run --help` on stdout. */
void cli_help_run(void);

/* One line on stderr: "cordon: ...". Control characters in what it says are shown as '?'. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The last of these lines, without "cordon: "; "" when there was none. */
const char *cli_complaint(void);

#endif
