"""The link that the demo prints: it lets its visitor in, in any browser, and nobody else."""

import pytest

from sidecar.web.pages.gate import Invited
from sidecar.web.server import Server
from tests.web.conftest import Enter, MakeSite
from tests.web.people import HASH, Browser

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_the_link_lets_in_whoever_has_it_as_often_as_they_like(make_site: MakeSite, enter: Enter) -> None:
    site = make_site(web={"users": [{"name": "demo", "password_hash": HASH, "role": "manage"}]})
    server = Server(site.hub, pulse=lambda: None, port=0, guest=Invited("demo", "the-code-of-the-demo"))
    server.start()
    first, second = Browser(server.url), Browser(server.url)
    try:
        link = "/welcome?code=the-code-of-the-demo"

        entered = first.get(link)
        again = second.get(link)
        wrong = Browser(server.url)
        refused = wrong.get(link[:-1])

        assert (entered.status_code, entered.headers["Location"]) == (303, "/")
        assert again.status_code == 303
        assert first.is_in
        assert second.is_in
        assert refused.status_code == 403
        assert not wrong.is_in
        wrong.close()
    finally:
        first.close()
        second.close()
        server.stop()


def test_a_process_without_a_guest_welcomes_nobody(make_site: MakeSite, enter: Enter) -> None:
    site = make_site(web={"users": [{"name": "demo", "password_hash": HASH, "role": "manage"}]})

    assert enter(site).get("/welcome?code=").status_code == 403
