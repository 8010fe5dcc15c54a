#!/usr/bin/env python3
"""Differential test: random modules, run by Cordon's machine and by another engine.

  run.py --cordon PATH/cordon [--node PATH/node] [--count N] [--seed S]

Cordon's side is tests/diff_driver beside the command: plain, and preempted at every safepoint with
its heap collected at every allocation.
The other side is node: --node, $CORDON_NODE, the one on PATH, or where that is old one from npm.
From version 24 on it runs what generate.py makes of WebAssembly 3.0, every other module with
all of it; an older one gets 2.0 alone, and the last line but one says so. Results, kinds of traps
and a hash of the memories after every call must agree. The seeds of modules that differ are
printed.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import generate  # noqa: E402

BATCH = 20
NODE_WITH_3_0 = 24
NODE = 'node@24.21.0'
NAMES = {0x7f: 'i32', 0x7e: 'i64', 0x7d: 'f32', 0x7c: 'f64'}


def split(text):
    """The lines of each module."""
    modules, current = {}, None
    for line in text.splitlines():
        if line.startswith('module '):
            current = modules.setdefault(line[7:], [])
        elif current is not None:
            current.append(line)
    return modules


def agree(ours, theirs):
    """True, or the first lines that differ. Where our fuel ended, nothing more is compared."""
    for a, b in zip(ours, theirs):
        if ' fuel ' in a:
            return True
        if a != b:
            return a, b
    return len(ours) == len(theirs) > 0 or ('lines', f'{len(ours)} and {len(theirs)}')


def node_version(node):
    """The major number; 0 when it does not run."""
    try:
        version = subprocess.run([node, '--version'], capture_output=True, text=True).stdout
    except OSError:
        return 0
    return int(version.lstrip('v').split('.')[0]) if version.startswith('v') else 0


def find_node():
    """$CORDON_NODE, or one that is new enough: on the path, from npm; else any."""
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    folder = os.path.join(cache, 'cordon-tests', 'npm', NODE)
    fetched = os.path.join(folder, 'node_modules', 'node', 'bin', 'node')
    if 'CORDON_NODE' in os.environ:
        return os.environ['CORDON_NODE']
    for place in ('node', fetched):
        if node_version(place) >= NODE_WITH_3_0:
            return place
    if shutil.which('npm') is not None:
        subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--prefix', folder, NODE],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return fetched if node_version(fetched) >= NODE_WITH_3_0 else 'node'


def features_of(seed, version):
    """None, all, or one alone, so that they meet what is old in every way."""
    if version < NODE_WITH_3_0 or seed % 4 == 0:
        return ()
    every = generate.OLD_FEATURES if seed % 8 in (2, 3) else generate.FEATURES
    return every if seed % 2 else (every[seed // 8 % len(every)],)


def run_batch(driver, node, version, seeds, folder):
    """Failures as (seed, what)."""
    paths, arguments = {}, []
    for seed in seeds:
        path = os.path.join(folder, f'{seed}.wasm')
        features = features_of(seed, version)
        with open(path, 'wb') as out:
            out.write(generate.module(seed, features))
        paths[path] = seed
        arguments.append(f'{path}={",".join(NAMES[t] for t in generate.results(seed, features))}')
    ours = subprocess.run([driver] + list(paths), capture_output=True, text=True, timeout=600)
    again = subprocess.run([driver, '--preempt'] + list(paths), capture_output=True, text=True,
                           timeout=600)
    options = ['--stack-size=4000'] + \
        (['--experimental-wasm-exnref'] if version >= NODE_WITH_3_0 else [])
    theirs = subprocess.run([node] + options + [os.path.join(HERE, 'run.js')] + arguments,
                            capture_output=True, text=True, timeout=600)
    plain, preempted, other = split(ours.stdout), split(again.stdout), split(theirs.stdout)
    failures = []
    if ours.returncode or again.returncode or theirs.returncode:
        failures.append((seeds[0], f'ended with {ours.returncode}, {again.returncode}, '
                         f'{theirs.returncode}: {ours.stderr[-300:]}{theirs.stderr[-300:]}'))
    for path, seed in paths.items():
        first = agree(plain.get(path, []), other.get(path, []))
        if first is not True:
            failures.append((seed, f'cordon: {first[0]}; node: {first[1]}'))
        elif plain.get(path) != preempted.get(path):
            failures.append((seed, 'preempted and collected everywhere it came out '
                             'differently'))
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cordon', required=True)
    parser.add_argument('--count', type=int, default=200)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--node')
    options = parser.parse_args()
    options.node = options.node or find_node()
    driver = os.path.join(os.path.dirname(os.path.abspath(options.cordon)), 'tests/diff_driver')
    version = node_version(options.node)
    if version == 0:
        print(f'SKIPPED differential: {options.node} is not installed')
        return 77
    if not os.path.exists(driver):
        print(f'SKIPPED differential: {driver} is not built')
        return 77
    failed = 0
    for first in range(options.seed, options.seed + options.count, BATCH):
        seeds = list(range(first, min(first + BATCH, options.seed + options.count)))
        with tempfile.TemporaryDirectory() as folder:
            for seed, what in run_batch(driver, options.node, version, seeds, folder):
                failed += 1
                print(f'seed {seed}: {what}')
    if version < NODE_WITH_3_0:
        print(f'WebAssembly 3.0 left out: node {version} does not run it, {NODE_WITH_3_0} would')
    print(f'{options.count - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
