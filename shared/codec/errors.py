"""What can go wrong, as types: every failure of the codec is a `CodecError`."""


class CodecError(Exception):
    """A recording could not be written or read; the message names the file and the chunk."""


class FormatError(CodecError):
    """The bytes are not a recording this version understands, or contradict themselves."""


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
    """What was written does not decode to what was given; nothing was left at the target."""
