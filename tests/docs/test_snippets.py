"""What the README and the docs tell a reader to run, runs."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from infra.local.report import hints
from infra.local.seed import LABS, subjects
from tests.docs.snippets import LANGUAGES, ROOT, SILENT, Block, blocks, pages
from tests.processes import until
from tests.system import Cloud

RUN = [
    page for page in pages() if any(b.language in LANGUAGES and not b.skip for b in blocks(page))
]


LAB = LABS[0]

_CODE = re.compile(r'<pre [^>]*aria-label="Python[^>]*><code>(.*?)</code>', re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_block_says_what_it_is(page: Path) -> None:
    unknown = [b.name for b in blocks(page) if b.language not in LANGUAGES | SILENT]

    assert not unknown, f"{unknown}: write bash, python, or one of {sorted(SILENT)}"


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    gone = [t for t in targets if "://" not in t and not (page.parent / t).exists()]

    assert not gone


def test_the_readme_is_an_invitation() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 700
    for page in ("rigs", "workers", "scientists", "lab", "alyx", "deploying"):
        assert f"docs/{page}.md" in text, "who comes first finds their page"


def test_the_docs_are_a_site_with_search(tmp_path: Path) -> None:
    """As `make docs` builds it; a page that no other names, or any other warning, fails."""
    sphinx = Path(sys.executable).with_name("sphinx-build")
    command = [
        sphinx,
        "--quiet",
        "--fail-on-warning",
        "-d",
        tmp_path / "tmp",
        ROOT / "docs",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "searchindex.js").read_text()
    assert all(word in index for word in ("quarantin", "redriv", "runbook"))
    assert "operations" in index


@pytest.mark.integration
@pytest.mark.parametrize("page", RUN, ids=named)
def test_a_reader_may_copy_it(page: Path, processed: Cloud, tmp_path: Path) -> None:
    """Given a running system with sessions that a rig uploaded, every block ends well."""
    own = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONWARNINGS": "default",
    }
    for block in blocks(page):
        if block.language in LANGUAGES and not block.skip:
            done = run(block, processed.user_env(block.account) | own, tmp_path)

            assert done.returncode == 0, f"{block.name}\n{done.stdout}\n{done.stderr}"


@pytest.mark.integration
def test_the_hints_of_make_run_may_be_copied(processed: Cloud, tmp_path: Path) -> None:
    env = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PATH": os.environ["PATH"],
    }
    for command in hints(processed.system.home):
        done = subprocess.run(
            ["bash", "-c", command], env=env, cwd=ROOT, capture_output=True, text=True
        )

        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "UUID" in done.stdout, "the lab's sessions are found"


@pytest.mark.integration
@pytest.mark.browser
def test_the_code_of_each_kind_of_page_may_be_copied(
    processed: Cloud, browser: Any, tmp_path: Path
) -> None:
    """Given the results site of sessions that a rig uploaded, and a member who is logged in."""
    site = processed.site_url
    own = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PYTHONWARNINGS": "default"}
    env = processed.user_env(f"{LAB}_member") | own
    setup = [Path(sys.executable).with_name("fornix"), "one-setup", "--default"]
    subprocess.run(setup, env=env, check=True, capture_output=True)
    pages = one_page_of_each_kind(site)
    shown = {
        kind: "\n".join(map(html.unescape, _CODE.findall(page_at(site, path))))
        for kind, path in pages.items()
    }
    shown["units"] = code_of_a_unit(site, pages["probes"], browser)
    assert set(shown) == {"data", "sessions", "subjects", "probes", "units"}
    # When it is run, with a lab's and a mouse's name where it says LAB and NAME
    for kind, code in shown.items():
        assert "one = ONE(" in code
        for said, meant in (("LAB", LAB), ("NAME", subjects(LAB)[0])):
            code = re.sub(rf"\b{said}\b", meant, code)
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
        )
        # Then it ends well
        assert done.returncode == 0, f"{kind}\n{code}\n{done.stderr}"


def page_at(site: str, path: str) -> str:
    """Return a page of the site."""
    with urllib.request.urlopen(f"{site}/{path}", timeout=60) as answer:
        return str(answer.read().decode())


def one_page_of_each_kind(site: str) -> dict[str, str]:
    """Return a page's address by kind, of those that the sitemap names."""
    found = {"data": "data.html"}
    for part in re.findall(r"/(sitemaps/[^<]+)</loc>", page_at(site, "sitemap.xml")):
        for path, kind in re.findall(
            r"/((sessions|subjects|probes)/[^<]+)</loc>", page_at(site, part)
        ):
            found[kind] = path
    return found


def code_of_a_unit(site: str, probe: str, browser: Any) -> str:
    """Return what a probe's page of units says about the unit that is chosen there."""
    tab = browser.new_page()
    tab.goto(f"{site}/{probe.replace('probes/', 'units/')}")
    code = tab.locator(".code code").first
    until(lambda: re.search(r"unit = .* == \d", code.inner_text()))  # the chosen unit's number
    text = code.inner_text()
    tab.close()
    return str(text)


def run(block: Block, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block as its reader would."""
    command = {
        "bash": ["bash", "-euo", "pipefail", "-c", block.code],
        "python": [sys.executable, "-c", block.code],
    }[block.language]
    return subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
