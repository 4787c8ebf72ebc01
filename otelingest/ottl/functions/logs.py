"""Converters for log records alone: CEF, CLF, ELF and LEEF."""

from __future__ import annotations

import re
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import STRING, WRITTEN_STRING
from otelingest.ottl.functions.registry import converter

_LOGS = frozenset({"log"})
_CEF_KEY = re.compile(r"(?:^|\s)([A-Za-z0-9_.\-\[\]]+)=")
_CEF_FIELDS = ("device_vendor", "device_product", "device_version", "device_event_class_id", "name", "severity")
_LEEF_FIELDS = ("vendor", "product.name", "product.version", "event.id")


def _header(text: str, count: int) -> list[str]:
    """The first parts between pipes, unescaped, and the rest as it is."""
    parts: list[str] = []
    current: list[str] = []
    position = 0
    while position < len(text) and len(parts) < count:
        character = text[position]
        if character == "\\" and text[position + 1 : position + 2] in ("|", "\\"):
            current.append(text[position + 1])
            position += 1
        elif character == "|":
            parts.append("".join(current))
            current = []
        else:
            current.append(character)
        position += 1
    if len(parts) < count:
        parts.append("".join(current))
        return parts
    return [*parts, text[position:]]


_CEF_ESCAPES = {"\\\\": "\\", "\\=": "=", "\\n": "\n", "\\r": "\r"}


@converter("ParseCEF", ("target", STRING), contexts=_LOGS)
def _parse_cef(text: str) -> dict[str, Any]:
    """ArcSight's Common Event Format."""
    start = text.find("CEF:")
    if start < 0:
        raise OttlError("invalid CEF message: missing the CEF: token")
    version, *fields = _header(text[start + 4 :], 7)
    if len(fields) < 6 or not version.isdecimal():
        raise OttlError("invalid CEF message: the header is incomplete")
    result: dict[str, Any] = {"cef.version": version}
    result.update({f"cef.{name}": value for name, value in zip(_CEF_FIELDS, fields, strict=False)})
    extensions: dict[str, Any] = {}
    rest = fields[6] if len(fields) > 6 else ""
    keys = list(_CEF_KEY.finditer(rest))
    for match, following in zip(keys, [*keys[1:], None], strict=True):
        value = rest[match.end() : following.start() if following else len(rest)]
        extensions[match[1]] = re.sub(r"\\[\\=nr]", lambda found: _CEF_ESCAPES[found[0]], value.strip())
    result["cef.extensions"] = extensions
    return result


@converter("ParseLEEF", ("target", STRING), contexts=_LOGS)
def _parse_leef(text: str) -> dict[str, Any]:
    """IBM's Log Event Extended Format, 1.0 and 2.0."""
    start = text.find("LEEF:")
    if start < 0:
        raise OttlError("invalid LEEF message: missing the LEEF: token")
    version, *fields = text[start + 5 :].split("|", 5)
    if version not in ("1.0", "2.0") or len(fields) < 5:
        raise OttlError("invalid LEEF message: the header is incomplete")
    result: dict[str, Any] = {"leef.version": version}
    result.update({f"leef.{name}": value for name, value in zip(_LEEF_FIELDS, fields, strict=False)})
    delimiter, rest = "\t", fields[4]
    if version == "2.0":
        first, pipe, behind = rest.partition("|")
        if pipe and "=" not in first:
            delimiter, rest = _leef_delimiter(first), behind
    attributes: dict[str, str] = {}
    for pair in rest.split(delimiter):
        key, equals, value = pair.partition("=")
        if equals and key:
            attributes[key] = value
    result["leef.attributes"] = attributes
    return result


def _leef_delimiter(text: str) -> str:
    if not text:
        return "\t"
    if len(text) == 1:
        return text
    if text.lower().startswith("0x"):
        try:
            number = int(text[2:], 16)
        except ValueError:
            number = 256
        if number < 256:
            return chr(number)
    raise OttlError(f"invalid LEEF message: the delimiter {text[:20]!r} is not a single character")


# ---- access logs

_CLF = r'(\S+) (\S+) (\S+) \[([^\]]*)\] "((?:\\.|[^"\\])*)" (\d{3}) (-|\d{1,18})'
_FORMATS = {
    "clf": re.compile(_CLF),
    "combined": re.compile(_CLF + r' "((?:\\.|[^"\\])*)" "((?:\\.|[^"\\])*)"'),
}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    data = _ESCAPE.sub(
        lambda match: (
            bytes([int(match[1], 16)]).decode("utf-8", "surrogateescape")
            if match[1]
            else _CONTROLS.get(match[2], match[2])
        ),
        text,
    )
    return data.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@converter("ParseCLF", ("target", STRING), ("format", WRITTEN_STRING, "clf"), contexts=_LOGS)
def _parse_clf(text: str, form: str) -> dict[str, Any]:
    """The Common Log Format of web servers, and the combined one."""
    if form not in _FORMATS:
        raise OttlError(f"unknown format {form!r}, must be 'clf' or 'combined'")
    match = _FORMATS[form].fullmatch(text.strip())
    if match is None:
        raise OttlError(f"cannot parse the target as {form}")
    host, logname, user, timestamp, request, status, size, *more = match.groups()
    result: dict[str, Any] = {
        "clf.remote_host": host,
        "clf.rfc931": logname,
        "clf.auth_user": user,
        "clf.timestamp": timestamp,
        "clf.request": _unescaped(request),
        "clf.status": int(status),
    }
    parts = result["clf.request"].split(" ")
    if len(parts) == 3 and all(parts):
        result["clf.method"], result["clf.request_uri"], result["clf.protocol"] = parts
    if size != "-":
        result["clf.bytes"] = int(size)
    if more:
        result["clf.referer"], result["clf.user_agent"] = map(_unescaped, more)
    return result


_DIRECTIVES = {
    "Version": "elf.version",
    "Software": "elf.software",
    "Date": "elf.date",
    "Start-Date": "elf.start_date",
    "End-Date": "elf.end_date",
    "Remark": "elf.remark",
}
_ELF_FIELD = re.compile(r'"((?:[^"]|"")*)"|(\S+)')


@converter("ParseELF", ("target", STRING), contexts=_LOGS)
def _parse_elf(text: str) -> dict[str, Any]:
    """W3C's Extended Log Format: a block of directives and lines."""
    result: dict[str, Any] = {}
    fields: list[str] = []
    entries: list[dict[str, str]] = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        if line.startswith("#"):
            name, _, value = line[1:].partition(":")
            if name == "Fields":
                fields = value.split()
            elif name in _DIRECTIVES:
                result[_DIRECTIVES[name]] = value.strip()
        elif fields:
            values = [
                match[1].replace('""', '"') if match[2] is None else match[2] for match in _ELF_FIELD.finditer(line)
            ]
            entries.append({name: values[index] if index < len(values) else "-" for index, name in enumerate(fields)})
    if "elf.version" not in result:
        raise OttlError("invalid ELF: missing the #Version directive")
    return {**result, "elf.fields": list(fields), "elf.entries": entries}
