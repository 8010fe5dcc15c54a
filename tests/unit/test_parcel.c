/* Configs on their way to another process: what comes out is what went in, and what is damaged is
 * refused. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/parcel.h"

#define ROOM 4096

static char dirs[3][32];
static cordon_config_t *config;
static cordon_error_t error;
static uint8_t bytes[ROOM], keys[ROOM], key[CN_KEY_SIZE];
static int fds[16];
static size_t size;

static void give_volume(int number, const uint8_t *master)
{
    struct cn_error cause;
    struct cn_mount *mount;
    int dir = open(dirs[number], O_RDONLY | O_DIRECTORY);
    cr_assert_eq(cn_mount_new(dir, master, &mount, &cause), CN_OK, "%s", cause.text);
    mount->grant.size = 1000u * (unsigned)number;
    mount->grant.inodes = 10u * (unsigned)number;
    cr_assert(cn_api_config_mount(config, &mount->grant, dir, dirs[number], number == 1, &error));
}

static void setup(void)
{
    for (int i = 0; i < 3; i++) {
        strcpy(dirs[i], "/tmp/cn-parcel-XXXXXX");
        cr_assert_not_null(mkdtemp(dirs[i]));
    }
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i + 1);
    config = cordon_config_new(&error);
    cr_assert(cordon_config_arg(config, "an argument", &error));
    cr_assert(cordon_config_env(config, "A=variable", &error));
    cr_assert(cordon_config_dir(config, dirs[0], "/dir", true, &error));
    give_volume(1, key);
    give_volume(2, NULL);
    size = cn_parcel_size(config);
    cr_assert_lt(size, ROOM);
    cn_parcel_write(config, bytes);
    cn_parcel_keys(config, keys);
}

static void teardown(void)
{
    cordon_config_free(config);
    for (int i = 0; i < 3; i++)
        rmdir(dirs[i]);
}

TestSuite(parcel, .init = setup, .fini = teardown);

/* Descriptors of its own, as they would come over a socket. */
static void receive(void)
{
    int pair[2];
    uint32_t count = cn_parcel_fd_count(config);
    cn_parcel_fds(config, fds);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_assert(cn_parcel_send_fds(pair[0], fds, count));
    cr_assert(cn_parcel_receive_fds(pair[1], fds, count));
    close(pair[0]);
    close(pair[1]);
}

Test(parcel, has_volumes_with_their_keys)
{
    uint32_t key_count;
    cr_assert_eq(cn_parcel_expects(bytes, size, &key_count), 3);
    cr_assert_eq(key_count, 1);
    cr_assert_eq(cn_parcel_key_count(config), 1);
    cr_assert_null(memmem(bytes, size, key, sizeof key), "keys take another way");
    receive();
    cordon_config_t *other = cn_parcel_read(bytes, size, fds, keys, &error);
    cr_assert_not_null(other, "%s", error.message);
    cr_assert_eq(other->dir_count, 3);
    cr_assert_null(other->dirs[0].volume);
    const struct cn_mount *kept = (struct cn_mount *)other->dirs[1].volume;
    const struct cn_mount *passing = (struct cn_mount *)other->dirs[2].volume;
    cr_assert(!kept->is_ephemeral && passing->is_ephemeral);
    cr_assert(memcmp(kept->grant.keys->master, key, sizeof key) == 0);
    cr_assert_null(passing->grant.keys->master, "the one who uses it makes it");
    cr_assert_eq(kept->grant.size, 1000);
    cr_assert_eq(kept->grant.inodes, 10);
    cr_assert(other->dirs[1].is_read_only && !other->dirs[2].is_read_only);
    cr_assert_str_eq(other->dirs[2].guest_name, dirs[2]);
    cordon_config_free(other);
}

Test(parcel, passes_the_lock_on)
{
    receive();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(flock(fds[1], LOCK_EX | LOCK_NB), 0);
    cordon_config_close_volumes(config);
    cr_assert_eq(config->dir_count, 1);
    int again = open(dirs[1], O_RDONLY | O_DIRECTORY);
    cr_assert_neq(flock(again, LOCK_EX | LOCK_NB), 0, "the other end has it");
    close(fds[1]);
    cr_assert_eq(flock(again, LOCK_EX | LOCK_NB), 0);
    close(again);
}

Test(parcel, is_refused_when_it_is_damaged)
{
    uint8_t damaged[ROOM];
    uint32_t key_count, refused = 0;
    for (size_t i = 0; i < size; i++) {
        memcpy(damaged, bytes, size);
        damaged[i] ^= 0x81;
        uint32_t count = cn_parcel_expects(damaged, size, &key_count);
        if (count != 3 || key_count > CN_PARCEL_KEYS_MAX) {
            refused++;
            continue;
        }
        receive();
        cordon_config_t *other = cn_parcel_read(damaged, size, fds, keys, &error);
        refused += other == NULL;
        cordon_config_free(other);
    }
    for (size_t i = 0; i < size; i++)
        if (cn_parcel_expects(bytes, i, &key_count) == 3) {
            receive();
            cr_assert_null(cn_parcel_read(bytes, i, fds, keys, &error), "cut at %zu", i);
        }
    cr_assert_gt(refused, 10);
}
