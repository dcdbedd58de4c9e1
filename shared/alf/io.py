"""Load and save the files of the ALF convention by their extension; load whole objects.

Arrays are read with ``allow_pickle=False``, so a file cannot run code. numpy, pandas and pyarrow
are imported on demand.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ALFInvalid, FileInvalid
from .path import parse_dataset_path, without_uuid

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_SEPARATORS = {".csv": ",", ".ssv": " ", ".tsv": "\t", ".htsv": "\t"}
ROW_GROUP = 2**16
"""Rows of a part of a table, read by one request: 18 minutes of a camera at 60 Hz."""

_CONTENT = frozenset({".npy", ".npz", ".pqt", ".json", ".jsonable", ".yml", ".yaml", *_SEPARATORS})


def load(path: Path | str) -> Any:
    """Load a file by its extension, as the ONE client does.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    object
        ``npy``: array (a single column as a vector). ``npz``: dict of arrays. ``pqt``, ``csv``,
        ``ssv``, ``tsv``, ``htsv``: data frame. ``json``, ``yml``, ``yaml``: content.
        ``jsonable``: list. Anything else (video, binary, text): the path.

    Raises
    ------
    FileInvalid
        Truncated or malformed file, or an array of Python objects.
    FileNotFoundError
        No such file.
    """
    path = Path(path)
    if path.suffix not in _CONTENT:
        if not path.exists():
            raise FileNotFoundError(path)
        return path
    return _load(path.name, path.suffix, path)


def has_content(name: str) -> bool:
    """Return whether `load` returns a file's content; for other files it returns the path."""
    return Path(name).suffix in _CONTENT


def load_bytes(name: str, data: bytes) -> Any:
    """Return the content of a file from its bytes, as `load` does.

    Parameters
    ----------
    name : str
        Its name or path; the extension gives the format.
    data : bytes

    Raises
    ------
    FileInvalid
        See `load`; or the extension is of a format without content to load.
    """
    suffix = Path(name).suffix
    if suffix not in _CONTENT:
        rule, fix = "no content that can be loaded", "read the bytes themselves"
        raise FileInvalid(Path(name).name, "content", suffix, rule, fix)
    return _load(Path(name).name, suffix, io.BytesIO(data))


def _load(name: str, suffix: str, source: Path | io.BytesIO) -> Any:
    try:
        return _read(suffix, source)
    except (ValueError, EOFError, KeyError) as error:
        raise FileInvalid(
            name,
            "content",
            " ".join(str(error).split())[:200],
            f"not a whole {suffix} file",
            "copy the file again, or extract it again",
        ) from error


def _read(suffix: str, source: Path | io.BytesIO) -> Any:
    if suffix == ".npy":
        import numpy as np

        array = np.load(source, allow_pickle=False)
        return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if suffix == ".npz":
        import numpy as np

        with np.load(source, allow_pickle=False) as arrays:
            return dict(arrays)
    if suffix == ".pqt":
        import pandas as pd

        return pd.read_parquet(source)
    if suffix in _SEPARATORS:
        import pandas as pd

        return pd.read_csv(source, sep=_SEPARATORS[suffix])
    data = source.read_bytes() if isinstance(source, Path) else source.getvalue()
    if suffix == ".json":
        return json.loads(data)
    if suffix == ".jsonable":
        return [json.loads(line) for line in data.splitlines() if line.strip()]
    import yaml

    return yaml.safe_load(data)


def save(path: Path | str, content: np.ndarray | pd.DataFrame | dict | list) -> Path:
    """Save an array (``npy``), table (``pqt``, ``csv``), ``json``, ``jsonable`` by its extension.

    The file appears under its name only when it is complete.

    Parameters
    ----------
    path : path
        Target; missing folders are made. The name must be valid.
    content : array, data frame, dict or list
        Content; a list for ``jsonable``.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ALFInvalid
        The name is not valid, or its extension is none of these.
    """
    path = Path(path)
    parse_dataset_path(path.name)
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        import numpy as np

        with partial.open("wb") as file:
            np.save(file, np.asarray(content), allow_pickle=False)
    elif path.suffix == ".pqt":
        import pandas as pd

        pd.DataFrame(content).to_parquet(partial, row_group_size=ROW_GROUP)
    elif path.suffix == ".csv":
        import pandas as pd

        pd.DataFrame(content).to_csv(partial, index=False)
    elif path.suffix == ".json":
        partial.write_text(json.dumps(content, indent=1))
    elif path.suffix == ".jsonable":
        partial.write_text("".join(json.dumps(line) + "\n" for line in content))
    else:
        fix = "save as .npy, .pqt, .csv, .json or .jsonable"
        raise ALFInvalid(path.name, "extension", path.suffix, "can not be saved here", fix)
    os.replace(partial, path)
    return path


def load_object(folder: Path | str, name: str) -> dict[str, Any]:
    """Load the attributes of an object in one folder; its table is split into columns.

    Parameters
    ----------
    folder : path
        Folder of the collection; files of its latest revision folder take precedence.
    name : str
        Object, e.g. ``'trials'``; any namespace.

    Returns
    -------
    dict
        Content by attribute (with its timescale and extra parts, if any). Columns of ``table``
        take precedence over files of the same name; ``x_0`` and ``x_1`` are joined to ``x`` with
        two columns.

    Raises
    ------
    FileNotFoundError
        The folder has no file of this object.
    FileInvalid
        A file cannot be read.
    """
    folder = Path(folder)
    latest: dict[str, Path] = {}
    for path in [*folder.glob("*.*.*"), *sorted(folder.glob("#*#/*.*.*"))]:
        try:
            parsed = parse_dataset_path(without_uuid(path.name))
        except ALFInvalid:
            continue
        if parsed.object == name:
            parts = [parsed.attribute, parsed.timescale]
            key = "_".join(p for p in parts if p)
            latest[key + (f".{parsed.extra}" if parsed.extra else "")] = path
    if not latest:
        raise FileNotFoundError(f"no file of object {name!r} in {folder}")
    attributes = {key: load(path) for key, path in latest.items()}
    table = attributes.pop("table", None)
    return attributes if table is None else attributes | explode(table)


def explode(table: pd.DataFrame | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Split a table into columns; ``x_0`` and ``x_1`` become ``x`` with two columns.

    Parameters
    ----------
    table : data frame or dict of arrays
        n rows.

    Returns
    -------
    dict of array
        Shape (n,) or (n, 2).
    """
    import numpy as np

    columns = {str(name): np.asarray(column) for name, column in table.items()}
    for first in [c for c in columns if c.endswith("_0") and f"{c[:-1]}1" in columns]:
        pair = (columns.pop(first), columns.pop(f"{first[:-1]}1"))
        columns[first[:-2]] = np.stack(pair, axis=1)
    return columns
