"""Why nobody was let in, for whoever stands at the door: what happened, and who can mend it."""

from collections.abc import Mapping

from sidecar.identity.person import Trouble
from sidecar.web.pages.languages import N_

WORDS: Mapping[Trouble, str] = {
    Trouble.WRONG_PASSWORD: N_("The name or the password is wrong."),
    Trouble.NOT_LISTED: N_("You may not sign in here. Ask whoever runs this hub to add you."),
    Trouble.UNREACHABLE: N_(
        "The sign-in service cannot be reached. Try again later; the log of the sidecar says why."
    ),
    Trouble.ODD_ANSWER: N_(
        "The sign-in service gave an answer that cannot be used. The log of the sidecar says which."
    ),
    Trouble.WEB_SERVICES_OFF: N_(
        "Moodle's web services or their REST protocol are switched off. An administrator of Moodle can enable"
        " them, as for the mobile app."
    ),
    Trouble.SERVICE_OFF: N_(
        "Moodle's service for sign-ins is not enabled. An administrator of Moodle can enable the mobile web"
        " service, or whoever runs this hub can name another service."
    ),
    Trouble.NO_TOKEN: N_(
        "Moodle gives this account no token. An administrator of Moodle can allow it to create tokens for the"
        " service; administrators themselves get them of the mobile service only."
    ),
    Trouble.ACCOUNT: N_(
        "Moodle wants something of you first: a new password, a confirmed address or a consent. Sign in to"
        " Moodle itself, then here."
    ),
    Trouble.MAINTENANCE: N_("Moodle is in maintenance. Try again when it is back."),
    Trouble.REFUSED_THERE: N_("The sign-in was cancelled or refused at the sign-in service."),
    Trouble.OVER: N_("This sign-in took too long, or was used already. Begin again."),
    Trouble.CLIENT: N_(
        "The sign-in service does not accept this hub. Whoever runs the hub has to compare its client,"
        " secret, scopes and return address with those registered there."
    ),
    Trouble.NOT_PROVEN: N_(
        "What the sign-in service sent does not prove who you are. The log of the sidecar says why."
    ),
    Trouble.CLOCKS: N_(
        "What the sign-in service sent is over or not valid yet. The clocks of both machines may differ."
    ),
}

# What Moodle cannot tell from a wrong password.
NO_PASSWORD_THERE = N_(
    "If you sign in to Moodle through another service (single sign-on), Moodle has no password of yours."
)

STATUS: Mapping[Trouble, int] = {
    Trouble.WRONG_PASSWORD: 401,
    Trouble.ACCOUNT: 403,
    Trouble.NO_TOKEN: 403,
    Trouble.NOT_LISTED: 403,
    Trouble.REFUSED_THERE: 403,
    Trouble.OVER: 400,
    Trouble.NOT_PROVEN: 403,
    Trouble.CLOCKS: 403,
}
# The rest: not the visitor's doing.
ELSEWHERE = 502
