"""The filters that were built say what the rows of spec/sandbox.def say: each is run here, as the
kernel would, over all numbers of calls and over arguments that fit and do not fit."""
import fcntl
import mmap
import os
import platform
import re
import socket
import struct
import subprocess
import termios

from bench import HERE

ARCH = 0xC000003E  # AUDIT_ARCH_X86_64
ALLOW, TRAP, KILL = 0x7FFF0000, 0x00030000, 0x80000000
EPERM = 0x00050001
GRANTS = {"BASE": 0, "READ": 1, "WRITE": 2, "SOCKETS": 4, "THREADS": 8}
NUMBERS = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
INSN = re.compile(r"\{(\d+), (\d+), (\d+), (\d+)u\}")
VALUES = {**{name: getattr(fcntl, name) for name in
             ("F_GETFD", "F_GETFL", "F_SETFL", "F_DUPFD_CLOEXEC")},
          "TCGETS": termios.TCGETS, "FIONREAD": termios.FIONREAD, "TIOCGPTN": 0x80045430,
          "AT_EMPTY_PATH": 0x1000, "PROT_READ": mmap.PROT_READ, "PROT_WRITE": mmap.PROT_WRITE,
          "MAP_ANONYMOUS": mmap.MAP_ANONYMOUS, "SOL_SOCKET": socket.SOL_SOCKET,
          "IPPROTO_TCP": socket.IPPROTO_TCP, "TCP_NODELAY": socket.TCP_NODELAY,
          "O_NONBLOCK": os.O_NONBLOCK, "SIG_OF_SETXID": 33}
NEW_THREAD = 0x10F00  # CLONE_VM, FS, FILES, SIGHAND, THREAD


def _filters(bench):
    text = (bench.build / "spec" / "jail_filters.h").read_text()
    found = {}
    for number, body in re.findall(r"filter_(\d+)\[\] = \{\n(.*?)\n\};", text, re.S):
        found[int(number)] = [tuple(map(int, insn)) for insn in INSN.findall(body)]
    return found


def _numbers():
    with open(NUMBERS, encoding="ascii") as file:
        return {name: int(number) for name, number in
                re.findall(r"#define __NR_(\w+) (\d+)", file.read())}


def _verdict(program, number, arguments=(), arch=ARCH):
    """What the kernel would do."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    at = value = 0
    while True:
        code, yes, no, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            value = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x54:
            value &= operand
        elif code == 0x05:
            at += operand
        else:
            holds = {0x15: value == operand, 0x25: value > operand, 0x35: value >= operand,
                     0x45: bool(value & operand)}[code]
            at += yes if holds else no


def _parts(text):
    """Kind, argument and value of each condition of a row."""
    found = []
    for kind, argument, bits in re.findall(r"(\w+)\((\d)(?:, ([^)]*))?\)", text):
        value = 0
        for name in filter(None, re.split(r"\s*\|\s*", bits)):
            value |= VALUES[name]
        found.append((kind, int(argument), value))
    assert found, text
    return found


def _holds(text, arguments):
    """Whether a row lets a call with these arguments pass."""
    if text in ("ANY", "NEW_THREAD"):
        return text == "ANY"
    for kind, argument, value in _parts(text):
        low = arguments[argument] & 0xFFFFFFFF
        if not {"IS": low == value, "ONLY": not low & ~value, "HAS": low & value == value,
                "IS_NULL": arguments[argument] == 0}[kind]:
            return False
    return True


def _condition(text):
    """Arguments that fit a row, and arguments of which one does not."""
    if text == "ANY":
        return [0] * 6, []
    if text == "NEW_THREAD":
        other = [0, NEW_THREAD & ~0x10000, NEW_THREAD | 0x10000000, NEW_THREAD | 0x2000]
        return [NEW_THREAD, 0, 0, 0, 0, 0], [[flags, 0, 0, 0, 0, 0] for flags in other]
    fits, wrong = [0] * 6, []
    for kind, argument, value in _parts(text):
        fits[argument] = value
    for kind, argument, value in _parts(text):
        for bad in {"IS": [value ^ 1, value | 1 << 20], "ONLY": [value | 4, 1 << 24],
                    "HAS": [0], "IS_NULL": [1, 1 << 32]}[kind]:
            wrong.append(fits[:argument] + [bad] + fits[argument + 1:])
    return fits, wrong


def _rows():
    text = (HERE.parent.parent / "spec" / "sandbox.def").read_text()
    calls = re.findall(r"^CALL\((\w+),\s*([A-Z |]+),\s*(.+), \"[^\"]*\"\)$", text, re.M)
    assert len(calls) > 70, len(calls)
    body = text.partition("*/")[2]
    return calls, re.findall(r"\bDEADLY\((\w+)\)", body)


def _applies(given, grants):
    bits = sum(GRANTS[name] for name in re.split(r"\s*\|\s*", given.strip()))
    return bits == 0 or bool(bits & grants)


def _check_filter(grants, program, calls, deadly, numbers):
    def said(name, arguments=()):
        return _verdict(program, numbers[name], arguments)

    checked = 0
    left = [row for row in calls if _applies(row[1], grants)]
    names = {row[0] for row in left}
    whole = {row[0] for row in left if row[2] == "ANY"}
    for name, _, check in left:
        fits, wrong = _condition(check)
        assert said(name, fits) == ALLOW, (grants, name, fits)
        if name in whole:
            continue
        others = [row[2] for row in left if row[0] == name]
        for arguments in wrong:
            if any(_holds(other, arguments) for other in others):
                continue
            assert said(name, arguments) == EPERM, (grants, name, arguments)
            checked += 1
    for name in deadly:
        if name in numbers:
            assert said(name) == TRAP, (grants, name)
            checked += 1
    known = {numbers[name] for name in names | set(deadly) | {"clone3"} if name in numbers}
    for number in set(range(600)) - known:
        assert _verdict(program, number) == EPERM, (grants, number)
    assert said("clone3") == 0x00050000 + 38
    assert _verdict(program, 0, arch=0x40000003) == KILL, "32-bit calls"
    assert _verdict(program, 0x40000000) == KILL, "calls of x32"
    return checked


def _count(*grants):
    bits = sum(GRANTS[name] for name in grants)
    return len({row[0] for row in _rows()[0] if _applies(row[1], bits)})


def the_prose_says_how_many_calls(bench):
    """And there are no more than these."""
    del bench
    counts = [_count(), _count("READ", "WRITE"), _count("SOCKETS"),
              _count("READ", "WRITE", "SOCKETS", "THREADS")]
    assert counts[0] <= 35 and counts[3] <= 70, counts
    prose = (HERE.parent.parent / "spec" / "sandbox.md").read_text()
    said = re.search(r"alone leave (\d+) calls.*?writing there are (\d+),\s+with listeners alone "
                     r"(\d+), with all of these and a host's workers (\d+)\.", prose, re.S)
    assert said and list(map(int, said.groups())) == counts, (counts, said)
    said = re.search(r"system calls \((\d+)\s+with standard streams alone, (\d+) with writable",
                     (HERE.parent.parent / "README.md").read_text())
    assert said and list(map(int, said.groups())) == counts[:2], (counts, said)


def a_damaged_heap_ends_a_run(bench):
    """The C library ends it under the filter, too: it cannot say why, or send a signal."""
    source = bench.folder / "damage.c"
    source.write_text("#include <stdlib.h>\nvoid damage(void);\n"
                      "void damage(void) { char *at = malloc(24); free(at); free(at); }\n")
    library = bench.folder / "libdamage.so"
    subprocess.run(["cc", "-w", "-O0", "-shared", "-fPIC", "-o", library, source], check=True)
    guest = bench.module("damage", '(module (import "d" "damage" (func $d)) (memory 1) '
                         '(func (export "_start") (call $d)))')
    for mode in ("--sandbox=off", "--sandbox=required"):
        done = bench.run(mode, "--import-native", f"d.damage={library}:damage:()", guest)
        assert done.returncode < 0 or done.returncode == 159, (mode, done)
        if mode == "--sandbox=off":
            assert "free(): double free" in done.stderr, done


def filters_say_what_the_rows_say(bench):
    if platform.machine() != "x86_64" or not os.path.exists(NUMBERS):
        return "written for x86-64"
    calls, deadly = _rows()
    numbers = _numbers()
    filters = _filters(bench)
    assert sorted(filters) == list(range(16)), sorted(filters)
    checked = sum(_check_filter(grants, program, calls, deadly, numbers)
                  for grants, program in filters.items())
    assert checked > 2000, checked
    print(f"    {len(filters)} filters of {min(map(len, filters.values()))} to "
          f"{max(map(len, filters.values()))} instructions, {checked} refusals with arguments "
          "or by name, and all other numbers")
    return None
