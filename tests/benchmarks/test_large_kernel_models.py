"""The benchmark of whole models, as far as no device is needed."""

import how_fast_are_the_large_kernel_models as models
import pytest


@pytest.mark.parametrize("model", ["lsnet_t", "unireplknet_t"])
def test_a_model_is_given_what_its_weights_are(model):
    given = models.request(model, "cuda:0", batch=256, step="training", way="ours, compile")
    assert [(spec.shape[0], spec.dtype) for spec in given.inputs] == [(256, given.dtype)]
    assert (given.dtype, given.kernels, given.mode) == ("float16", "triton", "compile")


def test_every_way_is_planned_once_and_training_is_compiled_last():
    eager, compiled = (models.plan("cuda:0", job) for job in ("eager", "compiled"))
    assert len({*eager, *compiled}) == len(models.WAYS) * len(models.BATCHES) * len(models.STEPS)
    assert [step for _, _, step in compiled] == ["inference"] * 4 + ["training"] * 4
    assert models.plan("cpu", "eager") == [("torch", 1, "inference"), ("torch", 1, "training")]


def test_a_row_stands_beside_what_torch_takes_for_the_same():
    rows = [
        {"model": m, "batch": 1, "step": "inference", "by": by, "ms": ms, "share": None}
        for m, by, ms in (("a", "torch", 1.0), ("b", "torch", 2.0), ("b", "ours", 1.0))
    ]
    assert models.shown(rows[2], rows).split()[-1] == "×0.50"
    failed = {**rows[2], "error": "RuntimeError: it broke"}
    assert models.shown(failed, rows).endswith("failed" + " " * 18 + "  RuntimeError: it broke")
