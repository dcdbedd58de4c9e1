"""The settings a user chooses from: how hard to look for a good prediction."""

from dataclasses import replace

from shared.codec.fit import Level
from shared.codec.fit_time import Candidate

PLAIN = Candidate(order=0, width=0, wide=False, toll=0.0)
DIFFERENCE = Candidate(order=1, width=0, wide=False, toll=0.0)
LEAK = Candidate(order=0, width=1, wide=False, toll=-0.005)
#: Decoding with taps takes longer, so they must gain something: in bits per sample.
NARROW = tuple(Candidate(1, width, False, 0.01 + 0.004 * width) for width in (1, 2, 4))
WIDE = tuple(
    Candidate(order, width, True, 0.01 + 0.004 * width) for order in (0, 1) for width in (4, 8, 16)
)
#: Of few channels sampled this slowly (in Hz) a second is decoded in no time, whatever the taps,
#: and at such a rate the hum of the mains is within their reach.
SLOW = 5_000.0
LONG = tuple(Candidate(order, 32, True, 0.138) for order in (0, 1))


LEVELS = {
    "fast": Level((PLAIN, DIFFERENCE, LEAK), (PLAIN, DIFFERENCE, LEAK, *NARROW), 0, 0.0, False),
    "default": Level(
        (PLAIN, DIFFERENCE, LEAK, *NARROW),
        (PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        5,
        0.01,
        True,
    ),
    "high": Level(
        (PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        (PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        12,
        0.001,
        True,
    ),
}
DEFAULT_LEVEL = "default"


def level_of(name: str, sample_rate: float) -> Level:
    """Return the level of a name, as it suits recordings of a sample rate in Hz."""
    level = LEVELS[name]
    slow = sample_rate <= SLOW and name != "fast"
    return replace(level, few=(*level.few, *LONG)) if slow else level
