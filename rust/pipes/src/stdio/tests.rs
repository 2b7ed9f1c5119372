//! A client, the pumps, and real programs as servers. Who judges is a stand-in: by words in the line.

mod hostile;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callgate_core::ReservationId;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::downward::{Downward, DownwardEnd};
use super::judging::{Forward, Judged, Judging, Looks};
use super::shared::Shared;
use super::upward::{Upward, UpwardEnd};
use super::wrap::between;
use super::{LineError, ServerCommand, WrapSettings};
use crate::RequestId;
use crate::lines::Lines;
use callgate_gateway::pins::{Listing, Page};

const PATIENCE: Duration = Duration::from_secs(20);
const LINE_LIMIT_BYTES: usize = 1_000;
const HELD_LIMIT_BYTES: usize = 100_000;

/// Denies lines with `deny`, takes units for those with `unit`, and takes for lists those with `tools/list`.
#[derive(Debug, Default)]
struct Words {
    /// Reservations, and whether they reached the server.
    settled: Mutex<Vec<(ReservationId, bool)>>,
    /// The pages that were cut.
    pages: Mutex<Vec<Page>>,
}

impl Judging for Words {
    fn judge(&self, line: &[u8], looks: Looks) -> Judged {
        let line = String::from_utf8_lossy(line).into_owned();
        match (line.contains("deny"), looks) {
            (true, Looks::Notification) => Judged::Drop,
            (true, _) => Judged::Reply("denied".to_owned()),
            _ => Judged::Forward(Forward {
                lists: line.contains("tools/list"),
                reservation: line.contains("unit").then_some(ReservationId::new(7)),
            }),
        }
    }

    fn refuse(&self, fault: LineError, id: Option<&RequestId>) -> String {
        format!(
            "refused {} {fault:?}",
            id.map_or_else(|| "null".to_owned(), RequestId::json)
        )
    }

    fn settle(&self, reservation: ReservationId, reached: bool) {
        self.settled.lock().expect("whole").push((reservation, reached));
    }

    fn cut<'r>(&self, reply: &'r [u8], _: Option<&RequestId>, listing: &Listing) -> Cow<'r, [u8]> {
        self.pages.lock().expect("whole").push(listing.page.clone());
        let text = String::from_utf8_lossy(reply).replace("hidden", "");
        Cow::Owned(text.into_bytes())
    }

    fn withhold(&self, _: usize, id: Option<&RequestId>) -> String {
        format!(
            "withheld {}",
            id.map_or_else(|| "null".to_owned(), RequestId::json)
        )
    }
}

/// Both directions, with the ends of client and server in hand.
struct Pumps {
    words: Arc<Words>,
    client: DuplexStream,
    answers: BufReader<DuplexStream>,
    server: DuplexStream,
    calls: BufReader<DuplexStream>,
    over: watch::Sender<bool>,
    upward: JoinHandle<UpwardEnd>,
    downward: JoinHandle<DownwardEnd>,
}

impl Pumps {
    fn start(pipe_bytes: usize) -> Self {
        let words = Arc::new(Words::default());
        let (client, input) = duplex(pipe_bytes);
        let (output, answers) = duplex(pipe_bytes);
        let (stdin, calls) = duplex(pipe_bytes);
        let (server, stdout) = duplex(pipe_bytes);
        let (over, watching) = watch::channel(false);
        let shared = Arc::new(Shared::new(Arc::clone(&words) as Arc<dyn Judging>, output));
        let upward = Upward {
            lines: Lines::new(BufReader::new(input), LINE_LIMIT_BYTES),
            server: Some(stdin),
            shared: Arc::clone(&shared),
            over: watching,
        };
        let downward = Downward {
            server: stdout,
            shared,
            held_limit_bytes: HELD_LIMIT_BYTES,
        };
        Self {
            words,
            client,
            answers: BufReader::new(answers),
            server,
            calls: BufReader::new(calls),
            over,
            upward: tokio::spawn(upward.run()),
            downward: tokio::spawn(downward.run()),
        }
    }

    async fn send(&mut self, line: &str) {
        self.client.write_all(line.as_bytes()).await.expect("written");
    }

    async fn serve(&mut self, line: &str) {
        self.server.write_all(line.as_bytes()).await.expect("written");
    }

    /// The next line that the client gets.
    async fn answer(&mut self) -> String {
        line_of(&mut self.answers).await
    }

    /// The next line that the server gets.
    async fn call(&mut self) -> String {
        line_of(&mut self.calls).await
    }
}

async fn line_of(from: &mut BufReader<DuplexStream>) -> String {
    let mut line = Vec::new();
    timeout(PATIENCE, from.read_until(b'\n', &mut line))
        .await
        .expect("in time")
        .expect("readable");
    String::from_utf8(line).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_what_was_sent() {
    let mut pumps = Pumps::start(64);
    for line in [
        "{\"jsonrpc\":\"2.0\", \"id\":1,\"method\":\"ping\"}\r\n",
        "  {\"id\":\"é\",\"method\":\"x\"}\t\n",
        "{\"method\":\"notifications/x\"}\n",
        "{\"id\":1,\"result\":{}}\n",
    ] {
        pumps.send(line).await;
        assert_eq!(pumps.call().await, line);
    }
    for line in [
        "{\"id\":1,\"result\":{}}\r\n",
        "\n",
        "no JSON at all\n",
        "{\"id\":5,\"method\":\"roots/list\"}\n",
        "{\"method\":\"notifications/progress\"}\n",
    ] {
        pumps.serve(line).await;
        assert_eq!(pumps.answer().await, line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_answered_and_goes_nowhere() {
    let mut pumps = Pumps::start(4_096);
    let long = format!("{{\"id\":9,\"method\":\"{}\"}}\n", "x".repeat(LINE_LIMIT_BYTES));
    let long_id = format!("{{\"id\":\"{}\",\"method\":\"x\"}}\n", "i".repeat(900));
    for (line, answer) in [
        ("{\"id\":1,\"method\":\"deny\"}\n", Some("denied\n")),
        ("{\"method\":\"deny\"}\n", None),
        ("\n \r\n\t\n", None),
        (long.as_str(), Some("refused 9 TooLong { limit_bytes: 1000 }\n")),
        (
            "{\"id\":1,\"method\":\"ping\",\"params\":{\"a\":\r{\"id\":2}\r}}\n",
            Some("refused 1 CarriageReturn\n"),
        ),
        (
            "{\"id\":1,\"method\":\"ping\"}\r\r\n",
            Some("refused 1 CarriageReturn\n"),
        ),
        ("{\"id\":3,\"method\":\"a\"}\n", None),
        ("{\"id\":3,\"method\":\"b\"}\n", Some("refused 3 IdInUse\n")),
        ("{\"id\":\"3\",\"method\":\"c\"}\n", None),
        (
            "{\"id\":\"\\u0033\",\"method\":\"d\"}\n",
            Some("refused \"3\" IdInUse\n"),
        ),
        (
            "{\"id\":9007199254740993,\"method\":\"tools/list\"}\n",
            Some("refused null UnclearId\n"),
        ),
        (
            "{\"id\":1.0,\"method\":\"unit\"}\n",
            Some("refused null UnclearId\n"),
        ),
        // The server chose it.
        ("{\"id\":9007199254740993,\"result\":{}}\n", None),
        (long_id.as_str(), None),
        ("{\"id\":4,\"method\":\"cut\"}", Some("refused 4 Cut\n")),
    ] {
        pumps.send(line).await;
        if !line.ends_with('\n') {
            pumps.client.shutdown().await.expect("closed");
        }
        if let Some(answer) = answer {
            assert_eq!(pumps.answer().await, answer);
        }
    }
    assert_eq!(
        timeout(PATIENCE, pumps.upward)
            .await
            .expect("in time")
            .expect("no panic"),
        UpwardEnd::Input
    );
    let mut reached = String::new();
    pumps.calls.read_to_string(&mut reached).await.expect("readable");
    let expected = [
        "{\"id\":3,\"method\":\"a\"}\n",
        "{\"id\":\"3\",\"method\":\"c\"}\n",
        "{\"id\":9007199254740993,\"result\":{}}\n",
        &long_id,
    ];
    assert_eq!(reached, expected.concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_list_that_was_asked_for_is_cut() {
    let mut pumps = Pumps::start(4_096);
    pumps.serve("{\"result\":\"hidden\"}\n").await;
    assert_eq!(
        pumps.answer().await,
        "{\"result\":\"hidden\"}\n",
        "nobody waits for a list"
    );
    for line in [
        "{\"id\":1,\"method\":\"tools/list\"}\n",
        "{\"id\":\"a\",\"method\":\"other\"}\n",
    ] {
        pumps.send(line).await;
        pumps.call().await;
    }
    for (reply, seen) in [
        (
            "{\"id\":\"a\",\"result\":\"hidden\"}\r\n",
            "{\"id\":\"a\",\"result\":\"hidden\"}\r\n",
        ),
        (
            "{\"id\":1,\"method\":\"hidden\"}\n",
            "{\"id\":1,\"method\":\"hidden\"}\n",
        ),
        // Some clients would take it for the reply to 1.
        (
            "{\"id\":1.0,\"result\":\"hidden\"}\n",
            "{\"id\":1.0,\"result\":\"\"}\n",
        ),
        (
            "[{\"id\":1,\"result\":\"hidden\"}]\n",
            "[{\"id\":1,\"result\":\"\"}]\n",
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"result\":{\"hidden\":1},\"id\":1}\r\n",
            "{\"jsonrpc\":\"2.0\",\"result\":{\"\":1},\"id\":1}\r\n",
        ),
        // Another one for it, of which nobody knows what it answers.
        (
            "{\"id\":1,\"result\":\"hidden\"}\n",
            "{\"id\":1,\"result\":\"\"}\n",
        ),
    ] {
        pumps.serve(reply).await;
        assert_eq!(pumps.answer().await, seen);
    }
    pumps
        .send("{\"id\":\"\\u0062\",\"method\":\"tools/list\"}\n")
        .await;
    pumps.call().await;
    pumps.serve("{\"id\":\"b\",\"result\":\"hidden\"}\n").await;
    assert_eq!(pumps.answer().await, "{\"id\":\"b\",\"result\":\"\"}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_cut_as_the_page_that_was_asked_for() {
    let mut pumps = Pumps::start(4_096);
    for line in [
        "{\"id\":1,\"method\":\"tools/list\"}\n",
        "{\"id\":\"a\",\"method\":\"tools/list\",\"params\":{\"cursor\":\"2\"}}\n",
    ] {
        pumps.send(line).await;
        pumps.call().await;
    }
    for reply in ["{\"id\":\"a\"}\n", "{\"id\":1.0}\n", "{\"result\":1,\"id\":1}\n"] {
        pumps.serve(reply).await;
        pumps.answer().await;
    }
    let pages = pumps.words.pages.lock().expect("whole").clone();
    assert_eq!(pages, [Page::At("2".into()), Page::Unknown, Page::First]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_list_is_cut_if_it_comes_all_the_same() {
    let mut pumps = Pumps::start(4_096);
    let cancel =
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n";
    for line in ["{\"id\":1,\"method\":\"tools/list\"}\n", cancel] {
        pumps.send(line).await;
        assert_eq!(pumps.call().await, line);
    }
    pumps.serve("{\"id\":1,\"result\":\"hidden\"}\n").await;
    assert_eq!(pumps.answer().await, "{\"id\":1,\"result\":\"\"}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_stream_and_long_lists_are_withheld() {
    let mut pumps = Pumps::start(64 * 1024);
    let long = "x".repeat(3 * HELD_LIMIT_BYTES);
    let result = |id: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"{long}\"}}\n");
    let id_last = |id: &str| format!("{{\"result\":\"{long}\",\"id\":{id}}}\n");
    for line in [
        "{\"id\":1,\"method\":\"call\"}\n",
        "{\"id\":2,\"method\":\"call\"}\n",
    ] {
        pumps.send(line).await;
        pumps.call().await;
    }
    let (mut server, answers) = (pumps.server, pumps.answers);
    let mut pumps = Pumps {
        answers,
        server: duplex(1).0,
        ..pumps
    };
    let (one, two) = (id_last("1"), result("2"));
    let lines = format!("{one}{two}");
    let serving = tokio::spawn(async move {
        server.write_all(lines.as_bytes()).await.expect("written");
        server
    });
    assert!(pumps.answer().await == one && pumps.answer().await == two);
    pumps.server = serving.await.expect("served");

    for line in [
        "{\"id\":3,\"method\":\"tools/list\"}\n",
        "{\"id\":4,\"method\":\"tools/list\"}\n",
        "{\"id\":5,\"method\":\"call\"}\n",
    ] {
        pumps.send(line).await;
        pumps.call().await;
    }
    let lines = format!("{}{}{}", result("3"), id_last("4"), result("5"));
    let mut server = std::mem::replace(&mut pumps.server, duplex(1).0);
    let serving = tokio::spawn(async move {
        server.write_all(lines.as_bytes()).await.expect("written");
        server
    });
    assert_eq!(pumps.answer().await, "withheld 3\n");
    assert_eq!(pumps.answer().await, "withheld 4\n");
    assert!(pumps.answer().await == result("5"));
    pumps.server = serving.await.expect("served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_still_coming_keeps_no_denial_waiting() {
    let mut pumps = Pumps::start(64 * 1024);
    pumps.serve("{\"id\":1,\"result\":").await;
    pumps.send("{\"id\":2,\"method\":\"deny\"}\n").await;
    assert_eq!(pumps.answer().await, "denied\n");
    pumps.serve("{}}\n").await;
    assert_eq!(pumps.answer().await, "{\"id\":1,\"result\":{}}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_within_a_long_line_leaves_it_ended() {
    let mut pumps = Pumps::start(256 * 1024);
    pumps.send("{\"id\":1,\"method\":\"other\"}\n").await;
    pumps.call().await;
    let begun = format!("{{\"id\":1,\"result\":\"{}", "x".repeat(100_000));
    pumps.serve(&begun).await;
    drop(pumps.server);
    let mut seen = String::new();
    timeout(PATIENCE, pumps.answers.read_line(&mut seen))
        .await
        .expect("in time")
        .expect("readable");
    assert!(seen == format!("{begun}\n"));
    assert_eq!(pumps.downward.await.expect("no panic"), DownwardEnd::Output);
}

#[tokio::test(flavor = "multi_thread")]
async fn units_go_back_only_where_nothing_was_written() {
    let mut pumps = Pumps::start(8);
    pumps.send("{\"id\":1,\"method\":\"unit\"}\n").await;
    pumps.call().await;
    // Room for a part of it alone, and then the reader goes.
    pumps.send("{\"id\":2,\"method\":\"unit\"}\n").await;
    let mut begun = [0; 4];
    pumps.calls.read_exact(&mut begun).await.expect("begun");
    drop(std::mem::replace(&mut pumps.calls, BufReader::new(duplex(1).0)));
    pumps.send("{\"id\":3,\"method\":\"unit\"}\n").await;
    let answer = pumps.answer().await;
    assert!(answer.contains("\"id\":3,\"error\":{\"code\":502"), "{answer}");
    let id = ReservationId::new(7);
    assert_eq!(
        *pumps.words.settled.lock().expect("whole"),
        [(id, true), (id, true), (id, false)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_read_holds_nobody_at_the_end() {
    let mut pumps = Pumps::start(8);
    pumps.send("{\"id\":1,\"method\":\"x\"}\n").await;
    pumps.over.send_replace(true);
    assert_eq!(
        timeout(PATIENCE, pumps.upward)
            .await
            .expect("in time")
            .expect("no panic"),
        UpwardEnd::Over
    );
}

/// A wrapped program: what its client wrote goes in, what the client got comes out, with the exit code.
struct Wrapped {
    client: Option<DuplexStream>,
    answers: BufReader<DuplexStream>,
    gone: Option<oneshot::Sender<()>>,
    code: JoinHandle<i32>,
}

impl Wrapped {
    fn start(script: &str, grace_ms: u64) -> Self {
        let settings = WrapSettings {
            command: ServerCommand {
                program: "/bin/sh".into(),
                args: vec!["-c".into(), script.into()],
                hidden_variables: vec!["PATH".to_owned()],
            },
            grace: Duration::from_millis(grace_ms),
            line_limit_bytes: LINE_LIMIT_BYTES,
            held_limit_bytes: HELD_LIMIT_BYTES,
        };
        let (client, input) = duplex(4_096);
        let (output, answers) = duplex(4_096);
        let (gone, told) = oneshot::channel();
        let judge: Arc<dyn Judging> = Arc::new(Words::default());
        let wrapped = between(settings, judge, BufReader::new(input), output, told);
        Self {
            client: Some(client),
            answers: BufReader::new(answers),
            gone: Some(gone),
            code: tokio::spawn(async { wrapped.await.expect("started") }),
        }
    }

    async fn send(&mut self, line: &str) {
        let client = self.client.as_mut().expect("open");
        client.write_all(line.as_bytes()).await.expect("written");
    }

    async fn answer(&mut self) -> String {
        line_of(&mut self.answers).await
    }

    async fn code(self) -> i32 {
        timeout(PATIENCE, self.code)
            .await
            .expect("in time")
            .expect("no panic")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_s_exit_is_ours_and_open_requests_are_answered() {
    let mut wrapped = Wrapped::start("read a; read b; exit 3", 60_000);
    wrapped
        .send("{\"id\":2,\"method\":\"x\"}\n{\"id\":\"1\",\"method\":\"y\"}\n")
        .await;
    let (one, two) = (wrapped.answer().await, wrapped.answer().await);
    assert!(
        one.contains("\"id\":\"1\",\"error\":{\"code\":502") && one.contains("exit code 3"),
        "{one}"
    );
    assert!(two.contains("\"id\":2,"), "{two}");
    assert_eq!(wrapped.code().await, 3);
    let mut wrapped = Wrapped::start("read a; kill -9 $$", 60_000);
    wrapped.send("{\"id\":1,\"method\":\"x\"}\n").await;
    assert!(wrapped.answer().await.contains("by signal 9"));
    assert_eq!(wrapped.code().await, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_input_is_the_server_s() {
    let mut wrapped = Wrapped::start(
        "while read line; do echo \"$line\"; done; echo end; exit 5",
        60_000,
    );
    wrapped.send("{\"id\":1,\"result\":{}}\n").await;
    assert_eq!(wrapped.answer().await, "{\"id\":1,\"result\":{}}\n");
    wrapped.client = None;
    assert_eq!(wrapped.answer().await, "end\n");
    assert_eq!(wrapped.code().await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_end_is_asked_and_then_made_to() {
    for (script, code) in [
        ("while :; do sleep 60 & wait; done", 143),
        ("trap 'exit 9' TERM; while :; do sleep 60 & wait; done", 9),
        ("trap '' TERM; while :; do sleep 60 & wait; done", 137),
    ] {
        let mut wrapped = Wrapped::start(&format!("echo ready; PATH=/bin:/usr/bin; {script}"), 200);
        assert_eq!(wrapped.answer().await, "ready\n");
        wrapped.client = None;
        assert_eq!(wrapped.code().await, code, "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_gone_is_reason_enough_though_its_input_is_not_read() {
    // The pipe to the server is full, so that the end of the client's input is never met.
    let mut wrapped = Wrapped::start("PATH=/bin:/usr/bin; echo ready; sleep 600", 200);
    assert_eq!(wrapped.answer().await, "ready\n");
    let client = wrapped.client.take().expect("open");
    let writing = tokio::spawn(async move {
        let mut client = client;
        let line = format!("{{\"method\":\"{}\"}}\n", "x".repeat(900));
        while client.write_all(line.as_bytes()).await.is_ok() {}
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    wrapped.gone.take().expect("there").send(()).expect("waited for");
    assert_eq!(wrapped.code().await, 143);
    writing.await.expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_started_does_not_stay() {
    let mut wrapped = Wrapped::start("PATH=/bin:/usr/bin; sleep 600 & echo $!; read line", 60_000);
    let left = wrapped.answer().await;
    wrapped.client = None;
    wrapped.code().await;
    // One that nobody has asked after yet is gone as well.
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    };
    timeout(PATIENCE, async {
        while is_there() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_the_server_s() {
    let mut wrapped = Wrapped::start(
        "/usr/bin/env | /bin/grep -c ^CARGO_MANIFEST_DIR=; /usr/bin/env | /bin/grep -c ^PATH=",
        60_000,
    );
    assert_eq!(
        (wrapped.answer().await.as_str(), wrapped.answer().await.as_str()),
        ("1\n", "0\n")
    );
}
