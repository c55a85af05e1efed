"""The groups that together turn a model's depth: repeats of blocks like those it has."""

from collections.abc import Sequence

from ..records import Axis
from ._effects import Effect, repeated
from ._groups import Group
from ._names import may_be_depth
from ._probe import Built, Prober, scaled_by

# FLOPs of a depth knob grow with at least this power of the factor; a repeat count of strided
# blocks shrinks what follows, and its FLOPs hardly rise
_MIN_EXPONENT = 0.45
# above 1 where single costly blocks are repeated too; 2 would be two names of one thing
_MAX_EXPONENT = 1.75
# a further group of repeats must raise the exponent by this much to be turned along
_MIN_RISE = 0.04
# of the groups that may be turned along, the best so many are tried
_MAX_TRIALS = 8


def depth_axis(probe: Prober, effects: Sequence[Effect], why: str | None) -> Axis:
    """Choose the depth knob, and check that it builds, runs, and costs what depth costs.

    Args:
        probe: Of the base.
        effects: What single groups do.
        why: Why arguments cannot be set at all, if so.
    """
    found = [effect for effect in effects if effect.axis == "depth" and effect.factor > 1]
    trials = [t for effect in found if (t := _Trial.of(probe, [effect])) is not None]
    good = [trial for trial in trials if _MIN_EXPONENT <= trial.exponent <= _MAX_EXPONENT]
    if not good:
        joint = _joined(probe, None, trials) or _resized(probe) or _shared(probe)
        return joint.axis() if joint else Axis(status="none", reason=why or _reason(trials))
    best = max(good, key=_preference)
    return (_joined(probe, best, trials) or best).axis()


class _Trial:
    """Groups of repeats turned together, and the power with which FLOPs grew."""

    def __init__(self, groups: Sequence[Group], exponent: float, *, exact: bool) -> None:
        self.groups = list(groups)
        self.exponent = exponent
        self.exact = exact

    @classmethod
    def of(cls, probe: Prober, effects: Sequence[Effect]) -> "_Trial | None":
        groups = [effect.group for effect in effects]
        built = _turned(probe, groups, 2.0)
        if built is None:
            return None
        exact = all(effect.exact for effect in effects)
        return cls(groups, probe.exponent(built, 2.0), exact=exact)

    def axis(self) -> Axis:
        return Axis(
            status="ok",
            arguments=tuple(group.name for group in self.groups),
            base={group.name: group.base for group in self.groups},
            how="effect of doubling",
            flops_exponent=self.exponent,
        )


def _contains(outer: Group, inner: Group) -> bool:
    """Tell whether a list holds the numbers of another group: a longer one has more of them."""
    path = outer.paths[0]
    return outer.kind != "values" and inner.paths[0][: len(path)] == path


def _preference(trial: _Trial) -> tuple[bool, bool, int, float]:
    """Counts before lengths of lists, and exact copies before models whose later stages see them.

    Of lists, the innermost: they hold the blocks of a stage, the others hold stages.
    """
    first = trial.groups[0]
    nested = 0 if first.kind == "values" else len(first.paths[0])
    return first.kind == "values", trial.exact, nested, trial.exponent


def _turned(probe: Prober, groups: Sequence[Group], factor: float) -> Built | None:
    return probe.build({g.name: repeated(g, scaled_by(g, factor)) for g in groups})


def _joined(probe: Prober, best: _Trial | None, trials: Sequence[_Trial]) -> _Trial | None:
    """Turn further repeats along, while FLOPs grow towards the factor and not beyond it."""
    rest = sorted((t for t in trials if t is not best), key=_preference, reverse=True)
    for trial in rest[:_MAX_TRIALS]:
        if best is None:
            best = trial if 0 < trial.exponent <= _MAX_EXPONENT else None
            continue
        if any(_contains(trial.groups[0], group) for group in best.groups):
            continue
        # they are told apart by what they add: two names of the same repeats add it twice
        expected = 2**best.exponent + 2**trial.exponent - 1
        groups = [*best.groups, *trial.groups]
        built = _turned(probe, groups, 2.0)
        if built is None:
            continue
        exponent = probe.exponent(built, 2.0)
        adds = abs(2**exponent - expected) < 0.1 * expected
        if adds and best.exponent + _MIN_RISE <= exponent <= _MAX_EXPONENT:
            best = _Trial(groups, exponent, exact=best.exact)
    return best if best is not None and best.exponent >= _MIN_EXPONENT else None


def _resized(probe: Prober) -> _Trial | None:
    """Repeats that build only with other lists of the same lengths grown along."""
    lengths = [group for group in probe.groups.values() if group.kind == "len"]
    for group in probe.groups.values():
        if group.kind != "values" or not _are_counts(group):
            continue
        same = [g for g in lengths if g.values in (group.values, (sum(group.values),))]
        if same and (built := _turned_exactly(probe, [group, *same])) is not None:
            trial = _Trial([group, *same], probe.exponent(built, 2.0), exact=True)
            if _MIN_EXPONENT <= trial.exponent <= _MAX_EXPONENT:
                return trial
    return None


def _shared(probe: Prober) -> _Trial | None:
    """Repeats of blocks that share their weights: FLOPs grow, and no weight moves."""
    for group in probe.groups.values():
        whole = all(isinstance(value, int) and value > 1 for value in group.values)
        if group.kind != "values" or not whole or not may_be_depth(group.name):
            continue
        built = _turned_exactly(probe, [group])
        if built is not None and built.shapes == probe.base.shapes:
            trial = _Trial([group], probe.exponent(built, 2.0), exact=True)
            if _MIN_EXPONENT <= trial.exponent <= 1.0:
                return trial
    return None


def _turned_exactly(probe: Prober, groups: Sequence[Group]) -> Built | None:
    return probe.build({group.name: scaled_by(group, 2.0) for group in groups})


def _are_counts(group: Group) -> bool:
    return all(isinstance(value, int) and value > 0 for value in group.values)


def _reason(trials: Sequence[_Trial]) -> str:
    if trials:
        names = ", ".join(
            f"{t.groups[0].name} (×2: FLOPs ×{2**t.exponent:.2f})" for t in trials[:4]
        )
        return f"FLOPs do not grow as with depth by turning {names}"
    return "no argument adds blocks like those it has"
