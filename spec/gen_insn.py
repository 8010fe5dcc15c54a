#!/usr/bin/env python3
"""Makes C from the instruction rows: spec/insn.def and spec/operand.def.

  gen_insn.py core OUT.h OUT.c             the enum of instructions, tables of forms and layouts
  gen_insn.py vm OUT.h PARTS OUT.c...      declarations, handler table, and handlers in PARTS files

Each row is expanded into its variants: one per combination of operand forms. A variant is a
fixed layout of fields and one handler. See the head of insn.def.
"""
import itertools
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Source forms and result forms, in the order of enum cn_form and enum cn_result_form.
FORMS = 'srqif'
RESULTS = 'srqbc'
INT_TYPES = ('i32', 'i64', 'n64', 'any')
REF_TYPES = ('ref', 'func', 'extern', 'obj', 'exn')
C_TYPE = {'i32': 'uint32_t', 'i64': 'uint64_t', 'n64': 'uint64_t', 'any': 'uint64_t',
          'f32': 'float', 'f64': 'double', 'ref': 'uint64_t', 'func': 'uint64_t',
          'extern': 'uint64_t', 'obj': 'uint64_t', 'exn': 'uint64_t', 'v128': 'cn_u64x2'}
WORDS = {'label': ['target', 'taken', 'passed'], 'jump': ['target', 'taken'],
         'pairs2': ['from0', 'from1', 'to0', 'to1'],
         'pairs3': ['from0', 'from1', 'from2', 'to0', 'to1', 'to2']}
REPLICAS = int(os.environ.get('CORDON_REPLICAS', '1'))
# For bench/run alone: handlers without fuel, to see what metering costs.
UNMETERED = 'CORDON_UNMETERED' in os.environ


class Operand:
    def __init__(self, text):
        name, _, type_ = text.partition(':')
        self.name = name
        self.suffix = type_[-1] if type_[-1] in 'i!#' else ''
        # The i of an immediate follows a whole type name: "i32i", "anyi".
        self.type = type_[:-1] if self.suffix else type_

    def forms(self):
        if self.suffix == '!':
            return 's'
        if self.suffix == '#':
            return 'i'
        if self.type in ('f32', 'f64'):
            return 'sf' + ('i' if self.suffix == 'i' else '')
        if self.type in REF_TYPES or self.type == 'v128':
            return 's'
        return 'srq' + ('i' if self.suffix == 'i' else '')


class Row:
    def __init__(self, name, text, traits, result, operands, fields, body):
        self.name = name
        self.text = text.strip('"')
        self.traits = [] if traits == '-' else traits.split()
        self.result_slot_only = result.endswith('!')
        self.result = None if result == '-' else result.rstrip('!')
        self.operands = [] if operands == '-' else [Operand(o) for o in operands.split()]
        self.fields = []
        for word in ([] if fields == '-' else fields.split()):
            self.fields += WORDS.get(word, [word])
        self.body = body
        self.hand = 'HAND' in self.traits

    def result_forms(self):
        if self.result is None:
            return ['']
        if self.result_slot_only or self.result in REF_TYPES or self.result == 'v128':
            return ['s']
        if self.result in ('f32', 'f64'):
            return ['s', 'r', 'b']
        return list(RESULTS)

    def operand_forms(self):
        """All combinations, less those that another instruction or another order covers."""
        order = 'rqsif'
        for forms in itertools.product(*[o.forms() for o in self.operands]):
            if 'COMM' in self.traits and order.index(forms[0]) > order.index(forms[1]):
                continue
            if forms[:2] == ('i', 'i') and not (len(forms) == 3 and self.name == 'SELECT'):
                continue
            if 'COMM' in self.traits and len(forms) == 3 and 'STORE' not in self.traits \
                    and forms.count('i') > 1:
                continue
            yield forms

    def variants(self):
        for result in self.result_forms():
            for forms in self.operand_forms():
                if self.name.startswith('MOV') and self.result and \
                        (result, forms[0]) in (('r', 'r'), ('q', 'q'), ('r', 'f')):
                    continue
                yield Variant(self, result, forms)


def split_arguments(text):
    """Splits at commas outside parentheses and quotes, into at most seven parts."""
    parts, depth, quoted, current = [], 0, False, ''
    for c in text:
        if c == '"':
            quoted = not quoted
        if c in '(' and not quoted:
            depth += 1
        if c in ')' and not quoted:
            depth -= 1
        if c == ',' and depth == 0 and not quoted and len(parts) < 6:
            parts.append(current.strip())
            current = ''
        else:
            current += c
    return parts + [current.strip()]


def rows_of(path, macro):
    text = re.sub(r'/\*.*?\*/', lambda m: '\n' * m.group().count('\n'),
                  open(path).read(), flags=re.S)
    return [split_arguments(line[len(macro) + 1:line.rstrip().rindex(')')])
            for line in text.splitlines() if line.startswith(macro + '(')]


def read_rows():
    fields = {}
    for name, size, kind, _ in rows_of(os.path.join(HERE, 'operand.def'), 'FIELD'):
        fields[name] = (int(size), kind)
    for n in range(3):
        fields['from%d' % n] = (2, 'SOURCE')
        fields['to%d' % n] = (2, 'RESULT')
    rows = [Row(*r) for r in rows_of(os.path.join(HERE, 'insn.def'), 'INSN')]
    return rows, fields


class Variant:
    def __init__(self, row, result, forms):
        self.row, self.result, self.forms = row, result, forms
        suffix = ('f' if result == 'r' and row.result in ('f32', 'f64') else result) + \
            ''.join(forms)
        self.name = row.name.lower() + ('_' + suffix if suffix else '')

    def layout(self, kinds):
        """[(field, offset, size, kind, type)] and the size of the whole."""
        row, fields = self.row, []
        if self.result and (self.result in 'sbc'):
            fields.append(('d', 2, 'RESULT', row.result))
        for operand, form in zip(row.operands, self.forms):
            if form == 's' or row.hand:
                fields.append((operand.name, 2, 'SOURCE' if form == 's' else 'PAD', operand.type))
            elif form == 'i':
                fields.append((operand.name, 4, 'IMMEDIATE', operand.type))
        for name in row.fields:
            size, kind = kinds[name]
            fields.append((name, size, kind, 'any'))
        tail = [f for f in fields if f[0] == 'after']
        at, placed = 8, []
        for size in (8, 2, 4):
            for field in fields:
                if field[1] != size or field in tail:
                    continue
                at = (at + size - 1) // size * size
                placed.append((field[0], at, size, field[2], field[3]))
                at += size
        # In front of `after` a call keeps room for its map: see vm/maps.h.
        total = (at + (8 if tail and 'CALL' in row.traits else 4 if tail else 0) + 7) // 8 * 8
        if tail:
            placed.append(('after', total - 4, 4, 'AFTER', 'any'))
        return [f for f in placed if f[3] != 'PAD'], total, \
            {f[0]: f[1] for f in placed}


# ------------------------------------------------------------------ core


def core_header(rows, kinds, out):
    count = sum(1 for r in rows for _ in r.variants())
    field_kinds = sorted({k for _, k in kinds.values()} | {'IMMEDIATE'})
    print('/* Made by spec/gen_insn.py from spec/insn.def and spec/operand.def. */', file=out)
    print('#ifndef CN_CORE_INSN_ROWS_H\n#define CN_CORE_INSN_ROWS_H\n', file=out)
    print('enum cn_insn {', file=out)
    for row in rows:
        print('    CN_INSN_%s,' % row.name, file=out)
    print('    CN_INSN_COUNT\n};\n', file=out)
    print('/* What a field holds; see operand.def. */\nenum cn_field_kind {', file=out)
    for kind in field_kinds:
        print('    CN_FIELD_%s,' % kind, file=out)
    print('};\n', file=out)
    print('#define CN_VARIANT_COUNT %d\n' % count, file=out)
    print('/* Where the named fields of instructions without several layouts stand. */', file=out)
    print('enum {', file=out)
    for row in rows:
        first = next(row.variants())
        if row.hand or not row.operands and not row.result:
            for name, at in first.layout(kinds)[2].items():
                print('    CN_AT_%s_%s = %d,' % (row.name, name, at), file=out)
            print('    CN_SIZE_%s = %d,' % (row.name, first.layout(kinds)[1]), file=out)
    print('};\n\n#endif', file=out)


def type_name(type_):
    return {'n64': 'CN_OF_NUMBER', 'i32': 'CN_OF_NUMBER', 'i64': 'CN_OF_NUMBER',
            'f32': 'CN_OF_F32', 'f64': 'CN_OF_F64', 'any': 'CN_OF_ANY', 'ref': 'CN_OF_REF',
            'func': 'CN_OF_FUNC', 'extern': 'CN_OF_EXTERN', 'obj': 'CN_OF_OBJ', 'exn': 'CN_OF_EXN',
            'v128': 'CN_OF_V128', None: 'CN_OF_NONE'}[type_]


def core_source(rows, kinds, out):
    print('/* Made by spec/gen_insn.py from spec/insn.def and spec/operand.def. */', file=out)
    print('#include "core/insn.h"\n', file=out)
    lut, rows_text, variants, number = [], [], [], 0
    for row in rows:
        numbers, first = {}, number
        for variant in row.variants():
            numbers[(variant.result,) + variant.forms] = number
            variants.append(variant)
            number += 1
        start = len(lut)
        results = RESULTS if row.result else ['']
        for key in itertools.product(results, *[FORMS] * len(row.operands)):
            lut.append(numbers.get(tuple(key), 0xffff))
        traits = ' | '.join('CN_INSN_IS_' + t for t in row.traits if t != 'HOT')
        rows_text.append('    {"%s", %s, %s, 0x%x, {%s}, {%s}, %d, %d, %d},' % (
            row.text, traits or '0', type_name(row.result),
            sum(1 << RESULTS.index(f) for f in row.result_forms() if f),
            ', '.join(type_name(o.type) for o in row.operands) or '0',
            ', '.join('0x%x' % sum(1 << 'srqif'.index(f) for f in o.forms())
                      for o in row.operands) or '0',
            len(row.operands), start, first))
    print('const struct cn_insn_info cn_insn_infos[CN_INSN_COUNT] = {', file=out)
    print('\n'.join(rows_text) + '\n};\n', file=out)
    print('const uint16_t cn_insn_forms[] = {', file=out)
    for i in range(0, len(lut), 12):
        print('    ' + ' '.join('%d,' % n for n in lut[i:i + 12]), file=out)
    print('};\n', file=out)
    print('const struct cn_variant_info cn_variant_infos[CN_VARIANT_COUNT] = {', file=out)
    for variant in variants:
        fields, size, _ = variant.layout(kinds)
        row = variant.row
        forms = [RESULTS.index(variant.result) if variant.result else 0] + \
            [FORMS.index(f) for f in variant.forms]
        forms += [0] * (4 - len(forms))
        text = ', '.join('{CN_FIELD_%s, %d, %s}' % (kind, at, type_name(t))
                         for _, at, _, kind, t in fields)
        print('    {CN_INSN_%s, %d, %d, {%s}, {%s}},' % (
            row.name, size, len(fields), ', '.join(map(str, forms)), text or '{0, 0, 0}'),
            file=out)
    print('};', file=out)


# ------------------------------------------------------------------ vm


def read_operand(operand, form, at):
    type_ = operand.type
    if form == 'i':
        return {'i32': 'IMM32(%d)', 'f32': 'BITS_F32(IMM32(%d))',
                'f64': '(double)BITS_F32(IMM32(%d))'}.get(type_, 'IMM64(%d)') % at
    if form in 'rq':
        accumulator = 'r0' if form == 'r' else 'r1'
        return '(uint32_t)' + accumulator if type_ == 'i32' else accumulator
    if form == 'f':
        return 'f0' if type_ == 'f64' else 'g0'
    return {'i32': 'S32(%d)', 'f32': 'SF32(%d)', 'f64': 'SF64(%d)',
            'v128': 'SV128(%d)'}.get(type_, 'S64(%d)') % at


def result_macro(row, form, at):
    if row.result == 'v128':
        return 'SET_SV128(%d, ' % at
    if row.result == 'f64':
        return {'s': 'SET_SF64(%d, ' % at, 'r': 'SET_F0(', 'b': 'SET_BF64(%d, ' % at}[form]
    if row.result == 'f32':
        return {'s': 'SET_SF32(%d, ' % at, 'r': 'SET_G0(', 'b': 'SET_BF32(%d, ' % at}[form]
    return {'s': 'SET_S(%d, ' % at, 'r': 'SET_R0(', 'q': 'SET_R1(', 'b': 'SET_B(%d, ' % at,
            'c': 'SET_C(%d, ' % at}[form]


# Words for an access: what checks it, with which fields, and what then does it.
ACCESSES = {
    'READ': ('CHECK_ACCESS', ['off'], 'LOADED'),
    'WRITE': ('CHECK_ACCESS', ['off'], 'STORED'),
    'READ64': ('CHECK_ACCESS64', ['off'], 'LOADED'),
    'WRITE64': ('CHECK_ACCESS64', ['off'], 'STORED'),
    'READ_AT': ('CHECK_ACCESS_AT', ['far', 'mem'], 'LOADED_AT'),
    'WRITE_AT': ('CHECK_ACCESS_AT', ['far', 'mem'], 'STORED_AT'),
    'READ_ATOMIC': ('CHECK_ATOMIC', ['far', 'mem'], 'LOADED_AT'),
    'WRITE_ATOMIC': ('CHECK_ATOMIC', ['far', 'mem'], 'STORED_AT'),
    'UPDATE': ('CHECK_ATOMIC', ['far', 'mem'], 'UPDATED'),
}


def hoist_access(body, places):
    """The bounds check of an access comes before everything else, as a statement."""
    for macro, (check, fields, access) in ACCESSES.items():
        found = re.search(r'\b%s\(' % macro, body)
        if not found:
            continue
        at = found.start()
        depth, end = 0, at + len(macro)
        while True:
            depth += {'(': 1, ')': -1}.get(body[end], 0)
            if depth == 0:
                break
            end += 1
        parts = split_arguments(body[at + len(macro) + 1:end])
        rest = '%s(%s)' % (access, ', '.join([parts[0]] + parts[2:]))
        body = body[:at] + rest + (';' if access.startswith('STORED') else '') + body[end + 1:]
        checked = parts[:2] + [str(places[f]) for f in fields]
        return '%s(%s) ' % (check, ', '.join(checked)) + body
    return body


def handler_body(variant, kinds):
    row = variant.row
    fields, size, at = variant.layout(kinds)
    lines = []
    for operand, form in zip(row.operands, variant.forms):
        upper = operand.name.upper()
        lines.append('const %s %s = %s;' % (C_TYPE[operand.type], upper,
                                            read_operand(operand, form, at.get(operand.name, 0))))
    body = hoist_access(row.body, at)
    if row.result:
        body = re.sub(r'\bD\(', lambda m: result_macro(row, variant.result, at.get('d', 0)), body)
        # D(...) is a whole statement.
        body = re.sub(r'\)$', ');', body) if not row.traits.count('BRANCH') else \
            body.replace('SUM) GO_IF', 'SUM); GO_IF')
    body = re.sub(r'\bK\b', 'FIELD32(%d)' % at.get('k', 0), body)
    body = re.sub(r'\bM\b', 'FIELD32(%d)' % at.get('m', 0), body)
    body = re.sub(r'\bWIDE\b', 'FIELD64(%d)' % at.get('wide', 0), body)
    body = re.sub(r'\bUPPER\b', 'FIELD64(%d)' % at.get('upper', 0), body)
    body = re.sub(r'\bGLOBAL\b', 'GLOBAL_AT(%d)' % at.get('global', 0), body)
    body = re.sub(r'\bGLOBAL_V128\b', 'GLOBAL_V128_AT(%d)' % at.get('global', 0), body)
    body = re.sub(r'\bPAGES\b', 'MEMORY_PAGES(%d)' % at.get('mem', 0), body)
    body = re.sub(r'\bCAST\b', 'FIELD32(%d)' % at.get('cast', 0), body)
    body = re.sub(r'\bAS_(STRUCT|ARRAY)\(', r'AS_\1(%d, ' % at.get('type', 0), body)
    body = re.sub(r'\bFIELD_OF\(', r'FIELD_OF(%d, ' % at.get('field', 0), body)
    body = re.sub(r'\bGO_IF\(', 'GO_IF(%d, ' % at.get('target', 0), body)
    body = re.sub(r'\bGO\b', 'GO(%d);' % at.get('target', 0), body)
    body = re.sub(r'\bSWITCH\(', 'SWITCH(%d, %d, ' % (at.get('table', 0), size), body)
    body = re.sub(r'\bRETURN(\w*)\(', r'RETURN\1(%d COMMA ' % at.get('header', 0), body)
    body = body.replace('COMMA )', ')').replace(' COMMA', ',')
    if body.rstrip() and body.rstrip()[-1] not in ';}':
        body += ';'
    lines.append(body)
    if 'END' not in row.traits:
        lines.append(('PASS(%d, %d);' % (at['passed'], size)) if 'BRANCH' in row.traits
                     else 'NEXT(%d);' % size)
    return lines


def emit_handler(variant, kinds, replica, out):
    row = variant.row
    name = variant.name + ('_x%d' % replica if replica else '')
    print('OP(%s)\n{' % name, file=out)
    if row.hand:
        read = read_operand(row.operands[0], variant.forms[0],
                            variant.layout(kinds)[2][row.operands[0].name])
        print('    r0 = %s;\n    CN_TAIL cn_op_%s(CN_ARGS(pc));' % (read, row.name.lower()),
              file=out)
    else:
        for line in handler_body(variant, kinds):
            print('    ' + line, file=out)
    print('}\n', file=out)


def is_written_by_hand(variant):
    """A HAND row whose only form needs no stub in front of the hand-written handler."""
    return variant.row.hand and not variant.row.operands or \
        variant.row.hand and all(o.suffix == '!' for o in variant.row.operands)


def replicas(variant):
    return REPLICAS if 'HOT' in variant.row.traits else 1


def vm_files(rows, kinds, header, part_names):
    variants = [v for r in rows for v in r.variants()]
    names = []
    with open(header, 'w') as out:
        print('/* Made by spec/gen_insn.py: the handlers of all variants. */', file=out)
        print('#ifndef CN_VM_HANDLERS_MADE_H\n#define CN_VM_HANDLERS_MADE_H\n', file=out)
        print('#include "vm/dispatch.h"\n', file=out)
        if UNMETERED:
            print('#undef ENTER\n#define ENTER(p, cost) DISPATCH(p)\n', file=out)
        for row in rows:
            if row.hand:
                print('OP(%s);' % row.name.lower(), file=out)
        for v in variants:
            if is_written_by_hand(v):
                names.append([v.row.name.lower()])
                continue
            names.append([v.name + ('_x%d' % i if i else '') for i in range(replicas(v))])
            for name in names[-1]:
                print('OP(%s);' % name, file=out)
        print('\n#endif', file=out)
    made = [v for v in variants if not is_written_by_hand(v)]
    parts = len(part_names) - 1
    for p in range(parts):
        with open(part_names[p], 'w') as out:
            print('/* Made by spec/gen_insn.py. */\n#include "%s"\n' %
                  os.path.basename(header), file=out)
            for v in made[p * len(made) // parts:(p + 1) * len(made) // parts]:
                for i in range(replicas(v)):
                    emit_handler(v, kinds, i, out)
    with open(part_names[parts], 'w') as out:
        print('/* Made by spec/gen_insn.py. */\n#include "%s"\n' % os.path.basename(header),
              file=out)
        print('const uint16_t cn_handler_first[] = {', file=out)
        first = 0
        for group in names:
            print('    %d,' % first, file=out)
            first += len(group)
        print('    %d,\n};\n\ncn_handler *const cn_handlers[] = {' % first, file=out)
        for group in names:
            for name in group:
                print('    cn_op_%s,' % name, file=out)
        print('};', file=out)


def main():
    rows, kinds = read_rows()
    if sys.argv[1] == 'core':
        with open(sys.argv[2], 'w') as out:
            core_header(rows, kinds, out)
        with open(sys.argv[3], 'w') as out:
            core_source(rows, kinds, out)
    else:
        vm_files(rows, kinds, sys.argv[2], sys.argv[3:])


if __name__ == '__main__':
    main()
