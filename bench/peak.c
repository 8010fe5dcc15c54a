/* peak COMMAND...: the command's peak resident size in KiB. A program of its own, because a
 * child begins with the peak of whoever forked it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage usage;
    pid_t child;

    if (argc < 2)
        return 2;
    child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), 1);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    if (child < 0 || wait4(child, NULL, 0, &usage) < 0)
        return 2;
    printf("%ld\n", usage.ru_maxrss);
    return 0;
}
