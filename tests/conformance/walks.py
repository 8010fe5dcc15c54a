"""Cases of random code: moves, calls, branches and labels one after the other, followed by a plain
model of what stands in each slot. The model says where the first rule is broken, and by what; code
in which one instruction breaks two is not used. Always the same code: the generator is seeded."""
import random

from cases import ACCUMULATORS, FORMS, FRAME, KINDS, REFS, SAMPLE, SETTERS, reserved, setup
from sample import kind_of, kinds_of

PROGRAMS = 12000
FUNCTIONS = [2, 4, 5, 8, 14]
ROOM = 8  # slots above the header that are played with
CONSUMERS = {'number': ('I32_EQZ', 's', 's'), 'func': ('TABLE_SET', '', 'ss'),
             'extern': ('ANY_CONVERT_EXTERN', 's', 's'), 'any': ('EXTERN_CONVERT_ANY', 's', 's')}
READERS = {'r0': ('I32_EQZ', 's', 'r'), 'r1': ('I32_EQZ', 's', 'q'),
           'f0': ('F64_ABS', 's', 'f'), 'g0': ('F32_ABS', 's', 'f')}
FORM_OF = {(name, form.variant.result, ''.join(form.variant.forms)): form
           for name, forms in FORMS.items() for form in forms}
HELD_AFTER = {'i32': 'r0', 'i64': 'r0', 'f32': 'g0', 'f64': 'f0'}


class Label:
    """A place to come: which slots are set below `live`, and what they hold."""

    def __init__(self, kinds, live):
        self.kinds, self.live = kinds, live
        self.offset, self.unpaid, self.list = None, False, None

    def refs(self):
        return [(slot, kind) for slot, kind in sorted(self.kinds.items()) if kind in REFS]


class Walk:
    def __init__(self, number):
        self.random = random.Random(number)
        self.func = self.random.choice(FUNCTIONS)
        type_ = SAMPLE.type_of(self.func)
        self.params, self.header = type_.header()
        self.first = self.header + 2
        self.kinds = dict(enumerate(kinds_of(type_.params)))
        self.accumulators, self.lines, self.at = set(), [], 0
        self.entry = self.random.choice([0, 1, 1, 1])
        self.paid, self.reachable, self.verdict = self.entry > 0, True, None
        self.labels = []
        for _ in range(self.random.randrange(6)):
            self.labels.append(self.new_label())
        self.placed = 0

    # ------------------------------------------------------------ choosing

    def new_label(self):
        """Like another one as often as not, with more or less of it."""
        kinds = dict(enumerate(kinds_of(SAMPLE.type_of(self.func).params)))
        live = self.random.randint(self.first, self.first + ROOM)
        if self.random.random() < 0.08:
            live = self.random.randint(0, self.first)
        if self.labels and self.random.random() < 0.6:
            kinds = dict(self.random.choice(self.labels).kinds)
        for slot in range(live):
            if slot not in kinds and slot not in reserved(self.func):
                kinds[slot] = self.random.choice(['number', 'number', *KINDS])
        return Label({s: k for s, k in kinds.items() if s < live}, live)

    def slot(self):
        choice = self.random.random()
        if choice < 0.01:
            return self.random.choice([*reserved(self.func), FRAME, FRAME + 1])
        if choice < 0.1 and self.params:
            return self.random.randrange(self.params)
        return self.first + self.random.randrange(ROOM)

    def slot_with(self, kind):
        """One that holds it where there is one, most of the time."""
        held = [slot for slot, one in self.kinds.items() if one == kind]
        return self.random.choice(held) if held and self.random.random() < 0.97 else self.source()

    def source(self):
        """One that is set, most of the time."""
        if self.kinds and self.random.random() < 0.97:
            return self.random.choice(list(self.kinds))
        return self.slot()

    # ------------------------------------------------------------ the model

    def place(self, slot):
        if slot >= FRAME:
            return {('SLOT_FRAME', slot)}
        return {('SLOT_HEADER', slot)} if slot in reserved(self.func) else set()

    def read(self, slot, kind=None):
        broken = self.place(slot)
        if not broken and slot not in self.kinds:
            return {('SLOT_UNSET', slot)}
        if not broken and kind not in (None, self.kinds[slot]):
            return {('SLOT_KIND', slot)}
        return broken

    def against(self, index):
        """What breaks the map of a label."""
        label, broken = self.labels[index], set()
        for slot, kind in label.kinds.items():
            if slot not in self.kinds:
                broken.add(('MAP_UNSET', slot))
            elif self.kinds[slot] != kind:
                broken.add(('MAP_REFS', index))
        return broken

    def do(self, form, values, broken, *rest):
        """Appends an instruction. False when it breaks more than one thing, or something before it
        does, and is left out."""
        if self.verdict or len(broken) > 1:
            return False
        self.lines += ['    ' + form.text(values), *rest]
        if broken:
            self.verdict = (self.at,) + broken.pop()
        self.at += form.size + 8 * len(rest)
        return True

    # ------------------------------------------------------------ instructions

    def set_slot(self, slot, kind):
        name, form = (('ZERO', FORM_OF['ZERO', '', '']) if kind == 'number' else
                      ('REF_NULL', FORM_OF['REF_NULL', 's', '']))
        values = {'first': slot, 'count': 1, 'd': slot, 'reftype': '%sref' % kind}
        assert form.text(values) == setup(slot, kind), name
        if self.do(form, values, self.place(slot)):
            self.kinds[slot] = kind

    def set_any(self):
        self.set_slot(self.slot(), self.random.choice(['number', *KINDS]))

    def zeroes(self):
        slot, count = self.slot(), self.random.randrange(5)
        touched = range(slot, slot + count)
        broken = [b for s in touched for b in self.place(s)]
        if self.do(FORM_OF['ZERO', '', ''], {'first': slot, 'count': count}, set(broken[:1])):
            self.kinds.update((s, 'number') for s in touched)

    def move(self):
        count = self.random.choice([1, 2, 3])
        sources = [self.source() for _ in range(count)]
        targets = [self.slot() for _ in range(count)]
        broken = set().union(*[self.read(s) for s in sources], *[self.place(s) for s in targets])
        if count == 1:
            form, values = FORM_OF['MOV', 's', 's'], {'d': targets[0], 'a': sources[0]}
        else:
            form, values = FORM_OF['MOV%d' % count, '', ''], {}
            for i in range(count):
                values.update({'from%d' % i: sources[i], 'to%d' % i: targets[i]})
        if self.do(form, values, broken) and not self.verdict:
            self.kinds.update(list(zip(targets, [self.kinds[s] for s in sources])))

    def select(self):
        kind = self.random.choice(KINDS)
        a, b, c, d = self.slot_with(kind), self.slot_with(kind), self.slot_with('number'), \
            self.slot()
        broken = self.read(a) | self.read(b) | self.read(c, 'number') | self.place(d)
        if a in self.kinds and b in self.kinds and self.kinds[a] != self.kinds[b]:
            broken.add(('KINDS', None))
        if self.do(FORM_OF['SELECT', 's', 'sss'], {'a': a, 'b': b, 'c': c, 'd': d}, broken) and \
                not self.verdict:
            self.kinds[d] = self.kinds[a]

    def consume(self):
        kind = self.random.choice(list(CONSUMERS))
        form = FORM_OF[CONSUMERS[kind]]
        if kind not in self.kinds.values() and self.random.random() < 0.9:
            return
        slot, other = self.slot_with(kind), self.slot_with('number')
        if kind == 'func':
            broken = self.read(other, 'number') | self.read(slot, 'func')
            self.do(form, {'a': other, 'b': slot, 'tab': 0}, broken)
        elif self.do(form, {'a': slot, 'd': other}, self.read(slot, kind) | self.place(other)) \
                and not self.verdict:
            self.kinds[other] = {'any': 'extern', 'extern': 'any'}.get(kind, 'number')

    def accumulate(self):
        name = self.random.choice(ACCUMULATORS)
        if self.random.random() < 0.6:
            row, result = {'r0': ('MOV', 'r'), 'r1': ('MOV', 'q'), 'f0': ('CONST_F64', 'r'),
                           'g0': ('CONST_F32', 'r')}[name]
            form = FORM_OF[row, result, 'i' if row == 'MOV' else '']
            assert form.text({'wide': 1, 'k': 1}) == SETTERS[name]
            if self.do(form, {'wide': 1, 'k': 1}, set()):
                self.accumulators.add(name)
        elif name in self.accumulators or self.random.random() < 0.1:
            slot, broken = self.slot(), set()
            if name not in self.accumulators:
                broken = {('ACCUMULATOR', ACCUMULATORS.index(name))}
            if self.do(FORM_OF[READERS[name]], {'d': slot}, broken | self.place(slot)) and \
                    not self.verdict:
                self.kinds[slot] = 'number'

    def global_get(self):
        index = self.random.randrange(len(SAMPLE.globals))
        type_, slot = SAMPLE.globals[index][0], self.slot()
        if type_ != 'v128' and self.do(FORM_OF['GLOBAL_GET', 's', ''],
                                       {'d': slot, 'global': index}, self.place(slot)):
            self.kinds[slot] = kind_of(type_)

    def call(self):
        if not self.paid and self.random.random() < 0.8:
            return
        func = self.random.choice(list(SAMPLE.own()))
        type_ = SAMPLE.type_of(func)
        window = self.first + self.random.randrange(ROOM + 1)
        if self.random.random() < 0.03:
            window = self.random.choice([self.first - 1, FRAME - 1, 0])
        kinds = kinds_of(type_.params)
        for slot, kind in enumerate(kinds, window):
            if window >= self.first and self.kinds.get(slot) != kind and \
                    self.random.random() < 0.97:
                self.set_slot(slot, kind)
        cost = self.random.choice([0, 1, 1, 1])
        broken = set() if self.paid else {('FREE_CALL', None)}
        if window < self.first or window + type_.header()[1] + 2 > FRAME:
            broken.add(('WINDOW', window))
        broken |= {('ARGUMENT', slot) for slot, kind in enumerate(kinds, window)
                   if self.kinds.get(slot) != kind}
        if self.do(FORM_OF['CALL', '', ''], {'code': func, 'window': window, 'after': cost},
                   broken) and not self.verdict:
            self.kinds = {s: k for s, k in self.kinds.items() if s < window}
            self.kinds.update(enumerate(kinds_of(type_.results), window))
            self.accumulators = {HELD_AFTER.get(one) for one in type_.results[:1]} - {None}
            self.paid = cost > 0

    # ------------------------------------------------------------ control

    def prepare(self, index):
        """Makes the slots what the label says, most of the time."""
        label = self.labels[index]
        if self.random.random() < 0.95:
            for slot, kind in label.kinds.items():
                if self.kinds.get(slot) != kind and not self.verdict:
                    self.set_slot(slot, kind)

    def way(self, index, cost):
        """What a branch to the label breaks."""
        label = self.labels[index]
        broken = self.against(index)
        if cost == 0 and label.offset is not None:
            broken.add(('FREE_LOOP', index))
        return broken

    def go(self, index, cost):
        if cost == 0:
            self.labels[index].unpaid = True

    def branch(self):
        if not self.labels or self.verdict:
            return
        index, cost = self.random.randrange(len(self.labels)), self.random.choice([0, 1, 1, 1])
        passed = self.random.choice([0, 1, 1, 1])
        self.prepare(index)
        if self.verdict:
            return
        slot = self.slot_with('number')
        kind = self.random.choice(['BRNZ', 'BRNZ', 'BR', 'BR_TABLE'])
        broken = self.way(index, cost)
        values = {'target': index, 'taken': cost, 'passed': passed, 'a': slot, 'table': 2}
        if kind == 'BR':
            done = self.do(FORM_OF['BR', '', ''], values, broken)
        elif kind == 'BRNZ':
            done = self.do(FORM_OF['BRNZ', '', 's'], values, broken | self.read(slot, 'number'))
        else:
            other = self.random.choice([index, index, self.random.randrange(len(self.labels))])
            broken |= self.way(other, 1) | self.read(slot, 'number')
            done = self.do(FORM_OF['BR_TABLE', '', 's'], values, broken,
                           '      | L%d, $1' % other, '      | L%d, $%d' % (index, cost))
        if done and not self.verdict:
            self.go(index, cost)
            self.reachable = kind == 'BRNZ'
            self.paid = passed > 0

    def label(self):
        """Places the next label; what comes there from above must fit."""
        if self.placed == len(self.labels) or self.verdict:
            return
        index, label = self.placed, self.labels[self.placed]
        if self.reachable:
            self.prepare(index)
            broken = self.against(index)
            if self.verdict or len(broken) > 1:
                return
            if broken:
                self.verdict = (self.at,) + broken.pop()
        label.offset = self.at
        self.placed += 1
        self.lines.append('L%d: live %d' % (index, label.live))
        self.lines += self.refs_of(index)
        self.kinds, self.accumulators = dict(label.kinds), set()
        self.paid = (self.paid or not self.reachable) and not label.unpaid
        self.reachable = True
        self.step()  # so that no two labels stand at one place

    def refs_of(self, index):
        """A list of its own, or a part of one that is there."""
        refs = self.labels[index].refs()
        lists = [(label.list, label.refs()) for label in self.labels[:index]]
        for start, other in lists:
            for i in range(len(other) - len(refs) + 1):
                if refs and other[i:i + len(refs)] == refs and self.random.random() < 0.8:
                    self.labels[index].list = start + i
                    return ['  .refs from %d count %d' % (start + i, len(refs))]
        self.labels[index].list = self.used if refs else 0
        self.used += len(refs)
        return ['  .ref ' + ' '.join('s%d:%sref' % ref for ref in refs)] if refs else []

    used = 0  # entries of the function's list of references

    def step(self):
        """One instruction after which control goes on."""
        before = len(self.lines)
        while len(self.lines) == before and not self.verdict:
            self.random.choice([self.set_any, self.set_any, self.zeroes, self.move, self.move,
                                self.select, self.consume, self.consume, self.accumulate,
                                self.global_get, self.call])()

    def run(self):
        """The whole function."""
        for _ in range(self.random.randrange(4, 24)):
            if self.verdict:
                break
            if not self.reachable:
                if self.placed == len(self.labels):
                    break
                self.label()
            else:
                self.random.choice([self.step] * 5 + [self.branch, self.branch, self.label])()
        self.finish()

    def finish(self):
        """The labels that have been named need places, and the code an end."""
        while self.placed < len(self.labels):
            index, label = self.placed, self.labels[self.placed]
            if self.reachable:
                self.lines.append('    unreachable')
                self.at += 8
            self.lines.append('L%d: live %d' % (index, label.live))
            self.lines += self.refs_of(index)
            self.reachable = True
            self.placed += 1
        if self.reachable:
            self.lines.append('    unreachable')


def check_again(sheet):
    """A branch to where one went before, when a slot has been written since or has become unset:
    nothing that was found out then may be taken for granted."""
    writers = [lambda kind: [setup(3, kind)],
               lambda kind: [setup(9, kind), 'mov s3, s9'],
               lambda kind: [setup(9, kind), 'mov2 s9, s2, s3, s8'],
               lambda kind: [setup(9, kind), 'select s3, s9, s9, s4'],
               lambda kind: ['call func 2, window s3, $1', setup(3, kind)],
               lambda kind: ['call func 2, window s4, $1', setup(3, kind)],
               lambda kind: ['call func %d, window s3, $1' % RETURNS[kind]]]
    sizes = {'zero': 16, 'ref.': 16, 'mov ': 16, 'mov2': 16, 'sele': 16, 'call': 32}
    for held in KINDS:
        refs = ['  .ref s2:externref' + (' s3:%sref' % held if held in REFS else '')]
        label = ['L0: live 4', *refs, '    unreachable']
        start = ['zero s4, x1', setup(2, 'extern'), setup(3, held), 'brnz s4, L0, $1, $1']
        for kind in KINDS:
            for writer in writers:
                insns = start + writer(kind)
                at = sum(sizes.get(insn[:4], 24) for insn in insns)
                sheet.case('control', 'MAP_REFS', '%s, then %s, there again' % (held, insns[-1]),
                           None if kind == held else (at, 0), [HEAD] + [
                               '    ' + insn for insn in insns + ['br L0, $1']] + label)
            # A label in between, where the slot is said to be of that kind.
            between = ['L0: live 4', '  .ref s2:externref' + (
                ' s3:%sref' % kind if kind in REFS else ''), '    br L1, $1']
            sheet.case('control', 'MAP_REFS', '%s, then a label that says %s' % (held, kind),
                       None if kind == held else (START, 1), [HEAD] + [
                           '    ' + insn for insn in start[:-1] + ['br L1, $1']] + between +
                       [line.replace('L0', 'L1') for line in label])


HEAD = 'func 2 frame %d header 0 entry $1' % FRAME
START = 3 * 16 + 16  # where the label stands that comes between
# Functions without parameters that give one value of a kind.
RETURNS = {kind: next(func for func in SAMPLE.own()
                      if kinds_of(SAMPLE.type_of(func).results) == [kind] and
                      not SAMPLE.type_of(func).params) for kind in KINDS}


def check_walks(sheet):
    check_again(sheet)
    for number in range(PROGRAMS):
        walk = Walk(number)
        walk.run()
        lines = ['func %d frame %d header %d entry $%d' % (walk.func, FRAME, walk.header,
                                                           walk.entry)] + walk.lines
        if walk.verdict is None:
            sheet.case('walks', 'MAP_REFS', 'walk %d' % number, None, lines)
        else:
            at, rule, number_ = walk.verdict
            sheet.case('walks', rule, 'walk %d' % number, (at, number_), lines)
