/* What a run came to: for people on stderr, for programs as JSON. */
#ifndef CN_CLI_REPORT_H
#define CN_CLI_REPORT_H

#include <stdio.h>

#include "cli/options.h"

#define CLI_LISTENERS_MAX 64

struct cli_report {
    const char *module;
    const char *status;  /* "exit", "trap", "quota", "killed", "error", "invalid", ... */
    int exit_code;
    int signal;
    cordon_quota_t quota; /* CORDON_QUOTA_COUNT when none ended it */
    char message[400];
    bool has_stats;
    cordon_stats_t stats;
    cordon_result_t result; /* frames of a trap */
    const char *sandbox; /* "required", "best-effort"; NULL without */
    cordon_sandbox_report_t jail;
    uint16_t ports[CLI_LISTENERS_MAX];
    int port_count;
    const struct cli_list *natives; /* --import-native */
};

/* The report as JSON, which the caller frees; NULL when memory is exhausted. */
char *cli_report_text(const struct cli_report *report, size_t *size);

/* Writes the JSON to an open descriptor; false when it could not. */
bool cli_report_meta(const struct cli_report *report, int fd);

/* A JSON string; what is no UTF-8 becomes a replacement character. */
void cli_report_string(FILE *out, const char *string);

void cli_report_stats(const struct cli_report *report);

#endif
