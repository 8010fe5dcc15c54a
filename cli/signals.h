/* Signals, and deadlines that hold even where the guest cannot be stopped. */
#ifndef CN_CLI_SIGNALS_H
#define CN_CLI_SIGNALS_H

#include "cli/report.h"

/* SIGINT, SIGTERM and SIGHUP end the guest in order once cli_signals_reach has said which; before
 * that they end the process, as does a deadline. SIGPIPE and SIGXFSZ are ignored. */
void cli_signals_catch(void);

/* Writes in advance what --meta shall say when the process has to end at once. `meta` is the
 * descriptor or -1. */
void cli_signals_prepare(const struct cli_report *report, int meta);

/* The process ends with 124 when it is still there in `ns`: for loading, which nothing else
 * can interrupt. */
void cli_signals_deadline(uint64_t ns);

/* From now on signals go to that VM, which knows its `timeout` itself. Should it not have ended
 * a moment after it was due (it may be translating a huge function), the process does. */
void cli_signals_reach(cordon_ctl_t *ctl, uint64_t timeout);

/* From now on a system call that the sandbox ends the process for is named on stderr and in the
 * report. After cli_signals_prepare. */
void cli_signals_stopped(void);

/* The run is over: no more deadlines, and signals change nothing any more. */
void cli_signals_done(void);

#endif
