"""The printed tables, compared with files; ``pytest --overwrite`` writes them anew."""

from pathlib import Path

import factories
import msgspec
import pytest
from factories import predicted, report, variant
from rich.console import Console

from scaleprof.profiler._choose import select_from
from scaleprof.records import (
    ComparedOperator,
    Comparison,
    CountedModel,
    CountFailure,
    Counts,
    Measurement,
    ModuleCost,
    Report,
    Verification,
    replace,
)
from scaleprof.reports.table import counts_table, modules_table, profile_table

SNAPSHOTS = Path(__file__).with_name("snapshots")


def shown(renderable, width=150):
    console = Console(width=width, highlight=False, markup=False, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def check(name, text, overwrite):
    path = SNAPSHOTS / f"{name}.txt"
    if overwrite:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def a_profile() -> Report:
    failed = Measurement(status="out_of_memory", reason="needs more than 1.00 GiB")
    costs = {"params": 3_700_000, "macs": 547_000_000, "activations": 3_810_000}
    return report(
        variant("base", latency_s=0.0102, top1=75.67, costs=costs, strategies=("w", "d")),
        variant("aaaaaaaaaa", latency_s=0.0181, top1=78.5, costs=costs, strategy="w"),
        variant("bbbbbbbbbb", latency_s=0.0170, top1=77.9, costs=costs, strategy="d"),
        variant("cccccccccc", top1=79.0, costs=costs, strategy="w", multiplier=4.0,
                prediction=predicted(0.04, p05=0.03, p95=0.05)),
        variant("dddddddddd", top1=81.0, costs=costs, strategy="w", multiplier=64.0,
                measurement=failed),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["noisy", "contended"])
def test_a_mark_is_explained_where_it_is_shown(name):
    selected = select_from(a_profile(), ["latency<=2x", "params<=10M"])
    mark, why = {"noisy": ("!", "! in no"), "contended": ("*", "* measured")}[name]

    def with_mark(*marked):
        variants = [
            replace(v, measurement=replace(v.measurement, **{name: v.id in marked}))
            if v.measurement
            else v
            for v in selected.variants
        ]
        return shown(profile_table(replace(selected, variants=tuple(variants))))

    assert why in with_mark("base")
    # what ran out of memory is not in the table
    unseen = with_mark("dddddddddd")
    assert why not in unseen
    assert f"%{mark}" not in unseen


def test_a_selection_is_shown_as_recorded(overwrite):
    selected = select_from(a_profile(), ["latency<=2x", "params<=10M"])
    check("selection", shown(profile_table(selected)), overwrite)


def test_a_relative_limit_says_what_the_base_had_when_the_choice_was_measured_again():
    selected = select_from(a_profile(), ["latency<=2x", "params<=2x"])
    selection = selected.selection
    timed, counted = selection.budgets
    again = replace(
        selection,
        # the machine was slower then
        budgets=(replace(timed, value=0.0223, limit=0.0240), counted),
        verified=True,
        verification=Verification(
            predicted={}, measured={}, met=True, reason="measured again", processes=2
        ),
    )
    text = shown(profile_table(replace(selected, selection=again)))
    assert "latency<=2x: 22.3 ms, limit 24.0 ms (12.0 ms for the base beside it)" in text
    assert "params<=2x: 3.70 M, limit 7.40 M\n" in text
    assert "beside it" not in shown(profile_table(selected))


def test_a_profile_without_a_budget_is_shown_as_recorded(overwrite):
    profile = replace(a_profile(), selection_reason="no budget was given: nothing was chosen")
    check("profile", shown(profile_table(profile)), overwrite)


def a_count() -> Counts:
    cost = msgspec.structs.asdict(factories.cost(params=11_689_512, macs=1_814_073_344))
    row = ModuleCost(
        path="layer1", type="Sequential", params=147_968, macs=462_422_016, activations=802_816,
        activation_bytes=3_211_264, traffic_bytes=20_000_000,
    )  # fmt: skip
    model = CountedModel(model="timm:resnet18", **(cost | {"modules": (row,)}))
    unknown = {"aten::_fft_r2c": 12}
    coverage = replace(model.coverage, status="partial", unknown=unknown, unknown_output_share=0.25)
    operators = (
        ComparedOperator(operator="conv", ours=10_000, theirs=10_000),
        ComparedOperator(operator="attention", ours=500, theirs=None, why="fvcore has no formula"),
    )
    return Counts(
        models=(model, replace(model, model="nets.py:Spectral", coverage=coverage)),
        failures=(CountFailure(model="timm:nothing", reason="there is no model `timm:nothing`"),),
        comparisons=(Comparison(counted=model, against="fvcore", operators=operators),),
    )


def test_counts_are_shown_as_recorded(overwrite):
    text = shown(counts_table(a_count())) + shown(modules_table(a_count()))
    check("counts", text, overwrite)


@pytest.mark.parametrize("width", [60, 80, 150])
def test_no_table_is_wider_than_the_terminal(width):
    selected = select_from(a_profile(), ["latency<=2x"])
    assert max(map(len, shown(profile_table(selected), width=width).splitlines())) <= width


def test_a_report_from_elsewhere_cannot_drive_the_terminal():
    evil = "\x1b[2J\x1b]0;owned\x07[bold red]\u202etxt"
    profile = a_profile()
    base = replace(profile.base, model=evil)
    recipe = replace(profile.variants[1].recipe, call=evil, imports=(evil,), strategy=evil)
    variants = (profile.variants[0], replace(profile.variants[1], recipe=recipe))
    selected = select_from(
        replace(profile, base=base, variants=variants, notes=(evil,)), ["latency<=2x"]
    )
    text = shown(profile_table(selected))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    # markup is text
    assert "[bold red]" in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_leaves_out_columns_and_says_so_but_cuts_no_digits(width):
    text = shown(profile_table(select_from(a_profile(), ["latency<=2x"])), width=width)
    rows = text.partition("choice  ")[0]
    assert "…" not in rows
    assert max(map(len, rows.splitlines())) <= width
    names = ("params", "MACs", "activations", "input", "memory")
    (header,) = (line for line in rows.splitlines() if line.startswith("recipe"))
    left_out = [name for name in names if name not in header.split()]
    assert (f"(no room here for {', '.join(left_out)})" in rows) == bool(left_out)
    # the wider it is, the more there is
    assert len(left_out) == {60: 4, 80: 2, 100: 0}[width]
