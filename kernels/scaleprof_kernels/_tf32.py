"""May float32 be rounded to TF32, the format of tensor cores with 10 bits after the first?

What torch is set to says so. Its default allows TF32 to convolutions of cuDNN, but its own kernels
for depthwise convolutions are exact all the same; so the default alone does not ask for rounding,
and a convolution of ours is as exact as the one it replaces.
"""

import torch

_ROUNDED = frozenset({"tf32", "bf16"})


def may_round() -> bool:
    """Return whether torch is asked to round float32, and not told to spare convolutions.

    Asked by any of ``torch.set_float32_matmul_precision("high")``, ``torch.backends.fp32_precision
    = "tf32"`` and ``torch.backends.cudnn.fp32_precision = "tf32"``; told by
    ``torch.backends.cudnn.allow_tf32 = False`` or
    ``torch.backends.cudnn.conv.fp32_precision = "ieee"``.
    """
    backends = torch.backends
    # torch names it "tf32" by default, and otherwise "none" or "ieee"
    if backends.cudnn.conv.fp32_precision != "tf32":  # type: ignore[attr-defined]
        return False
    settings = (backends, backends.cudnn, backends.cuda.matmul)
    return any(setting.fp32_precision in _ROUNDED for setting in settings)
