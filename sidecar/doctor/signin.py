"""Can people sign in by others? Moodle's token service and the provider are asked; no credential is shown."""

from collections.abc import Callable, Mapping

from sidecar.clock import Clock
from sidecar.doctor.findings import Findings, note, ok, problem
from sidecar.identity.asking import Asker
from sidecar.identity.moodle import MoodleLogin
from sidecar.identity.person import NotLetIn, Trouble
from sidecar.identity.provider import Provider
from sidecar.settings import MoodleLoginSettings, OidcSettings, Settings

_MOODLE, _OIDC = "web.moodle_login", "web.oidc"
_REMEDIES: Mapping[Trouble, str] = {
    Trouble.UNREACHABLE: "check site_url, and network in the configuration",
    Trouble.WEB_SERVICES_OFF: "Moodle: Site administration > Advanced features: enable web services",
    Trouble.SERVICE_OFF: "Moodle: Site administration > Mobile app > Mobile settings: enable web services for"
    " mobile devices, or name another service in web.moodle_login.service",
    Trouble.MAINTENANCE: "wait until Moodle is back",
}


def signing_in(settings: Settings, clock: Clock) -> Findings:
    """Yield what keeps people from signing in by others; nothing where only our own users may."""
    web = settings.web
    if not web.enabled:
        return
    asker = Asker(settings.network.rules(private=True), clock)
    if web.moodle_login:
        yield from _moodle(settings.site_url, web.moodle_login, asker)
    if web.oidc:
        yield from _provider(web.oidc, asker, clock)
    if not web.local_login:
        yield note(
            "web.local_login",
            "users of the sidecar itself may not sign in: if the others fail, nobody can",
            "to let them in for a while: web.local_login: true, and mih users add NAME --role manage",
        )


def _moodle(site_url: str, settings: MoodleLoginSettings, asker: Asker) -> Findings:
    why = _refusal(MoodleLogin(site_url, settings, asker).is_served)
    if why is None:
        yield ok(_MOODLE, f"the token service of {site_url} answers")
    else:
        yield problem(_MOODLE, f"nobody can sign in by Moodle: {why.detail}", _REMEDIES.get(why.trouble))


def _provider(settings: OidcSettings, asker: Asker, clock: Clock) -> Findings:
    provider = Provider(settings.issuer, asker, clock)
    why = _refusal(provider.keys)
    if why is None:
        yield ok(_OIDC, f"{settings.issuer} says where to sign in, and has keys")
    else:
        remedy = f"open {settings.issuer.rstrip('/')}/.well-known/openid-configuration and compare"
        yield problem(_OIDC, f"nobody can sign in by OpenID Connect: {why.detail}", remedy)


def _refusal(ask: Callable[[], object]) -> NotLetIn | None:
    try:
        ask()
    except NotLetIn as why:
        return why
    return None
