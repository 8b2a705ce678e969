"""When a SOAP message over UDP is sent again: a datagram may be lost, so each goes out several times.

The copies are the same bytes (MessageID and MessageNumber stay). Sources: SOAP-over-UDP (September 2004) appendix A;
DPWS 2006/02 appendix I, which gives other numbers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["DPWS_2006", "SOAP_OVER_UDP_2004", "Repeats"]


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often and when; counts are of all transmissions, the first one included, times are seconds.

    Attributes:
        unicast, multicast: UNICAST_UDP_REPEAT and MULTICAST_UDP_REPEAT.
        min_delay, max_delay: UDP_MIN_DELAY and UDP_MAX_DELAY: the first wait is drawn from between them.
        upper_delay: UDP_UPPER_DELAY: a wait is twice the one before, but no longer than this.
    """

    unicast: int
    multicast: int
    min_delay: float
    max_delay: float
    upper_delay: float

    def offsets(self, count: int, rng: random.Random) -> list[float]:
        """Seconds from the first transmission to each of ``count`` transmissions; the first is 0."""
        found, at = [], 0.0
        wait = rng.uniform(self.min_delay, self.max_delay)
        for _ in range(count):
            found.append(at)
            at += wait
            wait = min(wait * 2, self.upper_delay)
        return found


SOAP_OVER_UDP_2004 = Repeats(2, 4, 0.05, 0.25, 0.5)
DPWS_2006 = Repeats(2, 2, 0.05, 0.25, 0.45)
"""What devices and clients of WSD use."""
