"""Build a model without allocating or initialising its weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Built = TypeVar("Built")

_IN_PLACE = (
    "normal_ uniform_ fill_ zero_ mul_ add_ sub_ div_ erfinv_ clamp_ clamp_min_ clamp_max_ "
    "bernoulli_ exponential_ log_normal_ cauchy_ random_ copy_ abs_ neg_ sign_"
).split()
_IN_INIT = (
    "uniform_ normal_ trunc_normal_ constant_ ones_ zeros_ eye_ dirac_ xavier_uniform_ "
    "xavier_normal_ kaiming_uniform_ kaiming_normal_ orthogonal_ sparse_"
).split()
_INITIALISERS = frozenset(
    [getattr(Tensor, name) for name in _IN_PLACE]
    + [getattr(torch.nn.init, name) for name in _IN_INIT]
)


def _fits(tensor: Tensor, values: Sequence[Any]) -> bool:
    """Tell whether tensors among the values have sizes that can be put into a tensor."""
    return all(
        n in (1, m)
        for value in values
        if isinstance(value, Tensor) and value.dim() <= tensor.dim()
        for n, m in zip(reversed(value.shape), reversed(tensor.shape), strict=False)
    )


class _SkipInitialisation(TorchFunctionMode):
    """Make in-place initialisers of tensors without data do nothing; they take half the time."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Pass everything on but initialisers of meta tensors."""
        if func in _INITIALISERS:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta and _fits(tensor, args[1:]):
                return tensor
        return func(*args, **(kwargs or {}))


@contextmanager
def on_meta() -> Iterator[None]:
    """Let constructors make tensors that have shapes but no data."""
    with torch.device("meta"), _SkipInitialisation():
        yield


def build_on_meta(constructor: Callable[[], Built]) -> Built:
    """Call a constructor so that what it returns has no data.

    A constructor that reads values of its tensors cannot run without them: it is called again on
    the CPU, and its module moved.

    Raises:
        Exception: What the constructor raises on the CPU.
    """
    try:
        with on_meta():
            return constructor()
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error).lower():
            raise
    built = constructor()
    return built.to("meta") if isinstance(built, torch.nn.Module) else built
