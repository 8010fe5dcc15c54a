#!/usr/bin/env python3
"""Runs real programs, fetched and built at test time, in Cordon and natively, and compares
what they print, how they end, and every file that they leave behind.

    tests/programs/run.py CORDON [--quick] [--only WORD]
"""
import argparse
import dataclasses
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


def run_in_folder(command, case):
    """Runs command(folder) in a fresh folder that has the case's files."""
    with tempfile.TemporaryDirectory(prefix="cordon-program-") as name:
        folder = pathlib.Path(name)
        for target, source in case.files().items():
            shutil.copyfile(source, folder / target)
        with open(case.stdin() if case.stdin else "/dev/null", "rb") as stdin:
            done = subprocess.run(command(folder), cwd=folder, stdin=stdin, timeout=RUN_SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={"PATH": "/usr/bin:/bin", "HOME": str(folder)})
        return Outcome(done.returncode, done.stdout, done.stderr, tree_of(folder))


def run_native(case):
    native = case.build()[1]
    return run_in_folder(lambda folder: [native, *case.arguments], case)


def run_guest(cordon, case, *more):
    guest = case.build()[0]
    return run_in_folder(lambda folder: [cordon, "run", "--dir", f"{folder}::/", *case.options,
                                         *more, guest, *case.arguments], case)


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
    got = run_guest(cordon, case)
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
