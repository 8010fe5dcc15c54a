"""What each instruction can be used with, and what it then needs: from its row and the sample
module, by the prose of spec/bytecode.md and spec/verifier.md, never by the verifier's code."""
from cases import BASE, PLACES, REFS, KINDS, SAMPLE, DEFAULTS
from sample import STORAGE, kind_of, kinds_of

# What is said of a slot that is read:
FIXED = 'fixed'        # it holds one kind
FREE = 'free'          # it holds anything
PAIR = 'pair'          # it holds what another operand holds
NO_REF = 'no ref'      # it holds anything, but references have no place in an accumulator
ANY_REF = 'any ref'    # it holds a reference of any hierarchy
ARGUMENT = 'argument'  # an argument of a call


class Read:
    def __init__(self, name, delta, kind, how=FIXED):
        self.name, self.delta, self.kind, self.how = name, delta, kind, how


class Setting:
    """Values for the fields; what is read; what comes of it: None, or a rule and its number."""

    def __init__(self, fields=None, reads=(), kind=None, refused=None, func=BASE):
        self.values = dict(PLACES, **DEFAULTS)
        self.values.update(fields or {})
        self.fields = fields or {}
        self.reads, self.kind, self.refused, self.func = list(reads), kind, refused, func
        self.values.setdefault('header', SAMPLE.type_of(func).header()[1])

    def result_kinds(self, row):
        """The kinds of the result's slots."""
        return {'v128': ['number', 'number'], 'any': [self.kind], 'ref': [self.kind],
                'func': ['func'], 'extern': ['extern'], 'obj': ['any'],
                'exn': ['exn']}.get(row.result, ['number'])


def span(kinds, name='first', how=FIXED):
    """Slots side by side."""
    return [Read(name, i, kind, how) for i, kind in enumerate(kinds)]


def operand_reads(form, kind):
    """The slots of the operands where those that may be anything are of this kind, and the rule
    that is broken when such a one must not be."""
    row, forms = form.row, form.variant.forms
    anys = [(o, f) for o, f in zip(row.operands, forms) if o.type == 'any']
    narrow = any(f != 's' for _, f in anys) or (row.result == 'any' and
                                                form.variant.result != 's')
    reads = []
    for operand, f in zip(row.operands, forms):
        if f != 's':
            continue
        if operand.type == 'v128':
            reads += span(['number', 'number'], operand.name)
        elif operand.type in ('func', 'extern', 'exn', 'obj'):
            reads.append(Read(operand.name, 0, {'obj': 'any'}.get(operand.type, operand.type)))
        elif operand.type in ('any', 'ref'):
            reads.append(Read(operand.name, 0, kind))
        else:
            reads.append(Read(operand.name, 0, 'number'))
    slots = any(f == 's' for _, f in anys)
    return reads, ('REF_PLACE', None) if narrow and kind in REFS else None, narrow, slots


def plain(form, fields=None, kind=None, reads=(), refused=None, func=BASE):
    """A setting whose fields give the kind of what may be anything."""
    operands, misplaced, _, _ = operand_reads(form, kind)
    return Setting(fields, operands + list(reads), kind, refused or misplaced, func)


def free(form):
    """MOV, SELECT and the like: nothing gives a kind, the operands have it themselves."""
    for kind in KINDS:
        reads, refused, narrow, slots = operand_reads(form, kind)
        unknown = [r for r in reads if form.row.operands['abc'.index(r.name)].type == 'any']
        for read in unknown:
            read.how = PAIR if len(unknown) > 1 else NO_REF if narrow else FREE
        if kind == 'number' or slots:
            yield Setting({}, reads, kind, refused)


def of_any_reference(form):
    for kind in REFS:
        setting = plain(form, {}, kind)
        for read in setting.reads:
            read.how = ANY_REF
        yield setting


# ---------------------------------------------------------------- what the module has


def globals_(form):
    sets, wide = form.row.name.startswith('GLOBAL_SET'), form.row.name.endswith('V128')
    for index, (type_, is_mutable) in enumerate(SAMPLE.globals):
        if wide != (type_ == 'v128'):
            if is_mutable or not sets:
                yield plain(form, {'global': index}, 'number', refused=('GLOBAL_WIDTH', index))
        elif sets and not is_mutable:
            if kind_of(type_) == 'number' or 's' in form.variant.forms:
                yield plain(form, {'global': index}, kind_of(type_), refused=('CONSTANT', index))
        else:
            yield plain(form, {'global': index}, kind_of(type_))


THREE = ['number'] * 3


def tables(form):
    for index, type_ in enumerate(SAMPLE.tables):
        kind = kind_of(type_)
        reads = span(['number', kind, 'number']) if form.row.name == 'TABLE_FILL' else []
        yield plain(form, {'tab': index}, kind, reads)


def table_pairs(form):
    for to, kind in enumerate(map(kind_of, SAMPLE.tables)):
        if form.row.name == 'TABLE_COPY':
            for source, other in enumerate(map(kind_of, SAMPLE.tables)):
                yield Setting({'tab': to, 'tab2': source}, span(THREE),
                              refused=None if kind == other else ('ELEMENTS', source))
        else:
            for elem, other in enumerate(map(kind_of, SAMPLE.elements)):
                yield Setting({'tab': to, 'elem': elem}, span(THREE),
                              refused=None if kind == other else ('ELEMENTS', to))


def memories(form):
    bulk = span(THREE) if 'first' in form.names else []
    for memory in range(SAMPLE.memories):
        if 'mem2' in form.names:
            for other in range(SAMPLE.memories):
                yield plain(form, {'mem': memory, 'mem2': other}, reads=bulk)
        else:
            yield plain(form, {'mem': memory}, reads=bulk)


def counted(name, count):
    return lambda form: (plain(form, {name: index}) for index in range(count))


# ---------------------------------------------------------------- references


REF_CODES = {'func': 0x70, 'extern': 0x6f, 'any': 0x6e, 'exn': 0x69}
# Heap types of the binary format, hierarchy by hierarchy (core/types.h).
HEAPS = {0: [0x70, 0x73], 1: [0x6f, 0x72], 2: [0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x71],
         3: [0x69, 0x74]}


def cast_word(hierarchy, heap, nullable=1, defined=0):
    return 1 << 31 | nullable << 30 | defined << 29 | hierarchy << 27 | heap


def casts(form):
    for hierarchy, kind in enumerate(REFS):
        for heap in HEAPS[hierarchy]:
            for nullable in (1, 0):
                yield plain(form, {'cast': '0x%x' % cast_word(hierarchy, heap, nullable)}, kind)
    for index, type_ in enumerate(SAMPLE.types):
        hierarchy = 0 if type_.kind == 'func' else 2
        yield plain(form, {'cast': '0x%x' % cast_word(hierarchy, index, 1, 1)}, REFS[hierarchy])


def bad_casts():
    """Words that are no type to cast to."""
    count = len(SAMPLE.types)
    yield from (0, 0x7f, 0x6e, cast_word(2, 0x7f), cast_word(2, 0), cast_word(2, 0x16e),
                cast_word(2, count, 1, 1), cast_word(0, count, 1, 1), cast_word(2, 0xffffff, 1, 1))
    for hierarchy in range(4):
        for other in range(4):
            if hierarchy != other:
                yield from (cast_word(hierarchy, heap) for heap in HEAPS[other])
        for index, type_ in enumerate(SAMPLE.types):
            if hierarchy != (0 if type_.kind == 'func' else 2):
                yield cast_word(hierarchy, index, 1, 1)


# ---------------------------------------------------------------- objects


def storage(type_):
    return STORAGE.get(type_, 'ref')


def wanted_storage(name):
    """What the row of an access is for: STRUCT_GET8_S, ARRAY_SET_F64..."""
    end = name.split('ET', 1)[1].replace('_S', '').replace('_U', '').strip('_')
    return {'REF': 'ref', 'V128': 16, 'F32': 4, 'F64': 8}.get(end) or int(end) // 8


def wrong_types(form, *kinds):
    """Types that are not such as the instruction makes or takes."""
    for index, type_ in enumerate(SAMPLE.types):
        if type_.kind not in kinds:
            yield index


def accesses(form):
    is_struct = form.row.name.startswith('STRUCT')
    wanted = wanted_storage(form.row.name)
    own = 'ref' == wanted
    for index, type_ in enumerate(SAMPLE.types):
        if type_.kind != ('struct' if is_struct else 'array'):
            yield plain(form, {'type': index}, 'extern', refused=('TYPE_KIND', index))
            continue
        for number, field in enumerate(type_.fields):
            fields = {'type': index, 'field': number} if is_struct else {'type': index}
            fits = storage(field) == wanted
            yield plain(form, fields, kind_of(field) if fits and own else 'extern',
                        refused=None if fits else ('FIELD_KIND', index))


def new_objects(form):
    name = form.row.name
    wanted = 'struct' if name.startswith('STRUCT') else 'array'
    for index, type_ in enumerate(SAMPLE.types):
        if type_.kind != wanted:
            yield plain(form, {'type': index}, refused=('TYPE_KIND', index))
        elif name == 'STRUCT_NEW':
            yield plain(form, {'type': index}, reads=span(kinds_of(type_.fields)))
        elif name == 'ARRAY_NEW_FIXED':
            for count in range(4):
                slots = kinds_of(type_.fields * count)
                yield plain(form, {'type': index, 'count': len(slots)}, reads=span(slots))
            if type_.fields == ['v128']:
                yield plain(form, {'type': index, 'count': 3}, reads=span(THREE),
                            refused=('FIELD_KIND', index))
        elif name == 'ARRAY_FILL':
            yield plain(form, {'type': index}, reads=span(
                ['any', 'number'] + kinds_of(type_.fields) + ['number']))
        else:
            yield plain(form, {'type': index})


def from_segments(form):
    init = span(['any'] + THREE) if 'INIT' in form.row.name else []
    data = 'data' in form.names
    for index, type_ in enumerate(SAMPLE.types):
        for segment in range(SAMPLE.datas if data else len(SAMPLE.elements)):
            fields = {'type': index, 'data' if data else 'elem': segment}
            refused = None
            if type_.kind != 'array':
                refused = ('TYPE_KIND', index)
            elif data:
                refused = ('FIELD_KIND', index) if storage(type_.fields[0]) == 'ref' else None
            elif kind_of(type_.fields[0]) != kind_of(SAMPLE.elements[segment]):
                refused = ('FIELD_KIND', index)
            yield plain(form, fields, reads=init, refused=refused)


def array_copies(form):
    reads = span(['any', 'number', 'any', 'number', 'number'])
    for index, to in enumerate(SAMPLE.types):
        for number, source in enumerate(SAMPLE.types):
            refused = None
            if 'array' not in (to.kind, source.kind):
                continue
            if to.kind != 'array' or source.kind != 'array':
                refused = ('TYPE_KIND', index if to.kind != 'array' else number)
            elif storage(to.fields[0]) != storage(source.fields[0]) or \
                    kind_of(to.fields[0]) != kind_of(source.fields[0]):
                refused = ('FIELD_KIND', number)
            yield Setting({'type': index, 'type2': number}, reads, refused=refused)


# ---------------------------------------------------------------- calls, returns, exceptions


def arguments(type_):
    return span(kinds_of(type_.params), 'window', ARGUMENT)


def bases(form, type_):
    """In which functions a call may stand: a tail call in those that have the callee's results."""
    if not form.is_end:
        return [(BASE, None)]
    return [(func, None if SAMPLE.type_of(func).results == type_.results
             else ('TAIL_RESULTS', None)) for func in SAMPLE.own()]


def calls(form):
    imports = form.row.name.endswith('IMPORT')
    for func in range(len(SAMPLE.funcs)):
        if imports != (func < SAMPLE.imported):
            continue
        type_ = SAMPLE.type_of(func)
        for base, refused in bases(form, type_):
            yield plain(form, {'func' if imports else 'code': func}, None, arguments(type_),
                        refused, base)


def indirect_calls(form):
    for index, type_ in enumerate(SAMPLE.types):
        if type_.kind != 'func':
            yield plain(form, {'type': index}, refused=('TYPE_KIND', index))
            continue
        for base, refused in bases(form, type_):
            yield plain(form, {'type': index}, None, arguments(type_), refused, base)
    for table, kind in enumerate(map(kind_of, SAMPLE.tables)):
        if 'tab' in form.names and table:
            yield plain(form, {'tab': table}, func=2,
                        refused=None if kind == 'func' else ('ELEMENTS', table))


def returns(form):
    name = form.row.name
    for func in SAMPLE.own():
        results = SAMPLE.type_of(func).results
        kinds = kinds_of(results)
        kind = kinds[0] if len(kinds) == 1 else 'number'
        fits = {'RET': not kinds, 'RET1_F64': results == ['f64'], 'RET1_F32': results == ['f32'],
                'RET1': len(kinds) == 1 and results[0] not in ('f32', 'f64')}.get(name, True)
        refused = None if fits else ('RESULTS', len(kinds))
        if name == 'RETN':
            yield Setting({'count': len(kinds)}, span(kinds), func=func)
            for count in {0, 1, 2, 3, 7, 0xffff} - {len(kinds)}:
                yield Setting({'count': count}, span(kinds), func=func,
                              refused=('RESULTS', len(kinds)))
        else:
            yield plain(form, {}, kind if fits else 'number', (), refused, func)


def throws(form):
    for tag, type_ in enumerate(SAMPLE.tags):
        yield Setting({'tag': tag}, span(kinds_of(SAMPLE.types[type_].params)))


def only(form):
    yield plain(form)


def settings(form):
    """Every way to use the instruction, the first one accepted where any is."""
    row, names = form.row, form.names
    if row.name in ('MOV', 'SELECT'):
        return free(form)
    if row.name in ('REF_IS_NULL', 'REF_AS_NON_NULL', 'BR_NULL', 'BR_NONNULL'):
        return of_any_reference(form)
    if form.is_call:
        return indirect_calls(form) if 'type' in names else calls(form)
    if 'RETURN' in row.traits:
        return returns(form)
    if row.name == 'THROW':
        return throws(form)
    if 'type2' in names:
        return array_copies(form)
    if 'type' in names:
        if 'data' in names or 'elem' in names:
            return from_segments(form)
        return accesses(form) if '_GET' in row.name or '_SET' in row.name else new_objects(form)
    if 'tab2' in names or ('tab' in names and 'elem' in names):
        return table_pairs(form)
    for name, ways in (('global', globals_), ('tab', tables), ('mem', memories), ('cast', casts),
                       ('elem', counted('elem', len(SAMPLE.elements))),
                       ('data', counted('data', SAMPLE.datas)),
                       ('func', counted('func', len(SAMPLE.funcs)))):
        if name in names:
            return ways(form)
    if 'reftype' in names:
        return (plain(form, {'reftype': kind + 'ref'}, kind) for kind in REFS)
    return only(form)
