"""Faults of a name, a file or a set of files, each as its own exception.

Every error gives three facts that a person at a rig can act on: the part at fault, its text, and
the remedy.
"""

from __future__ import annotations

from shared.model.errors import Explained


class ALFError(Explained):
    """Base of all errors of the ALF convention.

    Parameters
    ----------
    where : str
        The path, file name or identifier at fault.
    part : str
        The part of it that breaks the rule, e.g. ``'attribute'``, ``'date'``, ``'header'``.
    text : str
        The offending text.
    rule : str
        The broken rule, as a sentence without a full stop.
    fix : str
        The remedy, as a sentence without a full stop.
    """

    code = "alf_error"

    def __init__(self, where: str, part: str, text: str, rule: str, fix: str) -> None:
        super().__init__(f"{where!r}: {part} {text!r}", rule, fix)
        self.args = (where, part, text, rule, fix)
        self.where, self.part, self.text = where, part, text


class ALFInvalid(ALFError):
    """A session path, collection or file name does not follow the grammar."""

    code = "invalid_name"


class DatasetTypeNotFound(ALFError):
    """No dataset type describes this file name."""

    code = "unknown_dataset_type"


class DatasetTypeAmbiguous(ALFError):
    """More than one dataset type describes this file name."""

    code = "ambiguous_dataset_type"


class DataFormatNotFound(ALFError):
    """The extension is not one of the data formats."""

    code = "unknown_data_format"


class FileInvalid(ALFError):
    """The content does not fit the extension: truncated, malformed or unsafe."""

    code = "invalid_file"


class RowsInconsistent(ALFError):
    """The files of one object have different numbers of rows."""

    code = "unequal_rows"
