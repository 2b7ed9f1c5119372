use std::path::{Path, PathBuf};

use callgate_load::{Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::server::{Behaviour, options, run, serve};

struct Files {
    folder: tempfile::TempDir,
    server: (String, String),
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// An authority, and certificates of a server and of a client that it has signed.
fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    write(folder.path(), "ca.pem", &authority.pem());
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let server = signed("127.0.0.1");
    let client = signed("bench.example");
    write(folder.path(), "client.pem", &client.0);
    write(folder.path(), "client.key", &client.1);
    Files { folder, server }
}

fn load(address: &str, tls: Tls) -> Options {
    Options {
        tls,
        ..options(&format!("https://{address}"))
    }
}

#[test]
fn tls_and_mutual_tls() {
    let files = files();
    let identity = Identity::from_pem(&files.server.0, &files.server.1);
    let server = serve(Behaviour {
        tls: Some(ServerTlsConfig::new().identity(identity.clone())),
        ..Behaviour::default()
    });
    let trust = Tls {
        ca: Some(files.path("ca.pem")),
        ..Tls::default()
    };
    let report = run(load(&server.address, trust.clone())).unwrap();
    assert!(report.requests > 0 && report.errors.is_empty(), "{report:?}");

    let ca = Certificate::from_pem(std::fs::read(files.path("ca.pem")).unwrap());
    let server = serve(Behaviour {
        tls: Some(ServerTlsConfig::new().identity(identity).client_ca_root(ca)),
        ..Behaviour::default()
    });
    assert!(run(load(&server.address, trust.clone())).is_err());
    let own = Tls {
        certificate: Some(files.path("client.pem")),
        key: Some(files.path("client.key")),
        ..trust
    };
    assert!(run(load(&server.address, own)).unwrap().requests > 0);
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let (files, others) = (files(), self::files());
    let server = serve(Behaviour {
        tls: Some(ServerTlsConfig::new().identity(Identity::from_pem(&files.server.0, &files.server.1))),
        ..Behaviour::default()
    });
    let trust = Tls {
        ca: Some(others.path("ca.pem")),
        ..Tls::default()
    };
    let error = run(load(&server.address, trust)).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[test]
fn files_that_do_not_fit() {
    let files = files();
    for (target, tls, expected) in [
        ("https://127.0.0.1:1", Tls::default(), "give --tls-ca"),
        (
            "127.0.0.1:1",
            Tls {
                ca: Some(files.path("ca.pem")),
                ..Tls::default()
            },
            "go with a target that begins with `https://`",
        ),
        (
            "https://127.0.0.1:1",
            Tls {
                ca: Some(files.path("nope.pem")),
                ..Tls::default()
            },
            "no such file or folder",
        ),
        (
            "https://127.0.0.1:1",
            Tls {
                ca: Some(files.path("client.key")),
                ..Tls::default()
            },
            "holds no certificate in PEM",
        ),
        (
            "https://127.0.0.1:1",
            Tls {
                ca: Some(files.path("ca.pem")),
                certificate: Some(files.path("client.pem")),
                key: None,
            },
            "--tls-cert and --tls-key go together",
        ),
    ] {
        let error = run(Options {
            tls,
            ..options(target)
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains(expected), "{error}");
    }
}
