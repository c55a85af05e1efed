"""Where time went, by module: what two reports hold of the same variant.

Each holds the shares of one process, which are noisy: they say where to look, and decide nothing.
"""

from collections.abc import Iterator, Mapping, Sequence

from ...records import LEAST_MODULE_SHARE, ModuleTime, TimeChange, Variant
from ._cases import Case
from ._evidence import kind_of
from ._gate import Gate

# of one variant; the changes of an honest report are fewer than this or too small to tell
_MOST = 20
# a module is taken apart where one of those inside it makes up this much of its change
_EXPLAINS = 0.5


def time_changes(found: Sequence[Case]) -> tuple[TimeChange, ...]:
    """Return how the time of modules changed, for each variant with a gate of latency.

    Args:
        found: What is checked; variants without times by module on both sides are left out.
    """
    gated = {
        (case.now.name, case.variant): (case.against.variant(case.variant), case)
        for case in found
        if isinstance(case.rule, Gate)
        and case.against is not None
        and case.is_timed
        and kind_of(case.rule.metric) == "latency"
    }
    changes = []
    for (report, variant), (then, case) in gated.items():
        modules = _module_times(then, case.now.report.variant(variant))
        if modules:
            changes.append(TimeChange(report=report, variant=variant, modules=modules))
    return tuple(changes)


def _module_times(then: Variant, now: Variant) -> tuple[ModuleTime, ...]:
    """Return what changed by more than one process could hide, the largest change first."""
    before, after = _times(then), _times(now)
    if before is None or after is None:
        return ()
    # what is not listed takes less than these
    unlisted = (LEAST_MODULE_SHARE * _latency(then), LEAST_MODULE_SHARE * _latency(now))
    changes = {
        path: _change(before.get(path), after.get(path), unlisted) for path in {**before, **after}
    }
    named = [path for path in _standing(changes) if abs(changes[path]) >= unlisted[0]]
    named.sort(key=lambda path: abs(changes[path]), reverse=True)
    return tuple(
        ModuleTime(
            path=path,
            baseline_s=before.get(path),
            now_s=after.get(path),
            change_s=changes[path],
        )
        for path in named[:_MOST]
    )


def _times(variant: Variant) -> Mapping[str, float] | None:
    measured = variant.measurement
    return None if measured is None or measured.latency_s is None else measured.modules_s


def _latency(variant: Variant) -> float:
    assert variant.measurement is not None
    assert variant.measurement.latency_s is not None
    return variant.measurement.latency_s.p50


def _change(then: float | None, now: float | None, unlisted: tuple[float, float]) -> float:
    """Return the change of a module that is listed on one side at least, or the least it can be."""
    if then is None:
        assert now is not None
        return max(now - unlisted[0], 0.0)
    return now - then if now is not None else min(unlisted[1] - then, 0.0)


def _standing(changes: Mapping[str, float]) -> Iterator[str]:
    """Yield the modules that stand for those inside them."""
    around = _around(changes)
    largest: dict[str | None, float] = {}
    for path, outer in around.items():
        largest[outer] = max(largest.get(outer, 0.0), abs(changes[path]))
    taken_apart: set[str | None] = {None}
    for path, outer in around.items():
        if outer not in taken_apart:
            continue
        if path in largest and largest[path] >= _EXPLAINS * abs(changes[path]):
            taken_apart.add(path)
        else:
            yield path


def _around(paths: Mapping[str, object]) -> dict[str, str | None]:
    """Return the nearest listed module around each, outer ones before those inside them."""
    around: dict[str, str | None] = {}
    outer: list[str] = []
    # a name may hold what sorts before a dot
    for path in sorted(paths, key=lambda path: path.replace(".", "\0")):
        while outer and not path.startswith(f"{outer[-1]}."):
            outer.pop()
        around[path] = outer[-1] if outer else None
        outer.append(path)
    return around
