"""Padding that follows the kernels it is given beside, so that maps keep their sizes."""

import re
from collections.abc import Callable, Mapping, Sequence

from ._groups import Group

# `downsample_kernel_size` and `downsample_padding`, `stem.kernel` and `stem.padding`
_KERNEL = re.compile(r"kernel(s|_sizes?)?(?!.*kernel)")
_PADDING = "padding"


def padding_of(kernels: Group, groups: Mapping[str, Group]) -> Group | None:
    """Return the group of the paddings of some kernels, if they keep the sizes of maps."""
    name, replaced = _KERNEL.subn(_PADDING, kernels.name)
    found = groups.get(name) if replaced else None
    return found if found and list(found.values) == _keeping(kernels.values) else None


def is_padding(group: Group) -> bool:
    """Tell a group of paddings from one of kernels."""
    return _PADDING in group.name


def resized(groups: Sequence[Group], change: Callable[[int], int]) -> dict[str, list[int]]:
    """Return new sizes by name of group: of kernels or patches, and of the padding among them.

    Args:
        groups: Groups of sizes; of paddings, those that follow one of the others.
        change: What a size becomes.
    """
    by_name = {group.name: group for group in groups}
    new = {g.name: [change(int(v)) for v in g.values] for g in groups if not is_padding(g)}
    paddings = {
        padding.name: _keeping(sizes)
        for name, sizes in new.items()
        if (padding := padding_of(by_name[name], by_name)) is not None
    }
    return new | paddings


def _keeping(sizes: Sequence[float]) -> list[int]:
    """Padding with which a kernel of odd size keeps the size of a map."""
    return [int(size) // 2 for size in sizes]
