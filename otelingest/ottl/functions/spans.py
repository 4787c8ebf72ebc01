"""Functions for spans alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from otelingest.ottl.errors import StatementError
from otelingest.ottl.functions.kinds import WRITTEN_STRING
from otelingest.ottl.functions.registry import building, editor
from otelingest.ottl.item import Item

_SPANS = frozenset({"span"})
_VERSION = re.compile(r"v?1\.(3[7-9]|[4-9]\d)(\.\d+)?")


@building("IsRootSpan", pure=False, contexts=_SPANS)
def _is_root_span() -> Callable[[Item], Any]:
    return lambda item: not any(item.span.parent_span_id)


@editor(
    "set_semconv_span_name",
    ("semconv_version", WRITTEN_STRING),
    ("original_span_name_attribute", WRITTEN_STRING, ""),
    contexts=_SPANS,
)
def _set_semconv_span_name(version: str, keep_in: str) -> Callable[[Item], None]:
    """Give a span the name that the semantic conventions ask for; spans that they do not name keep theirs."""
    if not _VERSION.fullmatch(version):
        raise StatementError(f"unsupported semconv version: {version}, supported versions: 1.37.0")

    def run(item: Item) -> None:
        name = _conventional_name(item)
        if name and name != item.span.name:
            if keep_in:
                item.span_attributes.set(keep_in, item.span.name)
            item.span.name = name

    return run


def _conventional_name(item: Item) -> str:
    def text(*keys: str) -> str:
        for key in keys:
            value = item.span_attributes.get(key)
            if type(value) is str and value:
                return value
        return ""

    method = text("http.request.method", "http.method")
    if method:
        method = "HTTP" if method == "_OTHER" else method
        return f"{method} {text('http.route', 'url.template')}".strip()
    if text("rpc.system", "rpc.system.name"):
        service, call = text("rpc.service"), text("rpc.method")
        return f"{service}/{call}" if service and call else call or service
    if text("messaging.system"):
        operation = text("messaging.operation.name", "messaging.operation.type", "messaging.operation")
        place = text("messaging.destination.template", "messaging.destination.name", "server.address")
        return f"{operation} {place}".strip()
    if text("db.system.name", "db.system"):
        return _database_name(text)
    return ""


def _database_name(text: Callable[..., str]) -> str:
    summary = text("db.query.summary")
    if summary:
        return summary
    operation = text("db.operation.name", "db.operation")
    collection = text("db.collection.name", "db.sql.table", "db.namespace", "server.address")
    return f"{operation} {collection}".strip() or text("db.system.name", "db.system")
