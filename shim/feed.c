#include "shim/feed.h"

#include <sys/eventfd.h>
#include <unistd.h>

/* With so much in it an event descriptor is not writable. */
#define FULL (UINT64_MAX - 1)

bool cn_feed_open(struct cn_feed *feed, struct cn_feed_function function, bool writes)
{
    int event = eventfd(writes ? 0 : 1, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event < 0)
        return false;
    *feed = (struct cn_feed){function, writes, event};
    return true;
}

void cn_feed_close(struct cn_feed *feed)
{
    if (feed->function.move != NULL)
        close(feed->event);
    feed->function.move = NULL;
}

/* What fails here has happened already: by the other thread, or in the same way before. */
static void empty(struct cn_feed *feed)
{
    eventfd_t count;

    (void)eventfd_read(feed->event, &count);
}

static void stop(struct cn_feed *feed)
{
    if (feed->writes)
        (void)eventfd_write(feed->event, FULL);
    else
        empty(feed);
}

void cn_feed_go_on(struct cn_feed *feed)
{
    if (feed->function.move == NULL)
        return;
    if (feed->writes)
        empty(feed);
    else
        (void)eventfd_write(feed->event, 1);
}

static int64_t move_once(struct cn_feed *feed, const struct iovec *iovec)
{
    int64_t size = feed->function.move(feed->function.context, iovec->iov_base, iovec->iov_len);

    /* Output that is not taken comes again; a function that takes more than there is, is broken. */
    if (size == 0 && feed->writes)
        return CN_FEED_LATER;
    return size > (int64_t)iovec->iov_len ? CN_FEED_BROKEN : size;
}

enum cn_errno cn_feed_move(struct cn_feed *feed, const struct iovec *iovecs, int count,
                           size_t *moved)
{
    int at = 0;

    *moved = 0;
    while (at < count && iovecs[at].iov_len == 0)
        at++;
    if (at == count)
        return CN_E_SUCCESS;
    int64_t size = move_once(feed, &iovecs[at]);
    if (size == CN_FEED_LATER) {
        /* Whoever says that it can go on may have said so just before the stream was stopped. */
        stop(feed);
        size = move_once(feed, &iovecs[at]);
        if (size != CN_FEED_LATER)
            cn_feed_go_on(feed);
    }
    if (size == CN_FEED_LATER)
        return CN_E_AGAIN;
    if (size < 0)
        return feed->writes ? CN_E_PIPE : CN_E_IO;
    *moved = (size_t)size;
    return CN_E_SUCCESS;
}
