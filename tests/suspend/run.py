#!/usr/bin/env python3
"""Proof of suspension: real programs that are suspended at every safepoint do the same, and
execute the same number of operators, as when nothing disturbs them; and again with memories
that move whenever they grow.

    tests/suspend/run.py CORDON [--quick] [--only WORD]

A program that does not execute the same number of operators whenever it is undisturbed is held to
its output alone, and its line says so: Go's garbage collector and CPython look at clocks. It is
run undisturbed twice before the first mode; a mode that takes another number is believed to be
wrong only when a dozen undisturbed runs agree.
"""
import argparse
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "programs"))
import cases  # noqa: E402
import run    # noqa: E402

MODES = {
    "preempted everywhere": ["--preempt-everywhere"],
    "preempted everywhere, memory moving": ["--preempt-everywhere", "--move-on-grow"],
    "memory moving, translated at once": ["--move-on-grow", "--eager"],
}

UNDISTURBED_RUNS = 12


def measured(cordon, folder, case, *more):
    """The outcome and the operators executed."""
    with tempfile.NamedTemporaryFile(suffix=".json") as meta:
        outcome = run.run_guest(cordon, folder, case, "--meta", meta.name, *more)
        return outcome, json.loads(pathlib.Path(meta.name).read_text(encoding="ascii"))["fuel"]


class Undisturbed:
    """How a case runs when nothing disturbs it, found when it is first asked for. All runs of a
    case are in one folder."""

    def __init__(self, cordon, folder, case):
        self.cordon, self.folder, self.case = cordon, folder, case
        self.outcome = self.fuel = None
        self.runs = 0
        self.is_steady = True

    def again(self):
        """Runs it once more; what is known is its first run."""
        outcome, fuel = measured(self.cordon, self.folder, self.case)
        self.runs += 1
        if self.outcome is None:
            self.outcome, self.fuel = outcome, fuel
        elif self.is_steady and fuel != self.fuel:
            self.is_steady = False
            print(f"  {self.case.name}: {self.fuel} operators, and {fuel}: not the same whenever "
                  "it is undisturbed, only the output is compared")

    def known(self):
        if self.outcome is None:
            self.again()
            print(f"  {self.case.name}: {self.fuel} operators")
            self.again()
        return self


def test(mode, undisturbed):
    """None, or what went wrong."""
    plain = undisturbed.known()
    got, used = measured(plain.cordon, plain.folder, plain.case, *MODES[mode])
    why = run.compare(got, plain.outcome)
    if why is not None:
        return why
    while used != plain.fuel and plain.is_steady and plain.runs < UNDISTURBED_RUNS:
        plain.again()
    if used != plain.fuel and plain.is_steady:
        return f"{used} operators, undisturbed {plain.fuel}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cordon", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    cordon = options.cordon.resolve()
    tally = run.Tally()
    modes = list(MODES)[:1 if options.quick else None]
    for case in cases.CASES:
        if options.only in case.name and case.quick >= options.quick:
            with run.fresh_folder() as folder:
                undisturbed = Undisturbed(cordon, pathlib.Path(folder), case)
                for mode in modes:
                    tally.run(f"{case.name}, {mode}", lambda: test(mode, undisturbed))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
