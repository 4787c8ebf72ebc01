"""Drops the spans of health checks, unless one has failed.

processors:
  python/health:
    path: config/examples/drop_health_checks.py
"""

PATHS = {"/health", "/healthz", "/health/liveliness", "/health/readiness", "/livez", "/readyz", "/ping"}


def process(span):
    path = span.attributes.get("url.path") or span.attributes.get("http.target") or span.name.rpartition(" ")[2]
    return path not in PATHS or span.status_code == "Error"
