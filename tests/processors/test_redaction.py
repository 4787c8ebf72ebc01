"""What the recorded cases of `redaction` do not show: the real secret, what is refused, and what a user would try."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.redaction import RedactionProcessor
from tests.processors.support import Sink, make_env, make_settings, payload, spans


def make(raw: dict[str, Any], sink: Sink | None = None) -> RedactionProcessor:
    return RedactionProcessor(make_settings(RedactionProcessor, raw), make_env("redaction"), sink or Sink())


async def redacted(raw: dict[str, Any], **attributes: str) -> dict[str, Any]:
    """The attributes of a span afterwards."""
    entries = [{"key": key, "value": {"stringValue": text}} for key, text in attributes.items()]
    sink = Sink()
    request = payload(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": entries}]}]}]})
    await make(raw, sink).consume(request)
    (span,) = sink.payloads[0].message().resource_spans[0].scope_spans[0].spans
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in span.attributes}


async def test_without_settings_every_attribute_goes() -> None:
    assert await redacted({}, a="1", b="2") == {}


async def test_prompts_are_masked_and_the_summary_says_so() -> None:
    raw = {"allow_all_keys": True, "blocked_values": [r"[\w.+-]+@[\w-]+\.[\w.]+"], "summary": "debug"}
    assert await redacted(raw, prompt="I am bob@example.com", model="gpt-4o") == {
        "prompt": "I am ****",
        "model": "gpt-4o",
        "redaction.masked.keys": "prompt",
        "redaction.masked.count": 1,
    }


async def test_a_keyed_hash_tells_equals_from_others() -> None:
    key = "k" * 32
    raw = {"allow_all_keys": True, "blocked_key_patterns": ["user"], "hash_function": "hmac-sha256", "hmac_key": key}
    expected = hmac.new(key.encode(), b"bob", hashlib.sha256).hexdigest()
    assert await redacted(raw, user="bob") == {"user": expected}
    assert key not in repr(make(raw).settings)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"hash_function": "x"}, "unknown HashFunction x, allowed functions are sha1, sha3, md5, hmac-sha256 and hmac"),
        ({"hash_function": "hmac-sha256"}, 'hmac_key must not be empty when hash_function is "hmac-sha256"'),
        (
            {"hash_function": "hmac-sha512", "hmac_key": "abc"},
            'hmac_key must be at least 64 bytes long for "hmac-sha512", got 3 bytes',
        ),
        ({"blocked_values": ["("]}, "failed to process block list: error compiling regex in list"),
        ({"blocked_key_patterns": ["("]}, "failed to process block keys list"),
        ({"allowed_values": ["("]}, "failed to process allow list"),
        ({"ignored_key_patterns": ["("]}, "failed to process ignore keys list"),
        ({"db_sanitizer": {"sql": {"enabled": True}}}, "db_sanitizer is not supported"),
        ({"url_sanitizer": {"enabled": True}}, "url_sanitizer is not supported"),
    ],
)
def test_settings_that_cannot_be_used_are_told(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make(raw)


async def test_a_group_of_which_nothing_is_changed_comes_out_as_it_was() -> None:
    sink = Sink()
    await make({"allow_all_keys": True, "blocked_values": ["nothing"], "summary": "debug"}, sink).consume(spans(3))
    assert sink.payloads[0].message() == spans(3).message()


async def test_bytes_that_are_no_request_are_refused_for_ever() -> None:
    with pytest.raises(Rejected):
        await make({}).consume(Payload(Signal.TRACES, (b"\x0a\x05\x0a\x01",), 1))
