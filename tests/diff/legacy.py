"""Exceptions in their old encoding for the random modules of generate.py: try, catch, catch_all,
rethrow and delegate. Engines take it or the new one in a module, not both. Tag n carries a value
of the nth type."""
import generate
from generate import TYPES, functype, section, uleb, vector

TAG_TYPES = 53  # behind the types of generate.py


def extra_types():
    return [functype([t], []) for t in TYPES]


def tag_section():
    return section(13, vector([b'\0' + uleb(TAG_TYPES + i) for i in range(len(TYPES))]))


def extra_globals():
    return []


class Function(generate.Function):
    trying = 0

    def expression(self, type_, depth):
        if depth <= 1 or type_ not in TYPES or self.rng.random() < 0.85:
            return super().expression(type_, depth)
        return self.make_try(type_, depth)

    def throw(self, depth):
        """Mostly where it is caught."""
        if self.trying == 0 and self.rng.random() < 0.95:
            return b''
        type_ = self.rng.choice(TYPES)
        return self.condition(depth - 1) + b'\x04\x40' + self.expression(type_, depth - 1) + \
            b'\x08' + uleb(TYPES.index(type_)) + b'\x0b'

    def statement(self, depth):
        if depth > 1 and self.rng.random() < 0.1:
            return self.throw(depth)
        return super().statement(depth)

    def protected(self, type_, depth):
        """What may throw, or call something that does."""
        self.trying += 1
        code = self.statements(self.rng.randint(0, 1), depth - 1) + self.throw(depth) + \
            self.expression(type_, depth - 1)
        self.trying -= 1
        return code

    def make_try(self, type_, depth):
        tag = uleb(TYPES.index(type_))
        begin = b'\x06' + bytes([type_]) + self.protected(type_, depth)
        kind = self.rng.randrange(4)
        if kind == 0:
            return begin + b'\x07' + tag + b'\x0b'
        if kind == 1:
            return begin + b'\x19' + self.expression(type_, depth - 1) + b'\x0b'
        if kind == 2:
            again = self.condition(depth - 1) + b'\x04\x40\x09\x01\x0b'
            return begin + b'\x07' + tag + again + b'\x19' + again + \
                self.expression(type_, depth - 1) + b'\x0b'
        return b'\x06' + bytes([type_]) + begin + b'\x18\x00\x07' + tag + b'\x0b'
