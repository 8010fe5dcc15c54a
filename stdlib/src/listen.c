#include <cordon/listen.h>

#include <stdint.h>

__attribute__((import_module("cordon"), import_name("listeners"))) uint16_t
cordon_import_listeners(uint32_t *first, uint32_t *count);

int cordon_listener_first(void)
{
    uint32_t first, count;

    if (cordon_import_listeners(&first, &count) != 0 || count == 0)
        return -1;
    return (int)first;
}

int cordon_listener_count(void)
{
    uint32_t first, count;

    return cordon_import_listeners(&first, &count) == 0 ? (int)count : 0;
}
