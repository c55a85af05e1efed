"""Whole jobs on a small net, on the CPU. What is asserted never depends on how fast it is."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
import torch

import scaleprof
from scaleprof.errors import DeviceError, InputError, ModelError, RecipeError
from scaleprof.models import call_of
from scaleprof.profiler import _crew

NETS = os.path.relpath(Path(__file__).parents[1] / "models" / "nets.py")
# jobs end long before it; only a machine that is busy with other work comes near
PLENTY_S = 900
NET = f"{NETS}:Net(width=32)"


@pytest.fixture(scope="module")
def report():
    # a budget that the base holds on any machine, and no scaled variant can miss by noise
    return scaleprof.profile(
        NET, inputs=["3x64x64"], device="cpu", budgets=["latency<=1000000x", "params<=50x"],
        multipliers=[2.0], strategies=["w", "d"], base_accuracy=60.0, time_limit=PLENTY_S,
    )  # fmt: skip


def test_the_base_comes_first_and_is_measured_in_two_processes_at_least(report):
    base = report.variants[0]
    assert base.id == "base"
    assert base.measurement.counted_processes + base.measurement.discarded_processes >= 2


def test_the_choice_is_measured_again_beside_the_base(report):
    selection = report.selection
    assert selection.verified is True
    assert selection.verification.met is True
    assert selection.verification.processes >= 2
    chosen = report.variant(selection.variant).measurement
    assert chosen.counted_processes + chosen.discarded_processes >= 2
    assert all(outcome.met for outcome in selection.budgets)


def test_every_strategy_fills_the_budget_or_says_why(report):
    assert [row.strategy for row in report.strategies] == ["w", "d"]
    for row in report.strategies:
        assert (row.variant is None) == (row.reason is not None)


def test_the_choice_has_the_highest_accuracy_but_for_ties(report):
    chosen = report.variant(report.selection.variant)
    rejected = report.selection.verification.rejected
    measured = [v for v in report.variants if v.measurement and v.id not in rejected]
    best = max(v.accuracy.mean for v in measured if v.accuracy.mean is not None)
    assert chosen.accuracy.mean >= best - chosen.accuracy.tie - 1e-9


def test_the_base_and_the_choice_have_costs_by_module(report):
    looked_at = {"base", report.selection.variant}
    for variant in report.variants:
        modules = variant.cost.modules
        assert (modules is not None) == (variant.id in looked_at)
        if modules is not None:
            whole = next(row for row in modules if not row.path)
            assert (whole.macs, whole.params) == (variant.cost.macs, variant.cost.params)


def test_raw_samples_are_kept_and_statistics_follow_from_them(report):
    for variant in report.variants:
        if variant.measurement is None:
            assert variant.prediction.latency_s is not None
            continue
        latency = variant.measurement.latency_s
        assert sum(latency.processes) == len(latency.samples)
        assert min(latency.samples) <= latency.p50 <= max(latency.samples)
        assert (latency.p99 is None) == ("latency_s.p99" in variant.measurement.reasons)
        assert variant.measurement.energy_j is None
        assert "energy_j" in variant.measurement.reasons


def test_memory_on_a_cpu_is_the_static_plan_with_the_process_beside_it(report):
    for variant in report.variants:
        if variant.measurement:
            assert variant.measurement.peak_bytes == variant.cost.peak_bytes
            assert variant.measurement.peak_bytes_source == "planned"
            assert variant.measurement.memory.allocated is None
            assert variant.measurement.memory.process > 0


def test_conditions_are_recorded(report):
    context = report.context
    assert context.device.type == "cpu"
    assert context.versions["torch"] == torch.__version__
    assert (context.dtype, context.layout, context.mode, context.batch) == (
        "float32", "nchw", "eager", 1,
    )  # fmt: skip
    assert context.flags["threads"] >= 1


def test_the_recipe_can_be_built_and_pasted(report):
    variant = report.variant(report.selection.variant)
    with pytest.raises(ModelError, match="consent"):
        scaleprof.build(report)
    module = scaleprof.build(report, trust=True)
    assert sum(p.numel() for p in module.parameters()) == variant.cost.params
    assert call_of(variant.recipe).target.endswith("nets.py:Net")


def test_the_same_command_gives_the_same_identifiers(report):
    again = scaleprof.profile(
        NET, inputs=["3x64x64"], device="cpu", multipliers=[2.0], strategies=["w", "d"]
    )
    assert {v.id for v in again.variants} <= {v.id for v in report.variants}
    assert again.selection is None
    assert "no budget" in again.selection_reason
    # the base's accuracy was not given this time: variants are ranked by their relative gain
    assert again.base.anchor is None
    assert again.variants[0].accuracy.metric == "top1_gain"
    assert again.variants[0].accuracy.mean == 0.0
    assert any("--base-accuracy" in note for note in again.notes)


def test_a_variant_that_crashes_is_named_and_the_sweep_goes_on():
    report = scaleprof.profile(
        f"{NETS}:CrashesWhenWide", inputs=["3x64x64"], device="cpu",
        multipliers=[2.0], strategies=["w", "d"],
    )  # fmt: skip
    wide, deep = report.variants[1:]
    assert (wide.measurement.status, wide.measurement.latency_s) == ("crashed", None)
    assert "SIGSEGV" in wide.measurement.reason
    assert deep.measurement.status == "ok"


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("raises", "raised", "this is too wide for me"),
        ("hangs", "timed_out", "took more than 8 s"),
        ("eats memory", "out_of_memory", "needs more than"),
    ],
)
def test_a_variant_that_cannot_run_is_a_result_and_the_sweep_goes_on(
    how, status, reason, monkeypatch
):
    monkeypatch.setattr(_crew, "MEASURE_LIMITS_S", 8.0)
    # a tenth of what is free, some gigabytes, is plenty for a worker that only forwards this net
    monkeypatch.setattr(_crew, "_MEMORY_SHARE", 0.1)
    report = scaleprof.profile(
        f"{NETS}:FailsWhenWide(how='{how}')", inputs=["3x32x32"], device="cpu",
        multipliers=[2.0], strategies=["w", "d"],
    )  # fmt: skip
    wide, deep = report.variants[1:]
    assert (wide.measurement.status, wide.measurement.latency_s) == (status, None)
    assert reason in wide.measurement.reason
    assert deep.measurement.status == "ok"


def _stored(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT variant, p50_s FROM blocks ORDER BY id").fetchall()


def test_a_model_whose_forward_was_edited_is_measured_anew(tmp_path):
    net, store = tmp_path / "net.py", str(tmp_path / "store.sqlite")
    source = """
import torch

class Net(torch.nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.layer = torch.nn.Linear(8, width)

    def forward(self, x):
        return self.layer(x).relu()
"""
    net.write_text(source)
    settings = {
        "inputs": ["8"], "device": "cpu", "multipliers": [2.0], "strategies": ["w"], "store": store,
    }  # fmt: skip
    first = scaleprof.profile(f"{net}:Net", **settings)
    again = scaleprof.profile(f"{net}:Net", **settings)
    assert len(_stored(store)) >= len(first.variants) == 2
    measured = len(_stored(store))
    assert [v.measurement.reused_processes for v in again.variants] == [1, 1]
    assert any("measured before" in note for note in again.notes)
    # the same operators on the same shapes: only the file tells
    net.write_text(source.replace("self.layer(x).relu()", "torch.relu(self.layer(x))"))
    edited = scaleprof.profile(f"{net}:Net", **settings)
    assert len(_stored(store)) >= measured + 2
    assert [v.measurement.reused_processes for v in edited.variants] == [0, 0]


def test_a_model_that_crashes_only_when_changed_says_so():
    with pytest.raises(ModelError, match="when its arguments are changed"):
        scaleprof.profile(f"{NETS}:CrashesWhenProbed", inputs=["3x64x64"], device="cpu")


def test_a_choice_that_could_not_be_measured_again_is_not_verified(tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    # two processes of the base, one of the variant and its second look; none for the check
    notes.write_text("4")
    monkeypatch.setenv("NOTES", str(notes))
    report = scaleprof.profile(
        f"{NETS}:FailsWhenChecked", inputs=["3x64x64"], device="cpu", multipliers=[2.0],
        strategies=["w"], budgets=["params<=2.5x"], base_accuracy=60.0, time_limit=PLENTY_S,
    )  # fmt: skip
    assert report.selection.verified is not True
    assert report.selection.verification.processes == 0


def test_one_text_is_not_taken_for_its_letters():
    with pytest.raises(RecipeError, match="unknown strategy `up`"):
        scaleprof.profile(NET, inputs="3x64x64", device="cpu", strategies="up")


def test_the_time_limit_leaves_the_rest_predicted():
    report = scaleprof.profile(
        NET, inputs=["3x64x64"], device="cpu", time_limit=0.1, multipliers=[2.0], strategies=["w"]
    )
    assert report.variants[0].measurement is not None
    assert report.variants[1].measurement is None
    assert any("time limit" in note for note in report.notes)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch": 0}, InputError, "`batch` must be 1 or more"),
        ({"device": "nonsense"}, DeviceError, "not a device"),
        ({"device": "xpu:3"}, DeviceError, "no device `xpu:3`"),
        ({"axes": ["colour"]}, RecipeError, "unknown axis `colour`"),
        ({"axes": []}, RecipeError, "no axis was given"),
        ({"strategies": ["q"]}, RecipeError, "unknown strategy `q`"),
        ({"multipliers": [-1.0]}, RecipeError, "multiplier must be between"),
        ({"multipliers": [float("nan")]}, RecipeError, "multiplier must be between"),
        ({"dtype": "int8"}, RecipeError, "unknown dtype"),
        ({"layout": "nwhc"}, RecipeError, "unknown layout"),
        ({"time_limit": 0}, InputError, "time_limit"),
        ({"base_accuracy": 176}, InputError, "between 0 and 100 percent"),
        ({"inputs": ["3by64"]}, InputError, "is not an input"),
        ({"inputs": []}, ModelError, "does not say what its input is"),
    ],
)
def test_bad_settings_are_refused_in_the_users_terms(settings, error, message):
    with pytest.raises(error, match=message):
        scaleprof.profile(NET, **({"inputs": ["3x64x64"], "device": "cpu"} | settings))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "raised ValueError: width must be even"),
        ("exits", "called exit with status 7"),
        ("crashes", "was ended by SIGSEGV"),
        ("not_a_module", "returned int"),
        ("FailsForward", "the forward pass is broken"),
        ("Fixed", "has nothing to scale"),
    ],
)
def test_a_model_that_misbehaves_is_an_error_of_one_line(name, message):
    shape = "3x8x8" if name == "Fixed" else "3x64x64"
    with pytest.raises(ModelError, match=message) as caught:
        scaleprof.profile(f"{NETS}:{name}", inputs=[shape], device="cpu")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_an_input_that_the_model_cannot_take_is_an_error_of_one_line():
    with pytest.raises(ModelError, match="channel") as caught:
        scaleprof.profile(NET, inputs=["5x64x64"], device="cpu")
    assert "\n" not in str(caught.value)
    assert "--input" in caught.value.hint


def test_a_class_of_the_running_script_is_refused_with_the_way_out():
    def local():
        return torch.nn.Linear(1, 1)

    with pytest.raises(ModelError, match="imported by name"):
        scaleprof.profile(local)
