"""Tables that constructors compute on the meta device are what torch computes."""

import pytest
import torch
from torch import nn

from scaleprof.models._meta import build_on_meta
from scaleprof.models.same_results import _RESULTS


def described(tensors):
    return [
        (t.shape, t.stride(), t.dtype, t.device, t.requires_grad, t.untyped_storage().nbytes())
        for t in tensors
    ]


def positions():
    """Relative positions as transformers with windows compute them."""
    grid = torch.stack(torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij"))
    flat = grid.flatten(1)
    relative = (flat[:, :, None] - flat[:, None, :]).permute(1, 2, 0).contiguous()
    mask = torch.zeros(4, 4).masked_fill(torch.ones(4, 4) != 0, -100.0)
    return [
        grid,
        relative,
        relative.sum(-1),
        relative / 2,
        2 ** relative.abs(),
        mask,
        relative + 1.5,
    ]


def test_tables_are_the_same_however_often_they_were_computed():
    _RESULTS.clear()
    with torch.device("meta"):
        real = positions()
    first, second = build_on_meta(positions), build_on_meta(positions)
    assert _RESULTS
    assert described(first) == described(second) == described(real)
    storages = {t.untyped_storage()._cdata for t in (*first, *second)}
    assert len(storages) == 2 * len(real)


def test_a_result_that_is_differentiated_is_torchs_own():
    def build():
        weight = nn.Parameter(torch.empty(3))
        with torch.no_grad():
            plain = weight * 2
        return [plain, weight * 2]

    for _ in range(3):
        plain, product = build_on_meta(build)
        assert not plain.requires_grad
        assert product.requires_grad
        assert product.grad_fn is not None


def test_equal_numbers_of_other_types_give_other_tables():
    def build():
        return [torch.arange(3) * 2, torch.arange(3) * 2.0, torch.arange(3) + True]

    for _ in range(2):
        assert [t.dtype for t in build_on_meta(build)] == [torch.int64, torch.float32, torch.int64]
    torch.set_default_dtype(torch.float64)
    try:
        assert build_on_meta(build)[1].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_tensors_with_values_keep_them():
    def build():
        x = torch.tensor([1.0, 2.0], device="cpu")
        x[1] = 5.0
        return x + x

    for _ in range(2):
        assert build_on_meta(build).tolist() == [2.0, 10.0]


@pytest.mark.parametrize("index", [(0, 3), (-3, 0), (0, 0, 0)])
def test_an_element_that_is_not_there_cannot_be_set(index):
    def build(at):
        table = torch.zeros(2, 3)
        table[at] = 1.0
        return table

    assert build_on_meta(lambda: build((1, -3))).shape == (2, 3)
    with pytest.raises(IndexError):
        build_on_meta(lambda: build(index))


def test_a_number_that_torch_refuses_cannot_be_set():
    def build():
        table = torch.zeros(2, 3)
        table[0, 0] = 2**70

    with pytest.raises(ValueError, match="Overflow"):
        build_on_meta(build)
