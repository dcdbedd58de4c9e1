"""The ONE/ALF convention: grammar, dataset types, validation, loading. No AWS import.

Names and paths (import only the standard library)::

    parse_session_path("cortexlab/Subjects/KS023/2019-12-10/001") -> SessionPath
    parse_dataset_path("alf/#2024-05-06#/_ibl_trials.table.pqt")  -> DatasetPath
    split_session("KS023/2019-12-10/001/alf/spikes.times.npy")    -> SessionPath, relative path
    is_valid("spikes.times.npy")                                  -> bool
    with_uuid(name, uuid), without_uuid(name), uuid_in(name)      -> the name stored on a server
    match_dataset_type("_ibl_wheel.position.npy")                 -> DatasetType, exactly one
    data_format("spikes.times.npy")                               -> DataFormat

``SessionPath`` and ``DatasetPath`` check their parts when made and return the path by ``build()``
or ``str()``. Every error is an :class:`~shared.alf.errors.ALFError`: it names the part, the
offending text, the rule and the fix.

Contents (numpy and pyarrow are imported when first used), in modules of their own::

    shared.alf.validate.header(fileobj, extension) -> Header(rows, shape, dtype, columns)
    shared.alf.validate.check_rows({path: Header}) -> list of RowsInconsistent
    shared.alf.io.load(path), save(path, content), load_object(folder, "trials")
"""

from .dataset_types import (
    DATA_FORMATS,
    DATASET_TYPES,
    DataFormat,
    DatasetType,
    data_format,
    match_dataset_type,
)
from .errors import (
    ALFError,
    ALFInvalid,
    DataFormatNotFound,
    DatasetTypeAmbiguous,
    DatasetTypeNotFound,
    FileInvalid,
    RowsInconsistent,
)
from .path import (
    DatasetPath,
    SessionPath,
    is_uuid,
    is_valid,
    parse_dataset_path,
    parse_session_path,
    split_session,
    uuid_in,
    with_uuid,
    without_uuid,
)

__all__ = [
    "DATASET_TYPES",
    "DATA_FORMATS",
    "ALFError",
    "ALFInvalid",
    "DataFormat",
    "DataFormatNotFound",
    "DatasetPath",
    "DatasetType",
    "DatasetTypeAmbiguous",
    "DatasetTypeNotFound",
    "FileInvalid",
    "RowsInconsistent",
    "SessionPath",
    "data_format",
    "is_uuid",
    "is_valid",
    "match_dataset_type",
    "parse_dataset_path",
    "parse_session_path",
    "split_session",
    "uuid_in",
    "with_uuid",
    "without_uuid",
]
