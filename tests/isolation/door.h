/* What a process that was taken over would do: the acts of acts.def, by their numbers. */
#ifndef CN_TESTS_DOOR_H
#define CN_TESTS_DOOR_H

/* The number of another process (NULL: this one's parent), and the name of its abstract socket. */
void door_prepare(const char *parent, const char *abstract);

/* 0 or more when it got through; -errno when it was refused. `root` is the folder of the test: a
 * granted directory `in`, and outside of it `secret` (root's alone) and `readable`. */
long door_act(int number, const char *root);

#endif
