"""The levels that users choose from: the effort of the search for a good prediction."""

from dataclasses import dataclass
from typing import NamedTuple


class Candidate(NamedTuple):
    """A kind of time model to try, and the bits per sample that it must gain."""

    order: int
    width: int
    wide: bool
    toll: float


@dataclass(frozen=True)
class Level:
    """One compression level."""

    #: Time models for recordings of many, and of few (less than 32), channels. The most promising
    #: one of each tuple is tried; the one that works best with neighbours is used.
    many: tuple[tuple[Candidate, ...], ...]
    few: tuple[tuple[Candidate, ...], ...]
    terms: int  # most neighbours a channel is predicted from
    gain: float  # bits per sample that a further neighbour must save to be worth its arithmetic


#: No prediction, the difference from the sample before, and a share of that sample.
SIMPLE = (
    Candidate(order=0, width=0, wide=False, toll=0.0),
    Candidate(order=1, width=0, wide=False, toll=0.0),
    Candidate(order=0, width=1, wide=False, toll=-0.005),
)
#: Bits per sample that taps must gain, because decoding with them takes longer.
NARROW = tuple(Candidate(1, width, False, 0.01 + 0.004 * width) for width in (1, 2, 4))
WIDE = tuple(
    Candidate(order, width, True, 0.012 + 0.004 * width)
    for order in (0, 1)
    for width in (4, 8, 16)
)

LEVELS = {
    "fast": Level((SIMPLE,), (SIMPLE + NARROW,), terms=0, gain=0.0),
    "default": Level((SIMPLE + NARROW,), (SIMPLE + NARROW + WIDE,), terms=5, gain=0.007),
    "high": Level((SIMPLE + NARROW, WIDE), (SIMPLE + NARROW + WIDE,), terms=12, gain=0.001),
}
DEFAULT_LEVEL = "default"
