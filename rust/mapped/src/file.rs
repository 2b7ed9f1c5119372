//! A file of words: locked, preallocated, mapped piece by piece.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{
    CWD, FallocateFlags, FlockOperation, OFlags, RenameFlags, SeekFrom, fallocate, flock, renameat_with, seek,
};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use rustix::process::{Resource, getrlimit};

use crate::{Owner, Words};

/// A file that this process alone has open for writing, as far as programs keep to its lock.
#[derive(Debug)]
pub struct MappedFile {
    file: File,
    mappings: Mutex<Vec<Weak<Mapping>>>,
    owner: Owner,
}

/// Why a file cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process (or another opening in this one) has locked it.
    InUse,
    /// Anything else.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How often to try again when a path is replaced while its file is being locked.
const ATTEMPTS: usize = 16;

/// Bytes to ask for where one page is meant; a system with larger ones rounds up.
const PAGE_BYTES: usize = 4096;

/// Where a file system reserves no space, zeros are written, so much at once.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl MappedFile {
    /// Opens and locks an existing file; `None` when there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, LockError> {
        for _ in 0..ATTEMPTS {
            let file = match open_regular(OpenOptions::new().read(true).write(true), path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    refuse_dangling(path)?;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            lock(&file)?;
            // Between opening and locking the path may have been given to another file, by a repair for instance.
            let file = Self::from_locked(file);
            if file.is_at(path)? {
                return Ok(Some(file));
            }
        }
        Err(LockError::InUse)
    }

    /// Creates and locks an empty file for this user alone (mode 0600), in place of one that nobody has locked.
    pub fn create(path: &Path) -> Result<Self, LockError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = open_regular(options.mode(0o600), path)?;
        lock(&file)?;
        let file = Self::from_locked(file);
        if !file.is_at(path)? {
            // Whoever had it locked has given it another name meanwhile.
            return Err(LockError::InUse);
        }
        file.file.set_len(0)?;
        Ok(file)
    }

    /// Opens a file to read, whoever has it locked. Anything else that lies under the path is an error: to wait for the
    /// other end of a pipe could be for good, and a device has no end.
    pub fn open_to_read(path: &Path) -> io::Result<File> {
        open_regular(OpenOptions::new().read(true), path)
    }

    /// Gives the file another path, durably; `false` when something is there already.
    pub fn rename_new(from: &Path, to: &Path) -> io::Result<bool> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // The file system knows no such flag. What comes between the look and the rename is a race that only
            // two processes which start at once can lose.
            Err(Errno::INVAL | Errno::NOSYS) if !to.try_exists()? => std::fs::rename(from, to)?,
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Self::sync_folder_of(to)?;
        Ok(true)
    }

    /// Returns once the names in the folder of `path` are on disk.
    pub fn sync_folder_of(path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Takes away what rights others than the owner have to the file, where this user may do that.
    pub fn keep_others_out(&self) -> io::Result<()> {
        let mut permissions = self.file.metadata()?.permissions();
        let mode = permissions.mode() & 0o7777;
        if mode == mode & 0o700 {
            return Ok(());
        }
        permissions.set_mode(mode & 0o700);
        match self.file.set_permissions(permissions) {
            // Another user's file, which that one lets us write to, or a file system without modes.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            done => done,
        }
    }

    /// True while `path` leads to this file.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        match std::fs::metadata(path) {
            Ok(now) => Ok(is_same(&now, &self.file.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn from_locked(file: File) -> Self {
        Self {
            file,
            mappings: Mutex::default(),
            owner: Owner::new(),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// True when the file has no bytes.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes the file `bytes` long with its space reserved on disk, if it is shorter; what is new is zero.
    ///
    /// A full disk, a quota or a limit on file sizes is an error, and the file is as before.
    pub fn grow(&self, bytes: u64) -> io::Result<()> {
        let before = self.len()?;
        if bytes <= before {
            return Ok(());
        }
        // Beyond this limit the system would send a signal that ends the process.
        if getrlimit(Resource::Fsize)
            .current
            .is_some_and(|most| bytes > most)
        {
            return Err(Errno::FBIG.into());
        }
        let grown = match fallocate(&self.file, FallocateFlags::empty(), before, bytes - before) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(before, bytes),
            Err(error) => Err(error.into()),
        };
        if grown.is_err() {
            // Some file systems leave a part of what was asked for. Nothing of it was mapped.
            self.file.set_len(before)?;
        }
        grown
    }

    /// Where the last hole begins, if the file ends in one; else its length. Space that was reserved and never written
    /// to counts as a hole.
    pub fn data_end(&self) -> io::Result<u64> {
        let mut end = 0;
        loop {
            match seek(&self.file, SeekFrom::Data(end)) {
                Ok(data) => end = seek(&self.file, SeekFrom::Hole(data))?,
                Err(Errno::NXIO) => return Ok(end),
                Err(Errno::INVAL | Errno::OPNOTSUPP) => return self.len(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reserves space on disk for the first `bytes`, where the file has holes: a copy or a backup may have made some.
    ///
    /// A full disk or a quota is an error. Nothing that is in the file changes.
    pub fn reserve(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes.min(self.len()?)) {
            // To write zeros would need to know where the holes are, and such file systems mostly tell of none.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Cuts the file off at `bytes`. Words that were mapped beyond it are cut loose from it, as by [`Self::detach`].
    pub fn shrink(&self, bytes: u64) -> io::Result<()> {
        if bytes >= self.len()? {
            return Ok(());
        }
        for mapping in self.live_mappings() {
            mapping.detach_from(bytes)?;
        }
        self.file.set_len(bytes)
    }

    /// Maps `bytes` from `offset` on, both multiples of the page size, shared with the file.
    pub fn map(&self, offset: u64, bytes: usize) -> io::Result<Words> {
        // INVARIANT: nothing beyond the end is mapped, where an access would be a signal.
        let end = offset.checked_add(bytes as u64).ok_or(Errno::INVAL)?;
        if end > self.len()? {
            return Err(Errno::INVAL.into());
        }
        let mapping = Arc::new(Mapping::shared(&self.file, offset, bytes)?);
        let mut mappings = self.lock_mappings();
        mappings.retain(|mapping| mapping.strong_count() > 0);
        mappings.push(Arc::downgrade(&mapping));
        Ok(Words::mapped(mapping))
    }

    /// Returns once everything written to the words so far, and the file's length, are on disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    /// Cuts every mapping loose from the file: from now on the words are this process's own, and zero. Threads that
    /// still use them do no harm to the file, whoever has it next.
    pub fn detach(&self) -> io::Result<()> {
        self.live_mappings()
            .iter()
            .try_for_each(|mapping| mapping.detach_from(0))
    }

    /// The process that opened the file. A child that it forks shares the open file, the lock and the mapped pages, and
    /// has to leave all of them alone.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Lets others open the file. This one should not be used any more. In a forked child it does nothing: the lock is
    /// the parent's.
    pub fn unlock(&self) -> io::Result<()> {
        if !self.owner.is_here() {
            return Ok(());
        }
        Ok(flock(&self.file, FlockOperation::Unlock)?)
    }

    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            let left = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.file.write_all_at(&ZEROS[..left], at)?;
            at += left as u64;
        }
        // Some file systems find out that they are full only when they write.
        self.sync()
    }

    fn live_mappings(&self) -> Vec<Arc<Mapping>> {
        self.lock_mappings().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock_mappings(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Mapping>>> {
        // A panic while it was held leaves a list that is a list.
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // Closing is not enough: a child that is between fork and exec has the open file, and its lock, a little longer.
        // Words that live on keep the lock, as they keep the file.
        // In a forked child the list may be locked for good, by a thread that is not there.
        if self.owner.is_here() && self.live_mappings().is_empty() {
            // A file that cannot be unlocked is closed next, which unlocks it.
            let _ = self.unlock();
        }
    }
}

fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::other("expected a file, this is a pipe or a device"));
    }
    Ok(file)
}

/// An error for a symbolic link that leads to nothing: no file can be made under its name.
fn refuse_dangling(path: &Path) -> io::Result<()> {
    match std::fs::read_link(path) {
        Ok(target) => Err(io::Error::other(format!(
            "it is a symbolic link to `{}`, which does not exist; create that file's folder and remove the link, or choose \
             another path",
            target.display()
        ))),
        Err(_) => Ok(()),
    }
}

fn is_same(left: &std::fs::Metadata, right: &std::fs::Metadata) -> bool {
    (left.dev(), left.ino()) == (right.dev(), right.ino())
}

fn lock(file: &File) -> Result<(), LockError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(LockError::InUse),
        Err(error) => Err(LockError::Io(error.into())),
    }
}

/// Pages of a file in memory, unmapped when they are dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    len: usize,
    offset: u64,
}

#[expect(unsafe_code, reason = "the pointer is used by the system calls alone")]
// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "as for `Send`")]
// SAFETY: as for `Send`; its methods leave the pages mapped and accessible.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn shared(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        #[expect(unsafe_code, reason = "maps the file where the system likes")]
        // SAFETY: without `FIXED` no memory in use is replaced. That the file changes under the mapping is what the
        // words' atomics are for.
        let start = unsafe { mmap(null_mut(), len, access, MapFlags::SHARED, file, offset) }?;
        let start = NonNull::new(start).ok_or(Errno::NOMEM)?;
        Ok(Self { start, len, offset })
    }

    /// A page of zeros that belongs to no file, and that a forked child finds zeroed again.
    pub(crate) fn wiped_on_fork() -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        #[expect(unsafe_code, reason = "maps a page where the system likes")]
        // SAFETY: without `FIXED` no memory in use is replaced.
        let start = unsafe { mmap_anonymous(null_mut(), PAGE_BYTES, access, MapFlags::PRIVATE) }?;
        let start = NonNull::new(start).ok_or(Errno::NOMEM)?;
        let mapping = Self {
            start,
            len: PAGE_BYTES,
            offset: 0,
        };
        #[expect(unsafe_code, reason = "changes what a fork does with that page")]
        // SAFETY: the range is this mapping's own. In a child its words, which are atomics, read as zero.
        unsafe { madvise(start.as_ptr(), PAGE_BYTES, Advice::LinuxWipeOnFork) }?;
        Ok(mapping)
    }

    pub(crate) fn start(&self) -> NonNull<c_void> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts private zeroed pages in place of those that lie at or beyond `file_offset`, in one step.
    fn detach_from(&self, file_offset: u64) -> io::Result<()> {
        let kept = usize::try_from(file_offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if kept >= self.len {
            return Ok(());
        }
        #[expect(unsafe_code, reason = "stays within the mapping")]
        // SAFETY: `kept` is less than the length of the mapping.
        let start = unsafe { self.start.as_ptr().byte_add(kept) };
        let access = ProtFlags::READ | ProtFlags::WRITE;
        #[expect(unsafe_code, reason = "replaces pages of this mapping alone")]
        // SAFETY: the range is part of this mapping, which stays mapped, readable and writable throughout: the system
        // swaps the pages while it holds the address space's lock. Its words are atomics that any value may replace.
        unsafe {
            mmap_anonymous(
                start,
                self.len - kept,
                access,
                MapFlags::PRIVATE | MapFlags::FIXED,
            )
        }?;
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "unmaps what `shared` mapped")]
        // SAFETY: the range is this mapping's own, and whoever used it held a share of it.
        let unmapped = unsafe { munmap(self.start.as_ptr(), self.len) };
        debug_assert!(unmapped.is_ok(), "a mapping is a range of pages");
    }
}
