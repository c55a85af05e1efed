"""Which budgets a device can be held to; said before any time is spent on measuring."""

import math
from collections.abc import Sequence

from ..devices import DeviceState
from ..devices.rapl import UNREADABLE, package_energies_j
from ..errors import BudgetError
from ..records import Variant
from ..selection import Budget, quantity
from ..timing import MIN_SAMPLES

# processes that share the samples of a percentile
_PROCESSES = 2
_UNTRACKED = "torch does not track allocations on a CPU"
_INSTEAD_OF_ALLOCATED = (
    "bound memory (the static plan: weights, inputs, live activations) or memory.process instead"
)


def check_measurable(budgets: Sequence[Budget], state: DeviceState) -> None:
    """Refuse budgets of what cannot be measured on a device.

    Raises:
        BudgetError: With why not, and what to bound instead.
    """
    for budget in budgets:
        why = _why_not(budget.metric, state.device.type)
        if why is not None:
            raise _error(budget, state.device.name, *why)


def check_known(budgets: Sequence[Budget], base: Variant, *, batch: int) -> None:
    """Refuse budgets of what measuring the base did not tell; percentiles may be known later.

    Raises:
        BudgetError: With why it is unknown.
    """
    measured = base.measurement
    for budget in budgets:
        if budget.metric.startswith("latency") or measured is None:
            continue
        if quantity(base, budget.metric, batch=batch) is None:
            field = {"energy": "energy_j"}.get(budget.metric, budget.metric)
            why = measured.reasons.get(field, "it was not read")
            raise BudgetError(
                f"budget `{budget.text}`: {budget.metric} cannot be known here: {why}",
                hint="bound latency, memory, macs or params instead",
            )


def samples_wanted(budgets: Sequence[Budget]) -> int:
    """Return how many samples each of two processes must take for the percentiles in budgets."""
    bounded = {budget.metric for budget in budgets}
    needed = [n for rank, n in MIN_SAMPLES.items() if f"latency.p{rank}" in bounded]
    return math.ceil(max(needed, default=0) / _PROCESSES)


def _error(budget: Budget, device: str, why: str, instead: str) -> BudgetError:
    return BudgetError(
        f"budget `{budget.text}`: {budget.metric} cannot be known on {device}: {why}", hint=instead
    )


def _why_not(metric: str, device_type: str) -> tuple[str, str] | None:
    on_cpu = device_type == "cpu"
    if metric in ("memory.allocated", "memory.reserved") and on_cpu:
        return _UNTRACKED, _INSTEAD_OF_ALLOCATED
    if metric == "memory.process" and not on_cpu:
        return "the device has memory of its own", "bound memory.allocated instead"
    if metric != "energy":
        return None
    instead = "bound latency or macs instead"
    if on_cpu:
        return (UNREADABLE, instead) if package_energies_j() is None else None
    if device_type != "cuda":
        return f"no energy counter of a {device_type} device is known", instead
    return None
