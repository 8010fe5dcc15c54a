#!/usr/bin/env python3
"""The programs of this folder that use the library from several threads, under ThreadSanitizer.

Usage: tsan.py      builds the library for it in build-tsan/
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDER = os.path.join(ROOT, 'build-tsan')
LIBRARY = 'api/libcordon.so.0.1.0'
COMPILER = 'clang-19'
FLAGS = ['-std=gnu11', '-O1', '-g', '-fsanitize=thread', '-I', os.path.join(ROOT, 'include')]
CONTROL = """
#include <pthread.h>
static int shared;
static void *add(void *context) { shared++; return context; }
int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, add, NULL);
    shared++;
    pthread_join(thread, NULL);
    return 0;
}
"""


def run(command, timeout=600):
    env = {**os.environ, 'CC': COMPILER, 'TSAN_OPTIONS': 'exitcode=66:halt_on_error=1'}
    return subprocess.run(command, cwd=ROOT, env=env, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          check=False)


def build():
    commands = [['ninja', '-C', FOLDER, LIBRARY]]
    if not os.path.exists(os.path.join(FOLDER, 'build.ninja')):
        commands.insert(0, ['meson', 'setup', FOLDER, '-Db_sanitize=thread', '-Db_lundef=false',
                            '-Doptimization=1', '-Ddebug=true'])
    for command in commands:
        done = run(command, 1800)
        if done.returncode != 0:
            raise SystemExit(done.stdout[-3000:])


def check(source, work, arguments):
    program = os.path.join(work, os.path.basename(source) + '.out')
    library = os.path.join(FOLDER, 'api')
    done = run([COMPILER, *FLAGS, '-o', program, source, '-L', library, '-lcordon', '-lpthread',
                '-Wl,-rpath,' + library])
    if done.returncode != 0:
        return done.stdout
    done = run([program, *arguments])
    return None if done.returncode == 0 else f'exit code {done.returncode}\n{done.stdout[-4000:]}'


def main():
    build()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix='cordon-tsan-') as work:
        control = os.path.join(work, 'control.c')
        with open(control, 'w', encoding='utf-8') as file:
            file.write(CONTROL)
        found = check(control, work, [])
        reasons = {'control': None if found and 'data race' in found else 'a race is not seen',
                   'storm': check(os.path.join(HERE, 'storm.c'), work, ['20']),
                   'threads': check(os.path.join(HERE, 'threads.c'), work, ['200']),
                   'stepped': check(os.path.join(HERE, 'stepped.c'), work, ['5'])}
        for name, reason in reasons.items():
            passed += reason is None
            failed += reason is not None
            print(f'ok {name}' if reason is None else f'FAILED {name}: {reason}', flush=True)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
