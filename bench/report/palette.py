"""The colours of the page and its figures, on light and on dark ground.

Series colours follow Okabe and Ito (https://jfly.uni-koeln.de/color/), darkened for a white
ground, so that the colour-blind can tell them apart; markers differ too. Orange and blue stand for
below and above the claimed ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.colors import to_hex, to_rgb

from distilroberta.bench.claim.terms import CLAIMED

# The ratio over or under the claimed one from where on the colour stays the same: 1.33 and 3.
_FULL = math.log(1.5)
_POWER = 0.7


@dataclass(frozen=True)
class Palette:
    """Colours in hexadecimal.

    `ours` is this project's own series, `neutral` all others together, `others`
    one by one, in order. `below`, `claimed`
    and `above` are the ends and the middle of the ratios' colours; `ink` can be read on all of
    them.
    """

    ground: str
    surface: str
    ink: str
    muted: str
    rule: str
    ours: str
    neutral: str
    caution: str
    caution_ground: str
    below: str
    claimed: str
    above: str
    others: tuple[str, ...]

    def of_ratio(self, ratio: float) -> str:
        """Return the colour of a ratio: how far from the claimed one, on a logarithmic scale."""
        distance = math.log(ratio / CLAIMED)
        # Raised to a power below 1, so that 1.9 and 2.1 differ to the eye.
        share = min(1.0, abs(distance) / _FULL) ** _POWER
        end = to_rgb(self.above if distance > 0 else self.below)
        red, green, blue = (
            middle + (far - middle) * share
            for middle, far in zip(to_rgb(self.claimed), end, strict=True)
        )
        return to_hex((red, green, blue))


LIGHT = Palette(
    ground="#ffffff",
    surface="#f5f6f7",
    ink="#17191c",
    muted="#565c64",
    rule="#d8dbdf",
    ours="#005fa8",
    neutral="#7b828a",
    caution="#a35200",
    caution_ground="#fff5e6",
    below="#f2a65e",
    claimed="#f3f2ee",
    above="#86bbe8",
    others=("#c24a00", "#007f5c", "#a8508a", "#7a6500", "#6a4fb3", "#5b6067", "#a3302f"),
)
DARK = Palette(
    ground="#14161a",
    surface="#1d2025",
    ink="#f0f1f3",
    muted="#a9b0b9",
    rule="#383d45",
    ours="#63b3f3",
    neutral="#7f868f",
    caution="#f0a848",
    caution_ground="#2e2413",
    below="#9a520f",
    claimed="#2c2f35",
    above="#1f66a8",
    others=("#f08a4b", "#35c29a", "#e29ac6", "#d6bf4a", "#b29df0", "#a2a8b0", "#ec7f7c"),
)
