//! An issuer's server, as far as keys are fetched from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::config;
use super::signing::{Signer, jwks};
use crate::oauth::{Issuer, JwksSource, KeysError};

/// The answers of an issuer's server, which can be changed while it runs.
pub(super) struct Published {
    /// By path.
    answers: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Its address.
    pub(super) base: String,
}

const KEYS: &str = "/jwks.json";

impl Published {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (texts, paths) = (Arc::clone(&answers), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4_096];
                let length = stream.read(&mut request).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let text = locked(&texts).get(&path).cloned();
                locked(&paths).push(path);
                let text = text.unwrap_or_else(|| answer("HTTP/1.1 404 No\r\n", ""));
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self { answers, asked, base }
    }

    pub(super) fn answers(&self, head: &str, body: &str) {
        self.answers_at(KEYS, head, body);
    }

    pub(super) fn answers_at(&self, path: &str, head: &str, body: &str) {
        locked(&self.answers).insert(path.to_owned(), answer(head, body));
    }

    pub(super) fn publishes(&self, signers: &[&Signer]) {
        self.answers("HTTP/1.1 200 OK\r\n", &jwks(signers));
    }

    pub(super) fn url(&self) -> String {
        format!("{}{KEYS}", self.base)
    }

    pub(super) fn source(&self) -> JwksSource {
        JwksSource::Url {
            url: self.url(),
            ca_pem: None,
        }
    }

    pub(super) fn issuer(&self) -> Issuer {
        Issuer::new(config(self.source()), None).unwrap()
    }

    pub(super) fn asked(&self) -> usize {
        locked(&self.asked).len()
    }

    /// The paths since this was asked last.
    pub(super) fn paths(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.asked))
    }
}

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn renew(issuer: &Issuer, second: u64) -> Result<Option<usize>, KeysError> {
    issuer.due(super::at(second)).expect("it is time").run().await
}
