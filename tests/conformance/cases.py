"""How cases are written: forms of instructions as text, code around them, files of cases."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), 'spec'))

import gen_insn  # noqa: E402
from sample import Sample  # noqa: E402

SAMPLE = Sample()
ROWS, FIELDS = gen_insn.read_rows()
ROW = {row.name: row for row in ROWS}
RULES = {name: number.strip('"') for name, _, number in
         gen_insn.rows_of(os.path.join(HERE, '../../spec/verify.def'), 'RULE')}

REFS = ['func', 'extern', 'any', 'exn']
KINDS = ['number'] + REFS
# Where things stand in the frame of every case, above the header of every function.
FRAME, SPARE, WINDOW = 50, 28, 30
PLACES = {'a': 10, 'b': 12, 'c': 14, 'd': 16, 'first': 18, 'window': WINDOW,
          'from0': 10, 'from1': 12, 'from2': 14, 'to0': 16, 'to1': 18, 'to2': 20}
# A function with slots of results between its parameters and its header: (i64) -> (i32 i64 f32).
BASE = 5
SETUP_SIZE = 16
BIG = 0xffffffff

PREFIX = {'CODE': 'func ', 'FUNC': 'func ', 'OFFSET': '+', 'OFFSET64': '+', 'TARGET': 'L',
          'COST': '$', 'AFTER': '$', 'TABLE_SIZE': 'x', 'SLOTS': 'x', 'FIRST': 's',
          'SOURCE': 's', 'RESULT': 's', 'WINDOW': 'window s', 'HEADER': 'header s',
          'GLOBAL': 'global ', 'MEMORY': 'memory ', 'TABLE': 'table ', 'TYPE': 'type ',
          'TAG': 'tag ', 'DATA': 'data ', 'ELEMENT': 'elem ', 'STRUCT_FIELD': 'field ',
          'CAST': 'as ', 'REFTYPE': '', 'BITS32': '', 'BITS64': ''}
DEFAULTS = {'wide': 1, 'upper': 2, 'k': 1, 'm': 1, 'off': 0, 'far': 0, 'target': 0, 'taken': 1,
            'passed': 1, 'after': 1, 'table': 2, 'count': 0, 'tag': 0, 'func': 0, 'code': 1,
            'global': 0, 'mem': 0, 'mem2': 0, 'tab': 0, 'tab2': 0, 'type': 0, 'data': 0,
            'elem': 0, 'reftype': 'externref', 'type2': 0, 'field': 0, 'cast': 0}
# What sets an accumulator, and its number where the rule names one.
SETTERS = {'r0': 'mov r0, 1', 'r1': 'mov r1, 1', 'f0': 'const.f64 f0, 1', 'g0': 'const.f32 g0, 1'}
ACCUMULATORS = list(SETTERS)


def accumulator(of, form):
    """The name of the accumulator, or None for other forms."""
    if form not in ('r', 'q', 'f'):
        return None
    return {'f64': 'f0', 'f32': 'g0'}.get(of, 'r1' if form == 'q' else 'r0')


class Form:
    """An instruction with one form for its result and each operand: how it is written."""

    def __init__(self, row, variant):
        self.row, self.variant = row, variant
        self.fields, self.size, _ = variant.layout(FIELDS)
        self.names = {name: kind for name, _, _, kind, _ in self.fields}
        self.is_branch = 'BRANCH' in row.traits
        self.is_call = 'CALL' in row.traits
        self.is_end = 'END' in row.traits
        self.reads_accumulators = sorted({accumulator(o.type, f) for o, f in
                                          zip(row.operands, variant.forms)} - {None})
        self.sets_accumulator = None
        self.result_in_slot = bool(variant.result) and variant.result in 'sbc'
        words = []
        if row.result:
            words.append(self.result_word())
        for operand, form in zip(row.operands, variant.forms):
            words.append({'s': 's%%(%s)s' % operand.name, 'i': '1'}.get(form) or
                         accumulator(operand.type, form))
        done = {'d'} | {o.name for o in row.operands} if row.operands or row.result else set()
        words += ['%s%%(%s)s' % (PREFIX[kind], name) for name, _, _, kind, _ in self.fields
                  if name not in done]
        self.template = (row.text + ' ' + ', '.join(words)).rstrip()

    def result_word(self):
        form = self.variant.result
        if form != 's':
            self.sets_accumulator = accumulator(self.row.result, {'b': 'r', 'c': 'q'}.get(form,
                                                                                           form))
        if form == 's':
            return 's%(d)s'
        return 's%(d)s/' * (form in 'bc') + self.sets_accumulator

    def text(self, values):
        return self.template % values


FORMS = {row.name: [Form(row, variant) for variant in row.variants()] for row in ROWS}
NUMBERS = {form.variant.name: number for number, form in
           enumerate(form for row in ROWS for form in FORMS[row.name])}


def setup(slot, kind):
    """The instruction that makes a slot hold that."""
    if kind == 'number':
        return 'zero s%d, x1' % slot
    return 'ref.null s%d, %sref' % (slot, kind)


def function(number, entry=1):
    header = SAMPLE.type_of(number).header()[1]
    return 'func %d frame %d header %d entry $%d' % (number, FRAME, header, entry)


def reserved(number):
    """The slots of a function that no instruction may name."""
    params, header = SAMPLE.type_of(number).header()
    return range(params, header + 2)


class Sheet:
    """The files of cases, and how many cases of which kind they hold."""

    def __init__(self, folder):
        self.folder, self.lines, self.cases = folder, {}, {}
        self.accepted = self.refused = 0

    def case(self, file, rule, sentence, expected, lines, module=None):
        """`expected` is None for acceptance, else an offset and the rule's number or None."""
        out = self.lines.setdefault(file, [])
        out.append('case %s: %s' % (rule, sentence[:120]))
        if module:
            out.append('module ' + module)
        if expected is None:
            out.append('expect ok')
            self.accepted += 1
        else:
            number = ' number %d' % expected[1] if RULES[rule] else ''
            out.append('expect refused at %d%s' % (expected[0], number))
            self.refused += 1
        out += lines
        out.append('')
        self.cases[file] = self.cases.get(file, 0) + 1

    def write(self):
        os.makedirs(self.folder, exist_ok=True)
        for file, lines in self.lines.items():
            with open(os.path.join(self.folder, file + '.txt'), 'w', encoding='utf-8') as out:
                out.write('; Made by tests/conformance/generate_cases.py.\n\n')
                out.write('\n'.join(lines))
        for file, count in sorted(self.cases.items()):
            print('%s.txt: %d cases' % (file, count))
        print('%d cases are accepted, %d refused' % (self.accepted, self.refused))
