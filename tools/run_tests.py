#!/usr/bin/env python3
"""Builds the three configurations and runs every suite; called by tools/test.

    run_tests.py [--quick | --long [--hours H] [--results FOLDER] [--part N]]

A suite is a command that prints `N passed, N failed[, N skipped]` as a line of its own, or
exits with 77 after saying `SKIPPED name: why`. What is skipped is listed again at the end and
never counted as passed. The last line is the sum of everything.

--quick leaves the sanitizers out, the second compiler's unit tests, and the longer suites.
--long runs what the others take samples of, in full, and fuzzes every target for H hours [8]: see
long_suites. Findings, logs and what was learnt are in FOLDER [build-long]; the same command again
goes on with the fuzzing where it was ended, and runs the rest anew. --part takes one in N of all
that is counted, to see whether the long mode works without waiting days for it.
"""
import argparse
import os
import re
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = str(os.cpu_count() or 1)
BUILDS = [
    # name, directory, compiler, options
    ('clang', 'build', 'clang-19', []),
    ('gcc', 'build-gcc', 'gcc', []),
    ('asan', 'build-asan', 'clang-19', ['-Db_sanitize=address,undefined', '-Db_lundef=false',
                                        '-Doptimization=1', '-Ddebug=true']),
]
COUNTS = re.compile(r'^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$', re.M)
MOSTLY_WAITING = ('control', 'guest-library')
SANITIZERS = {'ASAN_OPTIONS': 'detect_leaks=1:allocator_may_return_null=1',
              'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}


class Totals:
    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []
        self.lock = threading.Lock()

    def add(self, name, passed, failed, seconds):
        with self.lock:
            self.passed += passed
            self.failed += failed
        print(f'{"ok    " if failed == 0 else "FAILED"} {name}: {passed} passed, '
              f'{failed} failed ({seconds:.1f} s)', flush=True)


def run(command, log, timeout, extra=None):
    """Runs it with its output in a log; returns the exit code and the output."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, 'w') as out:
        try:
            code = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, timeout=timeout,
                                  env={**os.environ, **(extra or {})}).returncode
        except subprocess.TimeoutExpired:
            out.write(f'\nended after {timeout} s\n')
            code = 124
        except OSError as error:
            out.write(f'\n{error}\n')
            code = 127
    with open(log, errors='replace') as text:
        return code, text.read()


def show_tail(text, lines=25):
    for line in text.splitlines()[-lines:]:
        print('    ' + line)


def build(totals, name, directory, compiler, options):
    """Configures and compiles; False when that fails."""
    start = time.time()
    path = os.path.join(ROOT, directory)
    setup = ['meson', 'setup', directory] + options
    if os.path.exists(os.path.join(path, 'build.ninja')):
        setup.append('--reconfigure')
    for command in (setup, ['ninja', '-C', directory, '-j', JOBS]):
        code, text = run(command, f'{path}/logs/build.log', 1800, {'CC': compiler})
        if code != 0:
            totals.add(f'build with {name}', 0, 1, time.time() - start)
            show_tail(text)
            return False
    totals.add(f'build with {name}', 1, 0, time.time() - start)
    return True


def run_meson(totals, name, directory):
    """The unit tests; Criterion's own counts are in the log."""
    start = time.time()
    code, text = run(['meson', 'test', '-C', directory, '--no-rebuild', '--num-processes', JOBS],
                     f'{ROOT}/{directory}/logs/unit.log', 1200, SANITIZERS)
    try:
        with open(f'{ROOT}/{directory}/meson-logs/testlog.txt', errors='replace') as log:
            details = log.read()
    except OSError:
        details = ''
    passed = failed = 0
    for tested, passing in re.findall(r'Synthesis: Tested: \S*?(\d+)\S* \| Passing: \S*?(\d+)',
                                      re.sub(r'\x1b\[[0-9;]*m', '', details)):
        passed += int(passing)
        failed += int(tested) - int(passing)
    for counts in COUNTS.findall(details):
        passed += int(counts[0])
        failed += int(counts[1])
    if (code != 0 or passed == 0) and failed == 0:
        failed = 1  # a run that counted nothing has proven nothing
    totals.add(f'unit tests with {name}', passed, failed, time.time() - start)
    if failed:
        show_tail(text)


def run_suite(totals, name, command, timeout=900):
    start = time.time()
    code, text = run(command, f'{ROOT}/build/logs/{name}.log', timeout, SANITIZERS)
    skipped = re.findall(r'^SKIPPED .*$', text, re.M)
    totals.skipped += skipped
    for line in skipped:
        print(line, flush=True)
    if code == 77 and skipped:
        return
    counts = COUNTS.findall(text)
    passed, failed = (int(counts[-1][0]), int(counts[-1][1])) if counts else (0, 0)
    if not counts:
        passed, failed = (1, 0) if code == 0 else (0, 1)
    if code != 0 and failed == 0:
        failed = 1
    totals.add(name, passed, failed, time.time() - start)
    if failed:
        show_tail(text)
    for line in re.findall(r'^.* executions in .*$', text, re.M):
        print('    ' + line)


def suites(quick):
    """Name, command, and the seconds after which it is given up; some are not in --quick."""
    cordon, asan, gcc = 'build/cordon', 'build-asan/cordon', 'build-gcc/cordon'
    seconds = '5' if quick else '20'
    rows = [
        ('lint', ['tests/lint/run.py'], True),
        ('golden', ['tests/golden/run.py', cordon], True),
        ('golden-asan', ['tests/golden/run.py', asan], False),
        ('golden-gcc', ['tests/golden/run.py', gcc], False),
        ('wasm-testsuite', ['tests/suite/run_wast.py', cordon], True),
        ('wasm-testsuite-preempted', ['tests/suite/run_wast.py', cordon, '--preempt-everywhere'],
         True),
        ('wast-verdicts', ['tests/suite/verdicts.py', cordon], True),
        ('text-round-trip', ['tests/suite/round_trip.py', cordon], False),
        ('wasm-testsuite-gcc', ['tests/suite/run_wast.py', gcc], False),
        ('wasm-testsuite-asan', ['tests/suite/run_wast.py', asan], False),
        ('hostile-modules', ['tests/hostile/run_modules.py', cordon], True),
        ('hostile-modules-asan', ['tests/hostile/run_modules.py', asan, '--slow'], False),
        ('wasi-guests', ['tests/wasi/run_guests.py', cordon], True),
        ('wasi-guests-asan', ['tests/wasi/run_guests.py', asan], False),
        ('wasi-testsuite', ['tests/wasi/run_suite.py', cordon], True),
        ('isolation', ['tests/isolation/run.py', cordon], True),
        ('isolation-asan', ['tests/isolation/run.py', asan, '--sanitized'], False),
        ('isolation-gcc', ['tests/isolation/run.py', gcc], False),
        ('remnants', ['tests/remnants/run.py', cordon], False),
        ('remnants-asan', ['tests/remnants/run.py', asan, '--sanitized'], False),
        ('control', ['tests/control/run.py', cordon], True),
        ('control-asan', ['tests/control/run.py', asan], False),
        ('library', ['tests/embed/run.py', 'build'], False),
        ('server-example', ['tests/embed/server.py', 'build'], True),
        ('library-tsan', ['tests/embed/tsan.py'], False),
        ('manual', ['tests/manual/run.py'], True),
        ('guide', ['tests/manual/guide.py', 'build'], True),
        ('python', ['tests/python/run.py', 'build'], True),
        ('wasm-c-api', ['tests/capi/run.py', cordon], True),
        ('wasm-c-api-tsan', ['tests/capi/run.py', cordon, '--tsan'], False),
        ('wasm-c-api-asan', ['tests/capi/run.py', asan, '--sanitize', 'address,undefined'],
         False),
        ('guest-library', ['tests/guest/run.py', cordon], True),
        ('quotas', ['tests/quotas/run.py', cordon, '--walks', '100' if quick else '1000'], True),
        ('scenarios', ['tests/quotas/scenarios.py', 'build'], False),
        ('quotas-asan', ['tests/quotas/run.py', asan, '--walks', '50', '--seed', '1000'], False),
        ('faults', ['tests/faults/run.py', 'build'] + (['--every', '81'] if quick else []), True),
        ('faults-asan', ['tests/faults/run.py', 'build-asan', '--every', '3'], False),
        ('differential', ['tests/diff/run.py', '--cordon', cordon, '--count',
                          '20' if quick else '300'], True),
        ('translator-mutants', ['tests/mutants/run.py', '--cordon', cordon] +
         (['--modules', '4'] if quick else ['--modules', '10', '--suite', '60']), True),
        ('translator-mutants-asan', ['tests/mutants/run.py', '--cordon', asan, '--modules', '3',
                                     '--places', '1', '--suite', '20'], False),
        ('programs', ['tests/programs/run.py', cordon] + (['--quick'] if quick else []), True),
        ('suspension', ['tests/suspend/run.py', cordon] + (['--quick'] if quick else []), True),
        ('web-server-load', ['tests/load/run.py', cordon] + (['--quick'] if quick else []), True),
        ('fuzz', ['tests/fuzz/run.py', '--verdict', seconds], True),
        ('demo', ['tools/demo', '--check'], True),
    ]
    for name, command, in_quick in rows:
        if quick and not in_quick:
            continue
        if command[0].endswith('.py'):
            command = ['python3'] + command
        # Building the targets takes longer than running them.
        yield name, command, 1800 if name in ('fuzz', 'faults', 'faults-asan') else 900


def long_suites(hours, results, part):
    """Name, command, and the seconds after which it is given up. Of all numbers, one in `part`."""
    def count(number):
        return str(max(1, number // part))

    faults = ['--long', '--every', str(part), '--kills', count(5000)]
    less = [] if part == 1 else ['--quick']
    cordon, asan = 'build/cordon', 'build-asan/cordon'
    day = 24 * 3600
    fuzz = ['tests/fuzz/long.py', results, '--hours', str(hours)]
    rows = [
        # Every crash and kill point that CI takes some of.
        ('faults', ['tests/faults/run.py', 'build', *faults], day),
        ('faults-asan', ['tests/faults/run.py', 'build-asan', *faults], day),
        ('remnants', ['tests/remnants/run.py', cordon] + ([] if less else ['--long']), day),
        # A thousand random walks against the disk's books, a million scenarios of the fair queue,
        # a hundred thousand modules beside node.
        ('quotas', ['tests/quotas/run.py', cordon, '--walks', count(1000)], day),
        ('fair-queue', ['env', f'CORDON_SCENARIOS={count(1000000)}', 'build/tests/test_fair', '-j1',
                        '--filter', '*/random_scenarios_stay_near_the_ideal'], day),
        ('differential', ['tests/diff/run.py', '--cordon', cordon, '--count', count(100000)],
         4 * day),
        ('translator-mutants', ['tests/mutants/run.py', '--cordon', cordon], day),
        ('programs', ['tests/programs/run.py', cordon, *less], day),
        ('suspension', ['tests/suspend/run.py', cordon, *less], day),
        ('hostile-modules-asan', ['tests/hostile/run_modules.py', asan, '--slow'], day),
        ('fuzz', fuzz, None),
    ]
    for name, command, seconds in rows:
        if command[0].endswith('.py'):
            command = ['python3'] + command
        yield name, command, seconds


def run_rows(totals, rows):
    for name, command, seconds in rows:
        script = command[1] if command[0] == 'python3' else command[0]
        if '/' in script and not os.path.exists(os.path.join(ROOT, script)):
            totals.skipped.append(f'SKIPPED {name}: {script} is not there')
            print(totals.skipped[-1], flush=True)
            continue
        run_suite(totals, name, command, seconds)


def run_quick(totals, rows):
    """Those that wait for most of their time run beside the others."""
    rows = list(rows)
    beside = threading.Thread(target=run_rows, args=[
        totals, [row for row in rows if row[0] in MOSTLY_WAITING]])
    beside.start()
    run_rows(totals, [row for row in rows if row[0] not in MOSTLY_WAITING])
    beside.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--long', action='store_true')
    parser.add_argument('--hours', type=float, default=8)
    parser.add_argument('--part', type=int, default=1)
    parser.add_argument('--results', type=os.path.abspath,
                        default=os.path.join(ROOT, 'build-long'))
    options = parser.parse_args()
    totals = Totals()
    for name, directory, compiler, arguments in BUILDS:
        if options.quick and name == 'asan':
            continue
        # The quick test only compiles with the second compiler.
        has_units = not options.long and not (options.quick and name == 'gcc')
        if build(totals, name, directory, compiler, arguments) and has_units:
            run_meson(totals, name, directory)
    if options.long:
        run_rows(totals, long_suites(options.hours, options.results,
                                     max(options.part, 1)))
    elif options.quick:
        run_quick(totals, suites(True))
    else:
        run_rows(totals, suites(False))
    for line in totals.skipped:
        print(line)
    print(f'{totals.passed} passed, {totals.failed} failed, {len(totals.skipped)} skipped')
    return 1 if totals.failed or totals.passed == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
