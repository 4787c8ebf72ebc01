"""Looks into SQL as far as a door must: what kind of statement it is, its output format, where an INSERT's data begins.

Works on bytes, because data of any kind may follow an INSERT. The tokens are those of ClickHouse's own lexer.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from otelingest.clickhouse.embedded.errors import (
    ACCESS_DENIED,
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    SYNTAX_ERROR,
    EngineError,
)

_TOKEN = re.compile(
    rb"""
      (?P<space> (?: [\s\0] | \xc2\xa0 | \xe2\x80[\x80-\x8f\xa8\xa9\xaf] | \xe2\x81[\x9f\xa0]
                   | \xe3\x80\x80 | \xef\xbb\xbf | --[^\n]* | \#[ !][^\n]* )++ )
    | (?P<comment> /\* )
    | (?P<word> [A-Za-z_][A-Za-z0-9_$]*+ )
    | (?P<number> [0-9][A-Za-z0-9_.]*+ )
    | (?P<string> '(?: [^'\\]++ | \\. | '' )*+' | \xe2\x80\x98.*?\xe2\x80\x99 | \$(?P<tag>\w*+)\$.*?\$(?P=tag)\$ )
    | (?P<quoted> `(?: [^`\\]++ | \\. | `` )*+` | "(?: [^"\\]++ | \\. | "" )*+" | \xe2\x80\x9c.*?\xe2\x80\x9d )
    | (?P<symbol> . )
    """,
    re.S | re.X,
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_DATA_GAP = re.compile(rb"[ \t\f]*;?[ \t\f]*(?:\r?\n)?")


class Token(NamedTuple):
    """kind: word, number, string, quoted or symbol. text: as written."""

    kind: str
    text: bytes
    start: int
    end: int

    def is_word(self, *words: bytes) -> bool:
        return self.kind == "word" and self.text.upper() in words


def tokens(sql: bytes) -> Iterator[Token]:
    """The tokens of `sql` without spaces and comments. What the lexer does not know comes as single bytes."""
    at = 0
    while at < len(sql):
        found = _TOKEN.match(sql, at)
        assert found is not None
        kind = found.lastgroup or ""
        if found.group("comment"):
            at = _comment_end(sql, at)
            continue
        if found.group("tag") is not None:
            kind = "string"
        if kind != "space":
            yield Token(kind, found.group(), at, found.end())
        at = found.end()


def _comment_end(sql: bytes, start: int) -> int:
    """Comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == b"/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


class Kind(enum.Enum):
    """What a statement asks of a door."""

    QUERY = "query"
    """SELECT in one of its forms: rows may be streamed."""
    INSERT = "insert"
    """Data follows, in the text or beside it."""
    SESSION = "session"
    """Changes what later statements of the same session see: SET, USE, temporary tables."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data comes from the client.

    target: as written, e.g. `` `db`.`t` `` or `FUNCTION remote(…)`. columns: None when the statement lists none.
    settings: the text after SETTINGS. format: None when none is named. data_start: offset of the first byte of data.
    """

    target: str
    columns: tuple[str, ...] | None
    all_but: frozenset[str]
    settings: str
    format: str | None
    data_start: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. text: without a trailing FORMAT and semicolon."""

    kind: Kind
    text: str
    format: str | None = None
    totals: bool = False
    insert: Insert | None = None


_STREAMING_WORDS = (b"SELECT", b"WITH")
_SESSION_WORDS = (b"SET", b"USE")
_SELECT_WORDS = (b"SELECT", b"WITH", b"FROM", b"EXPLAIN")


def is_insert(sql: bytes) -> bool:
    """Whether the first word is INSERT."""
    first = next(tokens(sql[:65536]), None)
    return first is not None and first.is_word(b"INSERT")


def parse(sql: bytes) -> Statement:
    """Look at one statement. Raises EngineError for what no client may do, and for an INSERT that makes no sense."""
    if is_insert(sql):
        insert = parse_insert(sql)
        if insert is not None:
            return Statement(Kind.INSERT, _text(sql[: insert.data_start]), insert.format, insert=insert)
    found = list(tokens(sql))
    while found and found[-1].text == b";":
        found.pop()
    if not found:
        raise EngineError(SYNTAX_ERROR, "Syntax error: Empty query.")
    _refuse_files(found)
    end = found[-1].end
    text, output = _without_format(sql[:end], found)
    totals = any(a.is_word(b"WITH") and b.is_word(b"TOTALS") for a, b in itertools.pairwise(found))
    return Statement(_kind(found), _text(text), output, totals)


def _text(sql: bytes) -> str:
    return sql.decode("utf-8", "replace")


def _kind(found: list[Token]) -> Kind:
    first = next((token for token in found if token.text != b"("), found[0])
    if first.is_word(*_STREAMING_WORDS):
        return Kind.QUERY
    if first.is_word(*_SESSION_WORDS):
        return Kind.SESSION
    if first.is_word(b"CREATE", b"DROP") and any(token.is_word(b"TEMPORARY") for token in found[1:4]):
        return Kind.SESSION
    return Kind.OTHER


def _without_format(sql: bytes, found: list[Token]) -> tuple[bytes, str | None]:
    """Take `FORMAT x` off the end, where it may be followed by SETTINGS."""
    for at in range(len(found) - 2, 0, -1):
        if not found[at].is_word(b"FORMAT") or found[at + 1].kind != "word":
            continue
        if at + 2 == len(found) or found[at + 2].is_word(b"SETTINGS"):
            rest = sql[found[at + 1].end :]
            return sql[: found[at].start] + rest, found[at + 1].text.decode()
    return sql, None


# Names that reach the machine's files. The engine would serve them to anyone; a server keeps clients to one folder.
_FILE_NAMES = frozenset(
    b"eval executable executablepool file filecluster filelog filesystem python sqlite embeddedrocksdb"
    b" deltalakelocal iceberglocal iceberglocalcluster paimonlocal".split()
)
_TABLE_WORDS = (b"FROM", b"JOIN", b"INTO", b"TABLE", b"DESCRIBE", b"DESC", b"EXISTS")


def _refuse_files(found: list[Token]) -> None:
    """A first line of defence; the process itself is confined where the kernel can (`confinement.py`)."""
    previous = Token("symbol", b"", 0, 0)
    for token, following in zip(found, [*found[1:], previous], strict=True):
        if token.kind in ("word", "quoted"):
            name = unquote(token).lower().encode()
            called = following.text == b"(" and not previous.is_word(b"INTO")
            if name in _FILE_NAMES and (called or previous.text == b"="):
                raise _no_files(unquote(token))
            if token.is_word(b"OUTFILE", b"INFILE") and previous.is_word(b"INTO", b"FROM"):
                raise _no_files(f"{previous.text.decode()} {token.text.decode()}")
        if token.kind in ("string", "quoted") and b"/" in token.text:
            named = previous.is_word(*_TABLE_WORDS) or (token.kind == "quoted" and previous.text == b".")
            if named or token.text[1:6].lower() == b"file:":
                raise _no_files(token.text.decode("utf-8", "replace"))
        previous = token


def _no_files(what: str) -> EngineError:
    return EngineError(ACCESS_DENIED, f"Clients of the embedded ClickHouse cannot reach files of its machine: {what}.")


_ESCAPED = re.compile(r"\\(.)|``|\"\"", re.S)


def unquote(token: Token) -> str:
    """The name that an identifier stands for."""
    text = token.text.decode("utf-8", "replace")
    if token.kind != "quoted":
        return text
    return _ESCAPED.sub(lambda match: match.group(1) or match.group()[0], text[1:-1])


def quote_name(name: str) -> str:
    """An identifier, quoted."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quote_text(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Cursor:
    """Reads tokens one by one, looking one ahead."""

    def __init__(self, sql: bytes) -> None:
        self._tokens = tokens(sql)
        self.sql = sql
        self.seen: list[Token] = []
        self.peek = next(self._tokens, None)

    def next(self) -> Token:
        token = self.peek
        if token is None:
            raise EngineError(SYNTAX_ERROR, "Syntax error: failed at the end of the INSERT query.")
        self.seen.append(token)
        self.peek = next(self._tokens, None)
        return token

    def skip(self, *words: bytes) -> bool:
        if self.peek is not None and self.peek.is_word(*words):
            self.next()
            return True
        return False

    def parenthesised(self) -> list[Token]:
        """Everything from the opening parenthesis, which is next, to its partner."""
        depth, inside = 0, []
        while True:
            token = self.next()
            inside.append(token)
            depth += (token.text == b"(") - (token.text == b")")
            if depth == 0:
                return inside


def parse_insert(sql: bytes) -> Insert | None:
    """Read the head of an INSERT. None when its rows come from a query and not from the client.

    Raises EngineError when the head does not make sense, or is not whole.
    """
    cursor = _Cursor(sql)
    cursor.next()
    cursor.skip(b"INTO")
    cursor.skip(b"TABLE")
    target = _target(cursor)
    columns: tuple[str, ...] | None = None
    all_but: frozenset[str] = frozenset()
    if cursor.peek is not None and cursor.peek.text == b"(":
        inside = cursor.parenthesised()
        if inside[1].is_word(*_SELECT_WORDS) or inside[1].text == b"(":
            return None
        columns, all_but = _columns(inside[1:-1])
    settings = _settings(cursor)
    refused = list(cursor.seen)
    if cursor.peek is not None:
        refused.append(cursor.peek)
    _refuse_files(refused)
    return _data(cursor, Insert(target, columns, all_but, settings, None, len(sql)))


def _data(cursor: _Cursor, head: Insert) -> Insert | None:
    if cursor.peek is None or cursor.peek.text == b";":
        return head
    word = cursor.next()
    if word.is_word(b"VALUES"):
        return Insert(head.target, head.columns, head.all_but, head.settings, "Values", word.end)
    if word.is_word(b"FROM") and cursor.peek is not None and cursor.peek.is_word(b"INFILE"):
        raise _no_files("FROM INFILE")
    if not word.is_word(b"FORMAT"):
        return None
    # Read without the cursor: what follows the name is data and no tokens.
    name = _FORMAT_NAME.match(cursor.sql, word.end)
    if name is None:
        raise EngineError(SYNTAX_ERROR, "Syntax error: FORMAT of an INSERT needs a name.")
    gap = _DATA_GAP.match(cursor.sql, name.end())
    start = gap.end() if gap else name.end()
    return Insert(head.target, head.columns, head.all_but, head.settings, name.group(1).decode(), start)


_FORMAT_NAME = re.compile(rb"\s*([A-Za-z][A-Za-z0-9_]*)")


def _target(cursor: _Cursor) -> str:
    start = cursor.next()
    end = start
    if start.is_word(b"FUNCTION"):
        end = cursor.next()
        if cursor.peek is not None and cursor.peek.text == b"(":
            end = cursor.parenthesised()[-1]
    else:
        while cursor.peek is not None and cursor.peek.text == b".":
            cursor.next()
            end = cursor.next()
    return _text(cursor.sql[start.start : end.end])


def _settings(cursor: _Cursor) -> str:
    if not cursor.skip(b"SETTINGS"):
        return ""
    parts: list[Token] = []
    while cursor.peek is not None and not cursor.peek.is_word(b"FORMAT", b"VALUES", *_SELECT_WORDS):
        if cursor.peek.text == b";":
            break
        parts.append(cursor.next())
    if not parts:
        raise EngineError(SYNTAX_ERROR, "Syntax error: SETTINGS of an INSERT are empty.")
    return _text(cursor.sql[parts[0].start : parts[-1].end])


_COLUMNS_ONLY = "The column list of an INSERT into the embedded ClickHouse may hold names, * and * EXCEPT."


def _columns(inside: list[Token]) -> tuple[tuple[str, ...] | None, frozenset[str]]:
    """The listed names; or None with what `* EXCEPT` leaves out."""
    if inside and inside[0].text == b"*":
        rest = inside[1:]
        if rest and not rest[0].is_word(b"EXCEPT"):
            raise EngineError(NOT_IMPLEMENTED, _COLUMNS_ONLY)
        return None, frozenset(unquote(token) for token in rest[1:] if token.kind in ("word", "quoted"))
    names: list[str] = []
    name = ""
    for token in [*inside, Token("symbol", b",", 0, 0)]:
        if token.text == b",":
            if not name:
                raise EngineError(BAD_ARGUMENTS, "The column list of the INSERT query has a gap.")
            names.append(name)
            name = ""
        elif token.kind in ("word", "quoted") or token.text == b".":
            name += unquote(token)
        else:
            raise EngineError(NOT_IMPLEMENTED, _COLUMNS_ONLY)
    return tuple(names), frozenset()
