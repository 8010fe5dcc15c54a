/* system, tmpnam and tmpfile, which wasi-libc does not have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    char name[L_tmpnam];
    const char *found = tmpnam(name) == NULL ? "none" : access(name, F_OK) != 0 ? "free" : "taken";
    printf("%d %d %s\n", system(NULL), system("true"), found);
    FILE *file = tmpfile();
    if (file == NULL) {
        printf("no file\n");
        return 0;
    }
    int number = 0;
    fprintf(file, "12345");
    rewind(file);
    int fields = fscanf(file, "%d", &number);
    printf("%d\n", fields == 1 ? number : -1);
    fclose(file);
    return 0;
}
