"""Random valid modules, emitted as binaries.

A module has a memory, mutable globals, a table of functions and a few functions; `run(seed)`
calls them in bounded loops and returns a hash of what came out. Expressions are trees over all
numeric operators with locals reused, constants everywhere (immediates, shifts, masks), address
arithmetic, comparisons in branches, tees, calls and blocks with values: what a translator that
fuses operators and allocates accumulators can get wrong. A NaN is replaced by a canonical one as
soon as it is made, because its bits are not determined.

What engines of WebAssembly 3.0 alone can run is made only where `features` asks for it: several
memories with 32-bit and 64-bit addresses (`memories`), atomics (`atomics`), vectors (`vectors`,
see vectors.py), tail calls (`tails`), and either exceptions, references and what is collected
(`objects`, see objects.py) or exceptions in their old encoding (`legacy`, see legacy.py).
"""
import random
import struct

import vectors

I32, I64, F32, F64, V128 = 0x7f, 0x7e, 0x7d, 0x7c, 0x7b
FEATURES = ('memories', 'atomics', 'vectors', 'tails', 'objects')
OLD_FEATURES = ('memories', 'atomics', 'vectors', 'tails', 'legacy')
TYPES = [I32, I64, F32, F64]
PAGES, MOST_PAGES = 1, 3
# The first types of every module: the table's functions, a loop that hands a value to its next
# round, and blocks and functions with two results.
LOOP_TYPES, PAIR_TYPES, SWALLOW_TYPES, CALL_PAIR_TYPES = 1, 5, 21, 37
PAIR_FUNCTIONS = 4

BINARY = {I32: list(range(0x6a, 0x79)), I64: list(range(0x7c, 0x8b)),
          F32: list(range(0x92, 0x99)), F64: list(range(0xa0, 0xa7))}
UNARY = {I32: [0x67, 0x68, 0x69, 0xc0, 0xc1], I64: [0x79, 0x7a, 0x7b, 0xc2, 0xc3, 0xc4],
         F32: list(range(0x8b, 0x92)), F64: list(range(0x99, 0xa0))}
DIVIDE = list(range(0x6d, 0x71)) + list(range(0x7f, 0x83))
# Makes a divisor odd: never 0.
ODD = {I32: b'\x41\x01\x72', I64: b'\x42\x01\x84'}
COMPARE = {I32: list(range(0x46, 0x50)), I64: list(range(0x51, 0x5b)),
           F32: list(range(0x5b, 0x61)), F64: list(range(0x61, 0x67))}
# target type: [(operator bytes, source type)]
CONVERT = {
    I32: [(b'\xa7', I64), (b'\xfc\x00', F32), (b'\xfc\x01', F32), (b'\xfc\x02', F64),
          (b'\xfc\x03', F64), (b'\xbc', F32), (b'\xa8', F32), (b'\xaa', F64)],
    I64: [(b'\xac', I32), (b'\xad', I32), (b'\xfc\x04', F32), (b'\xfc\x05', F32),
          (b'\xfc\x06', F64), (b'\xfc\x07', F64), (b'\xbd', F64), (b'\xb0', F64)],
    F32: [(b'\xb2', I32), (b'\xb3', I32), (b'\xb4', I64), (b'\xb5', I64), (b'\xb6', F64)],
    F64: [(b'\xb7', I32), (b'\xb8', I32), (b'\xb9', I64), (b'\xba', I64), (b'\xbb', F32)],
}
LOADS = {I32: [0x28, 0x2c, 0x2d, 0x2e, 0x2f], I64: [0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35],
         F32: [0x2a], F64: [0x2b]}
STORES = {I32: [0x36, 0x3a, 0x3b], I64: [0x37, 0x3c, 0x3d, 0x3e], F32: [0x38], F64: [0x39]}
# What addresses are made with: constant, and, add, shift left.
INDEX = {I32: (b'\x41', b'\x71', b'\x6a', b'\x74'), I64: (b'\x42', b'\x83', b'\x7c', b'\x86')}
SEGMENT = bytes(range(1, 101))
# Atomics behind 0xfe come in groups of seven: type and binary logarithm of the width of each.
ATOMIC_LOADS, ATOMIC_STORES, ATOMIC_UPDATES, ATOMIC_EXCHANGES = 0x10, 0x17, 0x1e, 0x48
ATOMIC_GROUP = [(I32, 2), (I64, 3), (I32, 0), (I32, 1), (I64, 0), (I64, 1), (I64, 2)]


def uleb(value):
    out = bytearray()
    while True:
        byte = value & 0x7f
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def sleb(value):
    out = bytearray()
    while True:
        byte = value & 0x7f
        value >>= 7
        done = (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40)
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


def vector(items):
    return uleb(len(items)) + b''.join(items)


def section(number, content):
    return bytes([number]) + uleb(len(content)) + content


class World:
    """What the functions of a module have in common."""

    def __init__(self, rng, features):
        self.rng, self.features = rng, features
        self.memories = [I32]  # the types of their addresses
        if 'memories' in features:
            self.memories = [rng.choice([I32, I64]) for _ in range(rng.randint(1, 3))]
        self.types = TYPES + ([V128] if 'vectors' in features else [])

    def memory_section(self):
        return section(5, vector([bytes([5 if t == I64 else 1]) + uleb(PAGES) + uleb(MOST_PAGES)
                                  for t in self.memories]))

    def memory_exports(self):
        return [(b'memory%d' % i, 2, i) for i in range(len(self.memories))]


class Function(vectors.Vectors):
    """The body of one function, typed as it is made."""

    def __init__(self, world, params, result, callees, is_leaf=False):
        rng = world.rng
        self.world = world
        self.rng, self.params, self.result, self.callees = rng, params, result, callees
        self.is_leaf = is_leaf
        self.locals = [rng.choice(world.types) for _ in range(rng.randint(1, 6))]
        self.types = params + self.locals
        self.counters = 0

    def some_local(self, type_):
        found = [i for i, t in enumerate(self.types) if t == type_]
        return self.rng.choice(found) if found else None

    def constant(self, type_):
        r = self.rng
        small = r.choice([0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 63, 64, 255, 256, 65535, -1, -2, -8])
        if type_ == I32:
            v = r.choice([small, r.getrandbits(32) - 2**31, 2**31 - 1, -2**31])
            return b'\x41' + sleb(v)
        if type_ == I64:
            v = r.choice([small, r.getrandbits(64) - 2**63, 2**32, 2**31, -2**31, 2**63 - 1,
                          -2**63, r.getrandbits(33)])
            return b'\x42' + sleb(v)
        v = r.choice([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e10, -1e-10, 0.1, 3.25, 4294967296.0,
                      -2147483649.0, float('inf'), r.uniform(-1e6, 1e6), r.random()])
        if type_ == V128:
            return self.vector_constant()
        if type_ == F32:
            return b'\x43' + struct.pack('<f', v)
        return b'\x44' + struct.pack('<d', v)

    def memory(self):
        return self.rng.randrange(len(self.world.memories))

    def address(self, depth, memory):
        """What mostly lies in the memory, in the shapes that compilers make."""
        r, type_ = self.rng, self.world.memories[memory]
        if type_ == I64 and r.random() < 0.2:
            return self.shaped(depth, I32) + b'\xad'
        return self.shaped(depth, type_)

    def shaped(self, depth, type_):
        r = self.rng
        const, and_, add, shl = INDEX[type_]
        base = self.expression(type_, depth - 1)
        mask = const + sleb(r.choice([0xff, 0xffc, 0xfff8, 0x7fff])) + and_
        shape = r.randrange(6)
        if shape == 0:
            return base + mask
        if shape == 1:
            return base + mask + const + sleb(r.randrange(0, 512)) + add
        index = self.expression(type_, depth - 1) + const + sleb(0xff) + and_
        if shape == 2:
            return base + mask + index + const + sleb(r.choice([1, 2, 3])) + shl + add
        if shape == 3:
            return index + const + sleb(r.choice([1, 2, 3])) + shl + base + mask + add
        if shape == 4:
            return base + mask + index + add
        return base if r.random() < 0.02 else base + mask

    def memory_operand(self, memory, align=0, offsets=(0, 0, 0, 1, 4, 8, 100, 1000)):
        r = self.rng
        offset = r.choice(offsets)
        if self.world.memories[memory] == I64 and r.random() < 0.01:
            offset = r.choice([2**32 - 1, 2**32, 2**40, 2**63, 2**64 - 1, 2**64 - 8])
        if memory == 0 and ('memories' not in self.world.features or r.random() < 0.9):
            return uleb(align) + uleb(offset)
        return uleb(align | 64) + uleb(memory) + uleb(offset)

    def canonical(self, type_, code):
        """A float expression whose NaNs are all the same."""
        if type_ not in (F32, F64):
            return code
        scratch = self.scratch(type_)
        nan = b'\x43' + struct.pack('<I', 0x7fc00000) if type_ == F32 else \
            b'\x44' + struct.pack('<Q', 0x7ff8000000000000)
        equal = b'\x5b' if type_ == F32 else b'\x61'
        get = b'\x20' + uleb(scratch)
        return (code + b'\x22' + uleb(scratch) + nan + get + get + equal +
                b'\x1b\x22' + uleb(scratch))

    def scratch(self, type_):
        for i in range(len(self.types) - 1, len(self.params) - 1, -1):
            if self.types[i] == type_ and i not in self.reserved:
                return i
        self.types.append(type_)
        self.locals.append(type_)
        return len(self.types) - 1

    reserved = ()
    pairs = ()

    def expression(self, type_, depth):
        r = self.rng
        if depth <= 0:
            local = self.some_local(type_)
            if local is not None and r.random() < 0.7:
                return b'\x20' + uleb(local)
            return self.constant(type_)
        if type_ == V128:
            return self.vector(depth)
        kinds = ['binary'] * 6 + ['unary', 'convert', 'load', 'load', 'tee', 'select', 'if',
                                  'leaf', 'leaf', 'global', 'block']
        kinds += ['pair', 'swallow', 'nested', 'rounds']
        if self.pairs:
            kinds.append('call_pair')
        if 'vectors' in self.world.features:
            kinds += ['lane', 'lane']
        if 'atomics' in self.world.features and type_ in (I32, I64):
            kinds += ['atomic', 'atomic']
        if type_ == I32:
            kinds += ['grow', 'compare', 'compare', 'eqz', 'eqz' if self.is_leaf else 'indirect']
        if self.callees:
            kinds.append('call')
        return getattr(self, 'make_' + r.choice(kinds))(type_, depth)

    def make_leaf(self, type_, depth):
        return self.expression(type_, 0)

    def make_binary(self, type_, depth):
        r = self.rng
        op = r.choice(BINARY[type_])
        left = self.expression(type_, depth - 1)
        right = self.constant(type_) if r.random() < 0.35 else self.expression(type_, depth - 1)
        if r.random() < 0.15:
            left = self.constant(type_)
        if op in DIVIDE and r.random() < 0.95:
            right += ODD[type_]
        return self.canonical(type_, left + right + bytes([op]))

    def make_unary(self, type_, depth):
        op = self.rng.choice(UNARY[type_])
        return self.canonical(type_, self.expression(type_, depth - 1) + bytes([op]))

    def make_convert(self, type_, depth):
        op, source = self.rng.choice(CONVERT[type_])
        if op in (b'\xa8', b'\xaa', b'\xb0') and self.rng.random() < 0.9:
            op, source = CONVERT[type_][0]
        return self.canonical(type_, self.expression(source, depth - 1) + op)

    def make_compare(self, type_, depth):
        source = self.rng.choice(TYPES)
        return self.expression(source, depth - 1) + self.expression(source, depth - 1) + \
            bytes([self.rng.choice(COMPARE[source])])

    def make_eqz(self, type_, depth):
        if self.rng.random() < 0.5:
            return self.expression(I32, depth - 1) + b'\x45'
        return self.expression(I64, depth - 1) + b'\x50'

    def make_load(self, type_, depth):
        op, memory = self.rng.choice(LOADS[type_]), self.memory()
        return self.canonical(type_, self.address(depth, memory) + bytes([op]) +
                              self.memory_operand(memory))

    def atomic_operands(self, depth, log2):
        """An address that is aligned, and what follows the operator."""
        r, memory = self.rng, self.memory()
        const, and_, _, _ = INDEX[self.world.memories[memory]]
        address = self.address(depth, memory)
        if r.random() < 0.97:
            address += const + sleb(-8) + and_
        offsets = (0, 0, 8, 16, 1000) if r.random() < 0.97 else (1, 2, 4)
        return address, self.memory_operand(memory, log2, offsets)

    def make_atomic(self, type_, depth):
        r = self.rng
        number = r.choice([i for i, (t, _) in enumerate(ATOMIC_GROUP) if t == type_])
        address, operand = self.atomic_operands(depth, ATOMIC_GROUP[number][1])
        kind = r.randrange(8)
        if kind == 0:
            return address + b'\xfe' + uleb(ATOMIC_LOADS + number) + operand
        values = self.expression(type_, depth - 1)
        if kind == 1:
            values += self.expression(type_, depth - 1)
            return address + values + b'\xfe' + uleb(ATOMIC_EXCHANGES + number) + operand
        return address + values + b'\xfe' + uleb(ATOMIC_UPDATES + 7 * (kind - 2) + number) + operand

    def make_tee(self, type_, depth):
        local = self.writable(type_)
        if local is None:
            return self.expression(type_, depth - 1)
        return self.expression(type_, depth - 1) + b'\x22' + uleb(local)

    def make_select(self, type_, depth):
        return self.expression(type_, depth - 1) + self.expression(type_, depth - 1) + \
            self.expression(I32, depth - 1) + b'\x1b'

    def make_if(self, type_, depth):
        return self.condition(depth) + b'\x04' + bytes([type_]) + \
            self.statements(1, depth - 1) + self.expression(type_, depth - 1) + b'\x05' + \
            self.expression(type_, depth - 1) + b'\x0b'

    def make_block(self, type_, depth):
        r = self.rng
        branch = self.expression(type_, depth - 1) + self.condition(depth) + b'\x0d\x00\x1a'
        return b'\x02' + bytes([type_]) + (branch if r.random() < 0.7 else b'') + \
            self.expression(type_, depth - 1) + b'\x0b'

    def consume_pair(self, type_, other, first):
        """Takes the value of that type from the two on the stack; the other one is stored."""
        local = self.writable(other)
        away = b'\x1a' if local is None else b'\x21' + uleb(local)
        if first:
            return away
        kept = self.scratch(type_)
        return b'\x21' + uleb(kept) + away + b'\x20' + uleb(kept)

    def make_pair(self, type_, depth):
        """A block with two results."""
        r, other = self.rng, self.rng.choice(TYPES)
        first = r.random() < 0.5
        types = (type_, other) if first else (other, type_)
        both = [b''.join(self.expression(t, depth - 1) for t in types) for _ in range(2)]
        leave = both[0] + self.condition(depth - 1) + b'\x0d\x00\x1a\x1a'
        index = PAIR_TYPES + 4 * TYPES.index(types[0]) + TYPES.index(types[1])
        return b'\x02' + sleb(index) + (leave if r.random() < 0.6 else b'') + both[1] + \
            b'\x0b' + self.consume_pair(type_, other, first)

    def make_call_pair(self, type_, depth):
        index, types = self.rng.choice(self.pairs)
        if type_ not in types:
            return self.expression(type_, depth - 1)
        first = types[0] == type_
        other = types[1] if first else types[0]
        return self.expression(I32, depth - 1) + b'\x10' + uleb(index) + \
            self.consume_pair(type_, other, first)

    def make_swallow(self, type_, depth):
        """A block that takes two values and gives one of them or another."""
        other, kept = self.rng.choice(TYPES), self.scratch(type_)
        index = SWALLOW_TYPES + 4 * TYPES.index(other) + TYPES.index(type_)
        return self.expression(other, depth - 1) + self.expression(type_, depth - 1) + \
            b'\x02' + sleb(index) + b'\x21' + uleb(kept) + b'\x1a\x20' + uleb(kept) + \
            self.condition(depth - 1) + b'\x0d\x00\x1a' + self.expression(type_, depth - 1) + \
            b'\x0b'

    def make_nested(self, type_, depth):
        """Branches that carry a value out of one or two blocks, from a switch too."""
        r, begin = self.rng, b'\x02' + bytes([type_])
        ways = vector([uleb(r.randrange(2)) for _ in range(r.randint(0, 4))]) + \
            uleb(r.randrange(2))
        return begin + begin + self.expression(type_, depth - 1) + self.condition(depth - 1) + \
            b'\x0d\x01' + self.expression(I32, depth - 2) + b'\x0e' + ways + b'\x0b' + \
            self.canonical(type_, self.expression(type_, depth - 1) +
                           bytes([r.choice(BINARY[type_])])) + b'\x0b'

    def make_rounds(self, type_, depth):
        """A loop that hands a value from round to round on the stack."""
        r = self.rng
        start = self.expression(type_, depth - 1)
        self.types.append(I32)
        self.locals.append(I32)
        counter, kept = len(self.types) - 1, self.reserved
        self.reserved = tuple(kept) + (counter,)
        body = self.canonical(type_, self.expression(type_, depth - 2) +
                              bytes([r.choice(BINARY[type_])]))
        self.reserved = kept
        step = b'\x20' + uleb(counter) + b'\x41\x7f\x6a\x22' + uleb(counter)
        return start + b'\x41' + sleb(r.randint(1, 4)) + b'\x21' + uleb(counter) + \
            b'\x03' + sleb(LOOP_TYPES + TYPES.index(type_)) + body + step + b'\x0d\x00\x0b'

    def make_grow(self, type_, depth):
        memory = self.memory()
        is_64 = self.world.memories[memory] == I64
        wrap = b'\xa7' if is_64 else b''
        if self.rng.random() < 0.8:
            return b'\x3f' + uleb(memory) + wrap
        pages = self.rng.choice([0, 0, 1, 4, -1])
        return (b'\x42' if is_64 else b'\x41') + sleb(pages) + b'\x40' + uleb(memory) + wrap

    def make_global(self, type_, depth):
        return b'\x23' + uleb(TYPES.index(type_))

    def make_call(self, type_, depth):
        fitting = [c for c in self.callees if c[2] == type_]
        if not fitting:
            return self.expression(type_, depth - 1)
        index, params, _ = self.rng.choice(fitting)
        return b''.join(self.expression(p, depth - 2) for p in params) + b'\x10' + uleb(index)

    def make_indirect(self, type_, depth):
        # The table holds functions of type 0: (i32) -> i32.
        return self.expression(I32, depth - 1) + self.expression(I32, depth - 1) + \
            b'\x41' + sleb(3) + b'\x71\x11\x00\x00'

    def condition(self, depth):
        r = self.rng
        kind = r.randrange(5)
        if kind == 0:
            return self.expression(I32, depth - 1)
        if kind == 1:
            return self.expression(I32, depth - 1) + b'\x45'
        if kind == 2:
            return self.make_compare(I32, depth) + b'\x45'
        if kind == 3:
            return self.expression(I32, depth - 1) + b'\x41' + sleb(r.choice([1, 3, 8])) + b'\x71'
        return self.make_compare(I32, depth)

    # ---------------------------------------------------------------- statements

    def writable(self, type_):
        found = [i for i, t in enumerate(self.types) if t == type_ and i not in self.reserved]
        return self.rng.choice(found) if found else None

    def statements(self, count, depth):
        return b''.join(self.statement(depth) for _ in range(count))

    def statement(self, depth):
        kinds = ['set'] * 4 + ['store', 'store', 'when', 'drop', 'global']
        if depth > 1:
            kinds += ['loop', 'loop', 'table', 'bulk', 'skip', 'return']
            if 'tails' in self.world.features:
                kinds.append('tail')
        if 'atomics' in self.world.features:
            kinds.append('atomic')
        return getattr(self, 'do_' + self.rng.choice(kinds))(depth)

    def do_tail(self, depth):
        fitting = [c for c in self.callees if c[2] == self.result]
        if not fitting:
            return self.do_set(depth)
        index, params, _ = self.rng.choice(fitting)
        arguments = b''.join(self.expression(p, depth - 2) for p in params)
        return self.condition(depth) + b'\x04\x40' + arguments + b'\x12' + uleb(index) + b'\x0b'

    def do_atomic(self, depth):
        number = self.rng.randrange(len(ATOMIC_GROUP))
        type_, log2 = ATOMIC_GROUP[number]
        address, operand = self.atomic_operands(depth, log2)
        return address + self.expression(type_, depth - 1) + b'\xfe' + \
            uleb(ATOMIC_STORES + number) + operand + (b'\xfe\x03\x00' if number == 0 else b'')

    def do_set(self, depth):
        type_ = self.rng.choice(self.world.types)
        local = self.writable(type_)
        if local is None:
            return b''
        return self.expression(type_, depth) + b'\x21' + uleb(local)

    def do_return(self, depth):
        return self.condition(depth) + b'\x04\x40' + self.outcome(depth - 1) + b'\x0f\x0b'

    def outcome(self, depth):
        results = self.result if isinstance(self.result, tuple) else (self.result,)
        return b''.join(self.expression(t, depth) for t in results)

    def do_drop(self, depth):
        return self.expression(self.rng.choice(self.world.types), depth) + b'\x1a'

    def do_global(self, depth):
        type_ = self.rng.choice(TYPES)
        return self.expression(type_, depth) + b'\x24' + uleb(TYPES.index(type_))

    def do_store(self, depth):
        type_, memory = self.rng.choice(self.world.types), self.memory()
        if type_ == V128:
            return self.store_vector(depth)
        return self.address(depth, memory) + self.expression(type_, depth - 1) + \
            bytes([self.rng.choice(STORES[type_])]) + self.memory_operand(memory)

    def do_when(self, depth):
        return self.condition(depth) + b'\x04\x40' + self.statements(2, depth - 1) + \
            (b'\x05' + self.statements(1, depth - 1) if self.rng.random() < 0.5 else b'') + b'\x0b'

    def do_skip(self, depth):
        return b'\x02\x40' + self.condition(depth) + b'\x0d\x00' + \
            self.statements(2, depth - 1) + b'\x0b'

    def do_loop(self, depth):
        """Counts up or down to a limit, in the ways that compilers write it."""
        r = self.rng
        self.types.append(I32)
        self.locals.append(I32)
        counter = len(self.types) - 1
        kept = self.reserved
        self.reserved = tuple(kept) + (counter,)
        body = self.statements(2, depth - 1)
        self.reserved = kept
        get, limit = b'\x20' + uleb(counter), r.randint(1, 6)
        if r.random() < 0.5:
            start = b'\x41' + sleb(0)
            step = get + b'\x41' + sleb(1) + b'\x6a\x22' + uleb(counter)
            end = b'\x41' + sleb(limit) + bytes([r.choice([0x47, 0x48, 0x49])])
        else:
            start = b'\x41' + sleb(limit)
            step = get + b'\x41' + sleb(r.choice([1])) + b'\x6b\x22' + uleb(counter)
            end = b'' if r.random() < 0.5 else b'\x45\x45'
        return start + b'\x21' + uleb(counter) + b'\x03\x40' + body + step + end + \
            b'\x0d\x00\x0b'

    def do_table(self, depth):
        """A switch."""
        r = self.rng
        ways = r.randint(2, 4)
        code = b'\x02\x40' * ways
        code += self.expression(I32, depth - 1) + b'\x41' + sleb(7) + b'\x71'
        code += b'\x0e' + vector([uleb(r.randrange(ways)) for _ in range(r.randint(0, 6))]) + \
            uleb(r.randrange(ways))
        for i in range(ways):
            code += b'\x0b' + self.statements(1, depth - 2)
            if i < ways - 2 and r.random() < 0.5:
                code += b'\x0c' + uleb(r.randrange(ways - 1 - i))
        return code

    def do_bulk(self, depth):
        """Fills, copies within a memory or between two, or takes some of a segment."""
        r, to, source = self.rng, self.memory(), self.memory()
        type_ = self.world.memories[to]
        length = sleb(r.choice([r.randrange(0, 200), r.randrange(0, 200), 5000]))
        if r.random() < 0.4:
            return self.address(depth, to) + self.expression(I32, depth - 1) + \
                INDEX[type_][0] + length + b'\xfc\x0b' + uleb(to)
        if r.random() < 0.3:
            return self.address(depth, to) + b'\x41' + sleb(r.randrange(0, 60)) + b'\x41' + \
                sleb(r.randrange(0, 50)) + b'\xfc\x08\x00' + uleb(to)
        both = I64 if type_ == self.world.memories[source] == I64 else I32
        return self.address(depth, to) + self.address(depth, source) + \
            INDEX[both][0] + length + b'\xfc\x0a' + uleb(to) + uleb(source)

    def body(self):
        code = self.statements(self.rng.randint(2, 5), 3) + self.outcome(3)
        if len(self.types) > 4000:
            return None
        declared = vector([uleb(1) + bytes([t]) for t in self.locals])
        whole = declared + code + b'\x0b'
        return uleb(len(whole)) + whole


def functype(params, results):
    return b'\x60' + vector([bytes([t]) for t in params]) + vector([bytes([t]) for t in results])


def extension(features):
    """objects.py or legacy.py, which are built on this module; None for neither."""
    if 'objects' in features:
        import objects as found
        return found
    if 'legacy' in features:
        import legacy as found
        return found
    return None


def build(seed, features=()):
    """A module whose exports f0, f1, ... take an i32, i64, f32 and f64 each and give one value;
    memories are exported as memory0, memory1, ..."""
    rng = random.Random(seed)
    world = World(rng, features)
    more = extension(features)
    function_of = more.Function if more else Function
    types = [functype([I32], [I32])] + [functype([t], [t]) for t in TYPES] + \
        [functype([], [t, u]) for t in TYPES for u in TYPES] + \
        [functype([t, u], [u]) for t in TYPES for u in TYPES] + \
        [functype([I32], [t, u]) for t in TYPES for u in TYPES] + \
        (more.extra_types() if more else [])
    functions, bodies, callees = [], [], []
    # Four leaf functions for the table.
    for _ in range(4):
        functions.append(0)
        bodies.append(function_of(world, [I32], I32, [], is_leaf=True).body())
    pairs = []
    for i in range(PAIR_FUNCTIONS):
        pair = (rng.choice(TYPES), rng.choice(TYPES))
        pairs.append((len(functions), pair))
        functions.append(CALL_PAIR_TYPES + 4 * TYPES.index(pair[0]) + TYPES.index(pair[1]))
        bodies.append(function_of(world, [I32], pair, [], is_leaf=True).body())
    signatures = [(params, result)
                  for params, result in
                  [([rng.choice(TYPES) for _ in range(rng.randint(0, 4))], rng.choice(TYPES))
                   for _ in range(3)] + [([I32, I64, F32, F64], rng.choice(TYPES))
                                         for _ in range(3)]]
    exports = world.memory_exports()
    named = len(exports)
    for params, result in signatures:
        types.append(functype(params, [result]))
        index = len(functions)
        functions.append(len(types) - 1)
        function = function_of(world, list(params), result, callees[-2:])
        function.pairs = pairs
        bodies.append(function.body())
        callees.append((index, params, result))
        if len(params) == 4 and params == [I32, I64, F32, F64]:
            exports.append((b'f%d' % (len(exports) - named), 0, index))
    if any(b is None for b in bodies):
        return build(seed + 1000003, features)
    global_init = [b'\x41\x05', b'\x42\x07', b'\x43' + struct.pack('<f', 1.5),
                   b'\x44' + struct.pack('<d', 2.5)]
    results = [result for params, result in signatures if params == [I32, I64, F32, F64]]
    binary = b'\0asm\1\0\0\0' + section(1, vector(types)) + \
        section(3, vector([uleb(t) for t in functions])) + \
        section(4, vector([b'\x70\x00\x04'])) + \
        world.memory_section() + \
        (more.tag_section() if more else b'') + \
        section(6, vector([bytes([t, 1]) + init + b'\x0b'
                           for t, init in zip(TYPES, global_init)] +
                          (more.extra_globals() if more else []))) + \
        section(7, vector([uleb(len(n)) + n + bytes([k]) + uleb(i) for n, k, i in exports])) + \
        section(9, vector([b'\x00\x41\x00\x0b' + vector([uleb(i) for i in range(4)])])) + \
        section(12, uleb(1)) + section(10, vector(bodies)) + \
        section(11, vector([b'\x01' + vector([bytes([b]) for b in SEGMENT])]))
    return binary, results


def module(seed, features=()):
    return build(seed, features)[0]


def results(seed, features=()):
    """The result types of f0, f1, ..."""
    return build(seed, features)[1]
