"""The cost of requests to the API: in the function, over HTTP, in DynamoDB, and estimated on AWS.

A system starts in a temporary folder and is filled over HTTP with 2,000 sessions of 30 datasets
with two copies each, 6,000 weights, 8,000 waterings, probes and tasks with logs. Each request runs
in turn in the function itself and over loopback HTTP on a new connection::

    python benchmarks/api.py [--sessions 2000] [--repeats 15] [--json FILE]
    python benchmarks/api.py --beside CHECKOUT   # another commit with its own .venv, in turn
    python benchmarks/api.py --base REVISION     # the same; its checkout is made for the run
    make bench [BASE=REVISION]                   # the same, beside the last tag if there is one

With another commit, each request goes to both in turn. The command fails if a request takes more
time in the function or over HTTP, or more requests to the table, by more than a fifth, in the
median of the pairs, and by more than half a millisecond (the last column: ratios of the function's
processor time and of HTTP, which tell a slower program from a busy computer). The import
of the function is timed in both, too, compiled and not (as on Lambda, whose disk keeps nothing).

This benchmark does not compare Fornix with another server: the peer would have to answer in the
same run (``docs/benchmarks.md`` describes how and when that was done).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aws import estimate

ROOT = Path(__file__).resolve().parents[1]
SLOWER = 1.2
"""Ratio to the other checkout from which a request counts as slower."""
NOTICEABLE_MS = 0.5
"""Difference (ms, or requests) below which a ratio is ignored."""


@dataclass
class Cost:
    """Medians of one request over its turns."""

    name: str
    function_ms: float
    cpu_ms: float
    http_ms: float
    requests: float
    read_units: float
    write_units: float


class Side:
    """A checkout's system in a process of its own.

    Parameters
    ----------
    checkout : Path
        Checkout with its own ``.venv``.
    sessions : int
        Number of sessions to create.
    """

    def __init__(self, checkout: Path, sessions: int) -> None:
        python = checkout / ".venv" / "bin" / "python"
        script = Path(__file__).with_name("api_side.py")
        self._process = subprocess.Popen(
            [python, script, checkout, str(sessions)],
            cwd=checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        """Return the next line of the process, parsed."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the measured system ended with {self._process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def ask(self, name: str, turn: int = 0) -> dict[str, Any]:
        """Request a measurement; return its result."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"name": name, "turn": turn}) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """Stop the system."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(120)


def measure(sides: list[Side], name: str, first: int, repeats: int) -> list[list[dict[str, Any]]]:
    """Return the cost of a request in each turn, by side; the sides take turns to go first."""
    took: list[list[dict[str, Any]]] = [[] for _ in sides]
    for turn in range(first - 2, first + repeats):
        order = list(enumerate(sides))
        for place, side in order if turn % 2 else order[::-1]:
            cost = side.ask(name, turn + 2)
            if turn >= first:  # the turns before warm up
                took[place].append(cost)
    return took


def medians(name: str, took: list[dict[str, Any]]) -> Cost:
    """Return the medians of a request's measurements."""
    middle = {key: statistics.median(cost[key] for cost in took) for key in took[0]}
    return Cost(name, **middle)


def slower(name: str, here: list[dict[str, Any]], there: list[dict[str, Any]]) -> list[str]:
    """Return a line for each of a request's costs that is worse than in the other checkout.

    Other programs on the computer change elapsed times: a run that is to be believed has it alone.
    """
    lines = []
    for key in ("function_ms", "http_ms", "requests"):
        pairs = [(a[key], b[key]) for a, b in zip(here, there, strict=True)]
        ratio = statistics.median(a / b for a, b in pairs)
        more = statistics.median(a - b for a, b in pairs)
        if ratio > SLOWER and more > NOTICEABLE_MS:
            lines.append(f"{name}: {key} is {ratio:.2f} of the other checkout's")
    return lines


def print_head(beside: bool) -> None:
    """Print the table's head."""
    head = ("function ms", "CPU ms", "HTTP ms", "requests", "read", "write", "AWS ms", "$/million")
    print("| request, medians | " + " | ".join(head) + (" | ratios |" if beside else " |"))
    print("|---|" + "--:|" * (len(head) + beside))


def print_row(cost: Cost, other: Cost | None) -> None:
    """Print a request's medians, and their ratios to the other checkout's."""
    aws = estimate(cost.cpu_ms, cost.requests, cost.read_units, cost.write_units)
    cells = [
        *(f"{cost.function_ms:.1f}", f"{cost.cpu_ms:.1f}", f"{cost.http_ms:.1f}"),
        *(f"{cost.requests:.0f}", f"{cost.read_units:.1f}", f"{cost.write_units:.0f}"),
        *(f"{aws.milliseconds:.0f}", f"{aws.dollars:.1f}"),
    ]
    if other:
        inside, outside = cost.cpu_ms / other.cpu_ms, cost.http_ms / other.http_ms
        cells.append(f"{inside:.2f}, {outside:.2f}")
    print(f"| {cost.name} | " + " | ".join(cells) + " |", flush=True)


@contextmanager
def checkout_of(revision: str) -> Iterator[Path]:
    """Check out a revision, with all it needs to run, for the duration of the block."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), revision], check=True)
        try:
            subprocess.run(["make", "-s", "setup"], cwd=place, stdout=sys.stderr, check=True)
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def last_tag() -> str | None:
    """Return the last tag before this commit."""
    command = ["git", "-C", str(ROOT), "describe", "--tags", "--abbrev=0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


def cold_import(checkout: Path, *, compiled: bool) -> float:
    """Return the CPU time of importing the API in a new process (ms)."""
    code = (
        "import time; start = time.process_time(); import functions.api.app; "
        "print(1000 * (time.process_time() - start))"
    )
    environment = {"PATH": os.environ["PATH"]}
    if not compiled:
        environment |= {"PYTHONPYCACHEPREFIX": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    python = checkout / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code], cwd=checkout, env=environment, capture_output=True, check=True
    )
    return float(done.stdout)


def compare_imports(other: Path, repeats: int = 5) -> None:
    """Print the import time of this and another checkout, measured in turn."""
    for compiled in (True, False):
        cold_import(ROOT, compiled=compiled)
        cold_import(other, compiled=compiled)
        pairs = [
            (cold_import(ROOT, compiled=compiled), cold_import(other, compiled=compiled))
            for _ in range(repeats)
        ]
        here, other_ms = (statistics.median(times) for times in zip(*pairs, strict=True))
        what = "compiled" if compiled else "from source"
        print(
            f"import, {what}: {here:.0f} ms, there {other_ms:.0f} ms, ratio {here / other_ms:.2f}"
        )


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--beside", type=Path, help="a checkout with its own .venv")
    other.add_argument("--base", metavar="REVISION", help="or 'tag' for the last one")
    options = parser.parse_args()
    rows: list[Cost] = []
    worse: list[str] = []
    with ExitStack() as stack:
        beside = options.beside and options.beside.resolve()
        base = last_tag() if options.base == "tag" else options.base
        if options.base and not base:
            print("no tag yet, nothing to compare with: name a commit, as in BASE=main~20")
        if base:
            beside = stack.enter_context(checkout_of(base))
        if beside:
            compare_imports(beside)
        checkouts = [ROOT, *([beside] if beside else [])]
        sides = []
        for checkout in checkouts:
            sides.append(Side(checkout, options.sessions))
            stack.callback(sides[-1].close)
        ready = [side.answer() for side in sides]
        filled = ", ".join(f"{facts['fill_s']:.0f} s" for facts in ready)
        print(f"filled over HTTP with {options.sessions} sessions in {filled}\n")
        print_head(beside=len(sides) > 1)
        young, old = ready[0]["young"], ready[0]["requests"]
        for first, names, when in ((100, young, ", just written"), (0, old, "")):
            for name in names:
                took = measure(sides, name, first, options.repeats)
                costs = [medians(name + when, turns) for turns in took]
                rows.append(costs[0])
                print_row(costs[0], costs[1] if len(costs) > 1 else None)
                if len(costs) > 1:
                    worse += slower(name + when, *took)
            if when:
                for side in sides:
                    side.ask("settle")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if worse:
        sys.exit("slower than the other checkout:\n" + "\n".join(worse))


if __name__ == "__main__":
    main()
