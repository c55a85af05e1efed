"""Where the formats of one command go: an option ``--FORMAT PATH`` each, one on standard output."""

from collections.abc import Mapping
from itertools import combinations


def check_outputs(paths: Mapping[str, str | None]) -> None:
    """Refuse paths that could not be written, or that would be written twice, before the work.

    Args:
        paths: Path by option, ``-`` for standard output; None where it was not asked for.

    Raises:
        InputError: If there is such a path.
    """
    from ..errors import InputError
    from ..reports import check_writable

    for first, second in combinations((o for o, path in paths.items() if path is not None), 2):
        if paths[first] == paths[second]:
            where = "standard output" if paths[first] == "-" else f"`{paths[first]}`"
            raise InputError(
                f"`{first}` and `{second}` cannot both write to {where}",
                hint="give one of them another path",
            )
    for path in paths.values():
        check_writable(path)
