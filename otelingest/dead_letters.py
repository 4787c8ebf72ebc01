"""Shows what was given up, and sends it again: `otelingest dead-letters`."""

from __future__ import annotations

import http.client
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

from otelingest.pipeline.errors import ConfigError
from otelingest.storage import DeadLetter, DeadLetters, StorageError

_TIMEOUT = 30.0


def find(directory: str, names: Sequence[str]) -> list[DeadLetter]:
    """The letters of these names, or all of them, of the folder that `file_storage` has. Raises ConfigError."""
    folder = Path(directory) / "dead_letters"
    if not folder.is_dir():
        raise ConfigError(f"{directory} is no folder of file_storage: it has no `dead_letters`")
    try:
        letters = list(DeadLetters(folder))
    except StorageError as error:
        raise ConfigError(str(error)) from error
    if missing := sorted(set(names) - {letter.name for letter in letters}):
        raise ConfigError(f"no dead letter is called {', '.join(missing)}")
    return [letter for letter in letters if not names or letter.name in names]


def lines(letters: Sequence[DeadLetter]) -> Iterator[str]:
    """A line for each: its name, when it was given up, what is in it, and why."""
    for letter in letters:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(letter.at))
        what = f"{letter.items} {letter.signal.item}{'s' if letter.items != 1 else ''}"
        reason = " ".join(letter.reason.split())
        yield f"{letter.name}  {at} UTC  {letter.exporter}  {what}, {letter.size} bytes  {reason:.300}"
    yield f"{len(letters)} dead letters" if len(letters) != 1 else "1 dead letter"


def contents(letter: DeadLetter) -> str:
    """What is in a letter, as OTLP/JSON. Raises ConfigError."""
    from otelingest.codec.otlp_json import encode_json

    try:
        return encode_json(str(letter.signal), letter.body()).decode()
    except StorageError as error:
        raise ConfigError(str(error)) from error


def send(letter: DeadLetter, endpoint: str, headers: Sequence[tuple[str, str]]) -> None:
    """Hand a letter to an OTLP/HTTP endpoint, and delete it once that has taken it. Raises ConfigError."""
    url = urllib.parse.urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"{endpoint} is no endpoint: http://HOST:PORT is meant")
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    path = f"{url.path.rstrip('/')}/v1/{letter.signal}"
    try:
        connection = kind(url.hostname, url.port or (443 if url.scheme == "https" else 4318), timeout=_TIMEOUT)
        connection.request("POST", path, letter.body(), {"Content-Type": "application/x-protobuf", **dict(headers)})
        answer = connection.getresponse()
        body = answer.read(1 << 16)
        connection.close()
    except (OSError, http.client.HTTPException, StorageError) as error:
        raise ConfigError(f"{letter.name} was not sent: {error}") from error
    if answer.status != http.client.OK:
        raise ConfigError(f"{letter.name} was not taken: {answer.status} {body[:200].decode(errors='replace')}")
    if body:
        raise ConfigError(f"{letter.name} was taken in part only, so it is kept: {body[:200].decode(errors='replace')}")
    letter.delete()
