"""What is tried where no plain argument turns an axis."""

import ast
from pathlib import Path

import pytest
import torch

import scaleprof
from scaleprof.errors import ModelError, RecipeError
from scaleprof.knobs import find_knobs, resolve_factors, resolve_strategy
from scaleprof.models import (
    OWN_MODELS,
    build_module,
    call_of,
    parse_inputs,
    parse_reference,
    resolve_model,
)

NETS = str(Path(__file__).parents[1] / "models" / "nets.py")
AXES = ("width", "depth", "resolution")


def knobs_of(model, *inputs):
    resolved = resolve_model(parse_reference(model))
    return find_knobs(model, resolved, parse_inputs(inputs) or resolved.inputs)


def test_blocks_with_names_of_their_own_are_repeated():
    knobs = knobs_of(f"{NETS}:Named", "3x32x32")
    assert knobs.axes["depth"].base["blocks"] == ["first", "second", "third"]
    assert knobs.axes["depth"].base["rows"] == [2, 1]
    variant = resolve_factors(knobs, depth=2.0)
    # six residual blocks of two layers, and the three other layers
    module = build_module(call_of(variant.recipe))
    assert sum(isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for m in module.modules()) == 15
    assert variant.recipe.achieved["depth"] == 2.0
    assert module(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_fewer_blocks_than_one_to_a_row_are_not_to_be_had():
    knobs = knobs_of(f"{NETS}:Named", "3x32x32")
    assert resolve_factors(knobs, depth=0.5).recipe.achieved["depth"] == pytest.approx(2 / 3)
    with pytest.raises(RecipeError, match=r"depth ×0\.1 cannot be built: the nearest is ×0\.667"):
        resolve_factors(knobs, depth=0.1)


def test_depth_alone_is_turned_until_the_compute_is_there():
    recipe = resolve_strategy(knobs_of(f"{NETS}:Named", "3x32x32"), "d", 4.0, axes=AXES).recipe
    # what cannot be repeated stays, so that four times the compute takes more than that of blocks
    assert recipe.achieved["depth"] > 4.0
    assert recipe.achieved_multiplier == pytest.approx(4.0, rel=0.15)


def test_a_block_that_runs_several_times_is_depth_without_weights():
    knobs = knobs_of(f"{NETS}:Shared", "3x16x16")
    assert knobs.axes["depth"].arguments == ("rounds",)
    deeper = resolve_factors(knobs, depth=2.0)
    assert deeper.cost.params == knobs.cost.params
    assert deeper.cost.macs > 1.9 * knobs.cost.macs


def test_sizes_keep_to_the_grid_that_a_model_takes():
    knobs = knobs_of(f"{NETS}:Gridded", "3x48x48")
    assert knobs.axes["resolution"].status == "ok"
    assert knobs.axes["resolution"].step == 12
    assert resolve_factors(knobs, resolution=1.3).cost.input_shape[-1] == 60


def test_objects_that_a_builder_makes_itself_are_given_to_the_class():
    knobs = knobs_of(f"{NETS}:staged", "3x16x16")
    assert knobs.call.target.endswith(":Staged")
    assert knobs.axes["width"].arguments == ("stages[*].channels",)
    wider = build_module(call_of(resolve_factors(knobs, width=2.0).recipe))
    assert [layer.out_channels for layer in wider.stages] == [64, 128]


def test_a_builder_that_edits_its_model_is_scaled_by_its_own_arguments():
    knobs = knobs_of(f"{NETS}:edited", "3x16x16")
    assert knobs.call.target.endswith(":edited")
    assert knobs.axes["width"].arguments == ("width",)
    # doubling the width of a net that keeps its stride is not the net without it
    wider = resolve_factors(knobs, width=2.0)
    assert 3.5 < wider.recipe.achieved_multiplier < 4.0


def test_a_width_that_equals_the_image_is_not_turned_with_it():
    knobs = knobs_of(f"{NETS}:Shared(width=48)", "3x48x48")
    assert knobs.axes["resolution"].arguments == ("input",)


def test_declared_knobs_are_tried_and_nothing_else_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = f'[models."{NETS}:Shared"]\nwidth = ["width"]\ninputs = ["3x16x16"]\n'
    (tmp_path / "scaleprof.toml").write_text(table)
    knobs = knobs_of(f"{NETS}:Shared")
    assert knobs.axes["width"].how == "declared"
    assert knobs.axes["depth"].reason == "it is not declared"
    assert resolve_factors(knobs, width=2.0).recipe.arguments == {"width": 64}


def test_declared_multipliers_and_zeros_are_turned_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ['width = ["multiplier"]', 'depth = ["blocks", "extra"]', 'inputs = ["3x16x16"]']
    table = "\n".join([f'[models."{NETS}:Odd"]', *lines])
    (tmp_path / "scaleprof.toml").write_text(table)
    knobs = knobs_of(f"{NETS}:Odd")
    assert 1.8 < knobs.axes["width"].flops_exponent < 2.0
    deeper = resolve_factors(knobs, depth=2.0).recipe
    assert (deeper.arguments["blocks"], deeper.arguments.get("extra", 0)) == (4, 0)


def test_a_declared_name_that_is_no_number_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scaleprof.toml").write_text(f'[models."{NETS}:Shared"]\nwidth = ["breadth"]\n')
    with pytest.raises(ModelError, match="`breadth` is declared") as caught:
        knobs_of(f"{NETS}:Shared", "3x16x16")
    assert "width" in caught.value.hint


def test_the_code_knows_no_model_by_name():
    timm = pytest.importorskip("timm")
    # those of our own are there too, once they are registered
    models = set(timm.list_models()) - OWN_MODELS.keys()
    words = {name for model in models for name in (model, model.partition("_")[0])}
    # words of the language, and of this field, that some model has taken for its name
    words -= {"test", "nest", "bat", "aimv", "wide", "gc"}
    root = Path(scaleprof.__file__).parent
    # families of our own are models: their parameters are named as in the published weights
    own = {root / "models" / name for name in ("lsnet.py", "unireplknet.py")}
    found = [
        f"{path.relative_to(root)}:{line}: {word}"
        for path in set(root.rglob("*.py")) - own
        for line, word in _words_in_code(path)
        if word in words
    ]
    assert not found


def _words_in_code(path):
    """Names and words of texts, but for docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = "" if node in docstrings else node.value
            for word in text.replace("`", " ").replace(":", " ").split():
                yield node.lineno, word
