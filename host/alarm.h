/* Moments that seats of a pool wait for: a heap with the earliest on top. Pure bookkeeping. */
#ifndef CN_HOST_ALARM_H
#define CN_HOST_ALARM_H

#include "host/pool.h"

#define CN_NO_ALARM UINT32_MAX

struct cn_alarms {
    struct cn_seat **seats; /* by seat->until_ns */
    uint32_t count, room;
};

/* Makes room for that many, so that setting one cannot fail. */
CN_CHECKED enum cn_status cn_alarms_reserve(struct cn_alarms *alarms, uint32_t count);
void cn_alarms_release(struct cn_alarms *alarms);

/* seat->until_ns is the moment; the seat has no alarm yet. */
void cn_alarm_set(struct cn_alarms *alarms, struct cn_seat *seat);
/* Nothing happens when it has none. */
void cn_alarm_clear(struct cn_alarms *alarms, struct cn_seat *seat);

#endif
