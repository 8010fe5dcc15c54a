#!/usr/bin/env python3
"""Compiles the guests of this folder and runs them inside Cordon.

Usage: run_guests.py CORDON [NAME...]

A guest says in its first comment what it needs: `options:` of the command (@ stands for a new
directory, which lies in one that holds a file `secret`), shell commands `before:` and `after:`
the run (the second must succeed), `stdin: slow` for input that comes in drops. It prints "ok"
and ends with 0; echo and server have a partner here instead.

Exit: 0 all well, 1 not, 77 skipped because the compiler for guests is missing.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COMPILER = os.path.join(ROOT, 'tools', 'guest-cc')


def directives(source):
    """The directives of a guest: key -> text (lines of the same key are joined)."""
    comment = open(source).read().split('*/')[0]
    found = {}
    for key, text in re.findall(r'^ ?\*? *(?:/\* *)?(options|before|after|stdin): ?(.*)$',
                                comment, re.M):
        text = text.rstrip()
        found[key] = found[key] + '\n' + text if key in found else text
    return found


def build(name, folder):
    module = os.path.join(folder, name + '.wasm')
    subprocess.run([COMPILER, '-nocordon', '-O1', '-Wall', '-Werror', '-o', module,
                    os.path.join(HERE, name + '.c')], check=True)
    return module


def drip(pipe, data):
    """Writes in uneven pieces with pauses."""
    for at in range(0, len(data), 50021):
        pipe.write(data[at:at + 50021])
        pipe.flush()
        time.sleep(0.002)
    pipe.close()


def run_echo(command):
    data = os.urandom(1 << 20)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer = threading.Thread(target=drip, args=(process.stdin, data))
    writer.start()
    time.sleep(0.2)  # the pipe fills up
    output = process.stdout.read()
    writer.join()
    if process.wait() != 0 or output != data:
        return f'exit {process.returncode}, {len(output)} of {len(data)} bytes'
    return None


def talk(port, text):
    with socket.create_connection(('127.0.0.1', port)) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return b''.join(iter(lambda: client.recv(65536), b''))


def run_server(command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    port = None
    while port is None:
        line = process.stderr.readline().decode()
        if not line:
            return 'no port was printed'
        found = re.search(r':(\d+)', line)
        port = int(found.group(1)) if found else None
    for size in (1, 4096, 300000):
        text = os.urandom(size)
        if talk(port, text) != text:
            process.kill()
            return f'{size} bytes did not come back'
    with socket.create_connection(('127.0.0.1', port)) as one, \
            socket.create_connection(('127.0.0.1', port)) as two:
        for client, text in ((two, b'two'), (one, b'one'), (two, b'q')):
            time.sleep(0.02)
            client.sendall(text)
            if client.recv(100) != text:
                process.kill()
                return 'two clients at once are mixed up'
    output, errors = process.communicate(timeout=10)
    if process.returncode != 0 or output != b'ok\n':
        return f'exit {process.returncode}: {errors.decode()}'
    return None


def run_plain(command, wants, place):
    if 'before' in wants:
        subprocess.run(wants['before'].replace('@', place), shell=True, check=True)
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=60)
    if result.returncode != 0 or result.stdout != 'ok\n':
        return f'exit {result.returncode}: {result.stdout}{result.stderr}'
    if 'after' in wants and subprocess.run(wants['after'].replace('@', place), shell=True,
                                           executable='/bin/bash').returncode != 0:
        return 'what it should leave alone has changed: ' + wants['after']
    return None


def run(cordon, name, folder):
    wants = directives(os.path.join(HERE, name + '.c'))
    around = os.path.join(folder, name)
    place = os.path.join(around, 'granted')
    os.makedirs(place)
    with open(os.path.join(around, 'secret'), 'w') as secret:
        secret.write('secret')
    options = wants.get('options', '').replace('@', place).split()
    command = [cordon, 'run', *options, build(name, folder)]
    if wants.get('stdin') == 'slow':
        return run_echo(command)
    if '--listen' in options:
        return run_server(command)
    fault = run_plain(command, wants, place)
    if fault is None and sorted(os.listdir(around)) != ['granted', 'secret']:
        fault = 'something was made outside the granted directory'
    return fault


def main():
    cordon = os.path.abspath(sys.argv[1])
    names = sys.argv[2:] or sorted(f[:-2] for f in os.listdir(HERE) if f.endswith('.c'))
    if shutil.which('clang-19') is None or not os.path.isdir('/usr/include/wasm32-wasi'):
        print('SKIPPED wasi guests: no clang-19 with wasi-libc')
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            fault = run(cordon, name, folder)
            failed += fault is not None
            print(f'{"FAILED" if fault else "ok"} {name}{": " + fault if fault else ""}')
    print(f'{len(names) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
