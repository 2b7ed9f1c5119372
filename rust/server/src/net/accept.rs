//! Accepting connections, up to a cap.

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::connection::{Manners, serve};
use super::descriptors::{are_left, descriptor_limit, is_reserved};
use super::handshake::shake;
use super::io::Stream;
use super::pace::Pace;
use crate::apart::Sharing;
use crate::doors::Services;
use crate::events::{FieldValue, Level};
use crate::identity::Peer;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::phase::Phase;
use crate::threads::Threads;
use crate::tls::Tls;

/// Pause after the operating system refused to accept: mostly it is out of file descriptors, and trying again at once
/// would only burn a core.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The parts that every connection of a server shares.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) services: Arc<Services>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) threads: Arc<Threads>,
    // One permit for each connection that may be open.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) limits: Limits,
}

impl Acceptor {
    /// Accepts over TCP until the server stops; with TLS where there are certificates.
    pub(crate) async fn tcp(self, socket: TcpListener, listener: Listener, tls: Option<Tls>) {
        let accept = async || {
            let (stream, _) = socket.accept().await?;
            // Answers are small: waiting for more to send would cost 40 ms. Where it cannot be set, slow beats nothing.
            let _ = stream.set_nodelay(true);
            let is_last = is_reserved(&stream);
            // It belongs to the runtime of its own thread, not to this one.
            Ok(Some((stream.into_std()?, is_last)))
        };
        let has_room = || are_left(&socket);
        match tls {
            None => {
                let ready = async |stream| Some((TcpStream::from_std(stream).ok()?, Peer::default()));
                self.run(accept, has_room, ready, listener).await;
            }
            Some(tls) => {
                let services = Arc::clone(&self.services);
                let ready = move |stream| {
                    let (tls, services) = (tls.clone(), Arc::clone(&services));
                    async move { shake(tls, TcpStream::from_std(stream).ok()?, services).await }
                };
                self.run(accept, has_room, ready, listener).await;
            }
        }
    }

    /// Accepts over the Unix socket until the server stops; this process's own user, root and known users may talk.
    pub(crate) async fn unix(self, listener: UnixListener) {
        let accept = async || {
            let (stream, _) = listener.accept().await?;
            let (peer, is_last) = (self.admitted_peer(&stream), is_reserved(&stream));
            let stream = stream.into_std()?;
            Ok(peer.map(|peer| ((stream, peer), is_last)))
        };
        let ready = async |(stream, peer)| Some((UnixStream::from_std(stream).ok()?, peer));
        let has_room = || are_left(&listener);
        self.clone().run(accept, has_room, ready, Listener::Socket).await;
    }

    fn admitted_peer(&self, stream: &UnixStream) -> Option<Peer> {
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        let peer = uid.map(|uid| Peer {
            uid: Some(uid),
            ..Peer::default()
        });
        let admitted = peer.filter(|peer| self.services.gate.configuration().parts.peps.admits(peer));
        if admitted.is_none() {
            let uid = uid.map_or(u64::MAX, u64::from);
            self.services
                .gate
                .events
                .push(Level::Warning, "peer_refused", vec![("uid", uid.into())]);
        }
        admitted
    }

    /// Accepts connections until the server stops. `ready` prepares each in its own time; one that it fails for is
    /// closed. After a connection with a reserved descriptor, none is accepted until `has_room`.
    async fn run<A, F, R, G, I>(
        self,
        accept: impl Fn() -> F,
        has_room: impl Fn() -> bool,
        ready: R,
        listener: Listener,
    ) where
        A: Send + 'static,
        F: Future<Output = io::Result<Option<(A, bool)>>>,
        R: Fn(A) -> G + Clone + Send + 'static,
        G: Future<Output = Option<(I, Peer)>> + Send + 'static,
        I: Stream,
    {
        let mut phase = self.phase.clone();
        let manners = Arc::new(Manners::new(&self.limits));
        let mut failures = Pace::default();
        let mut cap = Pace::default();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok(Some((stream, is_last))) => {
                    let permit = tokio::select! {
                        biased;
                        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
                        permit = self.permit(&mut cap) => permit,
                    };
                    let (manners, services, watching) = (
                        Arc::clone(&manners),
                        Arc::clone(&self.services),
                        self.phase.clone(),
                    );
                    let ready = ready.clone();
                    let Some(seat) = self.threads.seat() else { return };
                    let serving = async move |seat| {
                        let mut stopping = watching.clone();
                        let ready = tokio::select! {
                            biased;
                            ready = ready(stream) => ready,
                            _ = stopping.wait_for(|phase| *phase >= Phase::Draining) => None,
                        };
                        if let Some((stream, peer)) = ready {
                            serve(manners, stream, services, listener, peer, (seat, watching)).await;
                        }
                        drop(permit);
                    };
                    seat.serve(|seat| Sharing::new(serving(seat)));
                    if is_last {
                        self.accept_failed(&no_descriptors(), &mut failures);
                        while !has_room() {
                            if pause(&mut phase).await.is_break() {
                                return;
                            }
                        }
                    }
                }
                Ok(None) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    self.accept_failed(&error.to_string(), &mut failures);
                    if pause(&mut phase).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    /// Leave to hold one more connection.
    async fn permit(&self, cap: &mut Pace) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        if let Some(times) = cap.admit(Instant::now()) {
            let fields = vec![("times", times.into())];
            let events = &self.services.gate.events;
            events.push(Level::Warning, "connection_cap_reached", fields);
        }
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    fn accept_failed(&self, error: &str, failures: &mut Pace) {
        let Some(times) = failures.admit(Instant::now()) else {
            return;
        };
        // Not cut like a caller's name: it says what to do.
        let error = FieldValue::Text(error.to_owned());
        let fields = vec![("error", error), ("times", times.into())];
        self.services
            .gate
            .events
            .push(Level::Error, "accept_failed", fields);
    }
}

/// Waits before accepting is tried again; a break when the server stops.
async fn pause(phase: &mut watch::Receiver<Phase>) -> ControlFlow<()> {
    tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => ControlFlow::Break(()),
        () = tokio::time::sleep(RETRY_PAUSE) => ControlFlow::Continue(()),
    }
}

fn no_descriptors() -> String {
    let (limit, reserved) = descriptor_limit().unwrap_or_default();
    format!(
        "too many open files: of {limit} that are allowed, {reserved} are kept for reloads and the admin port; raise the limit \
         (`ulimit -n`, `LimitNOFILE=`)"
    )
}

/// A client that hung up while it waited is no fault of ours.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
