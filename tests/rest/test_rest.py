"""The admin API as REST: paths, bodies, queries, etags, request ids, errors, and who may."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client import CollectorRegistry

from callgate.admin.services.all import SERVICES
from callgate.admin.site import Site
from callgate.clock import now_us
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.store.model import Waiting
from callgate.store.people import Role
from callgate.store.tokens import Scope
from rest.conftest import Rest
from support.admin import BY, DAY_US, POLICY
from support.approvals import ask, need

POLICIES = "/admin/v1/policies"


def pending(rest: Rest, fingerprint: str = "f", **more: Any) -> str:
    [outcome] = rest.store.approvals.ask([ask(fingerprint, need(), **more)], now_us())
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def create(rest: Rest, name: str = "p", **headers: str) -> Any:
    return rest.ask("POST", POLICIES, {"policy": {"id": name, "document": POLICY}}, **headers)


def test_a_policy_from_its_creation_to_its_end(rest: Rest) -> None:
    status, made, headers = create(rest, "a:b c")
    assert status == 200, made
    assert (made["policy"]["id"], headers["ETag"]) == ("a:b c", made["policy"]["etag"])
    # An id's own colon is escaped.
    path = f"{POLICIES}/a%3Ab%20c"
    status, got, headers = rest.ask("GET", path)
    assert (status, got["policy"]["document"], headers["ETag"]) == (200, POLICY, made["policy"]["etag"])
    change = {"policy": {"document": POLICY.replace("allow", "deny")}}
    status, _, headers = rest.ask("PATCH", path, change, **{"If-Match": headers["ETag"]})
    assert status == 200
    status, refused, _ = rest.ask("PATCH", path, change, **{"If-Match": made["policy"]["etag"]})
    assert (status, refused["code"], refused["details"][0]["reason"]) == (412, 10, "ETAG_MISMATCH")
    status, listed, _ = rest.ask("GET", f"{path}/versions")
    assert [one["version"] for one in listed["versions"]] == sorted(
        (one["version"] for one in listed["versions"]), reverse=True
    )
    for field in ("If-Match", "Idempotency-Key"):
        # A program whose variable is empty believes that it is protected.
        status, refused, _ = rest.ask("PATCH", path, change, **{field: ""})
        assert (status, f"`{field}`: expected" in refused["message"]) == (400, True)
    assert rest.ask("DELETE", path, **{"If-Match": headers["ETag"]})[0] == 200
    assert rest.ask("GET", path)[0] == 404


def test_the_owner_of_a_grant_does_not_answer(rest: Rest) -> None:
    owner = {"issuer": "local", "subject": "ann"}
    grant = {"id": "owned", "servers": {"filed-server": "filed-policy"}, "owner": owner}
    status, made, _ = rest.ask("POST", "/admin/v1/grants", {"grant": grant})
    assert (status, made["grant"]["owner"]) == (200, owner), made
    approval = pending(rest, grant="owned")
    ann, ben = rest.admin.session("ann", Role.ADMIN), rest.admin.session("ben", Role.APPROVER)
    for verb in ("approve", "deny"):
        status, refused, _ = rest.ask("POST", f"/admin/v1/approvals/{approval}:{verb}", {"reason": "r"}, ann)
        assert (status, "belongs to you" in refused["message"]) == (403, True)
    assert rest.ask("POST", f"/admin/v1/approvals/{approval}:approve", {}, ben)[0] == 200


def test_of_two_who_edit_one_policy_the_second_is_told(rest: Rest) -> None:
    seen = create(rest)[2]["ETag"]
    ben = rest.admin.session("ben", Role.POLICY_MANAGER)
    denying = {"policy": {"document": POLICY.replace("allow", "deny")}, "reason": "too\u202e open"}
    assert rest.ask("PATCH", f"{POLICIES}/p", denying, ben, **{"If-Match": seen})[0] == 200
    status, refused, _ = rest.ask("PATCH", f"{POLICIES}/p", {"policy": {"document": POLICY}}, **{"If-Match": seen})
    metadata = refused["details"][0]["metadata"]
    assert (status, metadata["changed_by"], metadata["seen_version"]) == (412, "ben (local)", "1")
    assert "ben (local) made version 2 (`too\\u{202e} open`)" in refused["message"]
    status, different, _ = rest.ask("POST", f"{POLICIES}/p:diff", {"from_version": 1})
    assert (status, "+default: deny" in different["diff"]) == (200, True), different
    # Nothing of the second change was stored.
    assert rest.ask("GET", f"{POLICIES}/p")[1]["policy"]["version"] == "2"


def test_pages_and_queries(rest: Rest) -> None:
    for number in range(5):
        create(rest, f"p{number}")
    names: list[str] = []
    query = "page_size=2"
    while True:
        status, page, _ = rest.ask("GET", f"{POLICIES}?{query}")
        assert status == 200, page
        names += [one["id"] for one in page["policies"]]
        if not page["nextPageToken"]:
            break
        query = f"pageSize=2&page_token={page['nextPageToken']}"
    assert {f"p{number}" for number in range(5)} <= set(names)
    ids = {pending(rest, f"f{number}") for number in range(2)}
    status, listed, _ = rest.ask("GET", "/admin/v1/approvals?state=STATE_PENDING&grant=g")
    assert (status, {one["id"] for one in listed["approvals"]}) == (200, ids)


@pytest.mark.parametrize(
    ("verb", "path", "document", "words"),
    [
        ("GET", f"{POLICIES}?page_sise=2", None, "did you mean `page_size`?"),
        ("GET", f"{POLICIES}?page_size=two", None, "not valid"),
        ("GET", f"{POLICIES}?page_size=1&page_size=2", None, "expected one value"),
        ("GET", f"{POLICIES}?page_token=nonsense", None, "page"),
        ("GET", "/admin/v1/approvals?state=1", None, "expected one of"),
        ("GET", f"{POLICIES}/p?id=q", None, "given by the path"),
        ("POST", f"{POLICIES}?id=q", {"policy": {"id": "p"}}, "expected no query"),
        ("POST", POLICIES, {"polcy": {}}, "no JSON of"),
        ("POST", POLICIES, [], "no JSON of"),
        ("POST", POLICIES, {"policy": {"id": "p", "document": POLICY}, "requestId": "1"}, "expected a UUID"),
        ("PATCH", f"{POLICIES}/p", {"policy": {"id": "q"}}, "the body has another value"),
        ("POST", POLICIES, None, "it is missing"),
    ],
    ids=str,
)
def test_requests_that_are_refused(rest: Rest, verb: str, path: str, document: Any, words: str) -> None:
    status, refused, _ = rest.ask(verb, path, document)
    assert (status, refused["code"], words in json.dumps(refused)) == (400, 3, True), refused


def test_a_body_is_one_json_of_its_type(rest: Rest) -> None:
    bearer = {"Authorization": f"Bearer {rest.token}"}
    for content in (b"{", b"\xff", b'{"policy": {}, "policy": {}}', b"[" * 10_000, b'{"policy": NaN}'):
        answer = rest.client.post(POLICIES, content=content, headers={**bearer, "Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, 3), answer.text
    plain = rest.client.post(POLICIES, content=b"{}", headers={**bearer, "Content-Type": "text/plain"})
    assert plain.status_code == 415
    assert rest.client.request("GET", POLICIES, content=b"{}", headers=bearer).status_code == 415


def test_paths_that_are_not_there(rest: Rest) -> None:
    status, refused, _ = rest.ask("GET", "/admin/v1/polices")
    assert (status, refused["code"]) == (404, 5)
    status, refused, headers = rest.ask("PUT", POLICIES)
    assert (status, refused["code"], headers["Allow"]) == (405, 12, "GET, POST")
    assert rest.ask("GET", f"{POLICIES}/%ff")[0] == 404
    assert rest.ask("HEAD", POLICIES)[:2] == (200, None)


def test_a_repeated_request_changes_nothing_twice(rest: Rest) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, again = create(rest, "p", **key), create(rest, "p", **key)
    assert (first[0], first[1]) == (again[0], again[1]) == (200, first[1])
    assert create(rest, "p")[0] == 409
    status, refused, _ = rest.ask("GET", POLICIES, **key)
    assert (status, "Idempotency-Key" in refused["message"]) == (400, True)


def test_who_may(rest: Rest) -> None:
    assert rest.client.get(POLICIES).status_code == 401
    assert rest.client.get(POLICIES).json()["code"] == 16
    for header in ("", "Basic x", "Bearer", "Bearer cga_unknown", "Bearer é"):
        answer = rest.client.get(POLICIES, headers=[(b"Authorization", header.encode())])
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    viewer = rest.admin.session("vic", Role.VIEWER)
    assert rest.ask("GET", POLICIES, token=viewer)[0] == 200
    status, refused, _ = rest.ask("POST", POLICIES, {"policy": {"id": "p", "document": POLICY}}, token=viewer)
    assert (status, refused["code"], refused["details"][0]["reason"]) == (403, 7, "ROLE")
    assert rest.ask("GET", POLICIES, Origin="http://127.0.0.1:3000")[0] == 403
    # Faults of a request are told to those alone who may call the method.
    identities = rest.admin.face.identities
    assert identities is not None
    _, machine = identities.new_token(
        "m", frozenset({Role.VIEWER}), frozenset({Scope.STATUS}), now_us() + DAY_US, BY, ""
    )
    for path in (f"{POLICIES}/p/versions/none", f"{POLICIES}?page_size=x", f"{POLICIES}?none=1"):
        assert rest.ask("GET", path)[0] == 400
        assert rest.ask("GET", path, token=machine)[0] == 403


def test_a_machine_does_not_answer(rest: Rest) -> None:
    approval = pending(rest)
    identities = rest.admin.face.identities
    assert identities is not None
    from support.admin import BY, DAY_US  # noqa: PLC0415  only this test makes a machine

    _, token = identities.new_token("m", frozenset({Role.ADMIN}), None, now_us() + DAY_US, BY, "")
    path = f"/admin/v1/approvals/{approval}"
    status, refused, _ = rest.ask("POST", f"{path}:approve", {}, token=token)
    assert (status, refused["details"][0]["reason"]) == (403, "PEOPLE_ONLY")
    status, answered, _ = rest.ask("POST", f"{path}:deny", {"reason": "no"})
    assert (status, answered["approval"]["state"]) == (200, "STATE_DENIED")
    status, refused, _ = rest.ask("POST", f"{path}:approve", {})
    assert (status, refused["code"]) == (400, 9)


def test_a_cookie_changes_nothing_without_the_token_of_its_forms(rest: Rest) -> None:
    from callgate.admin.http.forms import form_token  # noqa: PLC0415  only this test needs it

    document = {"policy": {"id": "p", "document": POLICY}}
    page = {"Cookie": f"callgate={rest.token}", "Sec-Fetch-Site": "same-origin"}
    assert rest.client.get(POLICIES, headers=page).status_code == 200
    assert rest.client.post(POLICIES, json=document, headers=page).status_code == 403
    # Another port of this machine: its pages would get the cookie sent.
    for site in ("same-site", "cross-site"):
        for path in (POLICIES, "/admin/v1/approvals:watch"):
            assert rest.client.get(path, headers={**page, "Sec-Fetch-Site": site}).status_code == 403
    token = {"X-Form-Token": form_token(rest.token)}
    other = {**page, **token, "Sec-Fetch-Site": "same-site"}
    assert rest.client.post(POLICIES, json=document, headers=other).status_code == 403
    assert rest.client.post(POLICIES, json=document, headers={**page, **token}).status_code == 200


def test_no_token_is_taken_where_others_read(rest: Rest) -> None:
    identities = rest.admin.face.identities
    assert identities is not None
    site = Site(rest.store, identities, is_private=False, registry=rest.admin.face.registry)
    pages = Pages(CollectorRegistry())
    pages.site = site
    server = AdminServer(BoundAddress("127.0.0.1:0"), pages)
    server.start()
    with httpx.Client(base_url=f"http://{server.address}", timeout=60) as client:
        for headers in ({"Authorization": f"Bearer {rest.token}"}, {"Cookie": f"callgate={rest.token}"}):
            refused = client.get(POLICIES, headers=headers)
            assert (refused.status_code, "`admin.tls`" in refused.json()["message"]) == (403, True)
        assert client.get(POLICIES).status_code == 401
        assert client.get("/healthz").status_code == 200
    site.close()
    server.stop()


def test_the_openapi_document_has_every_method(rest: Rest) -> None:
    document = rest.client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = {
        f"{service.DESCRIPTOR.full_name}.{method.name}" for service in SERVICES for method in service.DESCRIPTOR.methods
    }
    assert {one["operationId"] for one in operations} == names
