"""The code of the embedded cloud's functions, unpacked once for all their processes.

ministack unpacks a function's archive for each process that it starts, and each process compiles
what it imports: seconds of a busy computer, in which the cloud answers late. Here processes of
one archive share a folder, in which Python keeps what it has compiled.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

KEPT = 3
"""Archives whose folders stay for the next start: functions of one deployment share one."""

_lock = threading.Lock()


def shared(folder: Path) -> SimpleNamespace:
    """Return what replaces the module ``zipfile`` in ``ministack.core.lambda_runtime``.

    Parameters
    ----------
    folder : Path
        Holds a folder for each archive, named by its SHA-256; all but the last used are removed.
        Nothing may run in them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_use = sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in by_use[KEPT:]:
        shutil.rmtree(old)

    class Archive(zipfile.ZipFile):
        """An archive that unpacks itself as a link to its shared folder."""

        def extractall(
            self, path: object = None, members: object = None, pwd: object = None
        ) -> None:
            """Make `path`, an empty folder, a link to the unpacked archive."""
            target = Path(str(path))
            unpacked = _unpacked(Path(str(self.filename)), folder)
            target.rmdir()
            target.symlink_to(unpacked, target_is_directory=True)

    # ministack calls zipfile's LargeZipFile LargeFileError.
    return SimpleNamespace(
        ZipFile=Archive, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
    )


def _unpacked(archive: Path, folder: Path) -> Path:
    """Return an archive's folder, after unpacking it if it is new."""
    whole = folder / hashlib.sha256(archive.read_bytes()).hexdigest()
    with _lock:
        if not whole.exists():
            part = whole.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)  # of a cloud that was killed
            with zipfile.ZipFile(archive) as file:
                file.extractall(part)
            part.rename(whole)
    os.utime(whole)
    return whole
