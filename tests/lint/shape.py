"""The size and shape of files and functions, and what C must not be used for."""
import re
import subprocess

from tree import without_comments

FILE_LINES = 800
# The whole interface in one file, which is its manual.
MANUALS = {'include/cordon.h': 1200}
FUNCTION_LINES = 70
PARAMETERS = 5 # the place for an error not counted
PUBLIC_PARAMETERS = 7 # results are parameters too
COLUMNS = 100
BANNED = ('strcpy', 'strcat', 'sprintf', 'vsprintf', 'atoi', 'atol', 'gets', 'setjmp', 'longjmp',
          'alloca', 'strtok')
BANNED_CALL = re.compile(r'(?<![\w.>])(' + '|'.join(BANNED) + r')\s*\(')
HEAP = re.compile(r'(?<![\w.>])(malloc|calloc|realloc|free|reallocarray|strdup)\s*\(')
ASSERT_FALSE = re.compile(r'\bassert\s*\(\s*(0|false)\s*\)')
# Tests, and what runs inside a VM.
UNBOUND = ('tests/', 'bench/kernels/', 'stdlib/')
# Code that runs inside Cordon's process; guests and tests have a C library of their own.
LIBRARY = ('core', 'loader', 'governor', 'vm', 'shim', 'host', 'api')
HEAP_HOMES = ('core/alloc.c',)
PRINTS = re.compile(r'(?<![\w.>])(printf|fprintf|puts|perror|exit|abort|_exit)\s*\(')
ERROR_PLACE = re.compile(r'(?:cordon_error_t|struct cn_error)\s*\*\s*\w+$')
CONDITION = re.compile(r'^\s*#\s*(if|ifdef|ifndef|elif)\b')
# Tests run beside sanitizers and drivers that only the preprocessor can tell.
CONDITION_HOMES = ('core/platform.h', 'tests/', 'examples/', 'stdlib/', 'bench/')


def check(tree):
    sources = tree.ending('.c', '.h')
    for path in sources + tree.ending('.py'):
        lines = tree.text(path).splitlines()
        most = MANUALS.get(path, FILE_LINES)
        if len(lines) > most:
            yield f'{path}:{most}: {len(lines)} lines: probably two subjects'
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS:
                yield f'{path}:{number}: {len(line)} columns'
            if '\t' in line:
                yield f'{path}:{number}: a tab'
            if line.endswith(' '):
                yield f'{path}:{number}: a space at the end'
    for path in sources:
        yield from conditions(tree, path)
        yield from calls(tree, path)
    yield from functions(tree)


def conditions(tree, path):
    """Only include guards; the public header may ask for C++."""
    if path.startswith(CONDITION_HOMES):
        return
    guard_open = path.endswith('.h')
    for number, line in tree.lines(path):
        if not CONDITION.match(line):
            continue
        if guard_open and re.match(r'\s*#\s*ifndef\s+\w+_H$', line):
            guard_open = False
        elif not (path.startswith('include/') and '__cplusplus' in line):
            yield f'{path}:{number}: a condition of the preprocessor outside core/platform.h'


def calls(tree, path):
    folder = path.split('/')[0]
    for number, line in enumerate(without_comments(tree.text(path)).splitlines(), 1):
        if line.lstrip().startswith('#'):
            continue
        match = BANNED_CALL.search(line)
        if match and not path.startswith(UNBOUND):
            yield f'{path}:{number}: {match.group(1)} is not used here'
        if ASSERT_FALSE.search(line):
            yield f'{path}:{number}: an assertion that says nothing'
        if folder not in LIBRARY:
            continue
        match = HEAP.search(line)
        if match and path not in HEAP_HOMES:
            yield f'{path}:{number}: {match.group(1)} outside core/alloc.c: nobody is charged'
        match = PRINTS.search(line)
        if match:
            yield f'{path}:{number}: {match.group(1)}: the library neither prints nor exits'


def parameter_count(signature):
    inside = signature.strip()[1:-1].strip()
    if inside in ('', 'void'):
        return 0
    depth = 0
    count = 1
    for char in inside:
        depth += char in '([{'
        depth -= char in ')]}'
        count += char == ',' and depth == 0
    return count - bool(ERROR_PLACE.search(inside))


def functions(tree):
    paths = tree.ending('.c', '.h')
    if not paths:
        return
    out = subprocess.run(['ctags', '-f', '-', '--fields=+neS', '--kinds-C=f', '--languages=C',
                          '--langmap=C:.c.h', '-L', '-'], cwd=tree.root, text=True,
                         input='\n'.join(paths), capture_output=True, check=True).stdout
    for row in out.splitlines():
        fields = row.split('\t')
        extra = dict(field.split(':', 1) for field in fields[3:] if ':' in field)
        if 'line' not in extra or 'end' not in extra:
            continue
        start, length = int(extra['line']), int(extra['end']) - int(extra['line']) + 1
        if length > FUNCTION_LINES:
            yield f'{fields[1]}:{start}: {fields[0]} has {length} lines'
        count = parameter_count(extra.get('signature', '()'))
        most = PUBLIC_PARAMETERS if fields[0].startswith('cordon_') else PARAMETERS
        if count > most and not fields[1].startswith('tests/'):
            yield f'{fields[1]}:{start}: {fields[0]} has {count} parameters'


BAD = {
    'vm/bad.c': ('#ifdef FAST\n#endif\n'
                 'static int many(int a, int b, int c, int d, int e, int f)\n{\n'
                 '    /* malloc( and "sprintf(" are only words here */\n'
                 '    return sprintf(out, "atoi(") + malloc(3);\n}\n'
                 'void tall(void)\n{\n' + '    x++;\n' * 70 + '    assert(0);\n}\n'
                 '/* ' + 'w' * 100 + ' */\n'),
    'core/print.c': 'void f(void)\n{\n    printf("hello");\n}\n',
    'loader/long.c': '\n' * 801,
}
BAD_COUNT = 9
