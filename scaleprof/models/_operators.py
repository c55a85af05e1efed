"""Operators that both torch and our kernels have: who runs them in a model, and where they are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Kernels = Literal["torch", "triton"]


def use_kernels(module: "nn.Module", kernels: Kernels) -> Mapping[str, "nn.Module"]:
    """Let torch or our kernels run the operators that both have, in place.

    These are depthwise convolutions with large kernels, and the parts of LS convolution.

    Args:
        module: The model to change.
        kernels: Who runs them.

    Returns:
        The modules that are such operators, by path.
    """
    from scaleprof_kernels import replace_depthwise_, restore_depthwise_
    from scaleprof_kernels.ls_conv import ConvTail, SmallKernelAggregation, Tail

    restore_depthwise_(module)
    swapped = replace_depthwise_(module).swapped
    found = {path: module.get_submodule(path) for path in swapped}
    if kernels == "torch":
        restore_depthwise_(module)
    for path, part in module.named_modules():
        if isinstance(part, SmallKernelAggregation | Tail | ConvTail):
            part.by_torch = kernels == "torch"
            found[path] = part
    return found


def kernel_name(operator: "nn.Module", *inputs: object) -> str:
    """Name what runs an operator on such inputs: ``depthwise_conv2d: toeplitz``.

    Args:
        operator: One of those that `use_kernels` found.
        inputs: What it is called with.
    """
    from torch import Tensor

    from scaleprof_kernels import DepthwiseConv2d
    from scaleprof_kernels.ls_conv import ConvTail, SmallKernelAggregation, Tail

    tensors = [value for value in inputs if isinstance(value, Tensor)]
    if isinstance(operator, DepthwiseConv2d):
        return f"depthwise_conv2d: {operator.kernel_of(tensors[0])}"
    if isinstance(operator, SmallKernelAggregation | Tail):
        return f"{operator.operator}: {operator.kernel_of(*tensors[:2])}"
    if isinstance(operator, ConvTail):
        return f"{operator.operator}: {operator.kernel_of(*tensors[:3])}"
    return "depthwise_conv2d: torch"
