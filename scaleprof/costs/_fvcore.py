"""fvcore's count of the same model, operator by operator, and what explains the differences.

fvcore (https://github.com/facebookresearch/fvcore) traces a real forward pass on the CPU and counts
one multiply-add as one FLOP: its figures are MACs. It also counts norms, poolings and upsampling,
and has no formula for fused attention.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..records import ComparedOperator, Cost, InputSpec

_GROUPS = {
    "aten::conv1d": "conv",
    "aten::conv2d": "conv",
    "aten::conv3d": "conv",
    "aten::convolution": "conv",
    "aten::linear": "linear",
    "aten::addmm": "linear",
    "addmm": "linear",
    "aten::matmul": "matmul",
    "aten::mm": "matmul",
    "aten::bmm": "matmul",
    "aten::baddbmm": "matmul",
    "bmm": "matmul",
    "einsum": "matmul",
    "aten::scaled_dot_product_attention": "attention",
}
"""Operators of both counters by the group they are compared in; others stand for themselves."""


def fvcore_comparison(
    module: nn.Module, inputs: Sequence[InputSpec], cost: Cost
) -> tuple[ComparedOperator, ...]:
    """Count a module with fvcore and set the result beside ours.

    Args:
        module: The model, with weights on the CPU: fvcore needs a real forward pass.
        inputs: What it is called with, by position.
        cost: Our count of it.

    Returns:
        A row for every group of operators that either counts, the largest difference first.
    """
    theirs, unsupported = _fvcore_macs(module, inputs)
    ours = Counter[str]()
    for row in cost.operators:
        if row.macs:
            ours[_GROUPS.get(row.operator, row.operator)] += row.macs
    rows = [
        ComparedOperator(
            operator=name,
            ours=ours.get(name),
            theirs=theirs.get(name),
            why=_explain(ours.get(name), theirs.get(name), unsupported),
        )
        for name in {*ours, *theirs}
    ]
    return tuple(sorted(rows, key=lambda row: -abs((row.ours or 0) - (row.theirs or 0))))


def _fvcore_macs(
    module: nn.Module, inputs: Sequence[InputSpec]
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    from fvcore.nn import FlopCountAnalysis

    # the tracer warns of every shape a model reads; fvcore logs what it skips, which we return
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module.eval(), tuple(_random(spec) for spec in inputs))
        by_operator = analysis.by_operator()
        unsupported = dict(analysis.unsupported_ops())
    macs = Counter[str]()
    for name, count in by_operator.items():
        macs[_GROUPS.get(name, name)] += round(count)
    return macs, unsupported


def _random(spec: InputSpec) -> torch.Tensor:
    dtype = getattr(torch, spec.dtype)
    if spec.high is not None:
        return torch.randint(spec.high, spec.shape, dtype=dtype)
    return torch.randn(spec.shape, dtype=dtype)


def _explain(ours: int | None, theirs: int | None, unsupported: Mapping[str, int]) -> str | None:
    if ours is None:
        return "no multiply-adds of a convolution or matrix product: not in our MACs"
    if theirs is None:
        calls = sum(n for key, n in unsupported.items() if "attention" in key)
        return f"fvcore has no formula for it ({calls} calls)" if calls else "fvcore sees none"
    if ours == theirs:
        return None
    return "the two apply different rules to its shapes"
