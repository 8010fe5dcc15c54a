/* cordon doctor: what this machine offers to lock a run in. */
#ifndef CN_CLI_DOCTOR_H
#define CN_CLI_DOCTOR_H

/* 0 when all required layers stood in a trial, else 1. */
int cli_doctor(int argc, char **argv);

#endif
