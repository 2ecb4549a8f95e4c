"""The doctor: everything that can be wrong before the first delivery, each finding with its remedy."""

from sidecar.doctor.examine import examine, refused
from sidecar.doctor.findings import Finding, Level, Report, Section

__all__ = ["Finding", "Level", "Report", "Section", "examine", "refused"]
