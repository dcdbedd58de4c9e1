"""Compare damaged sessions with the reference, ibllib.

    make reference-fuzz SEED=1 ROUNDS=500
    python -m benchmarks.fuzz --ibllib PYTHON --seed 1 --only 17 --keep FOLDER    one round again

Both sides extract each session. What differs is counted by its kind, with the rounds in which it
was seen. Known differences have a reason (`benchmarks.fuzz.stated`); any other ends the command
with an error.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.fuzz.rounds import Found, Rounds
from benchmarks.fuzz.stated import reason


def main() -> None:
    """Run the rounds, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ibllib", required=True, help="a Python that has ibllib")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many")
    parser.add_argument("--kind", help="rounds of this kind only")
    parser.add_argument("--only", type=int, help="this round, in detail")
    parser.add_argument("--keep", type=Path, help="folder for the session of the round")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        rounds = Rounds(arguments.ibllib, arguments.seed, arguments.keep or Path(name))
        if arguments.only is not None:
            found = rounds.run(arguments.only, arguments.kind)
            print(found.kind, found.base, *found.damage, *found.refused, *found.differing,
                  sep="\n")  # fmt: skip
            return
        done: list[Found] = []
        for number in range(arguments.first, arguments.first + arguments.rounds):
            done.append(rounds.run(number, arguments.kind))
            if time.monotonic() - began > arguments.seconds:
                break
        rounds.peer.close()
    sys.exit(report(done, time.monotonic() - began))


def report(done: list[Found], seconds: float) -> int:
    """Print the result; return 1 if something differs without a reason."""
    kinds = Counter(found.kind for found in done)
    equal = sum(not found.differing and not found.refused for found in done)
    refused = sum(not found.differing and bool(found.refused) for found in done)
    counted = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    print(f"{len(done)} rounds ({counted}) in {seconds:.0f} s: {equal} equal,")
    print(f"  {refused} equal as far as both give an answer")
    stated: Counter[str] = Counter()
    other: defaultdict[str, list[Found]] = defaultdict(list)
    for found in done:
        for difference in found.differing:
            why = reason(found, difference)
            if why:
                stated[why] += 1
            else:
                other[f"{found.kind} {difference}"].append(found)
    for why, count in stated.most_common():
        print(f"  stated, {count}: {why}")
    for difference, where in sorted(other.items(), key=lambda item: -len(item[1])):
        damage = Counter(name for found in where for name in set(found.damage)).most_common(3)
        numbers = ", ".join(str(found.number) for found in where[:4])
        print(f"  DIFFERS, {len(where)}: {difference}\n      rounds {numbers}; {damage}")
    return bool(other)


if __name__ == "__main__":
    main()
