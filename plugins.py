"""Extension points found by file name: one searcher, evaluator or transform per file, and no list to keep in step.

A plugin is named either by its file in the room's folder (`nsga2` is `search/nsga2.py`) or, for code outside the
package, by `module:Name` or `path/to/file.py:Name`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .errors import InputError, MergesearchError, nearest

T = TypeVar("T")


def plugin_names(package: str, base: type) -> list[str]:
    """Names of the files of `package` (dotted) that define a concrete subclass of `base`; imports them."""
    return sorted(name for name in _files(package) if _defined(importlib.import_module(f"{package}.{name}"), base))


def load_plugin(name: str, package: str, base: type[T]) -> type[T]:
    """Return the class called `name` in the room `package`, or the one at `module:Name`.

    Raises:
        InputError: no such file, module or attribute, or the class is no subclass of `base`; names the nearest.
    """
    if ":" in name:
        found = load_object(name)
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise InputError(f"'{name}' is {found!r}, not a subclass of {base.__name__}; derive it from that class")
        return found
    if name not in _files(package):
        kind = package.rpartition(".")[2]
        raise InputError(f"nothing called '{name}' in {kind}; {nearest(name, plugin_names(package, base))}")
    classes = _defined(importlib.import_module(f"{package}.{name}"), base)
    if not classes:
        raise InputError(f"'{name}' defines no {base.__name__}; {nearest(name, plugin_names(package, base))}")
    return classes[-1]


def check_options(what: str, kind: type, options: Iterable[str], given: tuple[str, ...] = ()) -> None:
    """Refuse options that `kind` does not take; `given` are parameters that are no options.

    Raises:
        InputError: an unknown option (names the nearest); the message begins with `what`.
    """
    known = [name for name in inspect.signature(kind).parameters if name not in given]
    for key in options:
        if key not in known:
            raise InputError(f"{what} has no option '{key}'; {nearest(key, known)}")


def load_object(reference: str) -> Any:
    """Import `module:attribute`, where the module may also be a path to a `.py` file.

    Raises:
        InputError: the module cannot be found, or it lacks the attribute.
    """
    where, _, attribute = reference.rpartition(":")
    if not where:
        raise InputError(f"'{reference}' is no reference to code; write it as module:name or path/to/file.py:name")
    module = _module_of_file(Path(where)) if where.endswith(".py") else _module(where)
    if not hasattr(module, attribute):
        own = {name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
        public = [name for name in own if not name.startswith("_")]
        raise InputError(f"'{where}' has no '{attribute}'; {nearest(attribute, public)}")
    return getattr(module, attribute)


def call_user(what: str, function: Callable[..., Any], **arguments: Any) -> Any:
    """Call a function of the user's; whatever it raises becomes one line that says what was called.

    Raises:
        InputError: the function raised.
    """
    try:
        return function(**arguments)
    except MergesearchError:
        raise
    except Exception as error:
        raise InputError(
            f"{what} failed with {type(error).__name__}: {_first_line(error)}; --debug shows where"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else "no message"


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"no module '{error.name}' (wanted by '{name}'); install it or give a path to a file"
        ) from error


def _module_of_file(path: Path) -> ModuleType:
    """Import a file under a name of its own; its folder goes on the path, as for a script, so siblings import.

    The name follows from path and content, so a file that was edited since is imported anew.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}'; check the path, which is relative to the current folder")
    path = path.resolve()
    name = f"mergesearch_file_{path.stem}_{zlib.crc32(str(path).encode() + path.read_bytes()):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"'{path}' is not a Python file; give the path of a .py file")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        call_user(f"importing '{path}'", spec.loader.exec_module, module=module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _files(package: str) -> list[str]:
    folder = importlib.import_module(package).__path__[0]
    return sorted(path.stem for path in Path(folder).glob("*.py") if not path.stem.startswith("_"))


def _defined(module: ModuleType, base: type) -> list[type]:
    """Concrete subclasses of `base` written in `module` itself, in the order of their lines."""
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]
