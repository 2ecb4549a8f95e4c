"""A name and a password are shown to Moodle's token service; what comes back says who it is."""

from collections.abc import Mapping
from typing import Any

from sidecar.identity.asking import Asker
from sidecar.identity.person import NotLetIn, Person, Trouble, role_of, safe_name
from sidecar.settings import MoodleLoginSettings
from sidecar.transports.asking import Said

# Of login/token.php, webservice/lib.php and lib/external (`errorcode`), Moodle 3.9 to 5.
_TROUBLES: Mapping[str, Trouble] = {
    "invalidlogin": Trouble.WRONG_PASSWORD,
    "usernamenotfound": Trouble.WRONG_PASSWORD,
    "enablewsdescription": Trouble.WEB_SERVICES_OFF,
    "webservicesnotenabled": Trouble.WEB_SERVICES_OFF,
    "servicenotavailable": Trouble.SERVICE_OFF,
    "cannotcreatetoken": Trouble.NO_TOKEN,
    "cannotcreatemobiletoken": Trouble.NO_TOKEN,
    "invalidtoken": Trouble.NO_TOKEN,
    "accessexception": Trouble.NO_TOKEN,
    "usernotallowed": Trouble.NO_TOKEN,
    "missingrequiredcapability": Trouble.NO_TOKEN,
    "restoredaccountresetpassword": Trouble.ACCOUNT,
    "passwordisexpired": Trouble.ACCOUNT,
    "forcepasswordchangenotice": Trouble.ACCOUNT,
    "usernotconfirmed": Trouble.ACCOUNT,
    "usernotfullysetup": Trouble.ACCOUNT,
    "sitepolicynotagreed": Trouble.ACCOUNT,
    "suspended": Trouble.ACCOUNT,
    "noguest": Trouble.NOT_LISTED,
    "sitemaintenance": Trouble.MAINTENANCE,
}


class MoodleLogin:
    """Asks one Moodle. Nothing of password and token is kept."""

    def __init__(self, site_url: str, settings: MoodleLoginSettings, asker: Asker) -> None:
        self._url, self._settings, self._asker = site_url.rstrip("/"), settings, asker

    def recognise(self, name: str, password: str) -> Person:
        """Return who that is. Raises NotLetIn.

        Password and token travel in the body only: addresses end up in the logs of web servers.
        """
        form = {"username": name, "password": password, "service": self._settings.service}
        token = self._ask("/login/token.php", form).get("token")
        if not isinstance(token, str) or not token:
            raise NotLetIn(Trouble.ODD_ANSWER, "login/token.php answered without a token")
        asked = {
            "wstoken": token,
            "wsfunction": "core_webservice_get_site_info",
            "moodlewsrestformat": "json",
        }
        return self._person(self._ask("/webservice/rest/server.php", asked))

    def is_served(self) -> None:
        """Raise NotLetIn if the token service would refuse everybody. Shows no credentials.

        Most releases answer `appsitecheck`; the newest look at the service, then miss the user name.
        """
        form = {"appsitecheck": "1", "service": self._settings.service}
        answer = self._asker.post(f"{self._url}/login/token.php", form)
        said = answer.json if isinstance(answer.json, dict) else {}
        if said.get("appsitecheck") != "ok" and said.get("errorcode") != "missingparam":
            raise _refusal(answer)

    def _ask(self, path: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        answer = self._asker.post(f"{self._url}{path}", form)
        said = answer.json
        if (
            answer.status == 200
            and isinstance(said, dict)
            and not {"error", "exception", "errorcode"} & set(said)
        ):
            return said
        raise _refusal(answer)

    def _person(self, site_info: Mapping[str, Any]) -> Person:
        username, settings = site_info.get("username"), self._settings
        if not isinstance(username, str) or not username:
            raise NotLetIn(Trouble.ODD_ANSWER, "core_webservice_get_site_info names no user")
        name = f"moodle:{safe_name(username)}"
        if site_info.get("userissiteadmin") is True:
            return Person(name, "manage")
        role = role_of([username.lower()], map(str.lower, settings.manage), map(str.lower, settings.view))
        if role is None:
            raise NotLetIn(Trouble.NOT_LISTED, name=name)
        return Person(name, role)


def _refusal(answer: Said) -> NotLetIn:
    said = answer.json
    if isinstance(said, dict) and isinstance(said.get("errorcode"), str):
        code = said["errorcode"]
        return NotLetIn(_TROUBLES.get(code, Trouble.ODD_ANSWER), f"Moodle says {code}")
    if answer.status == 503:
        return NotLetIn(Trouble.MAINTENANCE, "Moodle answered 503")
    if answer.status in (401, 403):
        # webservice/rest/server.php, where the protocol REST is switched off; or a firewall before Moodle.
        return NotLetIn(Trouble.WEB_SERVICES_OFF, f"Moodle answered {answer.status}")
    if answer.moved:
        return NotLetIn(
            Trouble.ODD_ANSWER, f"Moodle leads elsewhere, to {answer.moved}: is that its site_url?"
        )
    return NotLetIn(Trouble.ODD_ANSWER, f"Moodle answered {answer.status}, and no JSON")
