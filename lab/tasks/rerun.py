"""Repeat a run from its record: with the same inputs by hash, and its outputs compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from lab.tasks.run import UnknownTask, environment, package_of, run
from shared.model.task import RunFile, RunRecord
from shared.tasks import registry

Verdict = Literal["same bytes", "same values", "other values", "missing", "new"]

GOOD: frozenset[Verdict] = frozenset({"same bytes", "same values"})


class Compared(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output of the second run compared with the first run's; ``note`` says how they differ."""

    path: str
    verdict: Verdict
    note: str = ""


class Rerun(msgspec.Struct, frozen=True):
    """The result of a repeated run.

    Attributes
    ----------
    status
        How the second run ended.
    error
        Why it did not end Complete.
    outputs
        Every output of either run.
    changed
        Differences in code and environment: name, then, now.
    """

    status: str
    error: str | None
    outputs: tuple[Compared, ...]
    changed: tuple[tuple[str, str | None, str | None], ...]

    @property
    def same(self) -> bool:
        """Whether all outputs are the same."""
        return all(each.verdict in GOOD for each in self.outputs)


def rerun(
    record: RunRecord,
    session: Path,
    out: Path,
    original: Callable[[RunFile], Path | None] = lambda file: None,
) -> Rerun:
    """Repeat the run of a record.

    Parameters
    ----------
    record
        Record of the first run.
    session
        The session's folder with the run's inputs.
    out
        Folder for the outputs of the second run.
    original
        Returns the first run's file, to compare values where bytes differ.

    Raises
    ------
    UnknownTask, InputsMissing
        The task, or an input of it, is missing here.
    """
    declared = registry.declared(record.task)
    if declared is None:
        raise UnknownTask(f"there is no task {record.task!r}; there are {registry.names()}")
    parameters = {name: str(value) for name, value in record.parameters.items()}
    result = run(declared.filled(parameters), session, out)
    written = {output.path: output for output in (result.record or RunRecord()).outputs}
    outputs = [
        _beside(output, written.get(output.path), out, original) for output in record.outputs
    ]
    recorded_paths = {output.path for output in record.outputs}
    outputs += [Compared(path, "new") for path in sorted(set(written) - recorded_paths)]
    return Rerun(result.status, result.error, tuple(outputs), tuple(_changed(record)))


def _changed(record: RunRecord) -> Iterable[tuple[str, str | None, str | None]]:
    version, libraries = environment()
    now: Mapping[str, str | None] = {
        "fornix": version,
        **libraries,
        **package_of(record.task),
    }
    then = {"fornix": record.version, **record.environment}
    for name in sorted({*now, *then}):
        if then.get(name) != now.get(name):
            yield name, then.get(name), now.get(name)


def _beside(
    first: RunFile,
    second: RunFile | None,
    out: Path,
    original: Callable[[RunFile], Path | None],
) -> Compared:
    if second is None:
        return Compared(first.path, "missing")
    if second.sha256 == first.sha256:
        return Compared(first.path, "same bytes")
    original_file = original(first)
    if original_file is None:
        return Compared(first.path, "other values", "the first run's file is not to be had")
    try:
        note = difference(original_file, out / first.path)
    except (OSError, ValueError) as error:
        return Compared(first.path, "other values", f"cannot be compared: {error}")
    return Compared(first.path, "other values" if note else "same values", note)


def difference(first: Path, second: Path) -> str:
    """Say how the values of two files differ; empty if they do not.

    Arrays (``.npy``) and tables (``.pqt``) are compared by value, all else by bytes.
    """
    suffix = second.suffix
    if suffix == ".npy":
        return _of_arrays(np.load(first), np.load(second))
    if suffix in (".pqt", ".parquet"):
        import pandas as pd

        one, two = pd.read_parquet(first), pd.read_parquet(second)
        if list(one.columns) != list(two.columns):
            return f"columns {list(one.columns)} became {list(two.columns)}"
        differences = (
            (name, _of_arrays(one[name].to_numpy(), two[name].to_numpy())) for name in one
        )
        return "; ".join(f"{name}: {text}" for name, text in differences if text)
    return "" if first.read_bytes() == second.read_bytes() else "the bytes differ"


def _of_arrays(one: np.ndarray, two: np.ndarray) -> str:
    if one.shape != two.shape:
        return f"shape {one.shape} became {two.shape}"
    if one.dtype.kind not in "biufc" or two.dtype.kind not in "biufc":
        unlike = int(np.sum(one != two))
        return f"{unlike} of {one.size} values differ" if unlike else ""
    both = np.isnan(one) & np.isnan(two) if one.dtype.kind in "fc" else np.zeros(one.shape, bool)
    unlike = (one != two) & ~both
    if not unlike.any():
        return ""
    with np.errstate(invalid="ignore"):
        most = np.max(np.abs(one[unlike].astype(float) - two[unlike].astype(float)))
    return f"{int(unlike.sum())} of {one.size} values differ, by {most:.3g} at most"
