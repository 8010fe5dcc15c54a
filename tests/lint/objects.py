"""What the compiled libraries say: whose names they export, and how handlers go on.

Handlers must leave by a jump. gcc 12 has no guaranteed tail calls, so the build's own objects
are read: an indirect `call` among them would be a dispatch that grows the C stack.
"""
import glob
import os
import re
import subprocess

PREFIXES = ('cn_', 'cordon_', 'wasm_', 'wasi_')
SANITIZER = ('__asan', '__ubsan', '__odr_asan', '_ZN', 'asan.', '___asan')
INDIRECT = re.compile(r'\bcallq?\s+\*')
SYMBOL = re.compile(r'^[0-9a-f]+ <(.+)>:$')


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def is_for_embedding(library):
    """Whether it comes into other people's programs: the tests' own do not, nor does the command's,
    which is a library only so that tests can look inside."""
    return '/tests/' not in library and os.path.basename(library) != 'libcn_cli.a'


def symbols(build):
    """Findings about the names that the libraries of a build directory define."""
    for library in filter(is_for_embedding, sorted(glob.glob(f'{build}/*/lib*.a'))):
        for row in output('nm', '-g', '--defined-only', library).splitlines():
            parts = row.split()
            if len(parts) == 3 and not parts[2].startswith(PREFIXES + SANITIZER):
                yield f'{os.path.relpath(library, build)}:1: exports {parts[2]}'


def stray_calls(objects):
    for path in objects:
        function = '?'
        for line in output('objdump', '-d', '--no-show-raw-insn', path).splitlines():
            match = SYMBOL.match(line)
            if match:
                function = match.group(1)
            elif INDIRECT.search(line):
                yield f'{os.path.basename(path)}:1: an indirect call in {function}'


def handlers(build):
    return sorted(glob.glob(f'{build}/vm/libcn_handlers.a.p/*.o'))


BAD = ('int (*next)(void);\nint helper(void);\n'
       'int helper(void) { return next() + 1; }\n')


def self_check(folder):
    """How many of the bad snippet's two faults are found."""
    source, built = os.path.join(folder, 'bad.c'), os.path.join(folder, 'b', 'x', 'bad.o')
    os.makedirs(os.path.dirname(built))
    with open(source, 'w', encoding='utf-8') as file:
        file.write(BAD)
    output('gcc', '-O2', '-c', '-o', built, source)
    output('ar', 'rcs', os.path.join(folder, 'b', 'x', 'libbad.a'), built)
    names = [f for f in symbols(os.path.join(folder, 'b')) if 'helper' in f]
    return len(names) + len(list(stray_calls([built])))
