"""What was made in the dashboard or by the API, and the secrets of the store: is all of it in force?"""

from sidecar.doctor.findings import Findings, note, ok, problem, warning
from sidecar.settings import Flaw, Settings, Source
from sidecar.settings.overlay import wanted_secrets
from sidecar.store.made import keys_of
from sidecar.store.words import count


def definitions(settings: Settings, source: Source) -> Findings:
    """Yield what is wrong with services and rules made here, with secrets and with their key."""
    stored, made = source.stored, settings.made
    if stored.mark is None:
        if stored.secrets.closed:
            yield note("made here", f"was not looked at: {stored.secrets.closed}")
        return
    if made.services or made.rules:
        listed = f"{count(len(made.services), 'service')}, {count(len(made.rules), 'rule')}"
        yield ok("made here", f"{listed}, in the dashboard or by the API")
    for flaw in made.flaws:
        yield from _flawed(flaw)
    yield from _kept(settings, source)


def _flawed(flaw: Flaw) -> Findings:
    subject = f"{flaw.kind} {flaw.name}"
    if flaw.shadowed:
        remedy = "rename one of them, or delete the one made here"
        yield note(subject, f"the one made here is not in force: {flaw.reason}", remedy)
    else:
        waits = "; what is for it waits" if flaw.kind == "service" else "; it makes nothing"
        yield problem(subject, f"is not in force: {flaw.reason}", f"mend or delete it{waits}")


def _kept(settings: Settings, source: Source) -> Findings:
    keys, secrets = keys_of(settings), source.stored.secrets
    names = {*secrets.values, *secrets.sealed}
    if keys.problem:
        yield problem("store.secret_key", keys.problem, "secrets are sealed and opened with the others only")
    elif names and keys.lack:
        yield problem("store.secret_key", f"the store keeps secrets, but {keys.lack}", "put the key back")
    elif keys.ids:
        yield ok("store.secret_key", f"{count(len(secrets.values), 'secret')} of the store can be opened")
    if len(keys.ids) > 1:
        remedy = "mih secrets rotate says which can go"
        yield note("store.secret_key", f"there are {len(keys.ids)} keys", remedy)
    for name in sorted(names - wanted_secrets(source)):
        yield warning(f"secret {name}", "is kept, but nothing wants it", f"mih secrets delete {name}")
