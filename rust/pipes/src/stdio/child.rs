//! The server as a child of this process.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::signals::SIGNAL_BASE;

/// A program to be started.
#[derive(Clone, Debug)]
pub struct ServerCommand {
    /// Its name or path.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables of the environment that it does not get: secrets of this process.
    pub hidden_variables: Vec<String>,
}

/// A program that cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{program}`: {reason}; expected the command of an MCP server after `--`")]
pub struct SpawnError {
    program: String,
    reason: String,
    /// The exit code of shells for a command that is not found or cannot be run.
    pub exit_code: i32,
}

impl SpawnError {
    fn new(command: &ServerCommand, error: &io::Error) -> Self {
        let (reason, exit_code) = match error.kind() {
            io::ErrorKind::NotFound => ("no such program".to_owned(), 127),
            io::ErrorKind::PermissionDenied => ("permission denied".to_owned(), 126),
            _ => (error.to_string(), 126),
        };
        Self {
            program: command.program.to_string_lossy().into_owned(),
            reason,
            exit_code,
        }
    }
}

/// A running server. Its stderr is this process's own.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    group: Option<Pid>,
}

impl ServerProcess {
    /// Starts the server in a process group of its own: a signal reaches its children as well, and a signal of a
    /// terminal does not arrive twice.
    pub(super) fn start(command: &ServerCommand) -> Result<(Self, ChildStdin, ChildStdout), SpawnError> {
        let mut builder = Command::new(&command.program);
        builder
            .args(&command.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for variable in &command.hidden_variables {
            builder.env_remove(variable);
        }
        let mut child = builder
            .spawn()
            .map_err(|error| SpawnError::new(command, &error))?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok((Self { child, group }, stdin, stdout)),
            // They were asked for.
            _ => Err(SpawnError::new(command, &io::Error::other("it has no pipes"))),
        }
    }

    /// Sends a signal to the server and its children, if they still run.
    pub(super) fn send(&self, signal: Signal) {
        if let Some(group) = self.group {
            // All that can go wrong is that nobody is there any more.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}

/// The exit code of this process: that of a shell that ran the server.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    let of_signal = || status.signal().map(|number| SIGNAL_BASE + number);
    status.code().or_else(of_signal).unwrap_or(SIGNAL_BASE)
}

/// The reason why requests stay unanswered.
pub(super) fn reason(status: ExitStatus) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("with exit code {code}"),
        (None, Some(number)) => format!("by signal {number}"),
        (None, None) => "for no known reason".to_owned(),
    };
    format!("the server ended {how} before it answered; the client has to start it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_shells() {
        // As `wait` encodes them: the code in the second byte, a signal in the first.
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert!(reason(ExitStatus::from_raw(9)).contains("by signal 9"));
        assert!(reason(ExitStatus::from_raw(1 << 8)).contains("exit code 1"));
    }

    #[test]
    fn what_cannot_be_started_says_why() {
        let command = |program: &str| ServerCommand {
            program: program.into(),
            args: Vec::new(),
            hidden_variables: Vec::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let _entered = runtime.enter();
        let missing = ServerProcess::start(&command("/nowhere/server")).expect_err("missing");
        assert_eq!(missing.exit_code, 127);
        assert!(
            missing
                .to_string()
                .contains("cannot start `/nowhere/server`: no such program"),
            "{missing}"
        );
        let folder = ServerProcess::start(&command("/")).expect_err("a folder");
        assert_eq!(folder.exit_code, 126);
    }
}
