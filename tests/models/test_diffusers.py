import pytest

pytest.importorskip("diffusers")

from scaleprof.errors import ModelError
from scaleprof.jobs._count import model_inputs
from scaleprof.knobs import find_knobs
from scaleprof.models import parse_reference, resolve_model

SMALL = (
    "diffusers:UNet2DModel(sample_size=16, in_channels=3, out_channels=3, layers_per_block=1, "
    "block_out_channels=(32, 64), down_block_types=('DownBlock2D', 'DownBlock2D'), "
    "up_block_types=('UpBlock2D', 'UpBlock2D'))"
)


def test_a_network_gets_the_sample_and_step_that_it_takes():
    reference = parse_reference(SMALL)
    model = resolve_model(reference)
    inputs = model_inputs(reference, model, (), 1)
    assert [(spec.name, spec.shape) for spec in inputs] == [
        ("sample", (1, 3, 16, 16)),
        ("timestep", (1,)),
    ]
    axes = find_knobs(SMALL, model, inputs).axes
    assert axes["width"].arguments == ("block_out_channels",)
    assert axes["depth"].arguments == ("layers_per_block",)
    assert axes["resolution"].status == "ok"


def test_an_unknown_network_names_the_nearest():
    with pytest.raises(ModelError, match="no model `diffusers:UNet2DModl`") as caught:
        resolve_model(parse_reference("diffusers:UNet2DModl"))
    assert "UNet2DModel" in caught.value.hint
