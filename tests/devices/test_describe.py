import pytest
import torch

from scaleprof.devices.describe import describe_device
from scaleprof.errors import DeviceError


def test_the_cpu_is_described():
    state = describe_device("cpu", libraries=["pytest", "no-such-distribution"])
    assert (state.name, state.device.type, state.device.index) == ("cpu", "cpu", None)
    assert state.device.cores >= 1
    assert state.device.memory_bytes > 2**20
    assert state.versions["torch"] == torch.__version__
    assert "pytest" in state.versions
    # a library that is not installed has no version, rather than a wrong one
    assert "no-such-distribution" not in state.versions
    assert state.flags["threads"] == torch.get_num_threads()


def test_auto_takes_the_accelerator_if_there_is_one():
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    want = "cpu" if accelerator is None else accelerator.type
    assert describe_device("auto").device.type == want


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "cpu cpu"])
def test_a_device_that_is_not_there_is_refused_with_what_is(name):
    with pytest.raises(DeviceError) as caught:
        describe_device(name)
    assert "cpu" in caught.value.hint
