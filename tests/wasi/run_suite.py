#!/usr/bin/env python3
"""Runs the programs of WebAssembly/wasi-testsuite (branch prod/testsuite-base) for preview 1.

Usage: run_suite.py CORDON [SUITE]

The suite is looked for in SUITE, $CORDON_SUITES/wasi-testsuite, ../shared/wasi-testsuite.
Each program runs in a copy of its own of the suite's directory, once as it is and, where it
knows the variable, once more with ERRNO_MODE_UNIX, which allows fewer answers.

Exit: 0 all passed, 1 not, 77 skipped because the suite is not there.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ('assemblyscript', 'c', 'rust')


def find_suite():
    places = sys.argv[2:3]
    if 'CORDON_SUITES' in os.environ:
        places.append(os.path.join(os.environ['CORDON_SUITES'], 'wasi-testsuite'))
    places.append(os.path.join(os.path.dirname(ROOT), 'shared', 'wasi-testsuite'))
    return next((p for p in places if glob.glob(p + '/tests/*/testsuite/wasm32-wasip1')), None)


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


def run(cordon, module, unix_mode):
    wanted = expectation(module)
    command = [cordon, 'run']
    with tempfile.TemporaryDirectory() as folder:
        if wanted['root']:
            place = os.path.join(folder, 'root')
            shutil.copytree(os.path.join(os.path.dirname(module), wanted['root']), place)
            command += ['--dir', place + '::/']
        for key, value in wanted['env'].items():
            command += ['--env', f'{key}={value}']
        if unix_mode:
            command += ['--env', 'ERRNO_MODE_UNIX=1']
        result = subprocess.run(command + [module] + wanted['args'], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60)
    if result.returncode != wanted['exit_code']:
        return f'exit {result.returncode}: {result.stderr[-500:]}'
    if wanted['stdout'] is not None and result.stdout != wanted['stdout']:
        return f'printed {result.stdout!r}'
    return None


def main():
    cordon = os.path.abspath(sys.argv[1])
    suite = find_suite()
    if suite is None:
        print('SKIPPED wasi-testsuite: not found (see run_suite.py)')
        return 77
    passed = failed = 0
    for folder in FOLDERS:
        for module in sorted(glob.glob(f'{suite}/tests/{folder}/testsuite/wasm32-wasip1/*.wasm')):
            for unix_mode in (False, True) if folder == 'rust' else (False,):
                fault = run(cordon, module, unix_mode)
                passed += fault is None
                failed += fault is not None
                if fault:
                    print(f'FAILED {folder}/{os.path.basename(module)}: {fault}')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
