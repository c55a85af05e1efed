"""Layers made from those before them are what their own constructors make."""

import gc
from typing import ClassVar

import pytest
import torch
from torch import nn

from scaleprof.models import ConstructorCall, build_module, no_collection
from scaleprof.models._meta import build_on_meta
from scaleprof.models._same_layers import _TEMPLATES

LAYERS = [
    lambda: nn.Conv2d(6, 8, 3, stride=2, groups=2, bias=False),
    lambda: nn.Conv1d(6, 8, 3, padding="same", padding_mode="circular"),
    lambda: nn.ConvTranspose2d(6, 8, 3, output_padding=1, stride=2),
    lambda: nn.Linear(6, 8),
    lambda: nn.Linear(6, 8, bias=False, dtype=torch.float16),
    lambda: nn.BatchNorm2d(6),
    lambda: nn.BatchNorm1d(6, affine=False, track_running_stats=False),
    lambda: nn.InstanceNorm2d(6),
    lambda: nn.GroupNorm(3, 6),
    lambda: nn.LayerNorm((6, 2), eps=1e-3),
    lambda: nn.LayerNorm(6, elementwise_affine=False),
]


def described(module):
    """All that a module is, with tensors as their types, shapes and strides."""

    def tensors(held):
        return {
            name: None
            if t is None
            else (type(t), t.shape, t.stride(), t.dtype, t.device, t.requires_grad)
            for name, t in held.items()
        }

    own = dict(module.__dict__)
    return {
        **own,
        "type": type(module),
        "_parameters": tensors(own["_parameters"]),
        "_buffers": tensors(own["_buffers"]),
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_the_same_however_often_it_was_built(layer):
    _TEMPLATES.clear()
    with torch.device("meta"):
        real = layer()
    first, second = build_on_meta(layer), build_on_meta(layer)
    assert described(first) == described(second) == described(real)
    assert list(first.__dict__) == list(real.__dict__)
    assert list(second.state_dict()) == list(real.state_dict())


def test_layers_share_no_weights_and_no_containers():
    first, second = build_on_meta(lambda: [nn.BatchNorm2d(6), nn.BatchNorm2d(6)])
    assert first.weight is not second.weight
    storages = {
        t.untyped_storage()._cdata for m in (first, second) for t in m.state_dict().values()
    }
    assert len(storages) == 10
    first.register_buffer("extra", None)
    first.register_forward_hook(print)
    assert "extra" not in second._buffers
    assert not second._forward_hooks


def test_what_torch_refuses_is_refused_after_a_layer_that_looks_equal():
    build_on_meta(lambda: nn.Linear(6, 8))
    with pytest.raises(TypeError):
        build_on_meta(lambda: nn.Linear(6, 8.0))


def test_a_layer_of_another_default_type_is_another():
    build_on_meta(lambda: nn.Linear(6, 8))
    torch.set_default_dtype(torch.float64)
    try:
        assert build_on_meta(lambda: nn.Linear(6, 8)).weight.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


class Marked(nn.Linear):
    """A layer that does more with its weights than torch's."""

    marks: ClassVar[list[str]] = []

    def reset_parameters(self):
        self.marks.append("reset")
        self.scale = 2.0


def test_a_subclass_that_does_more_is_left_to_itself():
    built = build_on_meta(lambda: [Marked(6, 8) for _ in range(3)])
    assert Marked.marks == ["reset"] * 3
    assert all(layer.scale == 2.0 for layer in built)


def test_layers_on_the_cpu_inside_a_model_stay_there():
    def build():
        with torch.device("cpu"):
            on_cpu = nn.Linear(6, 8)
        return nn.ModuleList([nn.Linear(6, 8), on_cpu, nn.Linear(6, 8, device="cpu")])

    for _ in range(2):
        assert [layer.weight.device.type for layer in build_on_meta(build)] == [
            "meta",
            "cpu",
            "cpu",
        ]


def test_constructors_are_torchs_own_afterwards():
    inits = [cls.__init__ for cls in (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm)]
    build_module(
        ConstructorCall(target="torch.nn:Linear", arguments={"in_features": 2, "out_features": 3}),
        meta=True,
    )
    with pytest.raises(TypeError):
        build_module(ConstructorCall(target="torch.nn:Linear", arguments={}), meta=True)
    assert inits == [c.__init__ for c in (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm)]


def test_collection_is_as_it_was_afterwards():
    with pytest.raises(ZeroDivisionError), no_collection():
        assert 1 / int(gc.isenabled())
    assert gc.isenabled()
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
