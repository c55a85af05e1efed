"""Numbers in the code of constructors: found, replaced for a while, and put back."""

from pathlib import Path

import pytest
from torch import nn

from scaleprof.errors import ModelError
from scaleprof.models import (
    ConstructorCall,
    build_module,
    call_with_constants,
    check_trusted,
    import_target,
    render,
)
from scaleprof.models.scaled import build_scaled, find_constants

NETS = str(Path(__file__).with_name("coded_nets.py"))
Literal, Defaults, Decorated = (
    import_target(f"{NETS}:{name}") for name in ("Literal", "Defaults", "Decorated")
)

# a call that leaves a file behind
TOUCH = {"class": "os:system", "keywords": {"command": "touch ran"}}
ANNOTATED = """
from __future__ import annotations
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        def wide(size: Unknown) -> Unknown:
            return nn.Linear(8, size)
        self.layer = wide(96)
"""


def test_literals_and_defaults_that_nobody_gives_are_found():
    # strides, kernels and depths are too small to be channels; arguments of the net are none
    assert find_constants(Literal, Literal) == {
        "Literal": {"(32, 64, 64)": (32, 64, 64), "(96)": 96}
    }
    found = find_constants(Defaults, Defaults)
    # the patch of 8 is a literal as well
    assert found["Attention"] == {"key_dim": 32, "resolution": 4, "num_heads": 2}
    assert found["Defaults"] == {"(8)": 8}


def test_defaults_that_are_given_are_arguments_already():
    attention = import_target(f"{NETS}:Attention")
    found = find_constants(Defaults, lambda: nn.Sequential(attention(32, 16, num_heads=2)))
    assert found == {"Attention": {"resolution": 4}}


def test_other_numbers_build_what_the_author_would_have_built():
    wider = build_scaled(
        Literal, constants={"Literal": {"(32, 64, 64)": (48, 96, 96), "(96)": 144}}
    )
    assert [m.out_channels for m in wider.layers if isinstance(m, nn.Conv2d)] == [48, 96, 96]
    assert (wider.neck.out_channels, wider.head.in_features) == (144, 144)
    deeper = build_scaled(
        Defaults, constants={"Attention": {"key_dim": 48, "resolution": 6}}, arguments={"depth": 1}
    )
    assert deeper.blocks[0].qkv.out_features == 288
    assert deeper.blocks[0].bias.shape == (36, 36)


def test_constructors_are_what_they_were_afterwards():
    def sizes():
        return [tuple(p.shape) for net in (Literal(), Defaults()) for p in net.parameters()]

    before = sizes()
    build_scaled(Literal, constants={"Literal": {"(96)": 144}})
    build_scaled(Defaults, constants={"Attention": {"key_dim": 48, "resolution": 6}})
    assert sizes() == before
    with pytest.raises(ZeroDivisionError):
        build_scaled(lambda: 1 / 0, constants={f"{NETS}:Attention": {"resolution": 6}})
    assert sizes() == before


def test_a_decorated_constructor_is_left_alone():
    assert find_constants(Decorated, Decorated) == {}


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        pytest.param({"Nothing": {"(96)": 1}}, "`Nothing` is no module class beside", id="class"),
        pytest.param({"Literal": {"(97)": 1}}, r"no number `\(97\)`", id="literal"),
        pytest.param({"Attention": {"dim": 1}}, "no number `dim`", id="no-default"),
        pytest.param(
            {"Decorated": {"features": 96}}, "no number `features`", id="of-what-it-wraps"
        ),
        pytest.param({"Literal": {"(96)": 0}}, "must stay whole and positive, got 0", id="zero"),
        pytest.param({"Literal": {"(96)": 9.5}}, "whole and positive, got 9.5", id="fraction"),
        pytest.param({"Literal": {"(96)": (9, 9)}}, r"got \(9, 9\)", id="several-for-one"),
        pytest.param({"Literal": {"(32, 64, 64)": (9, 9)}}, r"got \(9, 9\)", id="too-few"),
    ],
)
def test_numbers_that_are_not_there_are_refused(constants, message):
    with pytest.raises(ModelError, match=message):
        build_scaled(Literal, constants=constants)


def test_the_call_of_a_file_is_pasted_with_names_from_the_file():
    call = call_with_constants(
        ConstructorCall(target=f"{NETS}:Literal"), {"Literal": {"(96)": 144}}
    )
    imports, expression = render(call)
    assert "constants={'Literal': {'(96)': 144}}" in expression
    scope: dict[str, object] = {}
    for line in imports:
        exec(line, scope)
    assert eval(expression, scope).neck.out_channels == 144
    assert build_module(call, meta=True).neck.out_channels == 144


def test_numbers_are_changed_without_consent_in_trusted_packages_only():
    pytest.importorskip("timm")
    builder = ConstructorCall(target="timm:create_model", arguments={"model_name": "resnet18"})
    check_trusted(call_with_constants(builder, {"timm.layers.mlp:Mlp": {"(64)": 8}}))
    for name in ("os:system", "nets.py:Net", "timm.models:load_checkpoint", f"{NETS}:Literal"):
        with pytest.raises(ModelError, match="without your consent"):
            check_trusted(call_with_constants(builder, {name: {"(64)": 8}}))
    with pytest.raises(ModelError, match="without your consent"):
        check_trusted(call_with_constants(ConstructorCall(target=f"{NETS}:Literal"), {}))
    unreadable = {**call_with_constants(builder, {}).arguments, "constants": ["Mlp"]}
    odd = ConstructorCall(
        target="scaleprof.models.scaled:build_scaled", arguments=unreadable, callables=("builder",)
    )
    with pytest.raises(ModelError, match="no mapping"):
        check_trusted(odd)


@pytest.mark.parametrize(
    ("added", "path"),
    [
        pytest.param({"width": TOUCH}, "width", id="width"),
        pytest.param(
            {"constants": {"torch.nn:Linear": TOUCH}}, "constants.torch.nn:Linear", id="constants"
        ),
        pytest.param({"blocks": [TOUCH]}, "blocks.0", id="blocks"),
        pytest.param({"arguments": TOUCH}, "arguments", id="arguments"),
    ],
)
def test_only_what_the_inner_call_shows_is_called(tmp_path, monkeypatch, added, path):
    monkeypatch.chdir(tmp_path)
    arguments = {"builder": "torch.nn:Linear", "arguments": {"in_features": 8, "out_features": 8}}
    call = ConstructorCall(
        target="scaleprof.models.scaled:build_scaled",
        arguments={**arguments, **added},
        callables=("builder", path),
    )
    with pytest.raises(ModelError, match="without your consent"):
        build_module(call, trust=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_annotations_are_not_evaluated_stays_so(tmp_path):
    path = tmp_path / "annotated.py"
    path.write_text(ANNOTATED)
    call = call_with_constants(ConstructorCall(target=f"{path}:Net"), {"Net": {"(96)": 144}})
    assert build_module(call).layer.out_features == 144
