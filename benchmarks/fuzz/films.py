"""Drawn films: signals of a camera's frames, sounds, and what the rig wrote of each frame."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.fuzz.bases import Bases, copied
from benchmarks.fuzz.compare import Side
from benchmarks.fuzz.lines import LINES, Lines
from benchmarks.fuzz.raw import Raw, Rng
from lab.tasks import films, video
from shared.science.errors import ExtractionError
from shared.science.video.frame_data import SYNC_PIN, stamps_of

RATES = {"left": 60.0, "right": 150.0, "body": 30.0}
SIZES = {"left": (1280, 1024), "right": (640, 512), "body": (640, 512)}
ARGUMENTS = {
    "collection": "raw_video_data",
    "task_collection": "raw_behavior_data",
    "sync_collection": "raw_ephys_data",
}
TICKS = 6.375e17
"""Reading of the computer's clock at the first frame, in units of 100 ns."""


@dataclass
class Shot:
    """A film, and what was recorded of it.

    Attributes
    ----------
    signs, rises : array
        When the camera took each frame on the session's clock, and the signals that were recorded
        (s).
    film : array of int
        Indices into `signs` of the frames in the film.
    sounds, heard : array
        Shape (sounds, 2): on the session's clock, and as recorded.
    rows : array
        Shape (frames, 4): as rigs write them since 2021.
    length : int
        Frames of the film.
    """

    label: str
    rate: float
    signs: np.ndarray
    rises: np.ndarray
    film: np.ndarray
    sounds: np.ndarray
    heard: np.ndarray
    rows: np.ndarray
    length: int
    old: str = ""
    torn: int = 0
    lacking: tuple[str, ...] = ()
    starts_high: bool = False
    silent_trials: bool = False
    damage: list[str] = field(default_factory=list)

    @property
    def truth(self) -> np.ndarray:
        """When the film's frames were taken (s)."""
        return self.signs[self.film][: self.length]


def drawn(
    rng: Rng, label: str, rate: float, start: float, end: float, trials: np.ndarray | None
) -> Shot:
    """Draw a film without faults: frames before it, frames lost within it, sounds.

    The sounds of a session without a board lie within its trials.
    """
    n = int((end - start) * rate)
    signs = start + np.arange(n) / (rate * (1 + float(rng.normal(0, 2e-5))))
    signs = signs + np.clip(rng.normal(0, 2e-5, n), -1e-4, 1e-4)
    before = int(rng.choice([0, 1, 7, 60, 200]))
    film = np.arange(before, n)
    for _ in range(int(rng.choice([0, 0, 1, 3]))):
        at = int(rng.integers(5, film.size - 30))
        film = np.delete(film, slice(at, at + int(rng.choice([1, 2, 12]))))
    gaps = rng.uniform(0.4, 6, int((end - start) / 2))
    lengths = rng.choice([0.1, 0.5, 0.11], gaps.size)
    begins = start + 1.5 + np.cumsum(gaps + lengths)
    sounds = np.column_stack([begins, begins + lengths])[begins + lengths < end - 1]
    if trials is not None:
        at = np.searchsorted(trials[:, 0], sounds[:, 0]) - 1
        within = (at >= 0) & (sounds[:, 0] > trials[at, 0] + 0.8)
        within &= sounds[:, 1] < trials[at, 1] - 1e-3
        cues = trials[trials[:, 0] + 1.3 < min(end, signs[-1]), :1] + [0.317, 0.417]
        sounds = _joined(np.concatenate([sounds[within], cues]))
    since = signs[film] - signs[film][0]
    drift, zero = 1 + float(rng.normal(0, 3e-5)), float(rng.uniform(0, 127))
    late = float(rng.choice([0.0, 2e-4]))
    sounding = np.searchsorted(sounds.ravel(), signs[film] - late, side="right") % 2 == 1
    others = int(rng.choice([0, 0b0110 << SYNC_PIN]))
    rows = np.column_stack([
        TICKS + since * 1e7, stamps_of(zero + since * drift),
        float(rng.integers(0, 10**9)) + film - film[0],
        np.where(sounding, 1 << SYNC_PIN, 0) | others,
    ])  # fmt: skip
    return Shot(label, rate, signs, signs.copy(), film, sounds, sounds.copy(), rows, film.size)


# Damage.


def late_clock(rng: Rng, shot: Shot) -> None:
    """Start the session's clock during the film."""
    at = shot.signs[shot.film[0]] + float(rng.choice([0.05, 0.7, 4.0]))
    shot.rises, shot.heard = shot.rises[shot.rises > at], shot.heard[shot.heard[:, 0] > at]


def early_end(rng: Rng, shot: Shot) -> None:
    """Stop the session's clock before the film ends."""
    at = shot.signs[-1] - float(rng.choice([0.05, 0.7, 9.0]))
    shot.rises, shot.heard = shot.rises[shot.rises < at], shot.heard[shot.heard[:, 1] < at]


def more_rows(rng: Rng, shot: Shot) -> None:
    """Write a film that is shorter than what the rig counted."""
    shot.length -= int(rng.choice([1, 3, 5, 60]))


def fewer_rows(rng: Rng, shot: Shot) -> None:
    """Count fewer frames than the film has."""
    shot.rows = shot.rows[: -int(rng.choice([1, 4, 30]))]


def silent_pin(rng: Rng, shot: Shot) -> None:
    """Leave the pin as it is, high or low."""
    pins = shot.rows[:, 3].astype(np.int64) & ~(1 << SYNC_PIN)
    shot.rows[:, 3] = pins | (int(rng.integers(2)) << SYNC_PIN)


def inverted_pin(rng: Rng, shot: Shot) -> None:
    """Invert the pin."""
    shot.rows[:, 3] = shot.rows[:, 3].astype(np.int64) ^ (1 << SYNC_PIN)


def deaf_pin(rng: Rng, shot: Shot) -> None:
    """Lose some sounds on the camera's pin."""
    pins = shot.rows[:, 3].astype(np.int64)
    for begin, end in shot.sounds[rng.random(len(shot.sounds)) < float(rng.choice([0.1, 0.5]))]:
        at = shot.signs[shot.film][: len(pins)]
        pins[(at > begin - 0.02) & (at < end + 0.02)] &= ~(1 << SYNC_PIN)
    shot.rows[:, 3] = pins


def bouncing_pin(rng: Rng, shot: Shot) -> None:
    """Let the pin rise or fall for a frame."""
    for at in rng.integers(1, len(shot.rows), 3):
        shot.rows[at, 3] = int(shot.rows[at, 3]) ^ (1 << SYNC_PIN)


def unheard(rng: Rng, shot: Shot) -> None:
    """Lose sounds on the session's clock."""
    lost = rng.random(len(shot.heard)) < float(rng.choice([0.05, 0.3, 1.0]))
    shot.heard = shot.heard[~lost]


def first_unheard(rng: Rng, shot: Shot) -> None:
    """Lose the first sounds on the session's clock."""
    shot.heard = shot.heard[int(rng.integers(1, 4)) :]


def noises(rng: Rng, shot: Shot) -> None:
    """Record sounds that were none."""
    begins = rng.uniform(shot.signs[0], shot.signs[-1], int(rng.integers(1, 8)))
    width = float(rng.choice([5e-5, 1e-3, 0.0049, 0.1]))
    shot.heard = _joined(np.concatenate([shot.heard, np.column_stack([begins, begins + width])]))


def split_sounds(rng: Rng, shot: Shot) -> None:
    """Split sounds in two, as some sound cards do."""
    gap = float(rng.choice([1e-3, 3e-3, 6e-3]))
    begins, ends = shot.heard.T
    middle = begins + 0.003
    shot.heard = np.concatenate(
        [np.column_stack([begins, middle]), np.column_stack([middle + gap, ends])]
    )
    shot.heard = shot.heard[np.argsort(shot.heard[:, 0])]


def starts_high(rng: Rng, shot: Shot) -> None:
    """Begin with a line of sounds that is high."""
    shot.starts_high = True


def lost_signs(rng: Rng, shot: Shot) -> None:
    """Lose signals of frames."""
    shot.rises = np.delete(shot.rises, rng.integers(0, shot.rises.size, int(rng.choice([1, 5]))))


def extra_signs(rng: Rng, shot: Shot) -> None:
    """Record signals that no frame gave."""
    extra = rng.uniform(shot.rises[0], shot.rises[-1], int(rng.choice([1, 5])))
    shot.rises = np.sort(np.concatenate([shot.rises, extra]))


def no_signs(rng: Rng, shot: Shot) -> None:
    """Record no signal, or one."""
    shot.rises = shot.rises[: int(rng.integers(2))]


def counts(rng: Rng, shot: Shot) -> None:
    """Count a frame twice, or begin again."""
    at = int(rng.integers(1, len(shot.rows)))
    shot.rows[at:, 2] = (
        shot.rows[at:, 2] - 1 if rng.random() < 0.5 else np.arange(len(shot.rows) - at)
    )


def stamps(rng: Rng, shot: Shot) -> None:
    """Let the camera's clock stand, or jump."""
    at = int(rng.integers(1, len(shot.rows)))
    if rng.random() < 0.5:
        shot.rows[at, 1] = shot.rows[at - 1, 1]
    else:
        since = (shot.rows[at:, 0] - shot.rows[0, 0]) / 1e7
        shot.rows[at:, 1] = stamps_of(since + float(rng.choice([40.0, 3.0])))


def separate(rng: Rng, shot: Shot) -> None:
    """Write a file of each, as rigs before 2021; some lack one."""
    shot.old = str(rng.choice(["computer first", "camera first"]))
    if rng.random() < 0.3:
        shot.lacking = (str(rng.choice(["GPIO.bin", "frame_counter.bin"])),)


def torn(rng: Rng, shot: Shot) -> None:
    """End a file within a frame."""
    shot.torn = int(rng.choice([3, 8, 24]))


DAMAGE: dict[str, Callable[[Rng, Shot], None]] = {
    each.__name__: each
    for each in (
        late_clock, early_end, more_rows, fewer_rows, silent_pin, inverted_pin, deaf_pin,
        bouncing_pin, unheard, first_unheard, noises, split_sounds, starts_high, lost_signs,
        extra_signs, no_signs, counts, stamps, separate, torn,
    )
}  # fmt: skip
"""Damage to films, by name."""


def _joined(pulses: np.ndarray) -> np.ndarray:
    joined: list[list[float]] = []
    for rise, fall in pulses[np.argsort(pulses[:, 0])]:
        if joined and rise <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], float(fall))
        else:
            joined.append([float(rise), float(fall)])
    return np.array(joined).reshape(-1, 2)


# Files.


def write_rows(shot: Shot, folder: Path) -> None:
    """Write the rig's data of the frames."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"_iblrig_{shot.label}Camera."
    if not shot.old:
        content = shot.rows.astype(np.float64).tobytes()
        (folder / f"{stem}frameData.bin").write_bytes(content[: len(content) - shot.torn])
        return
    for name, column in (("GPIO.bin", 3), ("frame_counter.bin", 2)):
        if name not in shot.lacking:
            content = shot.rows[:, column].astype(np.float64).tobytes()
            (folder / f"{stem}{name}").write_bytes(content)
    since = (shot.rows[:, 0] - shot.rows[0, 0]) / 1e7
    computer = np.datetime64("2020-03-05T10:00:00.0000000") + (since * 1e9).astype(
        "timedelta64[ns]"
    )
    stamps = shot.rows[:, 1].astype(np.int64)
    pairs = zip(computer.astype("datetime64[ns]").astype(str), stamps, strict=True)
    first = shot.old == "computer first"
    lines = [f"{time[:27]} {stamp} " if first else f"{stamp} {time[:27]}" for time, stamp in pairs]
    (folder / f"{stem}timestamps.ssv").write_text("\n".join(lines) + "\n")


def write_lines(shot: Shot, lines: Lines) -> None:
    """Put the signals and sounds on the board's lines."""
    wire = LINES[f"{shot.label}_camera"]
    changes = np.column_stack([shot.rises, shot.rises + 0.4 / shot.rate]).ravel()
    lines.times[wire] = np.sort(changes)
    lines.polarities[wire] = np.tile([1, -1], shot.rises.size)
    heard = shot.heard.ravel()
    polarities = np.tile([1, -1], len(shot.heard))
    skip = 1 if shot.starts_high else 0
    lines.times[LINES["audio"]], lines.polarities[LINES["audio"]] = heard[skip:], polarities[skip:]


def edges(trial: dict[str, Any]) -> tuple[float, float]:
    """Return start and end of a trial since the state machine was started (s)."""
    told = trial["behavior_data"]
    zero = told.get("Bpod start timestamp", 0.0)
    return told["Trial start timestamp"] - zero, told["Trial end timestamp"] - zero


def write_events(shot: Shot, raw: Raw) -> None:
    """Put the signals and sounds into the state machine's trials."""
    for trial in raw.trials:
        start, end = edges(trial)
        found = trial["behavior_data"]["Events timestamps"]
        for name in [name for name in found if name.startswith(("Port1", "BNC2"))]:
            del found[name]
        for name, times in {
            "Port1In": shot.rises, "Port1Out": shot.rises + 0.4 / shot.rate,
            "BNC2High": shot.heard[:, 0], "BNC2Low": shot.heard[:, 1],
        }.items():  # fmt: skip
            within = times[(times >= start) & (times < end)]
            if within.size:
                found[name] = [round(float(t - start), 4) for t in within]
        shot.silent_trials |= "BNC2High" not in found or "BNC2Low" not in found


@contextlib.contextmanager
def stub(shot: Shot) -> Iterator[None]:
    """Let the task see a film of this length, whose pictures are all the same."""
    width, height = SIZES[shot.label]
    header = films.FilmHeader(shot.length, float(shot.rate), width, height)
    pictures = np.full((100, 8, 8), 100, np.uint8)
    film = SimpleNamespace(header=header, samples=lambda numbers: pictures)
    with (
        mock.patch.object(films, "find_film"),
        mock.patch.object(films, "open_film", return_value=contextlib.nullcontext(film)),
    ):
        yield


def made(rng: Rng, bases: Bases, target: Path) -> tuple[Shot, bool]:
    """Write a session with a drawn film; return the film, and whether a board saw it."""
    on_board = bool(rng.random() < 0.6)
    label = str(rng.choice(list(RATES))) if on_board else "left"
    rate = RATES[label] if on_board else 30.0
    session = bases.board if on_board else bases.bpod[-12:]
    base = session[int(rng.integers(len(session)))]
    copied(base, target)
    raw = Raw.read(base)
    lines = Lines.read(base) if on_board else None
    if lines is not None:
        ends = [times[[0, -1]] for wire, times in lines.times.items() if times.size]
        start, end = float(np.min(ends)), float(np.max(ends))
        trials = None
    else:
        trials = np.array([edges(trial) for trial in raw.trials])
        start, end = trials[0, 0] - 2, trials[-1, 1] + 3
    shot = drawn(rng, label, rate, start, min(end, start + 200), trials)
    for name in map(str, rng.choice(list(DAMAGE), int(rng.integers(0, 3)), replace=False)):
        with contextlib.suppress(ValueError, IndexError):
            DAMAGE[name](rng, shot)
            shot.damage.append(name)
    write_rows(shot, target / "raw_video_data")
    if lines is not None:
        write_lines(shot, lines)
        lines.write(target)
    else:
        write_events(shot, raw)
        raw.write(target)
    told = {"label": label, "length": shot.length, "fps": rate, "board": on_board,
            "width": SIZES[label][0], "height": SIZES[label][1]}  # fmt: skip
    (target / "film.json").write_text(json.dumps(told))
    return shot, on_board


def ours(session: Path, out: Path, shot: Shot, on_board: bool) -> Side:
    """Find the times of the film's frames, and judge it, with Fornix."""
    side, task = Side(), video.times_nidq if on_board else video.times
    with stub(shot):
        try:
            found = task(session, out, {**ARGUMENTS, "camera": shot.label})
        except ExtractionError as error:
            side.refused["trials"] = f"{type(error).__name__}: {error}"
            return side
        except Exception as error:
            side.refused["trials"] = f"CRASH {type(error).__name__}: {str(error)[:80]}"
            return side
    times = np.load(out / f"alf/_ibl_{shot.label}Camera.times.npy")
    side.files = {"times": times} | checks(found.facts.extended_qc if found.facts else {})
    return side


def theirs(session: Path, shot: Shot, refused: dict[str, str], side: Side) -> Side:
    """Return what the other side found."""
    quality = refused.pop("quality", "")
    if refused:
        return Side(refused={"trials": "; ".join(refused.values())})
    found = Side(files={"times": np.load(session / "alf/times.npy")})
    judged: dict[str, Any] = json.loads((session / "quality.json").read_text())
    if quality:
        found.refused["quality"] = quality
        side.files = {"times": side.files["times"]} if "times" in side.files else {}
    else:
        found.files |= checks(judged)
    found.remarks = remarks(side.files.get("times"), found.files["times"], shot)
    return found


def checks(judged: Any) -> dict[str, np.ndarray]:
    """Return checks as text, without those that need pictures."""
    without = ("position", "focus", "wheel_alignment", "brightness")
    return {
        name.partition("_video")[2].partition("_")[2]: np.array([json.dumps(value)])
        for name, value in judged.items()
        if name.startswith("_video") and not name.endswith(without)
    }


def remarks(mine: np.ndarray | None, other: np.ndarray, shot: Shot) -> tuple[str, ...]:
    """Say which side is nearer to the truth, if they differ."""
    silent = ("a trial without sounds",) if shot.silent_trials else ()
    if mine is None or (mine.shape == other.shape and np.allclose(mine, other, 0, 1e-9)):
        return silent
    far = [
        float(np.max(np.abs(each - shot.truth))) if each.shape == shot.truth.shape else np.inf
        for each in (mine, other)
    ]
    said = [f"ours off by {far[0]:.4f} s, theirs by {far[1]:.4f}"]
    # to a hundredth of a frame: both may lack the same
    if far[0] <= far[1] + 0.01 / shot.rate:
        said.append("ours no farther from the truth")
    return (*said, *silent)
