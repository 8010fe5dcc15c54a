/* A YAML file as a tree whose nodes know their places: what is needed of it for a config. */
#ifndef CN_CLI_UP_YAML_H
#define CN_CLI_UP_YAML_H

#include <stdbool.h>
#include <stddef.h>

enum up_kind { UP_TEXT, UP_LIST, UP_MAP };

struct up_mark {
    int line, column; /* from 1; 0 for none */
};

struct up_node {
    enum up_kind kind;
    struct up_mark place, key_place;
    const char *key;             /* of what stands in a map, else NULL */
    char *text;                  /* of UP_TEXT */
    struct up_node *first, *next;
    struct up_node *last, *made; /* for reading: of its children; of all nodes */
};

struct up_fault {
    struct up_mark place;
    char text[300];
};

/* Writes the fault; returns false, so that a caller can return it. */
bool up_fail(struct up_fault *fault, struct up_mark place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One document without anchors, aliases and tags; keys are texts and stand once. Bounded: 1 MiB,
 * 100,000 nodes, 16 levels, 4096 keys of one map. NULL with a fault; an empty file is an empty
 * map. */
struct up_node *up_yaml_read(const char *text, size_t size, struct up_fault *fault);
void up_yaml_free(struct up_node *root);

#endif
