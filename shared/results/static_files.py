"""Where the site's own files are: its templates, scripts and styles."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def site_files(root: Path = ROOT) -> Path:
    """Return their folder: within an installed wheel, or ``site/results`` of a checkout."""
    installed = Path(__file__).with_name("static")
    return installed if installed.is_dir() else root / "site" / "results"
