"""How much was measured and why no more, in words."""

from ..records import Effort
from ._text import one_line


def effort_line(effort: Effort) -> str:
    """Return it as one line.

    Examples:
        >>> effort_line(Effort(variants=38, measured=12, processes=19, stopped="measured",
        ...                    left=None, threshold=0.03, reason="nothing was left to measure"))
        'measured 12 of 38 variants, in 19 processes; nothing was left to measure'
    """
    return (
        f"measured {effort.measured} of {effort.variants} variants, in {effort.processes} "
        f"processes; {one_line(effort.reason)}"
    )
