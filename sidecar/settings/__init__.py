"""The configuration: a YAML file and the environment become frozen, validated Settings."""

from sidecar.settings.batching import BatchSettings, is_json
from sidecar.settings.checks import event_problem
from sidecar.settings.credentials import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    NoAuth,
    OAuth2Auth,
    SigningSettings,
    TlsSettings,
    WsseAuth,
)
from sidecar.settings.definitions import Definition, Flaw, Kind, Made, Secrets, Stored
from sidecar.settings.document import json_schema
from sidecar.settings.files import Watcher
from sidecar.settings.gallery import ReadyTemplate, gallery
from sidecar.settings.init import starter
from sidecar.settings.load import load, parse, report
from sidecar.settings.networks import NetworkRules
from sidecar.settings.newrule import rule_name, rule_text
from sidecar.settings.overlay import without
from sidecar.settings.policies import (
    CaptureSettings,
    CircuitBreakerSettings,
    RetrySettings,
    RuleRetry,
)
from sidecar.settings.reading import again, read
from sidecar.settings.rule import Rule
from sidecar.settings.schema import (
    BrokerSettings,
    DispatchSettings,
    MoodleSettings,
    NetworkSettings,
    RetentionSettings,
    Settings,
    StoreSettings,
    TailSettings,
    TokenSettings,
    UserRole,
    UserSettings,
    WebRole,
    WebSettings,
)
from sidecar.settings.secretive import STARS
from sidecar.settings.service import TRANSPORTS, Service, SoapSettings
from sidecar.settings.signin import MoodleLoginSettings, OidcSettings
from sidecar.settings.source import Problem, Source
from sidecar.settings.values import FRAMING_HEADERS, parse_duration, status_set

__all__ = [
    "FRAMING_HEADERS",
    "STARS",
    "TRANSPORTS",
    "ApiKeyAuth",
    "Auth",
    "BasicAuth",
    "BatchSettings",
    "BearerAuth",
    "BrokerSettings",
    "CaptureSettings",
    "CircuitBreakerSettings",
    "Definition",
    "DispatchSettings",
    "Flaw",
    "Kind",
    "Made",
    "MoodleLoginSettings",
    "MoodleSettings",
    "NetworkRules",
    "NetworkSettings",
    "NoAuth",
    "OAuth2Auth",
    "OidcSettings",
    "Problem",
    "ReadyTemplate",
    "RetentionSettings",
    "RetrySettings",
    "Rule",
    "RuleRetry",
    "Secrets",
    "Service",
    "Settings",
    "SigningSettings",
    "SoapSettings",
    "Source",
    "StoreSettings",
    "Stored",
    "TailSettings",
    "TlsSettings",
    "TokenSettings",
    "UserRole",
    "UserSettings",
    "Watcher",
    "WebRole",
    "WebSettings",
    "WsseAuth",
    "again",
    "event_problem",
    "gallery",
    "is_json",
    "json_schema",
    "load",
    "parse",
    "parse_duration",
    "read",
    "report",
    "rule_name",
    "rule_text",
    "starter",
    "status_set",
    "without",
]
