"""The larger proofs, one part after another, each with its time: ``make proof``.

    python -m tests.proof [PART …]

All parts run, whatever fails; the last lines say which did. ``FORNIX_POISON_SEED`` and
``FORNIX_POISON_ROUNDS`` choose other damaged files, and more of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass

IN_PROCESS = ("-n", "2")
"""Parts without a running system use both cores; systems need them for themselves."""


@dataclass(frozen=True)
class Part:
    """What is proved, and pytest's arguments."""

    what: str
    arguments: tuple[str, ...]
    marked: bool = True


PARTS = {
    "values": Part(
        "whatever a write accepts, every read shows",
        (*IN_PROCESS, "tests/api/test_poison.py"),
    ),
    "requests": Part(
        "every route answers odd headers, names, bodies and questions",
        (*IN_PROCESS, "tests/api/test_hostile_requests.py"),
    ),
    "races": Part(
        "two clients interleaved in hundreds of orders",
        (*IN_PROCESS, "tests/api/test_races.py"),
    ),
    "devices": Part(
        "devices offline, against a plain model", ("tests/api/test_offline_devices.py",)
    ),
    "files": Part(
        "damaged files of every type are refused one by one",
        (*IN_PROCESS, "tests/ingest/test_poison.py"),
        marked=False,
    ),
    "restore": Part("a lost table comes back row by row", ("tests/integration/test_restore.py",)),
    "system": Part(
        "the system killed at any moment",
        ("tests/integration/test_system.py", "tests/integration/test_flow.py"),
    ),
    "imports": Part("whole imports", ("tests/integration/test_imports.py",)),
    "cohort": Part(
        "a cohort from raw sessions to its page", ("tests/integration/test_cohort.py",)
    ),
    "tasks": Part("200 sessions of tasks under 60 kills", ("tests/lab/test_chaos.py",)),
    "apart": Part(
        "ibllib and DataJoint, where they are installed",
        ("tests/integration/test_ibllib.py", "tests/exports/test_datajoint_clients.py"),
    ),
}


def run(name: str, place: int, of: int) -> tuple[bool, float]:
    """Run a part; return whether it held, and its seconds."""
    part = PARTS[name]
    print(f"\n[{place}/{of}] {name}: {part.what}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", "3000", *part.arguments]
    command += ["-m", "proof"] if part.marked else []
    environment = {"FORNIX_POISON_ROUNDS": "20", **os.environ}
    start = time.monotonic()
    code = subprocess.run(command, env=environment, check=False).returncode
    return code in (0, 5), time.monotonic() - start  # 5: nothing was collected


def main() -> int:
    """Run the parts that are asked for; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    names = parser.parse_args().parts or list(PARTS)
    if unknown := [each for each in names if each not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    done = {each: run(each, i + 1, len(names)) for i, each in enumerate(names)}
    print()
    for name, (good, seconds) in done.items():
        word = "held" if good else "FAILED"
        print(f"{name:10}{word:8}{seconds // 60:3.0f} min {seconds % 60:2.0f} s")
    return 0 if all(good for good, _ in done.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
