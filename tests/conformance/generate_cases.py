#!/usr/bin/env python3
"""Writes cases of register code made from the rows of spec/insn.def: every instruction in every
form, accepted where everything is as it should be, and refused for exactly one reason where one
thing is not.

  generate_cases.py FOLDER

The form of the files is told in spec/conformance.md. What is expected follows from the rows, from
sample.wat and from the prose of spec/bytecode.md and spec/verifier.md.
"""
import shutil
import sys
import os

from cases import (ACCUMULATORS, BASE, BIG, FORMS, FRAME, HERE, KINDS, ROW, ROWS, SAMPLE,
                   SETTERS, SETUP_SIZE, SPARE, WINDOW, Sheet, function, reserved, setup)
from handlers import check_handlers
from sample import kinds_of
from settings import (ANY_REF, ARGUMENT, FIXED, FREE, NO_REF, PAIR, REFS, Setting, bad_casts,
                      settings)
from walks import check_walks

STOP, LABEL = '    unreachable', ['L0: live 0', '    unreachable']
EDGES = ('EXIT', 'SWITCH_BACK', 'NEEDS_CODE')
OWN = EDGES + ('MOV2', 'MOV3', 'ZERO')  # rows whose fields are like no other's
# What reads one kind and refuses the others.
CONSUMERS = {'number': 'i32.eqz s%d, s%%d' % SPARE, 'func': 'table.set s0, s%d, table 0',
             'extern': 'any.convert_extern s%d, s%%d' % SPARE,
             'any': 'extern.convert_any s%d, s%%d' % SPARE, 'exn': 'throw_ref s%d'}
READERS = {'r0': 'i32.eqz s%d, r0', 'r1': 'i32.eqz s%d, r1', 'f0': 'f64.abs s%d, f0',
           'g0': 'f32.abs s%d, g0'}


class Code:
    """The code of a case around one use of an instruction."""

    def __init__(self, form, setting, changes=None, values=None, without=None, move=False):
        """`changes` gives slots another kind, or None: unset. `values` are other fields, `move`:
        and what is read moves with them. `without` is an accumulator that is not set."""
        self.form, self.setting = form, setting
        self.values = dict(setting.values, **values) if values else setting.values
        where = self.values if move else setting.values
        held = {where[read.name] + read.delta: read.kind for read in setting.reads}
        held.update(changes or {})
        self.prologue = [setup(slot, kind) for slot, kind in sorted(held.items())
                         if kind is not None and slot < FRAME]
        names = form.reads_accumulators if without is None else \
            [name for name in ACCUMULATORS if name != without]
        self.accumulators = set(names)
        self.prologue += [SETTERS[name] for name in names]
        self.at = SETUP_SIZE * len(self.prologue)
        self.text = form.text(self.values)
        entries = self.values['table'] if 'table' in form.names else 0
        self.end = self.at + form.size + 8 * min(entries, 2)
        self.entries = ['      | L0, $1'] * min(entries, 2)

    def lines(self, tail=None, entry=1, head=()):
        """The whole function; what follows the instruction is a trap unless it is given."""
        if tail is None:
            tail = ([] if self.form.is_end else [STOP]) + (LABEL if self.form.is_branch else [])
        return [function(self.setting.func, entry), *head,
                *('    ' + line for line in self.prologue), '    ' + self.text, *self.entries,
                *tail]


def representative(all_settings):
    """Of the accepted ones one per way to read slots and to give a result."""
    found = {}
    for one in all_settings:
        if one.refused is None:
            key = tuple((r.name, r.delta, r.kind, r.how) for r in one.reads), one.kind
            found.setdefault(key, one)
    return found.values()


# ---------------------------------------------------------------- verdicts of whole settings


def check_settings(sheet, form, all_settings):
    """Every way to use it: with every global, table, type... that the module has."""
    for one in all_settings:
        code = Code(form, one)
        if one.refused is None:
            sheet.case('uses', 'VARIANT', code.text, None, code.lines())
        else:
            rule, number = one.refused
            sheet.case('uses', rule, code.text, (code.at, number), code.lines())


# ---------------------------------------------------------------- what is read


def refusal(read, slot, kind):
    """The rule that is broken when the slot holds that kind, and its number; None: no rule."""
    if read.how == ARGUMENT:
        return None if kind == read.kind else ('ARGUMENT', slot)
    if kind is None:
        return 'SLOT_UNSET', slot
    if kind == read.kind or read.how == FREE or (read.how == ANY_REF and kind in REFS):
        return None
    return {PAIR: ('KINDS', None), NO_REF: ('REF_PLACE', None)}.get(read.how, ('SLOT_KIND', slot))


def name_of(kind):
    return 'unset' if kind is None else 'a number' if kind == 'number' else kind + 'ref'


def check_reads(sheet, form, setting):
    """Every kind in every slot that is read, one at a time."""
    for read in setting.reads:
        slot = setting.values[read.name] + read.delta
        for kind in [None] + KINDS:
            if kind == read.kind:
                continue
            code = Code(form, setting, {slot: kind})
            broken = refusal(read, slot, kind)
            sheet.case('operands', broken[0] if broken else 'VARIANT',
                       '%s; s%d %s' % (code.text, slot, name_of(kind)),
                       broken and (code.at, broken[1]), code.lines())


def check_places(sheet, form, setting):
    """Slots that are read outside the frame, in the header, among results."""
    counts = {}
    for read in setting.reads:
        if read.how != ARGUMENT:
            counts[read.name] = counts.get(read.name, 0) + 1
    for name, count in counts.items():
        places_of(sheet, 'operands', form, setting, name, count)


def places_of(sheet, file, form, setting, name, count):
    bad = [(FRAME, 'SLOT_FRAME', FRAME)]
    bad += [(slot, 'SLOT_HEADER', slot) for slot in reserved(setting.func)]
    if count > 1:
        bad += [(FRAME - count + 1, 'SLOT_FRAME', FRAME)]
    for slot, rule, number in bad:
        # What lies in the frame of a vector that does not is what it should be.
        code = Code(form, setting, values={name: slot}, move=slot == FRAME - count + 1)
        sheet.case(file, rule, '%s; s%d' % (code.text, slot), (code.at, number), code.lines())


def check_accumulators(sheet, form, setting):
    """An accumulator that is not set, while all others are."""
    for name in form.reads_accumulators:
        code = Code(form, setting, without=name)
        sheet.case('operands', 'ACCUMULATOR', '%s; %s unset' % (code.text, name),
                   (code.at, ACCUMULATORS.index(name)), code.lines())


# ---------------------------------------------------------------- what comes out


def after(code, kind, slot):
    """What follows: the instruction that reads that kind of the slot, and an end."""
    tail = ['    ' + CONSUMERS[kind] % slot] + ([] if kind == 'exn' else [STOP])
    return tail + (LABEL if code.form.is_branch else [])


def check_slot(sheet, file, code, slot, kind):
    """Behind the instruction the slot holds exactly this kind; None: it is unset."""
    for other in KINDS:
        if kind is None:
            verdict = 'SLOT_UNSET', (code.end, slot)
        elif other == kind:
            verdict = 'VARIANT', None
        else:
            verdict = 'SLOT_KIND', (code.end, slot)
        sheet.case(file, verdict[0], '%s; then s%d as %s' % (code.text, slot, name_of(other)),
                   verdict[1], code.lines(after(code, other, slot)))


def check_set_accumulators(sheet, file, code, held):
    """Behind the instruction exactly these accumulators are set."""
    for name in ACCUMULATORS:
        tail = ['    ' + READERS[name] % SPARE, STOP] + (LABEL if code.form.is_branch else [])
        verdict = None if name in held else (code.end, ACCUMULATORS.index(name))
        sheet.case(file, 'ACCUMULATOR', '%s; then %s' % (code.text, name), verdict,
                   code.lines(tail))


def check_result(sheet, form, setting):
    code = Code(form, setting)
    if form.result_in_slot:
        kinds = setting.result_kinds(form.row)
        for i, kind in enumerate(kinds):
            check_slot(sheet, 'results', code, setting.values['d'] + i, kind)
        places_of(sheet, 'results', form, setting, 'd', len(kinds))
    if form.sets_accumulator:
        check_set_accumulators(sheet, 'results', code,
                               code.accumulators | {form.sets_accumulator})


# ---------------------------------------------------------------- numbers of things


INDICES = {'global': ('GLOBAL', len(SAMPLE.globals)), 'mem': ('MEMORY', SAMPLE.memories),
           'mem2': ('MEMORY', SAMPLE.memories), 'tab': ('TABLE', len(SAMPLE.tables)),
           'tab2': ('TABLE', len(SAMPLE.tables)), 'type': ('TYPE', len(SAMPLE.types)),
           'type2': ('TYPE', len(SAMPLE.types)), 'data': ('DATA', SAMPLE.datas),
           'elem': ('ELEMENT', len(SAMPLE.elements)), 'tag': ('TAG', len(SAMPLE.tags)),
           'func': ('CALLEE', len(SAMPLE.funcs)), 'code': ('CALLEE', len(SAMPLE.funcs))}


def wrong_numbers(form, setting):
    """Field, value, rule and the number that it tells."""
    for name in form.names:
        if name in INDICES:
            rule, count = INDICES[name]
            for value in (count, BIG):
                yield name, value, rule, value
        if name == 'field':
            count = len(SAMPLE.types[setting.values['type']].fields)
            for value in (count, BIG):
                yield name, value, 'STRUCT_FIELD', value
        if name == 'code':
            yield name, 1 << 32 | setting.values['code'], 'CALLEE', setting.values['code']
            yield name, 0, 'CALLEE', 0
        if name == 'func' and form.is_call:
            yield name, SAMPLE.imported, 'CALLEE', SAMPLE.imported
        if name == 'reftype':
            for value in (0, 0x68, 0x6b, 0x6c, 0x6d, 0x71, 0x74, 0x7f, 0x16f, BIG):
                yield name, 'type %d' % value, 'REF_TYPE', value
        if name == 'cast':
            for value in bad_casts():
                yield name, '0x%x' % value, 'CAST_TYPE', value
        if name == 'header':
            for value in (setting.values['header'] + 1, 0xffff):
                yield name, value, 'RETURN_HEADER', value


def check_numbers(sheet, form, setting):
    for name, value, rule, number in wrong_numbers(form, setting):
        code = Code(form, setting, values={name: value})
        sheet.case('numbers', rule, code.text, (code.at, number), code.lines())


BARE_RULES = ('GLOBAL', 'MEMORY', 'TABLE', 'DATA', 'ELEMENT', 'TAG')


def check_bare(sheet, form, setting):
    """The same where the module has nothing that has a number, and no memory 0."""
    rules = [INDICES[name][0] for name in form.names if name in INDICES]
    rules = [rule for rule in rules if rule in BARE_RULES]
    if not rules and not {'LOAD', 'STORE'} & set(form.row.traits):
        return
    code = Code(form, setting)
    first = next((name for name in form.names if INDICES.get(name, ('',))[0] in BARE_RULES), None)
    sheet.case('numbers', rules[0] if rules else 'MEMORY', code.text + '; in a bare module',
               (code.at, setting.values[first] if first else 0), code.lines(), module='bare')


# ---------------------------------------------------------------- where it stands


def check_end(sheet, form, setting):
    """Cut off; the last one of the code; before code where control does not come."""
    code = Code(form, setting)
    for words in range(form.size // 8 - 1):
        sheet.case('places', 'CUT', code.text, (0, form.size),
                   [function(setting.func), '    .head ' + code.text] + ['    .word 0'] * words)
    head = LABEL[:1] if form.is_branch else []
    if form.is_end:
        sheet.case('places', 'DEAD', code.text + '; and more', (code.end, None),
                   code.lines([STOP], head=head))
    else:
        sheet.case('places', 'FALLS_OFF', code.text, (code.end, code.end),
                   code.lines([], head=head))


# ---------------------------------------------------------------- branches


def check_branch(sheet, form, setting):
    """A label that is not there; a branch backward that costs nothing."""
    code = Code(form, setting)
    tail = [] if form.is_end else [STOP]
    sheet.case('control', 'FREE_LOOP', code.text + '; backward', None,
               code.lines(tail, head=LABEL[:1]))
    if 'table' in form.names:
        for count in (0, 1000, BIG):
            other = Code(form, setting, values={'table': count})
            sheet.case('control', 'TABLE_END', other.text, (code.at, count), other.lines())
        code.entries[1] = '      | L0, $0'
        other = Code(form, setting)
        other.entries[1] = '      | L1, $1'
    else:
        code = Code(form, setting, values={'taken': 0})
        other = Code(form, setting, values={'target': 1})
    sheet.case('control', 'FREE_LOOP', code.text + '; backward for nothing', (code.at, 0),
               code.lines(tail, head=LABEL[:1]))
    sheet.case('control', 'FREE_LOOP', code.text + '; forward for nothing', None, code.lines())
    sheet.case('control', 'TARGET', other.text, (code.at, 1), other.lines())


def check_maps(sheet, form, setting):
    """What stands in a slot against what the label says of it, all against all."""
    slot = SAMPLE.type_of(setting.func).header()[1] + 2
    for held in [None] + KINDS:
        for said in KINDS:
            refs = ['  .ref s%d:%sref' % (slot, said)] if said in REFS else []
            code = Code(form, setting, {slot: held})
            rule, verdict = 'MAP_REFS', None
            if held is None:
                rule, verdict = 'MAP_UNSET', (code.at, slot)
            elif held != said:
                verdict = code.at, 0
            tail = ([] if form.is_end else [STOP]) + ['L0: live %d' % (slot + 1), *refs, STOP]
            sheet.case('control', rule, '%s; %s, label says %s' % (
                code.text, name_of(held), name_of(said)), verdict, code.lines(tail))


# ---------------------------------------------------------------- calls and throws


def callee_type(form, setting):
    if 'type' in form.names:
        return SAMPLE.types[setting.values['type']]
    return SAMPLE.type_of(setting.values['func' if 'func' in form.names else 'code'])


def check_window(sheet, form, setting):
    """The window as low and as high as it may be, and beyond."""
    header, slots = SAMPLE.type_of(setting.func).header()[1], callee_type(form, setting).header()[1]
    highest = FRAME - slots - 2
    for window in (header + 1, highest + 1, 0, FRAME, 0xffff):
        code = Code(form, setting, values={'window': window})
        sheet.case('calls', 'WINDOW', code.text, (code.at, window), code.lines())
    for window in (highest, header + 2):
        # Below the operands there is not room for every callee.
        if window == highest or window + slots <= 10:
            code = Code(form, setting, values={'window': window}, move=True)
            sheet.case('calls', 'WINDOW', code.text, None, code.lines())


def check_call(sheet, form, setting):
    code, type_ = Code(form, setting), callee_type(form, setting)
    check_window(sheet, form, setting)
    sheet.case('calls', 'FREE_CALL', code.text, (code.at, None), code.lines(entry=0))
    if form.is_end:
        return
    results, params = kinds_of(type_.results), kinds_of(type_.params)
    for i in range(max(len(results), len(params)) + 1):
        check_slot(sheet, 'calls', code, WINDOW + i, results[i] if i < len(results) else None)
    held = {'i32': {'r0'}, 'i64': {'r0'}, 'f32': {'g0'}, 'f64': {'f0'}}
    check_set_accumulators(sheet, 'calls', Code(form, setting, without=''),
                           held.get(type_.results[0], set()) if type_.results else set())
    if not params and not form.reads_accumulators:
        for cost, verdict in (('$1', None), ('$0', (code.end, None))):
            first = Code(form, setting, values={'after': cost[1:]})
            sheet.case('calls', 'FREE_CALL', '%s; then again' % first.text, verdict,
                       first.lines(['    ' + code.text, STOP]))


def check_handler(sheet, form, setting):
    """What a handler's label needs, where something may be thrown."""
    slot = SAMPLE.type_of(setting.func).header()[1] + 2
    for held in [None] + KINDS:
        for said in KINDS:
            refs = ['  .ref s%d:%sref' % (slot, said)] if said in REFS else []
            code = Code(form, setting, {slot: held})
            head = ['    .catch %d to %d any L0 $1 level 0 s%d gives 0' % (code.at, code.end, slot)]
            tail = ([] if form.is_end else [STOP]) + ['L0: live %d' % (slot + 1), *refs, STOP]
            sheet.case('calls', 'HANDLER_MAP', '%s; %s, handler\'s label says %s' % (
                code.text, name_of(held), name_of(said)),
                None if held == said else (code.at, 0), code.lines(tail, head=head))


# ---------------------------------------------------------------- rows like no other


def check_moves(sheet, form):
    """MOV2, MOV3: all sources are read, then all results are written."""
    count = len(form.names) // 2
    names = ['from%d' % i for i in range(count)]
    for kind in KINDS:
        setting = Setting()
        setting.reads = [r for i, name in enumerate(names) for r in
                         one_read(name, kind if i == 0 else REFS[i])]
        code = Code(form, setting)
        sheet.case('uses', 'VARIANT', code.text, None, code.lines())
        for i, read in enumerate(setting.reads):
            check_slot(sheet, 'results', code, setting.values['to%d' % i], read.kind)
        # Around in a circle: each takes what the next one held.
        circle = {'to%d' % i: setting.values[names[(i + 1) % count]] for i in range(count)}
        code = Code(form, setting, values=circle)
        for i, read in enumerate(setting.reads):
            check_slot(sheet, 'results', code, circle['to%d' % i], read.kind)
    check_reads(sheet, form, setting)
    check_places(sheet, form, setting)
    for i in range(count):
        places_of(sheet, 'results', form, setting, 'to%d' % i, 1)
    check_end(sheet, form, setting)


def one_read(name, kind):
    from settings import Read
    return [Read(name, 0, kind, FREE)]


def check_zero(sheet, form):
    first = Setting().values['first']
    for count in (0, 1, 2, 5, FRAME - first):
        setting = Setting({'count': count})
        code = Code(form, setting)
        sheet.case('uses', 'VARIANT', code.text, None, code.lines())
        for i in range(min(count, 5)):
            check_slot(sheet, 'results', code, first + i, 'number')
    setting = Setting({'count': 1})
    places_of(sheet, 'results', form, setting, 'first', 1)
    for count in (FRAME - first + 1, 0xffff):
        code = Code(form, setting, values={'count': count})
        sheet.case('results', 'SLOT_FRAME', code.text, (code.at, FRAME), code.lines())
    code = Code(form, setting, values={'first': 0, 'count': 2})
    sheet.case('results', 'SLOT_HEADER', code.text, (code.at, 1), code.lines())
    check_end(sheet, form, setting)


def check_own(sheet, form):
    if form.row.name in EDGES:
        code = Code(form, Setting())
        sheet.case('uses', 'EDGE', code.text, (0, None), code.lines([]))
    elif form.row.name == 'ZERO':
        check_zero(sheet, form)
    else:
        check_moves(sheet, form)


def check_numbers_of_forms(sheet):
    """Numbers that are no instruction's."""
    count = sum(len(forms) for forms in FORMS.values())
    for number in (count, count + 1, 0xffff, 1 << 16 | 5, 1 << 32 | 5, 1 << 63 | 5, (1 << 64) - 1):
        sheet.case('places', 'VARIANT', 'number %d' % number, (0, number & BIG),
                   [function(BASE), '    .word %d' % number, STOP])


# ---------------------------------------------------------------- everything


def check_form(sheet, form, is_first):
    all_settings = list(settings(form))
    chosen = list(representative(all_settings))
    check_settings(sheet, form, all_settings)
    for setting in chosen:
        check_reads(sheet, form, setting)
        check_places(sheet, form, setting)
        check_accumulators(sheet, form, setting)
        check_result(sheet, form, setting)
        if form.is_call:
            check_call(sheet, form, setting)
    if not chosen:
        return
    check_numbers(sheet, form, chosen[0])
    check_bare(sheet, form, chosen[0])
    check_end(sheet, form, chosen[0])
    if form.is_branch:
        check_branch(sheet, form, chosen[0])
    if is_first and form.is_branch:
        check_maps(sheet, form, chosen[0])
    if is_first and (form.row.name in ('THROW', 'THROW_REF') or
                     form.is_call and not form.is_end):
        check_handler(sheet, form, chosen[0])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sheet = Sheet(sys.argv[1])
    for row in ROWS:
        for form in FORMS[row.name]:
            if row.name in OWN:
                check_own(sheet, form)
            else:
                check_form(sheet, form, form is FORMS[row.name][0])
    check_numbers_of_forms(sheet)
    check_handlers(sheet)
    check_walks(sheet)
    sheet.write()
    for module in ('sample.wat', 'bare.wat'):
        shutil.copyfile(os.path.join(HERE, module), os.path.join(sys.argv[1], module))


if __name__ == '__main__':
    main()
