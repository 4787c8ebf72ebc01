"""What the `file` exporter writes, and where."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import cramjam
import pytest

from otelingest.exporters.file import FileExporter
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from tests.processors.support import FakeHost, make_env, make_settings, spans


def exporter(raw: dict[str, Any], name: str = "file") -> FileExporter:
    return FileExporter(make_settings(FileExporter, raw), make_env(name))


async def written(raw: dict[str, Any], *payloads: Payload) -> None:
    made = exporter(raw)
    await made.start(FakeHost())
    for payload in payloads:
        await made.consume(payload)
    await made.stop()


def records(data: bytes) -> list[bytes]:
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


async def test_a_request_is_a_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await written({"path": str(path)}, spans(2), Payload.merge([spans(1), spans(1, service="other")]))
    first, second = map(json.loads, path.read_text().splitlines())
    assert [span["name"] for span in first["resourceSpans"][0]["scopeSpans"][0]["spans"]] == ["s0", "s1"]
    assert len(second["resourceSpans"]) == 2


async def test_ids_of_zeros_are_empty(tmp_path: Path) -> None:
    request = spans(1).message()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id, span.parent_span_id, span.name = bytes(16), bytes(8), '"traceId":"' + "0" * 32 + '"'
    path = tmp_path / "out.jsonl"
    await written({"path": str(path)}, Payload.of(Signal.TRACES, request))
    shown = json.loads(path.read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert (shown["traceId"], shown["parentSpanId"], shown["name"]) == ("", "", span.name)


async def test_a_file_is_emptied_or_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for append, lines in ((False, 1), (False, 1), (True, 2)):
        await written({"path": str(path), "append": append}, spans(1))
        assert len(path.read_text().splitlines()) == lines


async def test_records_have_their_length_in_front(tmp_path: Path) -> None:
    payload = spans(3)
    proto, packed = tmp_path / "a.pb", tmp_path / "b.zst"
    await written({"path": str(proto), "format": "proto"}, payload, payload)
    assert records(proto.read_bytes()) == [payload.chunks[0]] * 2
    await written({"path": str(packed), "compression": "zstd", "compression_params": {"level": 3}}, payload)
    (record,) = records(packed.read_bytes())
    assert "resourceSpans" in json.loads(bytes(cramjam.zstd.decompress(record)))


async def test_what_was_written_appears_within_the_flush_interval(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    made = exporter({"path": str(path), "flush_interval": "20ms"})
    await made.start(FakeHost())
    await made.consume(spans(1))
    async with asyncio.timeout(5):
        while not path.read_bytes():
            await asyncio.sleep(0.01)
    await made.stop()


async def test_exporters_of_one_file_share_it(tmp_path: Path) -> None:
    path, host = tmp_path / "out.jsonl", FakeHost()
    first, second = exporter({"path": str(path)}, "file/a"), exporter({"path": str(path)}, "file/b")
    await first.start(host)
    await second.start(host)
    await asyncio.gather(*(made.consume(spans(50)) for made in (first, second) for _ in range(20)))
    await first.stop()
    await second.consume(spans(1))
    await second.stop()
    assert [len(json.loads(line)["resourceSpans"]) for line in path.read_text().splitlines()] == [1] * 41


async def test_one_file_cannot_be_written_in_two_manners(tmp_path: Path) -> None:
    path, host = str(tmp_path / "out"), FakeHost()
    first, second = exporter({"path": path}), exporter({"path": path, "format": "proto"}, "file/b")
    await first.start(host)
    with pytest.raises(ConfigError, match="with other settings"):
        await second.start(host)
    await first.stop()


async def test_full_files_are_put_aside_and_the_oldest_deleted(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    payload = spans(4000)  # some 600 KB of JSON
    raw = {"path": str(path), "rotation": {"max_megabytes": 1, "max_backups": 2}}
    await written(raw, *[payload] * 5)
    aside = [found for found in tmp_path.iterdir() if found != path]
    assert len(aside) == 2
    assert all(found.name.startswith("out-2") and found.suffix == ".jsonl" for found in aside)
    assert all(found.stat().st_size <= 1 << 20 for found in tmp_path.iterdir())


async def test_a_file_for_each_value_of_an_attribute_below_one_folder(tmp_path: Path) -> None:
    raw = {
        "path": str(tmp_path / "in" / "*.jsonl"),
        "group_by": {"enabled": True, "resource_attribute": "service.name", "max_open_files": 1},
        "create_directory": True,
    }
    both = Payload.merge([spans(1, service="a/b"), spans(1, service="../../escape"), spans(2, service="a/b")])
    nameless = spans(1).message()
    del nameless.resource_spans[0].resource.attributes[:]
    await written(raw, both, both, Payload.of(Signal.TRACES, nameless))
    found = {str(path.relative_to(tmp_path)): len(path.read_text().splitlines()) for path in tmp_path.rglob("*.jsonl")}
    assert found == {"in/a/b.jsonl": 2, "in/escape.jsonl": 2, "in/MISSING.jsonl": 1}


async def test_a_folder_that_is_not_there_is_told_as_go_tells_it(tmp_path: Path) -> None:
    made = exporter({"path": str(tmp_path / "no" / "out.jsonl")})
    with pytest.raises(ConfigError) as caught:
        await made.start(FakeHost())
    assert str(caught.value) == f"open {tmp_path}/no/out.jsonl: no such file or directory"
    await made.stop()


async def test_a_record_that_the_disk_took_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write, left = tmp_path / "out.jsonl", os.write, [5, None, 7]

    def faltering(file: int, data: bytes) -> int:
        most = left.pop(0) if left else len(data)
        if most is None:
            raise OSError(28, "No space left on device")
        return write(file, data[:most])

    made = exporter({"path": str(path)})
    await made.start(FakeHost())
    await made.consume(spans(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", faltering)
        await made.consume(spans(2000))
        await made.consume(spans(3))
        await made.stop()
    counts = [len(json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]) for line in path.open()]
    assert counts == [1, 2000, 3]


async def test_a_full_disk_refuses_and_bytes_that_are_no_request_are_rejected(tmp_path: Path) -> None:
    made = exporter({"path": "/dev/full", "append": True})
    await made.start(FakeHost())
    with pytest.raises(Rejected):
        await made.consume(Payload(Signal.TRACES, (b"\x0a\xff",), 1))
    await made.consume(spans(2000))
    for _ in range(2):
        with pytest.raises(Refused, match="no space left"):
            await made.consume(spans(1))
    await made.stop()
    assert "Cannot write to the file" in made.log.messages("error")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({}, "path must be non-empty"),
        ({"path": "a", "append": True, "rotation": {}}, "append and rotation enabled at the same time"),
        ({"path": "a", "format": "xml"}, "format type is not supported"),
        ({"path": "a", "compression": "gzip"}, "compression is not supported"),
        ({"path": "a", "flush_interval": "-1s"}, "flush_interval must be larger than zero"),
        ({"path": "a", "group_by": {"enabled": True}}, "path must contain exactly one * when group_by is enabled"),
        ({"path": "a", "create_directory": True, "directory_permissions": "rwx"}, "valid octal representation"),
    ],
)
def test_settings_that_make_no_sense_are_refused(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        exporter(raw)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"append": True, "compression": "zstd"}, "append and compression enabled at the same time"),
        ({"encoding": "otlp_encoding"}, "supported yet"),
    ],
)
async def test_what_cannot_be_done_ends_the_start(raw: dict[str, Any], told: str, tmp_path: Path) -> None:
    made = exporter({"path": str(tmp_path / "a"), **raw})
    with pytest.raises(ConfigError, match=told):
        await made.start(FakeHost())
