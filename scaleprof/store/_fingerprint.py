"""A name for everything that can change a measurement: two with the same one may be pooled."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

# settings of the libraries that do the work, which they read from the environment
_PREFIXES = (
    "OMP_ KMP_ MKL_ GOMP_ OPENBLAS_ DNNL_ ONEDNN_ ATEN_ TORCH_ TORCHINDUCTOR_ PYTORCH_ CUDA_ "
    "CUBLAS_ CUDNN_ NVIDIA_ TRITON_ XLA_ PJRT_ TPU_ HIP_ ROCR_ MALLOC_ GLIBC_TUNABLES LD_PRELOAD"
).split()


def fingerprint(*conditions: Any, files: Iterable[str] = ()) -> str:
    """Hash conditions, the contents of files and the environment of the libraries.

    Args:
        conditions: Records, or anything that msgpack can hold.
        files: Source files that a model is built from; one that is gone counts as empty.

    Returns:
        32 hexadecimal digits.
    """
    parts = [conditions, {name: _digest(name) for name in sorted(files)}, speed_settings()]
    return hashlib.sha256(msgspec.msgpack.encode(parts, order="sorted")).hexdigest()[:32]


def speed_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of the environment that change how fast libraries are."""
    return {name: value for name, value in environment.items() if name.startswith(tuple(_PREFIXES))}


def _digest(name: str) -> str:
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    except OSError:
        return ""
