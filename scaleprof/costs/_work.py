"""What kind of work a call of an operator is, as a device's speed distinguishes kinds.

A multiply-add takes one time in a dense convolution, another in a depthwise one; a byte takes one
time in an elementwise operator, another in a gather. The kinds are those whose rates differ on
real devices; `scaleprof.prediction` has a rate for each.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

from ..records import WorkKind

# a first convolution reads an image: few channels, and another kernel than all others
_IMAGE_CHANNELS = 4

_MOVING: dict[WorkKind, str] = {
    "batch_norm": """batch_norm _batch_norm_no_update _native_batch_norm_legit_no_training
        native_batch_norm cudnn_batch_norm""",
    "norm": """layer_norm native_layer_norm group_norm native_group_norm rms_norm _fused_rms_norm
        instance_norm local_response_norm var_mean std_mean linalg_vector_norm norm normalize""",
    "softmax": "softmax _softmax _safe_softmax log_softmax _log_softmax logsumexp",
    "pool": """mean sum amax max adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d
        adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d""",
    "window_pool": """avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d
        max_pool2d_with_indices upsample_nearest2d upsample_bilinear2d upsample_bicubic2d
        im2col col2im unfold""",
    "copy": """cat concat concatenate stack clone contiguous copy_ reshape _to_copy to
        constant_pad_nd pad roll flip repeat repeat_interleave pixel_shuffle pixel_unshuffle
        reflection_pad2d
        channel_shuffle native_channel_shuffle split_with_sizes_copy unbind_copy tile type_as""",
    "gather": """embedding gather index index_select index_put index_put_ scatter scatter_add
        take_along_dim masked_fill where topk sort argsort grid_sampler grid_sampler_2d""",
}
_KIND_OF = {name: kind for kind, names in _MOVING.items() for name in names.split()}
_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "convolution", "_convolution"})
_WEIGHTED = frozenset({"linear", "addmm", "mm"})


class Shape(NamedTuple):
    """How large one call of a product is.

    Attributes:
        kind: What it is.
        weight_bytes: Bytes of weights among its arguments.
        width: Output features, of one group.
        depth: Multiply-adds of one output element.
    """

    kind: WorkKind
    weight_bytes: int = 0
    width: int = 0
    depth: int = 0


def work_of(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Shape:
    """Say what kind of work a call is, and how large its matrices are."""
    describe = _describe(func)
    return describe if isinstance(describe, Shape) else describe(args, kwargs)


@cache
def _describe(func: OpOverload) -> Shape | Callable[[Sequence[Any], dict[str, Any]], Shape]:
    name = func.overloadpacket.__name__
    if name in _CONVOLUTIONS:
        return _convolution
    if "attention" in name:
        return _attention
    if name in _WEIGHTED:
        return _linear if name == "linear" else _matrices
    if name in {"matmul", "bmm", "baddbmm"}:
        return _batched
    return Shape(_KIND_OF.get(name, _KIND_OF.get(name.removesuffix("_"), "elementwise")))


def _convolution(args: Sequence[Any], kwargs: dict[str, Any]) -> Shape:
    weight: Tensor = args[1]
    width, inputs, *kernel = weight.shape
    # conv2d takes groups as its seventh argument, convolution as its ninth
    groups = int(kwargs.get("groups", args[-1] if len(args) in (7, 9) else 1))
    strides = kwargs.get("stride", args[3] if len(args) > 3 else 1)
    stride = strides if isinstance(strides, int) else max(strides, default=1)
    kind = _kind_of_convolution(inputs, groups, max(kernel), stride)
    return Shape(kind, _weight_bytes(args[1:3]), width // groups, inputs * math.prod(kernel))


def _kind_of_convolution(inputs: int, groups: int, size: int, stride: int) -> WorkKind:
    if groups > 1:
        if inputs > 1:
            return "conv_grouped"
        return "depthwise_3" if size <= 3 else "depthwise_5" if size <= 5 else "depthwise_7"
    if inputs <= _IMAGE_CHANNELS:
        return "patch" if stride == size and size > 3 else "stem"
    if size == 1:
        return "conv_1"
    return "patch" if stride == size else "conv_k"


def _linear(args: Sequence[Any], kwargs: dict[str, Any]) -> Shape:
    bias = kwargs.get("bias")
    weights = [*args[1:3], bias] if bias is not None else args[1:3]
    width, depth = args[1].shape
    return Shape("linear", _weight_bytes(weights), width, depth)


def _matrices(args: Sequence[Any], _: dict[str, Any]) -> Shape:
    right: Tensor = args[-1]
    return Shape("linear", _weight_bytes([right]), right.shape[-1], right.shape[-2])


def _batched(args: Sequence[Any], _: dict[str, Any]) -> Shape:
    right: Tensor = args[-1]
    if right.dim() < 2:
        return Shape("batched_product")
    weights = _weight_bytes([right]) if right.dim() == 2 else 0
    kind: WorkKind = "linear" if right.dim() == 2 else "batched_product"
    return Shape(kind, weights, right.shape[-1], right.shape[-2])


def _attention(args: Sequence[Any], kwargs: dict[str, Any]) -> Shape:
    query, key = args[0], args[1]
    mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
    kind: WorkKind = "attention" if mask is None else "attention_masked"
    return Shape(kind, 0, key.shape[-2], query.shape[-1])


def _weight_bytes(tensors: Sequence[Any]) -> int:
    return sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))
