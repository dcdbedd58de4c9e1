"""The static part of the site: style, scripts, font, plotting library, outline of the land."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from shared.results.static_files import site_files
from shared.results.store import SiteStore, write_if_changed

ROOT = Path(__file__).resolve().parents[2]

OWN = ("*.svg", "scripts/*.js", "styles/*.css")
"""Files of the site itself, below ``site/results``; a page finds them all in ``assets/``."""

VENDORED = {
    "assets/vendor/d3.min.js": "d3/dist/d3.min.js",
    "assets/vendor/plot.umd.min.js": "@observablehq/plot/dist/plot.umd.min.js",
    "assets/vendor/fzstd.js": "fzstd/esm/index.mjs",
    "assets/vendor/topojson.min.js": "topojson-client/dist/topojson-client.min.js",
    "assets/vendor/inter.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "assets/land.json": "world-atlas/land-110m.json",
    "assets/vendor/LICENSE.d3.txt": "d3/LICENSE",
    "assets/vendor/LICENSE.plot.txt": "@observablehq/plot/LICENSE",
    "assets/vendor/LICENSE.fzstd.txt": "fzstd/LICENSE",
    "assets/vendor/LICENSE.topojson.txt": "topojson-client/LICENSE",
    "assets/vendor/LICENSE.inter.txt": "@fontsource-variable/inter/LICENSE",
    "assets/vendor/LICENSE.land.txt": "world-atlas/LICENSE",
}
"""Name on the site and origin in ``node_modules``: pages fetch nothing from other hosts."""


def assets(root: Path = ROOT) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every static file.

    Parameters
    ----------
    root : Path
        A checkout whose JavaScript packages are installed.

    Raises
    ------
    FileNotFoundError
        A package is missing, with the command that installs it.
    """
    yield "favicon.ico", (root / "site" / "results" / "favicon.ico").read_bytes()
    for pattern in OWN:
        for path in sorted(site_files(root).glob(pattern)):
            yield f"assets/{path.name}", path.read_bytes()
    for name, origin in VENDORED.items():
        path = root / "node_modules" / origin
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run `npm ci` in {root}")
        yield name, path.read_bytes()


def publish(store: SiteStore, root: Path = ROOT) -> list[str]:
    """Write the static files that are new or changed, and return their names."""
    return [name for name, body in assets(root) if write_if_changed(store, name, body)]


def licences(root: Path = ROOT) -> dict[str, str]:
    """Return the licence of each vendored package, for the page about the site."""
    texts = {}
    for origin in VENDORED.values():
        parts = origin.split("/")
        name = "/".join(parts[:2]) if origin.startswith("@") else parts[0]
        package = json.loads((root / "node_modules" / name / "package.json").read_text())
        texts[f"{name} {package['version']}"] = package["license"]
    return texts
