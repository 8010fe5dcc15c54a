#include "host/fence_find.h"

#include <stdio.h>
#include <string.h>

/* Of a longer line the rest is taken for another one, which is none that is looked for. */
#define LINE_ROOM 16384

/* Whether a list such as "rw,memory" has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (; list != NULL; list = strchr(list, ',')) {
        list += *list == ',';
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return true;
    }
    return false;
}

/* A line of /proc/self/mountinfo: proc(5). */
struct mount {
    const char *root, *point, *type, *options;
};

static bool split(char *line, struct mount *mount)
{
    char *words[12], *rest = NULL;
    int count = 0, dash = 0;

    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < 12;
         word = strtok_r(NULL, " \n", &rest)) {
        if (dash == 0 && strcmp(word, "-") == 0)
            dash = count;
        words[count++] = word;
    }
    if (dash < 6 || count < dash + 4)
        return false;
    *mount = (struct mount){words[3], words[4], words[dash + 1], words[dash + 3]};
    return strchr(mount->point, '\\') == NULL; /* with spaces in it: nobody mounts groups so */
}

static bool is_wanted(const struct mount *mount, const char *controller)
{
    if (controller == NULL)
        return strcmp(mount->type, "cgroup2") == 0;
    return strcmp(mount->type, "cgroup") == 0 && has_word(mount->options, controller);
}

/* False for what does not fit. */
static bool copy(char path[PATH_MAX], const char *from)
{
    return snprintf(path, PATH_MAX, "%s", from) < PATH_MAX;
}

static bool find_mount(FILE *mounts, const char *controller, char root[PATH_MAX],
                       char point[PATH_MAX])
{
    char line[LINE_ROOM];
    struct mount mount;

    while (fgets(line, sizeof line, mounts) != NULL)
        if (split(line, &mount) && is_wanted(&mount, controller))
            return copy(root, mount.root) && copy(point, mount.point);
    return false;
}

/* A line of /proc/self/cgroup is "number:controllers:path", cgroups(7); v2's number is 0. */
static bool find_group(FILE *groups, const char *controller, char group[PATH_MAX])
{
    char line[LINE_ROOM];

    while (fgets(line, sizeof line, groups) != NULL) {
        char *list = strchr(line, ':');
        char *path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *list++ = *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (controller != NULL ? has_word(list, controller) : strcmp(line, "0") == 0)
            return copy(group, path);
    }
    return false;
}

/* What of the group is below the mount, which may show a part of the hierarchy alone. */
static bool join(const char *point, const char *root, const char *group, char path[PATH_MAX])
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strncmp(group, root, length) != 0 || (group[length] != '/' && group[length] != '\0') ||
        strstr(group, "..") != NULL)
        return false;
    return snprintf(path, PATH_MAX, "%s%s", point, group + length) < PATH_MAX;
}

bool cn_fence_find(const char *mounts, const char *groups, const char *controller,
                   char path[PATH_MAX])
{
    char root[PATH_MAX], point[PATH_MAX], group[PATH_MAX];
    FILE *file = fopen(mounts, "re");
    bool found = file != NULL && find_mount(file, controller, root, point);

    if (file != NULL)
        fclose(file);
    file = found ? fopen(groups, "re") : NULL;
    found = file != NULL && find_group(file, controller, group);
    if (file != NULL)
        fclose(file);
    return found && join(point, root, group, path);
}
