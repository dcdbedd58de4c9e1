"""An HDF5 file as a reference file system in LINDI's form: JSON with its content within.

LINDI (https://github.com/NeurodataWithoutBorders/lindi, version 0.4) reads such a JSON as h5py
reads a file, so pynwb does, too. Groups and datasets become those of Zarr version 2, and what Zarr
lacks is told by attributes: ``_SCALAR``, ``_COMPOUND_DTYPE``, ``_SOFT_LINK`` and ``_REFERENCE``.
LINDI itself needs Zarr 2; writing needs h5py only, so that a worker does it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

NOT_JSON = {math.inf: "Infinity", -math.inf: "-Infinity"}
"""LINDI's texts for numbers that JSON lacks; NaN is ``NaN``."""

TEXTS = [
    {
        "id": "json2",
        "encoding": "utf-8",
        "allow_nan": True,
        "check_circular": True,
        "ensure_ascii": True,
        "indent": None,
        "separators": [",", ":"],
        "skipkeys": False,
        "sort_keys": True,
        "strict": True,
    }
]
"""Filters of an array of texts, references or records: the JSON codec of numcodecs."""

OBJECTS = "|O"


def references_of(path: Path, hollow: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the references of a small HDF5 file, with the bytes of its datasets inline.

    Parameters
    ----------
    path : path
    hollow : set of str
        Datasets whose samples are left out; they may be large.

    Raises
    ------
    TypeError
        A dataset or an attribute has a type that LINDI has no form for.
    """
    references: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        _add_group(file, "", file, references, hollow)
    return references


def _add_group(
    file: h5py.File, at: str, group: h5py.Group, to: dict[str, Any], hollow: frozenset[str]
) -> None:
    to[f"{at}.zgroup"] = {"zarr_format": 2}
    _add_attributes(to, at, dict(_attributes(file, group)))
    for name in group:
        place, link = f"{at}{name}", group.get(name, getlink=True)
        item = group[name]
        if isinstance(item, h5py.Group):
            if isinstance(link, h5py.SoftLink):
                to[f"{place}/.zgroup"] = {"zarr_format": 2}
                to[f"{place}/.zattrs"] = {"_SOFT_LINK": {"path": link.path}}
            else:
                _add_group(file, f"{place}/", item, to, hollow)
        else:
            _add_dataset(file, place, item, to, with_samples=place not in hollow)


def _add_dataset(
    file: h5py.File, at: str, dataset: h5py.Dataset, to: dict[str, Any], *, with_samples: bool
) -> None:
    attributes = dict(_attributes(file, dataset))
    shape = list(dataset.shape) or [1]
    if not dataset.shape:
        attributes["_SCALAR"] = True
    if dataset.dtype.names:
        attributes["_COMPOUND_DTYPE"] = [
            [name, "<REFERENCE>" if _is_reference(dtype) else str(dtype)]
            for name, dtype in ((name, dataset.dtype[name]) for name in dataset.dtype.names)
        ]
    plain = dataset.dtype.kind in "iufb" and not dataset.dtype.names
    dtype = dataset.dtype.newbyteorder("<") if plain else None
    to[f"{at}/.zarray"] = {
        "zarr_format": 2,
        "shape": shape,
        "chunks": [max(1, n) for n in shape],
        "dtype": dtype.str if dtype is not None else OBJECTS,
        "fill_value": 0 if plain else None,
        "order": "C",
        "compressor": None,
        "filters": None if plain else TEXTS,
    }
    _add_attributes(to, f"{at}/", attributes)
    if not with_samples or 0 in shape:
        return
    values = dataset[()]
    if dtype is not None:
        content = np.ascontiguousarray(values, dtype).tobytes()
    else:
        listed = _listed(file, values, dataset.dtype)
        content = json.dumps([*(listed if dataset.shape else [listed]), OBJECTS, shape]).encode()
    to[f"{at}/{'.'.join('0' for _ in shape)}"] = "base64:" + base64.b64encode(content).decode()


def _add_attributes(to: dict[str, Any], at: str, attributes: dict[str, Any]) -> None:
    if attributes:
        to[f"{at}.zattrs"] = attributes


def _attributes(file: h5py.File, item: h5py.Group | h5py.Dataset) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an item as JSON has them."""
    for name, value in item.attrs.items():
        if isinstance(value, h5py.Empty):
            yield name, "" if value.dtype.kind in "OSU" else []
        else:
            yield name, _finite(_listed(file, value, getattr(value, "dtype", None)))


def _is_reference(dtype: Any) -> bool:
    return h5py.check_ref_dtype(dtype) is not None


def _listed(file: h5py.File, value: Any, dtype: Any) -> Any:
    """Return a value, or an array of them, of Python's own types."""
    if isinstance(value, h5py.Reference):
        return _reference(file, value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.ndarray):
        return [_listed(file, each, value.dtype) for each in value]
    if isinstance(value, np.void) and dtype is not None and dtype.names:
        return [_listed(file, value[name], dtype[name]) for name in dtype.names]
    if isinstance(value, np.generic) and value.dtype.kind in "iufb":
        return value.item()
    raise TypeError(f"LINDI has no form for {type(value).__name__}")


def _reference(file: h5py.File, reference: h5py.Reference) -> dict[str, Any]:
    """Return a reference to an object, as hdmf-zarr writes it."""
    target = file[reference]
    return {
        "_REFERENCE": {
            "object_id": target.attrs.get("object_id"),
            "path": target.name,
            "source": ".",
            "source_object_id": file.attrs.get("object_id"),
        }
    }


def _finite(value: Any) -> Any:
    """Return a value with LINDI's texts for numbers that JSON lacks."""
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return NOT_JSON.get(value, "NaN")
    return value
