"""The workshop: services and rules are made, changed, tried and deleted here, for API and dashboard."""

from sidecar.workshop.refusals import BadDefinition, Conflict, StillWaiting
from sidecar.workshop.remove import Removed, remove
from sidecar.workshop.save import Saved, save_rule, save_service, switch
from sidecar.workshop.show import Shown, export, made_here, show
from sidecar.workshop.trial import Trial, trial, try_service, try_values
from sidecar.workshop.waiting import Waiting

__all__ = [
    "BadDefinition",
    "Conflict",
    "Removed",
    "Saved",
    "Shown",
    "StillWaiting",
    "Trial",
    "Waiting",
    "export",
    "made_here",
    "remove",
    "save_rule",
    "save_service",
    "show",
    "switch",
    "trial",
    "try_service",
    "try_values",
]
