"""Who is on the campus: people and courses with names as real life has them, the ids counted up."""

from dataclasses import dataclass
from itertools import count
from random import Random

_FIRST = (
    *("José", "Zoë", "Søren", 'Anna "Ann"', "Ольга", "Fatima", "Mary-Jane", "Renée 🎓", "小龙", "Siobhán"),
    *("Nguyễn", "Ali", "Grace", "D’Angelo", "François", "Ines"),
)
_LAST = (
    *(
        "Núñez",
        "O'Brien",
        "Łukasiewicz",
        "Müller",
        "Иванова",
        "al-Zahra",
        "D'Souza",
        "Dubois",
        "李",
        "Ní Bhriain",
    ),
    *("Văn", "de la Cruz", "Hopper", "<b>Bold</b>", "Back\\slash", "{{x}}"),
)
_CITIES = (("Bogotá", "CO"), ("Zürich", "CH"), ("São Paulo", "BR"), ("Kraków", "PL"), ("Malmö", "SE"))
_COURSES = (
    *("Álgebra “Lineal” & más", "Statistics I", "日本語 1", "Chemie für Anfänger", "History: 1900–1950"),
    *("Ethics & AI 🤖", "C++ <templates>", "Écriture créative"),
)

ADMIN = 2
_FIRST_PERSON, _FIRST_COURSE = 3, 2
_SYSTEM, _CATEGORY = 1, 2  # ids of contexts


@dataclass(frozen=True, slots=True)
class Person:
    """A row of `user`, with the id of the context that Moodle makes for it."""

    id: int
    username: str
    firstname: str
    lastname: str
    city: str
    country: str
    contextid: int

    @property
    def email(self) -> str:
        """Where Moodle would write to."""
        return f"{self.username}@example.org"


@dataclass(frozen=True, slots=True)
class Course:
    """A row of `course`, with the contexts of itself and of its forum."""

    id: int
    shortname: str
    fullname: str
    contextid: int
    forum: int
    forum_contextid: int


class Cast:
    """Everybody and everything there is; new ones get the next ids."""

    def __init__(self, rng: Random, *, people: int = 12, courses: int = 3) -> None:
        self._rng = rng
        self._contexts = count(_CATEGORY + 1)
        self._person_ids, self._course_ids = count(_FIRST_PERSON), count(_FIRST_COURSE)
        self._modules = count(1)
        self.courses = [self.new_course() for _ in range(courses)]
        self.people = [self.new_person() for _ in range(people)]

    def new_person(self) -> Person:
        """Return somebody who was not there before, not yet among `people`."""
        number = next(self._person_ids)
        city, country = self._rng.choice(_CITIES)
        first, last = self._rng.choice(_FIRST), self._rng.choice(_LAST)
        return Person(number, f"u{number:05}", first, last, city, country, next(self._contexts))

    def new_course(self) -> Course:
        """Return a course that was not there before, not yet among `courses`."""
        number = next(self._course_ids)
        round_, name = divmod(number - _FIRST_COURSE, len(_COURSES))
        fullname = _COURSES[name] + (f" ({round_ + 1})" if round_ else "")
        return Course(
            number, f"C{number:03}", fullname, next(self._contexts), next(self._modules), next(self._contexts)
        )

    def anyone(self) -> Person:
        """Return one of the people."""
        return self._rng.choice(self.people)

    def any_course(self) -> Course:
        """Return one of the courses."""
        return self._rng.choice(self.courses)
