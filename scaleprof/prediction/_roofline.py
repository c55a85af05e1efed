r"""A roofline for every kind of work: how long a forward pass takes on a device of given rates.

One call of an operator does its multiply-adds at its kind's rate P and moves its bytes at its
kind's rate W; the two overlap in part, and starting it takes o (Williams, Waterman and Patterson,
2009, https://doi.org/10.1145/1498765.1498785, has the two ceilings):

.. math::
    t = \sum_i n_i \left[\left(
        \frac{M_i (1 + n_0/N_i)(1 + k_0/K_i)}{P}\right)^2
        + \left(\frac{B_i}{W}\right)^2\right]^{1/2} + n_i\,o

M are multiply-adds, B bytes, and N × K the matrix of weights of one group: narrow ones leave part
of a device idle. All parameters are positive and kept as logarithms. Single rates are not physical:
what one kind does not explain, another takes up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..records import WORK_KINDS, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

KINDS = len(WORK_KINDS)
PRODUCTS = WORK_KINDS.index("elementwise")
"""Kinds of work below this number do multiply-adds."""
# positions in the vector of parameters: P by product, W by kind, W of weights, n0, k0, o
BANDWIDTH = PRODUCTS
WEIGHTS = BANDWIDTH + KINDS
NARROW, SHALLOW, OVERHEAD = WEIGHTS + 1, WEIGHTS + 2, WEIGHTS + 3
PARAMETERS = OVERHEAD + 1
# a call of no size takes no time but its start
_TINY = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The work of several models, flat.

    Attributes:
        owner: Which model a row belongs to, [rows].
        kind: Number of its kind, [rows].
        calls: Times it is done, [rows].
        macs: Multiply-adds of a call, [rows].
        moved: Bytes of activations of a call, [rows].
        weights: Bytes of weights of a call, [rows].
        width: Output features N, [rows].
        depth: Length K of a dot product, [rows].
        models: How many models there are.
    """

    owner: "NDArray[np.intp]"
    kind: "NDArray[np.intp]"
    calls: "Array"
    macs: "Array"
    moved: "Array"
    weights: "Array"
    width: "Array"
    depth: "Array"
    models: int


def rows_of(works: Sequence[Sequence[Work]]) -> Rows:
    """Put the work of several models into arrays."""
    number = {kind: place for place, kind in enumerate(WORK_KINDS)}
    flat = [(owner, row) for owner, work in enumerate(works) for row in work]
    sizes = np.array(
        [
            (row.calls, row.macs, row.moved_bytes, row.weight_bytes, row.width, row.depth)
            for _, row in flat
        ],
        dtype=float,
    ).reshape(-1, 6)
    calls, macs, moved, weights, width, depth = sizes.T
    return Rows(
        owner=np.array([owner for owner, _ in flat], dtype=np.intp),
        kind=np.array([number[row.kind] for _, row in flat], dtype=np.intp),
        calls=calls,
        macs=macs,
        moved=moved,
        weights=weights,
        width=np.maximum(width, 1.0),
        depth=np.maximum(depth, 1.0),
        models=len(works),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What a device of given rates would take.

    Attributes:
        log_seconds: ln t of each model, [models].
        slopes: Derivatives of ln t by the parameters, [models, parameters].
        by_kind: Share of each kind in t, its starts left out, [models, kinds].
        starting: Share of starting operators in t, [models].
    """

    log_seconds: "Array"
    slopes: "Array"
    by_kind: "Array"
    starting: "Array"


def times(theta: "Array", rows: Rows) -> Times:
    """Evaluate the roofline and its derivatives.

    Args:
        theta: Logarithms of the parameters in MACs per second, bytes per second, features and
            seconds, [parameters].
        rows: The work.
    """
    product = rows.kind < PRODUCTS
    rate = np.exp(-theta[np.where(product, rows.kind, 0)])
    narrow = np.exp(theta[NARROW]) / rows.width
    shallow = np.exp(theta[SHALLOW]) / rows.depth
    compute = np.where(product, rows.macs * (1 + narrow) * (1 + shallow) * rate, 0.0)
    moving = rows.moved * np.exp(-theta[BANDWIDTH + rows.kind])
    reading = rows.weights * np.exp(-theta[WEIGHTS])
    memory = moving + reading
    busy = np.sqrt(compute**2 + memory**2) + _TINY
    by_compute = rows.calls * compute**2 / busy
    by_memory = rows.calls * memory / busy

    def total(amount: "Array") -> "Array":
        return np.asarray(np.bincount(rows.owner, amount, rows.models), dtype=float)

    def per_kind(amount: "Array") -> "Array":
        place = rows.owner * KINDS + rows.kind
        counts = np.bincount(place, amount, rows.models * KINDS)
        return np.asarray(counts.reshape(-1, KINDS), dtype=float)

    kinds = per_kind(rows.calls * busy)
    starting = total(rows.calls) * np.exp(theta[OVERHEAD])
    seconds = kinds.sum(axis=1) + starting + _TINY
    slopes = np.empty((rows.models, PARAMETERS))
    slopes[:, :PRODUCTS] = -per_kind(by_compute)[:, :PRODUCTS]
    slopes[:, BANDWIDTH:WEIGHTS] = -per_kind(by_memory * moving)
    slopes[:, WEIGHTS] = -total(by_memory * reading)
    slopes[:, NARROW] = total(by_compute * narrow / (1 + narrow))
    slopes[:, SHALLOW] = total(by_compute * shallow / (1 + shallow))
    slopes[:, OVERHEAD] = starting
    share = seconds[:, None]
    return Times(
        log_seconds=np.log(seconds),
        slopes=slopes / share,
        by_kind=kinds / share,
        starting=starting / seconds,
    )
