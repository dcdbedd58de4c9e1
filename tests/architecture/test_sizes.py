"""A file holds one subject: above 400 lines it needs a reason, above 600 it is split."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NORMAL, MOST = 400, 600


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
    lines = len((ROOT / name).read_text().splitlines())

    assert lines <= MOST, f"{name} has {lines} lines: split it by subject"
