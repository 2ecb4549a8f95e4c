"""Jobs on many dead letters that this process does: started, looked at, stopped; the store has all else."""

import logging
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from sidecar.bridge import bulk
from sidecar.bridge.bulk import Deed, Job, Progress
from sidecar.errors import HubError, text_of
from sidecar.store.audit import Author
from sidecar.store.faults import explain
from sidecar.web.desk import Desk

_log = logging.getLogger("mih.web")

_KEPT = 20


class State(StrEnum):
    """How a job stands in this process."""

    RUNNING = "running"
    STOPPED = "stopped"
    BROKEN = "broken"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Standing:
    """A job and how far it has got; `problem` says why it broke off."""

    job: Job
    by: str
    began_at: datetime
    state: State = State.RUNNING
    progress: Progress = field(default_factory=Progress)
    problem: str = ""


class Jobs:
    """Each piece is a call of its own on the desk's threads, so a process that stops waits for one at most.

    Nothing is kept for a restart: a job is its address, and what is not done are dead letters still.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._all: dict[Job, Standing] = {}

    def start(self, job: Job, by: Author) -> None:
        """Begin a job, or go on with it; one that runs here already just runs."""
        with self._lock:
            found = self._all.pop(job, None)
            if found is not None and found.state is State.RUNNING:
                self._all[job] = found
                return
            self._all[job] = Standing(job, by.who, self._desk.now)
            for old in [one for one, at in self._all.items() if at.state is not State.RUNNING][:-_KEPT]:
                del self._all[old]
        bulk.begin(self._desk.store, job, by=by, now=self._desk.now)
        self._desk.calls.submit(self._step, job)

    def stop(self, job: Job) -> None:
        """End a job after the piece in hand."""
        self._change(job, state=State.STOPPED)

    def find(self, job: Job) -> Standing | None:
        """Return how a job stands here; None if this process does not know it."""
        return self._all.get(job)

    def running(self) -> list[Standing]:
        """Return what this process is at."""
        with self._lock:
            return [one for one in self._all.values() if one.state is State.RUNNING]

    def _step(self, job: Job) -> None:
        standing = self._all[job]
        if standing.state is not State.RUNNING:
            return
        try:
            moved = self._piece(job, standing.progress)
        except (HubError, SQLAlchemyError) as error:
            text = explain(error, "store.url") if isinstance(error, SQLAlchemyError) else text_of(error)
            self._change(job, state=State.BROKEN, problem=text)
        except Exception:  # noqa: BLE001 - nobody else would hear of it
            _log.exception("web.job_broken deed=%s upto=%d", job.deed, job.upto)
            self._change(job, state=State.BROKEN)
        else:
            self._moved(job, moved)

    def _piece(self, job: Job, progress: Progress) -> Progress:
        desk = self._desk
        again = desk.again() if job.deed is Deed.RENDERED else None
        moved = bulk.go_on(desk.store, job, progress, again=again, now=desk.now)
        if job.deed is not Deed.DELETE:
            desk.wake()
        return moved

    def _moved(self, job: Job, progress: Progress) -> None:
        with self._lock:
            found = self._all[job]
            state = State.OVER if progress.is_over else found.state
            self._all[job] = replace(found, progress=progress, state=state)
        if state is State.RUNNING:
            self._desk.calls.submit(self._step, job)

    def _change(self, job: Job, *, state: State, problem: str = "") -> None:
        with self._lock:
            found = self._all.get(job)
            if found is not None and found.state is State.RUNNING:
                self._all[job] = replace(found, state=state, problem=problem)


_made = threading.Lock()


def jobs_of(request: Request) -> Jobs:
    """Return the jobs of the application that this request came to."""
    state = request.app.state
    with _made:
        if not hasattr(state, "jobs"):
            state.jobs = Jobs(state.desk)
        jobs: Jobs = state.jobs
        return jobs
