"""Trials and wheel of session folders, extracted from raw files once and kept.

A result is stored under a hash of the raw files and of the code that reads them, so it is never
out of date. An interrupted analysis of many sessions continues where it stopped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

TABLE = "_ibl_trials.table.pqt"
GO_CUE = "_ibl_trials.goCueTrigger_times.npy"
POSITION = "_ibl_wheel.position.npy"

READ_BY = ("behaviour", "clocks")
"""Folders of shared.science whose code affects the results."""


def default_folder() -> Path:
    """Return this user's folder of extracted sessions."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fornix" / "extracted"


@cache
def _code() -> bytes:
    import shared.science

    digest = sha256()
    for folder in shared.science.__path__:
        for name in READ_BY:
            for file in sorted((Path(folder) / name).glob("*.py")):
                digest.update(file.read_bytes())
    return digest.digest()


def _place(session: Path, kept: Path) -> Path:
    """Return the folder of a session's stored results."""
    digest = sha256(_code())
    for file in sorted(session.glob("raw_*/_iblrig_*")):
        if file.suffix in (".jsonable", ".json", ".ssv"):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(session)}\0{len(content)}\0".encode() + content)
    name = digest.hexdigest()
    return kept / name[:2] / name


def _paths(session: Path) -> list[str]:
    """Return the paths of a session's results within it."""
    return [path.relative_to(session).as_posix() for path in (session / "alf").rglob("*.*.*")]


def trials(session: Path, kept: Path | None) -> dict[str, Any]:
    """Return the trials of a session: the table's columns and ``goCueTrigger_times``.

    Parameters
    ----------
    session : Path
        Session folder with ``alf`` or raw files.
    kept : Path or None
        Folder of extracted sessions; None extracts again and stores nothing.

    Raises
    ------
    ValueError
        If the trials can be neither read nor extracted.
    """
    from shared.alf.io import explode, load, load_object
    from shared.alf.layout import trials_in
    from shared.science.behaviour.trials import extract_trials, save

    if table_files := trials_in(_paths(session)):
        return load_object(session / table_files[0].collection, "trials")
    place = _place(session, kept) if kept else None
    # The table is written last, so its presence means that all results are there.
    if place and (place / TABLE).is_file():
        return explode(load(place / TABLE)) | {"goCueTrigger_times": load(place / GO_CUE)}
    files: Mapping[str, Any] = extract_trials(session)
    if place:
        place.mkdir(parents=True, exist_ok=True)
        save({name: files[name] for name in (GO_CUE, TABLE)}, place)
    return explode(files[TABLE]) | {"goCueTrigger_times": files[GO_CUE]}


AMBIENT = {
    "temperature_c": "Temperature_C",
    "air_pressure_mb": "AirPressure_mb",
    "relative_humidity": "RelativeHumidity",
}
"""Our names of the quantities that a rig's sensor measures."""


def ambient(logs: Iterable[Path]) -> dict[str, list[float]]:
    """Return temperature, pressure and humidity of each trial that the sensor measured.

    Parameters
    ----------
    logs : iterable of Path
        ``_iblrig_ambientSensorData.raw.jsonable``, in the order of the protocols.
    """
    out: dict[str, list[float]] = {name: [] for name in AMBIENT}
    for file in logs:
        for line in file.read_text().splitlines():
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line of a killed rig
            for name, key in AMBIENT.items():
                out[name] += [float(v) for v in values.get(key) or []]
    return out


class Wheel(Mapping[str, Any]):
    """The ``position`` (rad) of a session's wheel, read or extracted on demand.

    The analyses look at the wheel of a mouse's first days only.

    Parameters
    ----------
    session, kept
        As for :func:`trials`.
    """

    def __init__(self, session: Path, kept: Path | None) -> None:
        self.session, self.kept = session, kept

    def __getitem__(self, name: str) -> Any:
        """Return the position.

        Raises
        ------
        KeyError
            Another name, or no wheel can be read; standard error has the reason.
        """
        from shared.alf.io import load
        from shared.alf.layout import trials_in, wheel_in
        from shared.science.behaviour.trials import save
        from shared.science.behaviour.wheel import extract_wheel
        from shared.science.errors import ExtractionError

        if name != "position":
            raise KeyError(name)
        paths = _paths(self.session)
        if wheel_files := wheel_in(paths):
            return load(self.session / wheel_files[0].files["position"])
        if trials_in(paths):
            raise KeyError(name)
        place = _place(self.session, self.kept) if self.kept else None
        if place and (place / POSITION).is_file():
            return load(place / POSITION)
        try:
            position = extract_wheel(self.session)[POSITION]
        except ExtractionError as error:
            # A lost wheel costs two features, but the mouse remains.
            click.echo(f"{self.session}: no wheel: {error}", err=True)
            raise KeyError(name) from error
        if place:
            save({POSITION: position}, place)
        return position

    def __iter__(self) -> Iterator[str]:
        """Yield the possible names."""
        yield "position"

    def __len__(self) -> int:
        """Return their number."""
        return 1
