"""The events that Moodle itself can write, by name, as people search for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class EventKind:
    r"""An event class in words: `\mod_quiz\event\attempt_submitted` is `attempt submitted` of mod_quiz."""

    name: str
    component: str
    title: str

    @classmethod
    def of(cls, name: str) -> "EventKind":
        """Take a name apart; one that is not like Moodle's is its own title."""
        component, _, last = name.strip("\\").partition("\\event\\")
        return cls(name, component, (last or component).replace("\\", " ").replace("_", " "))

    def fits(self, words: Iterable[str]) -> bool:
        """Whether every one of these words, in small letters, is in its name or title."""
        text = f"{self.name} {self.title}".lower()
        return all(word in text for word in words)


@cache
def catalogue() -> frozenset[str]:
    """Return the names of all events that Moodle 4.5 itself comes with."""
    return frozenset(files("sidecar.moodle").joinpath("events.txt").read_text().split())
