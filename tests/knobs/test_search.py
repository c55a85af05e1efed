"""The search for a rounding builds nothing twice that it need not."""

from collections import Counter
from typing import ClassVar

from torch import nn

from scaleprof.knobs import find_knobs, resolve_strategy
from scaleprof.models import import_target, parse_inputs, parse_reference, resolve_model


class Picky(nn.Module):
    """Three layers that cannot be built at the widths next to the square root of two."""

    refused: ClassVar[Counter[int]] = Counter()

    def __init__(self, width=256):
        super().__init__()
        if width in (360, 368):
            self.refused[width] += 1
            raise ValueError(f"no layers of {width}")
        self.layers = nn.Sequential(
            nn.Linear(8, width), nn.Linear(width, width), nn.Linear(width, 8)
        )

    def forward(self, x):
        return self.layers(x)


def test_a_width_that_fails_is_tried_once():
    model = f"{__file__}:Picky"
    resolved = resolve_model(parse_reference(model))
    knobs = find_knobs(model, resolved, parse_inputs(["8"]))
    refused = import_target(resolved.call.target).refused
    refused.clear()
    variant = resolve_strategy(knobs, "w", 2.0, axes=("width",))
    # corrections lead back to the same width, since it is what the compute asks for
    assert refused
    assert set(refused.values()) == {1}
    assert variant.recipe.arguments["width"] == 364
