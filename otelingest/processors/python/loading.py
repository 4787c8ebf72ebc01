"""From a file to its function: compiled, run as a module of its own, and asked what it wants to be handed."""

from __future__ import annotations

import inspect
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from otelingest.config.spots import did_you_mean
from otelingest.pipeline.errors import ConfigError
from otelingest.processors.python.settings import PythonSettings
from otelingest.processors.python.worker import Overtime, Stuck, run_blocking

EXTRAS = ("resource", "scope", "settings", "context")
"""What a function may ask for by the name of a parameter, behind the item."""


class Function(NamedTuple):
    """A function of the user's, and the names of what it is handed beside the item."""

    call: Callable[..., Any]
    extras: tuple[str, ...]


def load(settings: PythonSettings, name: str) -> Function:
    """Raises ConfigError with file and line for a file that does not compile, breaks, or lacks the function.

    name: what the module is called.
    """
    file = str(settings.file)
    try:
        code = compile(settings.source, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        text = getattr(error, "msg", None) or str(error)
        raise ConfigError(f"{file}:{line or 1}: {text}; mend the file, {_check(settings)}") from None
    module = types.ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module  # dataclasses and pickle look a class's module up
    try:
        run_blocking("python processor", settings.timeout.seconds, lambda: exec(code, module.__dict__))  # noqa: S102
    except Overtime as error:
        where = place(error, file)
        raise ConfigError(
            f"{where}: the file did not load within {settings.timeout}: what it does on import must be quick"
        ) from None
    except Stuck as error:
        raise ConfigError(f"{file}: the file did not load: {error}") from None
    except BaseException as error:
        raise ConfigError(f"{_broken(error, file)}; mend the file, {_check(settings)}") from None
    finally:
        sys.modules.pop(name, None)
    return _function(module.__dict__, settings)


def describe(error: BaseException, file: str) -> str:
    """An exception in one line: where in the user's file, and what."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{place(error, file)}: {text:.500}"


def _broken(error: BaseException, file: str) -> str:
    text = describe(error, file)
    if isinstance(error, ImportError):
        text += (
            f" (it is imported by {sys.executable}: install it there, or make a package of what is more than one file)"
        )
    return text


def place(error: BaseException, file: str) -> str:
    """The last line of the user's file that the exception went through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else file


def _check(settings: PythonSettings) -> str:
    return f"try it with `python {settings.path}`, and `otelingest validate` checks it without starting"


def _function(names: Mapping[str, Any], settings: PythonSettings) -> Function:
    file, wanted = settings.file, settings.function
    function = names.get(wanted)
    there = [name for name, value in names.items() if inspect.isfunction(value) and not name.startswith("_")]
    if function is None:
        raise ConfigError(
            f"{file}: there is no function {wanted}{did_you_mean(wanted, there)} "
            f"(functions there: {', '.join(there) or 'none'}); write `def {wanted}(span, resource):`, or name another "
            "one with the setting `function`"
        )
    if not callable(function):
        raise ConfigError(f"{file}: {wanted} is no function but {type(function).__name__}")
    target = inspect.unwrap(function)
    line = getattr(getattr(target, "__code__", None), "co_firstlineno", None)
    where = f"{file}:{line}" if line else str(file)
    if any(kind(target) for kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction)):
        raise ConfigError(f"{where}: {wanted} must be a plain function: no `async def`, no `yield`")
    return Function(function, _extras(function, where, wanted))


def _extras(function: Callable[..., Any], where: str, name: str) -> tuple[str, ...]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: the parameters of {name} cannot be told: {error}") from None
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise ConfigError(f"{where}: {name} takes nothing; its first parameter is the item: `def {name}(span):`")
    extras = []
    for parameter in parameters[1:]:
        if parameter.name in EXTRAS:
            extras.append(parameter.name)
        elif parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            raise ConfigError(
                f"{where}: {name} asks for {parameter.name}{did_you_mean(parameter.name, EXTRAS)}; behind the item a "
                f"function may ask for {', '.join(EXTRAS)}, by these names"
            )
    return tuple(extras)
