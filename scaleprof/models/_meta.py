"""Build a model without allocating or initialising its weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._device import DeviceContext, _device_constructors

from ._garbage import no_collection
from ._same_layers import layers_from_templates
from .same_results import PURE, same_result, sets_element

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
_SET_ITEM = Tensor.__setitem__
_MAKERS = frozenset(_device_constructors())


def _fits(tensor: Tensor, values: Sequence[Any]) -> bool:
    """Tell whether tensors among the values have sizes that can be put into a tensor."""
    for value in values:
        if isinstance(value, Tensor) and value.dim() <= tensor.dim():
            sizes = zip(reversed(value.shape), reversed(tensor.shape), strict=False)
            if any(n not in (1, m) for n, m in sizes):
                return False
    return True


class _OnMeta(DeviceContext):
    """Put what constructors make on the meta device, and make initialisers there do nothing.

    Initialisers take half the time. It is one mode with the device's, since torch calls each mode
    for every operator.
    """

    # as `with torch.device("meta")`: on top of other modes
    __enter__ = TorchFunctionMode.__enter__
    __exit__ = TorchFunctionMode.__exit__

    def __init__(self) -> None:
        super().__init__("meta")

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Pass everything on but initialisers of meta tensors and what gives known results."""
        if func in _INITIALISERS:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta and _fits(tensor, args[1:]):
                return tensor
        elif func is _SET_ITEM:
            if sets_element(*args):
                return None
        elif func in PURE:
            return same_result(func, args, kwargs or {})
        elif func in _MAKERS:
            return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        return func(*args, **kwargs) if kwargs else func(*args)


@contextmanager
def on_meta() -> Iterator[None]:
    """Let constructors make tensors that have shapes but no data."""
    with _OnMeta(), layers_from_templates():
        yield


def build_on_meta(constructor: Callable[[], Built]) -> Built:
    """Call a constructor so that what it returns has no data.

    A constructor that reads values of its tensors cannot run without them: it is called again on
    the CPU, and its module moved.

    Raises:
        Exception: What the constructor raises on the CPU.
    """
    try:
        with no_collection(), on_meta():
            return constructor()
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error).lower():
            raise
    built = constructor()
    return built.to("meta") if isinstance(built, torch.nn.Module) else built
