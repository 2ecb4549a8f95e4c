"""The pages of dead letters: groups, filters, one by one, edited, compared, replayed, deleted."""

import pytest

from sidecar.store import audit, deliveries, dlq
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.web.conftest import Enter, MakeSite, Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def actions(site: Site) -> list[str]:
    with site.store.read() as conn:
        return [row.action for row in audit.find(conn) if not row.action.startswith("session.")]


def payload_of(site: Site, key: str) -> str | None:
    with site.store.read() as conn:
        row = deliveries.get(conn, key)
    assert row is not None
    found: str | None = row.payload
    return found


def test_an_empty_list_says_that_all_is_well(site: Site, enter: Enter) -> None:
    shown = enter(site, "view").get("/dead-letters").text

    assert "There is no dead letter." in shown
    assert "By reason" not in shown


def test_letters_are_grouped_with_what_helps_and_a_way_to_all_of_them(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    seeds.rejected(1)
    seeds.rejected(2)
    seeds.unrendered(3)

    viewed, managed = (enter(site, role).get("/dead-letters").text for role in ("view", "manage"))

    assert "/dead-letters?service=crm&amp;reason=rejected&amp;status=422" in viewed
    assert "Mend its template, then replay rendered again." in viewed
    assert "/dead-letters/bulk" not in viewed
    assert "/dead-letters/bulk?service=crm&amp;reason=rejected&amp;status=422" in managed
    assert "Replay or delete all 2" in managed


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("reason=render", [3]),
        ("status=422", [2, 1]),
        ("error=http", [2, 1]),
        ("rule=other", [2]),
        ("event=user_upd", [2]),
        ("log_id=1", [1]),
        ("since=2027-01-01", []),
        ("until=2027-01-01&service=crm", [3, 2, 1]),
        ("before=2", [1]),
    ],
)
def test_each_filter_narrows_the_list(
    site: Site, enter: Enter, seeds: Seeds, query: str, rows: list[int]
) -> None:
    seeds.rejected(1)
    seeds.rejected(2, rule="other", event=r"\core\event\user_updated")
    seeds.unrendered(3)

    shown = enter(site, "view").get(f"/dead-letters?{query}").text

    assert [row for row in (3, 2, 1) if f'<span class="remark">row {row}</span>' in shown] == rows


def test_a_filter_that_makes_no_sense_is_said_at_its_field(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")

    shown = browser.get("/dead-letters?status=x&reason=bad+luck")

    assert shown.status_code == 422
    assert "A whole number, such as 42." in shown.text
    assert "One of these: exhausted, rejected," in shown.text
    assert browser.get("/dead-letters/bulk?status=x").status_code == 422


def test_one_letter_is_replayed_as_sent_and_its_delivery_shown(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    made = seeds.rejected(1)
    browser = enter(site, "manage")

    done = browser.post(f"/dead-letters/{made.delivery_id}/replay")

    assert done.headers["Location"] == f"/deliveries/{made.delivery_id}"
    assert (seeds.state(made), seeds.letters()) == ("pending", 0)
    assert "It is in the queue again." in browser.get(done.headers["Location"]).text
    assert actions(site) == ["dead_letter.replay"]


def test_one_that_was_never_rendered_says_what_to_do_instead(site: Site, enter: Enter, seeds: Seeds) -> None:
    made = seeds.unrendered(1)
    browser = enter(site, "manage")
    path = f"/dead-letters/{made.delivery_id}"

    shown = browser.get(path).text
    browser.post(f"{path}/replay")
    told = browser.get(path).text
    browser.post(f"{path}/edit", {"payload": "{}"})
    refused = browser.get(f"{path}/edit")

    assert "Replay as sent" not in shown
    assert "there is nothing to send as it was: replay it rendered again." in told
    assert refused.status_code == 303
    assert (seeds.letters(), actions(site)) == (1, [])


def test_one_letter_is_deleted_and_its_delivery_cancelled(site: Site, enter: Enter, seeds: Seeds) -> None:
    made = seeds.rejected(1)
    browser = enter(site, "manage")

    browser.post(f"/dead-letters/{made.delivery_id}/delete")

    assert (seeds.letters(), seeds.state(made)) == (0, "cancelled")
    assert browser.get(f"/dead-letters/{made.delivery_id}").status_code == 404
    assert actions(site) == ["dead_letter.delete"]


def test_a_payload_is_edited_and_sent_under_the_same_id(site: Site, enter: Enter, seeds: Seeds) -> None:
    made = seeds.rejected(1, body='{"id":1,"price":1.10}')
    browser = enter(site, "manage")
    path = f"/dead-letters/{made.delivery_id}/edit"

    form = browser.get(path).text
    # Browsers end lines with two characters.
    browser.post(path, {"payload": '{\r\n  "id": 1,\r\n  "price": 1.20\r\n}'})

    assert "1.10" in form
    assert payload_of(site, made.delivery_id) == '{\n  "id": 1,\n  "price": 1.20\n}'
    assert actions(site) == ["letter.edit"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [('{"id": ', "line 1, column"), ('{\n"a" 1}', "line 2, column"), ("x" * 1_000_100, "max_payload")],
)
def test_a_payload_that_cannot_be_sent_is_kept_in_the_form_with_the_place_of_the_error(
    make_site: MakeSite, enter: Enter, seeds_of: object, typed: str, said: str
) -> None:
    site = make_site({"max_payload": 1_000_000})
    made = seeds_of(site).rejected(1)  # type: ignore[operator]
    browser = enter(site, "manage")

    refused = browser.post(f"/dead-letters/{made.delivery_id}/edit", {"payload": typed})

    assert refused.status_code == 422
    assert said in refused.text
    assert typed.replace('"', "&#34;") in refused.text
    assert payload_of(site, made.delivery_id) == '{"id": 1}'


def test_an_edit_that_changes_nothing_is_none(site: Site, enter: Enter, seeds: Seeds) -> None:
    made = seeds.rejected(1)
    browser = enter(site, "manage")

    browser.post(f"/dead-letters/{made.delivery_id}/edit", {"payload": '{\r\n  "id": 1\r\n}'})

    assert "Nothing was changed." in browser.get(f"/dead-letters/{made.delivery_id}").text
    assert payload_of(site, made.delivery_id) == '{"id": 1}'
    assert actions(site) == []


class TestWithMoodlesLog:
    """A real Moodle's database, with rows that letters can be rendered from."""

    @pytest.fixture
    def database(self, moodle_db: Database) -> Database:
        return moodle_db

    @pytest.fixture
    def number(self, database: Database) -> int:
        return insert_rows(database.url, [log_row(eventname=r"\core\event\user_created", userid=7)])[0]

    def test_what_today_s_rule_sends_is_shown_before_it_is_sent(
        self, make_site: MakeSite, enter: Enter, seeds_of: object, number: int
    ) -> None:
        rule = {"name": "new-user", "event": r"\core\event\user_created", "service": "crm"}
        site = make_site(rules=[{**rule, "endpoint": "/users", "payload": {"id": "{{ id }}", "new": "yes"}}])
        seeds = seeds_of(site)  # type: ignore[operator]
        made = seeds.rejected(number)
        browser = enter(site, "manage")
        path = f"/dead-letters/{made.delivery_id}"

        shown = browser.get(f"{path}/comparison").text
        before = payload_of(site, made.delivery_id)
        browser.post(f"{path}/replay", {"how": "rendered"})

        assert "<ins>" in shown
        assert "&#34;new&#34;: &#34;yes&#34;" in shown
        assert before == f'{{"id": {number}}}'
        assert '"new": "yes"' in (payload_of(site, made.delivery_id) or "").replace('":"', '": "')
        assert seeds.state(made) == "pending"

    def test_one_whose_row_is_gone_says_so(self, site: Site, enter: Enter, seeds: Seeds, number: int) -> None:
        made = seeds.rejected(number + 1_000)
        browser = enter(site, "manage")

        shown = browser.get(f"/dead-letters/{made.delivery_id}/comparison").text

        assert "gone from Moodle" in shown
        assert "Replay rendered again" not in shown
        with site.store.read() as conn:
            assert dlq.count(conn) == 1
