"""The notebook app's files on the site: built by ``make app``, served below ``app/``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from shared.results.assets import ROOT
from shared.results.store import SiteStore, write_if_changed

FOLDER = "app"
"""Folder of the app on the site."""

LAST = ("sw.js", "index.html")
"""Files written last, when all files that they name exist."""

HASHED = re.compile(rf"{FOLDER}/[\w-]+-[A-Z0-9]{{8}}\.\w+")
"""Files with a digest of their content in their name (`site/app/build.mjs`)."""


def cache_control(key: str) -> str | None:
    """Return how long browsers keep a file of the app; None for other files.

    Files with a digest in their name are kept for good; browsers ask for all others each time.
    """
    if not key.startswith(f"{FOLDER}/"):
        return None
    return "public, max-age=31536000, immutable" if HASHED.fullmatch(key) else "no-cache"


def notebook(root: Path = ROOT) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file of the app; files that name others come last.

    Files of former versions stay: an open page may still need them.

    Raises
    ------
    FileNotFoundError
        The app is not built, with the command that builds it.
    """
    built = root / ".build" / "app"
    if not (built / "index.html").exists():
        raise FileNotFoundError(f"{built} is missing: run `make app` in {root}")
    names = sorted(path.name for path in built.iterdir())
    for name in (*(name for name in names if name not in LAST), *LAST):
        yield f"{FOLDER}/{name}", (built / name).read_bytes()


def publish_notebook(store: SiteStore, root: Path = ROOT) -> list[str]:
    """Write the app's files that are new or changed, and return their names."""
    return [name for name, body in notebook(root) if write_if_changed(store, name, body)]
