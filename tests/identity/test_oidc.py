"""The code flow against a provider that signs real tokens: who is let in, and all that is refused."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from sidecar.clock import FakeClock
from sidecar.identity.asking import Asker
from sidecar.identity.oidc import Back, Flow, Oidc, new_flow
from sidecar.identity.person import NotLetIn, Person, Trouble
from sidecar.settings import OidcSettings
from tests.identity.standins import DOTTED, Issuer, say
from tests.receiver import Behaviour, Receiver, answer

HERE = "http://hub.example.org/login/oidc/back"
NAMED = {
    "issuer": "",
    "client_id": "hub",
    "client_secret": "client-secret",
    "manage": ["admins"],
    "view": ["staff"],
}

Make = Callable[..., Oidc]


@pytest.fixture
def make(issuer: Issuer, asker: Asker, clock: FakeClock) -> Make:
    def made(**changes: Any) -> Oidc:
        return Oidc(OidcSettings.model_validate(NAMED | {"issuer": issuer.url} | changes), asker, clock)

    return made


def walk(oidc: Oidc, issuer: Issuer, flow: Flow | None = None) -> Person:
    """Go to the provider and come back."""
    flow = flow or new_flow()
    return oidc.recognise(flow, back_of(issuer.consent(oidc.way_there(flow, HERE))), HERE)


def back_of(query: dict[str, str]) -> Back:
    return Back(query["state"], query["code"], query.get("iss", ""))


def refusal(oidc: Oidc, issuer: Issuer) -> NotLetIn:
    with pytest.raises(NotLetIn) as refused:
        walk(oidc, issuer)
    return refused.value


def gives(issuer: Issuer, token: str) -> None:
    """Have the provider give this ID token for whatever code."""
    issuer.receiver.on("/token", lambda exchange: say(exchange, {"id_token": token}))


@pytest.mark.parametrize("curve", [False, True])
def test_who_comes_back_with_a_good_token_is_let_in(make: Make, issuer: Issuer, curve: bool) -> None:
    if curve:
        issuer.use_ec()

    assert walk(make(), issuer) == Person("oidc:ana", "view")


def test_the_way_there_carries_what_has_to_come_back(make: Make, issuer: Issuer) -> None:
    flow = new_flow()

    asked = parse_qs(urlsplit(make().way_there(flow, HERE)).query)

    assert asked["scope"] == ["openid profile email"]
    assert asked["redirect_uri"] == [HERE]
    assert (asked["state"], asked["nonce"]) == ([flow.state], [flow.nonce])
    assert flow.verifier not in str(asked)


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"]])
def test_the_secret_is_shown_as_the_provider_wants_it(make: Make, issuer: Issuer, methods: list[str]) -> None:
    issuer.methods = methods

    assert walk(make(), issuer).role == "view"
    [asked] = issuer.receiver.to("/token")
    assert (asked.header("Authorization") is not None) == (methods == ["client_secret_basic"])


@pytest.mark.parametrize(
    ("claims", "settings", "person"),
    [
        ({"groups": ["staff", "admins"]}, {}, Person("oidc:ana", "manage")),
        ({"groups": "admins"}, {}, Person("oidc:ana", "manage")),
        ({"realm_access": {"roles": ["admins"]}}, {"claim": "realm_access.roles"},
         Person("oidc:ana", "manage")),
        ({"https://x.example/roles": ["staff"]}, {"claim": "https://x.example/roles"},
         Person("oidc:ana", "view")),
        ({"preferred_username": "Ana Gil\nfake=1"}, {}, Person("oidc:248289761001", "view")),
        ({"email": "a@example.org", "email_verified": True}, {"claim": "email", "view": ["a@example.org"]},
         Person("oidc:ana", "view")),
    ],
)  # fmt: skip
def test_a_claim_decides_on_the_role(
    make: Make, issuer: Issuer, claims: dict[str, Any], settings: dict[str, Any], person: Person
) -> None:
    issuer.claims |= claims

    assert walk(make(**settings), issuer) == person


@pytest.mark.parametrize(
    ("claims", "settings"),
    [
        ({"groups": ["students"]}, {}),
        ({"groups": None}, {}),
        ({"groups": {"staff": True}}, {}),
        ({"groups": [["staff"], 7]}, {}),
        ({"email": "a@example.org"}, {"claim": "email", "view": ["a@example.org"]}),
    ],
)
def test_nobody_else_is_let_in(
    make: Make, issuer: Issuer, claims: dict[str, Any], settings: dict[str, Any]
) -> None:
    issuer.claims |= claims

    refused = refusal(make(**settings), issuer)

    assert (refused.trouble, refused.name) == (Trouble.NOT_LISTED, "oidc:ana")


def test_groups_that_only_userinfo_knows_are_asked_for(make: Make, issuer: Issuer) -> None:
    del issuer.claims["groups"]
    issuer.userinfo["groups"] = ["admins"]

    assert walk(make(), issuer).role == "manage"
    assert issuer.receiver.to("/userinfo")[0].header("Authorization") == "Bearer access"


def test_userinfo_of_somebody_else_is_refused(make: Make, issuer: Issuer) -> None:
    del issuer.claims["groups"]
    issuer.userinfo |= {"sub": "1", "groups": ["admins"]}

    assert refusal(make(), issuer).trouble is Trouble.NOT_PROVEN


@pytest.mark.parametrize(
    ("changes", "trouble", "said"),
    [
        ({"nonce": "another"}, Trouble.NOT_PROVEN, "nonce"),
        ({"nonce": None}, Trouble.NOT_PROVEN, "nonce"),
        ({"aud": "another"}, Trouble.NOT_PROVEN, "aud"),
        ({"aud": ["another", "hub"]}, Trouble.NOT_PROVEN, "azp"),
        ({"azp": "another"}, Trouble.NOT_PROVEN, "azp"),
        ({"iss": "https://evil.example"}, Trouble.NOT_PROVEN, "iss"),
        ({"sub": None}, Trouble.NOT_PROVEN, "sub"),
        ({"exp": None}, Trouble.CLOCKS, "exp"),
        ({"exp": "soon"}, Trouble.CLOCKS, "exp"),
        ({"exp": 1772438339}, Trouble.CLOCKS, "over"),  # 61 s before 2026-03-02 08:00 UTC
        ({"iat": 1772438461}, Trouble.CLOCKS, "future"),
        ({"nbf": 1772438461}, Trouble.CLOCKS, "not yet valid"),
    ],
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    make: Make, issuer: Issuer, changes: dict[str, Any], trouble: Trouble, said: str
) -> None:
    issuer.claims |= changes

    refused = refusal(make(), issuer)

    assert refused.trouble is trouble
    assert said in refused.detail


@pytest.mark.parametrize("changes", [{"exp": 1772438341}, {"iat": 1772438460}, {"aud": ["hub"]}])
def test_clocks_may_differ_by_a_minute(make: Make, issuer: Issuer, changes: dict[str, Any]) -> None:
    issuer.claims |= changes

    assert walk(make(), issuer).role == "view"


def unsigned(claims: dict[str, Any], **header: Any) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims)
    ]
    return f"{parts[0]}.{parts[1]}."


def test_unsigned_tokens_and_those_of_other_keys_are_refused(make: Make, issuer: Issuer) -> None:
    public = issuer.key.as_pem(private=False)
    stranger = RSAKey.generate_key(2048, {"kid": "rsa-1"})
    claims = {"iss": issuer.url, "aud": "hub", "sub": "1", "groups": ["admins"]}
    forged = [
        unsigned(claims, alg="none"),
        unsigned(claims, alg="none", kid="rsa-1"),
        unsigned(claims, alg="RS256", kid="rsa-1"),
        jwt.encode({"alg": "RS256", "kid": "rsa-1"}, claims, stranger),
        jwt.encode({"alg": "HS256", "kid": "rsa-1"}, claims, OctKey.import_key(base64.b64encode(public))),
        issuer.sign("x")[:-8] + "AAAAAAAA",
        "a.b.c",
        "",
        "x" * 70_000,
        "é.é.é",
    ]

    for token in forged:
        gives(issuer, token)

        assert refusal(make(), issuer).trouble is Trouble.NOT_PROVEN, token[:80]


def test_a_rotated_key_is_asked_for_once_and_made_up_ids_do_not_hammer(
    make: Make, issuer: Issuer, clock: FakeClock
) -> None:
    oidc = make()
    walk(oidc, issuer)

    issuer.use_ec("ec-2")
    at_once = refusal(oidc, issuer)
    clock.advance(10)
    after = walk(oidc, issuer)
    gives(issuer, issuer.sign("x", {"kid": "made-up"}))
    for _ in range(5):
        assert refusal(oidc, issuer).trouble is Trouble.NOT_PROVEN

    assert at_once.trouble is Trouble.NOT_PROVEN
    assert after == Person("oidc:ana", "view")
    assert len(issuer.receiver.to("/keys")) == 2
    assert len(issuer.receiver.to(DOTTED)) == 1


def test_what_the_provider_says_is_asked_anew_after_an_hour(
    make: Make, issuer: Issuer, clock: FakeClock
) -> None:
    oidc = make()
    walk(oidc, issuer)
    clock.advance(3_600)

    walk(oidc, issuer)

    assert (len(issuer.receiver.to(DOTTED)), len(issuer.receiver.to("/keys"))) == (2, 2)


def test_a_code_works_once_and_only_for_whoever_began(make: Make, issuer: Issuer) -> None:
    oidc, flow, other = make(), new_flow(), new_flow()
    back = back_of(issuer.consent(oidc.way_there(flow, HERE)))
    stolen = back_of(issuer.consent(oidc.way_there(flow, HERE)))

    assert oidc.recognise(flow, back, HERE).role == "view"
    for with_flow, with_back in (
        (flow, back),
        (other, stolen),
        (Flow(flow.state, flow.nonce, other.verifier), stolen),
    ):
        with pytest.raises(NotLetIn) as refused:
            oidc.recognise(with_flow, with_back, HERE)
        assert refused.value.trouble is Trouble.OVER


def test_an_answer_of_another_issuer_is_refused_before_the_code_is_shown(make: Make, issuer: Issuer) -> None:
    oidc, flow = make(), new_flow()
    query = issuer.consent(oidc.way_there(flow, HERE)) | {"iss": "https://evil.example"}

    with pytest.raises(NotLetIn) as refused:
        oidc.recognise(flow, back_of(query), HERE)

    assert refused.value.trouble is Trouble.NOT_PROVEN
    assert issuer.receiver.to("/token") == []


def test_a_refusal_at_the_provider_is_told(make: Make) -> None:
    oidc, flow = make(), new_flow()
    back = Back(flow.state, "", "", "access_denied")

    with pytest.raises(NotLetIn) as refused:
        oidc.recognise(flow, back, HERE)

    assert (refused.value.trouble, refused.value.detail) == (
        Trouble.REFUSED_THERE,
        "the provider says access_denied",
    )


def test_a_wrong_secret_is_the_hubs_fault_and_is_not_repeated(make: Make, issuer: Issuer) -> None:
    refused = refusal(make(client_secret="wrong-secret"), issuer)

    assert refused.trouble is Trouble.CLIENT
    assert "wrong-secret" not in str(refused)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"issuer": "https://other.example"}, "https://other.example"),
        ({"token_endpoint": "http://192.0.2.1/token"}, "token_endpoint"),
        ({"jwks_uri": None}, "jwks_uri"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"response_types_supported": ["id_token"]}, "authorization code flow"),
    ],
)
def test_a_discovery_document_that_cannot_be_trusted_is_refused(
    make: Make, issuer: Issuer, about: dict[str, Any], said: str
) -> None:
    issuer.about = about

    with pytest.raises(NotLetIn) as refused:
        make().way_there(new_flow(), HERE)

    assert refused.value.trouble is Trouble.ODD_ANSWER
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("path", "behaviour"),
    [
        (DOTTED, answer(404, b"nothing")),
        (DOTTED, answer(200, b"[]")),
        (DOTTED, answer(301, location="https://elsewhere.example")),
        ("/keys", answer(200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA"}, 7]}')),
        ("/token", answer(500, b"oops")),
        ("/token", answer(200, b"{}")),
    ],
)
def test_odd_answers_are_refusals(
    make: Make, issuer: Issuer, receiver: Receiver, path: str, behaviour: Behaviour
) -> None:
    receiver.on(path, behaviour)

    assert refusal(make(), issuer).trouble is Trouble.ODD_ANSWER


def test_a_failure_is_not_kept(make: Make, issuer: Issuer, receiver: Receiver) -> None:
    oidc = make()
    receiver.on(DOTTED, answer(503), lambda exchange: say(exchange, issuer.document()))

    first = refusal(oidc, issuer)

    assert first.trouble is Trouble.ODD_ANSWER
    assert walk(oidc, issuer).role == "view"
