#include "host/inside.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Memory is had from the host in pieces of at least this size, and given back when there is more
 * than two of them to spare: most growth needs no question. */
#define PIECE ((uint64_t)1 << 20)

/* ------------------------------------------------------------------ memory */

static void wait_for_turn(struct cn_inside *inside)
{
    cn_baton_wait(inside->page, CN_BATON_INSIDE, UINT64_MAX);
    atomic_store(&inside->pot->size, inside->page->lease);
    atomic_store(&inside->pot->is_tight, inside->page->is_tight);
}

static bool ask(struct cn_inside *inside, uint64_t wanted)
{
    uint64_t before = atomic_load(&inside->pot->size);

    inside->page->word = CN_CELL_ASK;
    inside->page->wanted = wanted;
    cn_baton_pass(inside->page, CN_BATON_HOST);
    wait_for_turn(inside);
    return atomic_load(&inside->pot->size) > before;
}

/* What cn_pot_take does when there is not enough. */
static bool refill(void *context, uint64_t amount)
{
    return (amount < PIECE && ask(context, PIECE)) || ask(context, amount);
}

static uint64_t spare(const struct cn_pot *pot)
{
    uint64_t committed = atomic_load(&pot->committed), size = atomic_load(&pot->size);
    uint64_t left = size > committed ? size - committed : 0;

    return left > 2 * PIECE ? left - PIECE : 0;
}

/* ------------------------------------------------------------------ joining */

enum cn_status cn_inside_init(struct cn_inside *inside, int page_fd, int socket,
                              struct cn_pot *pot)
{
    struct stat status;

    *inside = (struct cn_inside){.socket = socket, .pot = pot};
    if (fstat(page_fd, &status) != 0 || status.st_size < (off_t)sizeof *inside->page)
        return CN_IO;
    inside->size = (size_t)status.st_size;
    void *page = mmap(NULL, inside->size, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    if (page == MAP_FAILED)
        return CN_IO;
    inside->page = page;
    pot->ask = refill;
    pot->ask_context = inside;
    wait_for_turn(inside);
    return CN_OK;
}

void cn_inside_release(struct cn_inside *inside)
{
    if (inside->page != NULL)
        munmap(inside->page, inside->size);
    inside->page = NULL;
}

/* ------------------------------------------------------------------ turns */

/* What the host has said meanwhile. */
static void take_note(struct cn_inside *inside, struct cn_vm *vm)
{
    struct cn_cell_page *page = inside->page;
    int signal = atomic_load(&page->kill_signal);
    bool paused = atomic_load(&page->is_paused);

    if (signal != 0)
        cn_vm_kill(vm, signal);
    if (paused != atomic_load(&vm->is_paused))
        cn_vm_pause(vm, paused);
    if (atomic_load(&page->asked_limits) == 0)
        return;
    uint32_t asked = atomic_exchange(&page->asked_limits, 0);
    for (int i = 0; i < CN_QUOTA_COUNT; i++)
        if (asked & 1u << i)
            cn_vm_told(vm, (enum cn_quota)i, atomic_load(&page->asked_limit[i]));
}

/* With one byte; once. */
static void send_wait_set(struct cn_inside *inside, int wait_set)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof wait_set)];
    } control = {0};
    char byte = 0;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof wait_set);
    memcpy(CMSG_DATA(header), &wait_set, sizeof wait_set);
    inside->page->has_wait_set = sendmsg(inside->socket, &message, MSG_NOSIGNAL) == 1;
    inside->has_wait_set = true;
}

void cn_inside_publish(struct cn_inside *inside, const struct cn_vm *vm)
{
    struct cn_figures *figures = &inside->page->figures;

    *figures = cn_vm_figures(vm);
    figures->account.pot = NULL; /* an address is nobody else's business */
}

static void report(struct cn_inside *inside, const struct cn_turn_report *report)
{
    struct cn_cell_page *page = inside->page;

    page->until_ns = report->until_ns;
    page->is_parked = report->wait_set >= 0;
    if (page->is_parked && !inside->has_wait_set)
        send_wait_set(inside, report->wait_set);
    page->spare = spare(inside->pot);
    page->word = CN_CELL_REPORT;
    cn_baton_pass(page, CN_BATON_HOST);
}

void cn_inside_yield(struct cn_inside *inside)
{
    report(inside, &(struct cn_turn_report){.wait_set = -1});
    wait_for_turn(inside);
}

static void blocks(struct cn_vm *vm)
{
    struct cn_inside *inside = vm->blocks_context;

    inside->page->word = CN_CELL_BLOCKS;
    cn_baton_pass(inside->page, CN_BATON_HOST);
    wait_for_turn(inside);
}

void cn_inside_serve(struct cn_inside *inside, struct cn_vm *vm)
{
    struct cn_turn_report turn = {.wait_set = -1};

    inside->page->is_made = true;
    vm->blocks = blocks;
    vm->blocks_context = inside;
    vm->has_thread = true;
    cn_inside_publish(inside, vm);
    for (;;) {
        report(inside, &turn);
        wait_for_turn(inside);
        turn = (struct cn_turn_report){.wait_set = -1};
        take_note(inside, vm);
        vm->seat.turn(&vm->seat, inside->page->slice_ns, &turn);
        if (turn.is_over)
            return;
        inside->page->is_watching = atomic_load(&vm->seat.is_watching);
        cn_inside_publish(inside, vm);
    }
}

void cn_inside_end(struct cn_inside *inside, const void *last, size_t size)
{
    struct cn_cell_page *page = inside->page;

    memcpy(page->last, last, size < sizeof page->last ? size : sizeof page->last);
    page->is_over = true;
    report(inside, &(struct cn_turn_report){.wait_set = -1});
}
