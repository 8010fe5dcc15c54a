#!/usr/bin/env python3
"""Rates, totals and the disk quota, end to end: guests that copy, log and talk as fast as they may,
and guests that walk at random over operations on files.

    tests/quotas/run.py CORDON [--walks N] [--seed N] [--jobs N] [--only-walks]

About time only two things are asserted: never more than the rate, and not less than half of it.
What it is exactly is measured by bench/rates.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import rates
import walks

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def build(name, folder):
    target = folder / f'{name}.wasm'
    subprocess.run([ROOT / 'tools' / 'guest-cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', target,
                    HERE / f'{name}.c'], check=True)
    return target


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('cordon', type=pathlib.Path)
    parser.add_argument('--walks', type=int, default=100)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--jobs', type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--only-walks', action='store_true')
    options = parser.parse_args()
    if shutil.which('clang-19') is None or not pathlib.Path('/usr/include/wasm32-wasi').is_dir():
        print('SKIPPED quotas: no clang-19 with wasi-libc')
        return 77
    cordon = options.cordon.resolve()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix='cordon-quotas-') as name:
        folder = pathlib.Path(name)
        bench = rates.Bench(cordon, build('rates', folder), folder)
        for test in [] if options.only_walks else rates.TESTS:
            fault = test(bench)
            print(f'FAILED {test.__name__}: {fault}' if fault else f'passed {test.__name__}')
            passed, failed = passed + (not fault), failed + bool(fault)
        module = build('disk_walk', folder)
        seeds = range(options.seed, options.seed + options.walks)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for fault in pool.map(lambda seed: walks.walk(cordon, module, folder, seed), seeds):
                if fault:
                    print(f'FAILED walk: {fault}')
                passed, failed = passed + (not fault), failed + bool(fault)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
