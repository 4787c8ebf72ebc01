"""A head that comes again: read like the first time, and only where nothing else could be meant."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from otelingest.net.http1 import Http1Connection
from otelingest.net.messages import Request
from otelingest.net.repeated_head import RepeatedHead
from tests.net.support import request

FIELDS = [(b"host", b"h"), (b"content-length", b"4"), (b"content-type", b"application/json")]


def read_once(data, fields=FIELDS, length=4):
    made = Request(b"POST", b"/v1/traces", fields, "1.1", "10.0.0.1")
    made.length = length
    return RepeatedHead.of(data, made)


HEAD = b"POST /v1/traces HTTP/1.1\r\nhost: h\r\nContent-Length:%b\r\ncontent-type: application/json\r\n\r\n"


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 100, b"\r\n\r\n\r\n"])
def test_another_body_makes_another_request_of_the_same_head(body):
    head = read_once(HEAD % b" 4" + b"body")
    again, found = head.read(HEAD % b" %d" % len(body) + body)
    assert found == body
    assert (again.method, again.target, again.version, again.peer) == (b"POST", b"/v1/traces", "1.1", "10.0.0.1")
    assert again.length == len(body)
    assert again.metadata()["content-length"] == (str(len(body)),)
    assert (again.auth, again.extra, again.coding, again.route) == (None, (), "", None)


@pytest.mark.parametrize("there", [b"", b"b", b"bod"])
def test_the_rest_of_a_body_may_come_later(there):
    """And a request whose body did is as good an example."""
    for example in (b"body", b"bo"):
        again, found = read_once(HEAD % b" 4" + example).read(HEAD % b" 4" + there)
        assert (again.length, bytes(found)) == (4, there)


@pytest.mark.parametrize(
    "data",
    [
        HEAD % b" 4" + b"body!",
        HEAD % b" 4" + b"body" + HEAD % b" 4" + b"body",  # two
        HEAD % b" -4" + b"body",
        HEAD % b" +4" + b"body",
        HEAD % b" 0x4" + b"body",
        HEAD % b" 4 4" + b"body",
        HEAD % b" " + b"",
        HEAD % b" 00000000004" + b"body",
        (HEAD % b" 4" + b"body").replace(b"host", b"hosT"),
        (HEAD % b" 4" + b"body").replace(b"application/json\r\n", b"application/json\r\nx: y\r\n"),
        (HEAD % b" 4").replace(b" 4\r\n", b" 4\n") + b"body",
        HEAD % b" 4\r\nTransfer-Encoding: chunked" + b"body",
        b"",
    ],
)
def test_whatever_else_it_is_goes_to_the_parser(data):
    assert read_once(HEAD % b" 4" + b"body").read(data) is None


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (HEAD % b" 4" + b"body", [*FIELDS, (b"transfer-encoding", b"chunked")]),
        (HEAD % b" 4" + b"body", [*FIELDS, (b"expect", b"100-continue")]),
        (HEAD % b" 4" + b"body", [*FIELDS, (b"upgrade", b"h2c")]),
        (HEAD % b" 4" + b"body", [*FIELDS, (b"content-length", b"4")]),
        (HEAD % b" 4" + b"body" + b"POST", FIELDS),
        (b"\r\n\r\n" + HEAD % b" 4" + b"body", FIELDS),
        ((HEAD % b" 4").replace(b"h\r\n", b"h\n") + b"body", FIELDS),
        (HEAD % b" 4" + b"x" * 10_000, FIELDS),
    ],
)
def test_a_special_head_is_not_remembered(data, fields):
    assert read_once(data, fields) is None


def test_a_head_without_a_length_is_not_remembered():
    assert read_once(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", [(b"host", b"h")], None) is None


class Transport:
    def __init__(self):
        self.written = b""

    def __getattr__(self, name):
        return lambda *arguments: None

    def is_closing(self):
        return False

    def write(self, data):
        self.written += data


@pytest.fixture
def connect(monkeypatch, serve):
    """Connections to a running server, fed by hand; which of them leave the parser out is for the caller to say."""

    async def make(remembers):
        connection, transport = Http1Connection((await serve()).server), Transport()
        connection.connection_made(transport)
        if not remembers:
            monkeypatch.setattr(connection, "_remember", lambda *arguments: None)
            monkeypatch.setattr(connection, "_go_on_without_parser", lambda: None)
        return connection, transport

    return make


def post(body, **options):
    return request(body, **{"path": "/"} | options)


SEQUENCES = [
    [post(b"one"), post(b"two"), post(b"three")],
    [post(b"one"), post(b"two") + post(b"three"), post(b"four")],
    [post(b"one"), post(b"two")[:20], post(b"two")[20:], post(b"three")],
    [post(b"one"), post(b"two")[:-1], b"o", post(b"three")],
    [post(b"one") + post(b"two")[:9], post(b"two")[9:], post(b"three")],
    [post(b"one"), post(b"two", connection="close"), post(b"three")],
    [post(b"one"), b"\r\n", post(b"two")],
    [post(b"one"), post(b"two", path="/other"), post(b"three"), post(b"", method="GET")],
    [post(b"one"), post(b"two", length=2), post(b"three")],
    [post(b"one"), post(b"two", length=9), post(b"three")],
    [post(b"one"), b"3\r\nabc\r\n0\r\n\r\n"],
]


@pytest.mark.parametrize("pieces", SEQUENCES)
async def test_answers_are_the_same_whether_heads_are_remembered_or_not(connect, pieces):
    answers = []
    for remembers in (True, False):
        connection, transport = await connect(remembers)
        for piece in pieces:
            asyncio.get_running_loop().call_soon(connection.data_received, piece)
            await asyncio.sleep(0.01)
        answers.append([line for line in transport.written.split(b"\r\n") if not line.startswith(b"Date: ")])
    assert answers[0] == answers[1]
    assert len(answers[0]) > 4


def chunked(body):
    head = request(b"", path="/", transfer_encoding="chunked").replace(b"content-length: 0\r\n", b"")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:3], body[3:]) if part) + b"0\r\n\r\n"


@pytest.mark.parametrize("seed", range(40))
async def test_answers_are_the_same_wherever_requests_are_cut(connect, seed):
    """Several requests of all kinds, end to end, in pieces of any size."""
    draw = random.Random(seed)
    kinds = (
        lambda body: post(body),
        lambda body: post(body),
        chunked,
        lambda body: post(body, path="/other"),
        lambda body: post(body, length=len(body) + draw.choice((-1, 1)) if body else 0),
        lambda body: post(body, connection="close"),
        lambda body: post(body, method="GET"),
    )
    weights = (8, 8, 3, 2, 0.3, 0.3, 1)
    whole = b"".join(
        make(bytes(draw.randrange(256) for _ in range(draw.choice((0, 1, 7, 300)))))
        for make in draw.choices(kinds, weights, k=8)
    )
    cuts = sorted({0, len(whole), *(draw.randrange(len(whole)) for _ in range(draw.randrange(30)))})
    pieces = [whole[a:b] for a, b in itertools.pairwise(cuts)]
    answers = []
    for remembers in (True, False):
        connection, transport = await connect(remembers)
        for piece in pieces:
            connection.data_received(piece)
            for _ in range(4):
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        answers.append([line for line in transport.written.split(b"\r\n") if not line.startswith(b"Date: ")])
    assert answers[0] == answers[1]
    assert len(answers[0]) > 4
