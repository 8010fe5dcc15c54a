/* What is told about VMs: as JSON, and in the text format of Prometheus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/up_life.h"

const char *up_state_name(enum up_state state)
{
    static const char *const names[] = {
#define STATE(name, text, ...) text,
#define REQUEST(...)
#define REFUSAL(...)
#include "spec/control.def"
#undef REFUSAL
#undef REQUEST
#undef STATE
    };

    return names[state];
}

/* One that was told to pause runs until it stands at a safepoint. */
static enum up_state state_of(const struct up_vm *vm, const cordon_stats_t *stats)
{
    return vm->state == UP_PAUSED && !stats->is_paused ? UP_RUNNING : vm->state;
}

/* UINT64_MAX stands for unlimited: null. */
static json_t *amount_of(uint64_t amount)
{
    return amount > INT64_MAX ? json_null() : json_integer((json_int_t)amount);
}

static uint64_t uptime_ns(const struct up_vm *vm)
{
    bool is_up = vm->state == UP_RUNNING || vm->state == UP_PAUSED;

    return is_up ? up_now_ns() - vm->started_ns : vm->stats.wall_ns;
}

static json_t *ports_of(const struct up_vm *vm)
{
    json_t *ports = json_array();

    for (uint32_t i = 0; i < vm->spec.listener_count; i++)
        json_array_append_new(ports, json_integer(vm->ports[i]));
    return ports;
}

/* Text that may come from a guest: what is no UTF-8 becomes question marks. */
static json_t *text_of(const char *text)
{
    char plain[300];
    json_t *value = json_string(text);

    if (value != NULL)
        return value;
    snprintf(plain, sizeof plain, "%s", text);
    for (char *c = plain; *c != '\0'; c++)
        if (*c & 0x80)
            *c = '?';
    return json_string(plain);
}

static void add_end(json_t *row, const struct up_vm *vm)
{
    char text[300];

    if (vm->end.end == CORDON_END_NONE)
        return;
    json_object_set_new(row, "end", text_of(up_end_text(&vm->end, text, sizeof text)));
    json_object_set_new(row, "exit_code", json_integer(vm->end.exit_code));
}

json_t *up_figures_ps(struct up_vm *vm)
{
    const char *near;
    cordon_quota_t weight = up_quota_named("weight", &near);
    cordon_stats_t stats;
    bool is_process = !vm->spec.is_shared;
    int pid = is_process ? (vm->life ? vm->life->pid : 0) : (int)getpid();

    up_vm_stats(vm, &stats);
    json_t *row = json_pack("{s:s, s:s, s:i, s:s, s:i, s:I, s:I, s:o, s:I, s:I, s:b, s:o}",
                            "name", vm->spec.name, "state", up_state_name(state_of(vm, &stats)),
                            "pid", pid, "placement", is_process ? "process" : "host",
                            "millicores", (int)vm->millicores,
                            "cpu_ns", (json_int_t)stats.cpu_ns,
                            "memory", (json_int_t)stats.used[CORDON_MEMORY],
                            "memory_limit", amount_of(stats.limit[CORDON_MEMORY]),
                            "uptime_ns", (json_int_t)uptime_ns(vm),
                            "restarts", (json_int_t)vm->restarts, "detached", vm->is_detached,
                            "ports", ports_of(vm));
    if (row != NULL && weight != CORDON_QUOTA_COUNT)
        json_object_set_new(row, "weight", amount_of(vm->spec.limit[weight]));
    if (row != NULL)
        add_end(row, vm);
    return row;
}

static json_t *quotas_of(const cordon_stats_t *stats)
{
    json_t *quotas = json_object();

    for (int i = 0; i < CORDON_QUOTA_COUNT; i++)
        json_object_set_new(quotas, cordon_quota_name((cordon_quota_t)i),
                            json_pack("{s:I, s:I, s:o, s:I}",
                                      "used", (json_int_t)stats->used[i],
                                      "peak", (json_int_t)stats->peak[i],
                                      "limit", amount_of(stats->limit[i]),
                                      "refused", (json_int_t)stats->refused[i]));
    return quotas;
}

/* The counters that are no quotas, by their names. */
#define COUNTERS(COUNTER)                                                                          \
    COUNTER(cpu_ns, "CPU time in nanoseconds, host calls included")                                \
    COUNTER(fuel, "WebAssembly operators executed")                                                \
    COUNTER(net_in, "bytes received from the network")                                             \
    COUNTER(net_out, "bytes sent to the network")                                                  \
    COUNTER(connections, "connections accepted")                                                   \
    COUNTER(file_read, "bytes read from files")                                                    \
    COUNTER(file_written, "bytes written to files")

json_t *up_figures_stats(struct up_vm *vm)
{
    cordon_stats_t stats;

    up_vm_stats(vm, &stats);
    json_t *row = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "name", vm->spec.name, "state",
                            up_state_name(state_of(vm, &stats)), "uptime_ns",
                            (json_int_t)uptime_ns(vm), "restarts", (json_int_t)vm->restarts,
                            "log_bytes", (json_int_t)vm->log.end, "log_kept",
                            (json_int_t)(vm->log.end - vm->log.begin));
#define COUNTER(name, ...) json_object_set_new(row, #name, json_integer((json_int_t)stats.name));
    COUNTERS(COUNTER)
#undef COUNTER
    json_object_set_new(row, "quotas", quotas_of(&stats));
    return row;
}

/* ------------------------------------------------------------------ Prometheus */

/* All VMs' figures at one moment, since the format wants them one metric after another. */
struct snapshot {
    struct up_host *host;
    struct up_vm **vms;
    cordon_stats_t *stats;
    uint32_t count;
    FILE *out;
};

static void head(const struct snapshot *all, const char *name, const char *type,
                 const char *help)
{
    fprintf(all->out, "# HELP cordon_%s %s\n# TYPE cordon_%s %s\n", name, help, name, type);
}

static void put_quota_metric(const struct snapshot *all, const char *name, const char *help,
                             size_t offset)
{
    bool is_counter = strcmp(name, "quota_refused_total") == 0;

    head(all, name, is_counter ? "counter" : "gauge", help);
    for (uint32_t i = 0; i < all->count; i++)
        for (int k = 0; k < CORDON_QUOTA_COUNT; k++) {
            uint64_t value;
            memcpy(&value, (const char *)&all->stats[i] + offset + (size_t)k * sizeof value,
                   sizeof value);
            fprintf(all->out, "cordon_%s{vm=\"%s\",quota=\"%s\"} ", name,
                    all->vms[i]->spec.name, cordon_quota_name((cordon_quota_t)k));
            if (value == CORDON_UNLIMITED)
                fputs("+Inf\n", all->out);
            else
                fprintf(all->out, "%llu\n", (unsigned long long)value);
        }
}

static void put_counter(const struct snapshot *all, const char *name, const char *help,
                        size_t offset)
{
    char full[64];

    snprintf(full, sizeof full, "%s_total", name);
    head(all, full, "counter", help);
    for (uint32_t i = 0; i < all->count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&all->stats[i] + offset, sizeof value);
        fprintf(all->out, "cordon_%s{vm=\"%s\"} %llu\n", full, all->vms[i]->spec.name,
                (unsigned long long)value);
    }
}

static void put_vm_metrics(const struct snapshot *all)
{
    head(all, "vm_state", "gauge", "1 for the state that the VM is in");
    for (uint32_t i = 0; i < all->count; i++)
        for (int k = 0; k < UP_STATE_COUNT; k++)
            fprintf(all->out, "cordon_vm_state{vm=\"%s\",state=\"%s\"} %d\n",
                    all->vms[i]->spec.name, up_state_name((enum up_state)k),
                    state_of(all->vms[i], &all->stats[i]) == (enum up_state)k);
    head(all, "vm_uptime_seconds", "gauge", "time since the VM's last start");
    for (uint32_t i = 0; i < all->count; i++)
        fprintf(all->out, "cordon_vm_uptime_seconds{vm=\"%s\"} %.3f\n", all->vms[i]->spec.name,
                (double)uptime_ns(all->vms[i]) / 1e9);
    head(all, "vm_restarts_total", "counter", "how often the VM was started again");
    for (uint32_t i = 0; i < all->count; i++)
        fprintf(all->out, "cordon_vm_restarts_total{vm=\"%s\"} %llu\n", all->vms[i]->spec.name,
                (unsigned long long)all->vms[i]->restarts);
}

static void put_host(const struct snapshot *all)
{
    cordon_host_stats_t stats;

    cordon_host_stats(all->host->cordon, &stats);
#define FIGURE(name, type, value, help)                                                            \
    head(all, #name, type, help);                                                                  \
    fprintf(all->out, "cordon_" #name " %llu\n", (unsigned long long)(value));
    FIGURE(workers, "gauge", stats.workers, "threads that run VMs")
    FIGURE(runnable, "gauge", stats.runnable, "VMs that run or wait for their turn alone")
    FIGURE(busy_ns_total, "counter", stats.busy_ns, "CPU time of all turns in nanoseconds")
    FIGURE(turns_total, "counter", stats.turns, "turns of VMs")
    FIGURE(reserved_millicores, "gauge", stats.reserved, "CPU time that is promised")
    FIGURE(memory_bytes, "gauge", stats.memory, "memory that VMs have or reserve")
#undef FIGURE
}

static void put_all(const struct snapshot *all)
{
    head(all, "vms", "gauge", "VMs that the host knows");
    fprintf(all->out, "cordon_vms %u\n", all->count);
    head(all, "uptime_seconds", "gauge", "time since the host's start");
    fprintf(all->out, "cordon_uptime_seconds %.3f\n",
            (double)(up_now_ns() - all->host->started_ns) / 1e9);
    put_host(all);
    put_vm_metrics(all);
#define COUNTER(name, help) put_counter(all, #name, help, offsetof(cordon_stats_t, name));
    COUNTERS(COUNTER)
#undef COUNTER
    put_quota_metric(all, "quota_used", "in use, in the quota's unit",
                     offsetof(cordon_stats_t, used));
    put_quota_metric(all, "quota_peak", "the most that was in use",
                     offsetof(cordon_stats_t, peak));
    put_quota_metric(all, "quota_limit", "the most that may be in use",
                     offsetof(cordon_stats_t, limit));
    put_quota_metric(all, "quota_refused_total", "how often the quota said no",
                     offsetof(cordon_stats_t, refused));
}

char *up_figures_metrics(struct up_host *host, size_t *size)
{
    struct snapshot all = {.host = host,
                           .vms = calloc(host->vm_count + 1, sizeof(struct up_vm *)),
                           .stats = calloc(host->vm_count + 1, sizeof(cordon_stats_t))};
    char *text = NULL;

    if (all.vms != NULL && all.stats != NULL)
        all.out = open_memstream(&text, size);
    for (struct up_vm *vm = host->vms; all.out != NULL && vm != NULL; vm = vm->next) {
        all.vms[all.count] = vm;
        up_vm_stats(vm, &all.stats[all.count++]);
    }
    if (all.out != NULL) {
        put_all(&all);
        fclose(all.out);
    }
    free(all.vms);
    free(all.stats);
    return text;
}
