import json

import pytest

pytest.importorskip("transformers")

from scaleprof.errors import ModelError
from scaleprof.jobs._count import model_inputs
from scaleprof.knobs import find_knobs, resolve_factors, resolve_strategy
from scaleprof.models import build_module, call_of, parse_reference, render, resolve_model
from scaleprof.scaling import AXES

SMALL = "hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64"
TEXT = f"hf:BertConfig({SMALL}, vocab_size=100)"


def resolved(text):
    reference = parse_reference(text)
    model = resolve_model(reference)
    return model, model_inputs(reference, model, (), 1)


def test_a_configuration_class_stands_for_its_model():
    model, inputs = resolved(TEXT)
    assert model.call.target == "transformers:BertModel"
    assert [(spec.name, spec.shape, spec.high) for spec in inputs] == [("input_ids", (1, 128), 100)]


def test_a_model_class_has_its_head():
    model, _ = resolved(TEXT.replace("Config", "ForSequenceClassification"))
    assert type(build_module(model.call, meta=True)).__name__ == "BertForSequenceClassification"


def test_an_image_model_gets_the_image_its_configuration_says():
    _, inputs = resolved(f"hf:ViTConfig({SMALL}, image_size=32, patch_size=8)")
    assert [(spec.name, spec.shape) for spec in inputs] == [("pixel_values", (1, 3, 32, 32))]


def test_an_encoder_and_decoder_get_a_text_each():
    _, inputs = resolved("hf:T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)")
    assert [spec.name for spec in inputs] == ["input_ids", "decoder_input_ids"]


def test_a_configuration_file_is_read_and_nothing_downloaded(tmp_path):
    fields = {"model_type": "distilbert", "dim": 32, "hidden_dim": 64, "n_heads": 2, "n_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(fields | {"vocab_size": 50}))
    model, inputs = resolved(f"hf:{tmp_path}")
    assert model.call.target == "transformers:DistilBertModel"
    assert inputs[0].high == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf:BertConfg", "neither a configuration"),
        ("hf:bert-base-uncased", "neither a configuration"),
        ("hf:BertConfig(hidden_size='wide')", "refuses these arguments"),
    ],
)
def test_what_names_no_configuration_is_refused(text, message):
    with pytest.raises(ModelError, match=message):
        resolve_model(parse_reference(text))


def test_a_file_that_is_no_configuration_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "of another kind"}')
    with pytest.raises(ModelError, match="not a configuration of transformers"):
        resolve_model(parse_reference(f"hf:{tmp_path}/config.json"))


def test_texts_scale_by_width_depth_and_length_and_the_vocabulary_stays():
    model, inputs = resolved(TEXT)
    knobs = find_knobs(TEXT, model, inputs)
    assert set(knobs.axes["width"].arguments) == {"config.hidden_size", "config.intermediate_size"}
    assert knobs.axes["depth"].arguments == ("config.num_hidden_layers",)
    # positions grow with the square of the factor, as they do in images
    longer = resolve_factors(knobs, resolution=2.0)
    assert longer.cost.inputs[0].shape == (1, 512)
    assert longer.recipe.achieved["resolution"] == 2.0
    assert longer.cost.inputs[0].high == 100


def test_attention_over_a_length_is_no_reason_to_miss_the_compute():
    model, inputs = resolved(TEXT)
    recipe = resolve_strategy(find_knobs(TEXT, model, inputs), "r", 4.0, axes=AXES).recipe
    # at a width of 32, four times the length would be ten times the compute
    assert recipe.achieved_multiplier == pytest.approx(4.0, rel=0.1)


def test_the_pasted_call_builds_the_scaled_model():
    model, inputs = resolved(TEXT)
    variant = resolve_strategy(find_knobs(TEXT, model, inputs), "dw", 4.0, axes=AXES)
    imports, expression = render(call_of(variant.recipe))
    space = {}
    exec("\n".join([*imports, f"model = {expression}"]), space)
    assert sum(p.numel() for p in space["model"].parameters()) == variant.cost.params


def test_configurations_inside_configurations_have_knobs():
    parts = "hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64"
    keywords = dict(part.split("=") for part in parts.split(", "))
    small = {name: int(value) for name, value in keywords.items()}
    vision = small | {"image_size": 32, "patch_size": 8}
    text = f"hf:CLIPConfig(vision_config={vision}, text_config={small}, projection_dim=16)"
    model, inputs = resolved(text)
    knobs = find_knobs(text, model, inputs)
    both = {"config.vision_config.hidden_size", "config.text_config.hidden_size"}
    assert both <= set(knobs.axes["width"].arguments)
