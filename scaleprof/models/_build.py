"""Build the model that a constructor call describes, and decide which calls are safe to make."""

import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ._arithmetic import is_arithmetic
from ._calls import ConstructorCall, called_names, decode_arguments
from ._imports import import_target
from ._instances import is_plain_record
from ._own import OWN_MODELS
from ._wider import BUILD_SCALED, CONSTANTS, inner_call

if TYPE_CHECKING:
    from torch import nn

# torch itself has dataclasses that do more than hold values
_RECORD_PACKAGES = ("timm", "torchvision", "transformers", "diffusers")
TRUSTED_PACKAGES = ("scaleprof", "torch", "timm", "torchvision", "transformers", "diffusers")

# arguments of timm's and torchvision's builders that read files or the network
_LOADING = frozenset(
    {
        *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"),
        *("cache_dir", "weights", "weights_backbone", "state_dict", "url", "file", "hub_path"),
        # of configurations of transformers
        *("use_pretrained_backbone", "backbone", "auto_map", "quantization_config"),
        *("architecture", "model_args", "attn_implementation", "_attn_implementation"),
        *("experts_implementation", "_experts_implementation"),
    }
)


def build_module(call: ConstructorCall, *, meta: bool = False, trust: bool = True) -> "nn.Module":
    """Build a model.

    Args:
        call: What to call.
        meta: Build it without data.
        trust: Call anything; otherwise only module classes and registered model builders
            of `TRUSTED_PACKAGES`, with arguments that load nothing.

    Raises:
        ModelError: If the call is not trusted, or returns something else than a module.
        Exception: Whatever the constructor raises.
    """
    from torch import nn

    from ._meta import build_on_meta

    if not trust:
        check_trusted(call)
    constructor = import_target(call.target)

    def construct() -> Any:
        # modules among the arguments are built like the model
        return constructor(**decode_arguments(call))

    module = build_on_meta(construct) if meta else construct()
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"`{call.target}` returned {type(module).__name__}, not a torch module",
            hint="name a class or function that returns a torch.nn.Module",
        )
    return module


_FUNCTION_MODULES = ("torch.nn.functional", "torch._C._nn")


def is_trusted_package(target: str) -> bool:
    """Tell whether a target is inside a package that scaleprof knows, without importing it."""
    return _in_package(target, TRUSTED_PACKAGES)


def check_trusted(call: ConstructorCall) -> None:
    """Refuse a call that a report from elsewhere could use to run or load something.

    Raises:
        ModelError: If the call is neither a module class nor a registered builder of a trusted
            package, or if an argument would load weights.
    """
    if call.target == BUILD_SCALED:
        inner = inner_call(call)
        check_trusted(inner)
        _check_constants(inner, call.arguments.get(CONSTANTS, {}))
        return
    if loading := _loading(call.arguments):
        raise _untrusted(call, f"its argument `{loading[0]}` can load files")
    if call.target == "timm:create_model":
        _check_timm_name(call)
    elif not _is_module_class(call.target) and not _is_builder(call.target):
        raise _untrusted(call, "it is not a module class of a package that scaleprof knows")
    passed, built = called_names(call)
    for name in passed:
        if not (_is_module_class(name) or _is_torch_function(name) or _is_own_arithmetic(name)):
            raise _untrusted(call, f"its argument `{name}` is not a class or function of torch")
    for name in built:
        if not (_is_record_class(name) or _is_module_class(name)):
            raise _untrusted(call, f"its argument `{name}` is not a plain record of such a package")


def _check_constants(call: ConstructorCall, constants: Any) -> None:
    """Refuse to change numbers in the code of anything but module classes of trusted packages."""
    if not isinstance(constants, Mapping):
        raise _untrusted(call, "its constants are no mapping")
    for name in constants:
        if ":" in name and not _is_module_class(name):
            raise _untrusted(call, f"its constants are of `{name}`")
    if constants:
        from ._constants import constant_owner

        builder = import_target(call.target)
        owners = (constant_owner(builder, name) for name in constants)
        foreign = [o for o in owners if o.__module__.split(".")[0] not in TRUSTED_PACKAGES]
        if foreign:
            raise _untrusted(call, f"its constants are of `{foreign[0].__qualname__}`")


def _loading(value: Any) -> list[str]:
    """Names of arguments, however deep, that can load something and are not switched off."""
    if isinstance(value, Mapping):
        own = [name for name in _LOADING.intersection(value) if value[name]]
        return sorted([*own, *_loading(list(value.values()))])
    if isinstance(value, list | tuple):
        return [name for item in value for name in _loading(item)]
    return []


def _untrusted(call: ConstructorCall, why: str) -> ModelError:
    return ModelError(
        f"`{call.target}` is not called without your consent: {why}",
        hint="read the call, then pass --trust (trust=True in Python)",
    )


def _check_timm_name(call: ConstructorCall) -> None:
    if importlib.util.find_spec("timm") is None:
        raise ModelError("this model needs the package `timm`", hint="pip install timm")
    import timm

    name = call.arguments.get("model_name")
    # prefixes such as hf-hub: and local-dir: would load code and weights from elsewhere
    if not isinstance(name, str) or not timm.is_model(name):
        raise _untrusted(call, f"timm registers no model `{name}`")


def _is_module_class(target: str) -> bool:
    if not _in_package(target, TRUSTED_PACKAGES):
        return False
    from torch import nn

    found = import_target(target)
    return (
        inspect.isclass(found)
        and issubclass(found, nn.Module)
        and found.__module__.split(".")[0] in TRUSTED_PACKAGES
    )


def _is_record_class(target: str) -> bool:
    """Tell dataclasses and named tuples of model libraries, which configure their models."""
    if not _in_package(target, _RECORD_PACKAGES):
        return False
    found = import_target(target)
    return is_plain_record(found) and found.__module__.split(".")[0] in _RECORD_PACKAGES


def _is_own_arithmetic(target: str) -> bool:
    """Tell functions of trusted packages that compute with numbers, such as one that rounds."""
    return _in_package(target, TRUSTED_PACKAGES) and is_arithmetic(import_target(target))


def _is_torch_function(target: str) -> bool:
    """Tell functions that torch defines for use inside networks, such as activations."""
    module = target.rpartition(":")[0]
    if module not in _FUNCTION_MODULES or not _in_package(target, ("torch",)):
        return False
    found = import_target(target)
    return callable(found) and getattr(found, "__module__", None) in _FUNCTION_MODULES


def _is_builder(target: str) -> bool:
    """Tell functions that build a registered model."""
    return target in OWN_MODELS.values() or _is_torchvision_builder(target)


def _is_torchvision_builder(target: str) -> bool:
    if not _in_package(target, ("torchvision",)):
        return False
    from torchvision import models

    name = target.rpartition(":")[2]
    return name in models.list_models() and models.get_model_builder(name) is import_target(target)


def _in_package(target: str, packages: tuple[str, ...]) -> bool:
    """Tell whether a target is a plain name of an installed package, without importing it."""
    module, _, qualname = target.rpartition(":")
    top = module.split(".")[0]
    named = top in packages and "." not in qualname and not module.endswith(".py")
    return named and _is_installed(top)


def _is_installed(package: str) -> bool:
    """Tell an installed package from a folder of that name that happens to lie around here."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    origin = Path(spec.origin).resolve()
    if package == __name__.partition(".")[0] or "site-packages" in origin.parts:
        return True
    return Path.cwd() not in origin.parents and "dist-packages" in origin.parts
