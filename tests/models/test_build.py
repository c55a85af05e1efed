import builtins
import functools
import os
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from scaleprof.errors import ModelError
from scaleprof.models import (
    ConstructorCall,
    build_module,
    check_trusted,
    decode_arguments,
    encode_arguments,
    import_target,
    own_sources,
    parse_reference,
    render,
    resolve_model,
    variant_id,
    wider_call,
)
from scaleprof.models._arithmetic import is_arithmetic
from scaleprof.models._meta import build_on_meta
from scaleprof.records import InputSpec

NETS = str(Path(__file__).with_name("nets.py"))


def resolve(text):
    return resolve_model(parse_reference(text))


def shapes(module):
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def test_a_file_is_loaded_by_its_path_and_built_from_its_arguments():
    call = resolve(f"{NETS}:Net(width=8, depths=(1, 1, 1))").call
    module = build_module(call)
    assert module.stem.out_channels == 8
    assert len(module.stages) == 3


def test_a_module_on_meta_has_the_shapes_of_the_real_one():
    call = resolve(f"{NETS}:Net(width=8)").call
    on_meta = build_module(call, meta=True)
    assert all(p.is_meta for p in on_meta.parameters())
    assert shapes(on_meta) == shapes(build_module(call))


def test_a_copy_that_does_not_fit_fails_on_meta_too():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.empty(4, 6))
            with torch.no_grad():
                self.table.copy_(torch.zeros(4, 5))

    with pytest.raises(RuntimeError):
        build_on_meta(Table)


def test_a_constructor_that_reads_its_tensors_still_builds():
    module = build_module(resolve(f"{NETS}:ReadsItsWeights").call, meta=True)
    assert all(p.is_meta for p in module.parameters())
    assert len(module.layers) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{NETS}:Needs", "needs arguments that were not given: width, depths"),
        (f"{NETS}:Needs(width=8)", "needs arguments that were not given: depths"),
        (f"{NETS}:Net(wide=8)", "has no argument `wide`"),
        (f"{NETS}:Nothing", "has no `Nothing`"),
        (f"{NETS}:CONSTANT", "is not a class or function"),
        ("no/such/file.py:Net", "there is no file"),
        ("no_such_package_here:Net", "there is no module `no_such_package_here`"),
        ("timm:resnet50(pretrained=True)", "asks for weights"),
    ],
)
def test_what_cannot_be_resolved_says_why_and_what_to_do(text, message):
    with pytest.raises(ModelError, match=message):
        resolve(text)


def test_an_unknown_timm_model_names_the_three_nearest():
    pytest.importorskip("timm")
    with pytest.raises(ModelError, match="resnet5o") as caught:
        resolve("timm:resnet5o")
    assert caught.value.hint.count(",") == 1
    assert "resnet50" in caught.value.hint


def test_timm_models_know_their_input():
    pytest.importorskip("timm")
    assert resolve("timm:resnet50").inputs[0].shape == (1, 3, 224, 224)
    assert resolve("timm:test_vit").inputs[0].shape == (1, 3, 160, 160)
    assert resolve("timm:resnet18(in_chans=1)").inputs[0].shape == (1, 1, 224, 224)


def test_what_returns_no_module_is_refused():
    with pytest.raises(ModelError, match="returned int, not a torch module"):
        build_module(resolve(f"{NETS}:not_a_module").call)


ARGUMENTS = {
    "number": 3,
    "float": 0.1,
    "none": None,
    "flag": True,
    "text": "torch.nn:Linear",
    "nested": ((1, 2), [3, {"act": nn.GELU}]),
    "partial": functools.partial(nn.LayerNorm, eps=1e-6),
    "function": nn.functional.gelu,
}


def test_arguments_survive_json():
    import msgspec

    encoded, callables = encode_arguments(ARGUMENTS)
    stored = msgspec.json.decode(msgspec.json.encode(encoded))
    call = ConstructorCall(target="a:b", arguments=stored, callables=callables)
    got = decode_arguments(call)
    partial, want = got.pop("partial"), ARGUMENTS["partial"]
    assert (partial.func, partial.keywords) == (want.func, want.keywords)
    assert got["nested"] == ((1, 2), (3, {"act": nn.GELU}))
    # a string that looks like a name stays a string
    assert got["text"] == "torch.nn:Linear"
    assert got["function"] is nn.functional.gelu
    assert {name: got[name] for name in ("number", "float", "none", "flag")} == {
        "number": 3, "float": 0.1, "none": None, "flag": True,
    }  # fmt: skip


def test_configuration_objects_survive_json():
    import msgspec

    stage, wide, options = (
        import_target(f"{NETS}:{name}") for name in ("Stage", "Wide", "Options")
    )
    arguments = {
        "stages": [stage(8, 2), stage(16, 1, act=nn.GELU)],
        "head": wide(hidden=3),
        "options": options(stem=5),
    }
    encoded, callables = encode_arguments(arguments)
    stored = msgspec.json.decode(msgspec.json.encode(encoded))
    got = decode_arguments(ConstructorCall(target="a:b", arguments=stored, callables=callables))
    assert got["stages"] == tuple(arguments["stages"])
    assert got["head"] == arguments["head"]
    assert vars(got["options"]) == vars(arguments["options"])


def test_lists_stay_lists_where_they_are_kept():
    arguments = {"blocks": [[1], (2, [3])]}
    encoded, callables = encode_arguments(arguments, keep_lists=True)
    call = ConstructorCall(target="a:b", arguments=encoded, callables=callables)
    assert decode_arguments(call) == arguments
    assert render(call)[1] == "a.b(blocks=[[1], (2, [3])])"


@pytest.mark.parametrize(
    "value", [lambda x: x, torch.zeros(1), {1: 2}, object(), functools.partial(nn.Linear, 3)]
)
def test_arguments_without_a_stored_form_are_refused(value):
    with pytest.raises(ModelError, match=r"argument|imported"):
        encode_arguments({"x": [value]})


def test_the_rendered_call_builds_the_same_model():
    call = ConstructorCall(
        target="torch.nn:TransformerEncoderLayer",
        arguments={"d_model": 8, "nhead": 2, "activation": "torch.nn.functional:gelu"},
        callables=("activation",),
    )
    call = ConstructorCall(
        target=call.target,
        arguments=call.arguments | {"activation": "torch._C._nn:gelu"},
        callables=call.callables,
    )
    imports, expression = render(call)
    scope: dict[str, object] = {}
    for line in imports:
        exec(line, scope)
    assert shapes(eval(expression, scope)) == shapes(build_module(call))


def test_identifiers_depend_on_call_and_input_alone():
    call = ConstructorCall(target="a:b", arguments={"width": (1, 2)})
    same = ConstructorCall(target="a:b", arguments={"width": [1, 2]})
    other = ConstructorCall(target="a:b", arguments={"width": (1, 3)})
    inputs = [InputSpec(shape=(1, 3, 8, 8))]
    assert variant_id(call, inputs) == variant_id(same, inputs)
    assert variant_id(call, inputs) == variant_id(
        call, [InputSpec(shape=(64, 3, 8, 8), dtype="float16")]
    )
    assert variant_id(call, inputs) != variant_id(other, inputs)
    assert variant_id(call, inputs) != variant_id(call, [InputSpec(shape=(1, 3, 9, 9))])


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear", arguments={"in_features": 2, "out_features": 2}
            ),
            id="module-class",
        ),
        pytest.param(
            ConstructorCall(target="timm:create_model", arguments={"model_name": "resnet18"}),
            id="timm-model",
        ),
        pytest.param(
            ConstructorCall(target="torchvision.models.resnet:resnet18"), id="torchvision-builder"
        ),
        pytest.param(
            ConstructorCall(
                target="timm.models.convnext:ConvNeXt",
                arguments={"norm_layer": "timm.layers.norm:LayerNorm2d"},
                callables=("norm_layer",),
            ),
            id="class-argument",
        ),
        pytest.param(
            ConstructorCall(
                target="timm.models.regnet:RegNet",
                arguments={
                    "cfg": {"class": "timm.models.regnet:RegNetCfg", "keywords": {"depth": 9}}
                },
                callables=("cfg",),
            ),
            id="dataclass-argument",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Sequential",
                arguments={
                    "layer": {
                        "class": "torch.nn:Linear",
                        "keywords": {"in_features": 1, "out_features": 1},
                    }
                },
                callables=("layer",),
            ),
            id="module-argument",
        ),
    ],
)
def test_models_of_known_libraries_are_trusted(call):
    check_trusted(call)


def test_a_folder_named_like_a_library_is_not_that_library(tmp_path, monkeypatch):
    package = tmp_path / "diffusers"
    package.mkdir()
    mark = tmp_path / "mark"
    (package / "__init__.py").write_text(f"open({str(mark)!r}, 'w')")
    (package / "evil.py").write_text("from torch.nn import Linear as Net")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError):
        check_trusted(ConstructorCall(target="diffusers.evil:Net"))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["a b", "a;b", "__import__('os')", "1a"])
def test_a_call_that_is_no_python_name_is_never_shown_as_one(name):
    with pytest.raises(ModelError):
        render(ConstructorCall(target=f"torch.nn:{name}"))
    with pytest.raises(ModelError):
        render(ConstructorCall(target="torch.nn:Linear", arguments={name: 1}))


def test_a_file_named_like_a_module_replaces_nothing(tmp_path):
    import random

    path = tmp_path / "random.py"
    path.write_text("from torch import nn\ndef make(): return nn.Linear(1, 1)\n")
    assert build_module(resolve(f"{path}:make").call).in_features == 1
    assert sys.modules["random"] is random


def test_a_file_that_failed_to_load_fails_again(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import torch\nraise ValueError('broken')")
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            resolve(f"{path}:Net")


def test_the_call_of_a_model_in_a_file_can_be_pasted():
    call = resolve(f"{NETS}:Net(width=8)").call
    imports, expression = render(call)
    scope: dict[str, object] = {}
    for line in imports:
        exec(line, scope)
    assert shapes(eval(expression, scope)) == shapes(build_module(call))


def test_functions_that_only_compute_are_told_from_others():
    pytest.importorskip("timm")
    rounds = import_target("timm.models._efficientnet_builder:round_channels")
    assert is_arithmetic(rounds)
    loads = import_target("timm.models:load_checkpoint")
    for function in (loads, os.system, eval, lambda: __import__("os"), lambda x: x.y, torch.load):
        assert not is_arithmetic(function)


RESNET = ConstructorCall(target="torchvision.models.resnet:resnet18")


def test_wider_layers_are_trusted_as_far_as_what_they_wrap():
    pytest.importorskip("torchvision")
    check_trusted(wider_call(RESNET, 2.0, inputs=3, outputs=1000))
    for target in ("os:system", "nets.py:Net", "torch.hub:load"):
        call = wider_call(ConstructorCall(target=target), 2.0, inputs=3, outputs=10)
        with pytest.raises(ModelError, match="without your consent"):
            build_module(call, trust=False)
    loading = ConstructorCall(target=RESNET.target, arguments={"weights": "DEFAULT"})
    with pytest.raises(ModelError, match="can load files"):
        check_trusted(wider_call(loading, 2.0, inputs=3, outputs=1000))
    unnamed = ConstructorCall(
        target="scaleprof.models.scaled:build_scaled", arguments={"builder": "os:system"}
    )
    with pytest.raises(ModelError, match="not of the form"):
        check_trusted(unnamed)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            ConstructorCall(target="os:system", arguments={"command": "true"}), id="another-package"
        ),
        pytest.param(
            ConstructorCall(target="torch:os.system", arguments={"command": "true"}),
            id="through-an-attribute",
        ),
        pytest.param(ConstructorCall(target="torch.hub:load"), id="function-of-a-known-package"),
        pytest.param(ConstructorCall(target="torch:load", arguments={"f": "x"}), id="unpickling"),
        pytest.param(ConstructorCall(target="builtins:eval"), id="eval"),
        pytest.param(ConstructorCall(target="nets.py:Net"), id="a-file"),
        pytest.param(ConstructorCall(target="torch.py:Net"), id="a-file-named-like-a-package"),
        pytest.param(
            ConstructorCall(target="timm:create_model", arguments={"model_name": "hf-hub:a/b"}),
            id="hub-model",
        ),
        pytest.param(
            ConstructorCall(target="timm:create_model", arguments={"model_name": "local-dir:/tmp"}),
            id="local-checkpoint",
        ),
        pytest.param(
            ConstructorCall(
                target="timm:create_model",
                arguments={"model_name": "resnet18", "checkpoint_path": "x"},
            ),
            id="checkpoint",
        ),
        pytest.param(
            ConstructorCall(
                target="timm:create_model", arguments={"model_name": "resnet18", "pretrained": True}
            ),
            id="pretrained",
        ),
        pytest.param(
            ConstructorCall(
                target="timm:create_model",
                arguments={"model_name": "resnet18", "act_layer": "os:system"},
                callables=("act_layer",),
            ),
            id="callable-argument",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear",
                arguments={"device": {"functools.partial": "os:system", "keywords": {}}},
                callables=("device",),
            ),
            id="partial-argument",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear",
                arguments={"device": {"class": "os:system", "keywords": {"command": "true"}}},
                callables=("device",),
            ),
            id="object-of-another-package",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear",
                arguments={"device": {"class": "torch:load", "keywords": {"f": "x"}}},
                callables=("device",),
            ),
            id="object-that-is-no-record",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear",
                arguments={"device": [{"class": "torch.optim:SGD", "keywords": {"lr": 1}}]},
                callables=("device.0",),
            ),
            id="object-inside-a-list",
        ),
        pytest.param(
            ConstructorCall(target="torchvision.io:read_file", arguments={"path": "x"}),
            id="reads-a-file",
        ),
        pytest.param(ConstructorCall(target="timm.models:load_checkpoint"), id="loads"),
        pytest.param(
            ConstructorCall(
                target="timm.layers.mlp:Mlp",
                arguments={
                    "in_features": 2,
                    "act_layer": {
                        "functools.partial": "torch.nn.functional:torch.os.system",
                        "keywords": {"command": "true"},
                    },
                },
                callables=("act_layer",),
            ),
            id="callable-through-an-attribute",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear",
                arguments={"device": "torch.nn.functional:importlib"},
                callables=("device",),
            ),
            id="module-as-callable",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear", arguments={"device": 3}, callables=("device",)
            ),
            id="callable-that-is-a-number",
        ),
        pytest.param(
            ConstructorCall(
                target="torch.nn:Linear",
                arguments={"device": {"functools.partial": "torch.nn:ReLU"}},
                callables=("device",),
            ),
            id="partial-without-keywords",
        ),
    ],
)
def test_nothing_else_is_called_without_consent(call):
    with pytest.raises(ModelError):
        build_module(call, trust=False)


def test_a_file_in_a_folder_finds_its_neighbours_and_is_run_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "sizes_nearby.py").write_text("OUT = 5\n")
    (folder / "net.py").write_text(
        "from torch import nn\nimport sizes_nearby\n"
        "class Cfg:\n    def __init__(self, width=2): self.width = width\n"
        "class Net(nn.Linear):\n    def __init__(self, cfg=None):\n"
        "        cfg = cfg if isinstance(cfg, Cfg) else Cfg()\n"
        "        super().__init__(cfg.width, sizes_nearby.OUT)\n"
    )
    call = ConstructorCall(
        target="nets/net.py:Net",
        arguments={"cfg": {"class": "nets/net.py:Cfg", "keywords": {"width": 3}}},
        callables=("cfg",),
    )
    imports, expression = render(call)
    space = {}
    monkeypatch.setattr("sys.path", [*sys.path])
    exec("\n".join([*imports, f"net = {expression}"]), space)
    assert tuple(space["net"].weight.shape) == (5, 3)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_survives_json_and_can_be_pasted(value):
    arguments, callables = encode_arguments({"limits": (0.0, value)})
    stored = msgspec.json.decode(msgspec.json.encode(arguments))
    call = ConstructorCall(target="builtins:dict", arguments=stored, callables=callables)
    assert decode_arguments(call) == {"limits": (0.0, value)}
    assert eval(render(call)[1], {"builtins": builtins}) == {"limits": (0.0, value)}


@pytest.mark.parametrize(
    "keywords",
    [
        {"use_pretrained_backbone": True},
        {"nested": {"checkpoint_path": "x.pth"}},
        {"listed": [{"architecture": "hf-hub:someone/something"}]},
    ],
)
def test_what_loads_is_refused_however_deep_it_is(keywords):
    call = ConstructorCall(
        target="torch.nn:Linear",
        arguments={
            "device": {"class": "timm.models.regnet:RegNetCfg", "keywords": keywords},
            "in_features": 1,
        },
        callables=("device",),
    )
    with pytest.raises(ModelError, match="can load files"):
        check_trusted(call)


def test_sources_are_a_users_files_and_the_versions_of_what_they_bring(tmp_path, monkeypatch):
    (tmp_path / "beside_it.py").write_text("")
    (tmp_path / "own_net.py").write_text("import beside_it\n")
    monkeypatch.chdir(tmp_path)
    before = frozenset(sys.modules)
    import_target("own_net.py:__name__")
    found = [Path(file).name for file in own_sources(before)]
    assert {"own_net.py", "beside_it.py"} <= set(found)
    # what an installed library lends is known by its version
    assert not any("site-packages" in file and file.endswith(".py") for file in own_sources(()))


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "mnasnet0_5"])
def test_a_function_that_hides_its_module_can_be_pasted(name):
    pytest.importorskip("torchvision")
    imports, expression = render(resolve(f"torchvision:{name}").call)
    space = {}
    with torch.device("meta"):
        exec("\n".join([*imports, f"net = {expression}"]), space)
    assert isinstance(space["net"], nn.Module)
