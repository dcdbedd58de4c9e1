"""``fornix rig simulate``: raw sessions of mice that learn."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shared.alf import ALFInvalid, SessionPath

if TYPE_CHECKING:
    pass
from lab.simulate.ephys import EphysRig
from lab.simulate.plan import PlannedSession, plan_cohort, simulate_mouse

EPHYS_TRIALS = 20
"""Default number of trials of a session with a probe: some two minutes, 300 MB."""


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--lab", default="fimbrialab", show_default=True, help="Name of the laboratory.")
@click.option("--mice", default=1, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--days", default=5, show_default=True, type=click.IntRange(1), help="Of training.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option(
    "--rig", "rig_version", default="5", show_default=True, type=click.Choice(["5", "8"]),
    help="Version of the rig whose files are written.",
)  # fmt: skip
@click.option(
    "--first-date", default="2024-01-08", show_default=True, type=click.DateTime(["%Y-%m-%d"]),
    help="First day of training; weekends are left out.",
)  # fmt: skip
@click.option("--trials", type=click.IntRange(1), help="Trials per session; else as learned.")
@click.option(
    "--ephys", is_flag=True,
    help="With an NI board, a probe and a camera's film, each on a clock of its own; 20 trials.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per session on stdout.")
def simulate(
    out: Path,
    lab: str,
    mice: int,
    days: int,
    seed: int,
    rig_version: str,
    first_date: datetime.datetime,
    trials: int | None,
    ephys: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Simulate mice that learn the IBL task, and write their raw sessions under OUT.

    Sessions are written to OUT/LAB/Subjects/SUBJECT/DATE/001/raw_behavior_data, each of about an
    hour and 500 to 1,000 trials. All subjects are called SYN_NNN and all settings say that they
    are synthetic.
    """
    plans = plan_cohort(lab=lab, mice=mice, days=days, seed=seed, first_date=first_date.date())
    if ephys:
        trials = trials or EPHYS_TRIALS
    if trials:
        plans = [[replace(s, n_trials=trials) for s in plan] for plan in plans]
    try:
        SessionPath(lab, plans[0][0].subject, plans[0][0].date, 1)
    except ALFInvalid as error:
        raise click.BadParameter(str(error), param_hint="--lab") from error
    done = (
        (
            {**asdict(s), "date": s.date.isoformat(), "performance": round(s.performance, 4)}
            for plan in plans
            for s in plan
        )
        if dry_run
        else _run(out, plans, seed, int(rig_version), ephys)
    )
    total = sum(map(len, plans))
    label = f"{mice} mice × {days} days"
    count = 0
    with click.progressbar(length=total, label=label, hidden=as_json or dry_run) as bar:
        for row in done:
            count += 1
            bar.update(1)
            if as_json:
                click.echo(json.dumps(row))
            elif dry_run:
                click.echo(f"{row['lab']}/{row['subject']} {row['date']} {row['n_trials']} trials")
    if not as_json:
        click.echo(f"{count} sessions {'would be ' if dry_run else ''}written under {out}")


def _run(
    out: Path, plans: list[list[PlannedSession]], seed: int, rig_version: int, ephys: bool
) -> Iterator[dict[str, Any]]:
    """Yield a summary of each session as it is written."""
    for plan in plans:
        rig = _ephys_rig() if ephys else None
        truths = simulate_mouse(out, plan, seed=seed, rig_version=rig_version, ephys=rig)
        for session, truth in zip(plan, truths, strict=True):
            yield {
                "lab": session.lab,
                "subject": session.subject,
                "date": session.date.isoformat(),
                "day": session.day,
                "session": str(truth.session),
                "n_trials": len(truth.table),
                "performance_easy": round(truth.performance_easy, 4),
                "training_phase": truth.progress.phase,
            }


def _ephys_rig() -> EphysRig:
    """Return an ephys rig, without a camera if films cannot be written."""
    if find_spec("av"):
        return EphysRig()
    click.echo("Without films: the extra [video] brings what writes them.", err=True)
    return EphysRig(cameras=())
