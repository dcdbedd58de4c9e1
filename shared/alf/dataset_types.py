"""The dataset types and data formats of Fornix, and the match of file names to types.

A dataset type describes the content of a file: a name, a pattern of its file names (``fnmatch``,
letter case ignored), the unit and the shape. The names are those of the ONE convention and of
Alyx; a laboratory may register more through the API. Shapes are symbolic: files of one object
share their first dimension.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import cache, lru_cache

import msgspec

from .errors import ALFInvalid, DataFormatNotFound, DatasetTypeAmbiguous, DatasetTypeNotFound
from .path import parse_dataset_path, without_uuid


class DatasetType(msgspec.Struct, frozen=True):
    """The type of a file's content.

    Attributes
    ----------
    name : str
        Unique name, usually ``object.attribute``.
    filename_pattern : str
        Pattern of the file names. If it is empty, the file's ``object.attribute`` equals the
        type's name (for names outside the grammar, all before the last dot).
    unit : str
        Unit of the content; empty if it has none.
    shape : str
        Symbolic dimensions, e.g. ``'trials, 2'``; ``'file'`` if rows are not defined.
    description : str
        One sentence.
    """

    name: str
    filename_pattern: str
    unit: str
    shape: str
    description: str

    def matches(self, filename: str) -> bool:
        """Return whether a file name, without folders and UUID, is of this type."""
        if self.filename_pattern:
            return _pattern(self.filename_pattern).match(filename.casefold()) is not None
        return _names(filename)[-1] == self.name


class DataFormat(msgspec.Struct, frozen=True):
    """A file format.

    Attributes
    ----------
    name : str
        Alyx's name of the format.
    extension : str
        File extension without its dot; empty for formats without files.
    description : str
        Description in words.
    rows : bool
        Whether the number of rows of an object can be read from the file.
    """

    name: str
    extension: str
    description: str
    rows: bool = False


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.casefold()))


@cache
def _names(filename: str) -> tuple[str, ...]:
    """Return the possible type names of a file, the most specific first.

    The last one is ``object.attribute`` or, for names outside the grammar, all before the last
    dot.
    """
    try:
        parsed = parse_dataset_path(filename)
    except ALFInvalid:
        return (filename.rpartition(".")[0],)
    short = f"{parsed.object}.{parsed.attribute}"
    timed = f"{short}_{parsed.timescale}" if parsed.timescale else short
    names = [f"{timed}.{parsed.extra}", timed, short]
    if parsed.namespace:
        names = [n for name in names for n in (f"_{parsed.namespace}_{name}", name)]
    return tuple(names)


@lru_cache(maxsize=4096)
def _own_matches(name: str) -> list[DatasetType]:
    """Return the types of this module that match a file name; sessions repeat their names."""
    return [each for each in DATASET_TYPES.values() if each.matches(name)]


def match_dataset_type(filename: str, types: Iterable[DatasetType] | None = None) -> DatasetType:
    """Find the dataset type of a file.

    Parameters
    ----------
    filename : str
        File name or path relative to the session; a UUID in the name is ignored.
    types : iterable of DatasetType, optional
        The types to choose from; by default those of this module.

    Returns
    -------
    DatasetType
        The type whose pattern matches. If several match, the type with the file's own name
        (``object.attribute``, with timescale and extra parts if the type has them) wins. So a
        specific type may exist beside a general pattern.

    Raises
    ------
    DatasetTypeNotFound
        No pattern matches.
    DatasetTypeAmbiguous
        Several match and none is named exactly as the file.
    """
    name = without_uuid(filename.rpartition("/")[2])
    matches = _own_matches(name) if types is None else [t for t in types if t.matches(name)]
    if len(matches) > 1:
        exact = ([t for t in matches if t.name.casefold() == n.casefold()] for n in _names(name))
        matches = next(filter(None, exact), matches)
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise DatasetTypeNotFound(
            filename,
            "object.attribute",
            _names(name)[-1],
            "no dataset type describes this name",
            "rename the file, or register a dataset type whose filename_pattern matches it",
        )
    raise DatasetTypeAmbiguous(
        filename,
        "object.attribute",
        _names(name)[0],
        "more than one dataset type matches: " + ", ".join(sorted(t.name for t in matches)),
        "narrow the filename_pattern of one of them",
    )


@lru_cache(8192)
def dimensions(filename: str) -> tuple[str, ...] | None:
    """Return the symbolic dimensions of a file by the table of types; None if it has no rows.

    Only this table decides which files are columns of one table: row numbers are compared only
    between files of an object with the same first dimension. A file of unknown type has the
    dimension of its object. That is ``''`` for an unknown object, and None if the object's types
    have several.
    """
    try:
        shape = match_dataset_type(filename).shape
    except (DatasetTypeNotFound, DatasetTypeAmbiguous):
        name = _names(without_uuid(filename.rpartition("/")[2]))[-1].partition(".")[0]
        first_dimensions = _dimensions_of_objects().get(name.casefold(), {""})
        return (next(iter(first_dimensions)),) if len(first_dimensions) == 1 else None
    if shape == "file":
        return None
    return tuple(part.strip() for part in shape.split(","))


@cache
def _dimensions_of_objects() -> dict[str, set[str]]:
    """Return the first dimensions of the types of each object."""
    by_object: dict[str, set[str]] = {}
    for dataset_type in DATASET_TYPES.values():
        if dataset_type.shape not in ("", "file"):
            first = dataset_type.shape.partition(",")[0]
            by_object.setdefault(dataset_type.name.partition(".")[0].casefold(), set()).add(first)
    return by_object


def data_format(filename: str) -> DataFormat:
    """Return the format of a file by its extension.

    Raises
    ------
    DataFormatNotFound
        The extension is not in :data:`DATA_FORMATS`.
    """
    extension = filename.rpartition("/")[2].rpartition(".")[2]
    try:
        return _BY_EXTENSION[extension.lower()]
    except KeyError:
        extensions = ", ".join(sorted(filter(None, _BY_EXTENSION)))
        raise DataFormatNotFound(
            filename,
            "extension",
            extension,
            "not the extension of a data format",
            f"use one of {extensions}, or register the format",
        ) from None


def _read_types() -> dict[str, DatasetType]:
    """Read ``dataset_types.tsv``: name, pattern, unit, shape, description; one type per line.

    A pattern of ``-`` stands for ``*name[._]*``: any namespace before, and any timescale, extra
    parts and extension after the name.
    """
    types = {}
    with open(__file__.removesuffix("py") + "tsv", encoding="utf-8") as file:
        lines = file.read().splitlines()
    for line in lines[1:]:
        name, pattern, unit, shape, description = line.split("\t")
        pattern = f"*{name}[._]*" if pattern == "-" else pattern
        types[name] = DatasetType(name, pattern, unit, shape, description)
    return types


# Sources: ONE convention, "standard dataset types"; Alyx data.datasettype fixture (names); units
# and shapes from the IBL overview of datasets. Coordinates are relative to bregma, ML-AP-DV.
DATASET_TYPES: dict[str, DatasetType] = _read_types()

# Alyx's table of formats, and further formats of rigs: wav and avi before compression, mov and
# camlog of labcams.
DATA_FORMATS: dict[str, DataFormat] = {
    row.name: row
    for row in (
        DataFormat("unknown", "", "format that is not recorded"),
        DataFormat("notData", "", "datasets without a file of their own"),
        DataFormat("npy", "npy", "NumPy array", rows=True),
        DataFormat("parquet", "pqt", "Apache Parquet table", rows=True),
        DataFormat("jsonable", "jsonable", "text, one JSON value a line", rows=True),
        DataFormat("csv", "csv", "comma-separated table with a header", rows=True),
        DataFormat("ssv", "ssv", "space-separated table", rows=True),
        DataFormat("tsv", "tsv", "tab-separated table", rows=True),
        DataFormat("htsv", "htsv", "tab-separated table with a header", rows=True),
        DataFormat("npz", "npz", "ZIP archive of NumPy arrays"),
        DataFormat("sparse npz", "sparse_npz", "compressed sparse array of pydata/sparse"),
        DataFormat("json", "json", "JSON"),
        DataFormat("yml", "yml", "YAML"),
        DataFormat("yaml", "yaml", "YAML"),
        DataFormat("bin", "bin", "binary without a header"),
        DataFormat("cbin", "cbin", "compressed multichannel recording"),
        DataFormat("ch", "ch", "chunk table of a compressed recording (JSON)"),
        DataFormat("ebin", "ebin", "recording compressed by Fornix"),
        DataFormat("eh", "eh", "index of a recording compressed by Fornix (JSON)"),
        DataFormat("meta", "meta", "acquisition metadata of SpikeGLX"),
        DataFormat("tdms", "tdms", "National Instruments data stream"),
        DataFormat("mat", "mat", "MATLAB data"),
        DataFormat("m", "m", "MATLAB code"),
        DataFormat("log", "log", "text log"),
        DataFormat("flac", "flac", "lossless compressed sound"),
        DataFormat("wav", "wav", "sound"),
        DataFormat("nwb", "nwb", "Neurodata Without Borders (HDF5)"),
        DataFormat("mp4", "mp4", "video"),
        DataFormat("mj2", "mj2", "video in Motion JPEG 2000"),
        DataFormat("avi", "avi", "video"),
        DataFormat("mov", "mov", "video"),
        DataFormat("camlog", "camlog", "text log of a camera, a line a frame"),
        DataFormat("tif", "tif", "images"),
        DataFormat("tar", "tar", "archive"),
        DataFormat("zip", "zip", "compressed archive"),
        DataFormat("bzip2", "bz2", "compressed file"),
    )
}
_BY_EXTENSION = {f.extension: f for f in DATA_FORMATS.values() if f.extension}
