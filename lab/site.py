"""``fornix site``: build, look at and try out the results site on this computer."""

from __future__ import annotations

import datetime
import gzip
import json
import math
import re
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

from lab.commands.output import AS_JSON, tell

DEMO_LABS: dict[str, dict[str, Any]] = {
    "fimbrialab": {"institution": "Institute of the Fimbria", "latitude": 51.5, "longitude": -0.1},
    "septumlab": {"institution": "Septum University", "latitude": 40.7, "longitude": -74.0},
    "alveuslab": {"institution": "Alveus College", "latitude": 38.7, "longitude": -9.2},
    "cingulumlab": {"institution": "Cingulum Institute", "latitude": 35.7, "longitude": 139.7},
    "taeniatecta": {"institution": "Taenia Tecta School", "latitude": 37.9, "longitude": -122.3},
}
"""Imaginary laboratories: synthetic data never carry a real one's name."""

DAYS = 32
"""Training days of each simulated mouse."""

PROBE_DAYS = 1
"""Number of days at its end with a (simulated) recording."""


LICENCES = {
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC0 1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}
"""Addresses of the usual data licences."""


@click.group()
def site() -> None:
    """Results site: build it from a folder of sessions, look at it, make a demonstration."""


@site.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--title", default="Fornix", show_default=True, help="Name of the site.")
@click.option("--api-url", default="", help="Public address of the API, for the code to load.")
@click.option("--site-url", default="", help="Public address of the site, for links to it.")
@click.option("--licence", default="CC BY 4.0", show_default=True, help="Licence of the data.")
@click.option("--citation", default="", help="How the data are to be cited.")
@click.option("--doi", default="", help="DOI of the data.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--training-time", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Result of `fornix analyse training-time` to show.")  # fmt: skip
@click.option("--images/--no-images", default=True, help="PNG of each page, for sharing.")
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON.")
def build(
    folder: Path,
    out: Path,
    title: str,
    api_url: str,
    site_url: str,
    licence: str,
    citation: str,
    doi: str,
    jobs: int,
    training_time: Path | None,
    images: bool,
    as_json: bool,
) -> None:
    """Build the site of the sessions under FOLDER (LAB/Subjects/SUBJECT/DATE/NNN/alf).

    Only what changed since the last build is computed. A session is left out if its session.json
    says that it is not public or under embargo.
    """
    from shared.results.render import SiteSettings

    done = build_tree(
        folder, out, SiteSettings(title, api_url), jobs, quiet=as_json, images=images
    )
    if training_time:
        publish_training_time(
            out, SiteSettings(title, api_url), json.loads(training_time.read_text())
        )
    problems = [f"{failure.where}: {failure.reason}" for failure in done.problems]
    if as_json:
        said = {"changed": done.changed, "site": str(out), "problems": problems}
        click.echo(json.dumps(said))
    else:
        for problem in problems:
            click.echo(problem, err=True)
        click.echo(
            f"{done.changed} sessions published or removed; look at it: fornix site serve {out}"
        )


def build_tree(
    folder: Path, out: Path, settings: Any, jobs: int = 1, quiet: bool = False, images: bool = True
) -> Any:
    """Build the site of a folder of sessions.

    Returns
    -------
    shared.results.build.Report
    """
    from shared.results import assets
    from shared.results.build import Site
    from shared.results.store import FolderStore
    from shared.results.tree import Tree

    store = FolderStore(out)
    assets.publish(store)
    source = Tree(folder)
    site = Site(source, store, settings, images=images)
    names = sorted(source.subjects())
    with click.progressbar(length=len(names), label="Pages", hidden=quiet) as bar:
        done = site.refresh(progress=lambda name: bar.update(1), workers=jobs)
    return done


def publish_training_time(out: Path, settings: Any, result: dict[str, Any]) -> None:
    """Write the page of the training-time analysis."""
    from shared.results import training_time
    from shared.results.store import FolderStore

    label = "Simulated cohort" if result["synthetic"] else "Published cohort"
    name = "simulated" if result["synthetic"] else "published"
    training_time.publish(FolderStore(out), settings, name, label, result)


@site.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--port", default=8001, show_default=True, help="0 takes a free one.")
@AS_JSON
def serve(folder: Path, port: int, as_json: bool) -> None:
    """Serve the site in FOLDER to this computer only, until Ctrl-C."""
    server = server_of(folder, port)
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    tell(as_json, f"{url}  (Ctrl-C stops)", event="serving", site=url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


@site.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--sessions", default=2000, show_default=True, type=click.IntRange(1))
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--seed", default=0, show_default=True)
@AS_JSON
def demo(out: Path, sessions: int, jobs: int, seed: int, as_json: bool) -> None:
    """Make a site of simulated sessions under OUT: OUT/sessions and OUT/site.

    Raw sessions are simulated and go through the same extraction as those of a rig; the raw
    files are not kept. What is there already is not simulated again.
    """
    from shared.results.render import SiteSettings

    plans = _plan(sessions, seed)
    tree = out / "sessions"
    total = sum(len(plan) for plan in plans)
    with (
        click.progressbar(length=total, label="Simulated sessions", hidden=as_json) as bar,
        ProcessPoolExecutor(jobs) as pool,
    ):
        for n in pool.map(partial(_simulate, tree, seed), plans):
            bar.update(n)
    for name, lab_facts in DEMO_LABS.items():
        if (tree / name).is_dir():
            (tree / name / "lab.json").write_text(json.dumps(lab_facts | {"synthetic": True}))
    site = out / "site"
    done = build_tree(tree, site, SiteSettings(), jobs, quiet=as_json)
    tell(as_json, f"look at it: fornix site serve {site}", site=str(site), changed=done.changed)


def _plan(sessions: int, seed: int) -> list[list[Any]]:
    """Return the sessions of each mouse; mice start at different dates in all labs."""
    from lab.simulate.plan import plan_cohort

    n_mice = math.ceil(sessions / DAYS)
    labs = list(DEMO_LABS)
    plans = []
    for mouse in range(n_mice):
        lab = labs[mouse % len(labs)]
        first = datetime.date(2025, 9, 1) + datetime.timedelta(weeks=2 * (mouse // len(labs)))
        (plan,) = plan_cohort(
            lab=lab, mice=1, days=DAYS, seed=seed + 1000 * mouse, first_date=first
        )
        name = f"{lab[:2].upper()}_{mouse // len(labs) + 1:03d}"
        plans.append([replace(day, subject=name) for day in plan])
    left = sessions - (n_mice - 1) * DAYS
    return [*plans[:-1], plans[-1][:left]]


def _simulate(tree: Path, seed: int, plan: list[Any]) -> int:
    """Simulate one mouse and keep what extraction makes of its raw sessions."""
    from lab.simulate.plan import simulate_mouse
    from lab.simulate.spikes import simulate_sorting, write_sorting
    from shared.science.behaviour.trials import extract_trials, save

    first = plan[0]
    mouse = tree / first.lab / "Subjects" / first.subject
    if len(list(mouse.glob("*/001/session.json"))) == len(plan):
        return len(plan)
    with tempfile.TemporaryDirectory() as raw:
        for session, truth in zip(
            plan, simulate_mouse(raw, plan, seed=seed, rig_version=8), strict=True
        ):
            folder = mouse / session.date.isoformat() / "001"
            (folder / "alf").mkdir(parents=True, exist_ok=True)
            save(extract_trials(truth.session), folder / "alf")
            if session.day >= DAYS - PROBE_DAYS:
                files = simulate_sorting(truth.table, seed=seed + session.day)
                write_sorting(files, folder / "alf" / "probe00")
            settings = next(truth.session.glob("raw_behavior_data/_iblrig_taskSettings.raw.json"))
            fields = json.loads(settings.read_text())
            shutil.rmtree(truth.session)
            described = {
                "task_protocol": fields["PYBPOD_PROTOCOL"] + str(fields["IBLRIG_VERSION"]),
                "start_time": fields.get("SESSION_START_TIME", session.date.isoformat()),
                "projects": fields["SUBJECT_PROJECTS"],
                "synthetic": bool(fields["SYNTHETIC"]),
            }
            (folder / "session.json").write_text(json.dumps(described))
    born = first.date - datetime.timedelta(days=90 + seed % 30)
    (mouse / "subject.json").write_text(
        json.dumps(
            {
                "sex": "FM"[int(first.subject[-1]) % 2],
                "birth_date": born.isoformat(),
                "line": "C57BL/6J",
                "synthetic": True,
            }
        )
    )
    return len(plan)


def server_of(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a site on loopback, compressing as the CDN does."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Pages, directory=str(folder)))


RANGE = re.compile(r"bytes=(\d+)-(\d*)")
"""One range with a first byte; other kinds get the whole file, as HTTP allows."""


class _Pages(SimpleHTTPRequestHandler):
    """Files of a site, without its build state."""

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012 - so the base class has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".eh": "application/json",
        ".woff2": "font/woff2",
        ".html": "text/html; charset=utf-8",
    }
    compressed = (".html", ".js", ".json", ".css", ".svg", ".eh")

    def do_GET(self) -> None:
        """Send a file, compressed if that saves bytes."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path = path / "index.html"
        root = Path(self.directory).resolve()
        hidden = any(
            part.startswith(("_", ".")) for part in path.resolve().parts[len(root.parts) :]
        )
        if hidden or not path.is_file() or not path.resolve().is_relative_to(root):
            missing = root / "404.html"
            body = missing.read_bytes() if missing.is_file() else b"There is no such page."
            self._send(404, "text/html; charset=utf-8", body)
            return
        if wanted := RANGE.fullmatch(self.headers.get("Range", "")):
            self._send_part(path, int(wanted[1]), int(wanted[2]) if wanted[2] else None)
            return
        body = path.read_bytes()
        self._send(200, self.guess_type(path), body, path.suffix in self.compressed)

    def _send_part(self, path: Path, first: int, last: int | None) -> None:
        """Send some bytes of a file, which may be larger than memory."""
        size = path.stat().st_size
        if first >= size or (last is not None and last < first):
            self._send(416, "text/plain", b"", part=f"*/{size}")
            return
        end = size if last is None else min(size, last + 1)
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(end - first)
        self._send(206, self.guess_type(path), body, part=f"{first}-{end - 1}/{size}")

    def _send(
        self, status: int, kind: str, body: bytes, compress: bool = False, part: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        if part:
            self.send_header("Content-Range", f"bytes {part}")
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        if compress and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests do not interest the reader of the pages."""
