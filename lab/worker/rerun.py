"""``fornix rerun``: make datasets again from the record of their run, and compare."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from shared.model.task import RunFile, RunRecord

PAGE = 250

GONE = 410
"""Status with which the API answers for a freed file; ``copy`` is the id of its copy."""

KEPT = "Folder for inputs and outputs, which is kept; by default a temporary one."


@click.command()
@click.argument("record")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help=KEPT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rerun(record: str, folder: Path | None, as_json: bool) -> None:
    """Run a task again as RECORD says, and compare what it makes with what it made.

    RECORD is the id of a dataset or of a task, or a JSON file with a run record. The inputs are
    fetched by the ids and hashes of the record, whatever the session has by now; a raw recording
    that was freed is made again from its compressed copy. Nothing is uploaded. Exit code 0 if all
    outputs have the same values, else 1.
    """
    from lab.client import Client, settings

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    client = Client(settings())
    run_record = _record(client, record)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="fornix-rerun-") as place:
            _rerun(client, run_record, Path(place), as_json)
    else:
        _rerun(client, run_record, folder, as_json)


def _rerun(client: Any, record: RunRecord, folder: Path, as_json: bool) -> None:
    from lab.tasks.rerun import GOOD
    from lab.tasks.rerun import rerun as run_again
    from lab.tasks.run import InputsMissing, UnknownTask

    session = _fetch(client, record, folder / "session")
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    try:
        result = run_again(
            record, session, out, lambda file: _original(client, record, file, folder)
        )
    except (UnknownTask, InputsMissing) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(result) | {"same": result.same}, indent=1))
    else:
        click.echo(f"{record.task}: {result.status}")
        if result.error:
            click.echo(f"  {result.error}", err=True)
        for output in result.outputs:
            mark = "✓" if output.verdict in GOOD else "✗"
            click.echo(
                f"{mark} {output.path}: {output.verdict}"
                + (f": {output.note}" * bool(output.note))
            )
        for name, then, now in result.changed:
            click.echo(f"  {name} was {then or 'not there'}, is {now or 'not there'}")
    if not result.same:
        raise click.exceptions.Exit(1)


def _record(client: Any, name: str) -> RunRecord:
    """Return the run record of a file, a task or a dataset."""
    from lab.client import RecordMissing

    if Path(name).is_file():
        text: Any = json.loads(Path(name).read_text())
    else:
        try:
            text = client.get(f"/tasks/{name}").get("run_record")
        except RecordMissing:
            text = client.get(f"/datasets/{name}/run-record")
    if not text:
        raise click.ClickException(f"the task {name} has not run here: it has no record")
    try:
        return msgspec.convert(text, RunRecord)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"{name} is no run record: {error}") from None


def _fetch(client: Any, record: RunRecord, folder: Path) -> Path:
    """Fetch a run's inputs to their places in a session's folder; return the folder."""
    from lab.worker.inside import inside
    from shared.model.identity import SessionKey

    if record.session:
        session = client.get(f"/sessions/{record.session}")
        day, number = session["start_time"][:10], int(session["number"])
        folder = folder / SessionKey(session["lab"], session["subject"], day, number).folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in record.inputs:
        if file.id is None:
            raise click.ClickException(f"the record does not say which dataset {file.path} was")
        _download(client, file.id, file, inside(folder, file.path))
    return folder


def _download(client: Any, dataset: str, file: RunFile, target: Path) -> None:
    from lab.client import RecordMissing
    from lab.worker.inputs import BadInput, download
    from shared.model.task import TaskInput

    if target.exists():
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        url, packed = _located(client, dataset)
        one = TaskInput(file.path, dataset, file.size, url, sha256=file.sha256, packed=packed)
        download(one, target)
    except RecordMissing:
        text = f"the input {file.path} ({dataset}) is gone: the run cannot be repeated"
        raise click.ClickException(text) from None
    except BadInput as error:
        raise click.ClickException(str(error)) from None


def _located(client: Any, dataset: str) -> tuple[str, str | None]:
    """Return the address of a dataset; of a freed one its copy's, with the copy's path."""
    from lab.client import RequestRefused

    try:
        return client.get(f"/datasets/{dataset}/index")["address"], None
    except RequestRefused as refused:
        if refused.status != GONE:
            raise
        found = client.get(f"/datasets/{refused.body['copy']}/index")
        return found["address"], found["path"]


def _original(client: Any, record: RunRecord, file: RunFile, folder: Path) -> Path | None:
    """Return the first run's file if it is still kept: the dataset with the same content."""
    if record.session is None:
        return None
    start, more = 0, True
    while more:
        page = client.get("/datasets", session=record.session, limit=PAGE, offset=start)
        for dataset in page["results"]:
            if dataset.get("sha256") == file.sha256:
                target = folder / "first" / file.path
                _download(client, dataset["id"], file, target)
                return target
        start, more = start + PAGE, bool(page.get("next"))
    return None
