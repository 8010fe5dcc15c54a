#!/usr/bin/env python3
"""Runs the scripts of the WebAssembly test suite with `cordon wast`.

  run_wast.py CORDON [--preempt-everywhere | --collect-everywhere]... [SCRIPT or FOLDER...]

Without scripts: the official suite (tests/suites.py says where it is looked for), that is the
core files, the legacy encoding of exceptions, custom sections and the proposals that Cordon
has, and the scripts of the project's own in tests/wast. Nothing may be dropped silently: the
assertions of each script are counted here, by reading its parentheses, and every one of them
must have passed or failed.
"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import suites  # noqa: E402

CORE_FILES = 257
FOLDERS = ('legacy', 'custom', 'proposals/threads', 'proposals/custom-page-sizes',
           'proposals/wide-arithmetic')
LEFT_OUT = {'proposals/custom-descriptors': 'a proposal that Cordon does not have'}
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|;;[^\n\r]*|\(;|\(|\)|[^\s()";]+', re.S)
COMMENT_EDGE = re.compile(rb'\(;|;\)')


def comment_end(text, at):
    """Behind the end of a block comment that was opened just before; they nest."""
    depth = 1
    while depth and (edge := COMMENT_EDGE.search(text, at)):
        depth += 1 if edge.group() == b'(;' else -1
        at = edge.end()
    return at


def count_assertions(path):
    """Forms at the top of the script whose name begins with assert_."""
    count, depth, named, at = 0, 0, False, 0
    with open(path, 'rb') as script:
        text = script.read()
    while match := TOKEN.search(text, at):
        token, at = match.group(), match.end()
        if token == b'(;':
            at = comment_end(text, at)
        elif token.startswith(b';;'):
            continue
        elif token == b'(':
            depth += 1
            named = True
            continue
        elif token == b')':
            depth -= 1
        elif named and depth == 1 and token.startswith(b'assert_'):
            count += 1
        named = False
    return count


def official_scripts(folder):
    core = sorted(glob.glob(os.path.join(folder, '*.wast')))
    others = [path for name in FOLDERS
              for path in sorted(glob.glob(os.path.join(folder, name, '*.wast')))]
    return core, others


def run_script(cordon, options, path):
    """Passed, failed, and a line for each thing that is wrong."""
    command = [cordon, 'wast', '--json'] + options + [path]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=600)
        report = json.loads(done.stdout)['files'][0]
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return 0, 1, [f'{path}: no report: {error}']
    lines = []
    first = report.get('first_failure')
    if first:
        lines.append('%s:%d:%d: %s: expected %s, found %s' % (
            path, first['line'], first['column'], first['command'], first['expected'],
            first['found']))
    counted, failed = count_assertions(path), report['failed']
    if not failed and report['passed'] + failed + report['skipped'] != counted:
        lines.append(f'{path}: {counted} assertions, but {report["passed"]} passed')
        failed += 1
    if done.returncode != (1 if report['failed'] else 0):
        lines.append(f'{path}: exit {done.returncode}')
        failed += 1
    return report['passed'], failed, lines


def scripts_of(arguments):
    """The scripts to run, and a line for what cannot be."""
    if arguments:
        found = []
        for argument in arguments:
            found += sorted(glob.glob(os.path.join(argument, '**/*.wast'), recursive=True)) \
                if os.path.isdir(argument) else [argument]
        return found, None
    own = sorted(glob.glob(os.path.join(ROOT, 'tests/wast/*.wast')))
    folder, reason = suites.find('testsuite')
    if folder is None:
        return own, f'SKIPPED testsuite: {reason}'
    core, others = official_scripts(folder)
    if len(core) != CORE_FILES:
        print(f'{folder}: {len(core)} core files, expected {CORE_FILES}')
    for name, why in LEFT_OUT.items():
        left = sum(map(count_assertions, glob.glob(os.path.join(folder, name, '*.wast'))))
        if left:
            print(f'left out: {name}, {left} assertions: {why}')
    return core + others + own, None


def main():
    words = sys.argv[1:]
    options = [word for word in words if word.startswith('--')]
    words = [word for word in words if not word.startswith('--')]
    scripts, missing = scripts_of(words[1:])
    passed = failed = 0
    for path in scripts:
        more_passed, more_failed, lines = run_script(words[0], options, path)
        passed += more_passed
        failed += more_failed
        for line in lines:
            print(line)
    if missing:
        print(missing)
    print(f'{len(scripts)} scripts')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not scripts else 0


if __name__ == '__main__':
    sys.exit(main())
