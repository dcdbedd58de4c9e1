"""``fornix rig simulate-cohort``: raw sessions of a cohort that learns as a real one did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    pass
from lab.simulate.cohort import row_of, write
from lab.simulate.cohort_plan import LABS, CohortError, plan


@click.command("simulate-cohort")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--cohort",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a real cohort's daily tables (figure3_ibl_learning.csv and two siblings).",
)
@click.option("--mice", type=click.IntRange(1), help="The quickest so many; by default all.")
@click.option("--days", type=click.IntRange(1), help="Only the first so many of each mouse.")
@click.option(
    "--trials-scale", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True),
    help="Multiplies the numbers of trials, for a quick trial run.",
)  # fmt: skip
@click.option(
    "--labs", default=",".join(LABS), show_default=True,
    help="Made-up laboratories, by commas; the real ones are dealt out to them.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per session on stdout.")
def simulate_cohort(
    out: Path,
    cohort: Path,
    mice: int | None,
    days: int | None,
    trials_scale: float,
    labs: str,
    seed: int,
    jobs: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Simulate a cohort that learns as a real one did, and write its raw sessions under OUT.

    One synthetic mouse for each mouse of the --cohort tables, until two days after the real one
    was trained. OUT/subjects.json says what is known of the mice, OUT/cohort.json what was
    planned. Interrupted, the same command goes on where it stopped.

    The whole analysis of the result: fornix analyse training-time --sessions OUT
    """
    names = [name.strip() for name in labs.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("give at least one", param_hint="--labs")
    try:
        planned = plan(cohort, labs=names, n_mice=mice, n_days=days, trials_scale=trials_scale)
        total = sum(len(mouse.days) for mouse in planned)
        if dry_run:
            for mouse in planned:
                for day in mouse.days:
                    summary = row_of(mouse, day)
                    click.echo(
                        json.dumps(summary) if as_json else " ".join(map(str, summary.values()))
                    )
        else:
            with click.progressbar(
                length=total, label="Synthetic sessions", hidden=as_json
            ) as bar:
                for rows in write(out, planned, seed, jobs):
                    bar.update(len(rows))
                    for summary in rows if as_json else ():
                        click.echo(json.dumps(summary))
    except CohortError as error:
        raise click.ClickException(str(error)) from error
    if not as_json:
        click.echo(
            f"{len(planned)} SYNTHETIC mice, {total} sessions "
            f"{'would be ' if dry_run else ''}written under {out}"
        )
