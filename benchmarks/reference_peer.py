"""The reference's side of `benchmarks/reference.py`: run by a Python that has ibllib, not Fornix.

python reference_peer.py extract SESSION       writes SESSION/alf
python reference_peer.py judge WINDOWS.json    writes WINDOWS.status.json
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def extract(session: Path) -> None:
    """Extract trials and wheel as ibllib does, and print the seconds that it took."""
    from ibllib.io.extractors.bpod_trials import get_bpod_extractor

    began = time.perf_counter()
    get_bpod_extractor(session).extract(save=True, path_out=session / "alf")
    print(time.perf_counter() - began)


def judge(windows: Path) -> None:
    """Judge the training status of each window of days, and print the seconds that it took."""
    from brainbox.behavior import training
    from one.alf.io import AlfBunch

    np.random.seed(0)
    began, found = time.perf_counter(), []
    for window in json.loads(windows.read_text()):
        days = {
            date: AlfBunch({name: np.array(column, float) for name, column in trials.items()})
            for date, trials in zip(window["dates"], window["trials"], strict=True)
        }
        status, info, _ = training.get_training_status(days, window["protocols"], [], 0)
        found.append({"status": status, "info": dict(info)})
    print(time.perf_counter() - began)
    windows.with_suffix(".status.json").write_text(json.dumps(found, default=_plain))


def _plain(value: Any) -> Any:
    return value.tolist()


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    {"extract": extract, "judge": judge}[sys.argv[1]](Path(sys.argv[2]))
