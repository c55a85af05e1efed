"""The command line as a user runs it: a process of its own, its streams and its exit status."""

import json
import os
from pathlib import Path

import pytest
from commands import run
from factories import report, variant
from jsonschema import Draft202012Validator

from scaleprof.records import InputSpec, replace
from scaleprof.reports import write_json

COMMANDS = (
    "profile", "select", "build", "measure", "check", "report", "fit", "count", "knobs", "scale",
    "devices", "schema", "kernels",
)  # fmt: skip
NETS = str(Path(__file__).parents[1] / "models" / "nets.py")


def fails(done, status, message):
    """One line of error, perhaps a hint, nothing on stdout, no traceback."""
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line]
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2
    assert all(line.startswith("hint: ") for line in lines[1:])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A report with a base that trusted code builds, and one variant."""
    path = tmp_path_factory.mktemp("reports") / "report.json"
    write_json(
        report(
            variant("base", latency_s=0.010, top1=70.0, strategies=("w", "d")),
            variant("a1b2c3d4e5", latency_s=0.018, top1=75.0),
        ),
        str(path),
    )
    return str(path)


def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_a_mistyped_option_is_a_usage_error():
    done = run("profile", "timm:resnet18", "--buget", "latency<=5ms")
    assert done.returncode == 2
    assert "--buget" in done.stderr
    assert "Traceback" not in done.stderr


def test_counts_go_to_a_file_and_a_table(tmp_path):
    path = tmp_path / "counts.json"
    done = run("count", f"{NETS}:Net", f"{NETS}:prints", "--input", "3x32x32", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout
    # what the constructor printed is nowhere
    assert "hello" not in done.stdout + done.stderr
    content = json.loads(path.read_text())
    assert content["schema"] == "scaleprof.counts/1"
    first = content["models"][0]
    for field in (
        "model", "input_shape", "params", "weight_bytes", "macs", "flops", "activations",
        "activation_bytes", "traffic_bytes", "peak_bytes", "coverage",
    ):  # fmt: skip
        assert field in first
    assert first["coverage"]["status"] == "complete"
    assert first["input_shape"] == [1, 3, 32, 32]


def test_json_on_standard_output_is_all_there_is(tmp_path):
    done = run("count", f"{NETS}:Net", "--input", "3x32x32", "--json", "-")
    assert json.loads(done.stdout)["failures"] == []


def test_a_count_of_several_writes_what_it_can_and_fails():
    done = run("count", f"{NETS}:Net", f"{NETS}:raises", "--input", "3x32x32", "--json", "-")
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert [model["model"] for model in content["models"]] == [f"{NETS}:Net"]
    assert "width must be even" in content["failures"][0]["reason"]


def test_a_count_of_one_that_fails_is_bad_input():
    fails(run("count", f"{NETS}:exits", "--input", "3x32x32"), 2, "called exit with status 7")


def test_costs_by_module_are_shown_when_asked_for():
    done = run("count", f"{NETS}:Net", "--input", "3x32x32", "--modules", "1")
    assert "stages" in done.stdout
    assert "ModuleList" not in run("count", f"{NETS}:Net", "--input", "3x32x32").stdout


def test_select_solves_from_the_file_and_writes_the_choice(recorded, tmp_path):
    path = tmp_path / "selected.json"
    done = run("select", recorded, "--budget", "latency<=20ms", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert "torch.nn.Linear(in_features=2, out_features=3)" in done.stdout
    content = json.loads(path.read_text())
    assert content["selection"]["variant"] == "a1b2c3d4e5"
    assert content["selection"]["verified"] is None


def test_select_names_the_nearest_miss(recorded):
    done = run("select", recorded, "--budget", "latency<=1ms")
    fails(done, 1, "the nearest, the base, has 10.0 ms")


def test_select_reads_standard_input(recorded):
    report = Path(recorded).read_text()
    done = run("select", "-", "--budget", "latency<=20ms", stdin=report)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "latency>=5ms"], "makes no sense"),
        (["--budget", "throughput<=10/s"], "makes no sense"),
        (["--budget", "latency"], "is not a budget"),
        (["--budget", "energy<=2x"], "unknown"),
        ([], "there is no budget"),
    ],
)
def test_a_bad_budget_is_bad_input(recorded, arguments, message):
    fails(run("select", recorded, *arguments), 2, message)


def test_a_file_that_is_no_report_is_bad_input(tmp_path):
    fails(run("select", __file__, "--budget", "latency<=5ms"), 2, "not a scaleprof report")
    fails(run("select", "no-such.json", "--budget", "latency<=5ms"), 2, "cannot read")
    fails(run("build", str(tmp_path)), 2, "cannot read")


def test_build_prints_the_call_and_checks_it(tmp_path, recorded):
    done = run("build", recorded, "--variant", "base")
    assert done.returncode == 2  # torch.nn.Linear(2, 3) does not take an image
    fails(run("build", recorded), 2, "no selection")
    fails(run("build", recorded, "--variant", "nope"), 2, "no variant `nope`")


def test_nothing_from_a_report_is_called_without_consent(tmp_path):
    mark = tmp_path / "mark"
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(mark)!r}, 'w')\ndef Net(): pass\n")
    base = variant("base", latency_s=0.01, top1=70.0)
    recipe = replace(base.recipe, target="evil.py:Net", arguments={}, call="evil.Net()")
    path = tmp_path / "report.json"
    write_json(report(replace(base, recipe=recipe)), str(path))
    done = run("build", "report.json", "--variant", "base", cwd=tmp_path)
    assert done.returncode == 2
    assert "consent" in done.stderr
    assert not mark.exists()
    run("build", "report.json", "--variant", "base", "--trust", cwd=tmp_path)
    assert mark.exists()


def test_build_shows_what_it_builds_whatever_the_report_says(tmp_path):
    base = variant("base", latency_s=0.01, top1=70.0)
    cost = replace(base.cost, inputs=(InputSpec(shape=(1, 2)),))
    recipe = replace(base.recipe, call="__import__('os').system('true')", imports=("import evil",))
    path = tmp_path / "report.json"
    write_json(report(replace(base, recipe=recipe, cost=cost)), str(path))
    done = run("build", str(path), "--variant", "base")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "import torch.nn",
        "torch.nn.Linear(in_features=2, out_features=3)",
    ]
    assert "builds: 9.00 parameters" in done.stderr


def test_a_file_in_the_working_directory_shadows_no_installed_module(tmp_path):
    for name in ("random.py", "torch.py", "msgspec.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')")
    done = run("count", f"{NETS}:Net", "--input", "3x32x32", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["profile", "measure"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(command):
    done = run(command, f"{NETS}:hangs", "--json", "no/such/folder/r.json", timeout=60)
    fails(done, 2, "cannot write")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (f"{NETS}:raises", "raised ValueError: width must be even"),
        (f"{NETS}:exits", "called exit with status 7"),
        (f"{NETS}:crashes", "SIGSEGV"),
        (f"{NETS}:Needs", "needs arguments"),
        ("nothing", "not a model reference"),
    ],
)
def test_a_model_that_misbehaves_writes_no_report(model, message, tmp_path):
    path = tmp_path / "report.json"
    done = run("profile", model, "--input", "3x32x32", "--device", "cpu", "--json", str(path))
    fails(done, 2, message)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_says_how_to_install_it(tmp_path):
    (tmp_path / "timm").mkdir()
    # a package that is not importable stands for one that is not installed
    (tmp_path / "timm" / "__init__.py").write_text("raise ModuleNotFoundError('no', name='timm')")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    fails(run("count", "timm:resnet18", env=environment), 2, "pip install timm")


def test_schemas_are_valid_and_versioned():
    for kind in ("report", "counts", "check"):
        schema = json.loads(run("schema", kind).stdout)
        Draft202012Validator.check_schema(schema)
        assert f"scaleprof.{kind}/1" in json.dumps(schema)


def test_knobs_are_printed_and_written(tmp_path):
    path = tmp_path / "knobs.json"
    done = run("knobs", f"{NETS}:configured", "--input", "3x32x32", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert "stages[*].channels" in done.stdout
    content = json.loads(path.read_text())
    assert content["schema"] == "scaleprof.knobs/1"
    assert content["axes"]["depth"]["arguments"] == ["stages[*].blocks"]
    Draft202012Validator(json.loads(run("schema", "knobs").stdout)).validate(content)


def test_an_axis_that_is_not_there_is_printed_with_its_reason():
    done = run("knobs", f"{NETS}:Fixed", "--input", "3x8x8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("none") >= 3
    assert "does not run on an input of another size" in done.stdout


def test_one_variant_is_scaled_by_a_strategy_or_by_hand():
    net = (f"{NETS}:Net", "--input", "3x64x64", "--json", "-")
    by_strategy = json.loads(run("scale", *net, "--strategy", "w", "--multiplier", "4").stdout)
    assert by_strategy["recipe"]["achieved_multiplier"] > 3.5
    by_hand = json.loads(run("scale", *net, "--width", "2", "--set", "num_classes=3").stdout)
    assert by_hand["recipe"]["call"].endswith("['Net'](num_classes=3, width=32)")
    assert by_hand["recipe"]["nominal"]["width"] == 2.0
    assert by_hand["cost"]["params"] > 0
    Draft202012Validator(json.loads(run("schema", "scaled").stdout)).validate(by_hand)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param((), "there is nothing to scale", id="nothing"),
        pytest.param(("--strategy", "w"), "go together", id="no-multiplier"),
        pytest.param(
            ("--strategy", "w", "--multiplier", "2", "--depth", "2"), "do not go", id="both"
        ),
        pytest.param(("--set", "width"), "is not a setting", id="setting"),
        pytest.param(("--width", "-1"), "must be positive", id="negative"),
        pytest.param(("--strategy", "q", "--multiplier", "2"), "unknown strategy", id="strategy"),
    ],
)
def test_what_cannot_be_scaled_is_said_in_one_line(options, message):
    fails(run("scale", f"{NETS}:Net", "--input", "3x32x32", *options), 2, message)


@pytest.mark.parametrize("command", ["check", "bench"])
def test_the_kernels_need_a_gpu_and_say_so(command):
    done = run("kernels", command, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    fails(done, 2, f"`kernels {command}` needs a GPU that torch's CUDA can use, found none")


def test_the_kernels_are_checked_without_a_gpu_in_the_interpreter():
    done = run("kernels", "check", "--interpret")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert {(kernel, operation) for kernel, operation, *_ in rows} == {
        (kernel, operation)
        for kernel in ("toeplitz", "direct", "aggregate")
        for operation in ("forward", "input_grad", "weight_grad")
    }
    assert all(int(problems) > 0 and failed == "0" for _, _, problems, failed, *_ in rows)


def test_the_interpreter_does_not_take_the_full_check():
    fails(run("kernels", "check", "--interpret", "--full"), 2, "exclude each other")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--taps", "0x3"), "`--taps` must be positive sizes joined by x, got `0x3`"),
        (("--images", "3x224x224"), "`--images` must be positive sizes joined by x"),
        (("--stride", "0"), "`--stride` and `--dilation` start at 1, got 0 and 1"),
    ],
)
def test_sizes_for_a_benchmark_are_checked_before_the_gpu(arguments, message):
    fails(run("kernels", "bench", *arguments), 2, message)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--resolution", "-64"), "must be positive, got -64"),
        (("--set", "width=1j"), "is no number of 64 bits"),
        (("--set", f"width={10**30}"), "is no number of 64 bits"),
    ],
)
def test_values_that_nothing_can_be_scaled_to_are_refused(option, message):
    done = run("scale", f"{NETS}:Net", "--input", "3x32x32", *option)
    assert done.returncode == 2
    assert message in done.stderr
