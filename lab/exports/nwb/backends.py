"""Backends for writing files: HDF5, or Zarr if hdmf-zarr is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, get_manager

from lab.exports.session import ExportError


class Backend(msgspec.Struct, frozen=True):
    """A way to store a file.

    Attributes
    ----------
    ending : str
        Extension of the file's name.
    compressed : callable
        Converts the chunks of a large array for the file's writer.
    write : callable
        Writes a file to a path.
    read : callable
        Opens a path, as a context manager.
    """

    ending: str
    compressed: Callable[[Any], Any]
    write: Callable[[NWBFile, Path], None]
    read: Callable[[Path], Any]


def backend(name: str, *, compress: bool = True) -> Backend:
    """Return a backend by its name.

    Parameters
    ----------
    name : {'hdf5', 'zarr'}
    compress : bool
        Whether recordings are compressed.

    Raises
    ------
    ExportError
        The backend is not installed here.
    """
    if name == "hdf5":
        return Backend(".nwb", _gzip if compress else _plain, _write_hdf5, _read_hdf5)
    try:
        from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
        from numcodecs import JSON, Blosc
    except ImportError as error:
        raise ExportError(
            "Zarr needs hdmf-zarr, which cannot be installed beside zarr 3: make an environment "
            "of its own with `pip install 'fornix[nwb]' hdmf-zarr`, or `make nwb` in a checkout"
        ) from error

    def write(nwb: NWBFile, path: Path) -> None:
        # Texts as JSON: the default would be pickles, which are unsafe to open.
        # NWBZarrIO does not pass this option on.
        options = {"manager": get_manager(), "object_codec_class": JSON}
        with ZarrIO(str(path), mode="w", **options) as file:
            file.write(nwb)

    def blosc(chunks: Any) -> Any:
        packed = Blosc(cname="zstd", clevel=5, shuffle=Blosc.BITSHUFFLE) if compress else False
        return ZarrDataIO(chunks, compressor=packed)

    return Backend(".nwb.zarr", blosc, write, lambda path: NWBZarrIO(str(path), "r"))


def _gzip(chunks: Any) -> H5DataIO:
    return H5DataIO(chunks, compression="gzip", compression_opts=4, shuffle=True)


def _plain(chunks: Any) -> H5DataIO:
    return H5DataIO(chunks)


def _write_hdf5(nwb: NWBFile, path: Path) -> None:
    with NWBHDF5IO(str(path), "w") as file:
        file.write(nwb)


def _read_hdf5(path: Path) -> NWBHDF5IO:
    return NWBHDF5IO(str(path), "r")


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_in_place(partial: Path, target: Path) -> None:
    """Move a finished file to its name; an older file there is replaced."""
    if target.is_dir():  # a folder cannot be replaced atomically
        remove(target)
    os.replace(partial, target)
