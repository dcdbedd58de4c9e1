"""Rounds of the fuzz: damage a session, let both sides extract it, and compare."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.fuzz import clocks, films, mice, passives
from benchmarks.fuzz.bases import Bases, bases, copied, protocol
from benchmarks.fuzz.compare import Side, differences, notes, read
from benchmarks.fuzz.encoder import ENCODER
from benchmarks.fuzz.lines import BOARD, Lines, between_protocols
from benchmarks.fuzz.raw import MENDED, TRIALS, Raw, Rng
from lab.tasks import behaviour, sync
from shared.science.clocks.probes import TOLERANCE, align_probe
from shared.science.errors import ExtractionError
from shared.science.status.sessions import JudgedSession
from shared.science.status.windows import window_status

ARGUMENTS = {"collection": "raw_behavior_data", "output_collection": "alf"}
BOARD_ARGUMENTS = {**ARGUMENTS, "sync_collection": "raw_ephys_data"}


TOLERANCES = {"board": 1e-9, "window": 1e-12, "probe": 1e-8, "film": 1e-9, "passive": 1e-6}
"""Largest accepted differences by kind; others are equal to the last bit.

The times of a passive protocol's spacers have single precision in ibllib.
"""


class Peer:
    """A process of the other side, which answers one request after another."""

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("peer.py")
        self._process = subprocess.Popen([python, str(script)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip

    def ask(self, what: str, path: Path) -> dict[str, str]:
        """Return the refusals of the other side, by part."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([what, str(path)]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the other side ended during {what} of {path}")
        refused: dict[str, str] = json.loads(answer)["refused"]
        return refused

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@dataclass(frozen=True)
class Found:
    """Result of a round: the damage, and what differed."""

    kind: str
    number: int
    base: str
    damage: tuple[str, ...]
    refused: tuple[str, ...]
    differing: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Rounds:
    """Runs rounds by their number; the same seed and number give the same damage."""

    def __init__(self, python: str, seed: int, folder: Path) -> None:
        self.seed, self.folder = seed, folder
        self.bases: Bases = bases(python, folder / "bases")
        self.peer = Peer(python)
        self.kinds: dict[str, Callable[[Rng, Path], tuple[str, list[str], Side, Side]]] = {
            "bpod": self.bpod,
            "board": self.board,
            "mouse": self.mouse,
            "window": self.window,
            "probe": self.probe,
            "pulses": self.pulses,
            "film": self.film,
            "passive": self.passive,
        }

    def run(self, number: int, kind: str | None = None) -> Found:
        """Run a round."""
        rng = np.random.default_rng([self.seed, number])
        drawn = str(rng.choice(list(self.kinds)))
        kind = kind or drawn
        target = self.folder / "round/lab/Subjects/mouse/2026-01-02/001"
        base, damage, ours, theirs = self.kinds[kind](rng, target)
        refused = [f"{part}: ours {why}" for part, why in ours.refused.items()]
        refused += [f"{part}: theirs {why}" for part, why in theirs.refused.items()]
        differing = differences(ours, theirs, TOLERANCES.get(kind, 0.0))
        differing = tuple(differing)
        return Found(
            kind, number, base, tuple(damage), tuple(refused), differing, tuple(notes(theirs))
        )

    def bpod(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Damage a session on the state machine's clock."""
        base = self.bases.bpod[int(rng.integers(len(self.bases.bpod)))]
        raw = Raw.read(base)
        damage = _damaged(rng, raw, TRIALS | ENCODER)
        raw.write(copied(base, target))
        return _name(base), damage, *self._both(target, "bpod", _mended(raw, damage))

    def board(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Damage a session on the main clock."""
        base = self.bases.board[int(rng.integers(len(self.bases.board)))]
        copied(base, target)
        raw, damage = Raw.read(base), []
        if rng.random() < 0.4:
            damage += _damaged(rng, raw, TRIALS, most=2)
            raw.write(target)
        lines = Lines.read(base)
        for name in rng.choice(list(BOARD), int(rng.integers(0, 3)), replace=False):
            with contextlib.suppress(ValueError, IndexError, KeyError):
                BOARD[str(name)](rng, lines)
                damage.append(str(name))
        number = None
        if rng.random() < 0.3:
            with contextlib.suppress(ValueError, IndexError):
                number = between_protocols(rng, lines)
                damage.append("between_protocols")
        (target / "protocol.json").write_text(json.dumps(number))
        lines.write(target)
        mended = _mended(raw, damage)
        ours, theirs = self._both(target, "board", mended, number)
        theirs.remarks = ("habituation",) if "habituation" in protocol(base) else ()
        return _name(base), damage, ours, theirs

    def mouse(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Compare the training table of a mouse."""
        days = mice.mouse(rng)
        days = days if any(day.protocol != "habituation" for day in days) else mice.mouse(rng)
        target = target.parents[3].with_name("mice")
        shutil.rmtree(target, ignore_errors=True)
        mice.written(days, target)
        theirs = Side(refused=self.peer.ask("subject", target))
        sides = [Side(), theirs]
        ours = mice.training(days)
        tables = [ours, pd.read_parquet(target / "training.pqt") if not theirs.refused else ours]
        for side, table in zip(sides, tables, strict=True):
            session = table["session" if "session" in table else "session_path"].astype(str)
            told = list(table.index + " " + table["training_status"] + " " + session.str[-14:])
            side.files = {"training table": np.array(told)}
        counts = Counter(day.protocol for day in days)
        return "mouse", [f"{n} {name}" for name, n in counts.items()], *sides

    def window(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Compare the numbers and the status of a window of days."""
        days = [day for day in mice.mouse(rng) if day.protocol != "habituation"]
        start = int(rng.integers(max(1, len(days) - 2)))
        days = days[start : start + 3] or mice.mouse(rng)[-1:]
        path = target.with_name("window.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [name for name in days[0].trials if name != "goCueTrigger_times"]
        path.write_text(json.dumps([{
            "dates": [day.date for day in days],
            "protocols": [day.protocol for day in days],
            "trials": [day.trials[names].to_dict("list") for day in days],
        }]))  # fmt: skip
        theirs = Side(refused=self.peer.ask("window", path))
        found = window_status([
            JudgedSession(day.date, day.protocol, {n: day.trials[n].to_numpy() for n in names})
            for day in days
        ])  # fmt: skip
        ours = Side(files=_measures(found.status, found.info))
        if not theirs.refused:
            (told,) = json.loads(path.with_suffix(".status.json").read_text())
            theirs.files = _measures(told["status"], told["info"])
        return "window", [day.protocol for day in days], ours, theirs

    def probe(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Compare the relation of a probe's clock to the main one."""
        drawn = clocks.pair(rng)
        path = target.with_name("fronts.npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, times=drawn.probe.times, polarities=drawn.probe.polarities,
                 main=drawn.main.times, rate=drawn.rate)  # fmt: skip
        ours, theirs = Side(), Side(refused=self.peer.ask("probe", path))
        try:
            clock = align_probe(drawn.probe, drawn.main, drawn.rate)
            good = np.array([clock.residual <= TOLERANCE])
            ours.files = {"points": clock.points, "good": good}
        except ExtractionError as error:
            ours.refused["trials"] = f"{type(error).__name__}: {error}"
        if not theirs.refused:
            found = np.load(path.with_name("theirs.npz"))
            theirs.files = {"points": found["points"], "good": np.atleast_1d(found["good"])}
        return "probe", drawn.damage, ours, theirs

    def pulses(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Compare the pulses of a board's recording."""
        shutil.rmtree(target, ignore_errors=True)
        odd = clocks.recording(rng, target)
        out = target.with_name("ours")
        shutil.rmtree(out, ignore_errors=True)
        ours, theirs = Side(), Side()
        try:
            sync.pulses(target, out, {"collection": "raw_ephys_data"})
            ours.files = read(out / "raw_ephys_data")
        except ExtractionError as error:
            ours.refused["trials"] = f"{type(error).__name__}: {error}"
        refused = self.peer.ask("pulses", target)
        theirs.refused = {"trials": "; ".join(refused.values())} if refused else {}
        theirs.files = read(target / "alf")
        return "recording", odd, ours, theirs

    def film(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Compare the times of a film's frames, and its quality."""
        shot, on_board = films.made(rng, self.bases, target)
        out = target.with_name("ours")
        shutil.rmtree(out, ignore_errors=True)
        ours = films.ours(target, out, shot, on_board)
        theirs = films.theirs(target, shot, self.peer.ask("film", target), ours)
        name = f"{shot.label} camera, {'board' if on_board else 'state machine'}"
        return name, shot.damage, ours, theirs

    def passive(self, rng: Rng, target: Path) -> tuple[str, list[str], Side, Side]:
        """Compare the stimuli and sounds of a passive protocol."""
        shown = passives.made(rng, self.bases.board[0], target)
        ours = passives.ours(target, target.with_name("ours"), shown)
        theirs = Side(refused=self.peer.ask("passive", target))
        theirs.files = read(target / "alf")
        theirs.remarks = passives.remarks(ours, theirs, shown)
        return f"version {shown.settings['IBLRIG_VERSION']}", shown.damage, ours, theirs

    def _both(
        self, session: Path, kind: str, mended: Raw | None, number: int | None = None
    ) -> tuple[Side, Side]:
        collection = "raw_behavior_data"
        if number is not None:  # the rig's folders are numbered, if there are several protocols
            collection = f"raw_task_data_{number:02}"
            shutil.copytree(session / "raw_behavior_data", session / collection)
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            ours = extracted(session, Path(name), kind, collection)
        if mended is not None:
            mended.write(session)
        theirs = Side(refused=self.peer.ask(kind, session))
        theirs.files = read(session / "alf")
        quality = session / "quality.json"
        if quality.exists():
            theirs.quality = json.loads(quality.read_text())
        return ours, theirs


def extracted(session: Path, out: Path, kind: str, collection: str) -> Side:
    """Extract a session with Fornix."""
    side = Side()
    arguments = (BOARD_ARGUMENTS if kind == "board" else ARGUMENTS) | {"collection": collection}
    rests = "habituation" in protocol(session)
    tasks: dict[str, Callable[..., Any]] = (
        {"trials": behaviour.habituation_nidq} if rests and kind == "board"
        else {"trials": behaviour.habituation} if rests
        else {"trials": behaviour.trials_nidq, "wheel": behaviour.wheel_nidq} if kind == "board"
        else {"trials": behaviour.trials, "wheel": behaviour.wheel}
    )  # fmt: skip
    for part, task in tasks.items():
        try:
            made = task(session, out, arguments)
        except ExtractionError as error:
            side.refused[part] = f"{type(error).__name__}: {error}"
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).stem}.{frame.name}"
            side.refused[part] = f"CRASH {type(error).__name__} in {place}: {str(error)[:80]}"
        else:
            if part == "trials":
                side.quality = made.facts.extended_qc if made.facts else None
    if "trials" not in side.refused and not side.quality:
        side.refused["quality"] = "CRASH: the trials were not judged"
    if (out / "alf").is_dir():
        side.files = read(out / "alf")
    return side


def _damaged(rng: Rng, raw: Raw, kinds: dict[str, Callable[[Rng, Raw], None]],
             most: int = 3) -> list[str]:  # fmt: skip
    """Do some damage; return the names of what was done."""
    done = []
    for name in map(str, rng.choice(list(kinds), int(rng.integers(0, most + 1)))):
        # What was damaged before may not be readable for the next damage.
        with contextlib.suppress(ValueError, IndexError, KeyError, TypeError):
            kinds[name](rng, raw)
            done.append(name)
    return done


def _measures(status: str, info: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return status, counts and times of a window; the fits start at random on both sides."""
    numbers = {
        name: np.array([np.nan if x is None else x for x in np.atleast_1d(info[name])], float)
        for name in ("n_trials", "perf_easy", "rt")
    }
    return {"status": np.array([status]), **numbers}


def _mended(raw: Raw, damage: list[str]) -> Raw | None:
    """Return the trials as Fornix mends them, if there is something to mend."""
    return raw.mended() if MENDED & set(damage) else None


def _name(base: Path) -> str:
    return base.name if base.parent.name == "real" else base.parents[2].name


logging.getLogger("shared").setLevel(logging.ERROR)
