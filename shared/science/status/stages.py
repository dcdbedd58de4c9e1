"""The stages a mouse passes in training, and which rank above which."""

from __future__ import annotations

from typing import Literal

Variant = Literal["brainbox", "datajoint", "paper"]

UNTRAINABLE = "untrainable"
UNBIASABLE = "unbiasable"
IN_TRAINING = "in training"
TRAINED = "trained"
TRAINED_1A = "trained 1a"
TRAINED_1B = "trained 1b"
READY4EPHYSRIG = "ready4ephysrig"
READY4DELAY = "ready4delay"
READY4RECORDING = "ready4recording"

RANK = {
    UNTRAINABLE: 0,
    IN_TRAINING: 0,
    TRAINED: 1,
    TRAINED_1A: 1,
    TRAINED_1B: 2,
    UNBIASABLE: 2,
    READY4EPHYSRIG: 3,
    READY4DELAY: 4,
    READY4RECORDING: 5,
}
"""How far each status is; failing to go on ranks with the stage it is stuck in."""

GIVE_UP_AFTER = 40
"""Sessions still in training (untrainable), or biased without ready4ephysrig (unbiasable)."""

DELAY_SECONDS = 900.0
"""A start delayed by at least this counts as delayed."""

N_SESSIONS = 3
