#!/usr/bin/env python3
"""Writes a seed corpus for fuzz_load, and its dictionary.

Usage: seeds.py FOLDER

FOLDER/*.wasm: small modules made here, and those of the official suite where it is found (see
tests/suites.py). FOLDER.dict: a dictionary for -dict=.
"""
import glob
import hashlib
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'hostile'))

import modules  # noqa: E402
import suites  # noqa: E402

SEED_BYTES_MAX = 16384
# One import of each kind and a function: fuzz_translate has to know what it cannot give.
IMPORTS = [b'\0asm\1\0\0\0' b'\1\4\1\x60\0\0' + section + b'\3\2\1\0' b'\x0a\4\1\2\0\x0b'
           for section in (b'\2\5\1\0\0\0\0', b'\2\7\1\0\0\1\x70\0\1', b'\2\6\1\0\0\2\0\1',
                           b'\2\6\1\0\0\3\x7f\0', b'\2\6\1\0\0\4\0\0')]
WORDS = [b'\0asm\1\0\0\0', b'\x60\0\0', b'\4name', b'\x7f', b'\x7e', b'\x7d', b'\x7c', b'\x70',
         b'\x6f', b'\x0b', b'\x41\0\x0b', b'\xd2\0\x0b', b'\xd0\x70\x0b', b'\x02\x40',
         b'\x03\x40', b'\x04\x40', b'\xfc\x08\0\0', b'\xfc\x0a\0\0', b'\xfc\x0c\0\0',
         b'\xff\xff\xff\xff\x0f', b'\x80\x80\x80\x80\0', b'\x80\x80\x80\x80\x08']


def suite_modules():
    suite, reason = suites.find('testsuite')
    if suite is None:
        print(f'SKIPPED testsuite: no seeds from there: {reason}')
        return
    scripts = sorted(glob.glob(os.path.join(suite, '*.wast')))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.path.join(ROOT, 'build', 'cordon'), 'wast', '--modules', folder] +
                       scripts, stdout=subprocess.DEVNULL, check=False)
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), 'rb') as module:
                yield module.read()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    seeds = {binary for _, binary, _ in modules.small_modules()}
    seeds.update(IMPORTS)
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
