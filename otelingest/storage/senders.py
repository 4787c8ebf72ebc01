"""What a record says of whoever has sent its payload: no more than someone looks at who takes it from the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otelingest.pipeline.payload import Context


def kept_of(context: Context, metadata_keys: Iterable[str], attributes: Iterable[str]) -> dict[str, Any]:
    """Of a sender's headers and attributes, those that are asked for: what `context_of` reads. They may be secrets."""
    headers = {key: context.metadata[key] for key in sorted(metadata_keys) if key in context.metadata}
    texts = {name: context.attribute(name) for name in sorted(attributes)} if context.auth else {}
    # An attribute may come from a token that anyone has written: not every text can be written as UTF-8.
    vouched = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items() if text is not None}
    return {key: found for key, found in (("m", headers), ("a", vouched)) if found}


def context_of(meta: Mapping[str, Any]) -> Context:
    """The sender that a record knows."""
    metadata = {name: tuple(values) for name, values in meta.get("m", {}).items()}
    return Context(metadata=metadata, auth=meta.get("a", {}), name=meta["w"])
