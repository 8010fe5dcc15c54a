#!/usr/bin/env python3
"""Proof of suspension: real programs that are suspended at every safepoint do the same, and
execute the same number of operators, as when nothing disturbs them; and again with memories
that move whenever they grow.

    tests/suspend/run.py CORDON [--quick] [--only WORD]

A program that does not execute the same number of operators twice when undisturbed (Go's
garbage collector looks at the clock) is held to its output alone, and its line says so.
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


def measured(cordon, case, *more):
    """The outcome and the operators executed."""
    with tempfile.NamedTemporaryFile(suffix=".json") as meta:
        outcome = run.run_guest(cordon, case, "--meta", meta.name, *more)
        return outcome, json.loads(pathlib.Path(meta.name).read_text(encoding="ascii"))["fuel"]


def test(cordon, case, mode, undisturbed):
    """None, or what went wrong."""
    wanted, fuel, steady = undisturbed()
    got, used = measured(cordon, case, *MODES[mode])
    why = run.compare(got, wanted)
    if why is None and steady and used != fuel:
        why = f"{used} operators, undisturbed {fuel}"
    return why


def undisturbed_run(cordon, case):
    """Gives (outcome, fuel, whether a second run takes the same fuel), found at the first call."""
    known = []

    def give():
        if not known:
            outcome, fuel = measured(cordon, case)
            steady = measured(cordon, case)[1] == fuel
            known.extend([outcome, fuel, steady])
            print(f"  {case.name}: {fuel} operators" +
                  ("" if steady else ", not the same twice: only the output is compared"))
        return known
    return give


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cordon", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    cordon = options.cordon.resolve()
    tally = run.Tally()
    for case in cases.CASES:
        if options.only not in case.name or case.quick < options.quick:
            continue
        undisturbed = undisturbed_run(cordon, case)
        for mode in list(MODES)[:1 if options.quick else None]:
            tally.run(f"{case.name}, {mode}", lambda case=case, mode=mode, undisturbed=undisturbed:
                      test(cordon, case, mode, undisturbed))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
