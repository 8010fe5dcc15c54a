#!/usr/bin/env python3
"""Runs real programs, fetched and built at test time, in Cordon and natively, and compares
what they print, how they end, and every file that they leave behind.

    tests/programs/run.py CORDON [--quick] [--only WORD]
"""
import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import cases
import store

RUN_SECONDS = 300


@dataclasses.dataclass
class Outcome:
    code: int
    stdout: bytes
    stderr: bytes
    files: dict


def tree_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def fill(folder, case):
    """Makes the folder hold the case's files and nothing else. One that held them before looks the
    same afterwards, with the same times and file numbers: a program may convert and hash these, in
    more steps or fewer (CPython does)."""
    files = case.files()
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in files:
            path.unlink()
    for target, source in files.items():
        shutil.copyfile(source, folder / target)
        os.utime(folder / target, ns=(0, 0))
    os.utime(folder, ns=(0, 0))


def run_in(folder, command, case):
    """Runs the command in the folder, which is given the case's files."""
    fill(folder, case)
    with open(case.stdin() if case.stdin else "/dev/null", "rb") as stdin:
        done = subprocess.run(command, cwd=folder, stdin=stdin, timeout=RUN_SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={"PATH": "/usr/bin:/bin", "HOME": str(folder)})
    return Outcome(done.returncode, done.stdout, done.stderr, tree_of(folder))


def fresh_folder():
    return tempfile.TemporaryDirectory(prefix="cordon-program-")


def run_native(case):
    native = case.build()[1]
    with fresh_folder() as folder:
        return run_in(pathlib.Path(folder), [native, *case.arguments], case)


def run_guest(cordon, folder, case, *more):
    guest = case.build()[0]
    return run_in(folder, [cordon, "run", "--dir", f"{folder}::/", *case.options, *more, guest,
                           *case.arguments], case)


def first_difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"differs at byte {at}: {a[at:at + 60]!r}, expected {b[at:at + 60]!r}"


def compare(got, wanted):
    """None when the outcomes are the same, else what differs."""
    if got.code != wanted.code:
        said = got.stderr[-300:].decode(errors='replace')
        return f'exit code {got.code}, expected {wanted.code}: {said}'
    if got.stdout != wanted.stdout:
        return f"stdout {first_difference(got.stdout, wanted.stdout)}"
    if sorted(got.files) != sorted(wanted.files):
        return f"files {sorted(got.files)}, expected {sorted(wanted.files)}"
    for name, content in wanted.files.items():
        if got.files[name] != content:
            return f"{name} {first_difference(got.files[name], content)}"
    return None


def check(cordon, case):
    wanted = run_native(case)
    wanted.stdout = re.sub(case.differs, b"", wanted.stdout)
    if case.expected is not None and wanted.stdout != case.expected:
        return f"natively: stdout {first_difference(wanted.stdout, case.expected)}"
    with fresh_folder() as folder:
        got = run_guest(cordon, pathlib.Path(folder), case)
    got.stdout = re.sub(case.differs, b"", got.stdout)
    return compare(got, wanted)


class Tally:
    """Prints a line for each test, and the sum at the end; what was skipped once more."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, []

    def run(self, name, test):
        try:
            why = test()
        except store.Unavailable as error:
            self.skipped.append(f"SKIPPED {name}: {error}")
            print(self.skipped[-1], flush=True)
            return
        except subprocess.TimeoutExpired:
            why = f"took more than {RUN_SECONDS} s"
        self.passed += why is None
        self.failed += why is not None
        print(f"passed {name}" if why is None else f"FAILED {name}: {why}", flush=True)

    def close(self):
        print("\n".join(["", *self.skipped]) if self.skipped else "")
        print(f"{self.passed} passed, {self.failed} failed, {len(self.skipped)} skipped")
        return 1 if self.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cordon", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    cordon = options.cordon.resolve()
    tally = Tally()
    for case in cases.CASES:
        if options.only in case.name and case.quick >= options.quick:
            tally.run(case.name, lambda case=case: check(cordon, case))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
