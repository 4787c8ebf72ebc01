"""What is to be scraped: jobs with `global` worked in, and targets out of `static_configs` and `file_sd_configs`."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from otelingest.receivers.prometheus.relabeling import Rule, apply, compile_rules
from otelingest.receivers.prometheus.settings import GlobalSettings, LimitSettings, ScrapeSettings
from otelingest.receivers.prometheus.types import PrometheusDuration

BODY_LIMIT = 128 * 1024 * 1024
"""Bytes of an answer where `body_size_limit` does not say: whoever is scraped is not trusted with all memory."""
_FILE_LIMIT = 64 * 1024 * 1024
_DEFAULT_INTERVAL, _DEFAULT_TIMEOUT = PrometheusDuration(60 * 10**9), PrometheusDuration(10 * 10**9)


class BadTarget(ValueError):
    """A target that cannot be scraped, and why."""


@dataclass(frozen=True)
class Job:
    """A scrape configuration with `global` worked in. limit: by the name of its setting, 0 for none."""

    settings: ScrapeSettings
    interval: PrometheusDuration
    timeout: PrometheusDuration
    protocols: Sequence[str]
    limit: Mapping[str, int]
    legacy_names: bool
    escaping: str
    extra_metrics: bool
    external_labels: Mapping[str, str]
    rules: Sequence[Rule] = field(repr=False)
    metric_rules: Sequence[Rule] = field(repr=False)

    @property
    def name(self) -> str:
        return self.settings.job_name

    @classmethod
    def of(cls, settings: ScrapeSettings, common: GlobalSettings) -> Job:
        interval = settings.scrape_interval or common.scrape_interval or _DEFAULT_INTERVAL
        usual = common.scrape_timeout or _DEFAULT_TIMEOUT
        legacy = (settings.metric_name_validation_scheme or common.metric_name_validation_scheme) == "legacy"
        own = settings.metric_name_escaping_scheme or (
            "" if settings.metric_name_validation_scheme else common.metric_name_escaping_scheme
        )
        extra = settings.extra_scrape_metrics
        return cls(
            settings,
            interval,
            settings.scrape_timeout or PrometheusDuration(min(usual, interval)),
            settings.scrape_protocols or common.scrape_protocols or (),
            {
                key: getattr(settings, key) or getattr(common, key)
                for key in LimitSettings.model_fields
                if "limit" in key
            },
            legacy,
            own or ("underscores" if legacy else "allow-utf-8"),
            bool(common.extra_scrape_metrics if extra is None else extra),
            common.external_labels,
            compile_rules(settings.relabel_configs),
            compile_rules(settings.metric_relabel_configs),
        )


@dataclass(frozen=True)
class Target:
    """One URL that is scraped. labels: those of its series. Times are in seconds."""

    url: str
    labels: tuple[tuple[str, str], ...]
    scheme: str
    interval: float
    timeout: float

    def label(self, name: str) -> str:
        return dict(self.labels).get(name, "")


def make_target(job: Job, address: str, group: Mapping[str, str]) -> Target | None:
    """A target as relabeling leaves it; None when that drops it. Raises BadTarget."""
    settings = job.settings
    found = {
        "job": job.name,
        "__scrape_interval__": str(job.interval),
        "__scrape_timeout__": str(job.timeout),
        "__metrics_path__": settings.metrics_path,
        "__scheme__": settings.scheme,
        **{f"__param_{key}": values[0] for key, values in settings.params.items() if values},
        **{name: value for name, value in group.items() if value},
        "__address__": address,
    }
    discovered = found["__scheme__"]
    if not apply(job.rules, found):
        return None
    address = found.get("__address__", "")
    if not address:
        raise BadTarget("no address")
    if "/" in address:
        raise BadTarget(f'"{address}" is not a valid hostname')
    try:
        interval = PrometheusDuration.parse(found.get("__scrape_interval__", ""))
        timeout = PrometheusDuration.parse(found.get("__scrape_timeout__", ""))
    except ValueError as error:
        raise BadTarget(f"error parsing scrape interval or timeout: {error}") from None
    if not 0 < timeout <= interval:
        raise BadTarget(f'scrape timeout cannot be 0 or greater than scrape interval ("{timeout}" > "{interval}")')
    labels = {name: value for name, value in found.items() if value and not name.startswith("__")}
    labels.setdefault("instance", address)
    params = {key: list(values) for key, values in settings.params.items()}
    for name, value in found.items():
        if name.startswith("__param_"):
            params[name[8:]] = [value, *params.get(name[8:], [])[1:]]
    query = urlencode([(key, value) for key, values in sorted(params.items()) for value in values])
    url = (
        f"{found.get('__scheme__', 'http')}://{address}{found.get('__metrics_path__', '')}{'?' if query else ''}{query}"
    )
    return Target(url, tuple(sorted(labels.items())), discovered, interval.seconds, timeout.seconds)


Group = tuple[Sequence[str], Mapping[str, str]]
"""Addresses, and labels that they have in common."""


def static_groups(settings: ScrapeSettings) -> Iterator[Group]:
    for group in settings.static_configs:
        yield group.targets, group.labels


class TargetFiles:
    """The groups in the files of one job. A file that cannot be read keeps what it said before."""

    def __init__(self, patterns: Iterable[str], log: Any) -> None:
        self._patterns = list(patterns)
        self._log = log
        self._stamps: dict[str, tuple[int, int, int]] = {}
        self._groups: dict[str, list[Group]] = {}

    @property
    def groups(self) -> list[Group]:
        return [group for path in sorted(self._groups) for group in self._groups[path]]

    def refresh(self) -> bool:
        """Read what has changed. Whether anything has."""
        paths = {path for pattern in self._patterns for path in glob.glob(pattern)}
        gone = self._groups.keys() - paths
        for path in gone:
            del self._groups[path], self._stamps[path]
        changed = bool(gone)
        for path in sorted(paths):
            try:
                status = os.stat(path)
                stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
                if self._stamps.get(path) != stamp:
                    self._stamps[path] = stamp
                    self._groups[path] = read_groups(path)
                    changed = True
            except (OSError, ValueError) as error:
                self._log.error("Error reading file", path=path, err=str(error))
                self._groups.setdefault(path, [])
        return changed


def read_groups(path: str) -> list[Group]:
    """Raises OSError and ValueError."""
    with open(path, encoding="utf-8") as file:
        text = file.read(_FILE_LIMIT)
    if path.endswith(".json"):
        found = json.loads(text)
    else:
        import yaml

        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from None
    groups: list[Group] = []
    for entry in found or []:
        if not isinstance(entry, dict) or not isinstance(entry.get("targets"), list):
            raise ValueError("every entry must have a list of `targets`")
        labels = entry.get("labels") or {}
        if not isinstance(labels, dict) or entry.keys() - {"targets", "labels"}:
            raise ValueError("an entry has `targets` and `labels`, and nothing else")
        groups.append(([str(target) for target in entry["targets"]], {str(k): str(v) for k, v in labels.items()}))
    return groups
