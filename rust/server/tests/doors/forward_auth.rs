//! Forward authorization, asked as nginx, Caddy, Traefik, Envoy and `HAProxy` ask.

use std::io::{Read as _, Write as _};

use callgate_core::engine::FORCED_PANIC_TOOL;
use callgate_server::{IdentitySource, PathTemplate, ProxyConfig, ServerConfig, ServerSource};
use serde_json::{Value, json};

use super::identity::{config, granted};
use super::support::{Answer, Rig, request};

const PEP: &str = "X-Callgate-Pep: Bearer cgt_proxy";
const TOKEN: &str = "Authorization: Bearer cgt_mine";
/// A host that callgate is not served under: the one that the proxy's client named.
const HOST: &str = "Host: mcp.example.com";
const CALL_FIELDS: [&str; 3] = [
    "MCP-Protocol-Version: 2026-07-28",
    "Mcp-Method: tools/call",
    "Mcp-Name: open",
];

fn granted_rig(proxies: ProxyConfig) -> Rig {
    Rig::with(granted(), ServerConfig { proxies, ..config() })
}

fn call(tool: &str, arguments: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
        .to_string()
}

/// The request itself, as Envoy and our action for `HAProxy` send it.
fn itself(rig: &Rig, fields: &[&str], body: &str) -> Answer {
    rig.send(
        "POST /v1/ext-authz/mcp/srv",
        &[&[HOST, PEP, TOKEN][..], fields].concat(),
        body.as_bytes(),
    )
}

/// A description without the body, as Caddy sends it.
fn by_caddy(rig: &Rig, method: &str, uri: &str, fields: &[&str]) -> Answer {
    let (method, uri) = (
        format!("X-Forwarded-Method: {method}"),
        format!("X-Forwarded-Uri: {uri}"),
    );
    let fields = [&[HOST, PEP, TOKEN, &method, &uri][..], fields].concat();
    rig.send("GET /v1/forward-auth", &fields, b"")
}

/// A description without the body, as `deploy/nginx` sends it.
fn by_nginx(rig: &Rig, method: &str, uri: &str, fields: &[&str]) -> Answer {
    let (method, uri) = (
        format!("X-Original-Method: {method}"),
        format!("X-Original-URI: {uri}"),
    );
    let fields = [&["Host: callgate", PEP, TOKEN, &method, &uri][..], fields].concat();
    rig.send("GET /v1/auth-request", &fields, b"")
}

#[test]
fn the_request_itself_is_decided_by_its_body() {
    let rig = granted_rig(ProxyConfig::default());
    let open = itself(&rig, &[], &call("open", &json!({})));
    assert_eq!((open.status, open.body.as_str()), (200, ""));
    assert_eq!(open.field("x-callgate-outcome"), Some("allow"));
    assert_eq!(open.field("x-callgate-policy"), Some("test"));
    assert_eq!(open.field("cache-control"), Some("no-store"));
    assert_eq!(
        open.field("x-envoy-auth-headers-to-remove"),
        Some("authorization"),
        "the token is for callgate alone"
    );
    for remaining in ["1", "0"] {
        let capped = itself(&rig, &[], &call("capped", &json!({})));
        assert_eq!(capped.field("x-callgate-remaining"), Some(remaining));
    }
    let capped = itself(&rig, &[], &call("capped", &json!({})));
    assert_eq!((capped.status, capped.field("retry-after")), (429, Some("60")));
    assert_eq!(
        capped.field("x-callgate-rule"),
        Some("/tools/capped/limits/calls")
    );
    assert!(capped.field("ratelimit").unwrap().contains("calls"));
    assert_eq!(capped.json()["id"], 7);
    assert_eq!(capped.json()["result"]["isError"], true);

    let small = itself(&rig, &[], &call("small", &json!({"n": 11})));
    assert_eq!(small.status, 403);
    assert_eq!(small.json()["result"]["content"][0]["text"], "too many");
    assert_eq!(itself(&rig, &[], &call("small", &json!({"n": 10}))).status, 200);
    // Whoever passes the answer on is told nothing about other statuses.
    assert_eq!(small.field("x-callgate-client-status"), None);
}

#[test]
fn without_a_body_the_fields_say_what_is_called() {
    let rig = granted_rig(ProxyConfig::default());
    for by in [by_caddy, by_nginx] {
        let asked = |tool: &str| {
            let name = format!("Mcp-Name: {tool}");
            by(&rig, "POST", "/mcp/srv", &[CALL_FIELDS[0], CALL_FIELDS[1], &name])
        };
        let open = asked("open");
        assert_eq!(
            (open.status, open.field("x-callgate-outcome")),
            (200, Some("allow"))
        );
        assert_eq!(asked("=?base64?b3Blbg==?=").status, 200);
        assert_eq!(asked("forbidden").status, 403);
        // Its rule looks at arguments that nobody has seen.
        let small = asked("small");
        assert_eq!(small.status, 403);
        let told = small.json();
        assert_eq!(
            (&told["id"], &told["error"]["code"]),
            (&Value::Null, &json!(403)),
            "{told}"
        );
        let decision = &told["error"]["data"]["callgate/decision"];
        assert_eq!(decision["rule"], "(invalid request)");
        assert!(
            decision["message"]
                .as_str()
                .unwrap()
                .contains("forward the request's body"),
            "{told}"
        );

        // The session of an older client: its stream and its end have no message, and its messages no fields.
        assert_eq!(by(&rig, "GET", "/mcp/srv", &[]).status, 200);
        assert_eq!(by(&rig, "DELETE", "/mcp/srv", &[]).status, 200);
        let old = by(&rig, "POST", "/mcp/srv", &["MCP-Protocol-Version: 2025-11-25"]);
        assert_eq!(old.field("x-callgate-rule"), Some("(invalid request)"));
        assert_eq!(by(&rig, "POST", "/mcp/srv", &[]).status, 403);
        // What says that it has a body is no request without a message.
        for fields in [
            ["X-Original-Content-Length: 9"],
            ["X-Original-Transfer-Encoding: chunked"],
        ] {
            assert_eq!(by(&rig, "GET", "/mcp/srv", &fields).status, 403, "{fields:?}");
        }
        for none in ["X-Original-Content-Length: 0", "X-Original-Content-Length: "] {
            assert_eq!(by(&rig, "GET", "/mcp/srv", &[none]).status, 200);
        }
    }
}

#[test]
fn nginx_is_told_in_what_it_can_read() {
    let rig = granted_rig(ProxyConfig::default());
    let name = "Mcp-Name: capped";
    let fields = [CALL_FIELDS[0], CALL_FIELDS[1], name];
    for _ in 0..2 {
        assert_eq!(by_nginx(&rig, "POST", "/mcp/srv", &fields).status, 200);
    }
    let capped = by_nginx(&rig, "POST", "/mcp/srv", &fields);
    assert_eq!((capped.status, capped.field("retry-after")), (403, Some("60")));
    assert_eq!(capped.field("x-callgate-outcome"), Some("rate_limited"));
    assert_eq!(capped.field("x-callgate-reply"), Some(capped.body.as_str()));
    assert_eq!(capped.json()["error"]["code"], 429);
    let named = ["Mcp-Name: =?base64?Z3LDtsOfZQ==?="];
    let other = by_nginx(&rig, "POST", "/mcp/srv", &[&fields[..2], &named].concat());
    assert!(
        other.field("x-callgate-reply").unwrap().contains("größe"),
        "{other:?}"
    );
    // The same for those who can read more.
    let limited = by_caddy(&rig, "POST", "/mcp/srv", &fields);
    assert_eq!((limited.status, limited.field("x-callgate-reply")), (429, None));
    // What nginx would pass on, because nothing names it.
    for forged in [
        "X-Callgate-Made-Up: 1",
        "X_Callgate_Rule: 1",
        "X.Callgate.Rule: 1",
    ] {
        let fields = [&CALL_FIELDS[..], &[forged]].concat();
        assert_eq!(
            by_nginx(&rig, "POST", "/mcp/srv", &fields).status,
            403,
            "{forged}"
        );
    }
    let known = [&CALL_FIELDS[..], &["X-Callgate-Rule: forged"]].concat();
    assert_eq!(by_nginx(&rig, "POST", "/mcp/srv", &known).status, 200);
}

#[test]
fn a_forwarded_body_is_judged_beside_its_description() {
    let rig = granted_rig(ProxyConfig::default());
    let described = ["X-Forwarded-Method: POST", "X-Forwarded-Uri: /mcp/srv"];
    let by_traefik = |body: &str| {
        let fields = [&[HOST, PEP, TOKEN][..], &described].concat();
        rig.send("GET /v1/forward-auth", &fields, body.as_bytes())
    };
    assert_eq!(by_traefik(&call("small", &json!({"n": 10}))).status, 200);
    let denied = by_traefik(&call("small", &json!({"n": 11})));
    assert_eq!((denied.status, &denied.json()["id"]), (403, &json!(7)));
    assert_eq!(by_traefik("{").status, 403);
}

#[test]
fn an_answer_that_lets_nothing_pass_is_no_2xx() {
    let rig = granted_rig(ProxyConfig {
        tool_errors: true,
        ..ProxyConfig::default()
    });
    // A tool's result for the client, and a denial for the proxy.
    let denied = itself(&rig, &[], &call("forbidden", &json!({})));
    assert_eq!(
        (denied.status, denied.field("x-callgate-client-status")),
        (403, Some("200"))
    );
    let unknown = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/destroy"}).to_string();
    let unknown = itself(&rig, &[], &unknown);
    assert_eq!(
        (unknown.status, unknown.field("x-callgate-client-status")),
        (403, None)
    );
    let panicked = itself(&rig, &[], &call(FORCED_PANIC_TOOL, &json!({})));
    assert_eq!(
        (panicked.status, panicked.field("x-callgate-rule")),
        (403, Some("(internal error)"))
    );

    // gRPC answers with status 200 whatever it says: a client must not get its request there.
    let grpc = "Content-Type: application/grpc";
    for target in [
        "POST /v1/ext-authz/mcp/srv",
        "POST /v1/ext-authz",
        "POST /v1/ext-authz*",
        "POST /v1/nothing",
        "POST /v1/forward-auth",
        "POST /v1/auth-request",
        "GET /v1/auth-request",
    ] {
        let answer = rig.send(target, &[HOST, PEP, TOKEN, grpc], b"");
        assert!(answer.status >= 400, "{target}: {answer:?}");
    }
    let large = ["Content-Length: 5000000"];
    assert_eq!(itself(&rig, &large, "").status, 413);
    let head = rig.send("HEAD /v1/ext-authz/mcp/srv", &[HOST, PEP, TOKEN], b"");
    assert_eq!(head.status, 403);
}

#[test]
fn the_proxy_proves_itself_beside_its_client_s_token() {
    let rig = granted_rig(ProxyConfig::default());
    let body = call("open", &json!({}));
    let ask = |fields: &[&str]| rig.send("POST /v1/ext-authz/mcp/srv", fields, body.as_bytes());
    assert_eq!(ask(&[HOST, PEP, TOKEN]).status, 200);
    for fields in [
        &[HOST, TOKEN][..],
        &["Host: localhost", TOKEN],
        // A proxy's token where the client's belongs.
        &["Host: localhost", "Authorization: Bearer cgt_proxy"],
        &[HOST, TOKEN, "X-Callgate-Pep: Bearer cgt_nobody"],
        &[HOST, TOKEN, "X-Callgate-Pep: cgt_proxy"],
        &[HOST, TOKEN, "X_Callgate_Pep: Bearer cgt_proxy"],
        &[HOST, TOKEN, PEP, PEP],
    ] {
        let refused = ask(fields);
        assert_eq!((refused.status, refused.field("www-authenticate")), (403, None));
        assert!(refused.body.contains("x-callgate-pep"), "{refused:?}");
        assert!(!refused.body.contains("cgt_"), "{refused:?}");
    }
    // The caller's own token is still looked at.
    let stranger = ask(&[HOST, PEP, "Authorization: Bearer cgt_nobody"]);
    assert_eq!(
        (stranger.status, stranger.field("x-callgate-rule")),
        (403, Some("(unknown grant)"))
    );
    assert_eq!(ask(&[HOST, PEP]).status, 403);
}

#[test]
fn a_rebound_name_gets_nothing_where_nobody_has_to_prove_who_asks() {
    let rig = Rig::configured(ServerConfig {
        proxies: ProxyConfig {
            identity: vec![IdentitySource::Header("x-agent".to_owned())],
            ..ProxyConfig::default()
        },
        ..ServerConfig::default()
    });
    let body = call("open", &json!({}));
    for target in ["/v1/ext-authz/mcp/srv", "/v1/forward-auth", "/v1/auth-request"] {
        let ask = |fields: &[&str]| {
            let described = [
                "X-Agent: a",
                "X-Original-Method: POST",
                "X-Original-URI: /mcp/srv",
            ];
            let fields = [fields, &described].concat();
            rig.send(&format!("POST {target}"), &fields, body.as_bytes())
        };
        assert_eq!(ask(&["Host: localhost:8080"]).status, 200, "{target}");
        for fields in [
            &["Host: evil.example"][..],
            &["Host: localhost", "Origin: http://evil.example"],
            &[],
        ] {
            assert_eq!(ask(fields).status, 403, "{target} {fields:?}");
        }
    }
    // A proxy that is known speaks for clients of any site.
    let known = granted_rig(ProxyConfig::default());
    let origin = "Origin: http://app.example";
    assert_eq!(itself(&known, &[origin], &body).status, 200);
}

#[test]
fn our_headers_are_ours_alone() {
    let rig = granted_rig(ProxyConfig::default());
    let forged = [
        "X-Callgate-Rule: x",
        "X-Callgate-Outcome: deny",
        "X-Callgate-Made-Up: x",
        "X_Callgate_Outcome: x",
    ];
    let answer = itself(&rig, &forged, &call("open", &json!({})));
    let removed = answer.field("x-envoy-auth-headers-to-remove").unwrap();
    let mut removed: Vec<&str> = removed.split(',').collect();
    removed.sort_unstable();
    assert_eq!(
        removed,
        [
            "authorization",
            "x-callgate-made-up",
            "x-callgate-rule",
            "x_callgate_outcome"
        ]
    );
    assert_eq!(answer.field("x-callgate-rule"), None);
}

#[test]
fn a_path_may_name_the_tool_and_the_host_the_server() {
    let rig = granted_rig(ProxyConfig {
        server: vec![ServerSource::Path, ServerSource::Host],
        paths: vec!["/rest/{tool}".parse::<PathTemplate>().unwrap()],
        hosts: [("mcp.example.com".to_owned(), "srv".to_owned())].into(),
        ..ProxyConfig::default()
    });
    let rest = |path: &str, fields: &[&str], body: &str| {
        let fields = [&[HOST, PEP, TOKEN][..], fields].concat();
        rig.send(&format!("POST /v1/ext-authz{path}"), &fields, body.as_bytes())
    };
    assert_eq!(rest("/rest/small", &[], r#"{"n": 1}"#).status, 200);
    let denied = rest("/rest/small", &[], r#"{"n": 99}"#);
    assert_eq!(
        (denied.status, &denied.json()["message"]),
        (403, &json!("too many"))
    );
    // Nothing came along, and that is all that is known: of the body, nothing.
    assert_eq!(rest("/rest/small", &[], "").status, 403);
    assert_eq!(rest("/rest/open", &[], "").status, 200);
    let host = "X-Forwarded-Host: mcp.example.com";
    assert_eq!(by_caddy(&rig, "POST", "/rest/small", &[host]).status, 403);
    assert_eq!(by_caddy(&rig, "POST", "/rest/open", &[host]).status, 200);
    for path in [
        "//rest/open",
        "/rest//open",
        "/rest/%2e%2e/open",
        "/rest/open;v=1",
        "/rest/open?n=99",
        "/rest/op%2fen",
    ] {
        assert_eq!(rest(path, &[], "{}").status, 403, "{path}");
        assert_eq!(by_caddy(&rig, "POST", path, &[host]).status, 403, "{path}");
    }
}

#[test]
fn what_did_not_come_whole_is_denied() {
    let rig = granted_rig(ProxyConfig::default());
    let body = call("open", &json!({}));
    for field in [
        "X-Envoy-Auth-Partial-Body: true",
        "Content-Encoding: gzip",
        "Mcp-Name: other",
        "Mcp-Method: tools/list",
        "Mcp_Name: open",
        "Authorization: Bearer cgt_theirs",
    ] {
        let answer = itself(&rig, &[field], &body);
        assert_eq!(
            (answer.status, answer.field("x-callgate-rule")),
            (403, Some("(invalid request)")),
            "{field}"
        );
        assert!(!answer.body.contains("cgt_"), "{answer:?}");
    }
    // HTTP undoes chunks itself; what breaks off is nothing.
    let chunked = |chunks: &str, breaks_off: bool| {
        let fields = [HOST, PEP, TOKEN, "Transfer-Encoding: chunked"];
        let mut stream = rig.connect();
        stream
            .write_all(&request("POST /v1/ext-authz/mcp/srv", &fields, chunks.as_bytes()))
            .unwrap();
        // A client that has gone may get no answer at all.
        if breaks_off {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        told
    };
    let (first, second) = body.split_at(20);
    let whole = format!(
        "{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        20,
        second.len()
    );
    assert!(chunked(&whole, false).starts_with("HTTP/1.1 200 "));
    // No answer at all is one that lets nothing pass.
    let broken = chunked(&whole[..whole.len() - 5], true);
    assert!(
        broken.is_empty() || broken.starts_with("HTTP/1.1 400 "),
        "{broken}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn over_http_2_a_request_says_the_same() {
    let rig = granted_rig(ProxyConfig::default());
    let ask = |authority: &str, kind: &str| {
        http::Request::post(format!("http://{authority}/v1/ext-authz/mcp/srv"))
            .header("content-type", kind)
            .header("x-callgate-pep", "Bearer cgt_proxy")
            .header("authorization", "Bearer cgt_mine")
            .body(call("open", &json!({})).into())
            .unwrap()
    };
    let answer = rig.send_http2(ask("mcp.example.com", "application/json")).await;
    assert_eq!(answer.status(), 200);
    let answer = rig.send_http2(ask("mcp.example.com", "application/grpc")).await;
    assert_eq!(answer.status(), 403, "judged as any other, and no 200 of gRPC");
    assert_eq!(answer.headers()["x-callgate-rule"], "(invalid request)");
    let mut denied = ask("mcp.example.com", "application/json");
    *denied.body_mut() = call("forbidden", &json!({})).into();
    assert_eq!(rig.send_http2(denied).await.status(), 403);
}
