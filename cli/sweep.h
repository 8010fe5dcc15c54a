/* What the command itself might leave of a VM: in core dumps, and in memory that it has given back
 * to the C library, where libraries for YAML and JSON leave texts that were a VM's. */
#ifndef CN_CLI_SWEEP_H
#define CN_CLI_SWEEP_H

/* From now on private memory of this process and of those that it starts is in no core dump, as far
 * as the kernel lets it say so. */
void cli_stay_out_of_dumps(void);

/* Zeroes the memory that this thread has given back: of the C library's heap, and below its stack.
 * Other threads keep a few small blocks each for themselves. */
void cli_sweep(void);

#endif
