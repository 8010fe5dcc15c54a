#!/usr/bin/env python3
"""Runs the programs of WebAssembly/wasi-testsuite (branch prod/testsuite-base) for preview 1.

Usage: run_suite.py CORDON [SUITE]

tests/suites.py says where the suite is looked for. Each program is started as the suite's own
runner starts it, by adapter/cordon.py, in a copy of its own of the suite's directory: once as it
is and, where it knows the variable, once more with ERRNO_MODE_UNIX, which allows fewer answers.
The suite's runner can be used as well: run-tests --runtime-adapter tests/wasi/adapter/cordon.py

Exit: 0 all passed, 1 not, 77 skipped because the suite is not there.
"""
import glob
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(HERE, 'adapter')]
import cordon as adapter
import suites

FOLDERS = ('assemblyscript', 'c', 'rust')
VERSION, WORLD = 'wasm32-wasip1', 'wasi:cli/command'


def expectation(module):
    """What the suite's JSON file says, in either of its two forms."""
    wanted = {'args': [], 'env': {}, 'root': None, 'exit_code': 0, 'stdout': None}
    path = module[:-len('.wasm')] + '.json'
    if not os.path.exists(path):
        return wanted
    with open(path) as file:
        spec = json.load(file)
    for step in spec.get('operations', []):
        if step['type'] == 'read' and step.get('id', 'stdout') == 'stdout':
            wanted['stdout'] = step['payload']
        wanted.update({k: v for k, v in step.items() if k in wanted})
    wanted.update({k: v for k, v in spec.items() if k in wanted})
    return wanted


def run(module, unix_mode):
    wanted = expectation(module)
    environment = dict(wanted['env'], **({'ERRNO_MODE_UNIX': '1'} if unix_mode else {}))
    place = None
    with tempfile.TemporaryDirectory() as folder:
        if wanted['root']:
            place = os.path.join(folder, 'root')
            shutil.copytree(os.path.join(os.path.dirname(module), wanted['root']), place)
        command = adapter.compute_argv(module, (wanted['args'], environment, place), [], WORLD,
                                       VERSION)
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=60)
    if result.returncode != wanted['exit_code']:
        return f'exit {result.returncode}: {result.stderr[-500:]}'
    if wanted['stdout'] is not None and result.stdout != wanted['stdout']:
        return f'printed {result.stdout!r}'
    return None


def main():
    os.environ['CORDON'] = shlex.quote(os.path.abspath(sys.argv[1]))
    suite = suites.find_or_skip('wasi-testsuite', given=sys.argv[2] if sys.argv[2:] else None)
    passed = failed = programs = 0
    for folder in FOLDERS:
        for module in sorted(glob.glob(f'{suite}/tests/{folder}/testsuite/{VERSION}/*.wasm')):
            programs += 1
            for unix_mode in (False, True) if folder == 'rust' else (False,):
                fault = run(module, unix_mode)
                passed += fault is None
                failed += fault is not None
                if fault:
                    print(f'FAILED {folder}/{os.path.basename(module)}: {fault}')
    print(f'{programs} programs, each in every mode that it knows')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
