//! TLS, mutual TLS, and certificates that change.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::CheckRequest;
use callgate_proto::decision::v1::decision_service_client::DecisionServiceClient;
use callgate_server::{Clock, PepSpec, Server, ServerConfig, TlsPem};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use super::identity::{key, pep};
use super::support::{POLICY, Rig, answer, engine, request, state};

/// An authority, and what it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::default();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn server(&self) -> Pair {
        self.sign(|params| params.subject_alt_names.push(dns("localhost")))
    }

    fn client(&self, name: SanType) -> Pair {
        self.sign(|params| params.subject_alt_names.push(name))
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn pem(pair: &Pair, client_ca: Option<&Authority>) -> TlsPem {
    TlsPem {
        certificate: pair.certificate.clone().into_bytes(),
        key: pair.key.clone().into_bytes(),
        client_ca: client_ca.map(|authority| authority.pem.clone().into_bytes()),
    }
}

fn config(tls: TlsPem) -> ServerConfig {
    ServerConfig {
        tls: Some(tls),
        ..ServerConfig::default()
    }
}

fn channel(rig: &Rig, trusted: &Authority, own: Option<&Pair>) -> Channel {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&trusted.pem))
        .domain_name("localhost");
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(&own.certificate, &own.key));
    }
    Endpoint::from_shared(format!("https://{}", rig.server.address().unwrap()))
        .unwrap()
        .tls_config(tls)
        .unwrap()
        .connect_lazy()
}

/// One call on a connection of its own: the rule, or the status.
async fn ask(rig: &Rig, trusted: &Authority, own: Option<&Pair>) -> Result<String, Status> {
    let call = CheckRequest {
        grant: "g".to_owned(),
        tool: "open".to_owned(),
        ..CheckRequest::default()
    };
    let mut client = DecisionServiceClient::new(channel(rig, trusted, own));
    Ok(client.check(call).await?.into_inner().rule)
}

/// The certificate that a new connection is shown, and the answer to one HTTP/1.1 request over it.
fn shown(rig: &Rig, trusted: &Authority) -> (Vec<u8>, u16) {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection =
        ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, rig.connect());
    let body = br#"{"grant":"g","tool":"open"}"#;
    stream
        .write_all(&request("POST /v1/check", &["Host: localhost"], body))
        .unwrap();
    let own = stream.conn.peer_certificates().unwrap()[0].to_vec();
    (own, answer(stream).status)
}

fn der(pair: &Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes())
        .unwrap()
        .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn decisions_over_tls() {
    let authority = Authority::new();
    let own = authority.server();
    let rig = Rig::configured(config(pem(&own, None)));
    assert_eq!(ask(&rig, &authority, None).await.unwrap(), "");
    let seen = tokio::task::block_in_place(|| shown(&rig, &authority));
    assert_eq!(seen, (der(&own), 200));

    // A client that trusts another authority, and one that speaks in the clear, get nowhere and are told of.
    let stranger = ask(&rig, &Authority::new(), None).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unavailable);
    let mut plain = rig.connect();
    plain.write_all(b"POST /v1/check HTTP/1.1\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    // Closed with an alert, or reset: never answered.
    let _ = plain.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    rig.wait_for_event("tls_handshake_failed");
    assert!(rig.server.metrics().tls_handshakes_failed >= 1);
    assert_eq!(ask(&rig, &authority, None).await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_certificate_says_who_asks() {
    let authority = Authority::new();
    let rig = Rig::configured(ServerConfig {
        peps: Some(vec![
            PepSpec {
                name: "gateway".to_owned(),
                certificate_names: vec![
                    "gateway.example".to_owned(),
                    "spiffe://example/gateway".to_owned(),
                ],
                ..PepSpec::default()
            },
            pep("proxy", "cgt_proxy"),
        ]),
        pep_key: Some(key()),
        ..config(pem(&authority.server(), Some(&authority)))
    });
    for name in [dns("gateway.example"), uri("spiffe://example/gateway")] {
        let own = authority.client(name);
        assert_eq!(ask(&rig, &authority, Some(&own)).await.unwrap(), "");
    }
    for name in [
        dns("other.example"),
        dns("Gateway.example"),
        uri("spiffe://example/gateway/x"),
    ] {
        let own = authority.client(name.clone());
        let status = ask(&rig, &authority, Some(&own)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{name:?}");
    }
    // Another authority's certificate with the right name, an expired one, and none at all.
    let expired = authority.sign(|params| {
        params.subject_alt_names.push(dns("gateway.example"));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let forged = Authority::new().client(dns("gateway.example"));
    for own in [Some(&forged), Some(&expired), None] {
        assert!(ask(&rig, &authority, own).await.is_err());
    }
    // A token that names another one.
    let own = authority.client(dns("gateway.example"));
    let mut call = tonic::Request::new(CheckRequest::default());
    let token = "Bearer cgt_proxy".parse().unwrap();
    call.metadata_mut().insert("authorization", token);
    let mut client = DecisionServiceClient::new(channel(&rig, &authority, Some(&own)));
    assert_eq!(
        client.check(call).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn new_connections_meet_new_certificates() {
    let (authority, successor) = (Authority::new(), Authority::new());
    let (first, second) = (authority.server(), successor.server());
    let rig = Rig::configured(config(pem(&first, None)));
    let mut old = DecisionServiceClient::new(channel(&rig, &authority, None));
    let call = || CheckRequest {
        grant: "g".to_owned(),
        tool: "open".to_owned(),
        ..CheckRequest::default()
    };
    old.check(call()).await.unwrap();

    let mixed = TlsPem {
        key: second.key.clone().into_bytes(),
        ..pem(&first, None)
    };
    let error = rig.reload_tls(mixed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tls key: it does not fit the certificate; configure the key that the certificate was made for"
    );
    assert_eq!(
        ask(&rig, &authority, None).await.unwrap(),
        "",
        "the one before stays"
    );

    rig.reload_tls(pem(&second, None)).unwrap();
    assert_eq!(
        tokio::task::block_in_place(|| shown(&rig, &successor)),
        (der(&second), 200)
    );
    assert!(ask(&rig, &authority, None).await.is_err());
    old.check(call()).await.unwrap();
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let fine = pem(&authority.server(), Some(&authority));
    let refusal = |tls: TlsPem| {
        let engine = engine(state(POLICY.as_bytes(), Catalogue::default()));
        Server::start(engine, Clock::default(), config(tls))
            .unwrap_err()
            .to_string()
    };
    let at = |year| {
        let pair = authority.sign(|params| {
            params.subject_alt_names.push(dns("localhost"));
            params.not_before = date_time_ymd(year, 1, 1);
            params.not_after = date_time_ymd(year + 1, 1, 1);
        });
        refusal(pem(&pair, None))
    };
    let expired = at(2020);
    assert!(
        expired.starts_with("tls certificate: it expired at ") && expired.contains("2021"),
        "{expired}"
    );
    let early = at(4000);
    assert!(
        early.starts_with("tls certificate: it is not valid before "),
        "{early}"
    );
    let with = |change: &dyn Fn(&mut TlsPem)| {
        let mut tls = fine.clone();
        change(&mut tls);
        refusal(tls)
    };
    for (message, change) in [
        (
            "tls certificate: no certificate is in it; ",
            &(|tls: &mut TlsPem| tls.certificate.clear()) as &dyn Fn(&mut TlsPem),
        ),
        ("tls certificate: ", &|tls| tls.certificate.truncate(200)),
        ("tls key: no private key can be read from it; ", &|tls| {
            tls.key.clear();
        }),
        ("tls key: no private key can be read from it; ", &|tls| {
            tls.key = tls.certificate.clone();
        }),
        ("tls client_ca: no certificate is in it; ", &|tls| {
            tls.client_ca = Some(b"ca".to_vec());
        }),
        ("tls certificate: a certificate in it is damaged; ", &|tls| {
            tls.certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
        }),
    ] {
        let refused = with(change);
        assert!(refused.starts_with(message), "{refused}");
    }
    assert!(!format!("{fine:?}").contains("PRIVATE"), "{fine:?}");
    let rig = Rig::new();
    let error = rig.reload_tls(fine.clone()).unwrap_err().to_string();
    assert!(
        error.starts_with("tls listener: it was started without certificates"),
        "{error}"
    );
}
