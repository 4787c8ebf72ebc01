"""TLS: certificates, versions, mutual authentication, reloading, and words for those who speak something else."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

from otelingest.config.settings import Secret
from otelingest.net.client_hello import offered_protocols
from otelingest.net.tls import ClientTlsSettings, ServerTlsSettings, openssl_name
from otelingest.pipeline.errors import ConfigError
from tests.net.support import TLS, Client, ask, client_tls, request

CERTIFICATE = {"cert_file": str(TLS / "server.pem"), "key_file": str(TLS / "server.key")}
MUTUAL = CERTIFICATE | {"client_ca_file": str(TLS / "ca.pem")}


def tls(certificate: str = "", **options: Any) -> dict[str, Any]:
    return {"ssl": client_tls(certificate, **options), "server_hostname": "localhost"}


async def test_requests_are_served_over_tls(serve: Any) -> None:
    client = await Client.connect((await serve(tls=CERTIFICATE)).address, **tls())
    for body in (b"first", b"second" * 100_000):
        assert (await client.send(request(body, path="/"))).body == body
    client.close()


async def test_a_certificate_may_stand_in_the_configuration(serve: Any) -> None:
    pems = {"cert_pem": (TLS / "server.pem").read_text(), "key_pem": (TLS / "server.key").read_text()}
    assert (await ask((await serve(tls=pems)).address, request(b"a", path="/"), **tls())).body == b"a"


async def test_a_known_client_certificate_opens(serve: Any) -> None:
    assert (await ask((await serve(tls=MUTUAL)).address, request(b"a", path="/"), **tls("client"))).body == b"a"


@pytest.mark.parametrize(("certificate", "alert"), [("", "certificate required"), ("stranger", "unknown ca")])
async def test_other_clients_are_told_why_not(serve: Any, certificate: str, alert: str) -> None:
    running = await serve(tls=MUTUAL)
    with pytest.raises(ssl.SSLError, match=rf"(?i){alert}".replace(" ", ".")):
        await ask(running.address, request(b"a", path="/"), **tls(certificate))


async def test_old_versions_are_refused(serve: Any) -> None:
    options = tls()
    options["ssl"].maximum_version = ssl.TLSVersion.TLSv1_2
    running = await serve(tls=CERTIFICATE | {"min_version": "1.3"})
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        await ask(running.address, request(b"a", path="/"), **options)


async def test_an_unknown_application_protocol_is_refused(serve: Any) -> None:
    running = await serve(tls=CERTIFICATE)
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        await ask(running.address, request(b"a", path="/"), **tls(alpn=("foo",)))
    assert (await ask(running.address, request(b"a", path="/"), **tls(alpn=("foo", "http/1.1")))).body == b"a"


async def test_plain_http_is_told_that_this_is_https(serve: Any) -> None:
    running = await serve(tls=CERTIFICATE)
    client = await Client.connect(running.address)
    client.writer.write(request(b"a", path="/"))
    assert await client.ended() == b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    assert running.log.messages("warning") == ["A client speaks plain HTTP to a TLS port"]


async def test_rubbish_and_silence_do_no_harm(serve: Any) -> None:
    running = await serve(tls=CERTIFICATE)
    for start in (b"\x00\x01\x02", b"\x16", b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"a" * 100):
        client = await Client.connect(running.address)
        client.writer.write(start)
        await client.writer.drain()
        await asyncio.sleep(0.01)
        client.close()
    assert (await ask(running.address, request(b"a", path="/"), **tls())).body == b"a"


async def test_changed_certificates_are_read_again(serve: Any, tmp_path: Path) -> None:
    for name in ("server", "stranger"):
        for end in ("pem", "key"):
            shutil.copy(TLS / f"{name}.{end}", tmp_path / f"{name}.{end}")
    settings = {
        "cert_file": str(tmp_path / "server.pem"),
        "key_file": str(tmp_path / "server.key"),
        "reload_interval": "10ms",
    }
    running = await serve(tls=settings)
    await ask(running.address, request(b"a", path="/"), **tls())
    for end in ("pem", "key"):
        shutil.copy(tmp_path / f"stranger.{end}", tmp_path / f"server.{end}")
    await asyncio.sleep(0.05)
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(running.address, request(b"a", path="/"), **tls())
    assert "TLS certificates reloaded" in running.log.messages("info")
    (tmp_path / "server.pem").write_text("broken")
    await asyncio.sleep(0.05)
    with pytest.raises(ssl.SSLCertVerificationError):  # still the one that could be read last
        await ask(running.address, request(b"a", path="/"), **tls())
    assert running.log.messages("error") == ["Cannot reload TLS certificates; the old ones stay in use"]


async def test_missing_and_broken_files_stop_the_start(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        await serve(tls={"cert_file": "/none.crt", "key_file": "/none.key"})
    where = "failed to load TLS config: failed to load TLS cert and key: "
    assert str(error.value) == f"{where}open /none.crt: no such file or directory"
    (tmp_path / "bad").write_text("no certificate")
    with pytest.raises(ConfigError, match=where):
        await serve(tls={"cert_file": str(tmp_path / "bad"), "key_file": CERTIFICATE["key_file"]})


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"min_version": "1.9"}, 'config: invalid TLS min_version: unsupported TLS version: "1.9"'),
        (
            {"min_version": "1.3", "max_version": "1.2"},
            "config: invalid TLS configuration: min_version",
        ),
        ({"key_file": ""}, "config: TLS configuration must include both certificate and key"),
        (
            {"cert_file": "", "key_file": ""},
            "TLS configuration must include both",
        ),
        ({"cert_pem": Secret("x")}, "config: provide either certificate file or PEM, but not both"),
    ],
)
def test_what_does_not_fit_together_is_named(keys: dict[str, Any], text: str) -> None:
    problems = [str(problem) for problem in ServerTlsSettings(**{**CERTIFICATE, **keys}).problems()]
    assert len(problems) == 1
    assert problems[0].startswith(text)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"curve_preferences": ["P224"]}, "invalid curve type"),
        ({"curve_preferences": ["P256", "P384"]}, "more than one curve is not supported"),
        ({"tpm": {"enabled": True}}, "tpm is not supported"),
    ],
)
def test_what_cannot_be_done_ends_the_start_only(keys: dict[str, Any], text: str) -> None:
    settings = ServerTlsSettings.model_validate({**CERTIFICATE, **keys})
    assert list(settings.problems()) == []
    with pytest.raises(ConfigError, match=text):
        settings.context(())


def test_ciphers_and_curves_are_set() -> None:
    suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    settings = ServerTlsSettings(**CERTIFICATE, cipher_suites=[suite], curve_preferences=["P256"], max_version="1.2")
    names = {cipher["name"] for cipher in settings.context(()).get_ciphers()}
    assert "ECDHE-RSA-AES128-GCM-SHA256" in names
    assert not names & {"ECDHE-RSA-AES256-GCM-SHA384", "AES128-SHA"}


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA"),
    ],
)
def test_cipher_names_are_translated(iana: str, openssl: str) -> None:
    assert openssl_name(iana) == openssl


async def test_a_client_section_speaks_to_a_server_section(serve: Any) -> None:
    running = await serve(tls=MUTUAL)
    client = {"cert_file": str(TLS / "client.pem"), "key_file": str(TLS / "client.key")}
    context = ClientTlsSettings(ca_file=str(TLS / "ca.pem"), **client).context()
    answer = await ask(running.address, request(b"a", path="/"), ssl=context, server_hostname="localhost")
    assert answer.body == b"a"
    blind = ClientTlsSettings(insecure_skip_verify=True, **client).context()
    assert (await ask(running.address, request(b"a", path="/"), ssl=blind, server_hostname="other")).body == b"a"
    strict = ClientTlsSettings(**client).context()
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(running.address, request(b"a", path="/"), ssl=strict, server_hostname="localhost")


def hello(*protocols: str) -> bytes:
    context = client_tls(alpn=protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_offered_protocols_are_read_from_a_client_hello() -> None:
    assert offered_protocols(hello("h2", "http/1.1")) == ["h2", "http/1.1"]
    assert offered_protocols(hello()) == []


def test_a_broken_client_hello_offers_nothing() -> None:
    whole = hello("h2")
    for size in range(len(whole)):
        assert offered_protocols(whole[:size]) in ([], ["h2"])
    for seed in range(200):
        broken = bytearray(whole)
        broken[seed % len(whole)] ^= 0xFF
        offered_protocols(bytes(broken))
    assert offered_protocols(os.urandom(300)) == []
