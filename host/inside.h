/* The inside of a cell (host/cell.h): the process that runs a VM in turns which another process
 * gives it. One thread; it must not do more than the turn that it has. */
#ifndef CN_HOST_INSIDE_H
#define CN_HOST_INSIDE_H

#include "host/cell.h"

struct cn_inside {
    struct cn_cell_page *page;
    size_t size;        /* of the mapping: the page and what follows it */
    int socket;
    bool has_wait_set;  /* sent */
    struct cn_pot *pot;
};

/* Maps the page, and waits for the first turn; in it the VM is made. The pot, which is the VM's
 * alone, asks the host for memory when it has none left. CN_IO. */
CN_CHECKED enum cn_status cn_inside_init(struct cn_inside *inside, int page_fd, int socket,
                                         struct cn_pot *pot);
void cn_inside_release(struct cn_inside *inside);

/* Runs the VM, whose calls are prepared (cn_vm_prepare), to its end. Its last turn goes on. */
void cn_inside_serve(struct cn_inside *inside, struct cn_vm *vm);

/* Ends this turn, which was not the VM's last one, and waits for the next. */
void cn_inside_yield(struct cn_inside *inside);

/* What the VM has used, with the next report. */
void cn_inside_publish(struct cn_inside *inside, const struct cn_vm *vm);

/* The last report, with what the layer above has to say. */
void cn_inside_end(struct cn_inside *inside, const void *last, size_t size);

#endif
