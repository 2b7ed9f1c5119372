"""Hot reload of a real sidecar: each kind of file, each way to change it, and what a fault leaves in force."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from threading import Event, Thread

import pytest
import trustme

from callgate import Client
from support.program import sidecar
from support.reloads import serial, statuses, write_certificate
from support.setup import KEY, Running, Setup, credential, policy, until
from support.volumes import config_map


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.configure()
    return setup


def reason(client: Client) -> str:
    """The version of the policy that answers."""
    return client.check(grant="g", tool="never", server="s").message


def test_a_policy(setup: Setup) -> None:
    with setup.serving() as running, Client(running.address) as client:
        assert reason(client) == "no"
        with running.reload():
            setup.write("p.json", policy("renamed over"))
        assert reason(client) == "renamed over"
        with running.reload():
            (setup.folder / "p.json").write_text(json.dumps(policy("written in place")))
        assert reason(client) == "written in place"
        with running.reload("failure"):
            (setup.folder / "p.json").unlink()
        with running.reload():
            (setup.folder / "p.json").write_text(json.dumps(policy("written anew")))
        assert reason(client) == "written anew"


def test_a_folder_of_policies(setup: Setup) -> None:
    setup.write("policies/p.json", policy("one"))
    setup.configure(policies=None, policies_folder="policies")
    with setup.serving() as running, Client(running.address) as client:
        assert reason(client) == "one"
        with running.reload():
            setup.write("policies/q.json", {**policy("two"), "name": "q"})
        with running.reload():
            setup.configure(servers={"s": {"policy": "q"}})
        assert reason(client) == "two"


def test_the_catalogue(setup: Setup) -> None:
    setup.write("p.json", {**policy(), "categories": {"Destructive": {"hide": True}}})
    setup.write("catalogue.json", catalogue("Read"))
    setup.configure(catalogue="catalogue.json")
    with setup.serving() as running, Client(running.address) as client:
        assert client.check(grant="g", server="s", tool="t").allowed
        with running.reload():
            setup.write("catalogue.json", catalogue("Destructive"))
        assert client.check(grant="g", server="s", tool="t").rule == "(hidden)"


def catalogue(category: str) -> dict[str, object]:
    return {"version": "1", "servers": {"s": {"tools": {"t": {"category": category}}}}}


def test_a_revoked_token(setup: Setup) -> None:
    token, token_hash = credential()
    grant = {"id": "a", "server": "s", "policy": "p", "token_hash": token_hash}
    setup.write("grants.json", {"grants": [grant]})
    setup.configure(grants_file="grants.json")
    with setup.serving() as running:

        def rule(token: str = token) -> str:
            status, decision = running.ask(grant_token=token, tool="t")
            assert (status == 200) == (decision["outcome"] == "allow")
            return str(decision.get("rule", ""))

        assert rule() == ""
        assert rule(token.swapcase()) == "(unknown grant)"
        with running.reload():
            setup.write("grants.json", {"grants": [{**grant, "revoked": True}]})
        assert rule() == "(grant revoked)"
        with running.reload():
            setup.write("grants.json", {"grants": [{**grant, "expires_at": "2020-01-01T00:00:00Z"}]})
        assert rule() == "(grant expired)"
        with running.reload():
            setup.write("grants.json", {"grants": []})
        assert rule() == "(unknown grant)"
        # Not even by its name: an empty list is no leave to name grants.
        assert running.ask(grant="a", tool="t", server="s")[1]["rule"] == "(unknown grant)"
        with running.reload():
            setup.write("grants.json", {"grants": [grant]})
        assert rule() == ""
        assert token not in running.get("/metrics")
        assert token not in json.dumps(running.stop())


def test_peps(setup: Setup) -> None:
    first, first_hash = credential()
    second, second_hash = credential()
    setup.configure(peps=[{"name": "a", "token_hash": first_hash}])
    with setup.serving() as running:
        assert statuses(running, first, second, None) == [200, 401, 401]
        with running.reload():
            setup.configure(peps=[{"name": "b", "token_hash": second_hash}])
        assert statuses(running, first, second, second.swapcase(), None) == [401, 200, 401, 401]
        with running.reload():
            setup.configure(peps=[])
        assert statuses(running, first, second, None) == [401, 401, 401]


@pytest.mark.parametrize("key", ["grants", "peps"])
def test_nothing_is_opened_while_it_runs(setup: Setup, key: str) -> None:
    token, token_hash = credential()
    entry = {"token_hash": token_hash, **({"id": "a", "server": "s"} if key == "grants" else {"name": "a"})}
    setup.configure(**{key: [entry]})
    whole = setup.file.read_text()

    with setup.serving() as running:

        def is_closed() -> bool:
            status, decision = running.ask(grant="anybody", server="s", tool="t")
            return (status, decision.get("rule")) in {(401, None), (403, "(unknown grant)")}

        assert is_closed()
        for config in ({**setup.config, key: None}, {name: setup.config[name] for name in setup.config if name != key}):
            with running.reload("failure"):
                setup.write("callgate.yaml", config)
            assert f"`{key}`" in running.get("/readyz")
            assert is_closed()
            with running.reload():
                setup.write("callgate.yaml", whole)
        # Moved to a file, they are still there; an empty list admits nobody.
        with running.reload():
            if key == "grants":
                setup.write("g.json", {"grants": [entry]})
                setup.write(
                    "callgate.yaml", {**{n: v for n, v in setup.config.items() if n != key}, "grants_file": "g.json"}
                )
            else:
                setup.write("callgate.yaml", {**setup.config, key: []})
        assert is_closed()
        assert token not in json.dumps(running.stop())


KEY64 = base64.b64encode(KEY).decode()


def test_a_secret_in_the_wrong_place(setup: Setup) -> None:
    token, _ = credential()
    with setup.serving() as running:
        for changes in (
            {"workers": token},
            {"catalogue": token},
            {"catalogue": KEY.hex()},
            {"catalogue": KEY64},
            {token: 1},
        ):
            with running.reload("failure"):
                setup.write("callgate.yaml", {**setup.config, **changes})
            assert "; the newer one is refused: " in running.get("/readyz")
            assert token[4:] not in running.get("/readyz")
            assert KEY.hex() not in running.get("/readyz")
            assert KEY64 not in running.get("/readyz")
        log = json.dumps(running.stop())
    assert "reload_failed" in log
    assert token[4:] not in log
    assert KEY.hex() not in log
    assert KEY64 not in log


def test_what_a_reload_makes_worth_a_warning(setup: Setup) -> None:
    with setup.serving() as running:
        with running.reload():
            setup.configure(grants=[])
        with running.reload():
            setup.write("p.json", policy("other"))
        warned = [event["warning"] for event in running.stop() if event["event"] == "configuration_warning"]
    # Once, and nothing of what was said at the start.
    assert warned == ["the list of grants is empty, so every call is denied but those with a grant of the store"]


def test_certificates(setup: Setup) -> None:
    authority = trustme.CA()
    first, second = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    write_certificate(setup, first)
    setup.configure(tls={"certificate": "tls.crt", "key": "tls.key"})
    with setup.serving() as running:
        before = serial(running, authority)
        with running.reload("failure"):
            second.private_key_pem.write_to_path(str(setup.folder / "tls.key"))
        assert "tls key: it does not fit the certificate" in running.get("/readyz")
        assert serial(running, authority) == before
        with running.reload():
            write_certificate(setup, second)
        assert serial(running, authority) != before
        assert running.get("/readyz") == "ready\n"


def test_a_config_map(setup: Setup) -> None:
    folder = setup.folder / "mounted"
    folder.mkdir()
    config = json.dumps({"servers": {"s": {"policy": "p"}}, "policies": {"p": "p.json"}})
    config_map(folder, "1", {"callgate.yaml": config, "p.json": json.dumps(policy("one"))})
    setup.file = folder / "callgate.yaml"
    with setup.serving() as running, Client(running.address) as client:
        assert reason(client) == "one"
        for version in ("two", "three"):
            with running.reload():
                config_map(folder, version, {"callgate.yaml": config, "p.json": json.dumps(policy(version))})
            assert reason(client) == version


def test_broken_then_mended(setup: Setup) -> None:
    with setup.serving() as running, Client(running.address) as client:
        assert client.check(grant="g", server="s", tool="t").limits[0].remaining == 999_999
        assert running.get("/readyz") == "ready\n"
        with running.reload("failure"):
            setup.write("p.json", '{"version": "1",\n "defualt": "deny"}')
        ready, detail = running.get("/readyz").splitlines()
        assert ready == "ready"
        assert detail.startswith("serving the configuration of 20")
        assert f"; the newer one is refused: {setup.folder}/p.json:2:2: " in detail
        document = json.loads(running.get("/readyz", Accept="application/json"))
        assert document["ready"] is True
        assert "`defualt`" in document["newer_configuration_refused"]
        assert client.check(grant="g", server="s", tool="t").limits[0].remaining == 999_998
        # Mended in another file than the one that is broken.
        with running.reload():
            setup.write("q.json", policy("other file"))
            setup.configure(policies={"p": "q.json"})
        assert running.get("/readyz") == "ready\n"
        assert reason(client) == "other file"
        assert client.check(grant="g", server="s", tool="t").limits[0].remaining == 999_997
        events = running.stop()
    failed = [event for event in events if event["event"] == "reload_failed"]
    assert failed[0]["error"].startswith(f"{setup.folder}/p.json:2:2: ")
    assert any(event["event"] == "reloaded" for event in events)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"listen": "127.0.0.1:1", "severs": 1}, "unknown key `severs`; did you mean `servers`?"),
        ({"servers": {"s": {"policy": "q"}}}, "unknown policy `q`; expected one of `p`"),
        ({"workers": 3}, "`workers` cannot change while callgate runs; restart it, or put the value back"),
        ({"counters": {"capacity": 9}}, "`counters.capacity` cannot change while callgate runs; "),
        ({"approvals": {"deadline": "1s"}}, "`approvals.deadline` cannot change while callgate runs; restart it, or "),
        ({"tls": {"certificate": "p.json", "key": "p.json"}}, "`tls` cannot change while callgate runs; "),
    ],
    ids=str,
)
def test_what_is_refused(setup: Setup, changes: dict[str, object], expected: str) -> None:
    with setup.serving() as running, Client(running.address) as client:
        with running.reload("failure"):
            setup.configure(**changes)
        assert expected in running.get("/readyz")
        assert reason(client) == "no"
        with running.reload():
            setup.configure(**{**dict.fromkeys(changes), "servers": {"s": {"policy": "p"}}})
        assert running.get("/readyz") == "ready\n"


def test_another_key_needs_a_restart(setup: Setup) -> None:
    with setup.serving() as running:
        with running.reload("failure"):
            setup.write("key", "11" * 32)
        assert "`grant_key_file` cannot change while callgate runs; restart it" in running.get("/readyz")
        assert "11" * 32 not in running.get("/readyz")
        with running.reload():
            setup.write("key", KEY.hex())


def test_the_first_pep_with_a_token_after_a_start_without_a_key(setup: Setup) -> None:
    _, token_hash = credential()
    setup.configure(grant_key_file=None)
    with setup.serving("--no-watch") as running:
        setup.write("state/grant.key", KEY.hex())
        # In one reload with the key, and in another one.
        for _ in range(2):
            setup.configure(peps=[{"name": "gateway", "token_hash": token_hash}])
            with running.reload("failure"):
                running.hang_up()
            until(lambda: "so the first PEP with a token takes a restart; restart it" in running.get("/readyz"))
            assert "grant_key_file" not in running.get("/readyz")
            # A token of a caller's is taken as it is.
            setup.configure(peps=None, grants=[{"id": "a", "server": "s", "token_hash": token_hash}])
            with running.reload():
                running.hang_up()


def test_a_file_that_grows_while_it_is_read(setup: Setup) -> None:
    """An editor without renames: whatever of the file is there at a time, it is the old policy or the whole new one."""
    text = json.dumps(policy("whole"), indent=2)
    with setup.serving() as running, Client(running.address) as client:
        before = running.reloads("success")
        with (setup.folder / "p.json").open("w") as file:
            for start in range(0, len(text), 32):
                file.write(text[start : start + 32])
                file.flush()
                time.sleep(0.01)
                assert reason(client) == "no"
        until(lambda: running.reloads("success") > before)
        assert reason(client) == "whole"


def test_no_watch(setup: Setup) -> None:
    with setup.serving("--no-watch") as running, Client(running.address) as client:
        setup.write("p.json", policy("later"))
        with running.reload():
            running.hang_up()
        assert reason(client) == "later"
        assert running.reloads("success") == 2


def test_the_quick_start_watches_as_well(setup: Setup) -> None:
    with sidecar("--policy", setup.folder / "p.json") as process, Client(process.address) as client:
        running = Running(process)
        with running.reload():
            setup.write("p.json", policy("changed"))
        assert reason(client) == "changed"


def test_no_call_is_lost_or_wrongly_decided(setup: Setup) -> None:
    """50 reloads under load: each call is answered by one whole version, never by an older one; counts are exact."""
    reloads, most = 50, 1_000_000
    stop = Event()
    allowed, wrong = [0, 0], list[str]()

    def load(number: int, address: str) -> None:
        seen = 0
        with Client(address, timeout_ms=20_000) as client:
            while not stop.is_set():
                counted = client.check(grant="g", server="s", tool="t")
                allowed[number] += 1
                denied = client.check(grant="g", server="s", tool="never")
                version = int(denied.message or -1)
                good = counted.allowed and denied.rule == "/tools/never/action" and version >= seen
                if not good:
                    wrong.append(f"{counted} {denied} after version {seen}")
                seen = version

    setup.write("p.json", policy("0", most=most))
    with setup.serving() as running:
        threads = [Thread(target=load, args=(number, running.address)) for number in range(2)]
        for thread in threads:
            thread.start()
        for version in range(1, reloads + 1):
            with running.reload():
                setup.write("p.json", policy(str(version), most=most))
        stop.set()
        for thread in threads:
            thread.join()
        with Client(running.address) as client:
            assert reason(client) == str(reloads)
            left = client.check(grant="g", server="s", tool="t").limits[0].remaining
        assert running.reloads("failure") == 0
    assert wrong == []
    assert min(allowed) > reloads
    assert left == most - sum(allowed) - 1
