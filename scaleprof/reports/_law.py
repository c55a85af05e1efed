"""What a device's law says, in words."""

from collections.abc import Iterator

from ..records import DeviceLaw

_COSTS = {"macs": "MACs", "activations": "activations", "traffic_bytes": "bytes moved"}
# a share of starting below this is not worth a line of its own
_SMALL_SHARE = 0.005


def law_lines(law: DeviceLaw) -> tuple[str, ...]:
    """Return the law as lines of text; none where too little was measured."""
    return tuple(_lines(law))


def _lines(law: DeviceLaw) -> Iterator[str]:
    if law.exponents:
        powers = " · ".join(
            f"{axis}^{band.mean:.2f} ({band.p05:.2f} to {band.p95:.2f})"
            for axis, band in law.exponents.items()
        )
        yield f"here    latency ∝ {powers}, from {law.variants} measured variants"
    if law.errors:
        first, *others = [
            f"{_COSTS.get(name, name)} ({100 * error:.0f} % off)"
            for name, error in law.errors.items()
        ]
        yield f"        {first} explain it best, before {' and '.join(others)}"
    if law.starting_share is not None and law.starting_dominates_below is not None:
        yield _starting(law.starting_share, law.starting_dominates_below)
    if law.left_out_error is not None and law.covered is not None:
        yield (
            f"        predicted from the others, a measured variant is "
            f"{100 * law.left_out_error:.1f} % off (median); "
            f"{100 * law.covered:.0f} % are within their 90 % band"
        )


def _starting(share: float, below: float) -> str:
    if share < _SMALL_SHARE:
        return "        starting operators takes next to nothing of the base's latency"
    return (
        f"        starting operators takes {100 * share:.0f} % of the base's latency, and most of "
        f"it below {below:.2g} times its compute"
    )
