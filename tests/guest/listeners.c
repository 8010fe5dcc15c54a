/* Which listeners were granted, each proven by a client that is answered with its number; then
 * the documented pattern. Called with the number that was granted. */
#include <cordon/listen.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 0;
    int first = cordon_listener_first();

    if (cordon_listener_count() != count || (count == 0) != (first == -1)) {
        printf("%d listeners from %d on, expected %d\n", cordon_listener_count(), first, count);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        int client = accept(first + i, NULL, NULL);
        if (client < 0 || dprintf(client, "listener %d\n", i) < 0 || close(client) != 0) {
            perror("accept");
            return 1;
        }
    }
    puts("ok");
    return 0;
}
