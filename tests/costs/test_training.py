import pytest
import torch
from torch import nn

from scaleprof.costs import mean_square, training_peak_bytes
from scaleprof.records import InputSpec


def on_meta(build):
    with torch.device("meta"):
        return build()


def test_a_step_holds_weights_gradients_and_two_moments():
    # one linear layer of a million weights: everything else is small beside it
    n = 1024
    module = on_meta(lambda: nn.Linear(n, n, bias=False))
    peak = training_peak_bytes(module, [InputSpec(shape=(1, n))])
    weights = 4 * n * n
    # besides, the update of AdamW holds the root of the second moment, and a quotient by it
    assert 4 * weights <= peak <= 6.1 * weights


def test_activations_are_kept_for_the_backward_pass():
    def deep(layers):
        return on_meta(lambda: nn.Sequential(*[nn.Tanh() for _ in range(layers)], nn.Linear(8, 8)))

    spec = [InputSpec(shape=(1 << 15, 8))]
    one = 4 * 8 * (1 << 15)
    grown = training_peak_bytes(deep(9), spec) - training_peak_bytes(deep(1), spec)
    # the gradient of the input is not asked for, so that only what layers behind a weight keep
    # stays: tanh needs its output, and it is kept only where something before it is trained
    assert grown == pytest.approx(0, abs=2 * one)
    first = on_meta(lambda: nn.Sequential(nn.Linear(8, 8), *[nn.Tanh() for _ in range(9)]))
    last = training_peak_bytes(deep(9), spec)
    assert training_peak_bytes(first, spec) >= last + 6 * one


def test_every_output_takes_part_in_the_loss():
    x = torch.ones(3, requires_grad=True)
    loss = mean_square({"a": x, "b": [2 * x], "labels": torch.ones(2, dtype=torch.int64)})
    # mean of ones squared, and of twos squared
    assert loss.item() == pytest.approx(1.0 + 4.0)


def test_outputs_without_gradients_cannot_be_trained():
    with pytest.raises(TypeError, match="cannot be trained"):
        mean_square(torch.ones(3))
