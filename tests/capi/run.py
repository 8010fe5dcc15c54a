#!/usr/bin/env python3
"""The examples of WebAssembly/wasm-c-api, compiled unchanged against include/wasm.h.

Usage: run.py CORDON [--sanitize address,undefined] [--suite FOLDER]
       run.py CORDON --tsan [--suite FOLDER]

CORDON is the command of a build; the library beside it is what the examples are linked with. With
--tsan another one is built, in build-tsan/. Each must print what expected.txt holds the hash
of, and exit with 0. The standard's own header is compared with ours as well: every function, type
and constant of it has to be there with the same type. The suite is looked for by tests/suites.py;
without it only our own program of many threads is run, and the rest is SKIPPED.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import suites  # noqa: E402

COMPILER = 'clang-19'
SECONDS = 120
LIBRARY = 'api/libcordon.a'
SHARED = 'api/libcordon.so'
HEADER = os.path.join(ROOT, 'include', 'wasm.h')
# Modules that are older than the standard: their text, with what it has to say today.
RENEWED = {'hostref': ('(ref.null)', '(ref.null extern)')}
# Lines that come in any order.
UNORDERED = ('threads',)
# Addresses differ from run to run.
ADDRESS = re.compile(r'^> 0x[0-9a-f]+ @', re.M)
# Of the standard's header, which needs them for itself.
ITS_OWN = ('WASM_H', 'own', 'assertions')
# Beside the expected output, a line that shows that a wrong one would be noticed.
CONTROL = 'Done.\n'


def expected():
    rows = {}
    with open(os.path.join(HERE, 'expected.txt'), encoding='ascii') as file:
        for line in file:
            if not line.startswith('#'):
                name, lines, digest = line.split()
                rows[name] = (int(lines), digest)
    return rows


def digest_of(name, text):
    text = ADDRESS.sub('> INSTANCE @', text)
    lines = text.splitlines(keepends=True)
    if name in UNORDERED:
        lines.sort()
    return len(lines), hashlib.sha256(''.join(lines).encode()).hexdigest()


class Suite:
    def __init__(self, folder, cordon, sanitize, work):
        self.folder = folder
        self.cordon = os.path.abspath(cordon)
        self.libraries = os.path.dirname(self.cordon)
        self.sanitize = ['-fsanitize=' + sanitize] if sanitize else []
        self.work = work

    def run(self, command, **options):
        return subprocess.run(command, text=True, errors='replace', stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                              check=False, **options)

    def build(self, source, name):
        """None, or what the compiler says."""
        done = self.run([COMPILER, '-std=gnu11', '-w', '-g', *self.sanitize,
                         '-I', os.path.join(ROOT, 'include'), source,
                         os.path.join(self.libraries, LIBRARY), '-lffi', '-lcrypto', '-lpthread',
                         '-o', os.path.join(self.work, name)])
        return None if done.returncode == 0 else 'does not compile: ' + done.stdout

    def check_own(self):
        """The same of our program, which looks at its results itself."""
        reason = self.build(os.path.join(HERE, 'threads.c'), 'own')
        if reason is None:
            done = self.run([os.path.join(self.work, 'own')])
            reason = None if done.returncode == 0 else done.stdout[-3000:]
        return reason

    def place_of_module(self, name):
        """The folder that the example is run in."""
        place = os.path.join(self.folder, 'example')
        if name not in RENEWED:
            return place
        with open(os.path.join(place, name + '.wat'), encoding='utf-8') as file:
            text = file.read()
        renewed = os.path.join(self.work, 'renewed')
        os.makedirs(renewed, exist_ok=True)
        source = os.path.join(renewed, name + '.wat')
        with open(source, 'w', encoding='utf-8') as file:
            file.write(text.replace(*RENEWED[name]))
        self.run([self.cordon, 'build', source, '-o', os.path.join(renewed, name + '.wasm')])
        return renewed

    def check(self, name, row):
        """Why it failed, or None."""
        reason = self.build(os.path.join(self.folder, 'example', name + '.c'), name)
        if reason is not None:
            return reason
        try:
            done = self.run([os.path.join(self.work, name)], cwd=self.place_of_module(name))
        except subprocess.TimeoutExpired:
            return f'did not end in {SECONDS} s'
        if done.returncode != 0:
            return f'exit code {done.returncode}: {done.stdout[-2000:]}'
        if digest_of(name, done.stdout) != row:
            return f'other output, {digest_of(name, done.stdout)}:\n{done.stdout[-3000:]}'
        if digest_of(name, done.stdout + CONTROL) == row:
            return 'any output would do'
        return None


# ------------------------------------------------------------------ the two headers

def nodes(path):
    out = subprocess.run([COMPILER, '-std=gnu11', '-fsyntax-only', '-w', '-Xclang',
                          '-ast-dump=json', path], stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)['inner']


def compare_exports(library):
    """Why the shared library does not have exactly the header's functions, or None."""
    declared = {node['name'] for node in nodes(HEADER) if node['kind'] == 'FunctionDecl'
                and node['name'].startswith('wasm_') and not node.get('inline')}
    out = subprocess.run(['nm', '-D', '--defined-only', library], stdout=subprocess.PIPE,
                         text=True, check=True).stdout
    exported = set(re.findall(r' (wasm_\w+)', out))
    print(f'{len(exported)} functions')
    if len(declared) < 200 or declared != exported:
        return 'not in both header and library: ' + ' '.join(sorted(declared ^ exported))
    return None


def declarations(path):
    """Everything that a header declares: name and what it is, as clang prints types."""
    found = {}
    for node in nodes(path):
        name = node.get('name', '')
        if node['kind'] in ('FunctionDecl', 'VarDecl', 'TypedefDecl'):
            found[name] = node['type']['qualType']
        elif node['kind'] == 'RecordDecl':
            fields = [(field.get('name'), field['type']['qualType'])
                      for field in node.get('inner', []) if field['kind'] == 'FieldDecl'
                      and '(' not in field['type']['qualType']]  # the path of an unnamed union
            if fields:
                found['struct ' + name] = str(fields)
        elif node['kind'] == 'EnumDecl':
            found.update(constants(node))
    return found


def constants(node):
    value = -1
    for item in node['inner']:
        given = re.search(r'"value": "(-?\d+)"', json.dumps(item))
        value = int(given.group(1)) if given else value + 1
        yield item['name'], str(value)


def macros(path):
    out = subprocess.run([COMPILER, '-dM', '-E', path], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    return {name: 'a macro' for name in re.findall(r'^#define (wasm_\w+|WASM_\w+)', out, re.M)}


def of_the_standard(declared):
    """Without what the C library declares."""
    return {name: what for name, what in declared.items() if name not in ITS_OWN and
            re.match(r'(struct )?(wasm_|WASM_|byte_t|float32_t|float64_t|MEMORY_)', name)}


def differences(theirs, ours):
    for name, what in sorted(theirs.items()):
        if name not in ours:
            yield f'{name} is not there'
        elif ours[name] != what:
            yield f'{name}: {ours[name]} instead of {what}'


def compare_headers(folder):
    """Number of names that agree, and the differences."""
    standard = os.path.join(folder, 'include', 'wasm.h')
    theirs = of_the_standard({**declarations(standard), **macros(standard)})
    ours = {**declarations(HEADER), **macros(HEADER)}
    wrong = list(differences(theirs, ours))
    if len(theirs) < 400 or not list(differences({'wasm_nothing': 'int'}, ours)):
        wrong.append(f'the comparison is blind: {len(theirs)} names')
    return len(theirs) - len(wrong), wrong


# ------------------------------------------------------------------ all of it

def build_tsan():
    """The folder of a build for ThreadSanitizer, of which the library alone is made."""
    folder = os.path.join(ROOT, 'build-tsan')
    commands = [['ninja', '-C', folder, LIBRARY]]
    if not os.path.exists(os.path.join(folder, 'build.ninja')):
        commands.insert(0, ['meson', 'setup', folder, '-Db_sanitize=thread', '-Db_lundef=false',
                            '-Doptimization=1', '-Ddebug=true'])
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, 'CC': COMPILER}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stdout[-3000:])
    return folder


def cases(suite, folder):
    """Name of each, and why it failed."""
    yield 'own threads', suite.check_own()
    yield 'exports', compare_exports(os.path.join(os.path.dirname(suite.cordon), SHARED))
    if folder is None:
        return
    agreeing, wrong = compare_headers(folder)
    print(f'{agreeing} names of the standard header are the same in ours')
    yield 'wasm.h', '\n'.join(wrong) or None
    rows = expected()
    there = {name[:-2] for name in os.listdir(os.path.join(folder, 'example'))
             if name.endswith('.c')}
    yield 'list', ' '.join(there ^ set(rows)) or None
    for name, row in rows.items():
        yield name, suite.check(name, row)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('cordon')
    parser.add_argument('--sanitize')
    parser.add_argument('--suite')
    parser.add_argument('--tsan', action='store_true')
    options = parser.parse_args()
    folder, missing = suites.find('wasm-c-api', options.suite)
    work = tempfile.mkdtemp(prefix='cordon-capi-')
    counts = {True: 0, False: 0}
    try:
        suite = Suite(folder, options.cordon, 'thread' if options.tsan else options.sanitize, work)
        if options.tsan:
            suite.libraries = build_tsan()
        for name, reason in cases(suite, folder):
            counts[reason is None] += 1
            print('ok    ' + name if reason is None else f'FAILED {name}: {reason}', flush=True)
    finally:
        shutil.rmtree(work)
    if folder is None:
        print(f'SKIPPED wasm-c-api: {missing}')
    print(f'{counts[True]} passed, {counts[False]} failed')
    return 1 if counts[False] else 0


if __name__ == '__main__':
    sys.exit(main())
