"""Names of NWB files, as DANDI and IBL-to-nwb write them.

`dandi organize` drops the session and the description from names, so they are written here.
"""

from __future__ import annotations

import re

RAW, PROCESSED = "raw", "processed"


def entity(text: str) -> str:
    """Return a text as a value within a name: letters, digits and hyphens.

    >>> entity("SWC_054")
    'SWC-054'
    """
    return re.sub(r"[^0-9A-Za-z]+", "-", text).strip("-")


def stem(subject: str, session: str, kind: str, modalities: list[str]) -> str:
    """Return the path of a file without its ending: ``sub-X/sub-X_ses-Y_desc-K_M+M``.

    >>> stem("SWC_054", "b1", "processed", ["behavior"])
    'sub-SWC-054/sub-SWC-054_ses-b1_desc-processed_behavior'
    """
    who = f"sub-{entity(subject)}"
    return f"{who}/{who}_ses-{session}_desc-{kind}_{'+'.join(modalities)}"
