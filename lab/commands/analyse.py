"""``fornix analyse``: analyses of many mice, run outside the cloud."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from shared.science.cohort.validation import Progress


RESULT_FILE, FEATURES_FILE = "training_time.json", "features.pqt"


@click.group()
def analyse() -> None:
    """Run analyses of many mice on this computer."""


@analyse.command("training-time")
@click.option(
    "--cohort",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a cohort's daily tables (figure3_ibl_learning.csv and its two siblings).",
)
@click.option(
    "--sessions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of sessions, LAB/Subjects/SUBJECT/DATE/NNN, with alf or raw_behavior_data.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("training-time"),
    show_default=True,
    help="Folder for the result, the figure and the features.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@click.option("--seed", default=0, show_default=True, help="The paper's forest and folds use 0.")
@click.option("--shuffles", default=100, show_default=True, type=click.IntRange(1))
@click.option("--repeats", default=20, show_default=True, type=click.IntRange(1))
@click.option(
    "--jobs",
    default=os.cpu_count() or 1,
    show_default="one per core",
    type=click.IntRange(1),
    help="Processes.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where what is extracted of raw sessions is kept; by default the user's cache folder.",
)
@click.option("--dry-run", is_flag=True, help="Compute the features, say who would be used.")
def training_time(
    cohort: Path | None,
    sessions: Path | None,
    out: Path,
    as_json: bool,
    seed: int,
    shuffles: int,
    repeats: int,
    jobs: int,
    cache: Path | None,
    dry_run: bool,
) -> None:
    """Find what foretells how long a mouse takes to train.

    Repeats the analysis of Fig. 2 of the data architecture paper (Nature Methods 2023) on a
    cohort, and adds to it. Writes training_time.json, .svg, .png and features.pqt to --out and
    prints paper and result side by side. About three minutes for 120 mice on two cores.

    A folder of --sessions may hold subjects.json, by subject: sex, birth_date, weighings,
    restrictions and waters (lists of [date, value]), light, food. What it lacks is left out of
    the features, and named. Raw sessions are extracted once; stopped, it goes on from there.
    """
    if (cohort is None) == (sessions is None):
        raise click.UsageError("Give either --cohort or --sessions.")
    from shared.science.cohort.analysis import analyse
    from shared.science.cohort.daily_tables import from_daily_tables
    from shared.science.cohort.model import make_cohort
    from shared.science.cohort.predictor import Predictor

    synthetic = False
    try:
        if cohort is not None:
            features = from_daily_tables(cohort)
        else:
            from lab.extracted import default_folder

            cache_folder = cache or default_folder()
            features, synthetic = _from_tree(
                Path(str(sessions)), seed, jobs, cache_folder, as_json
            )
        if dry_run:
            mice = make_cohort(features)
            click.echo(f"{len(mice.table)} of {len(features)} mice, features: ", nl=False)
            click.echo(", ".join(mice.features))
            return
        # Features are kept even if there are too few mice for the rest.
        out.mkdir(parents=True, exist_ok=True)
        features.to_parquet(out / FEATURES_FILE)
        with _progress(hidden=as_json) as progress:
            result = analyse(
                features,
                seed=seed,
                n_shuffles=shuffles,
                n_repeats=repeats,
                n_jobs=jobs,
                synthetic=synthetic,
                progress=progress,
            )
        predictor = Predictor.learned(features, seed)
        in_training = features[features["training_time"].isna()]
        result["predictions"] = predictor.predict(in_training)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    _write(out, result)
    if as_json:
        click.echo(json.dumps(result, indent=1, allow_nan=False))
    else:
        _report(result)
        click.echo(f"\nWritten to {out}: training_time.json, .svg, .png, features.pqt")


def load_subject(
    folder: Path, lab: str, facts: Mapping[str, Any], kept: Path | None = None
) -> Any:
    """Load a mouse of a folder of sessions.

    Parameters
    ----------
    folder : Path
        LAB/Subjects/SUBJECT, with DATE/NNN below it. A session's trials and wheel are read from
        its `alf` folder or, without one, extracted from its raw data.
    lab : str
    facts : mapping
        Facts of the mouse in subjects.json.
    kept : Path, optional
        Folder of extracted sessions, see :mod:`lab.extracted`.

    Returns
    -------
    shared.science.cohort.features.CohortSubject

    Raises
    ------
    ValueError
        If a session's trials cannot be read.
    """
    from shared.science.cohort.features import CohortSubject

    sessions = [
        _load_session(path, kept) for path in sorted(folder.glob("????-??-??/*")) if path.is_dir()
    ]
    weighings = facts.get("weighings")
    if weighings is None:
        weighings = [(s.date, w) for s, w in sessions if w is not None]
    return CohortSubject(
        name=folder.name,
        id=facts.get("id", ""),
        lab=lab,
        sex=facts.get("sex", ""),
        birth_date=facts.get("birth_date"),
        sessions=[session for session, _ in sessions],
        weighings=[(str(day), float(grams)) for day, grams in weighings],
        restrictions=[(str(day), float(grams)) for day, grams in facts.get("restrictions", [])],
        waters=[(str(day), str(kind)) for day, kind in facts.get("waters", [])],
        light=facts.get("light"),
        food=facts.get("food"),
    )


def _from_tree(
    root: Path, seed: int, jobs: int, kept: Path, quiet: bool
) -> tuple[pd.DataFrame, bool]:
    """Return the features of a folder of sessions, and whether any is synthetic."""
    from shared.science.cohort.features import as_table

    folders = sorted(path for path in root.glob("*/Subjects/*") if path.is_dir())
    if not folders:
        raise ValueError(f"{root} holds no LAB/Subjects/SUBJECT folder")
    facts: dict[str, Any] = {}
    if (root / "subjects.json").is_file():
        facts = json.loads((root / "subjects.json").read_text())
    # The largest first, so that no process is left alone with one at the end.
    ordered = sorted(folders, key=lambda folder: -len(list(folder.glob("*/*"))))
    rows = []
    with ProcessPoolExecutor(min(jobs, len(folders))) as pool:
        running = [
            pool.submit(_features_of, folder, facts.get(folder.name, {}), seed, kept)
            for folder in ordered
        ]
        try:
            with _progress(hidden=quiet) as progress:
                for done in as_completed(running):
                    rows.append(done.result())
                    progress("features of each mouse", len(rows), len(folders))
        finally:
            pool.shutdown(cancel_futures=True)
    # A single synthetic session marks the whole cohort: a mixed one proves nothing about mice.
    return as_table([row for row, _ in rows]), any(synthetic for _, synthetic in rows)


def _features_of(
    folder: Path, facts: Mapping[str, Any], seed: int, kept: Path
) -> tuple[dict[str, Any], bool]:
    """Return the features of a mouse, and whether any of its sessions is synthetic."""
    from shared.science.cohort.features import subject_features

    features = subject_features(load_subject(folder, folder.parts[-3], facts, kept), seed=seed)
    settings = (_settings(path) for path in folder.glob("????-??-??/*"))
    return features, bool(facts.get("synthetic")) or any(
        session_settings.get("SYNTHETIC") for session_settings in settings
    )


def _load_session(path: Path, kept: Path | None) -> tuple[Any, float | None]:
    """Return a session and the weight (g) in the rig's settings, if any."""
    from lab.extracted import Wheel, ambient
    from lab.extracted import trials as trials_of
    from shared.science.cohort.features import CohortSession

    settings = _settings(path)
    trials = trials_of(path, kept)
    weight = settings.get("SUBJECT_WEIGHT")
    session = CohortSession(
        date=path.parent.name,
        protocol=str(settings.get("PYBPOD_PROTOCOL") or _protocol_like(trials)),
        trials=trials,
        number=int(path.name) if path.name.isdigit() else 1,
        wheel=Wheel(path, kept),
        ambient=ambient(sorted(path.glob("raw_*/_iblrig_ambientSensorData.raw*.jsonable"))),
    )
    return session, float(weight) if weight else None


def _protocol_like(trials: Mapping[str, Any]) -> str:
    """Guess the task of a session without settings: training has more odds than three blocks."""
    odds = {round(float(value), 6) for value in trials.get("probabilityLeft", [])}
    return "biased" if {0.2, 0.8} & odds and odds <= {0.2, 0.5, 0.8} else "training"


def _settings(path: Path) -> dict[str, Any]:
    for file in sorted(path.glob("raw_*/_iblrig_taskSettings.raw*.json")):
        return json.loads(file.read_text())
    return {}


@contextmanager
def _progress(hidden: bool) -> Iterator[Progress]:
    """Show each step as a bar, or as a line if standard error is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _no_progress if hidden else _lines()
        return
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=hidden,
    ) as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        yield show


def _no_progress(step: str, done: int, total: int) -> None:
    """Show nothing."""


def _lines() -> Progress:
    """Return a listener that prints a line for each tenth of a step."""
    tenths: dict[str, int] = {}

    def show(step: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 10
        if tenths.get(step) != tenth:
            tenths[step] = tenth
            click.echo(f"{step}: {done} of {total}", err=True)

    return show


def _write(out: Path, result: dict[str, Any]) -> None:
    from shared.results import figure2

    for kind in ("svg", "png"):
        (out / f"training_time.{kind}").write_bytes(figure2.draw(result, kind))
    (out / RESULT_FILE).write_text(json.dumps(result, allow_nan=False))


def _report(result: Mapping[str, Any]) -> None:
    if result["synthetic"]:
        click.secho("SYNTHETIC DATA: simulated mice", bold=True)
    rows = [("", "paper", "here", "")]
    rows += [(r["quantity"], r["paper"], r["here"], r["note"]) for r in result["side_by_side"]]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]).rstrip())
    click.echo("\nBeyond the paper")
    for entry in result["models"]:
        off = entry["mean_quartiles_off"]["mean"]
        click.echo(
            f"  {entry['model']}: F1 {_interval(entry['f1'])}, {off:.2f} quartiles off on average"
        )
    out = result["leave_one_lab_out"]
    if out["f1"] is not None:
        click.echo(f"  each laboratory predicted from the others: F1 {out['f1']:.3f}")
    held = ", ".join(
        f"{entry['feature']} {_interval(entry)}" for entry in result["held_out_importance"][:4]
    )
    click.echo(f"  importance on held-out mice: {held}")
    click.echo("\nNot comparable")
    for line in result["not_comparable"]:
        click.echo(f"  – {line}")
    click.echo("\nLeft out: ", nl=False)
    reasons = result["cohort"]["dropped_by_reason"]
    click.echo("; ".join(f"{n} mice: {why}" for why, n in reasons.items()) or "none")
    if result["predictions"]:
        click.echo("\nMice in training")
        for entry in result["predictions"]:
            chances = entry["probabilities"]
            forecast = (
                ", ".join(f"{q} {p:.0%}" for q, p in chances.items())
                if chances
                else entry["why_not"]
            )
            click.echo(f"  {entry['subject']}: {forecast}")
    click.echo(f"\n{result['statement']}")


def _interval(spread: Mapping[str, Any]) -> str:
    """Return a mean, with its interval if it was repeated."""
    mean = f"{spread['mean']:.3f}"
    if len(spread["values"]) == 1:
        return mean
    return f"{mean} ({spread['low']:.2f}–{spread['high']:.2f})"
