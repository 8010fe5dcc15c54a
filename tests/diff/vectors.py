"""Vectors for the random modules of generate.py: every operator of spec/wasm.def whose result is
determined, each as often as any other."""
import os
import re
import struct

I32, I64, F32, F64, V128 = 0x7f, 0x7e, 0x7d, 0x7c, 0x7b
LETTERS = {'i': I32, 'l': I64, 'f': F32, 'd': F64, 'v': V128}
SPEC = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'spec', 'wasm.def')
FIRST_RELAXED = 0x100
# Instructions with lanes: how many there are.
LANES = {'i8x16': 16, 'i16x8': 8, 'i32x4': 4, 'i64x2': 2, 'f32x4': 4, 'f64x2': 2}


class Operator:
    """One row of wasm.def: number, text, what follows it, and types."""

    def __init__(self, number, text, immediate, types):
        operands, result = types.split(':')
        access = re.match(r'a(\d)', operands)
        self.number, self.text, self.immediate = number, text, immediate
        self.align = int(access.group(1)) if access else None
        self.operands = [LETTERS[c] for c in (operands[2:] if access else operands)]
        self.result = LETTERS.get(result)
        self.shape = text.split('.')[0]

    def lanes(self):
        if self.immediate == 'MEMARG_LANE':
            return 16 >> self.align
        return LANES[self.shape]


def read_operators():
    row = re.compile(r'OP_FD\((0x\w+), \w+, "([^"]+)", (\w+), "([^"]*)"\)')
    with open(SPEC, encoding='utf-8') as file:
        found = [row.match(line) for line in file]
    return [Operator(int(m.group(1), 16), *m.groups()[1:]) for m in found
            if m and int(m.group(1), 16) < FIRST_RELAXED]


OPERATORS = read_operators()
PLAIN = [o for o in OPERATORS if o.align is None and o.immediate in ('NONE', 'LANE', 'LANES')]
MADE = {t: [o for o in PLAIN if o.result == t] for t in (I32, I64, F32, F64, V128)}
LOADS = [o for o in OPERATORS if o.align is not None and o.result == V128]
STORES = [o for o in OPERATORS if o.align is not None and o.result is None]


def uleb(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def operator(number):
    return b'\xfd' + uleb(number)


class Vectors:
    """A part of generate.Function."""

    def vector_constant(self):
        r = self.rng
        kind = r.randrange(4)
        if kind == 0:
            lanes = struct.pack('<4f', *(r.choice([0.0, -0.0, 1.5, -2.0, 1e10, r.uniform(-9, 9)])
                                         for _ in range(4)))
        elif kind == 1:
            lanes = struct.pack('<2d', *(r.choice([0.0, 1.0, -1e300, r.uniform(-9, 9)])
                                         for _ in range(2)))
        elif kind == 2:
            lanes = bytes(r.choice([0, 1, 0x7f, 0x80, 0xff]) for _ in range(16))
        else:
            lanes = r.getrandbits(128).to_bytes(16, 'little')
        return operator(12) + lanes

    def operands_of(self, op, depth):
        return b''.join(self.expression(t, depth - 1) for t in op.operands)

    def immediate_of(self, op):
        r = self.rng
        if op.immediate == 'LANE':
            return bytes([r.randrange(op.lanes())])
        if op.immediate == 'LANES':
            return bytes(r.randrange(32) for _ in range(16))
        return b''

    def canonical_lanes(self, op, code):
        """Lanes that are NaN are all the same: v where v == v, else the one."""
        if op.shape not in ('f32x4', 'f64x2') or op.result != V128:
            return code
        scratch = self.scratch(V128)
        nan = struct.pack('<I', 0x7fc00000) * 4 if op.shape == 'f32x4' else \
            struct.pack('<Q', 0x7ff8000000000000) * 2
        get = b'\x20' + uleb(scratch)
        equal = operator(0x41 if op.shape == 'f32x4' else 0x47)
        return code + b'\x22' + uleb(scratch) + operator(12) + nan + get + get + equal + \
            operator(0x52) + b'\x22' + uleb(scratch)

    def vector(self, depth):
        """An expression that gives a vector."""
        r = self.rng
        kind = r.randrange(10)
        if kind == 0:
            return self.make_select(V128, depth)
        if kind == 1:
            return self.make_if(V128, depth)
        if kind == 2:
            return self.make_tee(V128, depth)
        if kind <= 4:
            return self.load_vector(depth)
        op = r.choice(MADE[V128])
        code = self.operands_of(op, depth) + operator(op.number) + self.immediate_of(op)
        return self.canonical_lanes(op, code)

    def load_vector(self, depth):
        op, memory = self.rng.choice(LOADS), self.memory()
        code = self.address(depth, memory) + self.operands_of(op, depth) + operator(op.number) + \
            self.memory_operand(memory)
        if op.immediate == 'MEMARG_LANE':
            code += bytes([self.rng.randrange(op.lanes())])
        return code

    def store_vector(self, depth):
        op, memory = self.rng.choice(STORES), self.memory()
        code = self.address(depth, memory) + self.operands_of(op, depth) + operator(op.number) + \
            self.memory_operand(memory)
        if op.immediate == 'MEMARG_LANE':
            code += bytes([self.rng.randrange(op.lanes())])
        return code

    def make_lane(self, type_, depth):
        """A number that is taken from a vector."""
        if not MADE[type_]:
            return self.expression(type_, depth - 1)
        op = self.rng.choice(MADE[type_])
        return self.canonical(type_, self.operands_of(op, depth) + operator(op.number) +
                              self.immediate_of(op))
