//! Servers that try to get a list past whoever cuts it.

use super::*;

impl Pumps {
    /// With these lines of the client on their way.
    async fn after(pipe_bytes: usize, lines: &[&str]) -> Self {
        let mut pumps = Self::start(pipe_bytes);
        for line in lines {
            pumps.send(&format!("{line}\n")).await;
            pumps.call().await;
        }
        pumps
    }

    /// The server begins a line, which is passed on.
    async fn begin(&mut self, begun: &str) {
        self.serve(begun).await;
        let mut seen = vec![0; begun.len()];
        let passed = self.answers.read_exact(&mut seen);
        timeout(PATIENCE, passed)
            .await
            .expect("in time")
            .expect("readable");
        assert!(seen == begun.as_bytes());
    }
}

const LIST: &str = r#"{"id":3,"method":"tools/list"}"#;
const OTHER: &str = r#"{"id":2,"method":"other"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_names_a_method_is_cut_as_well() {
    let mut pumps = Pumps::after(4_096, &[LIST]).await;
    let decoy = format!("{}method", "x".repeat(40));
    let decoy = format!("{{\"{decoy}\":0,\"id\":3,\"hidden\":0}}");
    for (reply, seen) in [
        (
            r#"{"method":0,"id":3,"result":"hidden"}"#,
            r#"{"method":0,"id":3,"result":""}"#,
        ),
        (
            r#"{"id":3,"error":"hidden","method":"x"}"#,
            r#"{"id":3,"error":"","method":"x"}"#,
        ),
        (&decoy, &decoy.replace("hidden", "")),
        (r#"{"id":3,"method":"hidden"}"#, r#"{"id":3,"method":"hidden"}"#),
    ] {
        pumps.serve(&format!("{reply}\n")).await;
        assert_eq!(pumps.answer().await, format!("{seen}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_comes_before_its_request_is_cut_as_well() {
    let mut pumps = Pumps::after(4_096, &[OTHER]).await;
    for (reply, seen) in [
        (r#"{"id":3,"result":"hidden"}"#, r#"{"id":3,"result":""}"#),
        (r#"{"result":"hidden","id":3}"#, r#"{"result":"","id":3}"#),
        (r#"{"id":1.5,"result":"hidden"}"#, r#"{"id":1.5,"result":""}"#),
        (r#"{"id":2,"result":"hidden"}"#, r#"{"id":2,"result":"hidden"}"#),
    ] {
        pumps.serve(&format!("{reply}\n")).await;
        assert_eq!(pumps.answer().await, format!("{seen}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_server_is_one_to_every_reader() {
    for pipe_bytes in [1, 2, 7, 4_096] {
        let mut pumps = Pumps::after(pipe_bytes, &[LIST]).await;
        for (line, seen) in [
            ("{\"method\":\"x\"}\r\n", "{\"method\":\"x\"}\r\n"),
            (
                "\r{\"method\":\r\"x\"}\r\r{}\r\r\n",
                " {\"method\": \"x\"}  {} \r\n",
            ),
            ("\r\n", "\r\n"),
            ("\r\r", ""),
            ("\n", " \r\n"),
        ] {
            pumps.serve(line).await;
            if !seen.is_empty() {
                assert_eq!(pumps.answer().await, seen, "{pipe_bytes}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_behind_another_message_of_its_line_is_cut() {
    let mut pumps = Pumps::after(4_096, &[LIST, OTHER]).await;
    for first in [r#"{"method":"x"}"#, r#"{"id":2,"result":1}"#] {
        for between in ["", " ", "\r"] {
            let line = format!("{first}{between}{{\"id\":3,\"result\":\"hidden\"}}\n");
            pumps.serve(&line).await;
            let seen = line.replace("hidden", "").replace('\r', " ");
            assert_eq!(pumps.answer().await, seen);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_clients_reject_ends_no_wait_for_a_list() {
    let mut pumps = Pumps::after(4_096, &[LIST]).await;
    let list = r#"{"jsonrpc":"2.0","id":3,"result":{"x":"hidden"}}"#;
    for reply in [
        r#"{"id":3,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":"x","message":""}}"#,
        r#"{"jsonrpc":"2.0","id":3,"result":[]}"#,
        r#"{"result":"hidden"}"#,
        list,
    ] {
        pumps.serve(&format!("{reply}\n")).await;
        assert_eq!(pumps.answer().await, format!("{}\n", reply.replace("hidden", "")));
    }
    pumps.serve("{\"result\":\"hidden\"}\n").await;
    assert_eq!(
        pumps.answer().await,
        "{\"result\":\"hidden\"}\n",
        "nobody waits for a list"
    );
}

/// Longer than what is held of a line, and shorter than what is held of a list.
const LONG_BYTES: usize = 80_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_that_turns_out_to_be_a_list_is_broken_off() {
    let text = "x".repeat(LONG_BYTES);
    // It begins before anybody waits for a list.
    let begun = format!("{{\"result\":{{\"tools\":[\"{text}");
    let end = "\"]},\"id\":3}\n";
    let mut pumps = Pumps::start(256 * 1024);
    pumps.begin(&begun).await;
    pumps.send(&format!("{LIST}\n")).await;
    pumps.call().await;
    pumps.serve(end).await;
    assert_eq!(pumps.answer().await, "!\n");
    assert_eq!(pumps.answer().await, "withheld 3\n");

    // It is whole but for its end before anybody waits.
    let begun = format!("{{\"result\":\"{text}\"}}");
    let mut pumps = Pumps::start(256 * 1024);
    pumps.begin(&begun).await;
    pumps.send(&format!("{LIST}\n")).await;
    pumps.call().await;
    pumps.serve("\n").await;
    assert_eq!(pumps.answer().await, "!\n");
    assert_eq!(pumps.answer().await, "withheld null\n");
    // What comes now is whole again.
    pumps.serve("{\"method\":\"x\"}\n").await;
    assert_eq!(pumps.answer().await, "{\"method\":\"x\"}\n");

    // No newline ever comes.
    let mut pumps = Pumps::start(256 * 1024);
    pumps.begin(&begun).await;
    pumps.send(&format!("{LIST}\n")).await;
    pumps.call().await;
    drop(pumps.server);
    assert_eq!(line_of(&mut pumps.answers).await, "!\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reply_that_takes_another_id_is_broken_off() {
    let text = "x".repeat(LONG_BYTES);
    for (begun, end, told) in [
        (
            format!("{{\"id\":2,\"result\":\"{text}\""),
            ",\"id\":3}\n",
            "withheld null\n",
        ),
        (
            format!("{{\"method\":\"x\",\"params\":\"{text}\""),
            ",\"result\":1,\"id\":3}\n",
            "withheld 3\n",
        ),
        (
            format!("{{\"method\":\"x\",\"params\":\"{text}\"}}"),
            "{\"result\":1,\"id\":3}\n",
            "withheld null\n",
        ),
    ] {
        let mut pumps = Pumps::after(256 * 1024, &[LIST, OTHER]).await;
        pumps.begin(&begun).await;
        for piece in [&end[..3], &end[3..]] {
            pumps.serve(piece).await;
        }
        let rest = pumps.answer().await;
        let rest = rest.strip_suffix("!\n").expect("broken off");
        assert!(
            end.starts_with(rest) && rest.len() < end.len() - 2,
            "it has no end: {rest}"
        );
        assert_eq!(pumps.answer().await, told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reply_under_way_is_not_broken_off_for_a_list() {
    let text = "x".repeat(LONG_BYTES);
    for (begun, end) in [
        (format!("{{\"result\":\"{text}"), "\",\"id\":2}\n"),
        (format!("{{\"id\":2,\"result\":\"{text}"), "\"}\n"),
        (format!("{{\"method\":\"x\",\"params\":\"{text}"), "\"}\n"),
    ] {
        let mut pumps = Pumps::after(256 * 1024, &[OTHER]).await;
        pumps.begin(&begun).await;
        pumps.send(&format!("{LIST}\n")).await;
        pumps.call().await;
        pumps.serve("xx").await;
        pumps.serve(end).await;
        assert_eq!(pumps.answer().await, format!("xx{end}"));
    }
}

/// The characters that end a line for Python's `str.splitlines`; the last two end one for Node's `readline` too.
const BREAKS: [char; 8] = [
    '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_one_line_to_every_reader_on_both_sides() {
    for pipe_bytes in [1, 4_096] {
        let mut pumps = Pumps::start(pipe_bytes);
        for line_break in BREAKS {
            let escape = format!("\\u{:04x}", u32::from(line_break));
            let line = format!("{{\"method\":\"x\",\"params\":[\"a{line_break}{{'id':3}}{line_break}\"]}}\n");
            pumps.send(&line).await;
            assert_eq!(pumps.call().await, line.replace(line_break, &escape));
            pumps.serve(&line).await;
            assert_eq!(pumps.answer().await, line.replace(line_break, &escape));
        }
    }
}
