"""What is known of a device's rates before anything is measured on it.

Efficiencies, the share of a data sheet's ceiling that each kind of work reaches, are much alike
from device to device. `profiles/latency/rates.json` holds their mean and covariance, learned from
published speed tables; its README says how. A device without a data sheet starts from the mean of
those that were learned from, its overall speed unknown.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from ..records import WORK_KINDS, Record
from ._published import profiles_folder
from ._roofline import BANDWIDTH, NARROW, PARAMETERS, PRODUCTS

if TYPE_CHECKING:
    from ._roofline import Array

DeviceType = Literal["gpu", "cpu"]

# standard deviations of a factor shared by all rates of compute, or of memory, in logarithms:
# of devices with a data sheet, and of those without
KNOWN_SHIFT = 0.25
UNKNOWN_SHIFT = 1.2
# float32 runs on tensor cores in part, by settings that a data sheet does not know
FLOAT32_SHIFT = 0.6
# two devices of one kind differ by this much in each rate
ANOTHER_DEVICE = 0.12

PARAMETER_NAMES = (
    *(f"{kind}_macs_per_s" for kind in WORK_KINDS[:PRODUCTS]),
    *(f"{kind}_bytes_per_s" for kind in WORK_KINDS),
    "weights_bytes_per_s",
    "narrow_features",
    "shallow_features",
    "start_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePrior:
    """A normal distribution of log rates.

    Attributes:
        mean: [parameters].
        covariance: [parameters, parameters].
    """

    mean: "Array"
    covariance: "Array"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What a device can do at most.

    Attributes:
        macs_per_s: Multiply-adds per second in the type of numbers that is used.
        bytes_per_s: Bytes per second from and to memory.
    """

    macs_per_s: float
    bytes_per_s: float

    @property
    def logarithms(self) -> "Array":
        """The ceiling of each parameter as a logarithm, 0 where there is none, [parameters]."""
        ceilings = np.zeros(PARAMETERS)
        ceilings[:PRODUCTS] = math.log(self.macs_per_s)
        ceilings[BANDWIDTH:NARROW] = math.log(self.bytes_per_s)
        return ceilings


class LearnedRates(Record, frozen=True, kw_only=True):
    """Efficiencies as learned from devices of one type.

    Attributes:
        devices: Those it was learned from.
        macs_per_s: Geometric mean of their ceilings of compute.
        bytes_per_s: Geometric mean of their ceilings of memory.
        log_efficiency: Mean of log rate over log ceiling, in the order of `PARAMETER_NAMES`.
        covariance: Of these on another device, its overall speed aside.
    """

    devices: tuple[str, ...]
    macs_per_s: float
    bytes_per_s: float
    log_efficiency: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


def ceilings_of(device: str, dtype: str) -> Ceilings | None:
    """Look a device up among the data sheets.

    Args:
        device: Its name, as torch gives it.
        dtype: ``float32``, ``float16`` or ``bfloat16``.

    Returns:
        Its ceilings; None when it is not there or has no such type.
    """
    row = _sheets().get(device.lower())
    column = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}.get(dtype, dtype)
    rate = row.get(f"{column}_tflops") if row else None
    if row is None or not rate:
        return None
    return Ceilings(
        macs_per_s=float(rate) * 1e12 / 2, bytes_per_s=float(row["bandwidth_gb_s"]) * 1e9
    )


def rate_prior(device_type: DeviceType, device: str = "", dtype: str = "float32") -> RatePrior:
    """Return what is known of a device's rates before anything is measured.

    Args:
        device_type: Whether it is an accelerator.
        device: Its name, as torch gives it.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
    """
    learned = learned_rates()[device_type]
    shift = FLOAT32_SHIFT if dtype == "float32" else KNOWN_SHIFT
    return prior_from(learned, ceilings_of(device, dtype), compute_shift=shift)


def prior_from(
    learned: LearnedRates, ceilings: Ceilings | None, *, compute_shift: float = KNOWN_SHIFT
) -> RatePrior:
    """Scale learned efficiencies to a device; to an unknown one if it has no ceilings."""
    known = ceilings is not None
    reach = ceilings or Ceilings(macs_per_s=learned.macs_per_s, bytes_per_s=learned.bytes_per_s)
    covariance = np.array(learned.covariance)
    covariance = covariance + shared_shifts(
        compute_shift if known else UNKNOWN_SHIFT, KNOWN_SHIFT if known else UNKNOWN_SHIFT
    )
    return RatePrior(
        mean=np.array(learned.log_efficiency) + reach.logarithms, covariance=covariance
    )


def shared_shifts(compute: float, memory: float) -> "Array":
    """Covariance of a factor common to all rates of compute, and one of memory."""
    flops, moved = np.zeros(PARAMETERS), np.zeros(PARAMETERS)
    flops[:PRODUCTS], moved[BANDWIDTH:NARROW] = compute, memory
    return np.asarray(np.outer(flops, flops) + np.outer(moved, moved))


@cache
def learned_rates() -> dict[str, LearnedRates]:
    """Read the learned efficiencies, by type of device."""
    path = profiles_folder() / "latency" / "rates.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, LearnedRates])


@cache
def _sheets() -> dict[str, dict[str, str]]:
    path = profiles_folder() / "devices" / "datasheets.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"].lower(): row for row in csv.DictReader(file)}
