"""When float32 may be rounded on tensor cores: torch's settings, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scaleprof_kernels
from scaleprof_kernels._choices import choose
from scaleprof_kernels.check import same_size

SETTINGS = [
    pytest.param("", False, id="default"),
    pytest.param("torch.set_float32_matmul_precision('high')", True, id="matmul-high"),
    pytest.param("torch.set_float32_matmul_precision('medium')", True, id="matmul-medium"),
    pytest.param("torch.backends.cuda.matmul.allow_tf32 = True", True, id="matmul-allowed"),
    pytest.param("torch.backends.fp32_precision = 'tf32'", True, id="everywhere"),
    pytest.param("torch.backends.fp32_precision = 'ieee'", False, id="nowhere"),
    pytest.param("torch.backends.cudnn.fp32_precision = 'tf32'", True, id="cudnn"),
    pytest.param("torch.backends.cudnn.allow_tf32 = True", False, id="as-by-default"),
    pytest.param(
        "torch.set_float32_matmul_precision('high'); torch.backends.cudnn.allow_tf32 = False",
        False, id="not-by-cudnn",
    ),
    pytest.param(
        "torch.backends.fp32_precision = 'tf32'; torch.backends.cudnn.conv.fp32_precision = 'ieee'",
        False, id="not-in-convolutions",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "want"), SETTINGS)
def test_float32_is_rounded_only_where_torch_is_asked_for_it(setting, want):
    # the settings of a process cannot all be taken back
    script = (
        f"import torch\n{setting}\nfrom scaleprof_kernels.depthwise_conv2d import _problem\n"
        "print(_problem(torch.ones(1, 1, 4, 4), (3, 3), (1, 1), (1,) * 4, (1, 1)).tf32)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(scaleprof_kernels.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(want)


def test_float32_that_may_be_rounded_runs_on_tensor_cores_and_other_float32_does_not():
    exact = same_size(
        batch=32, channels=384, size=(28, 28), kernel=(13, 13), dtype=torch.float32, tf32=False
    )
    rounded = same_size(
        batch=32, channels=384, size=(28, 28), kernel=(13, 13), dtype=torch.float32, tf32=True
    )
    for operation in ("forward", "input_grad", "weight_grad"):
        assert choose(operation, exact).variant == "direct"
        assert choose(operation, rounded).variant == "toeplitz"
