use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::Duration;

use callgate_load::{Method, Options, Run, Token};

use crate::server::{Behaviour, calls, options, run, serve, serve_at};

#[test]
fn refused_requests_are_counted_and_not_fatal() {
    for method in [Method::Check, Method::Batch, Method::Stream] {
        let server = serve(Behaviour {
            fail_every: Some((10, tonic::Code::ResourceExhausted)),
            ..Behaviour::default()
        });
        let report = run(Options {
            method,
            batch_size: 2,
            ..options(&server.address)
        })
        .unwrap();
        assert_eq!(report.ended, "complete");
        let fault = &report.errors["RESOURCE_EXHAUSTED"];
        assert!(
            fault.count > 0 && fault.detail == "on purpose",
            "{:?}",
            report.errors
        );
        assert!(report.requests > 0);
    }
}

#[test]
fn nothing_but_refusals_is_an_error_that_says_why() {
    let server = serve(Behaviour {
        token: Some("right".to_owned()),
        ..Behaviour::default()
    });
    let with = |token: &str| Options {
        token: Some(Token::new(token.to_owned()).unwrap()),
        duration_ms: 20_000,
        ..options(&server.address)
    };
    let error = run(with("wr0ng")).unwrap_err().to_string();
    assert!(
        error.contains("no request of `check` succeeded: UNAUTHENTICATED: who asks?"),
        "{error}"
    );
    assert!(!error.contains("wr0ng"), "{error}");
    let good = Options {
        duration_ms: 300,
        ..with("right")
    };
    assert!(run(good).unwrap().errors.is_empty());
}

#[test]
fn batches_that_lack_a_decision_are_no_answers() {
    let server = serve(Behaviour {
        is_short: true,
        ..Behaviour::default()
    });
    let error = run(Options {
        method: Method::Batch,
        ..options(&server.address)
    })
    .unwrap_err()
    .to_string();
    assert!(error.contains("bad answer"), "{error}");
}

#[test]
fn a_target_that_is_not_there() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let error = run(options(&address)).unwrap_err().to_string();
    assert_eq!(error, format!("`{address}`: cannot connect: connection refused"));
    let error = run(options("unix:/nonexistent/socket")).unwrap_err().to_string();
    assert_eq!(
        error,
        "`unix:/nonexistent/socket`: cannot connect: no such file or folder"
    );
}

#[test]
fn a_target_that_speaks_something_else() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "it answers HTTP/1, expected HTTP/2",
        ),
        (b"220 mail.example ESMTP ready\r\n", "it does not answer HTTP/2"),
        (b"", "connection closed by peer"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 24];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            // Unread bytes would end this connection with a reset.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = run(Options {
            connections: 1,
            ..options(&address)
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains(expected), "{error}");
        other.join().unwrap();
    }
}

#[test]
fn a_target_that_vanishes_ends_the_run_with_what_was_measured() {
    let mut server = serve(Behaviour::default());
    let run = Run::start(
        Options {
            duration_ms: 60_000,
            ..options(&server.address)
        },
        &calls(),
    )
    .unwrap();
    while server.seen.calls.load(Ordering::Relaxed) < 1_000 {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    let report = run.finish().unwrap();
    assert_eq!(report.ended, "target vanished");
    assert!(
        report
            .vanished
            .as_ref()
            .is_some_and(|why| why.ends_with("connection refused")),
        "{report:?}"
    );
    assert!(report.requests > 0);
    assert!(report.errors.contains_key("not connected"), "{:?}", report.errors);
}

#[test]
fn a_target_that_comes_back_is_asked_again() {
    let mut server = serve(Behaviour::default());
    let run = Run::start(
        Options {
            duration_ms: 60_000,
            rate: Some(500.0),
            ..options(&server.address)
        },
        &calls(),
    )
    .unwrap();
    while server.seen.calls.load(Ordering::Relaxed) < 100 {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    let again = serve_at(&server.address, Behaviour::default());
    while again.seen.calls.load(Ordering::Relaxed) < 100 {
        std::thread::sleep(Duration::from_millis(1));
    }
    run.stop();
    let report = run.finish().unwrap();
    assert_eq!(report.ended, "interrupted");
    assert!(report.generator.reconnects >= 2, "{report:?}");
}

/// Requests are due all the while, and cannot be sent: the answers to those in flight must be read nevertheless.
#[test]
fn a_target_that_closes_answers_what_is_in_flight() {
    for rate in [None, Some(1_000.0)] {
        let mut server = serve(Behaviour {
            stall: Some((Duration::from_millis(100), Duration::from_millis(400))),
            stagger: Duration::from_millis(200),
            ..Behaviour::default()
        });
        let run = Run::start(
            Options {
                duration_ms: 60_000,
                rate,
                ..options(&server.address)
            },
            &calls(),
        )
        .unwrap();
        // All that may be in flight waits.
        while server.seen.waiting.load(Ordering::Relaxed) < 8 {
            std::thread::sleep(Duration::from_millis(1));
        }
        server.close();
        let report = run.finish().unwrap();
        assert_eq!(report.ended, "target vanished");
        let decided: u64 = report.outcomes.values().sum();
        assert_eq!(decided, server.seen.calls.load(Ordering::Relaxed));
        assert!(
            report
                .errors
                .keys()
                .all(|label| label == "not connected" || label.starts_with("refused")),
            "{:?}",
            report.errors
        );
    }
}

#[test]
fn answers_that_take_too_long_are_timeouts() {
    let server = serve(Behaviour {
        stall: Some((Duration::from_millis(100), Duration::from_millis(1_500))),
        ..Behaviour::default()
    });
    let report = run(Options {
        timeout_ms: 200,
        duration_ms: 1_000,
        ..options(&server.address)
    })
    .unwrap();
    assert!(report.errors["timeout"].count > 0, "{:?}", report.errors);
    assert!(report.latency_us.max < 400_000.0, "{:?}", report.latency_us);
}

#[test]
fn options_without_a_meaning() {
    let good = options("127.0.0.1:1");
    for (wrong, message) in [
        (
            Options {
                connections: 0,
                ..good.clone()
            },
            "`connections` is 0: expected 1 to",
        ),
        (
            Options {
                streams: 0,
                ..good.clone()
            },
            "`streams` is 0: expected 1 to",
        ),
        (
            Options {
                rate: Some(f64::NAN),
                ..good.clone()
            },
            "the rate must be a number",
        ),
        (
            Options {
                duration_ms: 0,
                ..good.clone()
            },
            "must be more than 0",
        ),
    ] {
        let error = run(wrong).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    for token in ["", "two words", "line\nbreak"] {
        let error = Token::new(token.to_owned()).unwrap_err().to_string();
        assert!(error.starts_with("the token is not usable"), "{error}");
    }
    assert_eq!(
        format!("{:?}", Token::new("s3cret".to_owned()).unwrap()),
        "Token(..)"
    );
}
