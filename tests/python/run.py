#!/usr/bin/env python3
"""The Python package of examples/python, by whichever Python has cffi.

Usage: run.py [BUILD]      a build directory with api/libcordon.so: build
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PACKAGE = os.path.join(ROOT, 'examples', 'python')
SKIPPED = 77


def interpreter():
    for python in (sys.executable, '/usr/bin/python3'):
        if os.path.exists(python) and subprocess.run(
                [python, '-c', 'import cffi'], stderr=subprocess.DEVNULL,
                check=False).returncode == 0:
            return python
    return None


def main():
    build = os.path.join(ROOT, sys.argv[1] if len(sys.argv) > 1 else 'build')
    python = interpreter()
    if python is None:
        print('SKIPPED python: no Python with cffi (python3-cffi)')
        return SKIPPED
    environment = {**os.environ, 'PYTHONPATH': PACKAGE, 'PYTHONDONTWRITEBYTECODE': '1',
                   'CORDON_LIBRARY': os.path.join(build, 'api', 'libcordon.so'),
                   'CORDON_HEADER': os.path.join(ROOT, 'include', 'cordon.h')}
    done = subprocess.run([python, os.path.join(HERE, 'cases.py')], env=environment, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, check=False)
    print(done.stdout)
    ran = re.search(r'^Ran (\d+) tests', done.stdout, re.M)
    wrong = sum(map(int, re.findall(r'(?:failures|errors)=(\d+)', done.stdout)))
    if ran is None or (done.returncode != 0 and wrong == 0):
        wrong += 1
    print(f'{(int(ran.group(1)) if ran else 1) - wrong} passed, {wrong} failed')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
