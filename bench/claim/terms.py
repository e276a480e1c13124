"""What is claimed, and the words for what a ratio says of it."""

CLAIMED = 2.0
# "Twice" is 1.9 or more.
MARGIN = 0.05
TWICE, FASTER, UNCLEAR = "twice as fast", "faster, not twice", "unclear"
SAME, SLOWER, NOTHING = "no difference", "slower", "not measured"
# The two models, as engines of a comparison.
DISTIL, BASE = "distilroberta", "roberta-base"
