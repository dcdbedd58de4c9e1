"""The volume of an atlas that tells the region of each place in the brain.

The volumes are the Allen Institute's (CCF 2017, ``annotation_25.nrrd`` and its like): the number
of a region for each voxel. They cover 13.2 × 11.4 × 8 mm; bregma is where the IBL has it (iblatlas
1.3.0). The axes of an array are AP, ML, DV.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.science.errors import RawFileInvalid

EXTENT = (13_200, 11_400, 8_000)
"""µm of the volume along AP, ML, DV."""

BREGMA = (5_400, 5_739, 332)
"""µm from the volume's corner to bregma, along AP, ML, DV."""

OUTSIDE = 0
"""Number of what is no brain (``void``)."""

TYPES = {
    "unsigned int": "u4", "uint": "u4", "uint32": "u4", "uint32_t": "u4", "int": "i4",
    "signed int": "i4", "int32": "i4", "int32_t": "i4", "unsigned short": "u2", "uint16": "u2",
    "ushort": "u2", "uint16_t": "u2", "float": "f4", "double": "f8",
}  # fmt: skip
"""Types of NRRD that hold numbers of regions."""


class Annotation:
    """The region of each place in the brain.

    Parameters
    ----------
    volume : array
        Shape (AP, ML, DV): numbers of regions.
    name : str
        Of its file, for messages.

    Raises
    ------
    RawFileInvalid
        The volume is not of the whole atlas.
    """

    def __init__(self, volume: npt.NDArray[np.generic], name: str = "the volume") -> None:
        edge = EXTENT[0] / volume.shape[0] if volume.ndim == 3 and volume.shape[0] else 0.0
        if not edge or any(
            round(whole / edge) != n for whole, n in zip(EXTENT, volume.shape, strict=True)
        ):
            raise RawFileInvalid(
                name,
                f"its voxels (AP, ML, DV: {volume.shape}) are not those of the Allen atlas",
                "take annotation_25.nrrd of the Allen Institute (CCF 2017)",
            )
        self._volume, self._edge = volume, edge

    def regions_at(self, places: npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
        """Return the number of the region of each place; `OUTSIDE` beyond the volume.

        Parameters
        ----------
        places : array
            Shape (n, 3): ML, AP, DV in µm from bregma.
        """
        ml, ap, dv = np.asarray(places, float).T
        # ML rises to the right, as the voxels; AP to the front and DV upwards, against them
        from_corner = np.column_stack([BREGMA[0] - ap, BREGMA[1] + ml, BREGMA[2] - dv])
        at = np.rint(from_corner / self._edge).astype(np.int64)
        inside = np.all((at >= 0) & (at < self._volume.shape), axis=1)
        regions = np.full(len(at), OUTSIDE, np.int32)
        regions[inside] = self._volume[tuple(at[inside].T)]
        return regions


def read_annotation(path: Path) -> Annotation:
    """Read a volume of regions: ``.nrrd``, or ``.npy`` with the axes AP, ML, DV.

    Raises
    ------
    RawFileInvalid
        It is no such volume, or not whole.
    """
    if path.suffix == ".nrrd":
        return Annotation(_nrrd(path), path.name)
    if path.suffix == ".npy":
        try:
            volume = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise _unreadable(path, str(error)) from None
        return Annotation(volume, path.name)
    raise _unreadable(path, "it is neither .nrrd nor .npy")


def _nrrd(path: Path) -> npt.NDArray[np.generic]:
    """Return the array of a NRRD file, with the axes AP, ML, DV; the file's are AP, DV, ML.

    The format: https://teem.sourceforge.net/nrrd/format.html (attached, ``raw`` or ``gzip``).
    """
    head, found, body = path.read_bytes().partition(b"\n\n")
    pairs: Mapping[str, str] = dict(
        re.findall(r"^([\w ]+): *(.*?)\s*$", head.decode("latin-1"), re.MULTILINE)
    )
    try:
        kind = np.dtype(TYPES[pairs["type"]])
        if pairs.get("endian", "little") != "little":
            raise ValueError("its bytes are in the other order")
        sizes = [int(each) for each in pairs["sizes"].split()]
        if pairs["encoding"] in ("gzip", "gz"):
            body = gzip.decompress(body)
        elif pairs["encoding"] != "raw":
            raise ValueError(f"its encoding is {pairs['encoding']}")
        if not (head.startswith(b"NRRD") and found and len(sizes) == 3):
            raise ValueError("it has no header of three axes")
        volume = np.frombuffer(body, kind.newbyteorder("<")).reshape(sizes, order="F")
    except KeyError as error:
        raise _unreadable(path, f"its header tells no known {error}") from None
    except (ValueError, EOFError, OSError) as error:
        raise _unreadable(path, str(error)) from None
    return volume.transpose(0, 2, 1)


def _unreadable(path: Path, why: str) -> RawFileInvalid:
    fix = "take annotation_25.nrrd of the Allen Institute (CCF 2017)"
    return RawFileInvalid(path.name, f"no volume of an atlas: {why}", fix)
