"""Exceptions, typed function references, structures, arrays and casts in random modules: woven
into the expressions of generate.py, and everything comes out as numbers, so that the same
comparison serves.
"""
import struct

import generate
from generate import F32, F64, I32, I64, TYPES, functype, section, sleb, uleb, vector

# Types behind those of generate.py: four for tags, then the heap's.
TAG_TYPES = 53
STRUCT, SUBSTRUCT, INTS, BYTES, LEAF = (TAG_TYPES + 4 + i for i in range(5))
GLOBAL_STRUCT, GLOBAL_INTS = 4, 5


class Function(generate.Function):
    def expression(self, type_, depth):
        if depth <= 0 or type_ not in TYPES or self.rng.random() < 0.75:
            return super().expression(type_, depth)
        kinds = ['thrown', 'field', 'element', 'typed_call']
        if type_ == I32:
            kinds += ['byte', 'small', 'cast', 'is_null', 'table_size']
        return getattr(self, 'make_' + self.rng.choice(kinds))(type_, depth)

    def statement(self, depth):
        if depth <= 1 or self.rng.random() < 0.75:
            return super().statement(depth)
        kinds = ['field_set', 'element_set', 'array_bulk', 'new_objects', 'caught']
        return getattr(self, 'do_' + self.rng.choice(kinds))(depth)

    # ------------------------------------------------------------ exceptions

    def make_thrown(self, type_, depth):
        """A value that comes out of a try by itself or by an exception, perhaps of another tag."""
        r = self.rng
        tag, begin = TYPES.index(type_), bytes([type_])
        thrown = r.choice([tag, tag, r.randrange(4)])
        throw = self.condition(depth - 1) + b'\x04\x40' + \
            self.expression(TYPES[thrown], depth - 2) + b'\x08' + uleb(thrown) + b'\x0b'
        ref = r.random() < 0.3
        inner = self.statements(1, depth - 2) + throw + self.expression(type_, depth - 2)
        caught = b'\x1f' + begin + vector([b'\x00' + uleb(tag) + uleb(2)]) + inner + b'\x0b'
        if ref:
            # Caught with the exception, which is thrown again or forgotten.
            caught = b'\x02\x69' + b'\x1f\x40' + vector([b'\x03\x00']) + caught + \
                b'\x0c\x02' + b'\x0b' + b'\x00' + b'\x0b' + \
                (b'\x0a' if r.random() < 0.2 else b'\x1a' + self.expression(type_, 0))
        else:
            caught = b'\x02\x40' + b'\x1f\x40' + vector([b'\x02\x00']) + caught + \
                b'\x0c\x02' + b'\x0b' + b'\x00' + b'\x0b' + self.expression(type_, 0)
        return b'\x02' + begin + caught + b'\x0b'

    def do_caught(self, depth):
        return b'\x02\x40\x1f\x40' + vector([b'\x02\x00']) + self.statements(2, depth - 1) + \
            b'\x0b\x0b'

    # ------------------------------------------------------------ structures and arrays

    def new_struct(self, depth):
        fields = b''.join(self.expression(t, depth - 2) for t in (I32, I64, F64)) + \
            self.expression(I32, depth - 2)
        if self.rng.random() < 0.5:
            return fields + b'\xfb\x00' + uleb(STRUCT)
        return fields + self.expression(F32, depth - 2) + b'\xfb\x00' + uleb(SUBSTRUCT)

    def some_struct(self, depth):
        return b'\x23' + uleb(GLOBAL_STRUCT) if self.rng.random() < 0.5 else self.new_struct(depth)

    def make_field(self, type_, depth):
        get, field = {I32: (b'\xfb\x02', 0), I64: (b'\xfb\x02', 1), F64: (b'\xfb\x02', 2),
                      F32: (b'\xfb\x02', 4)}[type_]
        if type_ == F32:
            cast = b'\xfb\x16' + sleb(SUBSTRUCT)
            made = b''.join(self.expression(t, depth - 2) for t in (I32, I64, F64, I32, F32))
            return made + b'\xfb\x00' + uleb(SUBSTRUCT) + cast + get + uleb(SUBSTRUCT) + uleb(field)
        if type_ == I32 and self.rng.random() < 0.4:
            get, field = self.rng.choice([b'\xfb\x03', b'\xfb\x04']), 3
        return self.some_struct(depth) + get + uleb(STRUCT) + uleb(field)

    def do_field_set(self, depth):
        field, type_ = self.rng.choice([(0, I32), (1, I64), (2, F64), (3, I32)])
        return self.some_struct(depth) + self.expression(type_, depth - 1) + b'\xfb\x05' + \
            uleb(STRUCT) + uleb(field)

    def index(self, depth, most):
        code = self.expression(I32, depth - 1)
        return code if self.rng.random() < 0.03 else code + b'\x41' + sleb(most) + b'\x71'

    def make_element(self, type_, depth):
        if type_ != I32:
            return self.make_field(type_, depth)
        return b'\x23' + uleb(GLOBAL_INTS) + self.index(depth, 7) + b'\xfb\x0b' + uleb(INTS)

    def do_element_set(self, depth):
        return b'\x23' + uleb(GLOBAL_INTS) + self.index(depth, 7) + \
            self.expression(I32, depth - 1) + b'\xfb\x0e' + uleb(INTS)

    def make_byte(self, type_, depth):
        made = b'\x41' + sleb(self.rng.randrange(8)) + b'\x41' + sleb(16) + b'\xfb\x09' + \
            uleb(BYTES) + uleb(0)
        return made + self.index(depth, 15) + self.rng.choice([b'\xfb\x0c', b'\xfb\x0d']) + \
            uleb(BYTES)

    def do_array_bulk(self, depth):
        r, ints = self.rng, b'\x23' + uleb(GLOBAL_INTS)
        if r.random() < 0.5:
            return ints + self.index(depth, 3) + self.expression(I32, depth - 1) + \
                b'\x41' + sleb(r.randrange(5)) + b'\xfb\x10' + uleb(INTS)
        return ints + self.index(depth, 3) + ints + self.index(depth, 3) + \
            b'\x41' + sleb(r.randrange(5)) + b'\xfb\x11' + uleb(INTS) + uleb(INTS)

    def do_new_objects(self, depth):
        if self.rng.random() < 0.5:
            return self.new_struct(depth) + b'\x24' + uleb(GLOBAL_STRUCT)
        return self.expression(I32, depth - 1) + b'\x41' + sleb(8) + b'\xfb\x06' + uleb(INTS) + \
            b'\x24' + uleb(GLOBAL_INTS)

    def make_small(self, type_, depth):
        return self.expression(I32, depth - 1) + b'\xfb\x1c' + \
            self.rng.choice([b'\xfb\x1d', b'\xfb\x1e'])

    def make_cast(self, type_, depth):
        r = self.rng
        if r.random() < 0.5:
            return self.some_struct(depth) + b'\xfb\x14' + sleb(SUBSTRUCT)
        # Out of a block with the reference where the cast succeeds, else with a number.
        return b'\x02\x7f' + b'\x02\x63' + sleb(SUBSTRUCT) + self.some_struct(depth) + \
            b'\xfb\x18\x01\x00' + sleb(STRUCT) + sleb(SUBSTRUCT) + b'\x1a' + \
            self.expression(I32, depth - 1) + b'\x0c\x01\x0b' + b'\xfb\x02' + \
            uleb(SUBSTRUCT) + uleb(0) + b'\x0b'

    # ------------------------------------------------------------ functions and tables

    def make_typed_call(self, type_, depth):
        if type_ != I32 or self.is_leaf:
            return self.make_field(type_, depth)
        return self.expression(I32, depth - 1) + b'\xd2' + uleb(self.rng.randrange(4)) + \
            b'\x14' + uleb(0)

    def make_is_null(self, type_, depth):
        return self.index(depth, 3) + b'\x25\x00\xd1'

    def make_table_size(self, type_, depth):
        return b'\xfc\x10\x00'


def extra_types():
    tags = [functype([t], []) for t in TYPES]
    fields = b'\x7f\x01' + b'\x7e\x01' + b'\x7c\x01' + b'\x78\x01'
    return tags + [b'\x50\x00\x5f\x04' + fields,
                   b'\x4f\x01' + uleb(STRUCT) + b'\x5f\x05' + fields + b'\x7d\x01',
                   b'\x5e\x7f\x01', b'\x5e\x78\x01', functype([], [])]


def extra_globals():
    struct_new = b'\x41\x01\x42\x02\x44' + struct.pack('<d', 0.5) + b'\x41\x7f\xfb\x00' + \
        uleb(STRUCT)
    ints = b'\x41\x03\x41\x08\xfb\x06' + uleb(INTS)
    return [b'\x64' + sleb(STRUCT) + b'\x01' + struct_new + b'\x0b',
            b'\x64' + sleb(INTS) + b'\x01' + ints + b'\x0b']


def tag_section():
    return section(13, vector([b'\x00' + uleb(TAG_TYPES + i) for i in range(4)]))
