"""Tests that run Triton kernels on the CPU, in a session of their own.

Triton decides when it is imported whether it interprets or compiles, so these tests run only where
TRITON_INTERPRET=1 was set before; `test_interpreted.py` beside this folder starts such a session.
"""

import os

import numpy as np
import pytest
import torch

INTERPRETING = os.environ.get("TRITON_INTERPRET") == "1"
collect_ignore_glob = [] if INTERPRETING else ["test_*.py"]


@pytest.fixture(autouse=True)
def _unwritten_is_nan():
    """Fill what `torch.empty` returns with NaN, so that an output nobody wrote is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def _products_of_bfloat16(monkeypatch):
    """Widen bfloat16 before a product.

    The interpreter of Triton 3.6 to 3.9 keeps bfloat16 as the bits of an integer, and multiplies
    the integers. TODO: drop once its `create_dot` converts bfloat16 as it does float8.
    """
    import triton.language as tl
    from triton.runtime import interpreter

    product = interpreter.InterpreterBuilder.create_dot

    def wide(operand):
        if operand.dtype.scalar != tl.bfloat16:
            return operand
        bits = operand.data.astype(np.uint32) << 16
        return interpreter.TensorHandle(bits.view(np.float32), tl.float32)

    def create_dot(self, left, right, *rest):
        return product(self, wide(left), wide(right), *rest)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)
