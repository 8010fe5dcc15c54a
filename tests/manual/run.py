#!/usr/bin/env python3
"""The reference manual: made from the public headers without a warning, with all that they declare.

Usage: run.py
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HEADERS = os.path.join(ROOT, 'include')
SKIPPED = 77
# What a header must not say unnoticed: a command that there is not, and one without its end.
BROKEN = ('/* Returns @nosuchcommand. */', '/* See @ref nothing_of_that_name. */',
          '/* @code without an end */')
PLACE = '/* The version of the library that is linked'


def make(out, headers=HEADERS):
    return subprocess.run([os.path.join(ROOT, 'tools', 'manual'), out], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, check=False,
                          env={**os.environ, 'CORDON_HEADERS': headers})


def declared(header):
    """The names of functions, types and constants, as the compiler sees them."""
    text = subprocess.run(['clang-19', '-E', '-P', os.path.join(HEADERS, header)], text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    return set(re.findall(r'\b(?:cordon|wasm)_\w+(?=\()|\bCORDON_\w+|\bWASM_\w+', text))


def documented(out):
    with open(os.path.join(out, 'xml', 'index.xml'), encoding='utf-8') as file:
        return set(re.findall(r'<name>(\w+)</name>', file.read()))


def is_whole(folder):
    out = os.path.join(folder, 'manual')
    done = make(out)
    if done.returncode != 0 or not os.path.exists(os.path.join(out, 'html', 'index.html')):
        return done.stdout[-3000:]
    names = declared('cordon.h') | declared('wasm.h')
    missing = sorted(names - documented(out))
    if len(names) < 400 or missing:
        return f'{len(names)} names, not in the manual: {missing}'
    print(f'{len(names)} names are in the manual')
    return None


def notices_what_is_broken(folder):
    with open(os.path.join(HEADERS, 'cordon.h'), encoding='utf-8') as file:
        text = file.read()
    headers = os.path.join(folder, 'include')
    os.makedirs(headers)
    shutil.copy(os.path.join(HEADERS, 'wasm.h'), headers)
    for number, words in enumerate(BROKEN):
        with open(os.path.join(headers, 'cordon.h'), 'w', encoding='utf-8') as file:
            file.write(text.replace(PLACE, words + '\nextern int cordon_broken;\n' + PLACE))
        done = make(os.path.join(folder, f'broken{number}'), headers)
        if done.returncode == 0 or 'cordon.h' not in done.stdout:
            return f'{words} went unnoticed: {done.stdout}'
    return None


def main():
    if shutil.which('doxygen') is None:
        print('SKIPPED manual: no doxygen')
        return SKIPPED
    failed = 0
    cases = (is_whole, notices_what_is_broken)
    with tempfile.TemporaryDirectory(prefix='cordon-manual-') as folder:
        for case in cases:
            reason = case(folder)
            failed += reason is not None
            print(f'ok     {case.__name__}' if reason is None
                  else f'FAILED {case.__name__}: {reason}')
    print(f'{len(cases) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
