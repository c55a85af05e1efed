"""Import by name, from installed packages, the working directory, or a file."""

import importlib
import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import Any

from ..errors import ModelError

# of these, the version tells what they are
_LIBRARIES = ("scaleprof", "torch", "timm", "torchvision", "transformers", "diffusers")

_FILES: dict[str, str] = {}
"""Modules that were loaded from a file, by module name: the path the user gave."""


def import_target(target: str) -> Any:
    """Import what ``module:qualname`` or ``path/to/file.py:qualname`` names.

    Raises:
        ModelError: If there is no such module, file or name.
    """
    source, _, qualname = target.rpartition(":")
    found = _load_file(source) if source.endswith(".py") else _load_module(source)
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise ModelError(f"`{source}` has no `{qualname}`")
        found = getattr(found, part)
    return found


def target_of(value: Any) -> str:
    """Return the name under which `import_target` finds a class or function.

    Raises:
        ModelError: If it cannot be imported by name: a lambda, a local class.
    """
    module = getattr(value, "__module__", None)
    if (short := _exported(str(module), value)) is not None:
        return short
    target = f"{_FILES.get(str(module), module)}:{getattr(value, '__qualname__', None)}"
    try:
        found = import_target(target)
    except ModelError:
        found = None
    if found is not value:
        raise ModelError(f"{value!r} cannot be imported by name")
    return target


def own_sources(target: str) -> tuple[str, ...]:
    """Files of the modules imported so far that are no part of an installed distribution.

    Those of the package that a target is in count too, wherever they are.
    """
    top = target.rpartition(":")[0].partition(".")[0]
    installed = tuple(filter(None, {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib")}))
    files = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        package = name.partition(".")[0]
        if package not in _LIBRARIES and (package == top or not file.startswith(installed)):
            files.add(str(Path(file).resolve()))
    return tuple(sorted(files))


def _exported(module: str, value: Any) -> str | None:
    """Name under which a package of many modules exports what one of them defines."""
    top, _, inside = module.partition(".")
    name = getattr(value, "__qualname__", None)
    package = sys.modules.get(top)
    if not inside or not name or "." in name or getattr(package, name, None) is not value:
        return None
    return f"{top}:{name}"


def _load_module(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        # last, so that a file of the user's never shadows an installed module
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"there is no module `{error.name}`", hint=f"install it, or give a path: {name}.py"
        ) from None


def _load_file(path: str) -> Any:
    # a name of its own, so that a file called random.py replaces nothing
    module_name = f"_scaleprof_{abs(hash(path)):x}_{Path(path).stem}"
    if module_name in _FILES:
        return sys.modules[module_name]
    if not Path(path).is_file():
        raise ModelError(f"there is no file `{path}`", hint="give its path from here")
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # its neighbours are importable from it, as when it is run
    sys.path.append(str(Path(path).resolve().parent))
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    _FILES[module_name] = path
    return module
