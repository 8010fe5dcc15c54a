/* The file of `cordon up`: what is understood, and what is said about the rest. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/up_file.h"

static struct up_plan plan;
static struct up_fault fault;

static bool reads(const char *text)
{
    up_plan_free(&plan);
    return up_plan_read(&plan, text, strlen(text), "/base", &fault);
}

static void tidy(void)
{
    up_plan_free(&plan);
}

TestSuite(up_file, .fini = tidy);

Test(up_file, takes_all_keys)
{
    cr_assert(reads("metrics: 9100\n"
                    "store: /a/store\n"
                    "key-file: a/key\n"
                    "key-on-same-disk: true\n"
                    "vms:\n"
                    "  web:\n"
                    "    module: app/web.wasm\n"
                    "    args: [--port, \"80\"]\n"
                    "    env: {A: 1, B: two}\n"
                    "    dirs:\n"
                    "      - ./www::/::ro\n"
                    "      - /tmp\n"
                    "    volumes: ['v:/data:ro', 'w,size=1m,ephemeral']\n"
                    "    listen: [8080, '[::1]:81']\n"
                    "    quotas: {memory: 64m, cpu-time: 10s, cpus: 0.5}\n"
                    "    weight: 300\n"
                    "    process: shared\n"
                    "    sandbox: best-effort\n"
                    "    user: '12:34'\n"
                    "    restart: on-failure:3\n"
                    "    log-size: 4k\n"
                    "    count: 2\n"
                    "defaults:\n"
                    "  quotas: {memory: 32m, max_fds: 9}\n"
                    "  env: [Z=1]\n"), "%s", fault.text);
    cr_assert_eq(plan.count, 1);
    const struct up_spec *vm = &plan.vms[0];
    cr_expect_str_eq(plan.metrics, "127.0.0.1:9100");
    cr_expect_str_eq(vm->name, "web");
    cr_expect_str_eq(vm->module, "/base/app/web.wasm");
    cr_expect_eq(vm->args.count, 3);
    cr_expect_str_eq(vm->args.items[0], "app/web.wasm");
    cr_expect_str_eq(vm->args.items[2], "80");
    cr_expect_eq(vm->env.count, 3);
    cr_expect_str_eq(vm->env.items[0], "Z=1");
    cr_expect_str_eq(vm->env.items[2], "B=two");
    cr_expect_str_eq(vm->dirs[0].path, "/base/./www");
    cr_expect_str_eq(vm->dirs[0].guest, "/");
    cr_expect(vm->dirs[0].read_only);
    cr_expect_str_eq(vm->dirs[1].path, "/tmp");
    cr_expect_str_eq(vm->dirs[1].guest, "/tmp");
    cr_expect_str_eq(plan.store.path, "/a/store");
    cr_expect_str_eq(plan.store.key_file, "/base/a/key");
    cr_expect(plan.store.on_same_disk);
    cr_expect_eq(vm->volumes.count, 2);
    cr_expect_str_eq(vm->volumes.items[0], "v:/data:ro");
    cr_expect_str_eq(vm->listeners[0].address, "127.0.0.1:8080");
    cr_expect_str_eq(vm->listeners[1].address, "[::1]:81");
    cr_expect_eq(vm->limit[CORDON_MEMORY], 64 << 20);
    cr_expect_eq(vm->limit[CORDON_FDS], 9, "from the defaults, which stand behind");
    cr_expect_eq(vm->limit[CORDON_CPUS], 500);
    cr_expect_eq(vm->limit[CORDON_CPU_TIME], 10000000000u);
    cr_expect_eq(vm->limit[CORDON_WEIGHT], 300);
    cr_expect(vm->is_shared);
    cr_expect_str_eq(vm->sandbox, "best-effort");
    cr_expect(vm->has_user && vm->user == 12 && vm->group == 34);
    cr_expect_eq(vm->restart, UP_RESTART_ON_FAILURE);
    cr_expect_eq(vm->restarts_max, 3);
    cr_expect_eq(vm->log_size, 4096);
    cr_expect_eq(vm->count, 2);
}

Test(up_file, knows_every_quota_by_its_name)
{
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++) {
        char text[200];
        snprintf(text, sizeof text, "vms: {a: {module: m, quotas: {%s: 1}}}",
                 cordon_quota_name((cordon_quota_t)i));
        cr_expect(reads(text), "%s: %s", text, fault.text);
    }
}

/* Text, the place, and how the fault begins. */
static const struct {
    const char *text;
    int line, column;
    const char *fault;
} faults[] = {
    {"vms:\n  web:\n    modul: x\n", 3, 5, "unknown key modul; did you mean module?"},
    {"vms:\n  web:\n    module: x\n    memory: 1m\n", 4, 5,
     "unknown key memory; it belongs under `quotas`"},
    {"vms: {a: {module: m, quotas: {memroy: 1m}}}", 1, 31,
     "unknown quota memroy; did you mean memory?"},
    {"vms: {a: {module: m, quotas: {memory: lots}}}", 1, 39,
     "memory: lots: expected a size such as 64m, or unlimited"},
    {"vms: {a: {module: m, quotas: 3}}", 1, 30, "quotas: expected a map of quotas, found 3"},
    {"vms: {a: {module: m, args: x}}", 1, 28, "args: expected a list, found x"},
    {"vms: {a: {module: m, args: [{a: b}]}}", 1, 29, "args: expected a list of texts"},
    {"vms: {a: {module: [x]}}", 1, 19, "module: expected the path of a module, found a list"},
    {"vms: {a: {module: }}", 1, 19, "module: expected the path of a module, found nothing"},
    {"vms: {a: {args: []}}", 1, 7, "a: no module is named"},
    {"vms: {a: 3}", 1, 10, "a: expected a map with at least `module`, found 3"},
    {"vms: {a b: {module: m}}", 1, 7, "a b: a VM's name has at most"},
    {"vms: {all: {module: m}}", 1, 7, "all: a VM's name has at most"},
    {"vms: {a: {module: m}, a: {module: m}}", 1, 23, "a: stands twice, first in line 1"},
    {"vms: {a: {module: m, restart: often}}", 1, 31, "restart: expected no, on-failure"},
    {"vms: {a: {module: m, count: 0}}", 1, 29, "count: expected a number from 1 to 4096"},
    {"vms: {a: {module: m, listen: [web]}}", 1, 31, "listen: expected [HOST:]PORT, found web"},
    {"vms: {a: {module: m, dirs: ['::ro']}}", 1, 29, "dirs: expected HOST[::GUEST][::ro]"},
    {"vms: {a: {module: m, env: [=x]}}", 1, 28, "env: expected KEY=VALUE or KEY"},
    {"vms: []", 1, 6, "vms: expected a map of VMs by their names, found a list"},
    {"metrix: {}", 1, 1, "unknown key metrix; did you mean metrics?"},
    {"metrics: x\nvms: {}", 1, 10, "metrics: expected [HOST:]PORT, found x"},
    {"", 1, 1, "there is no `vms`"},
    {"- a\n", 1, 1, "expected keys such as `vms`"},
    {"vms: {a: &x {module: m}, b: *x}", 1, 10, "anchors and aliases are not supported"},
    {"vms: {a: {module: !!str m}}", 1, 19, "tags are not supported"},
    {"vms: {}\n---\nvms: {}\n", 2, 1, "a second document in the file"},
    {"vms: {a: {module: \"m\\0n\"}}", 1, 19, "a zero byte inside a text"},
    {"vms: {a: {[x]: m}}", 1, 11, "expected a key, found a list"},
    {"vms: [[[[[[[[[[[[[[[[[[[[[[[[", 1, 21, "more than 16 levels"},
    {"vms: {", 2, 1, "did not find expected node content"},
};

Test(up_file, says_what_is_wrong_and_where)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        cr_expect_not(reads(faults[i].text), "%s", faults[i].text);
        cr_expect(fault.place.line == faults[i].line && fault.place.column == faults[i].column,
                  "%s: at %d:%d: %s", faults[i].text, fault.place.line, fault.place.column,
                  fault.text);
        cr_expect_eq(strncmp(fault.text, faults[i].fault, strlen(faults[i].fault)), 0, "%s: %s",
                     faults[i].text, fault.text);
    }
}

Test(up_file, is_bounded)
{
    size_t size = (1 << 20) + 1;
    char *text = malloc(size + 1);

    memset(text, ' ', size);
    text[size] = '\0';
    cr_expect_not(reads(text));
    memset(text, '[', size - 1);
    text[size - 1] = '\0';
    cr_expect_not(reads(text));
    size_t at = (size_t)snprintf(text, size, "vms: {a: {module: m, args: [");
    while (at < size - 1)
        text[at++] = ',';
    text[at] = '\0';
    cr_expect_not(reads(text));
    free(text);
}

Test(up_file, cut_anywhere_does_no_harm)
{
    static const char text[] = "defaults: {quotas: {memory: 1m}, env: [A=b]}\nvms:\n  a:\n"
                               "    module: m\n    args: [\"x\", 'y', z]\n    dirs: [/a::/b::ro]\n"
                               "    listen: [1]\n    restart: always\n";

    cr_expect(reads(text));
    for (size_t cut = 0; cut < sizeof text; cut++) {
        char part[sizeof text];
        memcpy(part, text, cut);
        part[cut] = '\0';
        reads(part);
    }
}
