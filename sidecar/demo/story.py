"""What happens on the campus, as rows for the log: real rows with the people and courses of this one."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from sidecar.demo.cast import ADMIN, Cast, Course, Person
from sidecar.demo.kinds import COURSE, ENROL, JOIN, LEAVE, PLOTS, LogRow, Plot, load_kinds

_CATEGORY_CONTEXT, _CATEGORY = 2, 1
_SYSTEM_CONTEXT = 1
_RESTORED_AGE_S = 2 * 365 * 86_400
_POSTS = ("hola", 'He said "no way" \\o/', "¿Qué tal? 🙂", "Zeile 1\nZeile 2", "<p>1 < 2 & {{x}}</p>")
_SESSION = "0123456789abcdefghijklmnopqrstuv"


@dataclass(frozen=True, slots=True)
class Act:
    """One transaction of Moodle's: its rows of the log, and whom or what it makes or removes."""

    rows: tuple[LogRow, ...]
    joined: Person | None = None
    left: Person | None = None
    founded: Course | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """Who does it, to whom, where and when; the dice decide the rest."""

    doer: Person
    about: Person
    course: Course
    at: int
    dice: Random


class Story:
    """Tells one act after the other, in the mix of the real logs; the same for the same seed."""

    def __init__(self, rng: Random, cast: Cast) -> None:
        self._rng, self._cast = rng, cast
        self._kinds = load_kinds()
        self._weights = [self._kinds[plot.events[0]].seen for plot in PLOTS]
        self._objects: Counter[str] = Counter()

    def next(self, at: int) -> Act:
        """Return what happens at `at`, in seconds since 1970."""
        return self.tell(self._rng.choices(PLOTS, self._weights)[0], at)

    def tell(self, plot: Plot, at: int) -> Act:
        """Return one act of this plot."""
        joined = self._cast.new_person() if plot is JOIN else None
        founded = self._cast.new_course() if plot is COURSE else None
        about = joined or self._cast.anyone()
        scene = _Scene(self._cast.anyone(), about, founded or self._cast.any_course(), at, self._rng)
        act = Act(
            rows=tuple(self._row(name, scene) for name in plot.events),
            joined=joined,
            left=self._leaver(about) if plot is LEAVE else None,
            founded=founded,
        )
        self._cast.people += [joined] if joined else []
        self._cast.courses += [founded] if founded else []
        return act

    def restored(self, at: int) -> Act:
        """Return what restoring a course with its log writes: old rows of enrolments, with new ids.

        Their time is the original one, and origin and ip are null, as Moodle 4.5 leaves them.
        """
        act = self.tell(ENROL, at)
        return Act(
            tuple(replace(row, timecreated=at - _RESTORED_AGE_S, origin=None, ip=None) for row in act.rows)
        )

    def _leaver(self, about: Person) -> Person | None:
        # The last few stay: a campus without anybody is not worth watching.
        if len(self._cast.people) <= 3:
            return None
        self._cast.people.remove(about)
        return about

    def _row(self, name: str, scene: _Scene) -> LogRow:
        real = self._kinds[name].row
        # The real rows were made by a script; on this campus people click.
        personal = real.userid > 0 and (real.edulevel == 2 or real.origin == "web")
        own = personal and real.relateduserid in (None, real.userid)
        doer = scene.doer.id if own else real.userid
        contextid, instance = _place(real, scene, own)
        return replace(
            real,
            userid=doer,
            relateduserid=_about(real, scene, own),
            courseid=scene.course.id if real.courseid else real.courseid,
            contextid=contextid,
            contextinstanceid=instance,
            objectid=self._object(real, scene, own),
            other=self._other(real, scene),
            timecreated=scene.at,
            origin="web" if personal else real.origin,
            ip=f"192.0.2.{doer % 250 + 1}" if personal else real.ip,
        )

    def _object(self, real: LogRow, scene: _Scene, own: bool) -> int | None:
        match real.objecttable:
            case None:
                return None
            case "user":
                return scene.doer.id if own else scene.about.id
            case "course":
                return scene.course.id
            case "course_categories":
                return _CATEGORY
            case table:
                self._objects[table] += 1
                return self._objects[table]

    def _other(self, real: LogRow, scene: _Scene) -> str:
        change = _OTHERS.get(real.eventname.rpartition("\\")[2])
        if change is None:
            return real.other
        values = _merged(json.loads(real.other), change(scene))
        # As PHP's json_encode writes it.
        return json.dumps(values, separators=(",", ":")).replace("/", "\\/")


def _place(real: LogRow, scene: _Scene, own: bool) -> tuple[int, int]:
    match real.contextlevel:
        case 30:
            person = scene.doer if own else scene.about
            return person.contextid, person.id
        case 40:
            return _CATEGORY_CONTEXT, _CATEGORY
        case 50:
            return scene.course.contextid, scene.course.id
        case 70:
            return scene.course.forum_contextid, scene.course.forum
        case _:
            return _SYSTEM_CONTEXT, 0


def _about(real: LogRow, scene: _Scene, own: bool) -> int | None:
    if real.relateduserid is None:
        return None
    return scene.doer.id if own else scene.about.id


def _merged(real: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `real` with changes, also inside of its objects."""
    return real | {
        name: real[name] | value if isinstance(value, dict) else value for name, value in changes.items()
    }


# What the real rows say in `other`, as it would be said of this campus.
_OTHERS: Mapping[str, Callable[[_Scene], dict[str, Any]]] = {
    "user_loggedin": lambda scene: {"username": scene.doer.username},
    "user_login_failed": lambda scene: {"username": scene.doer.username},
    "user_loggedout": lambda scene: {"sessionid": "".join(scene.dice.choices(_SESSION, k=26))},
    "user_graded": lambda scene: {"finalgrade": f"{scene.dice.randrange(11)}.00000"},
    "grade_deleted": lambda scene: {"finalgrade": f"{scene.dice.randrange(1, 11)}.00000"},
    "course_completed": lambda scene: {"relateduserid": str(scene.about.id)},
    "assessable_uploaded": lambda scene: {"content": scene.dice.choice(_POSTS)},
    "course_created": lambda scene: {
        "shortname": scene.course.shortname,
        "fullname": scene.course.fullname,
    },
    "user_enrolment_deleted": lambda scene: {
        "userenrolment": {
            "userid": str(scene.about.id),
            "courseid": str(scene.course.id),
            "modifierid": str(ADMIN),
        }
    },
    "user_deleted": lambda scene: {
        "username": scene.about.username,
        "email": scene.about.email,
        "idnumber": "",
    },
    "email_failed": lambda scene: {"message": f"You have completed the course {scene.course.fullname}."},
}
