"""Which aten operators do multiply-adds, which do none, and which nobody knows.

*Counted* operators have a formula in torch's own registry (`torch.utils.flop_counter`), which users
extend with `torch.utils.flop_counter.register_flop_formula`. *Free* operators move or combine
elements without multiply-adds in the sense of the field's MAC counts: views, elementwise operators,
reductions, norms, pooling, look-ups. Everything else is *unknown* and makes a total partial; that a
name is missing here can therefore never make a count silently wrong.
"""

from functools import cache
from typing import Literal

import torch
from torch._ops import OpOverload
from torch.utils.flop_counter import flop_registry

Kind = Literal["counted", "free", "unknown", "composite"]

_LAYOUT = """
    alias broadcast_tensors chunk clone column_stack concat concatenate conj contiguous copy_ cat
    dsplit dstack expand expand_as flatten flip fliplr flipud hsplit hstack lift_fresh
    lift_fresh_copy meshgrid movedim moveaxis narrow permute pixel_shuffle pixel_unshuffle
    channel_shuffle native_channel_shuffle ravel repeat repeat_interleave reshape reshape_as
    resolve_conj resolve_neg roll rot90 split split_with_sizes squeeze stack swapaxes swapdims
    t tensor_split tile to _to_copy _to_cpu transpose type_as unbind unflatten unsafe_chunk
    unsafe_split unsafe_split_with_sizes _unsafe_view unsqueeze unfold view view_as vsplit vstack
    im2col col2im constant_pad_nd pad reflection_pad1d reflection_pad2d reflection_pad3d
    replication_pad1d replication_pad2d replication_pad3d _pad_circular tril triu diag diagonal
    diag_embed as_strided as_strided_ detach detach_ set_ resize_ select slice numpy_T mT mH adjoint
    real view_as_real view_as_complex _reshape_alias _conj squeeze_ unsqueeze_ transpose_ block_diag
"""
_REDUCTION = """
    all any amax amin aminmax argmax argmin argsort bincount bucketize count_nonzero cummax cummin
    cumprod cumsum frobenius_norm histc kthvalue linalg_norm linalg_vector_norm log_softmax
    _log_softmax logcumsumexp logsumexp max mean median min mode msort nanmean nansum nonzero norm
    prod searchsorted softmax _softmax _safe_softmax softmin sort std std_mean sum topk unique2
    _unique2 var var_mean normalize cosine_similarity equal allclose is_nonzero nuclear_norm
    special_softmax special_log_softmax special_logsumexp
"""
_NORM_AND_POOL = """
    batch_norm _batch_norm_no_update _native_batch_norm_legit _native_batch_norm_legit_no_training
    native_batch_norm cudnn_batch_norm _batch_norm_impl_index group_norm native_group_norm
    instance_norm layer_norm native_layer_norm rms_norm _fused_rms_norm local_response_norm
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d
    _adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d
    avg_pool2d avg_pool3d max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices
    max_pool3d max_pool3d_with_indices fractional_max_pool2d lp_pool1d lp_pool2d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
    _upsample_nearest_exact2d upsample_linear1d upsample_bilinear2d upsample_bicubic2d
    _upsample_bilinear2d_aa _upsample_bicubic2d_aa upsample_trilinear3d grid_sampler
    grid_sampler_2d grid_sampler_3d affine_grid_generator
"""
_LOOKUP = """
    embedding embedding_bag _embedding_bag gather index index_add index_copy index_fill index_put
    index_put_ index_select masked_fill masked_select masked_scatter one_hot scatter scatter_
    scatter_add scatter_add_ scatter_reduce select_scatter slice_scatter take take_along_dim where
    index_add_ index_copy_ index_fill_ masked_scatter_ scatter_reduce_ _index_put_impl_
    _unsafe_index
"""
_CREATION = """
    arange bernoulli bernoulli_ empty empty_like empty_permuted empty_strided eye fill_ full
    full_like hamming_window hann_window linspace logspace new_empty new_empty_strided new_full
    new_ones new_zeros normal normal_ ones ones_like rand rand_like randint randn randn_like
    randperm scalar_tensor uniform_ zero_ zeros zeros_like multinomial exponential_ random_
    _efficientzerotensor tril_indices triu_indices
"""
# elementwise operators that torch does not tag as pointwise, several because they are composite
_ELEMENTWISE = """
    alpha_dropout celu clamp_max clamp_min clip dropout dropout_ feature_dropout elu_ gelu glu
    hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid log_sigmoid log_sigmoid_forward
    mish native_dropout prelu _prelu_kernel relu relu6 relu6_ rrelu rrelu_with_noise selu sigmoid
    silu softplus softshrink square swiglu threshold true_divide divide multiply subtract negative
    absolute arccos arcsin arctan arctan2 fix floor_divide isfinite isinf isreal ldexp lerp addcmul
    addcdiv float_power type_as nan_to_num special_expm1 special_expit rsub isclose logical_not
    masked_fill_ clip_ special_xlogy xlogy item _local_scalar_dense is_same_size
    _is_all_true _is_any_true _assert_async _assert_scalar _assert_tensor_metadata sym_size
    sym_stride sym_numel is_pinned
"""
FREE = frozenset(
    " ".join((_LAYOUT, _REDUCTION, _NORM_AND_POOL, _LOOKUP, _CREATION, _ELEMENTWISE)).split()
)


@cache
def kind(operator: OpOverload) -> Kind:
    """Say how calls of an operator enter the count.

    Args:
        operator: The overload that torch dispatches, for example ``torch.ops.aten.mm.default``.

    Returns:
        ``composite`` for an operator that torch expresses through others, which are then counted
        one by one; else ``counted``, ``free`` or ``unknown``.
    """
    if operator.overloadpacket in flop_registry:
        return "counted"
    if _is_free(operator):
        return "free"
    return "composite" if operator._can_decompose() else "unknown"


def _is_free(operator: OpOverload) -> bool:
    if torch.Tag.pointwise in operator.tags or operator.is_view:
        return True
    name = operator.overloadpacket.__name__
    in_aten = operator.namespace in {"aten", "prim", "prims"}
    return in_aten and (name in FREE or name.removesuffix("_") in FREE)


def name(operator: OpOverload) -> str:
    """Return the operator's name without its overload, for example ``aten::mm``."""
    return f"{operator.namespace}::{operator.overloadpacket.__name__}"
