"""What a launch compiles to beforehand is what its runs look for."""

import pytest
import torch

pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget
from triton.compiler import CompiledKernel
from triton.runtime import driver

from scaleprof_kernels._aggregate import plan_aggregate
from scaleprof_kernels._kernels import launches
from scaleprof_kernels.check import same_size
from scaleprof_kernels.check_aggregation import aggregation


class NoGpu:
    """Stands for the driver of an H100 that is not there: enough to compile, not to run."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


class Aligned:
    """A tensor as the allocator of torch hands it out."""

    def __init__(self, dtype):
        self.dtype = dtype

    def data_ptr(self):
        return 1 << 20


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Compile for the stand-in into a fresh cache; return how often a starter was asked for."""
    asked = []
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(CompiledKernel, "run", property(asked.append))
    # setting it back would ask for a GPU
    monkeypatch.setattr(driver, "_active", NoGpu())
    return asked


def run(launch):
    """Call the kernel as `Launch.run` does, up to the point where it would start."""
    launch.kernel.device_caches.clear()
    tensors = {name: Aligned(dtype) for name, dtype in launch.pointers.items()}
    given = {**tensors, **launch.integers, **launch.constants, **launch.options}
    return launch.kernel.run(grid=(launch.grid,), warmup=True, **given)


CONVOLUTION = same_size(batch=4, channels=8, size=(14, 14), kernel=(7, 7), dtype=torch.float16)
AGGREGATION = aggregation(batch=3, channels=4, groups=2, size=(5, 3), dtype="float16")


@pytest.mark.parametrize(
    "launch",
    [
        pytest.param(launch, id=f"{v}-{o}")
        for v, o in (("toeplitz", "forward"), ("direct", "input_grad"), ("toeplitz", "weight_grad"))
        for launch in launches(v, o, CONVOLUTION, capability=90)
    ]
    + [pytest.param(plan_aggregate(AGGREGATION), id="aggregate")],
)
def test_a_run_finds_what_was_compiled_for_it(started, tmp_path, launch):
    launch.compile()
    assert len(started) == 1
    known = {path.name for path in tmp_path.iterdir()}
    assert known
    run(launch)
    assert {path.name for path in tmp_path.iterdir()} == known
    launch.kernel.device_caches.clear()
