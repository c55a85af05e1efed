"""Trained models and the variants that nobody trained, as points of the accuracy law."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from ..records import StageFactors


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyQuery:
    """A variant that nobody trained. Factors are the achieved ones, relative to the base.

    Attributes:
        gmacs: Multiply-adds of one forward pass of one image, in units of 1e9.
        width: Factor of the channel counts.
        depth: Factor of the number of blocks.
        resolution: Factor of the input's side.
        patch_size: Factor of the patch's side.
        kernel_size: Factor of the kernel's side.
        stages: How each stage was scaled; empty where all were scaled alike.
        params_m: Parameters in units of 1e6, None if unknown. Two queries that differ in this
            alone are equal: it says more about a variant, not which variant it is.

    Raises:
        ValueError: If a factor is not a positive number.
    """

    gmacs: float
    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0
    patch_size: float = 1.0
    kernel_size: float = 1.0
    stages: tuple[StageFactors, ...] = ()
    params_m: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(self) if entry.name != "stages"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"`{name}` must be a positive number, got {value}")

    @property
    def tokens(self) -> float:
        """Factor of positions along one side: resolution over patch size."""
        return self.resolution / self.patch_size

    @property
    def explained_compute(self) -> float:
        """Compute multiplier that depth, width and tokens explain, kernels apart."""
        return self.depth * (self.width * self.tokens) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A trained relative of the base, or the base itself, whose factors are 1.

    Attributes:
        gmacs: Multiply-adds of one forward pass of one image, in units of 1e9.
        metric: Its accuracy: top-1 in percent, unless the law is fitted to another metric.
        width: Factor of the channel counts.
        depth: Factor of the number of blocks.
        resolution: Factor of the input's side.
        patch_size: Factor of the patch's side.
        kernel_size: Factor of the kernel's side.
        params_m: Parameters in units of 1e6, None if unknown.
    """

    gmacs: float
    metric: float
    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0
    patch_size: float = 1.0
    kernel_size: float = 1.0
    params_m: float | None = None

    @property
    def query(self) -> AccuracyQuery:
        """The same variant with its accuracy forgotten."""
        return AccuracyQuery(
            gmacs=self.gmacs,
            width=self.width,
            depth=self.depth,
            resolution=self.resolution,
            patch_size=self.patch_size,
            kernel_size=self.kernel_size,
            params_m=self.params_m,
        )


def credited_gmacs(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> float:
    """Return the compute that counts, GMACs: what a kernel costs buys no accuracy.

    Args:
        query: The variant.
        references: Anchors; the nearest with the base's kernel says what the variant would cost
            with that kernel. Without one the compute counts as it is.

    Returns:
        At most the variant's compute for a larger kernel, at least it for a smaller one.
    """
    plain = [reference for reference in references if reference.kernel_size == 1.0]
    if query.kernel_size == 1.0 or not plain:
        return query.gmacs
    near = min(plain, key=lambda reference: abs(math.log(reference.gmacs / query.gmacs)))
    explained = near.gmacs * query.explained_compute / near.explained_compute
    return (min if query.kernel_size > 1.0 else max)(query.gmacs, explained)
