"""Writes the reference documentation of every component from its settings class: `python -m otelingest.documentation`.

A test holds the files to what this would write.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otelingest.config.catalogue import ALIASES, upstream_names
from otelingest.config.describe import keys_of
from otelingest.config.service import ServiceSettings
from otelingest.pipeline import registry
from otelingest.pipeline.registry import KINDS, Kind

FOLDER = Path("docs/components")
DROP_IN = Path("docs/drop-in.md")
BEGIN, END = "<!-- components: written by `make docs` -->", "<!-- end of components -->"
_INTRODUCTION = """\
# Components

Every key, its default and its meaning; written from the settings classes by `make docs`.
Unknown keys are refused, or named in a warning where the Go collector accepts them. Durations are written as Go does:
`200ms`, `1h30m`. A section whose default is "absent" is on once its key is there, and off with `enabled: false` in it.
"""


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    found = {"service.md": _page("service", "What is in use of all that is configured.", "", ServiceSettings)}
    index = [_INTRODUCTION, "- [service](service.md)"]
    for kind in KINDS:
        for name in registry.names(kind):
            component = registry.load(kind, name)
            if component is None or not component.__module__.startswith("otelingest."):
                continue
            file = f"{kind[:-1]}-{name}.md"
            module = sys.modules[component.__module__]
            about = _about(component, module)
            found[file] = _page(f"{name} {kind[:-1]}", about, _serves(kind, name, component), component.Settings)
            index.append(f"- [{name} {kind[:-1]}]({file})")
    return found | {"README.md": "\n".join(index) + "\n"}


def _about(component: type[Any], module: Any) -> str:
    """What the package, or the module, of a component says it is for."""
    package = sys.modules.get(module.__name__.rpartition(".")[0])
    in_package = package is not None and package.__name__.count(".") > 1
    text = (
        (package.__doc__ if in_package and package is not None else None) or module.__doc__ or component.__doc__ or ""
    )
    return inspect.cleandoc(text)


def _serves(kind: Kind, name: str, component: type[Any]) -> str:
    lines = []
    signals = getattr(component, "signals", None)
    if signals and kind != "connectors":
        lines.append(f"Signals: {', '.join(sorted(map(str, signals)))}.")
    names = [old for (of, old), new in ALIASES.items() if of == kind and new == name]
    names += [ALIASES[kind, name]] if (kind, name) in ALIASES else []
    if names:
        lines.append(f"Also known as {', '.join(f'`{other}`' for other in names)}.")
    return "\n".join(lines)


def _page(title: str, about: str, serves: str, settings: type[Any]) -> str:
    keys = keys_of(settings)
    lines = [f"# {title}", "", about, ""]
    if serves:
        lines += [serves, ""]
    if not keys:
        return "\n".join([*lines, "There is nothing to set.", ""])
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in keys:
        default = f"`{key.default}`" if key.default not in ("", "required", "absent") else key.default
        lines.append(" | ".join((f"| `{key.path}`", key.type, _cell(default), f"{_cell(key.meaning)} |")))
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def components_table() -> Iterator[str]:
    """Which of upstream's components there are here, and which there are not, by kind."""
    for kind in KINDS:
        here = {name.replace("_", "") for name in registry.names(kind)}
        old = {new.replace("_", ""): name for (of, name), new in ALIASES.items() if of == kind}
        here |= {alias for new, alias in old.items() if new in here}
        there = upstream_names(kind)
        yield f"### {kind.capitalize()}"
        yield ""
        yield f"Here: {', '.join(f'`{name}`' for name in registry.names(kind)) or 'none'}."
        yield ""
        missing = sorted(there - here - {new for new, alias in old.items() if alias in here})
        yield f"Not here ({len(missing)}): {', '.join(missing)}."
        yield ""


def drop_in(text: str) -> str:
    """The text of the drop-in page with its lists of components brought up to date."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n" + "\n".join(components_table()) + f"\n{END}{after}"


def main() -> None:
    """Write the pages below the working folder, and remove those of components that are gone."""
    written = pages()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in FOLDER.glob("*.md"):
        if file.name not in written:
            file.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    DROP_IN.write_text(drop_in(DROP_IN.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
