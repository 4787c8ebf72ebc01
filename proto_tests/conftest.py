"""Options, the server under test, and the report by clause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from proto_tests.collector import Collector
from proto_tests.grpc_client import GrpcClient
from proto_tests.http_client import HttpClient

_RESULTS = pytest.StashKey[list[tuple[dict[str, str], str, str, str]]]()
_ORDER = ("must", "should", "may")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("otlp", "the OTLP server under test")
    group.addoption("--otlp-http", metavar="URL", help="base URL of its OTLP/HTTP, as http://127.0.0.1:4318")
    group.addoption("--otlp-grpc", metavar="ADDR", help="address of its OTLP/gRPC, as 127.0.0.1:4317")
    group.addoption("--command", metavar="COMMAND", help="start this as the server; --config FILE is added")
    group.addoption("--strict-levels", action="store_true", help="a missed `should` or `may` fails the run too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clause(level, section, source): what the test holds the server to")
    config.stash[_RESULTS] = []


@pytest.fixture(scope="session")
def collector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector | None]:
    """The server that `--command` starts, for the whole session."""
    command = request.config.getoption("--command")
    if not command:
        yield None
        return
    started = Collector(command, tmp_path_factory.mktemp("collector"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def http(request: pytest.FixtureRequest, collector: Collector | None) -> HttpClient:
    """A client of the server's OTLP/HTTP."""
    url = request.config.getoption("--otlp-http") or (collector.http_url if collector else None)
    if not url:
        pytest.skip("give --otlp-http or --command")
    return HttpClient(url)


@pytest.fixture(scope="session")
def grpc(request: pytest.FixtureRequest, collector: Collector | None) -> Iterator[GrpcClient]:
    """A client of the server's OTLP/gRPC."""
    address = request.config.getoption("--otlp-grpc") or (collector.grpc_address if collector else None)
    if not address:
        pytest.skip("give --otlp-grpc or --command")
    client = GrpcClient(address)
    yield client
    client.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    mark = item.get_closest_marker("clause")
    if mark is None or report.when == "teardown" or (report.when == "setup" and report.passed):
        return report
    error = str(call.excinfo.value).splitlines()[0] if call.excinfo is not None and str(call.excinfo.value) else ""
    item.config.stash[_RESULTS].append((dict(mark.kwargs), item.name, report.outcome, error))
    if report.failed and mark.kwargs["level"] != "must" and not item.config.getoption("--strict-levels"):
        report.outcome = "skipped"
        report.wasxfail = f"{mark.kwargs['level']}: {error}"
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    results = config.stash[_RESULTS]
    if not results:
        return
    by_clause: dict[tuple[str, str], list[tuple[dict[str, str], str, str, str]]] = defaultdict(list)
    for result in results:
        by_clause[result[0]["source"], result[0]["section"]].append(result)
    write = terminalreporter.write_line
    terminalreporter.section("OTLP by clause")
    for source in dict.fromkeys(source for source, _ in by_clause):
        write(source, bold=True)
        for (_, section), group in ((key, group) for key, group in by_clause.items() if key[0] == source):
            passed = sum(outcome == "passed" for _, _, outcome, _ in group)
            write(f"  {passed:3} of {len(group):3}  {section}")
            for mark, name, outcome, error in group:
                if outcome == "failed":
                    write(f"      {mark['level']:6}  {name}: {error[:200]}")
    write("")
    for level in _ORDER:
        mine = [outcome for mark, _, outcome, _ in results if mark["level"] == level]
        write(f"{level:6} {sum(outcome == 'passed' for outcome in mine)} of {len(mine)} hold")
