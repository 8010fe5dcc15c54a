#!/usr/bin/env python3
"""Writes the tables of spec/*.md from the rows of spec/*.def.

  print_tables.py           brings every table up to date
  print_tables.py --check   says which are not, and exits with 1

A table stands in the prose between two markers, which name what is printed:

  <!-- table: quotas -->
  <!-- end -->
"""
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MARKER = re.compile(r'<!-- table: (\w+) -->\n.*?<!-- end -->', re.S)


def arguments(text, most):
    """Splits at commas outside parentheses and quotes, into at most so many parts."""
    parts, depth, quoted, current = [], 0, False, ''
    for char in text:
        quoted ^= char == '"'
        depth += not quoted and char == '('
        depth -= not quoted and char == ')'
        if char == ',' and not quoted and depth == 0 and len(parts) < most - 1:
            parts.append(current.strip())
            current = ''
        else:
            current += char
    return parts + [current.strip()]


def rows(name, *macros, most=99):
    """The rows of a file: macro and arguments, quotes taken off, comments skipped. A one-line
    comment between rows is a row of its own, with the macro '' (a heading)."""
    with open(os.path.join(HERE, name), encoding='utf-8') as file:
        text = file.read()
    head, _, body = text.partition('*/')
    assert head.startswith('/*'), name
    for match in re.finditer(r'/\*(.*?)\*/|^(\w+)\(([^\n]*)\)[^\S\n]*$', body, re.M | re.S):
        comment, macro, inside = match.groups()
        if comment is not None:
            yield '', [re.sub(r'\s*\n\s*\*?\s*', ' ', comment).strip()]
        elif macro in macros:
            yield macro, [part[1:-1] if re.fullmatch(r'"[^"]*"', part) else part
                          for part in arguments(inside, most)]


def one_line_rows(name, *macros, most=99):
    for macro, parts in rows(name, *macros, most=most):
        if macro:
            yield macro, parts


def cell(text):
    return str(text).replace('|', '\\|')


def table(heads, lines):
    out = ['| ' + ' | '.join(heads) + ' |', '|' + '---|' * len(heads)]
    return '\n'.join(out + ['| ' + ' | '.join(cell(part) for part in line) + ' |'
                            for line in lines])


def code(text):
    return f'`{text}`' if text and text != '-' else ''


def value(expression):
    """A number of the rows as people read it: "1 << 30", "8ull << 20", "NONE"."""
    if expression == 'NONE':
        return 'unlimited'
    number = 0
    match = re.fullmatch(r'(\d+)(?:u?l*)(?:\s*<<\s*(\d+))?', expression)
    if not match:
        raise ValueError(f'not a number: {expression}')
    number = int(match.group(1)) << int(match.group(2) or 0)
    return f'{number:,}'


def size(expression):
    """The same as a size: "1 GiB" where it comes out even."""
    if expression == 'NONE':
        return 'unlimited'
    number = int(value(expression).replace(',', ''))
    for shift, unit in ((30, 'GiB'), (20, 'MiB'), (10, 'KiB')):
        if number and number % (1 << shift) == 0:
            return f'{number >> shift} {unit}'
    return f'{number:,}'


UNITS = {'BYTES': 'SIZE', 'COUNT': 'N', 'NANOSECONDS': 'TIME', 'MILLICORES': 'N',
         'BYTES_PER_SECOND': 'SIZE/s', 'COUNT_PER_SECOND': 'N/s'}


def quotas():
    lines = []
    for _, (_, key, unit, default, what, meets) in one_line_rows('quota.def', 'QUOTA'):
        shown = size(default) if unit == 'BYTES' else value(default)
        lines.append((code(f'--{key.replace("_", "-")} {UNITS[unit]}'), code(key), shown, what,
                      meets))
    return table(('option', 'in the report', 'default', 'what is counted',
                  'what the guest meets when it is used up'), lines)


def options():
    lines = []
    for macro, (name, letter, argument, what) in one_line_rows('option.def', 'OPTION', 'HIDDEN'):
        short = f'-{letter[1]}, ' if letter.startswith("'") else ''
        shown = short + '--' + name.replace('_', '-') + ('' if argument == 'NULL' else ' ' +
                                                         argument)
        lines.append((code(shown), what + (' (for tests)' if macro == 'HIDDEN' else '')))
    return table(('option', 'what it does'), lines)


def statuses():
    return table(('status', 'exit code of `cordon run`', 'text'),
                 [(code(name), number if name != 'EXITED' else "the guest's own", text)
                  for _, (name, number, text) in one_line_rows('error.def', 'STATUS')])


def traps():
    return table(('trap', 'text'), [(code(name), text) for _, (name, text) in
                                    one_line_rows('error.def', 'TRAP')])


def signature_words():
    found = [(word, 'the number itself', c)
             for _, (_, word, _, c) in one_line_rows('signature.def', 'NUMBER')]
    found += [(word, meaning, c)
              for _, (_, word, _, c, meaning) in one_line_rows('signature.def', 'PLACE')]
    return table(('word', 'in C', 'meaning'),
                 [(code(word), code(c), meaning) for word, meaning, c in found])


def signature_letters():
    return table(('engine', 'letter', 'stands for'),
                 [({'WAMR': 'WAMR', 'WASM3': 'wasm3'}[dialect], code(letter.strip("'")),
                   code(name.lower())) for _, (dialect, letter, name)
                  in one_line_rows('signature.def', 'LETTER')])


def limits():
    return table(('limit', 'at most', 'what is counted'),
                 [(code(name), value(number), text)
                  for _, (name, number, text) in one_line_rows('limits.def', 'LIMIT')])


def headed(heads, name, macro, line_of, most=99):
    """One table per comment that stands between the rows."""
    out, lines, heading = [], [], ''
    for kind, parts in list(rows(name, macro, most=most)) + [('', [None])]:
        if kind:
            lines.append(line_of(parts))
            continue
        if lines:
            out.append((heading + '\n\n' if heading else '') + table(heads, lines))
            lines = []
        heading = parts[0]
    return '\n\n'.join(out)


def rules():
    return headed(('rule', 'what is wrong with the code', 'number'), 'verify.def', 'RULE',
                  lambda parts: (code(parts[0]), parts[1], parts[2]))


def instructions():
    return headed(('text', 'result', 'operands', 'fields', 'traits', 'meaning'), 'insn.def',
                  'INSN', lambda parts: (code(parts[1]), code(parts[3]), code(parts[4]),
                                         code(parts[5]), '' if parts[2] == '-' else
                                         parts[2].lower(), code(parts[6])), most=7)


def fields():
    return table(('field', 'bytes', 'meaning'),
                 [(code(name), count, text)
                  for _, (name, count, _, text) in one_line_rows('operand.def', 'FIELD')])


def parameter(text):
    """One parameter of a system call in words."""
    kind, _, inside = text.rstrip(')').partition('(')
    parts = [part.strip() for part in inside.split(',')]
    if kind == 'FILE_OP':
        return 'counts as an operation'
    if kind in ('FD', 'FD2', 'FD_OF'):
        needed = ' + '.join(f'`{part}`' for part in parts[1:] if part != 'NONE')
        return parts[0].lower() + (f' with {needed}' if needed else '')
    if kind in ('U32', 'U64', 'STRINGS'):
        return parts[0]
    if kind.startswith('OUT_'):
        return '→ ' + kind[4:].lower()
    return kind.lower().replace('_', ' ')


def calls():
    modules = {'CALL': 'both', 'CALL_EXIT': 'both', 'CALL_NEW': 'preview 1',
               'CALL_CORDON': '`cordon`'}
    lines = []
    for macro, parts in one_line_rows('wasi.def', *modules, most=2):
        given = re.findall(r'\w+(?:\([^)]*\))?', parts[1])
        lines.append((code(parts[0]), modules[macro], '; '.join(parameter(one) for one in given)))
    return table(('call', 'module', 'parameters'), lines)


def rights():
    return table(('right', 'bit', 'for', 'effect'),
                 [(code(name), bit, kinds.lower(), effect.lower()) for _, (name, bit, kinds, effect)
                  in one_line_rows('wasi_rights.def', 'RIGHT')])


def errnos():
    return table(('error', 'number', "the host's"),
                 [(code(parts[0]), parts[1], code(parts[2]) if len(parts) > 2 else '')
                  for _, parts in one_line_rows('wasi_errno.def', 'ERRNO', 'ERRNO_OURS')])


def keys():
    where = {'HOST': 'top', 'VM': 'VM', 'DEFAULT': 'VM, defaults'}
    return table(('key', 'where', 'what it is', 'what it says'),
                 [(code(name.replace('_', '-')), where[place], kind, text)
                  for _, (place, name, kind, text) in one_line_rows('config.def', 'KEY', most=4)])


def states():
    return table(('state', 'meaning'), [(code(text), what) for _, (name, text, what) in
                                        one_line_rows('control.def', 'STATE')])


def requests():
    return table(('`do`', 'members', 'answer', 'what it does'),
                 [(code(name), members, answer, text) for _, (name, members, answer, text)
                  in one_line_rows('control.def', 'REQUEST')])


def refusals():
    return table(('`code`', 'when'), [(code(name), text) for _, (_, name, text)
                                      in one_line_rows('control.def', 'REFUSAL')])


def commands():
    return table(('command', 'what it does'),
                 [(code(f'cordon {name} {given}'), text) for _, (name, _, _, given, text)
                  in one_line_rows('command.def', 'COMMAND') if text != 'NULL'])


def words():
    lines = []
    groups = {'HOSTS': 'all of these', 'CLIENTS': 'all but up'}
    for _, (name, letter, argument, given, text) in one_line_rows('command.def', 'WORD'):
        takers = groups.get(given) or ', '.join(re.findall(r'FOR\((\w+)\)', given))
        short = f'-{letter[1]}, ' if letter.startswith("'") else ''
        shown = '' if argument == 'NULL' else ' ' + argument
        lines.append((code(f'{short}--{name}{shown}'), takers, text))
    return table(('option', 'of', 'what it does'), lines)


def layers():
    return table(('layer', 'required', 'what it is', 'what it needs'),
                 [(code(key), 'yes' if needed == 'true' else 'where present', what, needs)
                  for _, (_, key, needed, what, needs) in one_line_rows('sandbox.def', 'LAYER')])


def sandbox_calls():
    grants = {'BASE': 'always', 'READ | WRITE': 'directories', 'WRITE': 'directories for writing',
              'SOCKETS': 'listeners, sockets', 'THREADS': "a host's workers"}
    return table(('call', 'with', 'what for', 'condition'),
                 [(code(name), grants[given], what, '' if check == 'ANY' else code(check))
                  for _, (name, given, check, what) in one_line_rows('sandbox.def', 'CALL')])


def escapes():
    return headed(('class', 'where it happened', 'test', 'what it does'), 'escape.def', 'ESCAPE',
                  lambda parts: (parts[0], '' if parts[1] == '-' else parts[1],
                                 f'{code(parts[2])}: {parts[3]}', parts[4]))


def parity():
    """Of the command's words, and what embedders call instead."""
    shown = {'OPTION': '`cordon run --{}`', 'QUOTA': 'all quotas', 'COMMAND': '`cordon {}`',
             'WORD': '`--{}` of the commands for hosts', 'KEY': '`{}:` in a file for `cordon up`'}
    lines = []
    for _, (of, name, functions, how) in one_line_rows('api.def', 'SAME'):
        name = name if of == 'KEY' else name.replace('_', '-')
        with_code = ', '.join(code(part) for part in functions.split(', '))
        lines.append((shown[of].format(name), with_code, how))
    return table(('the command', 'the library', ''), lines)


TABLES = {'parity': parity, 'escapes': escapes, 'layers': layers, 'sandbox_calls': sandbox_calls,
          'keys': keys, 'states': states, 'requests': requests, 'refusals': refusals,
          'commands': commands, 'words': words,
          'quotas': quotas, 'options': options, 'statuses': statuses, 'traps': traps,
          'signature_words': signature_words, 'signature_letters': signature_letters,
          'limits': limits, 'rules': rules, 'instructions': instructions, 'fields': fields,
          'calls': calls, 'rights': rights, 'errnos': errnos}


def renewed(text):
    return MARKER.sub(lambda match: f'<!-- table: {match.group(1)} -->\n'
                      f'{TABLES[match.group(1)]()}\n<!-- end -->', text)


def main():
    stale = 0
    for path in sorted(glob.glob(os.path.join(HERE, '*.md'))):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        new = renewed(text)
        if new == text:
            continue
        if '--check' in sys.argv[1:]:
            stale += 1
            print(f'spec/{os.path.basename(path)}:1: a table is not what the rows say: '
                  'run spec/print_tables.py')
        else:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(new)
    return 1 if stale else 0


if __name__ == '__main__':
    sys.exit(main())
