"""No file names a path of somebody's machine or leaves a mark of unfinished work; what prose
points at is there."""
import os
import re

PATHS = re.compile(r'(?<![\w./*-])/(?:home|root|work|Users)/\w')
MARKS = re.compile(r'\b(?:TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b')
LINK = re.compile(r'\]\(([^)#:]+)(?:#[^)]*)?\)')
QUOTED = re.compile(r'`((?:[a-z_]+/)+[\w.]*)`')
TEXTS = ('.c', '.h', '.py', '.md', '.def', '.txt', '.build', '.html', '.sh')


def check(tree):
    for path in tree.paths:
        if not (path.endswith(TEXTS) or path.startswith(('tools/', '.ci/'))):
            continue
        for number, line in tree.lines(path):
            match = PATHS.search(line)
            if match:
                yield f'{path}:{number}: a path of one machine: {match.group(0)}'
            match = MARKS.search(line)
            if match:
                yield f'{path}:{number}: unfinished: {match.group(0)}'
            if path.endswith('.md'):
                yield from dead_ends(tree, path, number, line)


def dead_ends(tree, path, number, line):
    """Links are relative to the file, paths in backquotes to the root (or the file)."""
    here = os.path.dirname(path)
    for target in LINK.findall(line):
        if not os.path.exists(os.path.join(tree.root, here, target)):
            yield f'{path}:{number}: {target} is not there'
    for target in QUOTED.findall(line):
        if target.startswith(('build/', 'build-')):
            continue
        if not any(os.path.exists(os.path.join(tree.root, base, target)) for base in ('', here)):
            yield f'{path}:{number}: {target} is not there'


BAD = {'docs/a.md': 'see [this](nowhere.md) and `core/none.c`\n',
       'core/a.c': '/* see ' '/home' '/me/notes */\n/* TO' 'DO: later */\n'}
BAD_COUNT = 4
