"""The tasks of a session's microphone."""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from shared.science.errors import RawFileInvalid
from shared.tasks.declared.audio import RECORDED, SOUND

if TYPE_CHECKING:
    import av

log = logging.getLogger(__name__)

SAMPLES = {"pcm_s16le": "s16", "pcm_s24le": "s32"}
"""Formats of samples that FLAC holds without loss, and the format in which they are decoded."""

UNTOLD = 0xFFFF_FFFF
"""Size of a chunk that a program has not told, as in files above 4 GB (RF64)."""


def compress(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Compress the sound of a session, and prove that no sample has changed.

    Raises
    ------
    RawFileInvalid
        The file is damaged or cut short, or FLAC cannot hold its samples.
    """
    source = session / arguments["collection"] / RECORDED
    target = out / arguments["collection"] / f"{SOUND}.flac"
    target.parent.mkdir(parents=True, exist_ok=True)
    compress_sound(source, target)
    before, after = source.stat().st_size, target.stat().st_size
    log.info("%s: %.1f to 1", target.name, before / after)
    return [target]


def compress_sound(source: Path, target: Path) -> None:
    """Write a WAV file as FLAC, which holds the same samples.

    Raises
    ------
    RawFileInvalid
        The file is damaged or cut short, or FLAC cannot hold its samples (floats, 32 bits).
    """
    import av

    _check_whole(source)
    read = hashlib.sha256()
    try:
        with av.open(str(source)) as wav, av.open(str(target), "w", format="flac") as flac:
            stream = _sound_in(source, wav)
            codec = stream.codec_context.name if stream.codec_context else "of an unknown kind"
            if codec not in SAMPLES:
                kinds = "16 or 24 bits"
                raise _unreadable(source, f"its samples are {codec}, and FLAC holds {kinds}")
            made: Any = flac.add_stream("flac", rate=stream.rate)
            made.layout, made.format = stream.layout, SAMPLES[codec]
            for block in _blocks(wav, stream, read):
                flac.mux(made.encode(block))
            flac.mux(made.encode(None))
    except av.FFmpegError as error:
        if isinstance(error, OSError) and not isinstance(error, av.InvalidDataError):
            raise
        raise _unreadable(source, str(error)) from error
    written = hashlib.sha256()
    with av.open(str(target)) as flac:
        for _ in _blocks(flac, flac.streams.audio[0], written):
            pass
    if written.digest() != read.digest():
        target.unlink()
        raise _unreadable(source, "the compressed sound has other samples")


def _sound_in(source: Path, wav: av.container.InputContainer) -> Any:
    if not wav.streams.audio:
        raise _unreadable(source, "it has no sound")
    return wav.streams.audio[0]


def _blocks(container: Any, stream: Any, seen: Any) -> Iterator[Any]:
    """Yield the decoded blocks of a sound; their samples go through a hash."""
    for block in container.decode(stream):
        seen.update(block.to_ndarray().tobytes())
        block.pts = None
        yield block


def _check_whole(source: Path) -> None:
    """Compare the length that the header of a WAV file tells with what is there.

    Raises
    ------
    RawFileInvalid
        It is no WAV file, it has no samples, or it was cut short.
    """
    size = source.stat().st_size
    with source.open("rb") as file:
        form = file.read(12)
        if form[:4] not in (b"RIFF", b"RF64") or form[8:] != b"WAVE":
            raise _unreadable(source, "it does not begin as a WAV file")
        length = _length_of_data(file)
        if not length:
            raise _unreadable(source, "it has no samples")
        if length != UNTOLD and file.tell() + length > size:
            missing = file.tell() + length - size
            raise _unreadable(source, f"its last {missing} bytes are missing")


def _length_of_data(file: BinaryIO) -> int:
    """Return the told length of the chunk ``data``, bytes, and go to its begin; 0 without one."""
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            return int(length)
        file.seek(length + length % 2, 1)
    return 0


def _unreadable(path: Path, why: str) -> RawFileInvalid:
    return RawFileInvalid(
        path.name, f"no sound that can be compressed: {why}", "copy it from the rig again"
    )
