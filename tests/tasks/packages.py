"""A lab's own package, installed beside Fornix as its users install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def installed_beside(package: Path, folder: Path) -> dict[str, str]:
    """Return the environment of a Python that has a package installed beside Fornix.

    It is installed into ``site`` of the folder, from a copy: building leaves files in a source.
    """
    place = folder / "site"
    source = shutil.copytree(package, folder / "source")
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--offline"]
    subprocess.run(
        [*command, "--python", sys.executable, "--target", place, source], check=True, timeout=120
    )
    return os.environ | {"PYTHONPATH": str(place)}
