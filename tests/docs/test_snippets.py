"""What the README and the docs tell a reader to run, runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.report import hints
from tests.docs.snippets import LANGUAGES, ROOT, SILENT, Block, blocks, pages
from tests.system import Cloud

RUN = [
    page for page in pages() if any(b.language in LANGUAGES and not b.skip for b in blocks(page))
]


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


def run(block: Block, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block as its reader would."""
    command = {
        "bash": ["bash", "-euo", "pipefail", "-c", block.code],
        "python": [sys.executable, "-c", block.code],
    }[block.language]
    return subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
