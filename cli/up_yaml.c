#include "cli/up_yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { SIZE_MAX_BYTES = 1 << 20, NODES_MAX = 100000, DEPTH_MAX = 16, KEYS_MAX = 4096 };

/* The reader: the nodes that are open, and for each the key that waits for its value. */
struct reader {
    struct up_node *root, *made;
    struct up_node *open[DEPTH_MAX];
    struct up_node *key[DEPTH_MAX];
    int depth, count;
    struct up_fault *fault;
};

bool up_fail(struct up_fault *fault, struct up_mark place, const char *format, ...)
{
    va_list arguments;

    fault->place = place;
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    return false;
}

static struct up_mark place_of(yaml_mark_t mark)
{
    return (struct up_mark){(int)mark.line + 1, (int)mark.column + 1};
}

static struct up_node *new_node(struct reader *reader, enum up_kind kind,
                                const yaml_event_t *event)
{
    struct up_mark place = place_of(event->start_mark);
    struct up_node *node = NULL;

    if (++reader->count > NODES_MAX)
        up_fail(reader->fault, place, "more than %d values", NODES_MAX);
    else if ((node = calloc(1, sizeof *node)) == NULL)
        up_fail(reader->fault, place, "no memory left");
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->place = place;
    node->made = reader->made;
    reader->made = node;
    return node;
}

static bool is_new_key(struct reader *reader, const struct up_node *map,
                       const struct up_node *key)
{
    int count = 0;

    for (const struct up_node *one = map->first; one != NULL; one = one->next, count++)
        if (strcmp(one->key, key->text) == 0)
            return up_fail(reader->fault, key->place, "%s: stands twice, first in line %d",
                           key->text, one->key_place.line);
    return count < KEYS_MAX ||
           up_fail(reader->fault, key->place, "more than %d keys in one map", KEYS_MAX);
}

/* Gives the node its place in what is open: a key waits for its value. */
static bool attach(struct reader *reader, struct up_node *node)
{
    if (reader->depth == 0) {
        reader->root = node;
        return true;
    }
    struct up_node *parent = reader->open[reader->depth - 1];
    struct up_node **key = &reader->key[reader->depth - 1];
    if (parent->kind == UP_MAP && *key == NULL) {
        *key = node;
        return node->kind == UP_TEXT
                   ? is_new_key(reader, parent, node)
                   : up_fail(reader->fault, node->place, "expected a key, found a %s",
                             node->kind == UP_MAP ? "map" : "list");
    }
    if (parent->kind == UP_MAP) {
        node->key = (*key)->text;
        node->key_place = (*key)->place;
        *key = NULL;
    }
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    return true;
}

static bool take_text(struct reader *reader, const yaml_event_t *event)
{
    struct up_node *node = new_node(reader, UP_TEXT, event);
    const char *value = (const char *)event->data.scalar.value;

    if (node == NULL)
        return false;
    if (memchr(value, 0, event->data.scalar.length) != NULL)
        return up_fail(reader->fault, node->place, "a zero byte inside a text");
    node->text = strdup(value);
    if (node->text == NULL)
        return up_fail(reader->fault, node->place, "no memory left");
    return attach(reader, node);
}

static bool take_start(struct reader *reader, enum up_kind kind, const yaml_event_t *event)
{
    struct up_node *node = new_node(reader, kind, event);

    if (node == NULL || !attach(reader, node))
        return false;
    if (reader->depth == DEPTH_MAX)
        return up_fail(reader->fault, node->place, "more than %d levels", DEPTH_MAX);
    reader->key[reader->depth] = NULL;
    reader->open[reader->depth++] = node;
    return true;
}

/* Anchors, aliases and tags would make one value stand in several places, or be something else
 * than it looks like. */
static bool is_plain(struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL || event->type == YAML_ALIAS_EVENT)
        return up_fail(reader->fault, place_of(event->start_mark),
                       "anchors and aliases are not supported; what is common to all VMs can "
                       "stand under `defaults`");
    return tag == NULL ||
           up_fail(reader->fault, place_of(event->start_mark), "tags are not supported");
}

/* One event; false ends the reading, with a fault unless the document is complete. */
static bool take(struct reader *reader, const yaml_event_t *event)
{
    if (!is_plain(reader, event))
        return false;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return reader->root == NULL || up_fail(reader->fault, place_of(event->start_mark),
                                               "a second document in the file");
    case YAML_SCALAR_EVENT:
        return take_text(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return take_start(reader, UP_LIST, event);
    case YAML_MAPPING_START_EVENT:
        return take_start(reader, UP_MAP, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        return true;
    default:
        return true;
    }
}

static bool say_problem(const yaml_parser_t *parser, struct up_fault *fault)
{
    return up_fail(fault, place_of(parser->problem_mark), "%s%s%s", parser->problem
                   ? parser->problem : "not readable as YAML", parser->context ? ", " : "",
                   parser->context ? parser->context : "");
}

static bool read_events(yaml_parser_t *parser, struct reader *reader)
{
    bool is_end = false, good = true;

    while (good && !is_end) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return say_problem(parser, reader->fault);
        good = take(reader, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return good;
}

static void free_all(struct up_node *made)
{
    while (made != NULL) {
        struct up_node *next = made->made;
        if (made->text != NULL)
            explicit_bzero(made->text, strlen(made->text));
        free(made->text);
        free(made);
        made = next;
    }
}

struct up_node *up_yaml_read(const char *text, size_t size, struct up_fault *fault)
{
    struct reader reader = {.fault = fault};
    const yaml_event_t nothing = {.type = YAML_NO_EVENT};
    yaml_parser_t parser;

    if (size > SIZE_MAX_BYTES) {
        up_fail(fault, (struct up_mark){0, 0}, "larger than 1 MiB");
        return NULL;
    }
    if (!yaml_parser_initialize(&parser)) {
        up_fail(fault, (struct up_mark){0, 0}, "no memory left");
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    bool good = read_events(&parser, &reader);
    yaml_parser_delete(&parser);
    if (good && reader.root == NULL) {
        reader.root = new_node(&reader, UP_MAP, &nothing);
        good = reader.root != NULL;
    }
    if (!good) {
        free_all(reader.made);
        return NULL;
    }
    /* The last node made is where the chain of all of them begins: the root remembers it. */
    reader.root->last = reader.made;
    return reader.root;
}

void up_yaml_free(struct up_node *root)
{
    if (root != NULL)
        free_all(root->last);
}
