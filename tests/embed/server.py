#!/usr/bin/env python3
"""examples/server.c: every request has a VM of its own, which a deadline ends, and nobody waits for
another's.

Usage: server.py [BUILD]               a build directory with examples/example_server: build
       server.py BUILD --load SECONDS  with wrk: requests per second, and per second of CPU time
"""
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLOW = 8


def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ''


def cases(base):
    yield 'greets', ask(base + 'world'), (200, 'hello, /world\n')
    yield 'remembers nothing', ask(base + 'you'), (200, 'hello, /you\n')
    yield 'deadline', ask(base + 'loop'), (504, '')
    found = []
    threads = [threading.Thread(target=lambda: found.append(ask(base + 'loop')))
               for _ in range(SLOW)]
    for thread in threads:
        thread.start()
    yield 'beside busy ones', [ask(f'{base}{i}') for i in range(20)], [
        (200, f'hello, /{i}\n') for i in range(20)]
    for thread in threads:
        thread.join()
    yield 'many deadlines', found, [(504, '')] * SLOW
    yield 'afterwards', ask(base + 'again'), (200, 'hello, /again\n')


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def load(server, base, seconds):
    """What one thread does; the machine's other work does not count against CPU time."""
    before = cpu_seconds(server.pid)
    said = subprocess.run(['wrk', '-t1', '-c16', f'-d{seconds}s', base + 'x'], text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    used = cpu_seconds(server.pid) - before
    count = int(re.search(r'(\d+) requests in', said).group(1))
    print(f'{count / seconds:.0f} requests per second, {count / used:.0f} per second of CPU time, '
          'each in a fresh VM   goal 5000 per core')


def main():
    build = os.path.join(ROOT, sys.argv[1] if len(sys.argv) > 1 else 'build')
    with subprocess.Popen([os.path.join(build, 'examples', 'example_server'), '0'], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as server:
        try:
            base = server.stdout.readline().strip()
            if '--load' in sys.argv:
                load(server, base, int(sys.argv[sys.argv.index('--load') + 1]))
                return 0
            passed = failed = 0
            for name, found, wanted in cases(base):
                is_right = found == wanted
                passed += is_right
                failed += not is_right
                print(f'ok {name}' if is_right else f'FAILED {name}: {found}', flush=True)
        finally:
            server.kill()
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
