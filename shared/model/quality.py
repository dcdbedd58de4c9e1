"""Quality of a session or dataset: the names and numbers of Alyx."""

from __future__ import annotations

QC = {"NOT_SET": 0, "PASS": 10, "WARNING": 30, "FAIL": 40, "CRITICAL": 50}
"""Quality of a session or dataset (Alyx REST contract)."""


QC_NAMES = {value: name for name, value in QC.items()}
