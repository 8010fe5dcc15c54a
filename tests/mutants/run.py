#!/usr/bin/env python3
"""A translator with seeded faults: does the verifier, or a comparison of what code does, notice?

  run.py --cordon PATH/cordon [--modules N] [--places N] [--seed S] [--suite N] [-v]

Each fault of faults.def strikes at some places of random modules (tests/diff/generate.py), and of N
modules out of the official suite's scripts where that is found, and then at all places at once.
tests/mutants beside the command does the work and prints what became of the mutants of each fault:

  broken   the translator came to grief itself: no code, nothing to be judged
  none     the same code came out
  crash    the verifier came to grief: never
  refused  the verifier did not let it through: the unsafe ones, and some that only look so
  UNSAFE   let through, and unsafe: never
  differs  safe but wrong, noticed by what the code did
  fuel     safe but wrong, noticed by the fuel alone
  same     safe; nothing that was executed was touched

Fails when the verifier let an unsafe one through. A faulty translator makes its mistake again and
again, so the last lines also say which faults changed code without anybody noticing anywhere.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'diff'))

import generate  # noqa: E402
import suites  # noqa: E402

SMALLEST, LARGEST = 120, 16384  # bytes of a suite's module


def write_modules(folder, seed, count):
    for number in range(seed, seed + count):
        features = (generate.FEATURES, generate.OLD_FEATURES, ())[number % 3]
        path = os.path.join(folder, f'{number}.wasm')
        with open(path, 'wb') as out:
            out.write(generate.module(number, features))
        yield path


def suite_modules(cordon, folder, count):
    """Evenly many of the suite's, of a middling size."""
    suite, reason = suites.find('testsuite')
    if suite is None:
        print(f'SKIPPED testsuite: no modules from there: {reason}')
        return []
    scripts = sorted(glob.glob(os.path.join(suite, '*.wast')))
    subprocess.run([cordon, 'wast', '--modules', folder] + scripts,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    paths = [path for path in paths if SMALLEST <= os.path.getsize(path) <= LARGEST]
    return [paths[i * len(paths) // count] for i in range(min(count, len(paths)))]


def read_counts(text):
    """By fault: what became of its mutants."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith('fault '))
    heads = lines[first].split()[1:]
    return {words[0]: dict(zip(heads, map(int, words[1:])))
            for words in (line.split() for line in lines[first + 1:])}


def unnoticed(counts):
    """Faults that changed code without anybody noticing anywhere."""
    for fault, row in counts.items():
        if row['same'] and not row['refused'] + row['differs'] + row['fuel']:
            yield fault


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cordon', required=True)
    parser.add_argument('--modules', type=int, default=6)
    parser.add_argument('--places', type=int, default=2)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--suite', type=int, default=0)
    parser.add_argument('-v', action='store_true')
    options = parser.parse_args()
    cordon = os.path.abspath(options.cordon)
    mutants = os.path.join(os.path.dirname(cordon), 'tests', 'mutants')
    if not os.path.exists(mutants):
        print(f'SKIPPED translator-mutants: {mutants} is not built')
        return 77
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        paths = list(write_modules(folder, options.seed, options.modules))
        if options.suite:
            paths += suite_modules(cordon, other, options.suite)
        done = subprocess.run([mutants, f'-places={options.places}'] + ['-v'] * options.v + paths,
                              capture_output=True, text=True, errors='replace')
    print(done.stdout + done.stderr[-4000:])
    if done.returncode:
        print('0 passed, 1 failed')
        return 1
    counts = read_counts(done.stdout)
    total = counts.pop('all')
    never = ' '.join(unnoticed(counts)) or 'none'
    missed = total['UNSAFE'] + total['crash']
    wrong = total['differs'] + total['fuel']
    print(f'faults that changed code and were never noticed: {never}')
    print(f'{len(paths)} modules, {sum(total.values()) - total["none"] - total["broken"]} mutants; '
          f'of {total["refused"] + missed} unsafe ones the verifier refused {total["refused"]}; of '
          f'{wrong + total["same"]} safe ones {wrong} were seen to be wrong')
    print(f'{total["refused"]} passed, {missed} failed')
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
