"""Small questions to other HTTP servers: for key sets, and for tokens to show. Bounded in time and in size."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

ANSWER_LIMIT = 1 << 20
_JSON = {"Accept": "application/json"}
_HEADERS = {"GET": _JSON, "POST": _JSON | {"Content-Type": "application/x-www-form-urlencoded"}}


class Unanswered(Exception):
    """There is no answer, or none that is wanted. The text holds no secret."""


class Reply(NamedTuple):
    status: int
    body: bytes


async def ask(
    url: str,
    *,
    form: Sequence[tuple[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    seconds: float | None = 5.0,
) -> Reply:
    """GET, or POST a form, on a connection of its own. Raises Unanswered.

    Only a GET follows redirects: what a form holds goes to nobody else.
    """
    import aiohttp
    import yarl

    from otelingest.net.http_client import USER_AGENT, failure_reason, shown_url

    method = "GET" if form is None else "POST"
    sent = {**_HEADERS[method], **(headers or {})}
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True, headers={"User-Agent": USER_AGENT}) as session,
            session.request(
                method,
                # A user in the URL is for where there is no better proof.
                yarl.URL(url).with_user(None) if "Authorization" in sent else url,
                data=form if form is None else urlencode(form),
                headers=sent,
                allow_redirects=form is None,
                max_redirects=5,
                ssl=tls if tls is not None else True,
            ) as response,
        ):
            body = await response.content.read(ANSWER_LIMIT + 1)
            while len(body) <= ANSWER_LIMIT and (piece := await response.content.read(ANSWER_LIMIT + 1 - len(body))):
                body += piece
            if len(body) > ANSWER_LIMIT:
                raise Unanswered(f'{method} "{shown_url(url)}": the answer is larger than {ANSWER_LIMIT} bytes')
            return Reply(response.status, body)
    except TimeoutError:
        raise Unanswered(f'{method} "{shown_url(url)}": no answer within {seconds:g} s') from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unanswered(f'{method} "{shown_url(url)}": {failure_reason(error)}') from None
