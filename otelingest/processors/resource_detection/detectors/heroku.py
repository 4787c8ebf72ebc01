"""`heroku`: what the environment of a dyno says, once Heroku's dyno metadata is on."""

from __future__ import annotations

from otelingest.processors.resource_detection.finding import Circumstances, Failed, Finding, told
from otelingest.processors.resource_detection.settings import HerokuSettings

_VARIABLES = {
    "service.instance.id": "HEROKU_DYNO_ID",
    "heroku.app.id": "HEROKU_APP_ID",
    "service.name": "HEROKU_APP_NAME",
    "heroku.release.creation_timestamp": "HEROKU_RELEASE_CREATED_AT",
    "service.version": "HEROKU_RELEASE_VERSION",
    "heroku.release.commit": "HEROKU_SLUG_COMMIT",
}


def detect(settings: HerokuSettings, around: Circumstances) -> Finding:
    """The attributes of the dyno, some of which may be told although it has no id."""
    environ = around.environ
    if around.strict and not environ.keys() & {"HEROKU_DYNO_ID", "HEROKU_APP_ID"}:
        raise Failed("heroku metadata unavailable: HEROKU_DYNO_ID and HEROKU_APP_ID env vars not set")
    found = {name: environ.get(variable) for name, variable in _VARIABLES.items()}
    found["cloud.provider"] = "heroku" if "HEROKU_APP_ID" in environ else None
    return told(settings.resource_attributes.enabled(), found)
