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
    "fast": Level(
        many=(PLAIN, DIFFERENCE, LEAK),
        few=(PLAIN, DIFFERENCE, LEAK, *NARROW),
        terms=0,
        gain=0.0,
        lags=False,
    ),
    "default": Level(
        many=(PLAIN, DIFFERENCE, LEAK, *NARROW),
        few=(PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        terms=5,
        gain=0.01,
        lags=True,
        slow=LONG,
    ),
    "high": Level(
        many=(PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        few=(PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        terms=12,
        gain=0.001,
        lags=True,
        slow=LONG,
    ),
}
DEFAULT_LEVEL = "default"


def level_of(name: str, sample_rate: float) -> Level:
    """Return the level of a name, as it suits recordings of a sample rate in Hz."""
    level = LEVELS[name]
    return replace(level, few=level.few + level.slow) if sample_rate <= SLOW else level
