"""Import by name, from installed packages, the working directory, or a file."""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ModelError

# of these, the version tells what they are
_LIBRARIES = ("torch", "timm", "torchvision", "transformers", "diffusers")

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


def own_sources(before: Container[str] = ()) -> tuple[str, ...]:
    """Files that what was imported depends on, beyond the versions of the model libraries.

    Those are modules outside the folders of installed distributions, such as libraries that are
    being developed; and the metadata, which hold the version, of other distributions that a user's
    code brought along.

    Args:
        before: Names of modules that were there before a user's code was imported.
    """
    files = set()
    installed = set()
    for name, file in _modules():
        package = name.partition(".")[0]
        if not is_installed_file(file):
            files.add(str(file))
        elif name not in before and package not in (*_LIBRARIES, *sys.stdlib_module_names):
            installed.add(package)
    own = __name__.partition(".")[0]
    known = importlib.metadata.packages_distributions() if installed else {}
    for distribution in {d for package in installed - {own} for d in known.get(package, ())}:
        files.update(_metadata(distribution))
    return tuple(sorted(files))


def _metadata(distribution: str) -> Iterator[str]:
    for file in importlib.metadata.files(distribution) or ():
        if file.name == "METADATA":
            yield str(file.locate())


def is_installed_file(file: Path) -> bool:
    """Tell whether a file belongs to Python or to an installed distribution."""
    return str(file).startswith(_installed_folders())


@cache
def _installed_folders() -> tuple[str, ...]:
    """Folders of Python and of installed distributions, each with a slash behind it."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {Path(sysconfig.get_path(name)).resolve() for name in names}
    return tuple(f"{folder}{os.sep}" for folder in sorted(folders))


def _modules() -> Iterator[tuple[str, Path]]:
    """Imported modules that are files, without those of this package."""
    own = __name__.partition(".")[0]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # some modules that are made while running have a name of a file that is none
        if not isinstance(file, str) or not file.endswith(".py") or not Path(file).is_file():
            continue
        if name.partition(".")[0] != own:
            yield name, Path(file).resolve()


def _exported(module: str, value: Any) -> str | None:
    """Name under which a package of many modules exports what one of them defines."""
    top, _, inside = module.partition(".")
    name = getattr(value, "__qualname__", None)
    package = sys.modules.get(top)
    if not inside or not name or "." in name:
        return None
    if getattr(package, name, None) is value:
        return f"{top}:{name}"
    # a package may export a function named like the module that it is from, which it then hides
    parent, _, leaf = module.rpartition(".")
    around = sys.modules.get(parent)
    hidden = getattr(around, leaf, None) is not sys.modules.get(module)
    return f"{parent}:{name}" if hidden and getattr(around, name, None) is value else None


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
