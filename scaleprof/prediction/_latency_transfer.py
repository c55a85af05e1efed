"""Take a law from one device to another, and choose what to measure there first."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ._latency_law import Residual, RooflineLaw, Workload, prior_covariance
from ._rates import ANOTHER_DEVICE, KNOWN_SHIFT, Ceilings, RatePrior, shared_shifts
from ._roofline import PARAMETERS

if TYPE_CHECKING:
    from ._roofline import Array

# what two devices leave over of the roofline is mostly the same: how far models depart from it
# on another device, once their departure on the first is taken along
CARRIED = Residual(
    family=0.03,
    member=0.03,
    member_reach=1.0,
    likeness=0.03,
    likeness_reach=0.3,
    size_reach=3.0,
    noise=0.03,
)


def transferred_prior(
    law: RooflineLaw, here: Ceilings | None = None, there: Ceilings | None = None
) -> RatePrior:
    """Expect of another device the rates of one that was profiled, times the ratio of ceilings.

    Args:
        law: Fitted on the profiled device.
        here: Its ceilings.
        there: Those of the other device; without both, it is expected to be as fast, within a
            factor of three or so.
    """
    moved = np.zeros(PARAMETERS)
    shift = 1.0
    if here is not None and there is not None:
        moved, shift = there.logarithms - here.logarithms, KNOWN_SHIFT
    covariance = law.covariance + ANOTHER_DEVICE**2 * np.eye(PARAMETERS)
    return RatePrior(mean=law.theta + moved, covariance=covariance + shared_shifts(shift, shift))


def carried(law: RooflineLaw, workloads: Sequence[Workload]) -> list[Workload]:
    """Return the workloads with their departures from the roofline of a profiled device."""
    return [
        replace(workload, offset=float(offset))
        for workload, offset in zip(workloads, law.departures(workloads), strict=True)
    ]


def choose_anchors(
    prior: RatePrior,
    residual: Residual,
    pool: Sequence[Workload],
    targets: Sequence[Workload],
    count: int,
) -> list[int]:
    """Choose what to measure so that the rest is known best (I-optimal, one after the other).

    Args:
        prior: What is known of the device's rates.
        residual: How far models depart from the roofline.
        pool: What can be measured.
        targets: What is to be predicted.
        count: How many to choose.

    Returns:
        Places in the pool, the most useful first.
    """
    covariance = prior_covariance(prior, residual, [*pool, *targets])
    size, chosen = len(pool), list[int]()
    for _ in range(min(count, size)):
        seen = np.diag(covariance)[:size] + residual.noise**2
        gain: Array = (covariance[:size, size:] ** 2).sum(axis=1) / seen
        gain[chosen] = -1.0
        best = int(np.argmax(gain))
        chosen.append(best)
        covariance = covariance - np.outer(covariance[best], covariance[best]) / seen[best]
    return chosen
