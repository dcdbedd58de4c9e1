"""The commands `fornix codec …`: compress, decompress, verify, look at and measure recordings."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from lab.commands.output import tell
from shared import recordings
from shared.codec import DEFAULT_LEVEL, LEVELS
from shared.codec.errors import CodecError

existing = click.Path(exists=True, dir_okay=False, path_type=Path)
anywhere = click.Path(dir_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
workers = click.option(
    "--workers", "-j", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."
)
overwrite = click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")


@contextmanager
def bar(title: str, bytes_per_sample: int) -> Iterator[Callable[[int, int | None], None]]:
    """Show progress in raw bytes on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    options = {"console": console, "disable": not console.is_terminal}
    with Progress(*columns, TimeRemainingColumn(), **options) as progress:  # type: ignore[arg-type]
        task = progress.add_task(title, total=None)

        def step(done: int, total: int | None) -> None:
            whole = None if total is None else total * bytes_per_sample
            progress.update(task, completed=done * bytes_per_sample, total=whole)

        yield step


class Group(click.Group):
    """Turns the codec's errors into messages without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CodecError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Group)
def codec() -> None:
    """Compress electrophysiology recordings losslessly.

    Reads raw .bin files (with their SpikeGLX .meta), .npy, mtscomp's .cbin and Fornix's .ebin.
    """


@codec.command()
@click.argument("source", type=existing)
@click.argument("target", type=anywhere, required=False)
@click.option("--channels", "-c", type=int, help="Channels of a raw file.")
@click.option("--dtype", "-d", default="int16", show_default=True, help="Type of a raw file.")
@click.option("--rate", "-r", type=float, help="Sample rate in Hz, where the source has none.")
@click.option(
    "--level",
    "-l",
    type=click.Choice(sorted(LEVELS)),
    default=DEFAULT_LEVEL,
    show_default=True,
    help="How hard to look for a good prediction.",
)
@click.option("--chunk", type=float, help="Seconds per chunk; by default one, or a few.")
@click.option(
    "--published", is_flag=True, help="For the web: short chunks, and an overview beside them."
)
@click.option("--trim", is_flag=True, help="Take what is whole of a torn raw file.")
@click.option("--sha1", is_flag=True, help="Record the SHA-1 of the raw bytes.")
@click.option("--no-check", is_flag=True, help="Do not decode again what was written.")
@click.option("--follow", is_flag=True, help="The source is still growing.")
@click.option("--idle", default=10.0, show_default=True, help="With --follow: seconds to the end.")
@click.option("--dry-run", is_flag=True, help="Compress one second, report, and write nothing.")
@workers
@overwrite
@as_json
def compress(source: Path, target: Path | None, **options: Any) -> None:
    """Compress SOURCE to TARGET, .ebin (with its .eh index) or .cbin (with its .ch header)."""
    from shared.recordings import mtscomp

    target = target or source.with_suffix(".ebin")
    if options["follow"]:
        _follow(source, target, options)
        return
    place = options["channels"], options["dtype"], options["rate"], options["trim"]
    opened = recordings.open_source(source, *place)
    rate = options["rate"] or opened.sample_rate
    if rate is None:
        raise CodecError("give --rate: the source does not tell its sample rate")
    if options["dry_run"]:
        _try(opened, rate, options)
        return
    shared = {"sample_rate": rate, "workers": options["workers"], "check": not options["no_check"]}
    shared |= {"overwrite": options["overwrite"]}
    with bar("compressing", opened.shape[1] * opened.dtype.itemsize) as progress:
        if target.suffix == ".cbin":
            mtscomp.compress(opened, target, progress=progress, **shared)
        else:
            recordings.compress(
                source,
                target,
                n_channels=options["channels"],
                dtype=options["dtype"],
                trim=options["trim"],
                level=options["level"],
                sha1=options["sha1"],
                chunk_length=round(options["chunk"] * rate) if options["chunk"] else None,
                published=options["published"],
                progress=progress,
                **shared,
            )
    _report(target, opened.shape[0] * opened.shape[1] * opened.dtype.itemsize, options["as_json"])


def _follow(source: Path, target: Path, options: dict[str, Any]) -> None:
    """Compress a growing raw file, in the order in which it grows."""
    if options["channels"] is None or options["rate"] is None:
        raise CodecError("give --channels and --rate to follow a growing file")
    for name in ("dry_run", "trim"):
        if options[name]:
            raise CodecError(
                f"--{name.replace('_', '-')} has no meaning with --follow: leave it out"
            )
    if options["workers"] > 1:
        raise CodecError("--follow works by one process: leave --workers out")
    if target.suffix == ".cbin":
        raise CodecError("--follow writes .ebin only: make the .cbin of it when it is complete")
    blocks = recordings.tail(source, options["channels"], options["dtype"], idle=options["idle"])
    width = options["channels"] * np.dtype(options["dtype"]).itemsize
    with bar("following", width) as progress:
        index = recordings.compress(
            blocks,
            target,
            sample_rate=options["rate"],
            level=options["level"],
            sha1=options["sha1"],
            chunk_length=round(options["chunk"] * options["rate"]) if options["chunk"] else None,
            published=options["published"],
            check=not options["no_check"],
            overwrite=options["overwrite"],
            progress=progress,
        )
    raw = index.shape[0] * index.shape[1] * index.dtype.itemsize
    _report(target, raw, options["as_json"])


def _try(source: Any, rate: float, options: dict[str, Any]) -> None:
    """Compress the second in the middle of a recording, in memory only."""
    from shared.codec import encoder

    start = max(0, source.shape[0] // 2 - round(rate) // 2)
    samples = source.read(start, min(source.shape[0], start + round(rate)))
    if not len(samples):
        raise CodecError("the recording is empty")
    coded = encoder.encode(samples, LEVELS[options["level"]])
    size = coded.size
    total = source.shape[0] * source.shape[1] * source.dtype.itemsize
    facts = {
        "ratio": round(samples.nbytes / size, 3),
        "raw_bytes": total,
        "estimated_bytes": round(total * size / samples.nbytes),
    }
    _print(facts, options["as_json"])


def _report(target: Path, raw: int, plain: bool) -> None:
    size = target.stat().st_size
    facts = {
        "file": str(target),
        "raw_bytes": raw,
        "bytes": size,
        "ratio": round(raw / size, 3),
    }
    _print(facts, plain)


def _print(facts: dict[str, Any], plain: bool) -> None:
    if plain:
        click.echo(json.dumps(facts))
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            click.echo(f"{key:{width}s}  {value}")


@codec.command()
@click.argument("source", type=existing)
@click.argument("target", type=anywhere, required=False)
@click.option("--sidecar", type=existing, help="The .eh or .ch, where it is not beside.")
@click.option("--salvage", is_flag=True, help="Write what is undamaged, zeros for the rest.")
@workers
@overwrite
@as_json
def decompress(source: Path, target: Path | None, as_json: bool, **options: Any) -> None:
    """Write SOURCE (.ebin or .cbin) as plain samples to TARGET (.bin or .npy)."""
    target = target or source.with_suffix(".bin")
    with bar("decompressing", _bytes_per_sample(source, options)) as progress:
        problems = recordings.decompress(source, target, progress=progress, **options)
    for problem in problems:
        click.echo(problem, err=True)
    _print(
        {"file": str(target), "bytes": target.stat().st_size, "damages": len(problems)}, as_json
    )
    if problems:
        sys.exit(1)


def _bytes_per_sample(source: Path, options: dict[str, Any]) -> int:
    """Return the unit of a progress bar; the command itself reports damage."""
    try:
        with recordings.open(source, sidecar=options.get("sidecar")) as reader:
            return int(reader.shape[1] * reader.dtype.itemsize)
    except CodecError:
        return 1


@codec.command()
@click.argument("source", type=existing)
@click.option("--against", type=existing, help="The original, to compare every sample with.")
@as_json
def verify(source: Path, against: Path | None, as_json: bool) -> None:
    """Check every chunk of SOURCE; exits with 1 and names the damaged ones."""
    with bar("verifying", _bytes_per_sample(source, {})) as progress:
        problems = recordings.verify(source, against, progress=progress)
    if as_json:
        click.echo(json.dumps({"file": str(source), "problems": problems}))
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{source}: " + (f"{len(problems)} problems" if problems else "all is well"))
    if problems:
        sys.exit(1)


@codec.command()
@click.argument("source")
@click.option("--sidecar", help="The .eh or .ch, where it is not beside.")
@as_json
def info(source: str, sidecar: str | None, as_json: bool) -> None:
    """Tell the key facts of SOURCE, a file or an HTTP address."""
    with recordings.open(source, sidecar=sidecar) as reader:
        stored = reader.index.offsets[-1]
        facts = {
            "file": source,
            "samples": reader.shape[0],
            "channels": reader.shape[1],
            "dtype": reader.dtype.name,
            "sample_rate": reader.sample_rate,
            "seconds": round(reader.shape[0] / reader.sample_rate, 3),
            "chunks": reader.n_chunks,
            "raw_bytes": reader.nbytes,
            "bytes": stored,
            "ratio": round(reader.nbytes / stored, 3) if stored else None,
            **reader.index.facts,
        }
    _print(facts, as_json)


@codec.command("rebuild-index")
@click.argument("source", type=existing)
@overwrite
@as_json
def rebuild_index(source: Path, overwrite: bool, as_json: bool) -> None:
    """Write the lost sidecar of SOURCE again, from its footer or its chunks."""
    from shared.codec.files import replacing, sidecar_path

    target = sidecar_path(source)
    if target.exists() and not overwrite:
        raise CodecError(f"{target} exists; give --overwrite to replace it")
    reader, problems = recordings.open_salvaged(source)
    with reader:
        if problems:
            raise CodecError(
                f"{source.name} is damaged, and its index with it; see decompress --salvage:\n"
                + "\n".join(problems)
            )
        with replacing(target) as file:
            file.write(reader.index.to_json(reader.source.size()).encode())
    tell(as_json, str(target), sidecar=str(target))


@codec.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def benchmark(arguments: tuple[str, ...]) -> None:
    """Compare with mtscomp, WavPack and zstd; takes the options of benchmarks/codec.py."""
    script = Path(__file__).resolve().parents[1] / "benchmarks" / "codec.py"
    if not script.is_file():
        raise CodecError("the benchmark is part of a source checkout, and this is none")
    sys.exit(subprocess.run([sys.executable, str(script), *arguments], check=False).returncode)
