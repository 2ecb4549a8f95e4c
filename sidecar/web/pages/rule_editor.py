"""The editor of rules: what is typed is tried on a real row at once, and kept as off, shadow or on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from sidecar import workshop
from sidecar.bridge.match import CompiledRule, compile_one
from sidecar.errors import DatabaseUnavailable, said
from sidecar.moodle.seen import Seen, fields_of
from sidecar.settings import Kind, Problem, Rule
from sidecar.settings.gallery import gallery
from sidecar.settings.newrule import rule_name
from sidecar.web.ask import RuleName
from sidecar.web.pages import rule_words
from sidecar.web.pages.ending import is_on, where_asked
from sidecar.web.pages.page import Manage, Page
from sidecar.web.pages.rule_form import RuleForm, by_field, form_of, section_of, typed, with_template
from sidecar.web.pages.rule_trials import LONGEST_BODY, figure, show_history, show_preview, tried
from sidecar.workshop import BadDefinition, Conflict
from sidecar.workshop.bench import bench_of
from sidecar.workshop.draft import draft_rule

router = APIRouter()

# No rule begins with a dash: these addresses are nobody's.
NEW = "/rules/-/new"

_UNNAMED = "new-rule"
_MOST_EVENTS = 60


@router.get(NEW)
def new(page: Manage, copy: str = "", event: str = "", row: str = "") -> Response:
    """Show the empty editor, or a copy of a rule, or one for an event."""
    if copy:
        kept = workshop.show(page.desk.hub, Kind.RULE, copy)
        taken = [rule.name for rule in page.desk.settings.rules]
        form = replace(form_of(kept.section, _copy_name(copy, taken)), state="shadow", revision="")
        return _edited(page, form)
    names = [rule.name for rule in page.desk.settings.rules]
    name = rule_name(None, event, names) if event else ""
    services = list(page.desk.settings.services)
    only = services[0] if len(services) == 1 else ""
    return _edited(
        page,
        RuleForm(name=name, event=event, service=only, log_id=row, content="template" if event else "event"),
    )


@router.post(NEW)
def make(page: Manage) -> Response:
    """Keep a new rule, or do with what is typed what a button says."""
    return _done(page, typed(page.form), None)


@router.get("/rules/{name}/edit")
def edit(page: Manage, name: RuleName) -> Response:
    """Show a rule made here in the editor."""
    kept = workshop.show(page.desk.hub, Kind.RULE, name)
    if kept.revision is None:
        raise Conflict(
            page._(
                "The rule %(name)s stands in the configuration file: edit it there, or copy it here.",
                name=name,
            )
        )
    return _edited(page, replace(form_of(kept.section, name), revision=str(kept.revision)), name=name)


@router.post("/rules/{name}/edit")
def change(page: Manage, name: RuleName) -> Response:
    """Keep a changed rule."""
    return _done(page, replace(typed(page.form), name=name), name)


@router.post("/rules/-/preview")
def try_draft(page: Manage) -> Response:
    """Try what is typed on a row; the answer also says at the fields what is wrong."""
    form = typed(page.form)
    compiled, problems = _compiled(page, form)
    if compiled is None:
        return page.show(
            "rule_preview.html", found=None, problems=problems, typing=True, form=form, words=rule_words
        )
    return show_preview(page, compiled, form.log_id, typing=True, form=form)


@router.post("/rules/-/history")
def look_back(page: Manage) -> Response:
    """Count how often what is typed would have matched."""
    form = typed(page.form)
    compiled, problems = _compiled(page, form)
    if compiled is None:
        return page.show(
            "rule_history.html", found=None, problems=problems, busy=False, name="", words=rule_words
        )
    return show_history(page, compiled, figure(page.text("seconds"), 0))


@router.get("/rules/-/events")
def pick(page: Manage, q: str = "") -> Response:
    """List the events to choose from: those seen here first."""
    return page.show("rule_events.html", events=_events(page, q), q=q)


@router.get("/rules/-/fields")
def fields(page: Manage, event: str = "") -> Response:
    """List the fields that rows of an event had; a click puts one into the template."""
    names = [line.strip() for line in event.splitlines() if line.strip()]
    if not names:
        return page.show("rule_fields.html", found=None, event="")
    with page.desk.reading() as conn:
        found = fields_of(conn, page.desk.log, names[0][:255].replace("\0", ""))
    return page.show("rule_fields.html", found=found, event=names[0])


def _done(page: Page, form: RuleForm, name: str | None) -> Response:
    match page.text("do"):
        case "template":
            ready = next((one for one in gallery() if one.name == page.text("ready")), None)
            return _edited(page, with_template(form, ready) if ready else form, name=name)
        case "try":
            return _edited(page, form, name=name, tries=True)
    return _saved(page, form, name)


def _saved(page: Page, form: RuleForm, name: str | None) -> Response:
    read = section_of(form)
    problems = [*read.problems, *([] if form.name else [Problem("name", said("give the rule a name"))])]
    revision = int(figure(form.revision, 0)) if name else None
    was_on = name is not None and is_on(workshop.show(page.desk.hub, Kind.RULE, name).section)
    try:
        if problems:
            raise BadDefinition([*problems, *_further(page, form, read.section, problems)])
        saved = workshop.save_rule(page.desk.hub, form.name, read.section, by=page.author, revision=revision)
    except BadDefinition as bad:
        return _edited(page, form, name=name, problems=by_field(bad.problems, page.told), status=422)
    except Conflict as conflict:
        return _edited(page, form, name=name, problems={"": page.told(conflict.text)}, status=409)
    words = {
        "on": page._("%(name)s is kept and on: what happens from now on is delivered.", name=saved.name),
        "shadow": page._("%(name)s is kept, in the shadow: it counts, and sends nothing.", name=saved.name),
    }
    text = words.get(form.state) or page._("%(name)s is kept, and off.", name=saved.name)
    ended = was_on and not is_on(read.section)
    return page.back(where_asked(page, Kind.RULE, saved.name) if ended else f"/rules/{saved.name}", text)


def _further(page: Page, form: RuleForm, section: Mapping[str, Any], found: list[Problem]) -> list[Problem]:
    """Return what is wrong besides, so that everything is said at once."""
    places = {one.place for one in found}
    try:
        draft_rule(bench_of(page.desk.hub).source, page.desk.settings, form.name or _UNNAMED, section)
    except BadDefinition as bad:
        return [one for one in bad.problems if one.place not in places]
    return []


def _compiled(page: Page, form: RuleForm) -> tuple[CompiledRule | None, dict[str, str]]:
    """Return what is typed as a rule, or what there is to mend in it."""
    read, name = section_of(form), form.name or _UNNAMED
    try:
        draft = draft_rule(bench_of(page.desk.hub).source, page.desk.settings, name, read.section)
    except BadDefinition as bad:
        return None, by_field([*read.problems, *bad.problems], page.told)
    if read.problems:
        return None, by_field(read.problems, page.told)
    assert isinstance(draft.made, Rule)
    return compile_one(draft.made, page.desk.settings), {}


def _edited(
    page: Page,
    form: RuleForm,
    *,
    name: str | None = None,
    problems: Mapping[str, str] | None = None,
    tries: bool = False,
    status: int = 200,
) -> Response:
    found, wrong = None, dict(problems or {})
    if tries:
        compiled, wrong = _compiled(page, form)
        if compiled is not None:
            found, wrong = tried(page, compiled, form.log_id)
    return page.show(
        "rule_edit.html",
        status=status,
        form=form,
        name=name,
        problems=wrong,
        found=found,
        tries=tries,
        services=sorted(page.desk.settings.services),
        events=_events(page, ""),
        gallery=gallery(),
        words=rule_words,
        longest=LONGEST_BODY,
        log_id=form.log_id,
        typing=False,
    )


def _events(page: Page, q: str) -> list[Seen]:
    try:
        with page.desk.reading() as conn:
            return page.desk.lookout.look(conn).find(q[:255])[:_MOST_EVENTS]
    except DatabaseUnavailable:
        return []  # the preview says so, with the reason


def _copy_name(name: str, taken: list[str]) -> str:
    names = (f"{name}-copy", *(f"{name}-copy-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in names if one not in taken)[:100]
