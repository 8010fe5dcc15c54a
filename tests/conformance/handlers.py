"""Cases of handlers of exceptions: where they stand, what they hand over, which are asked."""
from cases import BIG, FRAME, KINDS, REFS, SAMPLE, setup
from sample import kinds_of

PLAIN = 2  # the function that takes nothing and gives nothing: its slots begin at 2
FIRST = 2
THROW, SIZE = '    throw s2, tag 0', 16
VALUES, REF_FIRST, REF_LAST = 1, 2, 4


def catch(start=0, end=SIZE, tag='any', label='L0', cost=1, level=0, slot=FIRST, gives=0):
    return '    .catch %d to %d %s %s $%d level %d s%d gives %d' % (start, end, tag, label, cost,
                                                                    level, slot, gives)


def code(handlers, live=0, refs=(), before=()):
    """A throw, and the label that handlers lead to, with what stands in slots from FIRST on."""
    lines = ['func %d frame %d header 0 entry $1' % (PLAIN, FRAME), *handlers, *before, THROW,
             'L0: live %d' % live]
    listed = ['s%d:%sref' % (slot, kind) for slot, kind in refs if kind in REFS]
    return lines + (['  .ref ' + ' '.join(listed)] if listed else []) + ['    unreachable']


def handed(tag, gives):
    """The kinds of what is handed over, slot by slot."""
    kinds = kinds_of(SAMPLE.types[SAMPLE.tags[tag]].params) if gives & VALUES else []
    return ['exn'] * (gives & REF_FIRST > 0) + kinds + ['exn'] * (gives & REF_LAST > 0)


def check_gives(sheet):
    """Every tag with everything that can be given, as high and as low as it may stand."""
    for tag in [None] + list(range(len(SAMPLE.tags))):
        name = 'any' if tag is None else 'tag %d' % tag
        for gives in (0, 1, 2, 3, 4, 5, 6, 7, 8, 255):
            well = gives in range(6) and not (tag is None and gives & VALUES)
            count = len(handed(tag, gives)) if well else 1
            places = [(FIRST, True), (FRAME - count, True)]
            if count > 0:
                places += [(FRAME - count + 1, False), (0, False), (1, False), (FRAME, False),
                           (0xffff, False)]
            for slot, fits in places:
                line = catch(tag=name, slot=slot, gives=gives)
                sheet.case('handlers', 'HANDLER', line.strip(),
                           None if well and fits else (0, 0), code([line]))


def check_place(sheet):
    """Labels, tags and ranges that are none."""
    size = SIZE + 8
    bad = [catch(label='L1'), catch(label='L4294967294'), catch(tag='tag %d' % len(SAMPLE.tags)),
           catch(tag='tag %d' % (BIG - 1)), catch(0, 0), catch(8, 8), catch(SIZE, 0),
           catch(0, size + 1), catch(0, BIG), catch(size, size), catch(BIG, BIG)]
    good = [catch(0, size), catch(0, 1), catch(size - 1, size), catch(3, 5),
            catch(label='delegate'), catch(label='delegate', tag='tag 77', gives=255, slot=0xffff)]
    for line in bad:
        sheet.case('handlers', 'HANDLER', line.strip(), (0, 0), code([line]))
        sheet.case('handlers', 'HANDLER', line.strip() + ' behind a good one', (0, 1),
                   code([catch(), line]))
    for line in good:
        sheet.case('handlers', 'HANDLER', line.strip(), None, code([line]))


def check_handed(sheet):
    """What is handed over against what the label says, slot by slot."""
    for tag in range(len(SAMPLE.tags)):
        for gives in range(6):
            kinds = handed(tag, gives)
            line = catch(tag='tag %d' % tag, gives=gives)
            live = FIRST + len(kinds)
            refs = list(enumerate(kinds, FIRST))
            sheet.case('handlers', 'HANDLER_MAP', line.strip(), None, code([line], live, refs))
            sheet.case('handlers', 'HANDLER_MAP', line.strip() + ', one slot more', (0, 0),
                       code([line], live + 1, refs))
            for slot, kind in refs:
                for other in KINDS:
                    if other != kind:
                        wrong = [(s, other if s == slot else k) for s, k in refs]
                        sheet.case('handlers', 'HANDLER_MAP', '%s, s%d said to be %s' % (
                            line.strip(), slot, other), (0, 0), code([line], live, wrong))


def check_asked(sheet):
    """Which handlers are asked: in range, and not passed over by one that delegates."""
    needs = dict(live=FIRST + 1)  # a slot that is not set where the throw stands
    at = 16
    before = ['    zero s9, x1']
    for start, end, asked in ((0, at, False), (0, at + 1, True), (at, at + SIZE, True),
                              (at + 1, at + SIZE, False), (0, at + SIZE, True)):
        sheet.case('handlers', 'HANDLER_MAP', 'in the range %d to %d' % (start, end),
                   (at, 0) if asked else None, code([catch(start, end)], before=before, **needs))
    for delegated in range(3):
        for level in range(4):
            for in_range in (True, False):
                first = catch(*((0, SIZE) if in_range else (SIZE, SIZE + 8)), label='delegate',
                              level=delegated)
                asked = not in_range or level <= delegated
                sheet.case('handlers', 'HANDLER_MAP', 'delegated %s at level %d, asked at %d' % (
                    'here' if in_range else 'elsewhere', delegated, level),
                    (0, 1) if asked else None, code([first, catch(level=level)], **needs))
    sheet.case('handlers', 'HANDLER_MAP', 'asked before the one that delegates', (0, 0),
               code([catch(level=3), catch(label='delegate')], **needs))
    sheet.case('handlers', 'HANDLER_MAP', 'delegated twice', (0, 2),
               code([catch(label='delegate', level=3), catch(label='delegate', level=2),
                     catch(level=2)], **needs))
    sheet.case('handlers', 'HANDLER_MAP', 'delegated twice, not asked', None,
               code([catch(label='delegate', level=3), catch(label='delegate', level=2),
                     catch(level=3)], **needs))


def check_cost(sheet):
    """What a handler leads to is paid for by it."""
    for cost in (0, 1):
        lines = code([catch(cost=cost)])[:-1]
        lines += ['    call func %d, window s2, $1' % PLAIN, '    unreachable']
        sheet.case('handlers', 'FREE_CALL', 'a handler that costs %d' % cost,
                   None if cost else (SIZE, None), lines)


def check_untouched(sheet):
    """Where nothing was thrown, what would have been handed over is not there: behind a call the
    slot holds what it held, and branches find that."""
    call, size = '    call func %d, window s4, $1' % PLAIN, 32
    handled = catch(0, 2 * SIZE + size, slot=3, gives=REF_FIRST)
    for held in KINDS:
        for said in KINDS:
            refs = [ref for ref in ('s3:%sref' % said,) if said in REFS]
            lines = ['func %d frame %d header 0 entry $1' % (PLAIN, FRAME), handled,
                     '    ' + setup(2, 'number'), '    ' + setup(3, held), call, '    br L1, $1',
                     'L0: live 4', '  .ref s3:exnref', '    unreachable',
                     'L1: live 4', *('  .ref ' + ref for ref in refs), '    unreachable']
            sheet.case('handlers', 'MAP_REFS', '%s behind a call, a label says %s' % (held, said),
                       None if held == said else (2 * SIZE + size, 1), lines)
        lines[5] = '    br L0, $1'
        sheet.case('handlers', 'MAP_REFS', '%s behind a call, to the handler\'s label' % held,
                   None if held == 'exn' else (2 * SIZE + size, 0), lines)


def check_handlers(sheet):
    check_untouched(sheet)
    check_gives(sheet)
    check_place(sheet)
    check_handed(sheet)
    check_asked(sheet)
    check_cost(sheet)
