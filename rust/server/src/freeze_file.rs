//! The file of freezes in the state folder, and the thread that reads it while calls are decided.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use callgate_core::Engine;
use callgate_core::freeze::{FreezeRow, FreezeSource, parse};
use callgate_core::policy::PolicyError;

use crate::events::{Events, FieldValue, Level};

/// Time between two readings: a freeze is obeyed within two seconds, also if one reading is late. The whole file is read,
/// because its times are too coarse to show each change.
const INTERVAL: Duration = Duration::from_millis(500);

/// A failure that goes on is told again after this long.
const QUIET: Duration = Duration::from_secs(60);

/// The fault after a panic.
const PANICKED: &str = "callgate failed while it read the freezes; tell its developers";

/// The largest file: many times that of the most freezes.
const LARGEST_BYTES: u64 = 4 << 20;

/// The reason for which a file of freezes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FreezeFileError {
    /// Its contents.
    #[error(transparent)]
    Document(#[from] PolicyError),
    /// The system's error.
    #[error("cannot read the freezes in `{}`: {fault}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The fault.
        fault: String,
    },
    /// Its folder cannot be entered.
    #[error("cannot enter the folder of the freezes in `{}`: {fault}", path.display())]
    Folder {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        fault: String,
    },
    /// The thread that reads it could not be started.
    #[error("cannot start the thread that reads freezes: {0}")]
    Thread(#[source] io::Error),
}

impl FreezeFileError {
    const fn is_of_folder(&self) -> bool {
        matches!(self, Self::Folder { .. })
    }
}

/// Reads a file of freezes; without the file there are none.
///
/// # Errors
///
/// The file exists and cannot be read, or has a fault, with its place.
pub fn read_freezes(path: &Path) -> Result<Vec<FreezeRow>, FreezeFileError> {
    contents(path)?.map_or_else(|| Ok(Vec::new()), |bytes| rows(path, &bytes))
}

fn rows(path: &Path, bytes: &[u8]) -> Result<Vec<FreezeRow>, FreezeFileError> {
    Ok(parse(&path.display().to_string(), bytes)?)
}

/// The bytes of the file; `None` without it.
fn contents(path: &Path) -> Result<Option<Vec<u8>>, FreezeFileError> {
    let unreadable = |fault: String| FreezeFileError::Unreadable {
        path: path.to_owned(),
        fault,
    };
    // Before it is opened: a pipe would wait for its writer.
    match fs::metadata(path) {
        Ok(facts) if !facts.is_file() => return Err(unreadable("expected a file".to_owned())),
        Ok(facts) if facts.len() > LARGEST_BYTES => {
            let fault = format!("expected at most {LARGEST_BYTES} bytes, got {}", facts.len());
            return Err(unreadable(fault));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link to nothing is a file that is lost, not one that was removed.
            return if fs::symlink_metadata(path).is_ok() {
                Err(unreadable("a link to a file that does not exist".to_owned()))
            } else {
                Ok(None)
            };
        }
        // Its own permissions do not matter here, only those of its folders.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
            ) =>
        {
            let (path, fault) = (path.to_owned(), error.to_string());
            return Err(FreezeFileError::Folder { path, fault });
        }
        Err(error) => return Err(unreadable(error.to_string())),
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(LARGEST_BYTES + 1).read_to_end(&mut bytes));
    match file {
        Ok(_) => Ok(Some(bytes)),
        // Removed in between.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// A file of freezes whose freezes are in force in an engine.
#[derive(Debug)]
struct FreezeFile {
    path: PathBuf,
    engine: Arc<Engine>,
    events: Arc<Events>,
    /// Held while the file is read, which takes as long as the disk does.
    reading: Mutex<Reading>,
    /// The result, held for moments.
    last: Mutex<FreezeState>,
}

/// The reading that the next one is compared with.
#[derive(Debug, Default)]
struct Reading {
    /// The bytes in force; `None` without a file.
    bytes: Option<Vec<u8>>,
    /// The folder in which they were read: device and inode.
    folder: Option<(u64, u64)>,
    /// The fault that was told last, and when.
    told: Option<(String, Instant)>,
}

/// The rows in force, also those that have ended, and the fault of the file as it was read last.
pub(crate) type FreezeState = (Vec<FreezeRow>, Option<String>);

impl FreezeFile {
    /// Puts the freezes of a file in force. A folder that cannot be entered is told, and no reason not to start: nobody can
    /// have written a freeze there as this process's user.
    fn open(path: PathBuf, engine: Arc<Engine>, events: Arc<Events>) -> Result<Self, FreezeFileError> {
        let file = Self {
            path,
            engine,
            events,
            reading: Mutex::default(),
            last: Mutex::default(),
        };
        let mut reading = lock(&file.reading);
        match contents(&file.path) {
            Ok(Some(bytes)) => {
                let rows = rows(&file.path, &bytes)?;
                file.put_in_force(&mut reading, Some(bytes), rows);
            }
            Ok(None) => {}
            Err(error) if error.is_of_folder() => file.tell(&mut reading, error.to_string()),
            Err(error) => return Err(error),
        }
        drop(reading);
        Ok(file)
    }

    /// Reads the file again. If that fails, the freezes in force stay.
    fn read(&self) {
        let mut reading = lock(&self.reading);
        let read = contents(&self.path).and_then(|bytes| match bytes {
            bytes if bytes == reading.bytes => Ok(None),
            None => self.check_folder(&reading).map(|()| Some((None, Vec::new()))),
            Some(bytes) => {
                let rows = rows(&self.path, &bytes)?;
                Ok(Some((Some(bytes), rows)))
            }
        });
        match read {
            Ok(changed) => {
                if reading.told.take().is_some() {
                    lock(&self.last).1 = None;
                    self.events.push(Level::Info, "freezes_recovered", Vec::new());
                }
                if let Some((bytes, rows)) = changed {
                    self.put_in_force(&mut reading, bytes, rows);
                }
            }
            Err(error) => self.tell(&mut reading, error.to_string()),
        }
    }

    /// Refuses to take a file for removed if its folder is gone or another one, which is a disk that is not there rather than a
    /// thaw.
    fn check_folder(&self, reading: &Reading) -> Result<(), FreezeFileError> {
        let fault = match self.folder() {
            None => "its folder is gone",
            folder if folder == reading.folder => return Ok(()),
            Some(_) => "its folder is another one than that in which freezes were read",
        };
        Err(FreezeFileError::Unreadable {
            path: self.path.clone(),
            fault: fault.to_owned(),
        })
    }

    /// The identity of the folder of the file.
    fn folder(&self) -> Option<(u64, u64)> {
        let parent = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        let facts = fs::metadata(parent.unwrap_or(Path::new("."))).ok()?;
        facts.is_dir().then(|| (facts.dev(), facts.ino()))
    }

    fn put_in_force(&self, reading: &mut Reading, bytes: Option<Vec<u8>>, rows: Vec<FreezeRow>) {
        let freezes: Vec<_> = rows.iter().map(|row| row.freeze.clone()).collect();
        let number = freezes.len();
        self.engine.set_freezes(FreezeSource::File, freezes);
        reading.bytes = bytes;
        reading.folder = self.folder();
        let before = std::mem::replace(&mut lock(&self.last).0, rows);
        if !before.is_empty() || number > 0 {
            self.events.push(
                Level::Warning,
                "freezes_changed",
                vec![("freezes", number.into())],
            );
        }
    }

    fn tell(&self, reading: &mut Reading, fault: String) {
        lock(&self.last).1 = Some(fault.clone());
        let told = reading.told.as_ref();
        if told.is_some_and(|(before, at)| *before == fault && at.elapsed() < QUIET) {
            return;
        }
        // Not cut like a caller's name: it holds a path.
        let error = FieldValue::Text(fault.clone());
        self.events
            .push(Level::Error, "freezes_failed", vec![("error", error)]);
        reading.told = Some((fault, Instant::now()));
    }
}

/// A panic while it is held leaves a reading that the next one replaces.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that reads the file until it is dropped. Not one of the runtime: a disk that hangs must not stop calls, and calls
/// must not delay a freeze.
#[derive(Debug)]
pub(crate) struct FreezeWatch {
    file: Arc<FreezeFile>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FreezeWatch {
    /// Puts the freezes of a file in force, and starts the thread; does nothing without a path.
    pub(crate) fn start(
        path: Option<PathBuf>,
        engine: &Arc<Engine>,
        events: &Arc<Events>,
    ) -> Result<Option<Self>, FreezeFileError> {
        let Some(path) = path else { return Ok(None) };
        let file = FreezeFile::open(path, Arc::clone(engine), Arc::clone(events))?;
        let file = Arc::new(file);
        let watched = Arc::clone(&file);
        let (stop, stopped) = mpsc::channel();
        let thread = Builder::new()
            .name("callgate-freeze".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    // A panic must not end the thread: then no freeze would be read any more.
                    if catch_unwind(AssertUnwindSafe(|| watched.read())).is_err() {
                        watched.tell(&mut lock(&watched.reading), PANICKED.to_owned());
                    }
                }
            })
            .map_err(FreezeFileError::Thread)?;
        Ok(Some(Self {
            file,
            stop: Some(stop),
            thread: Some(thread),
        }))
    }

    /// Reads the file now.
    pub(crate) fn read(&self) {
        self.file.read();
    }

    /// The rows in force, also those that have ended, and the fault of the file as it was read last.
    pub(crate) fn state(&self) -> FreezeState {
        lock(&self.file.last).clone()
    }

    /// The fault of the file as it was read last.
    pub(crate) fn fault(&self) -> Option<String> {
        lock(&self.file.last).1.clone()
    }
}

impl Drop for FreezeWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics only where reading does, which loses no freeze.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::testing;

    const POLICY: &str = r#"{"version": "1", "default": "allow"}"#;

    fn document(server: &str) -> String {
        format!(
            r#"{{"version": "1", "freezes": [{{"server": "{server}", "reason": "r", "at": "2026-11-23T16:00:00Z", "by": "ada"}}]}}"#
        )
    }

    struct Place {
        folder: tempfile::TempDir,
        engine: Arc<Engine>,
        events: Arc<Events>,
    }

    impl Place {
        fn new() -> Self {
            let gate = testing::gate(POLICY, 10, &ManualClock::new(1));
            Self {
                folder: tempfile::tempdir().unwrap(),
                engine: gate.engine,
                events: gate.events,
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("state").join("freeze.json")
        }

        fn write(&self, text: &str) {
            fs::create_dir_all(self.path().parent().unwrap()).unwrap();
            fs::write(self.path(), text).unwrap();
        }

        fn open(&self) -> Result<FreezeFile, FreezeFileError> {
            FreezeFile::open(self.path(), Arc::clone(&self.engine), Arc::clone(&self.events))
        }

        /// The servers that are frozen.
        fn frozen(&self) -> Vec<String> {
            let freezes = self.engine.freezes().into_iter();
            freezes
                .map(|(_, freeze)| freeze.scope().server().unwrap().to_owned())
                .collect()
        }

        fn told(&self) -> Vec<&'static str> {
            let events = self.events.drain(usize::MAX).into_iter();
            events.map(|event| event.event).collect()
        }
    }

    #[test]
    fn a_file_is_read_when_it_changes() {
        let folder = Place::new();
        let file = folder.open().unwrap();
        assert_eq!((folder.frozen(), folder.told()), (Vec::new(), Vec::new()));
        folder.write(&document("a"));
        file.read();
        file.read();
        assert_eq!(folder.frozen(), ["a"]);
        folder.write(&document("b"));
        file.read();
        assert_eq!(folder.frozen(), ["b"]);
        fs::remove_file(folder.path()).unwrap();
        file.read();
        assert_eq!(folder.frozen(), Vec::<String>::new());
        assert_eq!(folder.told(), ["freezes_changed"; 3]);
    }

    #[test]
    fn what_cannot_be_read_leaves_the_freezes_in_force() {
        let folder = Place::new();
        folder.write(&document("a"));
        let file = folder.open().unwrap();
        assert_eq!(folder.told(), ["freezes_changed"]);
        let stays = |cause: &str| {
            file.read();
            file.read();
            assert_eq!(folder.frozen(), ["a"], "{cause}");
            assert_eq!(folder.told(), ["freezes_failed"], "{cause}");
            lock(&file.last).1.clone().unwrap()
        };
        folder.write("{");
        let fault = stays("damaged");
        assert!(
            fault.starts_with(&format!("{}:1:2: ", folder.path().display())),
            "{fault}"
        );
        fs::remove_file(folder.path()).unwrap();
        fs::create_dir(folder.path()).unwrap();
        assert!(stays("a folder").ends_with("expected a file"));
        fs::remove_dir(folder.path()).unwrap();
        std::os::unix::fs::symlink("lost", folder.path()).unwrap();
        assert!(stays("a link to nothing").ends_with("does not exist"));
        fs::remove_file(folder.path()).unwrap();
        let kept = folder.path().parent().unwrap().with_extension("kept");
        fs::rename(folder.path().parent().unwrap(), &kept).unwrap();
        assert!(stays("no folder").ends_with("its folder is gone"));
        // As the mount point of a disk that went away.
        fs::create_dir(folder.path().parent().unwrap()).unwrap();
        assert!(stays("another folder").contains("another one"));

        // As it was.
        fs::remove_dir(folder.path().parent().unwrap()).unwrap();
        fs::rename(&kept, folder.path().parent().unwrap()).unwrap();
        folder.write(&document("a"));
        file.read();
        assert_eq!(
            (folder.told(), lock(&file.last).1.clone()),
            (vec!["freezes_recovered"], None)
        );
        folder.write("{");
        file.read();
        folder.write(&document("b"));
        file.read();
        assert_eq!(folder.frozen(), ["b"]);
        assert_eq!(
            folder.told(),
            ["freezes_failed", "freezes_recovered", "freezes_changed"]
        );
    }

    #[test]
    fn a_file_in_the_working_folder_is_removed_like_any_other() {
        // Relative to the folder in which cargo runs tests.
        let name = format!("freeze-{}.json", std::process::id());
        let folder = Place::new();
        fs::write(&name, document("a")).unwrap();
        let file = FreezeFile::open(
            PathBuf::from(&name),
            Arc::clone(&folder.engine),
            Arc::clone(&folder.events),
        );
        fs::remove_file(&name).unwrap();
        file.unwrap().read();
        assert_eq!(folder.frozen(), Vec::<String>::new());
    }

    #[test]
    fn an_error_that_says_nothing_of_the_folder_refuses_the_start() {
        let folder = Place::new();
        fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("freeze.json", folder.path()).unwrap();
        assert!(folder.open().is_err(), "a link to itself");
    }

    #[test]
    fn a_folder_that_cannot_be_entered_is_told() {
        let folder = Place::new();
        fs::write(folder.path().parent().unwrap(), "a file").unwrap();
        let file = folder.open().unwrap();
        assert_eq!(folder.told(), ["freezes_failed"]);
        assert!(lock(&file.last).1.is_some());
    }

    #[test]
    fn a_damaged_file_refuses_the_start() {
        let folder = Place::new();
        folder.write("{");
        let error = folder.open().unwrap_err().to_string();
        assert!(error.contains("freeze.json:1:2: "), "{error}");
    }
}
