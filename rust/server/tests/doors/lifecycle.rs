//! Starting, the Unix socket, and stopping.

use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::CheckRequest;
use callgate_proto::decision::v1::decision_service_client::DecisionServiceClient;
use callgate_server::{Clock, Server, ServerConfig};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use tonic::transport::Endpoint;

use super::support::{Folder, POLICY, Rig, answer, engine, request, state};

const CALL: &[u8] = br#"{"grant":"g","tool":"open"}"#;

pub(crate) fn refusal(config: ServerConfig) -> String {
    let engine = engine(state(POLICY.as_bytes(), Catalogue::default()));
    Server::start(engine, Clock::default(), config)
        .unwrap_err()
        .to_string()
}

fn listen(address: &str) -> ServerConfig {
    ServerConfig {
        listen: Some(address.to_owned()),
        ..ServerConfig::default()
    }
}

fn socket_only(path: &Path) -> ServerConfig {
    ServerConfig {
        listen: None,
        socket: Some(path.to_owned()),
        ..ServerConfig::default()
    }
}

#[test]
fn a_fault_at_the_start_is_one_clear_line() {
    let rig = Rig::new();
    let taken = rig.server.address().unwrap().to_string();
    assert_eq!(
        refusal(listen(&taken)),
        format!(
            "cannot listen on `{taken}`: address already in use; stop the other process or choose another with --listen"
        )
    );
    assert_eq!(
        refusal(listen("nowhere")),
        "cannot listen on `nowhere`: expected an IP address and a port, such as `127.0.0.1:9191`"
    );
    assert_eq!(
        refusal(listen("203.0.113.7:0")),
        "cannot listen on `203.0.113.7:0`: no interface of this machine has that address; choose another with --listen"
    );
    assert_eq!(
        refusal(ServerConfig {
            listen: None,
            ..ServerConfig::default()
        }),
        "nothing to listen on: expected a TCP address, a Unix socket path, or both"
    );

    let folder = Folder::new();
    let missing = folder.file("missing/callgate.sock");
    assert_eq!(
        refusal(socket_only(&missing)),
        format!(
            "cannot create the socket `{}`: its folder does not exist; create it or choose another path with --socket",
            missing.display()
        )
    );
    let long = folder.file(&"x".repeat(120));
    let length = long.as_os_str().len();
    assert_eq!(
        refusal(socket_only(&long)),
        format!(
            "cannot create the socket `{}`: the path has {length} bytes, expected at most 107; choose a shorter one with --socket",
            long.display()
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_socket_serves_its_own_user() {
    let folder = Folder::new();
    let path = folder.file("callgate.sock");
    let rig = Rig::configured(socket_only(&path));
    assert_eq!(rig.server.address(), None);
    assert_eq!(rig.server.socket(), Some(path.as_path()));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let mut stream = UnixStream::connect(&path).unwrap();
    // `Host` says nothing there: no browser can reach a socket.
    stream
        .write_all(&request("POST /v1/check", &["Host: whatever"], CALL))
        .unwrap();
    assert_eq!(answer(stream).status, 200);

    let channel = Endpoint::from_shared(format!("unix:{}", path.display()))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let call = CheckRequest {
        grant: "g".to_owned(),
        tool: "open".to_owned(),
        ..CheckRequest::default()
    };
    let response = DecisionServiceClient::new(channel)
        .check(call)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(response.rule, "");
}

#[test]
fn a_path_that_exists_is_left_alone() {
    let folder = Folder::new();
    let path = folder.file("callgate.sock");
    let message = format!(
        "cannot create the socket `{}`: the path exists already; if no process uses it, remove it, else choose another with --socket",
        path.display()
    );
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(refusal(socket_only(&path)), message);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();

    let rig = Rig::configured(socket_only(&path));
    assert_eq!(
        refusal(socket_only(&path)),
        format!(
            "cannot create the socket `{}`: another process listens there; stop it or choose another with --socket",
            path.display()
        )
    );
    UnixStream::connect(&path).unwrap();
    rig.server.stop();
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_killed_process_is_replaced() {
    let folder = Folder::new();
    let path = folder.file("callgate.sock");
    drop(UnixListener::bind(&path).unwrap());
    let rig = Rig::configured(socket_only(&path));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(&request("POST /v1/check", &["Host: whatever"], CALL))
        .unwrap();
    assert_eq!(answer(stream).status, 200);
    rig.server.stop();
    assert!(!path.exists());
}

#[test]
fn a_stop_removes_only_its_own_socket() {
    let folder = Folder::new();
    let path = folder.file("callgate.sock");
    let rig = Rig::configured(socket_only(&path));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another's").unwrap();
    rig.server.stop();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
}

/// A request whose header has been read, and whose body is awaited.
fn half_sent(rig: &Rig) -> TcpStream {
    let mut stream = rig.connect();
    let length = format!("Content-Length: {}", CALL.len());
    let fields = ["Host: localhost", "Expect: 100-continue", &length];
    stream
        .write_all(&request("POST /v1/check", &fields, b""))
        .unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn a_stop_finishes_what_is_in_flight() {
    let rig = Rig::new();
    let mut stream = half_sent(&rig);
    let address = rig.server.address().unwrap();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| rig.server.stop());
        // New connections are refused from then on.
        while TcpStream::connect(address).is_ok() {
            std::thread::yield_now();
        }
        stream.write_all(CALL).unwrap();
        assert_eq!(answer(stream).status, 200);
        stopping.join().unwrap();
    });
    assert_eq!(
        rig.wait_for_event("server_stopped").fields,
        [("connections_cut_off", 0_u64.into())]
    );
    // Again, it does nothing.
    rig.server.stop();
    assert!(rig.server.drain_events(usize::MAX).is_empty());
}

#[test]
fn a_stop_ends_with_its_grace() {
    let rig = Rig::configured(ServerConfig {
        grace_ms: 50,
        ..ServerConfig::default()
    });
    let mut stream = half_sent(&rig);
    rig.server.stop();
    assert_eq!(
        rig.wait_for_event("server_stopped").fields,
        [("connections_cut_off", 1_u64.into())]
    );
    let end = stream.read(&mut [0; 1]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
}

#[test]
fn a_dropped_server_frees_its_port() {
    let rig = Rig::new();
    let address = rig.server.address().unwrap();
    drop(rig);
    // A child that another test starts has every open socket until it execs, and another test may be given the port.
    let again = (0..50).find_map(|_| {
        let engine = engine(state(POLICY.as_bytes(), Catalogue::default()));
        let started = Server::start(engine, Clock::default(), listen(&address.to_string()));
        started.map_err(|_| sleep(Duration::from_millis(100))).ok()
    });
    assert_eq!(again.map(|server| server.address()), Some(Some(address)));
}

/// Waiting is forbidden on a runtime's thread, and a server must stop there all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_stops_on_any_thread() {
    let rig = Rig::new();
    rig.server.set_serving(false);
    rig.server.stop();
    // Another test may be given the port.
    let address = rig.server.address().unwrap();
    let gone = (0..50).any(|_| {
        sleep(Duration::from_millis(20));
        TcpStream::connect(address).is_err()
    });
    assert!(gone);
}
