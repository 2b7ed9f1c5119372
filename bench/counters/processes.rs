//! Two processes of this bench, each with a counter of its own: what two threads reach that have nothing in common.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::threads::{Ran, Work, rate};

/// The first argument of such a process; the contestant, the work and the number of calls follow.
const FLAG: &str = "--process";

/// Makes the calls of one thread: see `threads::round_on_command`.
pub(crate) type OnCommand = fn(Work, u32, &dyn Fn()) -> Ran;

/// Returns millions of calls per second, of two processes together.
pub(crate) fn round(contestant: usize, work: usize, calls: u32) -> f64 {
    let mut children: Vec<Child> = (0..2).map(|_| start(contestant, work, calls)).collect();
    let mut lines: Vec<_> = children
        .iter_mut()
        .map(|child| BufReader::new(child.stdout.take().expect("it is a pipe")).lines())
        .collect();
    for lines in &mut lines {
        assert_eq!(line(lines.next()), "ready");
    }
    for child in &mut children {
        let mut begin = child.stdin.take().expect("it is a pipe");
        begin.write_all(b"begin\n").expect("it waits for this");
    }
    let ran: Vec<Ran> = lines.iter_mut().map(|lines| parse(&line(lines.next()))).collect();
    for mut child in children {
        assert!(child.wait().expect("it is a child").success());
    }
    rate(&ran)
}

/// Runs as such a process if the arguments say so.
#[expect(
    clippy::print_stdout,
    reason = "the pipe to the process that started this one"
)]
pub(crate) fn run_if_asked(contestants: &[OnCommand], works: &[Work]) -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, contestant, work, calls] = arguments.as_slice() else {
        return false;
    };
    if flag != FLAG {
        return false;
    }
    let number = |word: &str| word.parse::<usize>().expect("a number");
    let calls = calls.parse().expect("a number");
    let ran = contestants[number(contestant)](works[number(work)], calls, &|| {
        println!("ready");
        std::io::stdin()
            .read_line(&mut String::new())
            .expect("the word to begin comes");
    });
    println!("{} {} {}", ran.calls, ran.began.as_nanos(), ran.ended.as_nanos());
    true
}

fn start(contestant: usize, work: usize, calls: u32) -> Child {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .arg(FLAG)
        .args([contestant.to_string(), work.to_string(), calls.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started")
}

fn line(read: Option<std::io::Result<String>>) -> String {
    read.expect("the process says more").expect("it is text")
}

fn parse(line: &str) -> Ran {
    let numbers: Vec<u64> = line
        .split(' ')
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [calls, began, ended] = numbers.as_slice() else {
        panic!("expected three numbers, got `{line}`");
    };
    Ran {
        calls: u32::try_from(*calls).expect("fits"),
        began: Duration::from_nanos(*began),
        ended: Duration::from_nanos(*ended),
    }
}
