#!/usr/bin/env python3
"""Hostile WebAssembly modules, made byte by byte.

Usage: modules.py FOLDER      writes them all, and index.json

all_modules() yields (name, bytes, expectation); the expectation is REFUSED, ACCEPTED or EITHER.
Whatever it is: no crash, little memory, little time, and a refusal is one line.
"""
import json
import os
import random
import sys

REFUSED, ACCEPTED, EITHER = 'refused', 'accepted', 'either'
HEADER = b'\0asm\1\0\0\0'
I32, I64, F32, F64, FUNCREF, EXTERNREF = 0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f
TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = \
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
END = b'\x0b'


def leb(value, length=0):
    """An unsigned number, padded to `length` bytes."""
    out = bytearray()
    while True:
        byte, value = value & 0x7f, value >> 7
        out.append(byte | (0x80 if value or len(out) + 1 < length else 0))
        if not value and len(out) >= length:
            return bytes(out)


def vector(items):
    return leb(len(items)) + b''.join(items)


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


def name(text):
    data = text.encode() if isinstance(text, str) else text
    return leb(len(data)) + data


def functype(params=(), results=()):
    return b'\x60' + leb(len(params)) + bytes(params) + leb(len(results)) + bytes(results)


def body(code, local_runs=()):
    content = vector([leb(n) + bytes([t]) for n, t in local_runs]) + code + END
    return leb(len(content)) + content


def module(*sections):
    return HEADER + b''.join(sections)


def one_function(code, local_runs=(), params=(), results=(), before=b''):
    """A module with one function, which it exports as "f"."""
    return module(section(TYPE, vector([functype(params, results)])),
                  section(FUNCTION, vector([leb(0)])), before,
                  section(EXPORT, vector([name('f') + b'\0\0'])),
                  section(CODE, vector([body(code, local_runs)])))


def sample():
    """A small module that has every section."""
    return module(
        section(0, name('about') + b'nothing'),
        section(TYPE, vector([functype(), functype([I32, I32], [I32]), functype([I64], [F64])])),
        section(IMPORT, vector([name('env') + name('f') + b'\0\1',
                                name('env') + name('g') + b'\3' + bytes([I32, 0])])),
        section(FUNCTION, vector([leb(1), leb(0), leb(2)])),
        section(TABLE, vector([bytes([FUNCREF, 1, 4, 8]), bytes([EXTERNREF, 0, 1])])),
        section(MEMORY, vector([bytes([1, 1, 2])])),
        section(GLOBAL, vector([bytes([I32, 1]) + b'\x41\x2a' + END,
                                bytes([I64, 0]) + b'\x42\x01\x42\x02\x7c' + END])),
        section(EXPORT, vector([name('memory') + b'\2\0', name('add') + b'\0\1'])),
        section(START, leb(2)),
        section(ELEMENT, vector([b'\0\x41\0' + END + vector([leb(1), leb(2)]),
                                 b'\5\x70' + vector([b'\xd2\1' + END, b'\xd0\x70' + END])])),
        section(DATA_COUNT, leb(2)),
        section(CODE, vector([
            body(b'\x20\0\x20\1\x6a\x04\x7f\x20\0\x05\x41\x01\x0b', [(2, I32), (1, F64)]),
            body(b'\x02\x40\x03\x40\x41\0\x0d\1\x0c\0\x0b\x0b\x41\0\x41\0\x41\3\xfc\x08\1\0'),
            body(b'\x20\0\xb9\x41\0\x41\1\x41\0\x11\1\0\x1a'),
        ])),
        section(DATA, vector([b'\0\x41\0' + END + name('hello'), b'\1' + name('bye')])),
        section(0, name('name') + b'\0\4\3mod' + b'\1\6' + vector([leb(1) + name('add')])),
    )


def truncated():
    whole = sample()
    for size in range(len(whole)):
        yield f'truncated at {size}', whole[:size], EITHER if size >= 8 else REFUSED


def mutated(count=400):
    """Each byte replaced by the values that numbers and operators turn on."""
    whole = sample()
    for at in range(len(whole)):
        for value in (0x00, 0x7f, 0x80, 0xff, whole[at] ^ 1):
            yield f'byte {at} is {value:#x}', whole[:at] + bytes([value]) + whole[at + 1:], EITHER
    chance = random.Random(1)
    for number in range(count):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(8, len(data))
            kind = chance.randrange(3)
            if kind == 0:
                data[at] = chance.randrange(256)
            elif kind == 1:
                data[at:at + 1] = leb(chance.getrandbits(32), chance.randint(0, 5))
            else:
                del data[at:at + chance.randint(1, 4)]
        yield f'mutation {number}', bytes(data), EITHER


def numbers():
    """Numbers that are too long, too large, or larger than what follows."""
    for number in range(1, 13):
        yield f'section {number} claims 4 GiB', HEADER + bytes([number]) + leb(2**32 - 1), REFUSED
        for count in (2**32 - 1, 2**31, 10**6, 1000):
            data = module(section(number, leb(count) + b'\0' * 16))
            yield f'section {number} claims {count} entries', data, REFUSED
        data = HEADER + bytes([number]) + b'\x80\x80\x80\x80\x80\0'
        yield f'section {number} with a size of 6 bytes', data, REFUSED
        data = HEADER + bytes([number]) + b'\xff\xff\xff\xff\x7f'
        yield f'section {number} with a size of 35 bits', data, REFUSED
    yield 'a name of 4 GiB', module(section(0, leb(2**32 - 1))), REFUSED
    yield 'an import with a name of 4 GiB', \
        module(section(IMPORT, leb(1) + leb(2**32 - 1) + b'abc')), REFUSED
    yield 'a data segment of 4 GiB', module(
        section(MEMORY, vector([b'\0\1'])),
        section(DATA, leb(1) + b'\1' + leb(2**32 - 1) + b'abc')), REFUSED
    yield 'elements without end', module(
        section(TABLE, vector([bytes([FUNCREF, 0, 0])])),
        section(ELEMENT, leb(1) + b'\1\0' + leb(2**32 - 1) + b'\0' * 100)), REFUSED
    yield 'a long way to write 0', module(section(TYPE, b'\x80\x80\x80\x80\0')), ACCEPTED
    yield 'a body of 4 GiB', module(
        section(TYPE, vector([functype()])), section(FUNCTION, vector([leb(0)])),
        section(CODE, leb(1) + leb(2**32 - 1) + b'\0\x0b')), REFUSED
    yield 'br_table without end', one_function(b'\x41\0\x0e' + leb(2**32 - 1) + b'\0'), REFUSED
    yield 'select with types without end', one_function(b'\x1c' + leb(2**32 - 1)), REFUSED


def limits():
    """At a limit, and one behind it."""
    for count, expect in ((50000, ACCEPTED), (50001, REFUSED), (2**32 - 1, REFUSED)):
        yield f'{count} locals', one_function(b'', [(count, I32)]), expect
    yield 'locals that sum up to 2^32', one_function(b'', [(2**31, I32), (2**31, I64)]), REFUSED
    yield '50001 locals one by one', one_function(b'', [(1, I32)] * 50001), REFUSED
    yield '1000000 empty runs of locals', one_function(b'', [(0, I32)] * 10**6), ACCEPTED
    for count, expect in ((1000, ACCEPTED), (1001, REFUSED), (100000, REFUSED)):
        yield f'{count} parameters', one_function(b'', params=[I32] * count), expect
        yield f'{count} results', one_function(b'\0', results=[I32] * count), expect
    yield 'memory of 65536 pages', module(section(MEMORY, vector([b'\0' + leb(65536)]))), EITHER
    yield 'memory of 65537 pages', module(section(MEMORY, vector([b'\0' + leb(65537)]))), REFUSED
    yield 'memory of up to 65537 pages', \
        module(section(MEMORY, vector([b'\1\0' + leb(65537)]))), REFUSED
    yield 'two memories', module(section(MEMORY, vector([b'\0\0', b'\0\0']))), ACCEPTED
    yield 'a table of 2^32-1 entries', \
        module(section(TABLE, vector([bytes([FUNCREF, 0]) + leb(2**32 - 1)]))), EITHER
    yield '100001 tables', \
        module(section(TABLE, vector([bytes([FUNCREF, 0, 0])] * 100001))), REFUSED
    yield '1000001 types', module(section(TYPE, vector([functype()] * 1000001))), REFUSED
    yield '1000001 functions', module(section(TYPE, vector([functype()])), section(
        FUNCTION, leb(1000001) + b'\0' * 1000001)), REFUSED
    yield 'a constant expression of 100 kB', module(section(GLOBAL, vector(
        [bytes([I32, 0]) + b'\x41\0' + b'\x41\0\x6a' * 33000 + END]))), REFUSED
    yield 'a constant expression of 60 kB', module(section(GLOBAL, vector(
        [bytes([I32, 0]) + b'\x41\0' + b'\x41\0\x6a' * 20000 + END]))), ACCEPTED


def deep():
    for op, text in ((b'\x02\x40', 'block'), (b'\x03\x40', 'loop'), (b'\x41\0\x04\x40', 'if')):
        for depth in (1000, 100000):
            yield f'{text} nested {depth} deep', one_function(op * depth + END * depth), ACCEPTED
        yield f'{text} nested 2000000 deep', one_function(op * 2000000 + END * 2000000), REFUSED
        yield f'{text} opened 100000 times', one_function(op * 100000), REFUSED
    yield 'a stack of 60000 values', \
        one_function(b'\x41\0' * 60000 + b'\x1a' * 60000), EITHER
    yield 'a stack of 1000001 values', \
        one_function(b'\x41\0' * 1000001 + b'\x1a' * 1000001), REFUSED
    yield 'a sum nested 30000 deep', \
        one_function(b'\x41\0' * 30000 + b'\x6a' * 29999, results=[I32]), ACCEPTED
    many = functype([I64] * 1000, [I64] * 1000)
    calls = module(section(TYPE, vector([many])), section(FUNCTION, vector([leb(0)])),
                   section(CODE, vector([body(b'\0' + b'\x10\0' * 200000)])))
    yield '200000 calls of 1000 parameters in dead code', calls, EITHER
    blocks = module(section(TYPE, vector([many])), section(FUNCTION, vector([leb(0)])),
                    section(CODE, vector([body(b'\0' + b'\x02\0' * 2000 + END * 2000)])))
    yield '2000 blocks of 1000 parameters in dead code', blocks, EITHER
    table = b'\x41\0\x0e' + leb(500000) + b'\0' * 500001
    yield 'br_table with 500000 targets', one_function(table), ACCEPTED
    wide = module(section(TYPE, vector([many])), section(FUNCTION, vector([leb(0)])), section(
        CODE, vector([body(b'\0\x0e' + leb(500000) + b'\0' * 500001)])))
    yield 'br_table with 500000 targets of 1000 values', wide, EITHER


def slow():
    """Functions made so that a translator which searches its stack, its blocks or its labels
    would take quadratic time."""
    n = 20000
    gets = b''.join(b'\x20' + leb(i) for i in range(n)) + b'\x41\x01' * n
    sets = b''.join(b'\x41\x00\x21' + leb(i) for i in range(n))
    yield 'locals looked for below a deep stack', \
        one_function((gets + sets + b'\x1a' * (2 * n)) * 5, [(n, 0x7f)]), ACCEPTED
    yield 'tables inside many blocks', \
        one_function(b'\x02\x40' * 100000 +
                     b'\x02\x40\x41\x00\x0e\x01\x00\x01\x0b' * 100000 +
                     END * 100000), ACCEPTED
    yield 'tables with values inside many blocks', \
        one_function(b'\x02\x40' * 50000 +
                     b'\x02\x7f\x41\x07\x41\x09\x41\x00\x0e\x01\x00\x00\x0b\x1a' * 50000 +
                     END * 50000), ACCEPTED
    yield 'a reference below a deep stack, and many labels', \
        one_function(b'\xd0\x70' + b'\x41\x00' * 60000 +
                     b'\x03\x40\x41\x00\x0d\x00\x0b' * 50000 + b'\x1a' * 60001), EITHER
    yield 'branches that carry many values', \
        one_function(b'\x41\x00' * 2000 + b'\x02\x40' + (b'\x41\x00' * 900 + b'\x41\x00' +
                     b'\x0d\x00' + b'\x1a' * 900) * 50 + END +
                     b'\x1a' * 2000), EITHER


def order():
    types = section(TYPE, vector([functype()]))
    functions = section(FUNCTION, vector([leb(0)]))
    code = section(CODE, vector([body(b'')]))
    yield 'code before functions', module(types, code, functions), REFUSED
    yield 'types twice', module(types, types), REFUSED
    yield 'functions without code', module(types, functions), REFUSED
    yield 'code without functions', module(types, code), REFUSED
    yield 'functions without types', module(functions, code), REFUSED
    yield 'data count behind code', \
        module(types, functions, code, section(DATA_COUNT, leb(0))), REFUSED
    yield 'data count without data', module(section(DATA_COUNT, leb(1))), REFUSED
    yield 'an unknown section', module(section(14, b'')), REFUSED
    yield 'a section that is too short', module(b'\1\4\1\x60\0\0\0'), REFUSED
    yield 'a body that goes on behind its end', \
        module(types, functions, section(CODE, vector([body(b'\x0b\x01')]))), REFUSED
    yield 'a custom section with a broken name', module(section(0, b'\4ab')), REFUSED
    yield 'a custom section with a name that is no text', module(section(0, b'\1\xff')), REFUSED
    yield '100000 custom sections', module(section(0, name('x')) * 100000), ACCEPTED
    yield 'a text file', b'(module (func))\n', ACCEPTED
    yield 'a text file of something else', b'(modules (func))\n', REFUSED
    yield 'a component', b'\0asm\x0d\0\1\0', REFUSED
    yield 'SIMD', one_function(b'\xfd\x0c' + b'\0' * 16 + b'\x1a'), ACCEPTED


def names_section():
    """Broken names are nobody's error."""
    def with_names(content):
        return one_function(b'') + section(0, name('name') + content)
    for text, content in (
            ('empty', b''), ('one byte', b'\1'), ('claims 4 GiB', b'\1' + leb(2**32 - 1)),
            ('too many names', b'\1\5' + leb(2**32 - 1)),
            ('no text', b'\1\4\1\0\1\xff'), ('unknown part', b'\x63\1\0'),
            ('an index too large', b'\1\5\1\x63\2ab'),
            ('names out of order', b'\1\7\2\0\1b\0\1a')):
        yield f'name section: {text}', with_names(content), ACCEPTED


def many():
    """Much of everything, in few bytes each."""
    types = section(TYPE, vector([functype()]))
    count = 200000
    yield f'{count} functions', module(
        types, section(FUNCTION, leb(count) + b'\0' * count),
        section(CODE, leb(count) + body(b'') * count)), ACCEPTED
    yield f'{count // 10} functions with 50000 locals', module(
        types, section(FUNCTION, leb(count // 10) + b'\0' * (count // 10)),
        section(CODE, leb(count // 10) + body(b'', [(50000, I64)]) * (count // 10))), EITHER
    yield f'{count} exports', module(
        types, section(FUNCTION, vector([leb(0)])),
        section(EXPORT, vector([name(str(i)) + b'\0\0' for i in range(count)])),
        section(CODE, vector([body(b'')]))), ACCEPTED
    yield f'{count} exports of one name', module(
        types, section(FUNCTION, vector([leb(0)])),
        section(EXPORT, vector([name('x') + b'\0\0'] * count)),
        section(CODE, vector([body(b'')]))), REFUSED
    yield 'exports that differ in their last letter', module(
        types, section(FUNCTION, vector([leb(0)])),
        section(EXPORT, vector([name('x' * 5000 + f'{i:04}') + b'\0\0' for i in range(2000)])),
        section(CODE, vector([body(b'')]))), ACCEPTED
    yield f'{count} globals', module(section(GLOBAL, vector(
        [bytes([I32, 0]) + b'\x41\0' + END] * count))), ACCEPTED
    yield 'globals that build on one another', module(section(GLOBAL, vector(
        [bytes([I32, 0]) + b'\x41\1' + END] +
        [bytes([I32, 0]) + b'\x23' + leb(i) + b'\x23' + leb(i) + b'\x6a' + END
         for i in range(10000)]))), ACCEPTED
    yield f'{count} imports', module(
        types, section(IMPORT, vector([name('') + name('') + b'\0\0'] * count))), EITHER
    yield f'{count} data segments', module(
        section(MEMORY, vector([b'\0\1'])), section(DATA, vector([b'\1\0'] * count))), ACCEPTED
    yield f'{count} element segments', module(
        section(TABLE, vector([bytes([FUNCREF, 0, 0])])),
        section(ELEMENT, vector([b'\1\0\0'] * count))), ACCEPTED
    yield f'{count} types', module(section(TYPE, vector([functype([I32])] * count))), ACCEPTED


def flooding():
    """Names and types that collide in tables with the usual hashes: sums of letters, times 31, 33
    or 65599 (what is "Aa" there is "BB"), CRCs of equal ends. A module of them must take no longer
    than one of others."""
    bits = 15
    names = [''.join('BB' if number >> bit & 1 else 'Aa' for bit in range(bits))
             for number in range(1 << bits)]
    orders = [''.join('ab' if number >> bit & 1 else 'ba' for bit in range(bits))
              for number in range(1 << bits)]
    types = section(TYPE, vector([functype()]))
    one = types + section(FUNCTION, vector([leb(0)]))
    for kind, words in (('31', names), ('sums', orders)):
        yield f'exports that collide: {kind}', module(
            one, section(EXPORT, vector([name(word) + b'\0\0' for word in words])),
            section(CODE, vector([body(b'')]))), ACCEPTED
        yield f'imports that collide: {kind}', module(
            types, section(IMPORT, vector([name(word) + name(word) + b'\0\0'
                                           for word in words]))), ACCEPTED
        yield f'names in a text that collide: {kind}', (
            '(module' + ''.join(f'(func ${word})' for word in words) +
            ''.join(f'(export "{word}" (func ${word}))' for word in words) +
            ')').encode(), ACCEPTED
    pair = ((I32, F32), (F32, I32))  # of an equal sum, and an equal exclusive or
    lists = [[kind for bit in range(bits) for kind in pair[number >> bit & 1]]
             for number in range(1 << bits)]
    yield 'types that collide', module(
        section(TYPE, vector([functype(params) for params in lists]))), ACCEPTED
    yield 'groups of types that collide', module(
        section(TYPE, vector([b'\x4e' + vector([functype(params), functype(params[::-1])])
                              for params in lists[::4]]))), ACCEPTED


def memories():
    """Memories and tables of all kinds, and accesses of them."""
    small, shared, wide = 8, 3, 4  # flags of limits: a page size follows; shared with a maximum
    types = section(TYPE, vector([functype([I64, I32], [I64])]))

    def accessing(limits, code, count=1):
        return module(types, section(FUNCTION, vector([b'\0'])),
                      section(MEMORY, vector([limits] * count)),
                      section(CODE, vector([body(code)])))

    yield '1001 memories', module(section(MEMORY, vector([b'\0\0'] * 1001))), REFUSED
    yield '1000 memories of 64 bits', module(
        section(MEMORY, vector([b'\5\0' + leb(1 << 48)] * 1000))), ACCEPTED
    yield 'a memory of 2^48 pages', module(
        section(MEMORY, vector([b'\4' + leb(1 << 48)]))), ACCEPTED
    yield 'a memory of more', module(
        section(MEMORY, vector([b'\4' + leb((1 << 48) + 1)]))), REFUSED
    yield 'a memory of 2^64 - 1 bytes', module(section(MEMORY, vector(
        [bytes([small | wide]) + leb((1 << 64) - 1) + b'\0']))), ACCEPTED
    for log2 in (1, 12, 15, 17, 31, 32, 63, 64, 1 << 31):
        yield f'pages of 2^{log2} bytes', module(
            section(MEMORY, vector([bytes([small, 0]) + leb(log2)]))), REFUSED
    yield 'shared without a maximum', module(section(MEMORY, vector([b'\2\0']))), REFUSED
    yield 'a table of 2^64 - 1 elements', module(
        section(TABLE, vector([bytes([FUNCREF, 4]) + leb((1 << 64) - 1)]))), ACCEPTED
    for flags in (16, 32, 64, 127, 128):
        yield f'limits with flags {flags}', module(
            section(MEMORY, vector([leb(flags) + b'\0\0\0']))), REFUSED
    load = b'\x20\0\x29'
    yield 'an offset of 64 bits', accessing(b'\4\1', load + b'\3' + leb((1 << 64) - 1)), ACCEPTED
    yield 'an offset of 65 bits', accessing(b'\4\1', load + b'\3' + leb(1 << 64)), REFUSED
    yield 'an offset of 33 bits where addresses have 32', accessing(
        b'\0\1', b'\x20\1\x29\3' + leb(1 << 32)), REFUSED
    yield 'an access of a memory beyond the last', accessing(
        b'\4\1', load + b'\x43' + leb(3) + b'\0', 3), REFUSED
    yield 'an access of memory 2^32 - 1', accessing(
        b'\4\1', load + b'\x43' + leb((1 << 32) - 1) + b'\0'), REFUSED
    atomic = b'\x20\0\xfe\x11'
    yield 'an atomic that is not aligned', accessing(b'\4\1', atomic + b'\2\0'), REFUSED
    yield 'an atomic', accessing(bytes([shared | wide, 1, 2]), atomic + b'\3\0'), ACCEPTED
    yield 'many atomics of many memories', accessing(
        bytes([shared | wide, 0, 2]), b''.join(
            b'\x20\0\x42\1\xfe\x1f\x43' + leb(i % 1000) + leb(1 << 63) + b'\x1a'
            for i in range(20000)) + b'\x42\0', 1000), ACCEPTED


def objects():
    """Types of objects, and references in so many slots that their maps would be too large."""
    any_ref, struct, sub = 0x6e, b'\x5f', b'\x50'
    null = b'\xd0\x6e'

    def with_types(types, code=b'', local_runs=()):
        return module(section(TYPE, vector(types + [functype()])),
                      section(FUNCTION, vector([leb(len(types))])),
                      section(CODE, vector([body(code, local_runs)])))

    yield 'calls below a growing stack of references', \
        with_types([], (null + b'\x10\0') * 20000 + b'\x1a' * 20000), EITHER
    yield 'calls between changes of many references', \
        with_types([], (null + b'\x21\0\x10\0') * 20000, [(40000, any_ref)]), EITHER
    yield 'labels below a growing stack of references', \
        with_types([], (null + b'\x03\x40\x41\0\x0d\0\x0b') * 10000 + b'\x1a' * 10000), EITHER
    yield 'a structure of 10000 fields, often read', \
        with_types([struct + vector([b'\x7f\1'] * 10000)],
                   b''.join(b'\x20\0\xfb\x02\0' + leb(i % 10000) + b'\x1a'
                            for i in range(50000)), [(1, any_ref)]), REFUSED
    yield 'the same of its own type', \
        with_types([struct + vector([b'\x7f\1'] * 10000)],
                   b''.join(b'\xd0\0\xfb\x02\0' + leb(i % 10000) + b'\x1a'
                            for i in range(50000))), ACCEPTED
    yield 'a structure of 10001 fields', \
        with_types([struct + vector([b'\x7f\1'] * 10001)]), REFUSED
    yield 'a structure made of 10000 values, often', \
        with_types([struct + vector([b'\x7f\1'] * 10000)],
                   (b'\x41\0' * 10000 + b'\xfb\0\0\x1a') * 20), ACCEPTED
    yield '100000 different structures', \
        with_types([struct + vector([b'\x63' + leb(i) + b'\1']) if i else struct + b'\0'
                    for i in range(100000)]), EITHER
    yield 'a group of 100000 structures that name each other', \
        with_types([b'\x4e' + vector([struct + vector([b'\x63' + leb((i * 7) % 100000) + b'\1'])
                                      for i in range(100000)])]), EITHER
    yield 'a chain of 63 supertypes', \
        with_types([sub + (b'\1' + leb(i - 1) if i else b'\0') + struct + b'\0'
                    for i in range(64)]), ACCEPTED
    yield 'a chain of 64 supertypes', \
        with_types([sub + (b'\1' + leb(i - 1) if i else b'\0') + struct + b'\0'
                    for i in range(65)]), REFUSED
    yield 'casts of a cast of a cast', \
        with_types([], null + b'\xfb\x17\x6b' * 100000 + b'\x1a'), ACCEPTED
    yield 'branches on casts', \
        with_types([], b'\x02\x6e' + null + b'\xfb\x18\3\0\x6e\x6b' * 50000 + END + b'\x1a'), \
        EITHER


def small_modules():
    """For a seed corpus."""
    yield 'sample', sample(), ACCEPTED
    yield 'empty', HEADER, ACCEPTED
    for group in (order(), names_section()):
        yield from ((n, data, e) for n, data, e in group if len(data) < 1000)


def all_modules():
    yield 'sample', sample(), ACCEPTED
    yield 'empty', HEADER, ACCEPTED
    yield 'no bytes at all', b'', REFUSED
    for group in (truncated, mutated, numbers, limits, deep, slow, order, names_section, many,
                  flooding, memories, objects):
        yield from group()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    index = []
    for number, (title, data, expect) in enumerate(all_modules()):
        path = os.path.join(sys.argv[1], f'{number}.wasm')
        with open(path, 'wb') as out:
            out.write(data)
        index.append([title, path, len(data), expect])
    with open(os.path.join(sys.argv[1], 'index.json'), 'w') as out:
        json.dump(index, out)


if __name__ == '__main__':
    main()
