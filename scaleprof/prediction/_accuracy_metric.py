"""What a user's metric means to the law, which knows only errors that fall to a floor."""

import math
from dataclasses import dataclass

# Two trainings of one net differ by 0.20 points at 20 % error, in proportion to sqrt(error).
NOISE_POINTS, NOISE_AT_ERROR = 0.20, 20.0
# A gap under 0.3 points between two predictions decides nothing.
TIE_POINTS = 0.3

_TOP1 = ("top1_percent", "top1_gain", "top1")
_ERRORS = ("error", "error_percent", "top1_error", "top5_error")
_LOSSES = ("loss", "nll", "perplexity")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricScale:
    """How values of one metric turn into errors and back.

    Attributes:
        name: As the user wrote it.
        percent: Whether values lie between 0 and 100.
        higher_is_better: Whether the error is 100 minus the value.
        imagenet: Whether priors from published ImageNet models apply.
    """

    name: str
    percent: bool
    higher_is_better: bool
    imagenet: bool

    def error(self, value: float) -> float:
        """Return the error of a value, or raise ValueError if no error can have it."""
        if not math.isfinite(value):
            raise ValueError(f"`metric` must be a finite number, got {value}")
        error = 100.0 - value if self.higher_is_better else value
        if error <= 0 or (self.percent and error >= 100):
            bound = "between 0 and 100 percent" if self.percent else "positive"
            raise ValueError(f"`metric` must be {bound}, got {value:g}")
        return error

    def value(self, error: float) -> float:
        """Return the value of an error, kept where values can lie."""
        bounded = min(max(error, 0.0), 100.0) if self.percent else max(error, 0.0)
        return 100.0 - bounded if self.higher_is_better else bounded

    def tie(self, value: float | None) -> float:
        """Return the gap below which no training could tell two models of this value apart."""
        if self.percent or value is None:
            return TIE_POINTS
        return TIE_POINTS / NOISE_AT_ERROR * value

    def noise(self, error: float) -> float:
        """Return the sd of training noise relative to the error."""
        if not self.percent:
            return NOISE_POINTS / NOISE_AT_ERROR
        return NOISE_POINTS * math.sqrt(error / NOISE_AT_ERROR) / error


def metric_scale(name: str) -> MetricScale:
    """Return the scale of a metric by its name; unknown names are accuracies in percent.

    Examples:
        >>> metric_scale("top1_percent").error(76.0), metric_scale("loss").error(2.5)
        (24.0, 2.5)
    """
    lower = name.lower().removesuffix("_percent")
    if lower in _LOSSES:
        return MetricScale(name=name, percent=False, higher_is_better=False, imagenet=False)
    imagenet = name.lower() in _TOP1 or lower == "top1_error"
    better = lower not in _ERRORS
    return MetricScale(name=name, percent=True, higher_is_better=better, imagenet=imagenet)
