"""What is hidden of a URL, an address, or a map entry."""

from __future__ import annotations

import pytest

from otelingest.config.secrecy import names_secret, without_passwords


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:secret@h:1/p?a=b", "http://u:xxxxx@h:1/p?a=b"),
        ("http://:secret@h", "http://:xxxxx@h"),
        ("tcp://u:se:cr@et@h1:9000,h2:9000/db", "tcp://u:xxxxx@h1:9000,h2:9000/db"),
        ("tcp://u:se/cret@h", "tcp://u:xxxxx@h"),
        ("u:secret@h:9000", "u:xxxxx@h:9000"),
        ("http://h?password=secret&x=y", "http://h?password=xxxxx&x=y"),
        ("http://h?x=y&Client_Secret=secret#f", "http://h?x=y&Client_Secret=xxxxx#f"),
        ("http://h?api-key=secret;token=secret", "http://h?api-key=xxxxx"),
        ("http://u@h:4318/v1/traces?timeout=1s", "http://u@h:4318/v1/traces?timeout=1s"),
        ("127.0.0.1:4317", "127.0.0.1:4317"),
        ("[::1]:4317", "[::1]:4317"),
        ("someone@example.org", "someone@example.org"),
        ("", ""),
    ],
)
def test_a_password_in_a_url_is_hidden_and_the_rest_is_shown(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def test_names_of_secrets_are_known() -> None:
    secret = ("password", "X-Api-Key", "Authorization", "client_secret", "access_token", "apikey")
    assert all(map(names_secret, secret))
    assert not any(map(names_secret, ("user", "dial_timeout", "compress", "key", "database")))
