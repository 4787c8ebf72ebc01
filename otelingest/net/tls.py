"""`tls` sections: what the collector's servers and clients may set, and the SSL contexts that come of it."""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from otelingest.config.settings import Duration, Naming, Problem, Secret, Settings
from otelingest.net.listen import reason
from otelingest.pipeline.errors import ConfigError

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}

_CURVES = {"P256": "prime256v1", "P384": "secp384r1", "P521": "secp521r1", "X25519": "X25519"}


class Pems(NamedTuple):
    """Certificates and key as PEM text; what is not configured is empty."""

    certificates: bytes
    key: bytes
    authorities: bytes


class TpmSettings(Settings):
    """`tpm`: not supported."""

    enabled: bool = False
    """Whether the key is in a TPM: refused at the start."""
    path: str = ""
    """The TPM's device."""
    owner_auth: str = ""
    """The owner's password."""
    auth: str = ""
    """The key's password."""


class TlsSettings(Settings):
    """What servers and clients share."""

    ca_file: str = ""
    """File with the authorities to trust."""
    ca_pem: Secret = Secret("")
    """The same, in the configuration itself."""
    cert_file: str = ""
    """File with the own certificate and its chain."""
    cert_pem: Secret = Secret("")
    """The same, in the configuration itself."""
    key_file: str = ""
    """File with the private key."""
    key_pem: Secret = Secret("")
    """The same, in the configuration itself."""
    min_version: str = ""
    """Oldest TLS version that is spoken: 1.0, 1.1, 1.2 (the default) or 1.3."""
    max_version: str = ""
    """Newest TLS version that is spoken."""
    cipher_suites: list[str] = Field(default_factory=list)
    """Cipher suites for TLS 1.2 and older, by their IANA or OpenSSL names."""
    include_insecure_cipher_suites: bool = False
    """Whether `cipher_suites` may name suites that are known to be weak."""
    curve_preferences: list[str] = Field(default_factory=list)
    """The key exchange curve: one of X25519, P256, P384, P521."""
    include_system_ca_certs_pool: bool = False
    """Whether the system's authorities are trusted too."""
    reload_interval: Duration = Duration(0)
    """How long certificate files count as unchanged; 0: they are read once."""
    tpm: TpmSettings = Field(default_factory=TpmSettings)
    """A key in a TPM: not supported."""

    def _problem(self) -> str | None:
        """The first thing in it that does not fit together; None when there is none."""
        for what, file, pem in (
            ("a CA file or the PEM-encoded string", self.ca_file, self.ca_pem),
            ("certificate file or PEM", self.cert_file, self.cert_pem),
            ("key file or PEM", self.key_file, self.key_pem),
        ):
            if file and pem.get_secret_value():
                return f"provide either {what}, but not both"
        if self.has_certificate != self.has_key:
            return "TLS configuration must include both certificate and key (CertFile/CertPem and KeyFile/KeyPem)"
        for key, value in (("min_version", self.min_version), ("max_version", self.max_version)):
            if value and value not in _VERSIONS:
                return f'invalid TLS {key}: unsupported TLS version: "{value}"'
        minimum, maximum = self.versions
        if maximum is not None and minimum > maximum:
            return "invalid TLS configuration: min_version cannot be greater than max_version"
        return None

    def check(self) -> None:
        """Raises ConfigError for what upstream finds at the start too, and for what we cannot do."""
        for curve in self.curve_preferences:
            if curve not in _CURVES:
                known = ", ".join(_CURVES)
                raise ConfigError(
                    f"failed to load TLS config: invalid curve type {curve!r}. Expected values are: {known}"
                )
        if len(self.curve_preferences) > 1:
            raise ConfigError("tls::curve_preferences with more than one curve is not supported")
        if self.tpm.enabled:
            raise ConfigError("tls::tpm is not supported: give the key as key_file or key_pem")

    @property
    def versions(self) -> tuple[ssl.TLSVersion, ssl.TLSVersion | None]:
        return _VERSIONS[self.min_version or "1.2"], _VERSIONS[self.max_version] if self.max_version else None

    @property
    def has_certificate(self) -> bool:
        return bool(self.cert_file or self.cert_pem.get_secret_value())

    @property
    def has_key(self) -> bool:
        return bool(self.key_file or self.key_pem.get_secret_value())

    def pems(self, authorities_file: str = "") -> Pems:
        """Read what the section names. Raises ConfigError with the collector's texts."""
        if not self.has_certificate:
            certificates = key = b""
        else:
            what = "failed to load TLS config: failed to load TLS cert and key"
            certificates = _read(self.cert_file, self.cert_pem, what)
            key = _read(self.key_file, self.key_pem, what)
        file = authorities_file or self.ca_file
        what = "failed to load TLS config: failed to load CA CertPool File: failed to load cert"
        what += f" {file}" if file else ""
        authorities = _read(file, Secret("") if authorities_file else self.ca_pem, what)
        return Pems(certificates, key, authorities)

    def apply(self, context: ssl.SSLContext) -> None:
        """Set versions, ciphers and curve. Raises ConfigError."""
        self.check()
        context.minimum_version, maximum = self.versions
        if maximum is not None:
            context.maximum_version = maximum
        if self.cipher_suites:
            try:
                context.set_ciphers(":".join(map(openssl_name, self.cipher_suites)))
            except ssl.SSLError:
                raise ConfigError(f"invalid TLS cipher suite: none of {self.cipher_suites} is known here") from None
        for curve in self.curve_preferences:
            context.set_ecdh_curve(_CURVES[curve])


class ServerTlsSettings(TlsSettings):
    """`tls` of a server."""

    client_ca_file: str = ""
    """File with the authorities of client certificates; clients must then show one (mTLS)."""
    client_ca_file_reload: bool = False
    """Whether a changed `client_ca_file` is read again."""

    naming: ClassVar[Naming] = Naming("configtls.ServerConfig")

    def problems(self) -> Iterator[Problem]:
        found = []
        if not self.has_certificate and not self.has_key:
            found.append("TLS configuration must include both certificate and key for server connections")
        if (problem := self._problem()) is not None:
            found.append(f"config: {problem}")
        if found:
            yield "\n".join(found)

    def pems(self, authorities_file: str = "") -> Pems:
        return super().pems(authorities_file or self.client_ca_file)

    def context(self, protocols: Sequence[str]) -> ssl.SSLContext:
        """A new server context that offers `protocols` by ALPN. Raises ConfigError."""
        pems = self.pems()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.apply(context)
        _load_certificate(context, pems)
        if self.client_ca_file:
            _load_authorities(context, pems.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def without_effect(self) -> Iterator[str]:
        """Keys that are set and change nothing on a server."""
        if self.include_insecure_cipher_suites:
            yield "tls::include_insecure_cipher_suites has no effect: OpenSSL decides what it speaks"
        if self.include_system_ca_certs_pool:
            yield "tls::include_system_ca_certs_pool has no effect: client certificates are checked by client_ca_file"
        if (self.ca_file or self.ca_pem.get_secret_value()) and not self.client_ca_file:
            yield "tls::ca_file and ca_pem have no effect: client certificates are checked by client_ca_file"

    @property
    def watched(self) -> list[str]:
        """The files whose change makes a new context."""
        files = [self.cert_file, self.key_file] if self.reload_interval > 0 else []
        return [file for file in [*files, self.client_ca_file if self.client_ca_file_reload or files else ""] if file]

    @property
    def watch_seconds(self) -> float:
        """How often to look at them."""
        return self.reload_interval.seconds if self.reload_interval > 0 else 1.0


class ClientTlsSettings(TlsSettings):
    """`tls` of a client."""

    naming: ClassVar[Naming] = Naming("configtls.ClientConfig")

    insecure: bool = False
    """Speak without TLS."""
    insecure_skip_verify: bool = False
    """Speak TLS and do not check the server's certificate."""
    server_name_override: str = ""
    """The name to expect in the server's certificate instead of the endpoint's."""

    def problems(self) -> Iterator[Problem]:
        if (problem := self._problem()) is not None:
            # Upstream checks these keys once as a client's, and once as those that servers have too.
            yield from (problem, ("config", problem))

    @property
    def files(self) -> list[str]:
        """The files whose change makes a new context."""
        return [file for file in (self.ca_file, self.cert_file, self.key_file) if file]

    def context(self) -> ssl.SSLContext:
        """A new client context. Raises ConfigError."""
        pems = self.pems()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.apply(context)
        if pems.authorities:
            _load_authorities(context, pems.authorities)
        if not pems.authorities or self.include_system_ca_certs_pool:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if pems.certificates:
            _load_certificate(context, pems)
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Reloader:
    """The server context of a section, made anew when its files have changed.

    Connections that stand keep what they were made with. A file that cannot be read leaves the context as it is.
    """

    def __init__(self, settings: ServerTlsSettings, protocols: Sequence[str], log: Any) -> None:
        self._settings = settings
        self._protocols = protocols
        self._log = log
        self._context = settings.context(protocols)
        self._stamp = stamp(settings.watched)
        self._looked = time.monotonic()

    def context(self) -> ssl.SSLContext:
        """The context for a new connection."""
        settings = self._settings
        if settings.watched and time.monotonic() - self._looked >= settings.watch_seconds:
            self._looked = time.monotonic()
            now = stamp(settings.watched)
            if now != self._stamp:
                try:
                    self._context = settings.context(self._protocols)
                    self._stamp = now
                    self._log.info("TLS certificates reloaded")
                except ConfigError as error:
                    self._log.error("Cannot reload TLS certificates; the old ones stay in use", error=str(error))
        return self._context


def stamp(files: Sequence[str]) -> list[tuple[int, int, int]]:
    """What tells one state of the files from another."""
    found = []
    for file in files:
        with suppress(OSError):
            status = os.stat(file)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return found


def openssl_name(suite: str) -> str:
    """`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` → `ECDHE-RSA-AES128-GCM-SHA256`; other names as they are."""
    if not suite.startswith("TLS_") or "_WITH_" not in suite:
        return suite
    exchange, cipher = suite.removeprefix("TLS_").split("_WITH_")
    cipher = (
        cipher.replace("AES_", "AES").replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace("_CBC_", "_")
    )
    name = f"{exchange}_{cipher}".replace("_", "-")
    return name.removeprefix("RSA-")


def _read(file: str, pem: Secret, what: str) -> bytes:
    if not file:
        return pem.get_secret_value().encode()
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise ConfigError(f"{what}: open {file}: {reason(error)}") from None


def _load_certificate(context: ssl.SSLContext, pems: Pems) -> None:
    """Give the context its certificate and key. OpenSSL's bindings read them from files only."""
    with tempfile.TemporaryDirectory(prefix="otelingest-") as folder:
        paths = (os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
        for path, pem in zip(paths, pems[:2], strict=True):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(pem)
        try:
            context.load_cert_chain(*paths)
        except (ssl.SSLError, OSError) as error:
            text = str(getattr(error, "reason", None) or "unreadable")
            raise ConfigError(f"failed to load TLS config: failed to load TLS cert and key: {text}") from None


def _load_authorities(context: ssl.SSLContext, pem: bytes) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError):
        raise ConfigError("failed to load TLS config: failed to parse CA certificates") from None
