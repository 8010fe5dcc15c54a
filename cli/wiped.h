/* What clients say to a host, arguments and variables of guests among it, leaves nothing behind. */
#ifndef CN_CLI_WIPED_H
#define CN_CLI_WIPED_H

/* From now on memory of the library for JSON is wiped when it is freed. Before its first use. */
void cli_json_wipes(void);
/* Frees what json_dumps has made. */
void cli_json_free(void *text);

#endif
