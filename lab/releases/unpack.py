"""Unpack zips from anybody: hostile ones are refused before a byte is written.

A zip is refused as a whole for names that lead out of the folder or are invalid on some system,
two files of one name, links, encrypted files, overlapping files, and more bytes than the zip can
hold or the disk has room for. A killed run continues: each file is written beside its place and
moved there after its checksum was verified.
"""

from __future__ import annotations

import os
import shutil
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lab.transfer import BLOCK
from shared.alf.names import check

MOST_RATIO = 200
"""Largest ratio by which a file may grow; deflate itself ends at 1,032 (RFC 1951)."""

FREE_RATIO = 10 * 2**20
"""Files up to this many bytes may grow without limit."""

RESERVE = 2**30
"""Bytes of the disk that stay free."""


class HostileZip(ValueError):
    """A refused zip; the message names the file and the rule."""


def check_zip(archives: Sequence[zipfile.ZipFile], room: int) -> list[zipfile.ZipInfo]:
    """Return the files of a zip, or of its parts, if all are harmless.

    Parameters
    ----------
    archives : sequence of ZipFile
    room : int
        Bytes that the files may have together.

    Raises
    ------
    HostileZip
    """
    seen: dict[str, str] = {}
    total = 0
    entries = []
    for archive in archives:
        _check_apart(archive)
        for info in archive.infolist():
            if info.is_dir():
                _check_name(info.filename.rstrip("/"))
                continue
            _check_entry(info)
            look = unicodedata.normalize("NFKC", info.filename).casefold()
            if look in seen:
                raise HostileZip(
                    f"Two files are called {info.filename}: one would hide the other."
                )
            seen[look] = info.filename
            total += info.file_size
            if total > room:
                raise HostileZip(
                    f"The zip unpacks to more than the {room:,} bytes that there is room for: "
                    "free some, or give another folder with --folder."
                )
            entries.append(info)
    _check_folders(seen.values())
    return entries


def _check_entry(info: zipfile.ZipInfo) -> None:
    _check_name(info.filename)
    if info.flag_bits & 0x1:
        raise HostileZip(f"{info.filename} is encrypted: unpack it by hand first.")
    mode = info.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise HostileZip(f"{info.filename} is a link or device, no file.")
    if info.file_size > FREE_RATIO and info.file_size > MOST_RATIO * max(info.compress_size, 1):
        raise HostileZip(
            f"{info.filename} would grow from {info.compress_size:,} to {info.file_size:,} bytes."
        )


def _check_name(name: str) -> None:
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise HostileZip(f"{name!r} leads out of the folder.")
    try:
        for part in name.split("/"):
            bare = part[1:-1] if len(part) > 2 and part[0] == part[-1] == "#" else part
            check("dataset", bare)
    except ValueError as error:
        raise HostileZip(f"{name!r} is no path of a file: {error}") from None


def _check_folders(names: Iterable[str]) -> None:
    """Refuse a file whose name is a folder of another file."""
    files = {name.casefold() for name in names}
    for name in files:
        folder = name.rpartition("/")[0]
        while folder:
            if folder in files:
                raise HostileZip(f"{folder} is a file and a folder.")
            folder = folder.rpartition("/")[0]


def _check_apart(archive: zipfile.ZipFile) -> None:
    """Refuse files that share bytes of the zip: a few bytes would expand to very many."""
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise HostileZip(f"{info.filename} overlaps with another file in the zip.")
        end = info.header_offset + 30 + len(info.orig_filename.encode()) + info.compress_size


def unpack(
    paths: Sequence[Path],
    folder: Path,
    seen: Callable[[str, int], None] = lambda path, size: None,
) -> list[str]:
    """Unpack a zip, or its parts, into a folder; existing files are not written again.

    Returns
    -------
    list of str
        The files' paths.

    Raises
    ------
    HostileZip
        Nothing was written.
    zipfile.BadZipFile
        The zip is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archives = [zipfile.ZipFile(path) for path in paths]
    try:
        existing = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        room = shutil.disk_usage(folder).free - RESERVE + existing
        check_zip(archives, room)
        done = []
        for archive in archives:
            for info in archive.infolist():
                if not info.is_dir():
                    _write(archive, info, folder / info.filename)
                    done.append(info.filename)
                    seen(info.filename, info.file_size)
        return done
    finally:
        for archive in archives:
            archive.close()


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    if target.is_file() and target.stat().st_size == info.file_size:
        return  # complete since an earlier run
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name[:200]}.partial")
    size = 0
    with archive.open(info) as source, partial.open("wb") as file:
        while block := source.read(BLOCK):
            size += len(block)
            if size > info.file_size:
                raise HostileZip(f"{info.filename} has more bytes than the zip says.")
            file.write(block)
    if size != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} ends after {size:,} bytes: copy the zip again.")
    os.replace(partial, target)
