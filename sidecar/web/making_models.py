"""What the API takes and answers where services and rules are made and tried, and what the audit says."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sidecar.model import Outcome
from sidecar.settings import Kind
from sidecar.web.ask import NameText

_NUMBER = 2**31 - 1
_SERVICE: dict[str, JsonValue] = {"base_url": "...", "auth": {"type": "bearer", "token": "..."}}
_RULE: dict[str, JsonValue] = {"event": r"\core\event\user_created", "service": "crm", "endpoint": "/users"}
_KEPT = "As under its name in the file, without variables; ******** leaves a secret as it is"


class NewService(BaseModel):
    """A service to make."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "crm", "definition": _SERVICE}]}
    )

    name: NameText
    definition: dict[str, Any] = Field(description=_KEPT)


class NewRule(BaseModel):
    """A rule to make."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "new-user-to-crm", "definition": _RULE}]}
    )

    name: NameText
    definition: dict[str, Any] = Field(description="As one item of the file's rules, without variables")


class Change(BaseModel):
    """A definition in place of the one that was seen."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"definition": {}, "revision": 3}]}
    )

    definition: dict[str, Any] = Field(description="All of it, not only what changes")
    revision: int = Field(
        ge=1, le=_NUMBER, description="That of the definition that was seen: with another nothing is done"
    )


class Kept(BaseModel):
    """A definition that is kept and in force."""

    kind: Kind
    name: str
    revision: int = Field(description="What the next change has to name")
    created: bool


class Written(BaseModel):
    """A service or rule as it is written, without its secrets."""

    kind: Kind
    name: str
    source: Literal["file", "here"]
    definition: Mapping[str, Any] = Field(description="******** stands for each secret")
    revision: int | None = Field(description="null: it stands in the file and is changed there")
    updated_by: str | None
    updated_at: datetime | None
    flaw: str | None = Field(description="Why it is not in force; null: it is")
    shadowed: bool = Field(description="The file has one of this name, which is in force in its place")


class Exported(BaseModel):
    """A service or rule for the file."""

    yaml: str = Field(description="To paste into the file; secrets are variables that have to be set")


class Deleted(BaseModel):
    """A service or rule that was deleted."""

    kind: Kind
    name: str
    waiting: int = Field(description="How many deliveries waited, and were dealt with as was said")


class Try(BaseModel):
    """How to try a service; of brokers and SOAP nothing of it is used."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["GET", "HEAD"] = "GET"
    endpoint: str = Field(
        default="", max_length=2_000, pattern=r"^[^\x00-\x1f\x7f]*$", description="Appended to base_url"
    )


class Tried(BaseModel):
    """What came of it."""

    reached: bool = Field(description="The service gave a sign of life")
    accepted: bool = Field(description="It took this very request")
    outcome: Outcome
    status: int | None
    error: str | None
    latency_ms: float
    response: str | None = Field(description="The beginning of the answer, where it is kept")


class Done(BaseModel):
    """One change that somebody made."""

    id: int
    done_at: datetime
    who: str = Field(description="Name of the token, the user or the account")
    via: str = Field(description="api, dashboard or command")
    action: str = Field(examples=["service.change"])
    object: str = Field(examples=["service crm"])
    detail: str | None
