"""Measuring a report again: only what its user names is built, and only if it is that."""

import factories
import pytest
from factories import recipe, variant

import scaleprof
from scaleprof.errors import DeviceError, InputError, ReportError
from scaleprof.jobs import KnobsReply
from scaleprof.models import ConstructorCall
from scaleprof.profiler._recorded import call_with_numbers, changed_code
from scaleprof.profiler._rerun import Again
from scaleprof.records import InputSpec, Measurement, replace
from scaleprof.reports import read_report, write_json
from scaleprof.reports.comparison import Named
from scaleprof.timing import summarise

NET = """
import torch

def Net(width=16):
    return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.Conv2d(width, 8, 3))
"""
EVIL = "import pathlib\npathlib.Path({marker!r}).touch()\n" + NET
# a machine that tests share is slow: what is asserted does not depend on how much is measured
LIMIT_S = 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("rerun")
    (found / "nets.py").write_text(NET)
    (found / "evil.py").write_text(EVIL.format(marker=str(found / "owned")))
    return found


@pytest.fixture(scope="module")
def report(folder):
    """A profile of a base and a wider variant, whose measurements no neighbour disturbed."""
    found = scaleprof.profile(
        f"{folder / 'nets.py'}:Net", inputs=["3x32x32"], device="cpu", strategies=["w"],
        multipliers=[2.0], time_limit=900,
    )  # fmt: skip
    variants = tuple(replace(each, measurement=quiet(each)) for each in found.variants)
    return replace(found, variants=variants)


def quiet(variant):
    latency = variant.measurement.latency_s.p50
    return Measurement(status="ok", latency_s=summarise([[latency] * 20] * 2))


def undecided(report, name):
    """A budget that is exactly what is known of a variant, so that no interval decides it."""
    return f"latency<={report.variant(name).measurement.latency_s.p50 * 1e6}us"


def again(report, name="base", **settings):
    return scaleprof.check(
        report,
        budgets=undecided(report, name),
        variant=name,
        **({"rerun": report.base.model, "time_limit": LIMIT_S} | settings),
    )


@pytest.mark.parametrize(
    ("which", "recipe"),
    [
        pytest.param(0, {}, id="base"),
        pytest.param(1, {}, id="variant"),
        pytest.param(1, {"strategy": "another space"}, id="by-its-numbers"),
    ],
)
def test_what_is_undecided_is_measured_in_more_processes_and_pooled(report, folder, which, recipe):
    name, path = report.variants[which].id, str(folder / "more.json")
    check = again(changed(report, name, **recipe), name, rerun_output=path)
    (line,) = check.lines
    before = report.variant(name).measurement.latency_s
    after = read_report(path).variant(name).measurement.latency_s
    assert after.samples[: len(before.samples)] == before.samples
    assert len(after.processes) == len(before.processes) + line.added_processes
    # neighbours of a shared machine may have disturbed all of them, which is then said
    assert line.added_processes or "not count" in " ".join(check.notes)


def test_a_report_is_left_as_it_is(report, folder):
    path = folder / "now.json"
    write_json(report, str(path))
    before = path.read_bytes()
    again(report, time_limit=1)
    assert path.read_bytes() == before


def changed(report, name, **changes):
    """The report with something else in the recipe of a variant."""
    variants = [
        replace(each, recipe=replace(each.recipe, **changes)) if each.id == name else each
        for each in report.variants
    ]
    return replace(report, variants=tuple(variants))


def with_inputs(report, *inputs):
    base = report.variants[0]
    cost = replace(base.cost, inputs=inputs)
    return replace(report, variants=(replace(base, cost=cost), *report.variants[1:]))


def with_context(report, **changes):
    return replace(report, context=replace(report.context, **changes))


CODE = "__import__('pathlib').Path('owned').touch()"


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param({"arguments": {"width": CODE}}, id="code"),
        pytest.param({"arguments": {}, "callables": ("width",)}, id="callable"),
        pytest.param({"target": "evil.py:Net"}, id="another-target"),
        pytest.param({"target": "os:system", "arguments": {"command": "touch owned"}}, id="system"),
        pytest.param({"arguments": {"width": [1] * 100_000}}, id="huge"),
        pytest.param({"arguments": {"width": 16.5}}, id="another-number"),
    ],
)
def test_another_call_than_that_of_the_code_is_told(recipe):
    found = variant("base")
    recorded = replace(found, recipe=replace(found.recipe, **recipe))
    assert changed_code(recorded, found) == ["constructor call"]
    assert changed_code(found, found) == []


KNOBS = KnobsReply(
    call=ConstructorCall(target="nets.py:Net", arguments={"dims": [16, 32], "act": "relu"}),
    inputs=(), axes={}, cost=variant("base").cost, base=variant("base"), callables=(), library=None,
    arguments={"dims": [16, 32], "act": "relu", "depth": 2, "pretrained": False, "path": None},
)  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [{"dims": [8, 8]}, {"dims": [4], "depth": 3}, {"act": "relu", "depth": 2.5}, {}]
)
def test_other_numbers_in_the_place_of_numbers_are_taken(arguments):
    found = call_with_numbers(KNOBS, recipe(target="nets.py:Net", arguments=arguments))
    assert found == KNOBS.call.override(arguments)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"arguments": {"act": CODE}}, id="text"),
        pytest.param({"arguments": {"act": 1}}, id="number-for-a-text"),
        pytest.param({"arguments": {"dims": ["evil"]}}, id="text-in-a-list"),
        pytest.param({"arguments": {"dims": {"class": "os:system"}}}, id="mapping"),
        pytest.param({"arguments": {"pretrained": True}}, id="flag"),
        pytest.param({"arguments": {"pretrained": 1.5}}, id="number-for-a-flag"),
        pytest.param({"arguments": {"path": 1}}, id="number-for-nothing"),
        pytest.param({"arguments": {"other": 1}}, id="unknown-argument"),
        pytest.param({"arguments": {"depth": 2**40}}, id="huge-number"),
        pytest.param({"arguments": {"dims": [1] * 100_000}}, id="huge-list"),
        pytest.param({"arguments": {"dims": [[[1] * 500] * 500] * 500}}, id="huge-nested-list"),
        pytest.param({"arguments": {}, "target": "os:system"}, id="another-target"),
    ],
)
def test_nothing_but_numbers_is_taken_from_the_arguments_of_a_report(changes):
    settings = {"target": "nets.py:Net"} | changes
    assert call_with_numbers(KNOBS, recipe(**settings)) is None


def test_a_report_that_is_older_than_hashes_of_graphs_is_held_by_its_counts():
    found = variant("base")
    hashed = replace(found, cost=replace(found.cost, graph="a"))
    assert changed_code(found, hashed) == []
    assert changed_code(replace(hashed, cost=replace(hashed.cost, graph="b")), hashed) == ["graph"]
    assert changed_code(variant("base", costs={"params": 7}), hashed) == ["params", "weight bytes"]


@pytest.mark.parametrize(
    ("which", "recipe"),
    [
        pytest.param(0, {"arguments": {"width": CODE}, "callables": ("width",)}, id="base"),
        pytest.param(1, {"target": "evil.py:Net"}, id="variant"),
        pytest.param(1, {"multiplier": 1e300, "arguments": {"width": CODE}}, id="no-strategy"),
    ],
)
def test_calls_of_a_report_are_compared_and_never_made(report, folder, recipe, which, monkeypatch):
    monkeypatch.chdir(folder)
    name = report.variants[which].id
    with pytest.raises(ReportError, match="has changed since") as caught:
        again(changed(report, name, **recipe), name)
    assert "\n" not in str(caught.value)
    assert not (folder / "owned").exists()


def test_a_printed_call_is_never_read(report, folder, monkeypatch):
    monkeypatch.chdir(folder)
    evil = changed(report, "base", call=CODE, imports=("import evil",))
    assert again(evil, time_limit=1).verdict in ("pass", "fail", "inconclusive")
    assert not (folder / "owned").exists()


@pytest.mark.parametrize("model", ["evil.py:Net", "nets.py:Other", "", "timm:resnet18"])
def test_a_report_of_another_model_is_refused(report, model, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ReportError, match="is of model"):
        again(report, rerun=model)
    with pytest.raises(ReportError, match="is of model"):
        again(replace(report, base=replace(report.base, model=model)), rerun=report.base.model)
    assert not (folder / "owned").exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param({"flags": {"threads": 99}}, ReportError, "threads: 99, now", id="threads"),
        pytest.param({"dtype": "evil"}, InputError, "unknown dtype", id="dtype"),
        pytest.param({"mode": "evil"}, InputError, "unknown mode", id="mode"),
        pytest.param({"kernels": "triton"}, InputError, "needs an NVIDIA GPU", id="kernels"),
    ],
)
def test_conditions_that_are_not_those_of_the_report_are_refused(report, change, error, message):
    with pytest.raises(error, match=message) as caught:
        again(with_context(report, **change))
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_here_is_refused(report):
    device = replace(report.context.device, type="xpu", index=7)
    with pytest.raises(DeviceError, match="no device"):
        again(with_context(report, device=device))


def test_other_conditions_are_told_where_they_are_allowed(report):
    other = with_context(report, flags=report.context.flags | {"threads": 99})
    check = again(other, allow_different=True, time_limit=1)
    assert any("measured again with flag threads: 99" in text for text in check.differences)


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param((InputSpec(shape=(1, 3, 2**31, 2**31)),), id="huge"),
        pytest.param((InputSpec(shape=(1, 3, 32, 32), dtype="evil"),), id="another-type"),
        pytest.param((InputSpec(shape=(1,)),), id="no-sizes"),
        pytest.param((InputSpec(shape=(1, 3, 32, 32), name="a b"),), id="no-name"),
    ],
)
def test_inputs_that_are_not_those_of_the_code_are_refused(report, inputs):
    with pytest.raises(InputError) as caught:
        again(with_inputs(report, *inputs))
    assert "\n" not in str(caught.value)


def test_code_that_changed_is_refused(report, folder):
    source = folder / "nets.py"
    source.write_text(NET.replace("width, 8, 3", "width, 8, 1"))
    try:
        with pytest.raises(
            ReportError, match=r"has changed since .*: variant `base` differs in graph"
        ):
            again(report)
    finally:
        source.write_text(NET)


def test_several_reports_are_refused(report):
    with pytest.raises(InputError, match="one report at a time"):
        scaleprof.check([report, report], budgets="latency<=1s", rerun=report.base.model)


class Scripted:
    """Stands for the job and the sweep of a rerun that somebody interrupts."""

    def __init__(self, found, interrupted_at):
        self.variants = {"base": found}
        self.bench = self
        self.processes = 0
        self._interrupted_at = interrupted_at

    def has_time_for(self, processes):
        return True

    def measure(self, found, *, seed):
        if self.processes == self._interrupted_at:
            raise KeyboardInterrupt
        self.processes += 1
        measured = Measurement(status="ok", latency_s=summarise([[1.0] * 7] * self.processes))
        self.variants["base"] = replace(found, measurement=measured)
        return self.variants["base"]


def test_what_was_measured_before_an_interruption_counts():
    honest = factories.report(variant("base", latency_s=1.0))
    again = Again(Named(name="now", report=honest), "nets.py:Net", time_limit_s=1.0,
                  allow_different=False, progress=lambda _: None)  # fmt: skip
    script = Scripted(variant("base"), interrupted_at=3)
    again._begun = script, script
    for _ in range(2):
        measured = again.measure({"base": 10})
        assert measured["base"].latency_s.processes == (7,) * 3
    assert again.notes == ("it was interrupted after 3 more processes",)
