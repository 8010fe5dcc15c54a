#!/usr/bin/env python3
"""Gives hostile modules to `cordon check`.

Usage: run_modules.py CORDON [-v] [--slow]

Each must be refused (exit code 126, one line) or accepted as tests/hostile/modules.py says,
never crash, and take little memory and time. --slow allows ten times as long, for sanitizers.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile

MAKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'modules.py')

SECONDS_MAX = 2.0
MEMORY_BASE = 24 << 20   # the command itself
MEMORY_PER_BYTE = 120    # of the module: structures, stacks, register code


def run(cordon, path):
    """Exit code, standard error, processor seconds and peak memory of `cordon check`: wall time
    would say how busy the machine is."""
    child = subprocess.Popen([cordon, 'check', path], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    message = child.stderr.read().decode(errors='replace')
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, message, usage.ru_utime + usage.ru_stime, \
        usage.ru_maxrss * 1024


def judge(expect, size, outcome, is_slow):
    """What is wrong, or None."""
    code, message, seconds, memory = outcome
    if code not in (0, 126):
        return f'exit code {code}: {message.strip()[:200]}'
    if code == 0 and expect == 'refused':
        return 'accepted'
    if code == 126 and expect == 'accepted':
        return f'refused: {message.strip()}'
    if code == 126 and message.count('\n') != 1:
        return f'{message.count(chr(10))} lines of error'
    if seconds > SECONDS_MAX * (10 if is_slow else 1):
        return f'{seconds:.1f} s'
    if not is_slow and memory > MEMORY_BASE + MEMORY_PER_BYTE * size:
        return f'{memory >> 20} MiB for {size} bytes'
    return None


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith('-')]
    if len(arguments) != 1:
        sys.exit(__doc__)
    cordon = os.path.abspath(arguments[0])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    count = failures = 0
    with tempfile.TemporaryDirectory() as folder:
        # Made by another process: a child's peak of memory counts from that of its parent.
        subprocess.run([sys.executable, MAKER, folder], check=True)
        with open(os.path.join(folder, 'index.json')) as index:
            cases = json.load(index)
        for name, path, size, expect in cases:
            outcome = run(cordon, path)
            wrong = judge(expect, size, outcome, '--slow' in sys.argv)
            count += 1
            failures += wrong is not None
            if wrong is not None:
                print(f'FAILED {name} ({size} bytes, expected {expect}): {wrong}')
            elif '-v' in sys.argv:
                print(f'{name}: {outcome[0]}, {outcome[2] * 1e3:.0f} ms, '
                      f'{outcome[3] >> 10} KiB: {outcome[1].strip()}')
    print(f'{count - failures} passed, {failures} failed')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
