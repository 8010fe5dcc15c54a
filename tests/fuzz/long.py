#!/usr/bin/env python3
"""Fuzzes all targets for hours, half of the time with libFuzzer and half with AFL++.

    tests/fuzz/long.py RESULTS [--hours H] [--jobs N] [--slice MINUTES] [TARGET...]

H hours [8] per target; N targets at once [one per core]. The work is done in slices, in turns, so
that after a night that was cut short every target had its share; the same command goes on where it
was ended. In RESULTS:

    state.json          seconds and executions of each target with each engine
    corpus/TARGET/      what was learnt, which both engines begin their slices with
    found/TARGET/       inputs that break something
    logs/TARGET-ENGINE.log

AFL++ comes with a clang of its own, so the project is built for it once more, with ASan and UBSan,
in build-afl/. Without AFL++ all of the time is libFuzzer's.
"""
import argparse
import concurrent.futures
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import run as targets

ROOT, HERE = targets.ROOT, targets.HERE
AFL = os.path.join(ROOT, 'build-afl')
AFL_COMPILER = 'afl-clang-fast'
ENGINES = ('libfuzzer', 'afl')
# For starting, reading the corpus and stopping, beside the slice.
GRACE_SECONDS = 900
# An input hangs when it takes so much of a processor, or of time when nothing else has to wait.
SLOW_CPU_SECONDS = 2
ALONE_SECONDS = 300
AFL_SETTINGS = {'AFL_SKIP_CPUFREQ': '1', 'AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES': '1',
                'AFL_NO_UI': '1', 'AFL_NO_AFFINITY': '1', 'AFL_IGNORE_PROBLEMS': '1',
                'AFL_FORKSRV_INIT_TMOUT': '60000',
                'ASAN_OPTIONS': 'abort_on_error=1:symbolize=0:detect_leaks=0:'
                                'allocator_may_return_null=1',
                'UBSAN_OPTIONS': 'halt_on_error=1:abort_on_error=1:symbolize=0'}


class State:
    """What was done, in a file that is always whole."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'state.json')
        self.lock = threading.Lock()
        self.rows = {}
        if os.path.exists(self.path):
            with open(self.path, encoding='utf-8') as file:
                self.rows = json.load(file)

    def row(self, target, engine):
        return self.rows.setdefault(f'{target} {engine}', {'seconds': 0, 'executions': 0})

    def add(self, target, engine, seconds, executions):
        with self.lock:
            row = self.row(target, engine)
            row['seconds'] += round(seconds)
            row['executions'] += executions
            with open(self.path + '.new', 'w', encoding='utf-8') as file:
                json.dump(self.rows, file, indent=1, sort_keys=True)
            os.replace(self.path + '.new', self.path)


def build_afl(target):
    libraries, sources = targets.TARGETS[target]
    environment = {**os.environ, 'CC': AFL_COMPILER, 'AFL_QUIET': '1'}
    if not os.path.exists(os.path.join(AFL, 'build.ninja')):
        targets.run(['meson', 'setup', AFL, '-Db_sanitize=address,undefined', '-Db_lundef=false',
                     '-Dwerror=false', '-Doptimization=1', '-Ddebug=true'], env=environment)
    targets.run(['ninja', '-C', AFL, *libraries], env=environment)
    targets.run([AFL_COMPILER, '-std=gnu11', '-D_GNU_SOURCE', '-g', '-O1',
                 '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all', '-I', ROOT,
                 '-I', os.path.join(AFL, 'spec'),
                 f'-DCN_SAMPLE_FOLDER="{ROOT}/tests/conformance"',
                 os.path.join(HERE, f'fuzz_{target}.c'), *sources, '-Wl,--start-group',
                 *(os.path.join(AFL, library) for library in libraries), '-Wl,--end-group',
                 *targets.SYSTEM.get(target, []), '-lm', '-o',
                 os.path.join(AFL, f'fuzz_{target}')], env=environment)


def is_slow(target, path):
    """Whether it still takes long by itself: on a busy machine anything may seem to hang."""
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen([os.path.join(targets.BUILD, f'fuzz_{target}'),
                                  f'-timeout={ALONE_SECONDS}', path], cwd=ROOT,
                                 stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode != 0 or used.ru_utime + used.ru_stime > SLOW_CPU_SECONDS


def keep(folder, target, engine, path):
    """A copy of an input that breaks something, under a name that says what it is."""
    name = os.path.basename(path) if engine == 'libfuzzer' else path
    if re.search(r'^timeout-|^slow-unit-|/hangs/', name) and not is_slow(target, path):
        return
    os.makedirs(os.path.join(folder, 'found', target), exist_ok=True)
    with open(path, 'rb') as file:
        name = hashlib.sha1(file.read()).hexdigest()[:16]
    kind = os.path.basename(path).split('-')[0] if engine == 'libfuzzer' else \
        os.path.basename(os.path.dirname(path))
    copy = os.path.join(folder, 'found', target, f'{engine}-{kind}-{name}')
    if os.path.exists(copy):
        return
    shutil.copyfile(path, copy)
    print(f'FAILED {target}: see {copy}', flush=True)


def learn(corpus, paths):
    """Adds inputs to the corpus by their contents."""
    for path in paths:
        with open(path, 'rb') as file:
            name = hashlib.sha1(file.read()).hexdigest()
        if not os.path.exists(os.path.join(corpus, name)):
            shutil.copyfile(path, os.path.join(corpus, name))


def run_logged(command, log, seconds, environment):
    """All that it printed; it is ended when it does not end by itself."""
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                             errors='replace', stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, **environment})
    ended = ''
    try:
        output = child.communicate(timeout=seconds + GRACE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        ended = f'\nended after {seconds + GRACE_SECONDS} s\n'
        child.terminate()  # AFL++ takes its own children with it
        try:
            output = child.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            output = child.communicate()[0]
    with open(log, 'a', encoding='utf-8') as file:
        file.write((output + ended)[-20000:])
    return output


def slice_of_libfuzzer(folder, target, seconds):
    """Executions."""
    corpus, log = places(folder, target, 'libfuzzer')
    new = os.path.join(folder, 'work', target)
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    command = [os.path.join(targets.BUILD, f'fuzz_{target}'), f'-max_total_time={seconds}',
               '-max_len=4096', '-timeout=25', '-rss_limit_mb=2048', '-print_final_stats=1',
               f'-artifact_prefix={new}/', corpus]
    if target in targets.MODULES:
        command.insert(1, f'-dict={targets.BUILD}/seeds.dict')
    output = run_logged(command, log, seconds, {})
    for path in glob.glob(os.path.join(new, '*')):
        keep(folder, target, 'libfuzzer', path)
    counts = re.findall(r'number_of_executed_units: (\d+)', output) or \
        re.findall(r'^#(\d+)\s', output, re.M)
    return int(counts[-1]) if counts else 0


def slice_of_afl(folder, target, seconds):
    """Executions. A folder of its own each time, so that nothing has to be resumed."""
    corpus, log = places(folder, target, 'afl')
    out = os.path.join(folder, 'work', f'{target}-afl')
    shutil.rmtree(out, ignore_errors=True)
    command = ['afl-fuzz', '-i', corpus, '-o', out, '-V', str(seconds), '-m', 'none', '-t',
               '10000+', '-G', '4096']
    if target in targets.MODULES:
        command += ['-x', f'{targets.BUILD}/seeds.dict']
    run_logged(command + ['--', os.path.join(AFL, f'fuzz_{target}')], log, seconds, AFL_SETTINGS)
    for kind in ('crashes', 'hangs'):
        for path in glob.glob(os.path.join(out, 'default', kind, 'id*')):
            keep(folder, target, 'afl', path)
    learn(corpus, glob.glob(os.path.join(out, 'default', 'queue', 'id*')))
    try:
        with open(os.path.join(out, 'default', 'fuzzer_stats'), encoding='utf-8') as file:
            return int(re.search(r'execs_done\s*: (\d+)', file.read()).group(1))
    except (OSError, AttributeError):
        print(f'{target}: afl-fuzz did not start: see {log}', flush=True)
        return 0


SLICES = {'libfuzzer': slice_of_libfuzzer, 'afl': slice_of_afl}


def places(folder, target, engine):
    """The corpus and the log."""
    return (os.path.join(folder, 'corpus', target),
            os.path.join(folder, 'logs', f'{target}-{engine}.log'))


def prepare(folder, target, engines):
    targets.build(target)
    if 'afl' in engines:
        build_afl(target)
    corpus = places(folder, target, 'afl')[0]
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(os.path.join(folder, 'logs'), exist_ok=True)
    seeds = targets.seeds_of(target)
    is_new = not os.listdir(corpus)
    learn(corpus, seeds)
    if not os.listdir(corpus):
        with open(os.path.join(corpus, 'empty'), 'wb') as file:
            file.write(b'\0')
    if is_new:
        minimise(folder, target)  # AFL++ takes minutes to begin with thousands of modules


def minimise(folder, target):
    """Leaves what adds something: AFL++ keeps what libFuzzer has already."""
    corpus = places(folder, target, 'libfuzzer')[0]
    small = corpus + '.small'
    shutil.rmtree(small, ignore_errors=True)
    os.makedirs(small)
    done = subprocess.run([os.path.join(targets.BUILD, f'fuzz_{target}'), '-merge=1',
                           '-max_len=4096', '-rss_limit_mb=2048', small, corpus], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False, timeout=3600)
    if done.returncode == 0 and os.listdir(small):
        shutil.rmtree(corpus)
        os.rename(small, corpus)


def turn(folder, state, target, engine, seconds):
    begin = time.monotonic()
    executions = SLICES[engine](folder, target, seconds)
    # What did not run at all has used its time up, too: else it would be tried for ever.
    state.add(target, engine, max(time.monotonic() - begin, seconds), executions)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('results', type=os.path.abspath)
    parser.add_argument('targets', nargs='*')
    parser.add_argument('--hours', type=float, default=8)
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--slice', type=float, default=30)
    options = parser.parse_args()
    names = options.targets or list(targets.TARGETS)
    engines = ENGINES if shutil.which('afl-fuzz') else ENGINES[:1]
    if len(engines) == 1:
        print('SKIPPED afl: afl++ is not installed')
    os.makedirs(options.results, exist_ok=True)
    state = State(options.results)
    targets.make_seeds()
    for target in names:
        prepare(options.results, target, engines)
    wanted = options.hours * 3600 / len(engines)
    while True:
        due = [(target, engine, min(wanted - state.row(target, engine)['seconds'],
                                    options.slice * 60))
               for target in names for engine in engines]
        due = [(target, engine, int(seconds)) for target, engine, seconds in due if seconds >= 1]
        if not due:
            break
        # One engine after the other: both of a target write to its corpus.
        for engine in engines:
            with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
                list(pool.map(lambda row: turn(options.results, state, *row),
                              [row for row in due if row[1] == engine]))
        for target in sorted({row[0] for row in due}):
            minimise(options.results, target)
    failed = report(options.results, state, names, engines)
    print(f'{len(names) - failed} passed, {failed} failed')
    return 1 if failed else 0


def report(folder, state, names, engines):
    """How many targets have findings."""
    failed = 0
    for target in names:
        found = len(glob.glob(os.path.join(folder, 'found', target, '*')))
        failed += found > 0
        for engine in engines:
            row = state.row(target, engine)
            print(f'{target} {engine}: {row["executions"]} executions in '
                  f'{row["seconds"] / 3600:.2f} hours, {found} findings')
    return failed


if __name__ == '__main__':
    sys.exit(main())
