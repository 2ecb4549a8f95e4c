"""The configuration: a YAML file and the environment become frozen, validated Settings."""

from sidecar.settings.checks import event_problem
from sidecar.settings.document import json_schema
from sidecar.settings.files import Watcher
from sidecar.settings.init import starter
from sidecar.settings.load import load, parse, report
from sidecar.settings.networks import NetworkRules
from sidecar.settings.reading import read
from sidecar.settings.schema import (
    TRANSPORTS,
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    CaptureSettings,
    CircuitBreakerSettings,
    DispatchSettings,
    MoodleSettings,
    NetworkSettings,
    NoAuth,
    OAuth2Auth,
    RetentionSettings,
    RetrySettings,
    Rule,
    RuleRetry,
    Service,
    Settings,
    SigningSettings,
    StoreSettings,
    TailSettings,
    TlsSettings,
)
from sidecar.settings.source import Problem, Source
from sidecar.settings.values import FRAMING_HEADERS, parse_duration, status_set

__all__ = [
    "FRAMING_HEADERS",
    "TRANSPORTS",
    "ApiKeyAuth",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "CaptureSettings",
    "CircuitBreakerSettings",
    "DispatchSettings",
    "MoodleSettings",
    "NetworkRules",
    "NetworkSettings",
    "NoAuth",
    "OAuth2Auth",
    "Problem",
    "RetentionSettings",
    "RetrySettings",
    "Rule",
    "RuleRetry",
    "Service",
    "Settings",
    "SigningSettings",
    "Source",
    "StoreSettings",
    "TailSettings",
    "TlsSettings",
    "Watcher",
    "event_problem",
    "json_schema",
    "load",
    "parse",
    "parse_duration",
    "read",
    "report",
    "starter",
    "status_set",
]
