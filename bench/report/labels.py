"""Where labels stand, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Points between a disc and its label, and what is tried where the label would cover something.
_GAP = 3.0
_DISTANCES = (_GAP, 10.0, 18.0, 28.0, 40.0, 54.0, 70.0, 88.0)
_DIRECTIONS = 16
_DOT = 2.0  # points, the width that a line is given
# Costs, in square points that are covered: a line through a label, a point of distance.
_CROSSING = 24.0
_FAR = 0.2


def apart(wanted: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Move positions along a line so that they are `gap` apart, as little as that takes.

    Least squares under the order the positions have: pool adjacent violators (Barlow and others,
    Statistical Inference under Order Restrictions, 1972). Bounds that are too close for all
    positions are kept at the lower end only.

    Returns:
        The new positions, in the order given.
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    pools: list[list[float]] = []  # the sum and the number of what stands together
    for rank, place in enumerate(order):
        pools.append([wanted[place] - rank * gap, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    most = max(lowest, highest - gap * (len(wanted) - 1))
    level = [
        min(max(total / count, lowest), most) for total, count in pools for _ in range(int(count))
    ]
    found = [0.0] * len(wanted)
    for rank, place in enumerate(order):
        found[place] = level[rank] + rank * gap
    return found


class Box(NamedTuple):
    """A rectangle, by its edges."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True)
class Marked:
    """A disc with a label: its centre, its radius, and the label's width and height."""

    x: float
    y: float
    radius: float
    width: float
    height: float


def beside(marks: Sequence[Marked], inside: Box, others: Sequence[Marked] = ()) -> list[Box]:
    """Place a label near each disc, where it covers the least of the discs and the other labels.

    `others` are discs without a label, which should not be covered either.

    Close is better than far; a label that is far from its disc needs a line to it, which should
    cross nothing. Labels are placed one by one, in the best of several orders.
    """
    places = range(len(marks))
    orders = [
        list(places),
        sorted(places, key=lambda place: marks[place].x),
        sorted(places, key=lambda place: -marks[place].x),
        sorted(places, key=lambda place: marks[place].y),
    ]
    discs = [_disc(mark) for mark in (*marks, *others)]
    tried = [_in_order(marks, order, inside, discs) for order in orders]
    return min(tried, key=lambda one: one[0])[1]


def line_end(mark: Marked, box: Box) -> tuple[float, float] | None:
    """Return where a line from the disc meets its label, None for a label that needs no line."""
    x = min(max(mark.x, box.left), box.right)
    y = min(max(mark.y, box.bottom), box.top)
    return (x, y) if math.hypot(x - mark.x, y - mark.y) > mark.radius + 2 * _GAP else None


def _in_order(
    marks: Sequence[Marked], order: Sequence[int], inside: Box, discs: Sequence[Box]
) -> tuple[float, list[Box]]:
    # -> the cost of all labels, and the labels in the order of the discs.
    taken, drawn = [*discs], [inside._replace(right=inside.left)]  # lines; at first an empty one
    total, placed = 0.0, dict.fromkeys(order, inside)
    for place in order:
        mark = marks[place]
        distances, boxes = _places(mark)
        lines = [_line(mark, box) for box in boxes]
        outside = mark.width * mark.height - _shared(boxes, [inside])
        crossed = np.array([_shared(line, taken).sum() if line else 0.0 for line in lines])
        crossed += _shared(boxes, drawn)
        costs = _shared(boxes, taken) + outside + _CROSSING * crossed + _FAR * distances
        # Rounded, so that the first of equals is taken: the one to the right.
        best = int(costs.round(3).argmin())
        total += float(costs[best])
        placed[place] = boxes[best]
        taken += [boxes[best], *lines[best]]
        drawn += lines[best]
    return total, [placed[place] for place in range(len(marks))]


def _disc(one: Marked) -> Box:
    return Box(one.x - one.radius, one.y - one.radius, one.x + one.radius, one.y + one.radius)


def _places(mark: Marked) -> tuple[NDArray[np.float64], list[Box]]:
    # -> how far from the disc the label's edge is, and the label.
    distances, boxes = [], []
    for distance in _DISTANCES:
        for direction in range(_DIRECTIONS):
            angle = 2 * math.pi * direction / _DIRECTIONS
            reach = mark.radius + distance
            left = mark.x + math.cos(angle) * (reach + mark.width / 2) - mark.width / 2
            bottom = mark.y + math.sin(angle) * (reach + mark.height / 2) - mark.height / 2
            distances.append(distance)
            boxes.append(Box(left, bottom, left + mark.width, bottom + mark.height))
    return np.array(distances), boxes


def _line(mark: Marked, box: Box) -> list[Box]:
    # The line to a label, as a chain of small squares beyond the disc.
    end = line_end(mark, box)
    if end is None:
        return []
    across, up = end[0] - mark.x, end[1] - mark.y
    length, half = math.hypot(across, up), _DOT / 2
    dots = []
    for step in range(round(mark.radius / _DOT) + 1, int(length / _DOT)):
        x, y = mark.x + across * step * _DOT / length, mark.y + up * step * _DOT / length
        dots.append(Box(x - half, y - half, x + half, y + half))
    return dots


def _shared(boxes: Sequence[Box], others: Sequence[Box]) -> NDArray[np.float64]:
    # -> the area that each box shares with all of the others together.
    left, bottom, right, top = np.array(boxes).T[:, :, None]
    other_left, other_bottom, other_right, other_top = np.array(others).T[:, None, :]
    wide = np.minimum(right, other_right) - np.maximum(left, other_left)
    high = np.minimum(top, other_top) - np.maximum(bottom, other_bottom)
    areas: NDArray[np.float64] = np.maximum(wide, 0) * np.maximum(high, 0)
    return areas.sum(axis=1)
