"""`basicauth`: lets in who shows a user's password (as an htpasswd file has them), or shows one where we send.

Passwords are hashed so that checking one takes long. What was right once is therefore remembered, under a keyed hash
that is worth nothing outside this process; the rest is checked in one thread, so that guessing costs others nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from otelingest.config.settings import GoType, Naming, Problem, Secret, Settings
from otelingest.net.auth import Unauthenticated
from otelingest.net.listen import reason
from otelingest.net.watched_file import WatchedFile
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError

if TYPE_CHECKING:
    from passlib.context import CryptContext

_REMEMBERED = 1000
_LONGEST_PASSWORD = 4096
_PREFIX = "Basic "
_SCHEMES = ("bcrypt", "apr_md5_crypt", "ldap_sha1", "ldap_salted_sha1", "sha256_crypt", "sha512_crypt", "plaintext")
"""The ways in which an htpasswd file has passwords; the last one takes whatever looks like none of the others."""


class HtpasswdSettings(Settings):
    """`htpasswd`: who may come in, in the format of Apache's htpasswd."""

    file: str = ""
    """A file with `user:password` lines. It is read again when it changes."""
    inline: Annotated[Secret, GoType("string")] = Secret("")
    """Such lines in the configuration itself; they win over those of the file."""


class ClientAuthSettings(Settings):
    """`client_auth`: whom we say to be."""

    username: str = ""
    """The user."""
    password: Secret = Secret("")
    """The password."""
    username_file: str = ""
    """A file with the user's name, which wins. It is read again when it changes."""
    password_file: str = ""
    """A file with the password, which wins. It is read again when it changes."""


class BasicAuthSettings(Settings):
    """HTTP basic authentication, for servers or for clients."""

    naming: ClassVar[Naming] = Naming("basicauthextension.Config")

    htpasswd: HtpasswdSettings | None = None
    """Who may come in."""
    client_auth: ClientAuthSettings | None = None
    """Whom we say to be."""

    def problems(self) -> Iterator[Problem]:
        if self.htpasswd is not None and self.client_auth is not None:
            yield "only one of `htpasswd` or `client_auth` can be specified"
        elif self.htpasswd is None and self.client_auth is None:
            yield "no credential source provided"


class BasicAuth(Extension[BasicAuthSettings]):
    """A `ServerAuthenticator` or a `ClientAuthenticator`, as `use` says."""

    Settings = BasicAuthSettings
    challenge = 'Basic realm="otelingest"'

    def __init__(self, settings: BasicAuthSettings, env: Env) -> None:
        super().__init__(settings, env)
        self.use = "server" if settings.htpasswd is not None else "client"
        self._users = _Users()
        self._files: dict[str, WatchedFile] = {}
        self._own = {"username": "", "password": ""}

    async def start(self, host: Host) -> None:
        """Read users and passwords. Raises ConfigError when a file cannot be read."""
        server, client = self.settings.htpasswd, self.settings.client_auth
        if server is not None:
            self._watch("htpasswd", server.file)
            if not server.file and not server.inline.get_secret_value():
                raise ConfigError("no credential source provided")
            self._set_users(self._read("htpasswd"))
            if not len(self._users):
                self.log.warning("There is no user yet: nobody comes in", file=server.file)
        if client is not None:
            self._own = {"username": client.username, "password": client.password.get_secret_value()}
            for what, path in (("username", client.username_file), ("password", client.password_file)):
                self._watch(what, path)
                if path:
                    self._own[what] = self._read(what, filled=True)
            if ":" in self._own["username"]:
                raise ConfigError("invalid authorization format: a user's name must not have a colon in it")

    async def stop(self) -> None:
        self._users.close()

    async def authenticate(self, headers: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """The attributes `username` and `raw`, the header's second word. Raises Unauthenticated."""
        text = self._changed("htpasswd")
        if text is not None:
            self._set_users(text)
        values = headers.get("authorization") or ()
        if not values or not values[0]:
            raise Unauthenticated("no basic auth provided")
        user, password, raw = _parse(values[0])
        if not await self._users.check(user, password):
            raise Unauthenticated("invalid credentials")
        return {"username": user, "raw": raw}

    async def credentials(self) -> Mapping[str, str]:
        """The header that shows who we are."""
        for what in self._own:
            text = self._changed(what)
            if text is not None:
                self._own[what] = text.strip()
        pair = f"{self._own['username']}:{self._own['password']}"
        return {"Authorization": _PREFIX + base64.b64encode(pair.encode()).decode()}

    def _set_users(self, file: str) -> None:
        settings = self.settings.htpasswd
        self._users.set(f"{file}\n{settings.inline.get_secret_value() if settings is not None else ''}")

    def _watch(self, what: str, path: str) -> None:
        if path:
            self._files[what] = WatchedFile(path, self.log)

    def _read(self, what: str, *, filled: bool = False) -> str:
        file = self._files.get(what)
        if file is None:
            return ""
        try:
            return file.read_filled() if filled else file.read()
        except OSError as error:
            raise ConfigError(f"open {file.path}: {reason(error)}") from None

    def _changed(self, what: str) -> str | None:
        file = self._files.get(what)
        return None if file is None else file.changed()


def _parse(header: str) -> tuple[str, str, str]:
    """User, password, and the encoded pair of an Authorization header. Raises Unauthenticated."""
    if header[: len(_PREFIX)].lower() != _PREFIX.lower():
        raise Unauthenticated("invalid authorization scheme prefix")
    raw = header[len(_PREFIX) :].strip()
    try:
        user, colon, password = base64.b64decode(raw, validate=True).decode("utf-8", "surrogateescape").partition(":")
    except (binascii.Error, ValueError):
        raise Unauthenticated("invalid authorization format") from None
    if not colon or len(password) > _LONGEST_PASSWORD:
        raise Unauthenticated("invalid authorization format")
    return user, password, raw


class _Users:
    """Names and hashed passwords, and what is known to be right."""

    def __init__(self) -> None:
        self._hashes: dict[str, str] = {}
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None
        self._context: CryptContext | None = None

    def __len__(self) -> int:
        return len(self._hashes)

    def set(self, text: str) -> None:
        """Take over `user:password` lines; of two for one user the last counts."""
        lines = (line.strip() for line in text.splitlines())
        pairs = (line.partition(":") for line in lines if ":" in line and not line.startswith("#"))
        self._hashes = {user: hashed for user, _, hashed in pairs if user and hashed}
        self._right.clear()

    async def check(self, user: str, password: str) -> bool:
        """Whether the user has that password."""
        hashed = self._hashes.get(user)
        # Who is not known is checked against somebody else, so that the time taken does not tell who is.
        against = hashed if hashed is not None else next(iter(self._hashes.values()), "")
        pair = f"{user}\0{password}\0{hashed}".encode("utf-8", "surrogateescape")
        shown = hmac.digest(self._key, pair, hashlib.sha256)
        if hashed is not None and shown in self._right:
            self._right.move_to_end(shown)
            return True
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="basicauth")
        right = await asyncio.get_running_loop().run_in_executor(self._pool, self._verify, password, against)
        if hashed is None or not right:
            return False
        self._right[shown] = None
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
        return True

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _verify(self, password: str, hashed: str) -> bool:
        if self._context is None:
            from passlib.context import CryptContext

            self._context = CryptContext(list(_SCHEMES))
        secret = password.encode("utf-8", "surrogateescape")
        try:
            if hashed.startswith("$2"):
                secret = secret[:72]  # all that bcrypt looks at; newer implementations refuse the rest
            return bool(self._context.verify(secret, hashed))
        except (ValueError, TypeError):  # a hash that is broken, or a password that no hash can be made of
            return False
