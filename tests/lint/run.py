#!/usr/bin/env python3
"""The project's style as tests: layers, sizes, names, tables. Each lint must also catch a
deliberately bad example, so that a silent lint is not taken for a clean tree.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

import headers
import layers
import objects
import parity
import shape
import tree
import words

passed = failed = skipped = 0


def report(name, findings):
    global passed, failed
    findings = list(findings)
    for finding in findings:
        print(finding)
    print(f'{"FAILED" if findings else "ok"} {name}')
    if findings:
        failed += 1
    else:
        passed += 1


def skip(name, why):
    global skipped
    skipped += 1
    print(f'SKIPPED {name}: {why}')


def self_check(name, lint):
    with tempfile.TemporaryDirectory() as folder:
        found = list(lint.check(tree.written(folder, lint.BAD)))
    report(f'{name} catches a bad example',
           [] if len(found) == lint.BAD_COUNT else
           found + [f'tests/lint/{name}.py:1: {len(found)} findings, {lint.BAD_COUNT} planted'])


def tables():
    for script in sorted(glob.glob(os.path.join(tree.ROOT, 'spec', '*_tables.py'))):
        done = subprocess.run([sys.executable, script, '--check'], cwd=tree.ROOT,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            yield from (done.stdout + done.stderr).splitlines() or [f'{script}:1: fails']


def main():
    files = tree.project()
    for name, lint in (('layers', layers), ('shape', shape), ('words', words),
                       ('headers', headers), ('parity', parity)):
        if name == 'shape' and not shutil.which('ctags'):
            skip(name, 'no ctags')
            continue
        if name == 'headers' and not os.path.isdir(os.path.join(tree.ROOT, 'build/spec')):
            skip(name, 'build/ is not there')
            continue
        report(name, lint.check(files))
        self_check(name, lint)
    report('tables', tables())
    for build in ('build', 'build-gcc'):
        path = os.path.join(tree.ROOT, build)
        if not os.path.isdir(path):
            skip(f'objects of {build}', 'not built')
            continue
        report(f'names exported by {build}', objects.symbols(path))
        found = objects.handlers(path)
        report(f'handlers of {build} leave by jumps',
               objects.stray_calls(found) if found else [f'{build}:1: no handlers'])
    with tempfile.TemporaryDirectory() as folder:
        count = objects.self_check(folder)
    report('objects catches a bad example',
           [] if count == 2 else [f'tests/lint/objects.py:1: {count} findings, 2 planted'])
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
