"""Errors of the codec: every failure is a `CodecError`."""


class CodecError(Exception):
    """A recording could not be written or read; the message names the file and the chunk."""


class FormatError(CodecError):
    """The bytes are no recording of a known format, or contradict themselves."""


class UnsupportedVersionError(FormatError):
    """The recording was written by a newer version of the format."""


class CorruptionError(CodecError):
    """Bytes were changed or lost after they were written.

    Attributes
    ----------
    chunks : tuple of int
        Indices of the damaged chunks, where they are known.
    """

    def __init__(self, message: str, chunks: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.chunks = chunks


class TruncationError(CorruptionError):
    """The file ends before the recording does."""


class VerificationError(CodecError):
    """The written bytes do not decode to the given samples; nothing is left at the target."""
