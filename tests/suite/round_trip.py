#!/usr/bin/env python3
"""Prints every valid module of the official suite as text and builds it again.

  round_trip.py CORDON

What was built must be the module that was printed: printed once more it gives the same text. Most
modules come back byte by byte; how many is told, because a change there is worth a look.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run_wast  # noqa: E402
import suites  # noqa: E402

# Sections without entries are not written by `build`, so custom sections between them move.
NOT_THE_SAME = ('custom.wast-14.wasm',)


def output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode(errors='replace').strip()


def check(cordon, path, folder):
    """None for an invalid module; else what is wrong, and whether the bytes are the same."""
    text, built = os.path.join(folder, 'x.wat'), os.path.join(folder, 'x.wasm')
    code, printed, _ = output([cordon, 'print', path])
    if code:
        return None
    with open(text, 'wb') as out:
        out.write(printed)
    code, _, complaint = output([cordon, 'build', text, '-o', built])
    if code:
        return complaint, False
    _, again, _ = output([cordon, 'print', built])
    if again != printed and os.path.basename(path) not in NOT_THE_SAME:
        return 'the text differs', False
    with open(path, 'rb') as one, open(built, 'rb') as other:
        return '', one.read() == other.read()


def main():
    cordon = sys.argv[1]
    folder, reason = suites.find('testsuite')
    if folder is None:
        print(f'SKIPPED testsuite: {reason}')
        return suites.SKIPPED
    core, others = run_wast.official_scripts(folder)
    passed = failed = same = 0
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([cordon, 'wast', '--modules', place] + core + others,
                       stdout=subprocess.DEVNULL, check=False)
        for name in sorted(os.listdir(place)):
            result = check(cordon, os.path.join(place, name), place)
            if result is None:
                continue
            wrong, is_same = result
            same += is_same
            passed += not wrong
            failed += bool(wrong)
            if wrong:
                print(f'{name}: {wrong}')
    print(f'{same} modules came back byte by byte')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
