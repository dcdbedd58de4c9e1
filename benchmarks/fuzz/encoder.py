"""Damage that is done to the files of the rotary encoder."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.fuzz.raw import Raw, Rng


def _any(rng: Rng, raw: Raw) -> list[str]:
    return raw.positions if rng.random() < 0.7 else raw.events


def _cells(line: str, labelled: bool) -> tuple[list[str], int]:
    """Return the cells of a line, and which is its time."""
    return line.split(" "), 1 if labelled else 0


def _shifted(line: str, by: float) -> str:
    cells, at = _cells(line, line[:1].isalpha())
    cells[at] = str(int(float(cells[at]) + by))
    return " ".join(cells)


def lost_lines(rng: Rng, raw: Raw) -> None:
    """Leave out lines, one by one or many in a row."""
    lines = _any(rng, raw)
    if rng.random() < 0.5:
        keep = rng.random(len(lines)) > float(rng.choice([0.01, 0.05, 0.3]))
        lines[:] = [line for line, kept in zip(lines, keep, strict=True) if kept]
    elif lines:
        start = int(rng.integers(len(lines)))
        del lines[start : start + int(rng.integers(1, max(2, len(lines) // 4)))]


def cut(rng: Rng, raw: Raw) -> None:
    """Cut off the file's beginning, or its end, in the middle of a line."""
    lines = _any(rng, raw)
    if len(lines) < 2:
        return
    at = int(rng.integers(1, len(lines)))
    if rng.random() < 0.4:
        del lines[:at]
    else:
        rest = lines[at][: int(rng.integers(0, len(lines[at])))]
        lines[at:] = [rest] if rest.strip() else []


def empty(rng: Rng, raw: Raw) -> None:
    """Write nothing."""
    _any(rng, raw).clear()


def doubled_lines(rng: Rng, raw: Raw) -> None:
    """Repeat lines."""
    lines = _any(rng, raw)
    for _ in range(int(rng.integers(1, 6))):
        if lines:
            at = int(rng.integers(len(lines)))
            lines.insert(at, lines[at])


def equal_times(rng: Rng, raw: Raw) -> None:
    """Give neighbours one time."""
    lines = raw.positions
    for at in rng.integers(1, max(2, len(lines)), int(rng.integers(1, 20))):
        if at < len(lines) and not lines[at][:1].isalpha():
            cells, before = lines[at].split(" "), lines[at - 1].split(" ")
            lines[at] = " ".join([before[0], *cells[1:]])


def swapped_lines(rng: Rng, raw: Raw) -> None:
    """Swap neighbours."""
    lines = _any(rng, raw)
    for _ in range(int(rng.integers(1, 4))):
        if len(lines) > 3:
            at = int(rng.integers(len(lines) - 1))
            lines[at : at + 2] = lines[at : at + 2][::-1]


def late_line(rng: Rng, raw: Raw) -> None:
    """Move a line away from its place."""
    lines = raw.positions
    if len(lines) > 9:
        line = lines.pop(int(rng.integers(len(lines))))
        lines.insert(int(rng.integers(len(lines))), line)


def restart(rng: Rng, raw: Raw) -> None:
    """Let the counter of microseconds restart during the session."""
    times = [float(line.split(" ")[0]) for line in raw.events if not line[:1].isalpha()]
    if not times:
        return
    by = 2**32 - float(rng.uniform(min(times), max(times)))

    def moved(line: str) -> str:
        if line[:1].isalpha():
            return line
        time, *rest = line.split(" ")
        return " ".join([str(int((float(time) + by) % 2**32)), *rest])

    raw.positions[:] = map(moved, raw.positions)
    raw.events[:] = map(moved, raw.events)


def corrupt(rng: Rng, raw: Raw) -> None:
    """Write something else into a line."""
    lines = _any(rng, raw)
    if not lines:
        return
    odd = ["", "1 2 3 4", "abc 12 ", "12 ", "NaN NaN ", "1e9 -3 ", "\x00\x00\x00", "7,5 3 "]
    lines[int(rng.integers(len(lines)))] = str(rng.choice(odd))


def first_line(rng: Rng, raw: Raw) -> None:
    """Begin with a time that is not right."""
    if raw.positions:
        by = float(rng.choice([1e6, 1e8, 3e9, -5e5]))
        raw.positions[0] = _shifted(raw.positions[0], by)


def milliseconds(rng: Rng, raw: Raw) -> None:
    """Write milliseconds, in one file or in both; or microseconds that are whole milliseconds."""
    how = int(rng.integers(3))
    times = [int(float(line.split(" ")[0])) for line in raw.events if line[:1].isdigit()]
    if times != sorted(times):
        return  # no counter of milliseconds restarts within a session

    def changed(line: str) -> str:
        if line[:1].isalpha():
            return line
        time, *rest = line.split(" ")
        value = int(float(time)) // 1000
        return " ".join([str(value * 1000 if how == 2 else value), *rest])

    raw.positions[:] = map(changed, raw.positions)
    if how:
        raw.events[:] = map(changed, raw.events)


def other_positions(rng: Rng, raw: Raw) -> None:
    """Let the wheel jump, rest, or pass zero."""
    lines, how = raw.positions, int(rng.integers(4))
    for i in range(len(lines)):
        if lines[i][:1].isalpha() or len(lines[i].split(" ")) < 2:
            continue
        time, position, *rest = lines[i].split(" ")
        if how == 0 and rng.random() < 0.01:
            position = str(int(rng.integers(-512, 512)))
        elif how == 1:
            position = "0"
        elif how == 2 and rng.random() < 0.02:
            position = str(int(rng.integers(-1, 2)))
        elif how == 3 and position == "0":
            position = str(int(rng.integers(-2, 3)))
        lines[i] = " ".join([time, position, *rest])


def extra_events(rng: Rng, raw: Raw) -> None:
    """Add events that the state machine did not send."""
    for _ in range(int(rng.integers(1, 5))):
        if raw.events and not raw.events[0][:1].isalpha():
            at = int(rng.integers(len(raw.events)))
            time = int(float(raw.events[at].split(" ")[0])) + int(rng.integers(1, 200_000))
            raw.events.insert(at + 1, f"{time} {int(rng.integers(1, 5))} ")


def no_ends(rng: Rng, raw: Raw) -> None:
    """Leave out the blanks at the ends of lines."""
    raw.positions[:] = [line.rstrip() for line in raw.positions]
    raw.events[:] = [line.rstrip() for line in raw.events]


def late_events(rng: Rng, raw: Raw) -> None:
    """Let the computer of the events lag in some of them."""
    for i, line in enumerate(raw.events):
        if not line[:1].isalpha() and rng.random() < 0.05:
            raw.events[i] = _shifted(line, float(rng.choice([300, 1500, 4000, 20_000])))


def two_rows(rng: Rng, raw: Raw) -> None:
    """Keep a few positions only."""
    at = int(rng.integers(max(1, len(raw.positions))))
    raw.positions[:] = raw.positions[at : at + int(rng.integers(1, 6))]


ENCODER: dict[str, Callable[[Rng, Raw], None]] = {
    each.__name__: each
    for each in (
        lost_lines, cut, empty, doubled_lines, equal_times, swapped_lines, late_line, restart,
        corrupt, first_line, milliseconds, other_positions, extra_events, no_ends, late_events,
        two_rows,
    )
}  # fmt: skip
"""Damage to the encoder's files, by name."""
