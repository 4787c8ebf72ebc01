"""The code keeps to the table of `docs/architecture.md`: who may import whom, and nothing goes round in a circle."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib
import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "otelingest"
KINDS = ("receivers", "processors", "exporters", "connectors", "extensions")

# A room and what its modules may import, beside themselves and otelingest's own version. `*`: everything.
MAY_IMPORT = {
    "config": (),
    "pipeline": ("config",),
    "codec": ("clickhouse.schema",),
    "ottl": ("pipeline", "config", "codec"),
    "net": ("pipeline", "config"),
    "storage": ("pipeline", "config"),
    "clickhouse.schema": ("codec.types",),
    "clickhouse": ("codec", "pipeline", "config", "net"),
    "machine": (),
    "prometheus": (),
    "telemetry": ("config", "pipeline", "codec", "net", "prometheus"),
    "dead_letters": ("codec", "pipeline", "storage"),
    "query": ("clickhouse", "config", "pipeline"),
    **dict.fromkeys(
        KINDS,
        (
            *("pipeline", "config", "codec", "clickhouse", "net", "ottl", "prometheus", "storage", "machine"),
            *("exporters.sending", "exporters.prometheus_labels"),
        ),
    ),
    "probe": ("pipeline",),
    "documentation": ("*",),
    "run": ("*",),
    "cli": ("*",),
    "__main__": ("*",),
}


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name below `otelingest.`."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, path: Path, *, only_at_import: bool = False) -> Iterator[str]:
    """The modules of ours that a module imports, wherever in it; `only_at_import` leaves out those in functions."""
    tree = ast.parse(path.read_text())
    nodes = _at_import(tree) if only_at_import else ast.walk(tree)
    package = f"otelingest.{module}" if path.name == "__init__.py" else f"otelingest.{module}".rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("otelingest."):
                yield name.removeprefix("otelingest.")


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _at_import(node)


def real(name: str) -> str:
    """The module that an imported name is, or is in."""
    known = modules()
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    """The longest entry of the table that a module falls under."""
    return max((r for r in MAY_IMPORT if module == r or module.startswith(r + ".")), key=len, default="")


def components() -> list[str]:
    """The modules and packages that entry points name."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    return sorted({v.split(":")[0].removeprefix("otelingest.") for group in points.values() for v in group.values()})


def component_of(module: str) -> str | None:
    inside = [c for c in components() if module == c or module.startswith(c + ".")]
    return max(inside, key=len, default=None)


@pytest.mark.parametrize("module", sorted(set(modules()) - {""}))
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    allowed = MAY_IMPORT[room(module)]
    for name in map(real, imports(module, modules()[module])):
        own = name == "" or room(name) == room(module) or module.startswith(room(name).partition(".")[0] + ".")
        if own or "*" in allowed:
            continue
        assert any(name == a or name.startswith(a + ".") for a in allowed), f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(set(modules()) - {""}))
def test_a_component_never_imports_another(module: str) -> None:
    mine = component_of(module)
    if mine is None:
        return
    for name in map(real, imports(module, modules()[module])):
        assert component_of(name) in (None, mine), f"{module} imports {name}"


def test_nothing_goes_round_in_a_circle() -> None:
    graph = {
        module: {real(name) for name in imports(module, path, only_at_import=True)} - {module, ""}
        for module, path in modules().items()
        if module
    }
    # A package stands before its modules when they are imported: that edge is Python's, not ours.
    for module, behind in graph.items():
        behind.difference_update({p for p in behind if module.startswith(p + ".")})
    graphlib.TopologicalSorter(graph).prepare()


def test_every_entry_point_names_a_class_that_exists() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group in points.values():
        for value in group.values():
            module, _, name = value.partition(":")
            assert hasattr(importlib.import_module(module), name), value
