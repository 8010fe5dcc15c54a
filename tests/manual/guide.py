#!/usr/bin/env python3
"""The code of spec/embedding.md: all of it compiles, and its programs say what it says they do.

Usage: guide.py [BUILD]      a build directory with api/libcordon.so: build

A piece of C with a main is a program, and the text that follows is its output. All others are
functions, with whatever they need included before them. What the tables of other engines say of
Cordon has to be in its headers.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GUIDE = os.path.join(ROOT, 'spec', 'embedding.md')
PIECE = re.compile(r'^```c\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?', re.M | re.S)
PRELUDE = '#include <cordon.h>\n#include <stdio.h>\n#include <string.h>\n'
COMPILER = ['clang-19', '-std=gnu11', '-Wall', '-Wextra', '-Wshadow', '-Werror', '-I',
            os.path.join(ROOT, 'include')]


def run(command):
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)


def check_functions(code, source):
    """Unused ones are fine: they are examples."""
    with open(source, 'w', encoding='utf-8') as file:
        file.write(PRELUDE + code)
    done = run(COMPILER + ['-Wno-missing-prototypes', '-Wno-unused-function', '-c', '-o',
                           source + '.o', source])
    return None if done.returncode == 0 else done.stdout


def check_program(code, output, source, build):
    with open(source, 'w', encoding='utf-8') as file:
        file.write(code)
    library = os.path.join(build, 'api')
    done = run(COMPILER + ['-o', source + '.out', source, '-L', library, '-lcordon',
                           '-Wl,-rpath,' + library])
    if done.returncode != 0:
        return done.stdout
    done = run([source + '.out'])
    if done.returncode != 0 or done.stdout != output:
        return f'exit code {done.returncode}, {done.stdout!r} instead of {output!r}'
    return None


def unknown_names(text):
    """Names of ours that no header has."""
    known = ''
    for name in ('cordon.h', 'wasm.h'):
        with open(os.path.join(ROOT, 'include', name), encoding='utf-8') as file:
            known += file.read()
    return sorted({name for name in re.findall(r'\b(?:cordon_[a-z_]+\w|CORDON_[A-Z_]+)\b', text)
                   if name not in known})


def main():
    build = os.path.join(ROOT, sys.argv[1] if len(sys.argv) > 1 else 'build')
    with open(GUIDE, encoding='utf-8') as file:
        text = file.read()
    is_blind = not unknown_names('cordon_nothing_at_all()')
    reasons = {'names': ' '.join(unknown_names(text)) or None,
               'control': 'names are not seen' if is_blind else None}
    with tempfile.TemporaryDirectory(prefix='cordon-guide-') as folder:
        for number, (code, output) in enumerate(PIECE.findall(text)):
            source = os.path.join(folder, f'piece{number}.c')
            title = re.search(r'(\w+)\([^()]*\)\n\{', code).group(1)
            reasons[f'piece {number}, {title}'] = (
                check_program(code, output, source, build) if 'int main(' in code
                else check_functions(code, source))
    if len(reasons) < 12:
        reasons['pieces'] = 'the guide was not understood'
    failed = 0
    for name, reason in reasons.items():
        failed += reason is not None
        print(f'ok     {name}' if reason is None else f'FAILED {name}: {reason}')
    print(f'{len(reasons) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
