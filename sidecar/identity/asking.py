"""One question to Moodle or to a provider, under the file's network rules."""

from collections.abc import Mapping

from sidecar.clock import Clock
from sidecar.identity.person import NotLetIn, Trouble
from sidecar.settings import NetworkRules
from sidecar.transports.asking import NoAnswer, Said, TooLong, ask, question

_NONE: Mapping[str, str] = {}


class Asker:
    """Asks with a connection and a deadline of its own each time, and follows no redirect. Thread-safe."""

    def __init__(self, rules: NetworkRules, clock: Clock) -> None:
        self._rules, self._clock = rules, clock

    def get(self, url: str, headers: Mapping[str, str] = _NONE) -> Said:
        """Ask. Raises NotLetIn (unreachable, odd_answer)."""
        return self._ask("GET", url, headers, None)

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] = _NONE) -> Said:
        """Send a form. Raises NotLetIn (unreachable, odd_answer)."""
        return self._ask("POST", url, headers, form)

    def _ask(self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> Said:
        try:
            return ask(question(method, url, headers, form), self._rules, self._clock)
        except NoAnswer as error:
            raise NotLetIn(Trouble.UNREACHABLE, str(error)) from None
        except (TooLong, ValueError) as error:
            raise NotLetIn(Trouble.ODD_ANSWER, str(error)) from None
