#!/usr/bin/env python3
"""The fair queue and the token buckets, each in so many random scenarios against an ideal model.

    tests/quotas/scenarios.py BUILD [--count N]
"""
import argparse
import os
import pathlib
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build', type=pathlib.Path)
    parser.add_argument('--count', type=int, default=1000000)
    options = parser.parse_args()
    passed = failed = 0
    for name, test in (('test_fair', 'fair/random*'), ('test_rate', 'rate/agrees*')):
        program = options.build / 'tests' / name
        if not program.exists():
            print('SKIPPED scenarios: the unit tests were not built')
            return 77
        done = subprocess.run([program.resolve(), '-j1', '--filter', test],
                              env={**os.environ, 'CORDON_SCENARIOS': str(options.count)},
                              capture_output=True, text=True, check=False)
        print(done.stderr, end='')
        good = done.returncode == 0 and str(options.count) in done.stderr
        passed, failed = passed + good, failed + (not good)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
