"""Removes items from a decoded request, and the scopes and groups that are then, or were before, without any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.codec.messages import CONTAINERS


def keep_items(signal: str, message: Any, wanted: Callable[[Any], bool]) -> bool:
    """Ask for every item in order, and keep those that are wanted. Whether anything is left."""
    groups_name, scopes_name, items_name = CONTAINERS[signal]
    groups = getattr(message, groups_name)
    for group in groups:
        scopes = getattr(group, scopes_name)
        for scope in scopes:
            _keep(getattr(scope, items_name), wanted)
        _keep(scopes, lambda scope: bool(getattr(scope, items_name)))
    _keep(groups, lambda group: bool(getattr(group, scopes_name)))
    return bool(groups)


def _keep(members: Any, wanted: Callable[[Any], bool]) -> None:
    unwanted = [place for place, member in enumerate(members) if not wanted(member)]
    for place in reversed(unwanted):
        del members[place]
