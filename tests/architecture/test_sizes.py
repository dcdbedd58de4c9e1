"""A file holds one subject: above 400 lines it says why, above 600 it is split."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NORMAL, MOST = 400, 600

REASON = re.compile(r"\bOne file, (because|for)\b")
"""What the head of a file above the normal size says, with its reason."""


def product_files() -> list[str]:
    """Return the product's source files, as the repository has them."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.js", "*.ts", "*.tsx", "*.css", "*.html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    product = ("functions/", "infra/", "lab/", "shared/", "site/")
    return [name for name in listed if name.startswith(product) and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", product_files())
def test_no_file_is_too_long_to_know(name: str):
    lines = (ROOT / name).read_text().splitlines()
    head = " ".join(lines[:40])

    assert len(lines) <= MOST, f"{name} has {len(lines)} lines: split it by subject"
    assert len(lines) <= NORMAL or REASON.search(head), (
        f"{name} has {len(lines)} lines: split it by subject, or say in its first lines why "
        "it is one file: 'One file, because …'"
    )
