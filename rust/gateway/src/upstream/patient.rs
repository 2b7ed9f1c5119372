//! Connections that take too long.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use tower_service::Service;

/// An error of a connection.
type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// A connector that gives up after a while, with the handshake of TLS and all: the address is looked up and met in that time.
#[derive(Clone, Debug)]
pub(crate) struct Patient<C> {
    connector: C,
    patience: Duration,
}

impl<C> Patient<C> {
    pub(super) const fn new(connector: C, patience: Duration) -> Self {
        Self { connector, patience }
    }
}

impl<C> Service<Uri> for Patient<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Error: Into<ConnectError>,
{
    type Response = C::Response;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, patience) = (self.connector.call(to), self.patience);
        Box::pin(async move {
            match tokio::time::timeout(patience, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {} ms", patience.as_millis()),
                )
                .into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// Connects at once to hosts called `here`, and to others never.
    struct Sometimes;

    impl Service<Uri> for Sometimes {
        type Response = ();
        type Error = io::Error;
        type Future = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, to: Uri) -> Self::Future {
            if to.host() == Some("here") {
                Box::pin(ready(Ok(())))
            } else {
                Box::pin(pending())
            }
        }
    }

    #[tokio::test]
    async fn it_gives_up() {
        let mut connector = Patient::new(Sometimes, Duration::from_millis(20));
        connector.call(Uri::from_static("https://here/")).await.unwrap();
        let fault = connector
            .call(Uri::from_static("https://nowhere/"))
            .await
            .unwrap_err();
        assert_eq!(fault.to_string(), "no connection within 20 ms");
    }
}
