"""What is sent to a phone: bytes, policy, and files that a page may be kept with."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.results.notebook import notebook, publish_notebook
from shared.results.store import FolderStore
from tests.app.served import BUILT, DATA, POLICY, ROOT

KILO = 1_000
SCRIPT, SCREEN, STYLE, KEPT = 45 * KILO, 12 * KILO, 10 * KILO, 250 * KILO
"""Most bytes, compressed: first screens, any other screen, style, all that a device keeps."""


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What the build says of its files."""
    about = ROOT / ".build" / "app.json"
    if not about.exists():
        pytest.skip("the app is not built: run `make app`")
    found: dict[str, Any] = json.loads(about.read_text())
    return found


def packed(names: list[str]) -> int:
    return sum(len(gzip.compress((BUILT / name).read_bytes(), 9)) for name in names)


def test_first_screens_and_every_other_keep_their_budgets(made: dict[str, Any]) -> None:
    first = packed(made["first"])
    others = {
        source: packed([name])
        for source, name in made["entries"].items()
        if name not in made["first"] and name.endswith(".js")
    }

    assert first <= SCRIPT, first
    assert max(others.values()) <= SCREEN, others
    assert packed([name for name in made["kept"] if name.endswith(".css")]) <= STYLE
    assert packed([name for name in made["kept"] if name != "./"] + ["index.html"]) <= KEPT


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    if not BUILT.exists():
        pytest.skip("the app is not built: run `make app`")
    page = (BUILT / "index.html").read_text()
    scripts = "".join(path.read_text() for path in BUILT.glob("*.js"))

    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", page)
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert not re.search(r"\beval\(|new Function\(", scripts)
    sources = "".join(path.read_text() for path in (ROOT / "site" / "app" / "src").rglob("*.ts*"))
    assert not re.search(r"innerHTML|insertAdjacent|document\.write", sources, re.IGNORECASE)


def test_colours_are_written_once_for_the_site_and_the_app() -> None:
    """In light and in dark the same names; elsewhere none is given another value, but in print."""
    styles = ROOT / "site" / "results" / "styles"
    light, dark = re.findall(r"{(.*?)}", (styles / "tokens.css").read_text(), re.DOTALL)
    names = re.findall(r"--[\w-]+(?=:)", light)
    assert re.findall(r"--[\w-]+(?=:)", dark) == names
    for path in (styles / "site.css", ROOT / "site" / "app" / "src" / "app.css"):
        given = re.sub(r"@media print {.*?\n}", "", path.read_text(), flags=re.DOTALL)
        assert not set(re.findall(r"(--[\w-]+):", given)) & set(names), path.name


def test_the_tests_serve_the_policy_of_the_distribution() -> None:
    """A policy that is stricter or laxer here would prove nothing."""
    from infra.website import app_policy

    assert app_policy(DATA) == POLICY


def test_pages_and_the_service_worker_are_published_last(tmp_path: Path) -> None:
    if not BUILT.exists():
        pytest.skip("the app is not built: run `make app`")
    # Given a site
    store = FolderStore(tmp_path / "site")
    # When the app is published
    written = publish_notebook(store)
    # Then what names other files comes after them, and nothing is written twice
    assert written[-2:] == ["app/sw.js", "app/index.html"]
    assert publish_notebook(store) == []


def test_an_app_that_is_not_built_says_how(tmp_path: Path) -> None:
    files: Iterator[Any] = notebook(tmp_path)
    with pytest.raises(FileNotFoundError, match="make app"):
        next(files)


def test_units() -> None:
    """The app's own modules, in node."""
    esbuild = ROOT / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        pytest.skip("node_modules is not installed: run `npm ci`")
    run = subprocess.run(
        ["node", "tests/app/units/run.mjs"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
