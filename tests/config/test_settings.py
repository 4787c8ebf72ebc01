"""What YAML fits which type of setting, and how it is told what does not."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, field_validator, model_validator

from otelingest.config.describe import descriptions
from otelingest.config.problems import problems
from otelingest.config.reading import failures_text, read
from otelingest.config.settings import (
    BareNumber,
    ComponentId,
    Duration,
    GoType,
    Headers,
    Naming,
    Problem,
    Secret,
    Section,
    Settings,
    Uint32,
    Unreadable,
)
from otelingest.config.spots import Frame
from otelingest.config.types import TextStruct
from otelingest.config.values import Expanded


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Retry(Settings):
    naming = Naming("retry.Config")

    enabled: bool = True
    """Whether at all."""
    wait: Duration = Duration.parse("5s")
    """How long."""

    def problems(self) -> Iterator[Problem]:
        if self.wait < 0:
            yield "wait must be non-negative"


class Tls(Settings):
    naming = Naming("tls.Config")

    file: str = ""
    """A file."""

    def problems(self) -> Iterator[Problem]:
        if self.file == "bad":
            yield "config", "bad file"


class Server(Settings):
    naming = Naming("server.Config")

    tls: Section[Tls] = None
    """TLS."""
    port: int = 1
    """Port."""

    def problems(self) -> Iterator[Problem]:
        if self.port == 0:
            yield "port must not be zero"


class Everything(Settings):
    naming = Naming("test.Config")

    on: bool = True
    """A boolean."""
    number: int = 7
    """An integer."""
    small: Uint32 = 7
    """A small one."""
    ratio: float = 0.5
    """A number."""
    text: str = "x"
    """A string."""
    wait: Duration = Duration.parse("1s")
    """A duration."""
    ttl: Annotated[Duration, BareNumber("s")] = Duration(0)
    """A duration with another unit."""
    secret: Secret = Secret("")
    """A secret."""
    names: list[str] = Field(default_factory=lambda: ["a"])
    """A list."""
    pair: tuple[str, ...] = ()
    """A tuple."""
    labels: dict[str, str] = Field(default_factory=lambda: {"a": "b"})
    """A map."""
    headers: Headers = Field(default_factory=dict)
    """Headers."""
    storage: ComponentId | None = None
    """An id."""
    sizer: Literal["items", "bytes"] = "items"
    """A choice."""
    color: Color = Color.RED
    """Another."""
    anything: Any = None
    """Anything."""
    as_json: bool = Field(False, alias="json")
    """Under another name."""
    retry: Retry = Field(default_factory=lambda: Retry(wait=Duration(9)))
    """A section."""
    server: Section[Server] = None
    """An optional section, off."""
    queue: Section[Retry] = Field(default_factory=Retry)
    """An optional section, on."""
    servers: list[Server] = Field(default_factory=list)
    """A list of sections."""


def text_of(raw: Any, cls: type[Settings] = Everything) -> str:
    frame = Frame(cls)
    read(cls, raw, frame)
    return failures_text(frame).partition("\n\n")[2] or failures_text(frame)


def warnings_of(raw: Any, cls: type[Settings] = Everything) -> list[str]:
    frame = Frame(cls)
    read(cls, raw, frame)
    return [warning.text for warning in frame.reading.warnings]


def problems_of(raw: Any, cls: type[Settings] = Everything) -> list[str]:
    frame = Frame(cls)
    settings = read(cls, raw, frame)
    assert isinstance(settings, Settings)
    return [f"{found.shown}: {found.text}" for found in problems(settings, frame.reading, ())]


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("on", False, False),
        ("on", None, False),
        ("on", Expanded(True, "true # comment"), True),
        ("number", 12, 12),
        ("number", None, 0),
        ("number", 10.5, 10),
        ("number", -10.5, -10),
        ("number", Expanded(83, "0123"), 83),
        ("number", Expanded(None, ""), 0),
        ("small", 99999999999, 1215752191),
        ("small", 4294967296, 0),
        ("ratio", 2, 2.0),
        ("ratio", None, 0.0),
        ("text", None, ""),
        ("text", Expanded(83, "0123"), "0123"),
        ("text", Expanded(None, ""), ""),
        ("text", Expanded(["a"], "[a]"), "[a]"),
        ("wait", "1m", Duration(60 * 10**9)),
        ("wait", 5, Duration(5)),
        ("wait", 5.0, Duration(5)),
        ("wait", None, Duration(0)),
        ("ttl", 72, Duration(72 * 10**9)),
        ("ttl", "72h", Duration(72 * 3600 * 10**9)),
        ("secret", Expanded(True, "true"), Secret("true")),
        ("secret", None, Secret("")),
        ("names", "a,b", ["a", "b"]),
        ("names", "", []),
        ("names", None, []),
        ("names", [Expanded(1, "1"), None], ["1", ""]),
        ("names", Expanded(["x", "y"], "[x, y]"), ["x", "y"]),
        ("pair", ["a"], ("a",)),
        ("labels", None, {}),
        ("labels", {"k": Expanded(1, "1")}, {"k": "1"}),
        ("headers", {"k": "v"}, {"k": Secret("v")}),
        ("headers", [{"name": "k", "value": "v"}], {"k": Secret("v")}),
        ("storage", "file_storage/a", ComponentId("file_storage", "a")),
        ("storage", None, None),
        ("color", "blue", Color.BLUE),
        ("anything", Expanded({"a": Expanded(1, "1")}, "{a: 1}"), {"a": 1}),
        ("json", True, True),
        ("server", None, Server()),
        ("server", {"enabled": False, "port": 3}, None),
        ("server", {"enabled": True, "port": 2}, Server(port=2)),
        ("queue", None, Retry()),
        ("queue", {"enabled": False}, None),
        ("retry", {"enabled": False}, Retry(enabled=False, wait=Duration(9))),
        ("retry", None, Retry(wait=Duration(9))),
        ("servers", [{"port": 3}, None], [Server(port=3), Server()]),
    ],
)
def test_values_that_fit(key: str, raw: Any, value: Any) -> None:
    settings = Everything.model_validate({key: raw})
    found = settings.as_json if key == "json" else getattr(settings, key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"on": "yes"}, "'on' expected type 'bool', got unconvertible type 'string'"),
        ({"on": 1}, "'on' expected type 'bool', got unconvertible type 'int'"),
        ({"number": "5"}, "'number' expected type 'int', got unconvertible type 'string'"),
        ({"number": True}, "'number' expected type 'int', got unconvertible type 'bool'"),
        ({"small": "5"}, "'small' expected type 'uint32', got unconvertible type 'string'"),
        ({"small": -1}, "'small' cannot parse value as 'uint32': -1 overflows uint"),
        ({"ratio": "1"}, "'ratio' expected type 'float64', got unconvertible type 'string'"),
        ({"text": 3}, "'text' expected type 'string', got unconvertible type 'int'"),
        ({"text": ["a"]}, "'text' expected type 'string', got unconvertible type '[]interface {}'"),
        ({"secret": 3}, "'secret' expected type 'configopaque.String', got unconvertible type 'int'"),
        ({"wait": "3d"}, "'wait' time: unknown unit"),
        ({"wait": ""}, "'wait' time: invalid duration"),
        ({"wait": "1"}, "'wait' time: missing unit in duration"),
        ({"names": 5}, "'names' source data must be an array or slice, got int"),
        ({"names": {"a": 1}}, "'names' source data must be an array or slice, got map"),
        ({"names": ["a", 5]}, "'names[1]' expected type 'string', got unconvertible type 'int'"),
        ({"labels": {"k": 60}}, "'labels[k]' expected type 'string', got unconvertible type 'int'"),
        ({"labels": "x"}, "'labels' expected type 'map[string]string', got unconvertible type 'string'"),
        ({"storage": "a/"}, "'storage' in \"a/\" id: the part after / should not be empty"),
        ({"sizer": "byte"}, "'sizer' unknown value 'byte', must be one of: 'items', 'bytes'"),
        ({"nmae": 1, "a": 2}, "'test.Config' has invalid keys: a, nmae"),
        ({"retry": {"wiat": 1}}, "'retry' has invalid keys: wiat"),
        ({"retry": 5}, "'retry' expected a map or struct, got \"int\""),
        ({"servers": [{"prot": 1}]}, "'servers[0]' has invalid keys: prot"),
        ({"server": "x"}, "'server' '' expected a map or struct, got \"string\""),
        (
            {"server": {"enabled": "maybe"}},
            "'server' unexpected type string for 'enabled': got 'maybe' value expected 'true' or 'false'",
        ),
        (
            {"server": {"tls": {"fiel": 1}, "prot": 2}},
            "'server' decoding failed due to the following error(s):\n\n"
            "'tls' decoding failed due to the following error(s):\n\n'tls.Config' has invalid keys: fiel\n"
            "'server.Config' has invalid keys: prot",
        ),
        (
            {"headers": {"h": 42}},
            "'headers' decoding failed due to the following error(s):\n\n"
            "'[h]' expected type 'configopaque.String', got unconvertible type 'int'",
        ),
    ],
)
def test_values_that_do_not_fit_are_told_in_the_collectors_words(raw: Any, text: str) -> None:
    assert text_of(raw) == text


def test_everything_wrong_is_told_at_once() -> None:
    assert text_of({"on": 1, "text": 2, "foo": 3, "retry": {"bar": 4}}).splitlines() == [
        "'on' expected type 'bool', got unconvertible type 'int'",
        "'text' expected type 'string', got unconvertible type 'int'",
        "'retry' has invalid keys: bar",
        "'test.Config' has invalid keys: foo",
    ]


def test_a_class_read_by_itself_raises_the_same_text() -> None:
    with pytest.raises(ValidationError, match="'text' expected type 'string', got unconvertible type 'int'"):
        Everything.model_validate({"text": 3})


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"wait": 5}, 'wait: a bare number is taken for nanoseconds (5ns); write a unit, such as "5s"'),
        ({"ttl": 72}, 'ttl: a bare number is taken for seconds (1m12s); write a unit, such as "72s"'),
        ({"number": 1.5}, "number: 1.5 is cut to 1"),
        ({"small": 2**32 + 1}, "small: 4294967297 does not fit 32 bits; 1 is used"),
    ],
)
def test_what_is_hardly_meant_is_warned_of(raw: Any, text: str) -> None:
    assert warnings_of(raw) == [text]


def test_zero_durations_and_whole_floats_are_no_reason_to_warn() -> None:
    assert warnings_of({"wait": 0, "number": 5.0}) == []


class Loose(Settings):
    loose = True

    port: int = 1
    """Port."""


def test_loose_classes_accept_unknown_keys_with_a_warning() -> None:
    assert text_of({"prot": 5}, Loose) == ""
    assert warnings_of({"prot": 5}, Loose) == ['unknown key "prot" in the settings; did you mean "port"?']


def test_problems_are_told_with_their_path() -> None:
    raw = {
        "retry": {"wait": -1},
        "queue": {"wait": -1},
        "server": {"port": 0, "tls": {"file": "bad"}},
        "servers": [{}, {"port": 0}],
    }
    assert problems_of(raw) == [
        "retry: wait must be non-negative",
        "server: port must not be zero",
        "server: tls: config: bad file",
        "queue: wait must be non-negative",
        "servers::1: port must not be zero",
    ]


class Embedding(Settings):
    naming = Naming("embedding.Config", embedding=True, embedded="serverconfig")

    tls: Section[Tls] = None
    """TLS."""


class Embedded(Embedding):
    naming = Naming("embedded.Config", embedding=True)

    own: Section[Tls] = None
    """TLS for something else."""


class Outer(Settings):
    http: Section[Embedded] = None
    """HTTP."""


def test_embedding_sections_are_told_as_upstream_tells_them() -> None:
    assert text_of({"http": {"tls": {"x": 1}}}, Outer) == (
        "'http' decoding failed due to the following error(s):\n\n"
        "'' decoding failed due to the following error(s):\n\n"
        "'tls' decoding failed due to the following error(s):\n\n'tls.Config' has invalid keys: x"
    )
    assert problems_of({"http": {"tls": {"file": "bad"}, "own": {"file": "bad"}}}, Outer) == [
        "http: serverconfig::tls: config: bad file",
        "http: own: config: bad file",
    ]


class Validators(Settings):
    size: int = Field(1, ge=0)
    """Bounded."""
    transport: str = "tcp"
    """One of some."""
    least: int = 0
    """At least."""
    most: int = 10
    """At most."""
    old: list[str] = Field(default_factory=list)
    """With a form of its own."""
    section: Retry = Field(default_factory=Retry)
    """A section."""

    @field_validator("transport")
    @classmethod
    def _transport(cls, value: str) -> str:
        if value != "tcp":
            raise Unreadable(f'unsupported transport type "{value}"')
        return value

    @field_validator("old", mode="before")
    @classmethod
    def _old(cls, value: Any) -> Any:
        return list(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _order(self) -> Validators:
        if self.least > self.most:
            raise ValueError("least is above most")
        return self


def test_validators_of_pydantics_are_told_in_the_same_form() -> None:
    assert problems_of({"least": 11, "section": {"wait": -1}}, Validators) == [
        ": least is above most",
        "section: wait must be non-negative",
    ]
    assert problems_of({"size": -1}, Validators) == ["size: must be greater than or equal to 0"]
    assert text_of({"transport": "quic"}, Validators) == "'transport' unsupported transport type \"quic\""


def test_a_before_validator_gets_the_value_as_written() -> None:
    assert Validators.model_validate({"old": {"a": 1, "b": 2}}).old == ["a", "b"]


def test_descriptions_are_the_sentences_below_the_fields() -> None:
    assert descriptions(Retry) == {"enabled": "Whether at all.", "wait": "How long."}
    assert descriptions(Everything)["as_json"] == "Under another name."


def test_all_that_is_wrong_in_a_section_is_told_at_once() -> None:
    found = text_of({"transport": "quic", "size": "x"}, Validators)
    assert "'size' expected type 'int', got unconvertible type 'string'" in found
    assert "'transport' unsupported transport" in found


class Level(Settings):
    level: Annotated[str, GoType("levels.Level", "low", str.lower, lambda number: f"level {number}")] = "high"
    """A level, by its name or number."""
    unit: Annotated[str, TextStruct(str.upper)] = "ms"
    """What upstream keeps in a structure."""


def test_numbers_and_structures_are_read_as_upstream_keeps_them() -> None:
    def read(raw: dict[str, Any]) -> tuple[str, str]:
        settings = Level.model_validate(raw)
        return settings.level, settings.unit

    nothing = Expanded(None, "")
    assert read({"level": "LOW", "unit": "s"}) == ("low", "S")
    assert read({"level": 7.9, "unit": {}}) == ("level 7", "ms")
    assert read({"level": None, "unit": None}) == ("low", "ms")
    assert read({"level": nothing, "unit": nothing}) == ("low", "")
    assert "'unit' expected a map or struct, got \"int\"" in text_of({"unit": 7}, Level)
    assert "'unit' has invalid keys: a" in text_of({"unit": {"a": 1}}, Level)


def test_a_reference_to_nothing_empties_a_section() -> None:
    class Outer(Settings):
        retry: Retry = Retry()
        """A section."""

    assert Outer.model_validate({"retry": None}).retry == Retry()
    emptied = Outer.model_validate({"retry": Expanded(None, "")}).retry
    assert (emptied.enabled, emptied.wait) == (False, Duration(0))


def test_names_that_become_the_same_are_told() -> None:
    class Named(Settings):
        items: dict[ComponentId, int] = Field(default_factory=dict)
        """By id."""

    found = text_of({"items": {"otlp": 1, " otlp ": 2}}, Named)
    assert "'items' duplicate name \" otlp \" after unmarshaling otlp" in found
