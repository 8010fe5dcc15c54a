"""Everything that can be said to the command has a row in spec/api.def, which names functions that
are there and that some test calls."""
import os
import re

# Commands of those who work on Cordon itself: what they show is none of an embedder's business.
DEVELOPERS = {'check', 'dump', 'build', 'print', 'wast', 'conform', 'worker'}
SOURCES = {'OPTION': ('spec/option.def', r'^(?:OPTION|HIDDEN)\((\w+)'),
           'COMMAND': ('spec/command.def', r'^COMMAND\((\w+)'),
           'WORD': ('spec/command.def', r'^WORD\((\w+)'),
           'KEY': ('spec/config.def', r'^KEY\(\w+,\s*(\w+)')}
ROW = re.compile(r'^SAME\((\w+),\s*(\w+),\s*"([^"]*)",\s*"([^"]*)"\)$')
CALLERS = ('tests/', 'examples/')


def text_of(tree, path):
    with open(os.path.join(tree.root, path), encoding='utf-8') as file:
        return file.read()


def wanted(tree):
    for of, (path, pattern) in SOURCES.items():
        if os.path.exists(os.path.join(tree.root, path)):
            for name in re.findall(pattern, text_of(tree, path), re.M):
                if of != 'COMMAND' or name not in DEVELOPERS:
                    yield of, name


def check(tree):
    if not os.path.exists(os.path.join(tree.root, 'spec/api.def')):
        return
    headers = '\n'.join(text_of(tree, path) for path in tree.ending('.h')
                        if path.startswith('include/'))
    declared = set(re.findall(r'\b(\w+)\(', re.sub(r'/\*.*?\*/', '', headers, flags=re.S)))
    called = set()
    for path in tree.ending('.c'):
        if path.startswith(CALLERS):
            called.update(re.findall(r'\b(cordon_\w+|wasm_\w+)\b', text_of(tree, path)))
    rows = {('QUOTA', 'ANY')} | set(wanted(tree))
    seen = set()
    for number, line in enumerate(text_of(tree, 'spec/api.def').splitlines(), 1):
        match = ROW.match(line)
        if line.startswith('SAME(') and match is None:
            yield f'spec/api.def:{number}: is no row'
        if match is None:
            continue
        of, name, functions, how = match.groups()
        if (of, name) not in rows or (of, name) in seen:
            yield f'spec/api.def:{number}: {of} {name} is twice here, or nowhere else'
        seen.add((of, name))
        if functions == '-' and not how:
            yield f'spec/api.def:{number}: {of} {name} has neither a function nor a reason'
        for function in functions.split(', ') if functions != '-' else []:
            if function not in declared:
                yield f'spec/api.def:{number}: there is no {function}'
            elif function not in called:
                yield f'spec/api.def:{number}: no test calls {function}'
    for of, name in sorted(rows - seen):
        yield f'spec/api.def:1: there is no row for {of} {name}'


BAD = {'spec/api.def': '/* of */\nSAME(OPTION, dir, "cordon_a, cordon_b, cordon_c", "")\n'
                       'SAME(OPTION, gone, "-", "")\nSAME(QUOTA, ANY, "cordon_a", "")\nSAME(x)\n',
       'spec/option.def': 'OPTION(dir, 0, NULL, "")\nHIDDEN(lazy, 0, NULL, "")\n',
       'include/cordon.h': 'void cordon_a(void); /* not cordon_b() */\nvoid cordon_c(void);\n',
       'tests/a.c': 'cordon_a();\n'}
BAD_COUNT = 6
