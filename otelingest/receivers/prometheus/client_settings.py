"""How a job shows who it is, and how it checks its targets: `basic_auth`, `authorization`, `tls_config`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from otelingest.config.settings import GoType, Naming, Problem, Secret, Settings
from otelingest.net.tls import ClientTlsSettings

PlainSecret = Annotated[Secret, GoType("config.plain")]


class BasicAuthSettings(Settings):
    """`basic_auth`."""

    naming: ClassVar[Naming] = Naming("config.plain")

    username: str = ""
    """The user."""
    username_file: str = ""
    """The file that holds the user."""
    password: PlainSecret = Secret("")
    """The password."""
    password_file: str = ""
    """The file that holds the password; it is read again when it has changed."""

    def problems(self) -> Iterator[Problem]:
        if self.username and self.username_file:
            yield "at most one of basic_auth username & username_file must be configured"
        if self.password.get_secret_value() and self.password_file:
            yield "at most one of basic_auth password & password_file must be configured"


class AuthorizationSettings(Settings):
    """`authorization`."""

    naming: ClassVar[Naming] = Naming("config.Authorization")

    type: str = "Bearer"
    """The scheme."""
    credentials: PlainSecret = Secret("")
    """The token."""
    credentials_file: str = ""
    """The file that holds the token; it is read again when it has changed."""

    def problems(self) -> Iterator[Problem]:
        if self.credentials.get_secret_value() and self.credentials_file:
            yield "at most one of authorization credentials & credentials_file must be configured"
        if self.type.strip().lower() == "basic":
            yield 'authorization type cannot be set to "basic", use "basic_auth" instead'


class TlsSettings(Settings):
    """`tls_config`."""

    naming: ClassVar[Naming] = Naming("config.plain")

    ca: str = ""
    """The authorities to trust, in PEM."""
    cert: str = ""
    """The certificate to show, in PEM."""
    key: PlainSecret = Secret("")
    """Its key, in PEM."""
    ca_file: str = ""
    """The file of authorities to trust."""
    cert_file: str = ""
    """The file of the certificate to show."""
    key_file: str = ""
    """The file of its key."""
    server_name: str = ""
    """The name to expect in the server's certificate instead of the target's."""
    insecure_skip_verify: bool = False
    """Do not check the server's certificate."""
    min_version: str = ""
    """TLS10, TLS11, TLS12 or TLS13."""
    max_version: str = ""
    """The same, at most."""

    def problems(self) -> Iterator[Problem]:
        for key in ("min_version", "max_version"):
            version = getattr(self, key)
            if key in self.model_fields_set and version not in _TLS_VERSIONS:
                yield f"unknown TLS version: {version}"
        certificate, key = self.cert or self.cert_file, self.key.get_secret_value() or self.key_file
        if certificate and not key:
            yield "exactly one of key or key_file must be configured when a client certificate is configured"
        if key and not certificate:
            yield "exactly one of cert or cert_file must be configured when a client key is configured"

    def client(self) -> ClientTlsSettings:
        """As every other client's settings."""
        section: dict[str, Any] = {
            "ca_file": self.ca_file,
            "ca_pem": self.ca,
            "cert_file": self.cert_file,
            "cert_pem": self.cert,
            "key_file": self.key_file,
            "key_pem": self.key.get_secret_value(),
            "insecure_skip_verify": self.insecure_skip_verify,
            "server_name_override": self.server_name,
            "min_version": _TLS_VERSIONS.get(self.min_version, ""),
            "max_version": _TLS_VERSIONS.get(self.max_version, ""),
        }
        return ClientTlsSettings.model_validate({key: value for key, value in section.items() if value})


_TLS_VERSIONS = {"TLS10": "1.0", "TLS11": "1.1", "TLS12": "1.2", "TLS13": "1.3"}
