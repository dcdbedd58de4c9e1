"""The stages of a mouse in training, and their ranks."""

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
"""Rank of each status; a failed stage has the rank of the stage in which the mouse is stuck."""

GIVE_UP_AFTER = 40
"""Sessions after which a mouse is untrainable, or unbiasable without ready4ephysrig."""

DELAY_SECONDS = 900.0
"""Shortest delay of a start that counts as delayed (s)."""

N_SESSIONS = 3
