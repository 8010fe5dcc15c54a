/* A connection to the control socket. */
#ifndef CN_CLI_UP_CONN_H
#define CN_CLI_UP_CONN_H

#include "cli/up.h"

#define UP_FDS_MAX 128

enum up_refusal {
#define STATE(...)
#define REQUEST(...)
#define REFUSAL(name, ...) UP_REFUSED_##name,
#include "spec/control.def"
#undef REFUSAL
#undef REQUEST
#undef STATE
};

struct up_conn {
    struct up_conn *next;
    struct up_host *host;
    int socket, handles;
    uv_poll_t poll;
    uv_timer_t timer;
    char *in, *out;
    size_t in_size, in_room, in_seen; /* seen: searched for the end of a line */
    size_t out_at, out_size, out_room;
    int fds[UP_FDS_MAX];
    int fd_count;
    bool is_greeted, is_ending, is_eof, is_closed; /* ending: closed when all is written */
    bool is_waiting;                               /* for a VM that it has asked for */
    bool is_lost;   /* it broke, or there was no memory for an answer */
    bool is_choked; /* there is more to say when it has taken this */
    struct up_vm *log; /* whose log is sent */
    uint64_t log_at, log_until;
    json_int_t id; /* of the request that is answered */
};

/* Handles one line, which is a request (or the greeting). */
void up_answer_line(struct up_conn *conn, const char *line, size_t size);

/* Sends an object as a line; it is given up. */
void up_conn_send(struct up_conn *conn, json_t *object);
/* To the present request: {"id": id, "ok": answer} */
void up_conn_answer(struct up_conn *conn, json_t *answer);
/* {"id": id, "error": {"code": ..., "message": ...}}; `more` has further members of the error, or
 * is NULL. */
void up_conn_refuse(struct up_conn *conn, enum up_refusal why, json_t *more, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* Sends the log of a VM from a position to `until` (UINT64_MAX: as long as the VM lives). */
void up_conn_send_log(struct up_conn *conn, struct up_vm *vm, uint64_t from, uint64_t until);

#endif
