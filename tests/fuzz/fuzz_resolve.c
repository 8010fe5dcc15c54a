/* Paths against a model of them: a tree is made on the disk and once more in memory, and every
 * path has to lead to the same thing in both, or fail with the same error. The model knows nothing
 * of the kernel: it walks names, dots and links by the rules of spec/wasi.md, and what leads above
 * the start, by whatever way, is NOTCAPABLE. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/resolve.h"
#include "tests/fuzz/cursor.h"

#define NODES_MAX 24
#define LINKS_MAX 40 /* followed on one way, as the kernel has it */
#define TRIES_MAX 24
#define TEXT_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind { DIRECTORY, FILE_NODE, LINK };

struct node {
    enum kind kind;
    int parent;
    char name;               /* one of a to d */
    char target[TEXT_MAX];   /* of a link */
    dev_t dev;
    ino_t ino;
};

struct tree {
    struct node nodes[NODES_MAX]; /* the first is the start */
    int count;
    char root[64];
    int start;
};

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_resolve: %s\n", what);
    abort();
}

/* ------------------------------------------------------------------ the tree, twice */

static int find_child(const struct tree *tree, int parent, const char *name, size_t length)
{
    for (int i = 1; i < tree->count && length == 1; i++)
        if (tree->nodes[i].parent == parent && tree->nodes[i].name == *name)
            return i;
    return -1;
}

static void path_of(const struct tree *tree, int node, char *path, size_t size)
{
    char tail[TEXT_MAX] = "";

    for (; node != 0; node = tree->nodes[node].parent) {
        char longer[TEXT_MAX];
        snprintf(longer, sizeof longer, "/%c%.60s", tree->nodes[node].name, tail);
        memcpy(tail, longer, sizeof tail);
    }
    snprintf(path, size, "%s%s", tree->root, tail);
}

/* Pieces of paths: what a hostile guest would put together. */
static void pick_text(struct cursor *cursor, char *text)
{
    static const char *const pieces[] = {"a", "b", "c", "d", "..", ".", "/", "//",
                                         "a/", "../", "b/..", "/..", "./", "x", "c/d", "../../"};
    uint32_t count = 1 + cursor_pick(cursor, 6);
    size_t length = 0;

    for (uint32_t i = 0; i < count; i++) {
        const char *piece = pieces[cursor_pick(cursor, sizeof pieces / sizeof *pieces)];
        size_t more = strlen(piece);
        if (i > 0 && text[length - 1] != '/' && piece[0] != '/' && cursor_pick(cursor, 8) != 0)
            text[length++] = '/';
        memcpy(text + length, piece, more);
        length += more;
    }
    text[length] = '\0';
}

static void add_node(struct tree *tree, struct cursor *cursor)
{
    struct node node = {.parent = (int)cursor_pick(cursor, (uint32_t)tree->count),
                        .kind = (enum kind)cursor_pick(cursor, 3),
                        .name = (char)('a' + cursor_pick(cursor, 4))};
    char path[160];
    struct stat stat;

    if (node.kind == LINK)
        pick_text(cursor, node.target);
    if (tree->nodes[node.parent].kind != DIRECTORY ||
        find_child(tree, node.parent, &node.name, 1) >= 0)
        return;
    tree->nodes[tree->count++] = node;
    path_of(tree, tree->count - 1, path, sizeof path);
    if (node.kind == DIRECTORY)
        require(mkdir(path, 0700) == 0, "mkdir");
    else if (node.kind == LINK)
        require(symlink(node.target, path) == 0, "symlink");
    else
        require(mknod(path, S_IFREG | 0600, 0) == 0, "mknod");
    require(lstat(path, &stat) == 0, "lstat");
    tree->nodes[tree->count - 1].dev = stat.st_dev;
    tree->nodes[tree->count - 1].ino = stat.st_ino;
}

static void plant(struct tree *tree, struct cursor *cursor)
{
    static const char *const places[] = {"/dev/shm", "/tmp"};
    uint32_t wanted = cursor_pick(cursor, NODES_MAX);
    struct stat stat;

    *tree = (struct tree){.count = 1};
    for (int i = 0; i < 2 && tree->start == 0; i++) {
        snprintf(tree->root, sizeof tree->root, "%s/cn-resolve-XXXXXX", places[i]);
        if (mkdtemp(tree->root) != NULL)
            tree->start = open(tree->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    require(tree->start > 0 && fstat(tree->start, &stat) == 0, "no place for a tree");
    tree->nodes[0] = (struct node){DIRECTORY, 0, '\0', "", stat.st_dev, stat.st_ino};
    for (uint32_t i = 0; i < wanted; i++)
        add_node(tree, cursor);
}

static void uproot(struct tree *tree)
{
    char path[160];

    for (int i = tree->count - 1; i >= 0; i--) {
        path_of(tree, i, path, sizeof path);
        require(remove(path) == 0, "something stands in the tree that nobody put there");
    }
    close(tree->start);
}

/* ------------------------------------------------------------------ the model */

struct walk {
    const struct tree *tree;
    int links;
};

static enum cn_errno walk_on(struct walk *walk, int from, const char *path, bool follows,
                             int *result);

/* A link in `node`'s directory: to where it leads. */
static enum cn_errno follow(struct walk *walk, int node, bool is_last_followed, int *result)
{
    const struct node *link = &walk->tree->nodes[node];

    if (++walk->links > LINKS_MAX)
        return CN_E_LOOP;
    if (link->target[0] == '/')
        return CN_E_NOTCAPABLE;
    return walk_on(walk, link->parent, link->target, is_last_followed, result);
}

/* One step: a name, which is the last one or not. */
static enum cn_errno step(struct walk *walk, int *at, const char *name, size_t length)
{
    const struct tree *tree = walk->tree;

    if (tree->nodes[*at].kind != DIRECTORY)
        return CN_E_NOTDIR;
    if (length == 1 && name[0] == '.')
        return CN_E_SUCCESS;
    if (length == 2 && name[0] == '.' && name[1] == '.') {
        if (*at == 0)
            return CN_E_NOTCAPABLE;
        *at = tree->nodes[*at].parent;
        return CN_E_SUCCESS;
    }
    int child = find_child(tree, *at, name, length);
    if (child < 0)
        return CN_E_NOENT;
    *at = child;
    return CN_E_SUCCESS;
}

/* `follows`: a link at the end, too. A slash behind it asks for what it leads to in any case. */
static enum cn_errno walk_on(struct walk *walk, int from, const char *path, bool follows,
                             int *result)
{
    int at = from;

    if (path[0] == '/')
        return CN_E_NOTCAPABLE;
    if (path[0] == '\0')
        return CN_E_NOENT;
    for (;;) {
        size_t length = strcspn(path, "/");
        const char *rest = path + length + strspn(path + length, "/");
        bool is_last = *rest == '\0', has_slash = path[length] == '/';
        enum cn_errno error = step(walk, &at, path, length);
        if (error == CN_E_SUCCESS && walk->tree->nodes[at].kind == LINK &&
            (!is_last || follows || has_slash))
            error = follow(walk, at, true, &at);
        if (error != CN_E_SUCCESS)
            return error;
        if (has_slash && walk->tree->nodes[at].kind != DIRECTORY)
            return CN_E_NOTDIR;
        if (is_last)
            break;
        path = rest;
    }
    *result = at;
    return CN_E_SUCCESS;
}

static enum cn_errno expected_of(const struct tree *tree, const char *path, int flags, int *node)
{
    struct walk walk = {tree, 0};
    enum cn_errno error = walk_on(&walk, 0, path, !(flags & O_NOFOLLOW), node);

    if (error != CN_E_SUCCESS)
        return error;
    enum kind kind = tree->nodes[*node].kind;
    if ((flags & O_DIRECTORY) && kind != DIRECTORY)
        return CN_E_NOTDIR;
    return kind == LINK && !(flags & O_PATH) ? CN_E_LOOP : CN_E_SUCCESS;
}

/* ------------------------------------------------------------------ comparing */

static void complain(const struct tree *tree, const char *path, enum cn_errno expected,
                     enum cn_errno found)
{
    char text[160];

    for (int i = 0; i < tree->count; i++) {
        path_of(tree, i, text, sizeof text);
        fprintf(stderr, "%s %s\n", text, tree->nodes[i].target);
    }
    fprintf(stderr, "fuzz_resolve: %s: expected %s, found %s\n", path, cn_errno_name(expected),
            cn_errno_name(found));
    abort();
}

static void compare(const struct tree *tree, const char *path, int flags)
{
    int expected_node = 0, fd = -1;
    struct stat stat;
    enum cn_errno expected = expected_of(tree, path, flags, &expected_node);
    enum cn_errno found = CN_E_AGAIN;

    /* The kernel gives up on "..", as often as it is asked, while anybody at all renames. */
    for (int i = 0; i < 100 && found == CN_E_AGAIN; i++)
        found = cn_resolve_open(tree->start, path, flags, &fd);
    if (found == CN_E_AGAIN)
        return;
    if (found != expected)
        complain(tree, path, expected, found);
    if (found != CN_E_SUCCESS)
        return;
    require(fstat(fd, &stat) == 0, "fstat");
    if (stat.st_dev != tree->nodes[expected_node].dev ||
        stat.st_ino != tree->nodes[expected_node].ino)
        complain(tree, path, CN_E_SUCCESS, CN_E_SUCCESS);
    require((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "a descriptor that would be inherited");
    close(fd);
}

/* The parent and the last name: what calls that create, remove and rename act on. */
static void compare_place(const struct tree *tree, const char *path)
{
    char copy[TEXT_MAX], parent[TEXT_MAX + 2];
    struct cn_place place;
    struct stat stat;
    size_t length = strlen(path);

    memcpy(copy, path, length + 1);
    enum cn_errno found = cn_place_find(tree->start, copy, &place);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t last = length;
    while (last > 0 && path[last - 1] != '/')
        last--;
    const char *name = path + last;
    size_t name_length = length - last;
    bool is_dot = name_length <= 2 && strncmp(name, "..", name_length) == 0 && name_length > 0;
    memcpy(parent, path, is_dot ? length : last);
    parent[is_dot ? length : last] = '\0';
    int node = 0;
    enum cn_errno expected =
        parent[0] ? expected_of(tree, parent, O_PATH | O_DIRECTORY, &node) : CN_E_SUCCESS;
    if (found == CN_E_AGAIN)
        return;
    if (found != expected)
        complain(tree, path, expected, found);
    if (found != CN_E_SUCCESS)
        return;
    require(place.is_dot == is_dot && fstat(place.dir, &stat) == 0 &&
                stat.st_ino == tree->nodes[node].ino,
            "another parent");
    int child = is_dot ? node : find_child(tree, node, name, name_length);
    found = cn_place_stat(&place, &stat);
    if (found != (child < 0 ? CN_E_NOENT : CN_E_SUCCESS))
        complain(tree, path, child < 0 ? CN_E_NOENT : CN_E_SUCCESS, found);
    require(child < 0 || stat.st_ino == tree->nodes[child].ino, "another thing of that name");
    require(strchr(is_dot ? "" : place.name, '/') == NULL, "a name with a slash");
    cn_place_release(&place);
}

/* Creates it in both, or in none. */
static void compare_create(struct tree *tree, const char *path)
{
    char copy[TEXT_MAX];
    struct cn_place place;
    struct stat stat, parent;
    int fd = -1, node = 0;

    memcpy(copy, path, strlen(path) + 1);
    if (tree->count == NODES_MAX || cn_place_find(tree->start, copy, &place) != CN_E_SUCCESS)
        return;
    require(fstat(place.dir, &parent) == 0, "fstat");
    while (node < tree->count && tree->nodes[node].ino != parent.st_ino)
        node++;
    require(node < tree->count, "a parent that is not in the tree");
    if (!place.is_dot && !place.has_slash && strlen(place.name) == 1) {
        int child = find_child(tree, node, place.name, 1);
        enum cn_errno found = cn_resolve_create(place.dir, place.name, O_RDWR, 0600, &fd);
        if (found != (child < 0 ? CN_E_SUCCESS : CN_E_EXIST))
            complain(tree, path, child < 0 ? CN_E_SUCCESS : CN_E_EXIST, found);
        if (found == CN_E_SUCCESS) {
            require(fstat(fd, &stat) == 0, "fstat");
            tree->nodes[tree->count++] = (struct node){FILE_NODE, node, place.name[0], "",
                                                       stat.st_dev, stat.st_ino};
            close(fd);
        }
    }
    cn_place_release(&place);
}

/* How deep it ends, from `depth` on; -1 once it has been above the start. The last name is left out
 * of `is_parent`. */
static int depth_after(const char *text, int depth, bool is_parent)
{
    for (text += strspn(text, "/"); *text != '\0' && depth >= 0;) {
        size_t length = strcspn(text, "/");
        const char *rest = text + length + strspn(text + length, "/");
        if (is_parent && *rest == '\0')
            break;
        if (length == 2 && memcmp(text, "..", 2) == 0)
            depth--;
        else if (length > 1 || *text != '.')
            depth++;
        text = rest;
    }
    return depth;
}

/* The text of a link, where no other link is on the way, leads out just when it is said to. */
static void compare_link(struct cursor *cursor)
{
    char path[TEXT_MAX], target[TEXT_MAX];

    pick_text(cursor, path);
    pick_text(cursor, target);
    int depth = depth_after(path, 0, true);
    if (depth >= 0)
        depth = depth_after(target, depth, false);
    require(cn_link_stays_inside(path, target) == (depth >= 0), "a link that leads out, or not");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int flags[] = {O_PATH, O_PATH | O_NOFOLLOW, O_PATH | O_DIRECTORY,
                                O_PATH | O_DIRECTORY | O_NOFOLLOW, O_RDONLY | O_NONBLOCK,
                                O_RDONLY | O_NOFOLLOW, O_RDONLY | O_DIRECTORY};
    struct cursor cursor = {data, size};
    struct tree tree;
    char path[TEXT_MAX];

    plant(&tree, &cursor);
    for (int i = 0; i < TRIES_MAX && cursor.left > 0; i++) {
        uint32_t way = cursor_pick(&cursor, 10);
        pick_text(&cursor, path);
        if (path[0] == '/') /* the gateway does not let it in */
            continue;
        if (way < 7)
            compare(&tree, path, flags[way]);
        else if (way == 7)
            compare_place(&tree, path);
        else if (way == 8)
            compare_create(&tree, path);
        else
            compare_link(&cursor);
    }
    uproot(&tree);
    return 0;
}
