"""The benchmarks of kernels, with processes that follow a script and no GPU."""

import json

import depthwise_conv2d as depthwise
import pytest
import small_kernel_aggregation as aggregation
import torch
from in_processes import Failed

from scaleprof_kernels._choices import read_choices
from scaleprof_kernels.bench import Timing
from scaleprof_kernels.bench_aggregation import AggregationTiming
from scaleprof_kernels.check import run_variant, same_size


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """Run a benchmark whose problems are timed by a function: its status, and what it said."""

    def run(benchmark, timed, capsys):
        def each_in_turn(function, steps, *, until, step_seconds):
            for i, step in enumerate(steps):
                yield step, timed(i, step)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(benchmark, "origin", lambda: "measured nowhere")
        monkeypatch.setattr(benchmark, "each_in_turn", each_in_turn)
        monkeypatch.setattr(benchmark, "all_at_once", lambda function, steps, **_: len(steps))
        monkeypatch.setattr("sys.argv", ["benchmark", "--out", str(tmp_path), "--seconds", "60"])
        with pytest.raises(SystemExit) as left:
            benchmark.main()
        return left.value.code, capsys.readouterr().out

    return run


def depthwise_timings(step, seconds):
    operation, given = step
    names = {"copy": 1e-6, "toeplitz": seconds, "torch NCHW": 1e-3, "torch NHWC": 1e-3}
    kind = "forward" if operation == "torch.compile" else operation
    return [
        Timing(operation=kind, problem=given, contender=name, samples_s=(taken,) * 5)
        for name, taken in names.items()
    ]


def test_every_problem_is_timed_and_what_was_fastest_can_be_read(scripted, tmp_path, capsys):
    status, said = scripted(depthwise, lambda _, step: depthwise_timings(step, 4e-6), capsys)
    assert status == 0
    # 4 µs are below all goals
    whole = len(list(depthwise.steps()))
    assert said.splitlines()[-1] == f"summary: {whole} of {whole} problems timed, 12 goal reached"
    record = json.loads((tmp_path / "timings.json").read_text())
    assert record["origin"] == "measured nowhere"
    entries = read_choices(tmp_path / "timings.json")
    assert {entry.variant for entry in entries} == {"toeplitz"}
    assert "results:" in said.splitlines()


def test_a_problem_that_crashes_is_named_and_the_others_are_timed(scripted, capsys):
    def timed(i, step):
        return Failed("its process ended with status -9") if i == 1 else depthwise_timings(step, 1)

    status, said = scripted(depthwise, timed, capsys)
    assert status == depthwise.INCOMPLETE
    assert (
        "warning: forward, 14×14, 13 taps, float16: its process ended with status -9"
        in said.splitlines()
    )
    whole = len(list(depthwise.steps()))
    last = f"summary: {whole - 1} of {whole} problems timed, 11 MISSED, 1 not measured"
    assert said.splitlines()[-1] == last


def aggregation_timings(step, seconds):
    operation, given, _ = step
    names = {"copy": 1e-5, "ours": seconds, "unfold": 1e-3, "parts": 1e-3}
    return [
        AggregationTiming(
            operation=operation, problem=given, contender=name, samples_s=(taken,) * 5
        )
        for name, taken in names.items()
    ]


def test_aggregation_is_timed_without_the_problem_whose_kernel_is_wrong(scripted, tmp_path, capsys):
    def timed(i, step):
        return Failed("RuntimeError: wrong") if i == 3 else aggregation_timings(step, 1.1e-5)

    status, said = scripted(aggregation, timed, capsys)
    assert status == aggregation.INCOMPLETE
    assert "warning: backward, 128×28×28, float16: RuntimeError: wrong" in said.splitlines()
    # 1.1 times the floor: three forward, two backward; 90 times torch in three, and as often its
    # parts in three tails, and in two with their convolution
    whole = len(list(aggregation.plan()))
    last = f"summary: {whole - 1} of {whole} problems timed, 13 goal reached, 1 not measured"
    assert said.splitlines()[-1] == last
    timings = json.loads((tmp_path / "aggregation.json").read_text())["timings"]
    # two problems come twice, the second time beside torch's compiler, and count once
    assert len(timings) == 4 * (whole - 1 - 2)


@pytest.mark.parametrize("operation", aggregation.TAILS)
def test_a_tail_that_is_far_from_its_parts_is_not_timed(operation, monkeypatch):
    given = aggregation.problem(16, 5, torch.float32)
    aggregation.check_tail(operation, given, device="cpu")
    contenders = aggregation.tail_contenders

    def wrong(*given, **settings):
        found = contenders(*given, **settings)
        return found | {"ours": lambda *tensors: 1.01 * found["parts"](*tensors)}

    monkeypatch.setattr(aggregation, "tail_contenders", wrong)
    with pytest.raises(RuntimeError, match=r"the tail is 1.0e-02 off its parts, at most 0.005"):
        aggregation.check_tail(operation, given, device="cpu")


CASES = [
    pytest.param(operation, channels_last, id=f"{operation}{'-nhwc' if channels_last else ''}")
    for operation in ("forward", "input_grad", "weight_grad")
    for channels_last in (False, True)
]


@pytest.mark.parametrize(("operation", "channels_last"), CASES)
def test_a_few_channels_tell_whether_a_kernel_is_right(monkeypatch, operation, channels_last):
    monkeypatch.setattr(depthwise, "DEVICE", "cpu")
    given = same_size(
        batch=2, channels=12, size=(6, 5), kernel=(3, 3), dtype="float32",
        channels_last=channels_last,
    )  # fmt: skip

    def by_torch(variant, operation, problem, *tensors):
        return run_variant("torch", operation, problem, *tensors)

    monkeypatch.setattr(depthwise, "run_variant", by_torch)
    assert depthwise.what_is_wrong("direct", operation, given) is None
    for broken in (lambda y: y * (1 + 1e-4), lambda y: y * torch.nan):
        monkeypatch.setattr(
            depthwise, "run_variant", lambda *given, broken=broken: broken(by_torch(*given))
        )
        assert "wrong" in depthwise.what_is_wrong("direct", operation, given)


def test_what_cannot_run_is_not_wrong():
    strided = same_size(batch=1, channels=8, size=(6, 6), kernel=(3, 3), dtype="float64")
    assert depthwise.what_is_wrong("toeplitz", "forward", strided) is None
