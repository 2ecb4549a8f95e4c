"""The configuration: a YAML file and the environment become frozen, validated Settings."""

from sidecar.settings.checks import event_problem
from sidecar.settings.document import json_schema
from sidecar.settings.files import Watcher
from sidecar.settings.init import starter
from sidecar.settings.load import load, parse, report
from sidecar.settings.reading import read
from sidecar.settings.schema import (
    TRANSPORTS,
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    CircuitBreakerSettings,
    DispatchSettings,
    MoodleSettings,
    NoAuth,
    RetentionSettings,
    RetrySettings,
    Rule,
    Service,
    Settings,
    StoreSettings,
    TailSettings,
)
from sidecar.settings.source import Problem, Source
from sidecar.settings.values import parse_duration

__all__ = [
    "TRANSPORTS",
    "ApiKeyAuth",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "CircuitBreakerSettings",
    "DispatchSettings",
    "MoodleSettings",
    "NoAuth",
    "Problem",
    "RetentionSettings",
    "RetrySettings",
    "Rule",
    "Service",
    "Settings",
    "Source",
    "StoreSettings",
    "TailSettings",
    "Watcher",
    "event_problem",
    "json_schema",
    "load",
    "parse",
    "parse_duration",
    "read",
    "report",
    "starter",
]
