#!/usr/bin/env python3
"""Builds the fuzz targets with libFuzzer, ASan and UBSan, and runs each for a while.

Usage: run.py SECONDS [TARGET...]
       run.py --verdict SECONDS [TARGET...]

The first is random, for as long as is said. The second is what tools/test runs: from a fixed seed
and without what was learnt before, so that the same build gives the same inputs as far as
libFuzzer can say, RUNS of each target; a target that has not done them after SECONDS is ended.

Targets are the stems of tests/fuzz/fuzz_TARGET.c. Without any: load alone when it has to be
quick (below 20 seconds), otherwise all. They begin with what is kept in tests/fuzz/corpus/TARGET/,
which is small, and with seeds made here. Inputs that break something stay in
build-fuzz/found-TARGET/, what was learnt in build-fuzz/corpus-TARGET/. tests/fuzz/long.py does the
same for hours, with AFL++ as well.
"""
import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, 'build-fuzz')
COMPILER = 'clang-19'
SANITIZERS = '-fsanitize=fuzzer,address,undefined'
SEED = 20261123
# Inputs of a target in a verdict: below what a minute is enough for on a slow machine.
RUNS = 20000
RUNS_OF = {'verify': 8000}  # one is a whole module, run twice
# Libraries of a target, in the order in which they need one another, and its other files.
LOADER = ['loader/libcn_loader.a', 'core/libcn_core.a']
MACHINE = ['vm/libcn_vm.a', 'vm/libcn_handlers.a', 'governor/libcn_governor.a']
WHOLE = ['api/libcn_api.a', 'host/libcn_host.a', 'shim/libcn_shim.a']
COMMAND = ['cli/libcn_cli.a']
TARGETS = {
    'config': (COMMAND + WHOLE + MACHINE + LOADER, []),
    'control': (COMMAND + WHOLE + MACHINE + LOADER, []),
    'load': (LOADER, []),
    'preempt': (MACHINE + LOADER, ['tests/fuzz/twin.c']),
    'resolve': (WHOLE + MACHINE + LOADER, []),
    'text': (LOADER, []),
    'translate': (MACHINE + LOADER, ['tests/fuzz/twin.c']),
    'verify': (MACHINE + LOADER, ['tests/fuzz/twin.c', 'tests/conformance/sample_module.c']),
    'volume': (WHOLE + MACHINE + LOADER, []),
    'wasi': (WHOLE + MACHINE + LOADER, []),
}

SYSTEM = {'config': ['-lyaml', '-lffi', '-lcrypto', '-lpthread'],
          'control': ['-ljansson', '-luv', '-lffi', '-lcrypto', '-lpthread'],
          'resolve': ['-lcrypto'], 'volume': ['-lcrypto'], 'wasi': ['-lcrypto']}
# Targets whose inputs are modules.
MODULES = ('load', 'preempt', 'text', 'translate')
# Inputs of other forms.
SEEDS = {
    'config': ['metrics: 9100\nworkers: 2\ndefaults: {quotas: {memory: 1m}, env: [A=b, C]}\nvms:\n'
               '  a:\n    module: m\n    args: ["x", \'y\', z]\n    dirs: [/a::/b::ro, ~/c]\n'
               '    listen: [1, "[::1]:2"]\n    restart: on-failure:3\n    log-size: 4k\n'
               '    env: {K: v}\n    count: 2\n'
               '    quotas: {cpus: 0.5, weight: 3, fuel: unlimited}\n'],
    'text': ['(module (func $f (export "f") (param $x i32) (result i32)\n'
             '  (block $l (br_if $l (local.get $x))) (i32.const 0x1_0)))',
             '(module (rec (type $s (sub (struct (field $n (mut i8)))))\n'
             '  (type $a (array (ref null $s))))\n'
             '  (global (ref null $s) (struct.new $s (i32.const 1)))\n'
             '  (func (result f64) (f64.const -nan:0x8000000000001)))',
             '(memory (export "m") i64 1 2) (data (i64.const 0) "a\\u{1f600}\\00")\n'
             '(tag $e (param v128))\n'
             '(table 1 funcref) (elem (i32.const 0) func $f) (func $f (try_table (catch_all 0)\n'
             '  (throw $e (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)))) ;; end\n'],
    'control': ['{"id": 1, "do": "ps"}\n{"do": "stats", "vm": "web"}\n{"do": "metrics"}\n',
                '{"do": "set", "vm": "web", "values": {"memory": "1m", "cpus": 5, "fuel": null}}\n',
                '{"do": "kill", "vms": ["web"], "signal": 9}\n{"do": "pause", "vms": "all"}\n',
                '{"do": "logs", "vm": "web", "tail": 3, "follow": true}\n{"do": "resume"}\n',
                '{"do": "run", "module": {"fd": 0, "name": "m"}, "args": ["a"], "env": ["A=b"], '
                '"dirs": [{"fd": 1, "guest": "/"}], "listeners": [{"fd": 2}], "quotas": {}, '
                '"restart": "always", "log_size": 5, "name": "x"}\n'],
}


def run(command, **options):
    result = subprocess.run(command, cwd=ROOT, text=True, errors='replace',
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if result.returncode != 0:
        print(result.stdout[-4000:])
        sys.exit(f'failed: {" ".join(command)}')


def build(target):
    libraries, sources = TARGETS[target]
    if not os.path.exists(os.path.join(BUILD, 'build.ninja')):
        run(['meson', 'setup', BUILD, '-Db_sanitize=address,undefined', '-Db_lundef=false',
             '-Doptimization=1', '-Ddebug=true', '-Dc_args=-fsanitize=fuzzer-no-link'],
            env={**os.environ, 'CC': COMPILER})
    run(['ninja', '-C', BUILD, *libraries])
    run([COMPILER, '-std=gnu11', '-D_GNU_SOURCE', '-g', '-O1', SANITIZERS,
         '-fno-sanitize-recover=all', '-I', ROOT, '-I', os.path.join(BUILD, 'spec'),
         f'-DCN_SAMPLE_FOLDER="{ROOT}/tests/conformance"',
         os.path.join(HERE, f'fuzz_{target}.c'), *sources,
         '-Wl,--start-group', *(os.path.join(BUILD, library) for library in libraries),
         '-Wl,--end-group', *SYSTEM.get(target, []), '-lm', '-o',
         os.path.join(BUILD, f'fuzz_{target}')])


def make_seeds():
    run([sys.executable, os.path.join(HERE, 'seeds.py'), os.path.join(BUILD, 'seeds')])
    for target, texts in SEEDS.items():
        folder = os.path.join(BUILD, f'seeds-{target}')
        os.makedirs(folder, exist_ok=True)
        for i, text in enumerate(texts):
            with open(os.path.join(folder, f'seed-{i}'), 'w', encoding='ascii') as seed:
                seed.write(text)


def seed_folders(target):
    folders = [os.path.join(HERE, 'corpus', target), os.path.join(BUILD, f'seeds-{target}')]
    if target in MODULES:
        folders.append(os.path.join(BUILD, 'seeds'))
    return [folder for folder in folders if os.path.isdir(folder)]


def seeds_of(target):
    return [path for folder in seed_folders(target) for path in glob.glob(f'{folder}/*')]


def fuzz(target, seconds, is_verdict):
    """True when nothing was found."""
    corpus = os.path.join(BUILD, f'verdict-{target}' if is_verdict else f'corpus-{target}')
    found = os.path.join(BUILD, f'found-{target}')
    if is_verdict:
        shutil.rmtree(corpus, ignore_errors=True)
    os.makedirs(corpus, exist_ok=True)
    shutil.rmtree(found, ignore_errors=True)
    os.makedirs(found)
    if target not in MODULES and target in SEEDS:
        seconds = max(seconds // 3, 1) # they are small, and what they read is not a guest's
    command = [os.path.join(BUILD, f'fuzz_{target}'), f'-max_total_time={seconds}',
               '-max_len=4096', '-timeout=10', '-rss_limit_mb=2048', '-print_final_stats=1',
               f'-artifact_prefix={found}/']
    if is_verdict:
        command += [f'-seed={SEED}', f'-runs={RUNS_OF.get(target, RUNS)}']
    command += [corpus, *seed_folders(target)]
    if target in MODULES:
        command.append(f'-dict={BUILD}/seeds.dict')
    result = subprocess.run(command, cwd=ROOT, text=True, errors='replace',
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    kept = [line for line in result.stdout.splitlines()
            if 'number_of_executed_units' in line or 'SUMMARY' in line or 'ERROR' in line]
    print('\n'.join(f'{target}: {line}' for line in kept))
    inputs = glob.glob(os.path.join(found, '*'))
    for path in inputs:
        print(f'FAILED {target}: see {os.path.relpath(path, ROOT)}')
    if result.returncode != 0 and not inputs:
        print(result.stdout[-3000:])
    return result.returncode == 0


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    is_verdict = sys.argv[1] == '--verdict'
    arguments = sys.argv[2:] if is_verdict else sys.argv[1:]
    if not arguments:
        sys.exit(__doc__)
    seconds = int(arguments[0])
    targets = arguments[1:] or (list(TARGETS) if seconds >= 20 else ['load'])
    if shutil.which(COMPILER) is None:
        print(f'SKIPPED fuzz: {COMPILER} is not installed')
        sys.exit(77)
    for target in targets:
        build(target)
    make_seeds()
    failed = sum(not fuzz(target, seconds, is_verdict) for target in targets)
    print(f'{len(targets) - failed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
