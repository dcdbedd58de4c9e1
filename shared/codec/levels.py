"""The settings a user chooses from: how hard to look for a good prediction."""

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


LEVELS = {
    "fast": Level((PLAIN, DIFFERENCE, LEAK), (PLAIN, DIFFERENCE, LEAK, *NARROW), 0, False),
    "default": Level(
        (PLAIN, DIFFERENCE, LEAK, *NARROW), (PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE), 5, True
    ),
    "high": Level(
        (PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        (PLAIN, DIFFERENCE, LEAK, *NARROW, *WIDE),
        8,
        True,
    ),
}
DEFAULT_LEVEL = "default"
