"""The tasks of electrophysiology."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)


def compress(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Compress the raw files of a folder losslessly, for analyses and for looking at.

    Each is decoded again and compared before it counts. Chunks are short, and the loudness of
    every second is kept beside them, as a page needs both to show any moment at once.

    Raises
    ------
    CodecError
        A file is not as its ``.meta`` says.
    """
    from shared import codec
    from shared.codec.overview import overview_path

    folder = session / arguments["collection"]
    target = out / arguments["collection"]
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for raw in sorted(folder.glob("*.bin")):
        packed = target / raw.with_suffix(".ebin").name
        codec.compress(raw, packed, published=True, overwrite=True)
        made = packed.stat().st_size
        log.info("%s: %d bytes, %.2f to 1", packed.name, made, raw.stat().st_size / made)
        written += [packed, packed.with_suffix(".eh"), overview_path(packed)]
    return [path for path in written if path.exists()]
