"""Grok: regular expressions that are put together from named ones, `%{WORD:user} %{INT:size:int}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.functions.regexps import compiled

_REFERENCE = re.compile(r"%\{(\w+)(?::([\w.\-@\[\]]+))?(?::(\w+))?\}")
_DEEPEST = 32
_LONGEST = 1 << 18

PATTERNS: Mapping[str, str] = {
    "WORD": r"\b\w+\b",
    "NOTSPACE": r"\S+",
    "SPACE": r"\s*",
    "DATA": r".*?",
    "GREEDYDATA": r".*",
    "INT": r"[+-]?(?:[0-9]+)",
    "BASE10NUM": r"[+-]?(?:(?:[0-9]+(?:\.[0-9]+)?)|(?:\.[0-9]+))",
    "NUMBER": r"(?:%{BASE10NUM})",
    "BASE16NUM": r"[+-]?(?:0x)?(?:[0-9A-Fa-f]+)",
    "BASE16FLOAT": r"\b[+-]?(?:0x)?(?:(?:[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?)|(?:\.[0-9A-Fa-f]+))\b",
    "BOOL": r"true|false",
    "POSINT": r"\b[1-9][0-9]*\b",
    "NONNEGINT": r"\b[0-9]+\b",
    "QUOTEDSTRING": r"\"(?:\\.|[^\\\"])*\"|'(?:\\.|[^\\'])*'|`(?:\\.|[^\\`])*`",
    "QS": r"%{QUOTEDSTRING}",
    "UUID": r"[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
    "URN": r"urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:[0-9A-Za-z()+,.:=@;$_!*'/?#-]+",
    "USERNAME": r"[a-zA-Z0-9._-]+",
    "USER": r"%{USERNAME}",
    "EMAILLOCALPART": r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]+",
    "EMAILADDRESS": r"%{EMAILLOCALPART}@%{HOSTNAME}",
    "CISCOMAC": r"(?:[A-Fa-f0-9]{4}\.){2}[A-Fa-f0-9]{4}",
    "WINDOWSMAC": r"(?:[A-Fa-f0-9]{2}-){5}[A-Fa-f0-9]{2}",
    "COMMONMAC": r"(?:[A-Fa-f0-9]{2}:){5}[A-Fa-f0-9]{2}",
    "MAC": r"%{CISCOMAC}|%{WINDOWSMAC}|%{COMMONMAC}",
    "IPV6": r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%{IPV4})?(?:%[0-9A-Za-z]+)?",
    "IPV4": r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])",
    "IP": r"%{IPV6}|%{IPV4}",
    "HOSTNAME": r"\b[0-9A-Za-z][0-9A-Za-z-]{0,62}(?:\.[0-9A-Za-z][0-9A-Za-z-]{0,62})*\.?",
    "IPORHOST": r"%{IP}|%{HOSTNAME}",
    "HOST": r"%{HOSTNAME}",
    "HOSTPORT": r"%{IPORHOST}:%{POSINT}",
    "UNIXPATH": r"(?:/[\w_%!$@:.,+~-]*)+",
    "WINPATH": r"(?:[A-Za-z]+:|\\)(?:\\[^\\?*]*)+",
    "PATH": r"%{UNIXPATH}|%{WINPATH}",
    "TTY": r"/dev/(?:pts|tty[pq]?)(?:\w+)?/?[0-9]+",
    "URIPROTO": r"[A-Za-z](?:[A-Za-z0-9+\-.]+)+",
    "URIHOST": r"%{IPORHOST}(?::%{POSINT})?",
    "URIPATH": r"(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_\-]*)+",
    "URIQUERY": r"[A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\-\[\]<>]*",
    "URIPARAM": r"\?%{URIQUERY}",
    "URIPATHPARAM": r"%{URIPATH}(?:\?%{URIQUERY})?",
    "URI": r"%{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST})?(?:%{URIPATH}(?:\?%{URIQUERY})?)?",
    "MONTH": (
        r"\b(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|[Jj]un(?:e)?|[Jj]ul(?:y)?|"
        r"[Aa]ug(?:ust)?|[Ss]ep(?:tember)?|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\b"
    ),
    "MONTHNUM": r"0?[1-9]|1[0-2]",
    "MONTHNUM2": r"0[1-9]|1[0-2]",
    "MONTHDAY": r"(?:0[1-9])|(?:[12][0-9])|(?:3[01])|[1-9]",
    "DAY": r"Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?",
    "YEAR": r"(?:\d\d){1,2}",
    "HOUR": r"2[0123]|[01]?[0-9]",
    "MINUTE": r"[0-5][0-9]",
    "SECOND": r"(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?",
    "TIME": r"(?:%{HOUR}):(?:%{MINUTE})(?::(?:%{SECOND}))",
    "DATE_US": r"(?:%{MONTHNUM})[/-](?:%{MONTHDAY})[/-](?:%{YEAR})",
    "DATE_EU": r"(?:%{MONTHDAY})[./-](?:%{MONTHNUM})[./-](?:%{YEAR})",
    "DATE": r"%{DATE_US}|%{DATE_EU}",
    "DATESTAMP": r"(?:%{DATE})[- ](?:%{TIME})",
    "ISO8601_TIMEZONE": r"Z|[+-](?:%{HOUR})(?::?(?:%{MINUTE}))",
    "ISO8601_SECOND": r"%{SECOND}",
    "TIMESTAMP_ISO8601": (
        r"(?:%{YEAR})-(?:%{MONTHNUM})-(?:%{MONTHDAY})[T ](?:%{HOUR}):?(?:%{MINUTE})(?::?(?:%{SECOND}))?"
        r"(?:%{ISO8601_TIMEZONE})?"
    ),
    "TZ": r"[A-Z]{3}",
    "DATESTAMP_RFC822": r"(?:%{DAY}) (?:%{MONTH}) (?:%{MONTHDAY}) (?:%{YEAR}) (?:%{TIME}) (?:%{TZ})",
    "DATESTAMP_RFC2822": (r"(?:%{DAY}), (?:%{MONTHDAY}) (?:%{MONTH}) (?:%{YEAR}) (?:%{TIME}) (?:%{ISO8601_TIMEZONE})"),
    "DATESTAMP_OTHER": r"(?:%{DAY}) (?:%{MONTH}) (?:%{MONTHDAY}) (?:%{TIME}) (?:%{TZ}) (?:%{YEAR})",
    "SYSLOGTIMESTAMP": r"(?:%{MONTH}) +(?:%{MONTHDAY}) (?:%{TIME})",
    "PROG": r"[\x21-\x5a\x5c\x5e-\x7e]+",
    "SYSLOGPROG": r"(?:%{PROG})(?:\[(?:%{POSINT})\])?",
    "SYSLOGHOST": r"%{IPORHOST}",
    "HTTPDATE": r"(?:%{MONTHDAY})/(?:%{MONTH})/(?:%{YEAR}):(?:%{TIME}) (?:%{INT})",
    "LOGLEVEL": (
        r"[Aa]lert|ALERT|[Tt]race|TRACE|[Dd]ebug|DEBUG|[Nn]otice|NOTICE|[Ii]nfo(?:rmation)?|INFO(?:RMATION)?|"
        r"[Ww]arn(?:ing)?|WARN(?:ING)?|[Ee]rr(?:or)?|ERR(?:OR)?|[Cc]rit(?:ical)?|CRIT(?:ICAL)?|[Ff]atal|FATAL|"
        r"[Ss]evere|SEVERE|[Ee]merg(?:ency)?|EMERG(?:ENCY)?"
    ),
    "HTTPDUSER": r"%{EMAILADDRESS}|%{USER}",
    "COMMONAPACHELOG": (
        r"%{IPORHOST:source.address} %{HTTPDUSER:apache.access.user.identity} %{HTTPDUSER:user.name} "
        r"\[%{HTTPDATE:timestamp}\] \"(?:%{WORD:http.request.method} %{NOTSPACE:url.original}"
        r"(?: HTTP/%{NUMBER:http.version})?|%{DATA})\" "
        r"(?:-|%{INT:http.response.status_code:int}) (?:-|%{INT:http.response.body.bytes:int})"
    ),
    "COMBINEDAPACHELOG": (
        r"%{COMMONAPACHELOG} \"(?:-|%{DATA:http.request.referrer})\" \"(?:-|%{DATA:user_agent.original})\""
    ),
}
"""The patterns in general use, by their customary names."""


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_TYPES: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bool": _boolean,
    "boolean": _boolean,
    "string": str,
}


class Grok:
    """A compiled grok pattern. Raises StatementError for one that cannot be."""

    def __init__(self, pattern: str, definitions: list[str], *, named_only: bool) -> None:
        self._patterns = dict(PATTERNS)
        for definition in definitions:
            name, separator, text = definition.partition("=")
            if not separator or not name:
                raise StatementError(f"the pattern definition {definition!r} is not NAME=PATTERN")
            self._patterns[name] = text
        self._named_only = named_only
        self._names: list[tuple[str, str]] = []
        expression = self._expanded(pattern, 0)
        try:
            self._pattern = compiled("ExtractGrokPatterns", expression)
        except OttlError as error:
            raise StatementError(str(error)) from None
        if named_only and not any(self._pattern.group_names):
            raise StatementError("at least 1 named capture group must be supplied in the given regex")

    def _expanded(self, text: str, depth: int) -> str:
        if depth > _DEEPEST:
            raise StatementError("the pattern's definitions go round in a circle")
        parts: list[str] = []
        position = 0
        for reference in _REFERENCE.finditer(text):
            syntax, name, kind = reference.groups()
            if syntax not in self._patterns:
                raise StatementError(f"no pattern found for %{{{syntax}}}")
            if kind is not None and kind.lower() not in _TYPES:
                raise StatementError(f"a grok pattern has no type {kind!r}")
            parts.append(text[position : reference.start()])
            parts.append(self._group(syntax, name, kind, depth))
            position = reference.end()
        parts.append(text[position:])
        expanded = "".join(parts)
        if len(expanded) > _LONGEST:
            raise StatementError("the pattern is too long")
        return expanded

    def _group(self, syntax: str, name: str | None, kind: str | None, depth: int) -> str:
        """Groups get names that every regular expression can have; what they stand for is kept beside it."""
        if name is None and self._named_only:
            return f"(?:{self._expanded(self._patterns[syntax], depth + 1)})"
        self._names.append((name or syntax, (kind or "string").lower()))
        number = len(self._names) - 1
        return f"(?P<grok_{number}>{self._expanded(self._patterns[syntax], depth + 1)})"

    def extract(self, text: str) -> dict[str, Any]:
        """What the groups caught; empty where nothing matches. Raises OttlError for a value of the wrong type."""
        found: dict[str, Any] = {}
        for group, value in (self._pattern.named_groups(text) or {}).items():
            name, kind = self._named(group)
            if value == "" and name in found:
                continue
            try:
                found[name] = _TYPES[kind](value) if value else "" if kind == "string" else None
            except ValueError:
                raise OttlError(f"cannot convert {value[:100]!r} to {kind}") from None
        return found

    def _named(self, group: str) -> tuple[str, str]:
        if group.startswith("grok_"):
            return self._names[int(group.removeprefix("grok_"))]
        return group, "string"
