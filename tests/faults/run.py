#!/usr/bin/env python3
"""Fault injection and kill -9: tests/faults/faults.c over a few guests, and tests/faults/up.c.

    tests/faults/run.py BUILD [--long] [--every N] [--kills N]

BUILD is a folder in which tests/faults was built. Everything is tried: each allocation, and each
place in Cordon that calls the system with each error that it may give. --every takes one case in N.
--long tries all cases and not some of the slower kinds, and kills processes at more points, and
other moments; --kills says at how many.

What no guest here reaches is listed, so that nobody takes it for tested: most of it is the
sandbox's (tests/isolation).
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COUNTS = re.compile(r'^(\d+) passed, (\d+) failed$', re.M)
KILLS, KILLS_LONG = 500, 5000
# What volumes do is tried with one process: of how they come to another one, and of clients, one
# case in so many.
SOME = 5
# A host with its processes is begun and ended for each case.
SOME_HOSTS = 50


def run(name, command, seconds):
    """Passed, failed, and the places that were reached."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    lines = [line for line in done.stdout.splitlines() if not line.startswith('site ')]
    counts = COUNTS.findall(done.stdout)
    passed, failed = (int(counts[-1][0]), int(counts[-1][1])) if counts else (0, 1)
    if done.returncode != 0 and failed == 0:
        failed = 1
    print(f'{name}: {passed} passed, {failed} failed')
    for line in lines[:-1]:
        print('    ' + line)
    if failed:
        print(done.stderr[-3000:])
    reached = {tuple(line.split()[1:]) for line in done.stdout.splitlines()
               if line.startswith('site ')}
    return passed, failed, reached


def compile_guest(path, half):
    subprocess.run([ROOT / 'tools' / 'guest-cc', '-Oz', '-Wl,-s', '-Wall', '-Werror', '-o', path,
                    HERE / 'guest.c', HERE / half], check=True)
    return path


def places(program):
    """All calls that are led through the hooks, by the address behind them; and the function that
    each is in."""
    text = subprocess.run(['objdump', '-d', '--no-show-raw-insn', program], capture_output=True,
                          text=True, check=True).stdout
    found, inside, wanted = {}, '', ''
    for line in text.splitlines():
        head = re.match(r'[0-9a-f]+ <(\S+)>:$', line)
        if head:
            inside, wanted = head.group(1), ''
            continue
        address = re.match(r' *([0-9a-f]+):', line)
        if wanted and address:
            found[wanted, f'0x{address.group(1)}'] = inside
            wanted = ''
        call = re.search(r'call[q]? .*<__wrap_(\w+)>', line)
        if call and call.group(1) not in ('free', 'munmap'):
            wanted = call.group(1)
    return found


def functions(build, layers):
    """What the layers are made of: the program has libraries in it, too."""
    archives = [build / layer / f'libcn_{layer}.a' for layer in layers]
    text = subprocess.run(['nm', '--defined-only', *archives], capture_output=True, text=True,
                          check=True).stdout
    return set(re.findall(r' [tT] (\w+)$', text, re.M))


def list_unreached(build, program, layers, reached):
    """Calls reached, calls in all, and in which functions others are: of the layers."""
    own = functions(build, layers)
    found = {place: inside for place, inside in places(program).items() if inside in own}
    missed = collections.Counter(inside for place, inside in found.items() if place not in reached)
    hit = sum(place in reached for place in found)
    others = ', '.join(f'{name} ({count})' for name, count in sorted(missed.items()))
    print(f'{program.name}: {hit} of {len(found)} calls of the system and the heap were reached; '
          f'not those in {others}')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build', type=pathlib.Path)
    parser.add_argument('--every', type=int, default=1)
    parser.add_argument('--long', action='store_true')
    parser.add_argument('--kills', type=int)
    options = parser.parse_args()
    build = options.build.resolve()
    program, host = build / 'tests' / 'faults', build / 'tests' / 'faults_up'
    if shutil.which('clang-19') is None or not pathlib.Path('/usr/include/wasm32-wasi').is_dir():
        print('SKIPPED faults: no clang-19 with wasi-libc')
        return 77
    passed = failed = 0
    reached = collections.defaultdict(set)
    with tempfile.TemporaryDirectory(prefix='cordon-faults-') as folder:
        guest, alone = (compile_guest(pathlib.Path(folder) / name, half) for name, half in
                        (('guest.wasm', 'half_import.c'), ('alone.wasm', 'half_own.c')))
        every = ['--every', str(options.every), '--whole']
        some = ['--every', str(options.every * (1 if options.long else SOME)), '--whole']
        objects = HERE / 'objects.wat'
        kills = str(options.kills or (KILLS_LONG if options.long else KILLS))
        clients = ['--every', str(options.every * (1 if options.long else SOME))]
        hosts = ['--every', str(options.every * (1 if options.long else SOME_HOSTS))]
        for name, arguments in (('on one thread', [*every, guest, objects]),
                                ('on workers', ['--workers', *every, guest, objects]),
                                ('on a volume', ['--volume', *every, guest]),
                                ('the host of a cell', ['--cell', *every, alone]),
                                ('inside a cell', ['--inside', *every, alone]),
                                ('the host of a cell, with a volume',
                                 ['--cell', '--volume', *some, alone]),
                                ('inside a cell, with a volume',
                                 ['--inside', '--volume', *some, alone]),
                                ('killed', ['--kills', kills, '--seed', '1', guest]),
                                ('killed again', ['--kills', kills, '--seed', '2', guest]),
                                ('killed on a volume',
                                 ['--volume', '--kills', kills, '--seed', '3', guest]),
                                ('host killed', ['--cell', '--kills', kills, '--seed', '4', alone]),
                                ('inside killed',
                                 ['--inside', '--kills', kills, '--seed', '5', alone]),
                                ('inside killed, with a volume',
                                 ['--inside', '--volume', '--kills', kills, '--seed', '6', alone]),
                                ('cordon up', hosts),
                                ('cordon up and a client', ['--client', *clients]),
                                ('cordon up killed', ['--kills', str(max(int(kills) // 5, 10)),
                                                      '--seed', '7'])):
            which = host if name.startswith('cordon up') else program
            good, bad, places_now = run(name, [which, *arguments],
                                        86400 if options.long else 800)
            passed, failed = passed + good, failed + bad
            reached[which] |= places_now
    if options.every == 1 and shutil.which('objdump'):
        list_unreached(build, program, ('core', 'loader', 'governor', 'vm', 'shim', 'host', 'api'),
                       reached[program])
        list_unreached(build, host, ('cli',), reached[host])
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
