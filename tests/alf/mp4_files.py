"""MP4 files written by hand: boxes and tables as ISO/IEC 14496-12 has them, any frames."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *numbers: int, more: bytes = b"") -> bytes:
    """Return a box with version 0, no flags, and numbers of 32 bits."""
    return box(kind, bytes(4), struct.pack(f">{len(numbers)}I", *numbers), more)


def mp4(
    frames: Sequence[bytes],
    *,
    keyframes: Sequence[int],
    per_chunk: int = 1,
    duration: int = 1,
    timescale: int = 60,
    sound: bytes = b"",
    moov_first: bool = False,
    width: int = 160,
    height: int = 120,
) -> bytes:
    """Return a video; ``sound`` lies before each chunk of frames, as in files with two tracks."""
    chunks = [frames[i : i + per_chunk] for i in range(0, len(frames), per_chunk)]
    head = box(b"ftyp", b"isom", bytes(4), b"isomavc1")

    def moov(begin: int) -> bytes:
        places, at = [], begin
        for chunk in chunks:
            at += len(sound)
            places.append(at)
            at += sum(map(len, chunk))
        last = len(chunks[-1]) if chunks else 0
        stsc = [(1, per_chunk)]
        if chunks and last != per_chunk:
            stsc = [*(stsc if len(chunks) > 1 else []), (len(chunks), last)]
        entry = bytes(6) + struct.pack(">H", 1) + bytes(16)
        entry += struct.pack(">HH", width, height) + bytes(50)
        stbl = box(
            b"stbl",
            full(b"stsd", 1, more=box(b"avc1", entry, box(b"avcC", b"\x01set-up"))),
            full(b"stts", 1, len(frames), duration),
            full(b"stss", len(keyframes), *(key + 1 for key in keyframes)),
            full(b"stsz", 0, len(frames), *map(len, frames)),
            full(b"stsc", len(stsc), *(n for first, count in stsc for n in (first, count, 1))),
            full(b"stco", len(places), *places),
        )
        mdhd = full(b"mdhd", 0, 0, timescale, duration * len(frames), 0)
        hdlr = full(b"hdlr", 0, more=b"vide" + bytes(12) + b"\0")
        return box(b"moov", box(b"trak", box(b"mdia", mdhd, hdlr, box(b"minf", stbl))))

    mdat = box(b"mdat", *(sound + b"".join(chunk) for chunk in chunks))
    if moov_first:
        return head + moov(len(head) + len(moov(0)) + 8) + mdat
    return head + mdat + moov(len(head) + 8)
