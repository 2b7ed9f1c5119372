//! A file of words: locked, preallocated, mapped in parts.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{
    CWD, FallocateFlags, FlockOperation, OFlags, RenameFlags, SeekFrom, fallocate, flock, renameat_with, seek,
};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use rustix::process::{Resource, getrlimit};

use crate::{Owner, Words};

/// A file that this process alone has open for writing, as long as other programs respect its lock.
#[derive(Debug)]
pub struct MappedFile {
    file: File,
    mappings: Mutex<Vec<Weak<Mapping>>>,
    owner: Owner,
}

/// The reason for which a file cannot be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another process (or another open file in this one) holds the lock.
    InUse,
    /// Any other error.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Attempts when a path is replaced while its file is being locked.
const ATTEMPTS: usize = 16;

/// The size of one page in bytes; a system with larger pages rounds up.
const PAGE_BYTES: usize = 4096;

/// A block of zeros, written repeatedly if the file system cannot reserve space.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl MappedFile {
    /// Opens and locks an existing file; `None` if there is none.
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
            // Between opening and locking, the path may have been given to another file, for instance by a repair.
            let file = Self::from_locked(file);
            if file.is_at(path)? {
                return Ok(Some(file));
            }
        }
        Err(LockError::InUse)
    }

    /// Creates and locks an empty file for this user alone (mode 0600), replacing one that is not locked.
    pub fn create(path: &Path) -> Result<Self, LockError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = open_regular(options.mode(0o600), path)?;
        lock(&file)?;
        let file = Self::from_locked(file);
        if !file.is_at(path)? {
            // The process that held the lock has renamed the file meanwhile.
            return Err(LockError::InUse);
        }
        file.file.set_len(0)?;
        Ok(file)
    }

    /// Opens a file for reading, locked or not. Anything else under the path is an error: the other end of a pipe may
    /// never come, and a device has no end.
    pub fn open_to_read(path: &Path) -> io::Result<File> {
        open_regular(OpenOptions::new().read(true), path)
    }

    /// Renames the file durably; `false` if the new path exists.
    pub fn rename_new(from: &Path, to: &Path) -> io::Result<bool> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // The file system does not support the flag. Between the check and the rename, two processes that start at
            // the same time can race.
            Err(Errno::INVAL | Errno::NOSYS) if !to.try_exists()? => std::fs::rename(from, to)?,
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Self::sync_folder_of(to)?;
        Ok(true)
    }

    /// Returns when the directory entries of the folder of `path` are on disk.
    pub fn sync_folder_of(path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Removes the permissions of others than the owner, if this user may do that.
    pub fn keep_others_out(&self) -> io::Result<()> {
        let mut permissions = self.file.metadata()?.permissions();
        let mode = permissions.mode() & 0o7777;
        if mode == mode & 0o700 {
            return Ok(());
        }
        permissions.set_mode(mode & 0o700);
        match self.file.set_permissions(permissions) {
            // The file of another user, who lets this one write to it, or a file system without modes.
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

    /// Returns whether `path` leads to this file.
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

    /// Returns whether the file has no bytes.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Extends the file to `bytes` with its space reserved on disk, if it is shorter; new bytes are zero.
    ///
    /// Fails on a full disk, a quota or a limit on file sizes, and then leaves the file unchanged.
    pub fn grow(&self, bytes: u64) -> io::Result<()> {
        let before = self.len()?;
        if bytes <= before {
            return Ok(());
        }
        // Beyond this limit, the system would send a signal that ends the process.
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
            // Some file systems keep a part of the requested space. None of it was mapped.
            self.file.set_len(before)?;
        }
        grown
    }

    /// The start of the last hole, if the file ends in one; else its length. Reserved space without data counts as a
    /// hole.
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

    /// Reserves space on disk for the holes in the first `bytes`; a copy or a backup may have made some.
    ///
    /// Fails on a full disk or a quota. The contents of the file stay unchanged.
    pub fn reserve(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes.min(self.len()?)) {
            // Writing zeros would require the positions of the holes, which such file systems mostly do not report.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Truncates the file to `bytes`. Detaches words that were mapped beyond it from the file, as [`Self::detach`]
    /// does.
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
        // INVARIANT: nothing beyond the end is mapped, because an access there would raise a signal.
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

    /// Returns when everything written to the words so far, and the file's length, are on disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    /// Detaches every mapping from the file: from now on the words are private to this process, and zero. Threads that
    /// still use them cannot change the file, whichever process opens it next.
    pub fn detach(&self) -> io::Result<()> {
        self.live_mappings()
            .iter()
            .try_for_each(|mapping| mapping.detach_from(0))
    }

    /// The process that opened the file. A child that it forks shares the open file, the lock and the mapped pages, and
    /// must not use any of them.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Releases the lock, so that others can open the file; this one should not be used any more. Does nothing in a
    /// forked child: the lock is the parent's.
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
        // Some file systems notice that they are full only when they write.
        self.sync()
    }

    fn live_mappings(&self) -> Vec<Arc<Mapping>> {
        self.lock_mappings().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock_mappings(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Mapping>>> {
        // A panic of a holder cannot leave the list in an invalid state.
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // Closing is not enough: a child between fork and exec holds the open file, and so its lock, a little longer.
        // Words that are still in use keep the lock, as they keep the file. In a forked child the list may be locked
        // for good by a thread that does not exist there.
        if self.owner.is_here() && self.live_mappings().is_empty() {
            // If unlocking fails, closing the file releases the lock.
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

/// Fails for a symbolic link to nothing: no file can be created under its name.
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
// SAFETY: as for `Send`; its methods keep the pages mapped and accessible.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn shared(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        #[expect(unsafe_code, reason = "maps the file where the system likes")]
        // SAFETY: without `FIXED` no memory in use is replaced. The words are atomics because the file may change under
        // the mapping.
        let start = unsafe { mmap(null_mut(), len, access, MapFlags::SHARED, file, offset) }?;
        let start = NonNull::new(start).ok_or(Errno::NOMEM)?;
        Ok(Self { start, len, offset })
    }

    /// A page of zeros that belongs to no file, and that a forked child receives zeroed.
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
        // SAFETY: the range belongs to this mapping. In a child its words, which are atomics, read as zero.
        unsafe { madvise(start.as_ptr(), PAGE_BYTES, Advice::LinuxWipeOnFork) }?;
        Ok(mapping)
    }

    pub(crate) fn start(&self) -> NonNull<c_void> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Replaces the pages at or beyond `file_offset` by private zeroed pages, in one step.
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
        // replaces the pages while it holds the lock of the address space. Its words are atomics, which may take any
        // value.
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

/// Asks the system to keep these words, which are on the heap, in huge pages where it can.
pub(crate) fn ask_for_huge_pages(words: &[AtomicU64]) {
    let start = words.as_ptr().cast_mut().cast::<c_void>();
    #[expect(unsafe_code, reason = "changes nothing but the size of pages")]
    // SAFETY: the range is that of the words, and what they hold stays.
    let asked = unsafe { madvise(start, size_of_val(words), Advice::LinuxHugepage) };
    // A system without huge pages keeps small ones.
    let _ = asked;
}

/// Tells the system that the whole pages among these words, which are zero and on the heap, are not needed for now.
pub(crate) fn release_pages(words: &[AtomicU64]) {
    let page = rustix::param::page_size();
    let first = words.as_ptr().cast_mut().cast::<c_void>();
    let before = first.addr().next_multiple_of(page) - first.addr();
    let Some(len) = size_of_val(words).checked_sub(before) else {
        return;
    };
    #[expect(unsafe_code, reason = "changes nothing but what the pages cost")]
    // SAFETY: the range lies within the words, which are atomics that any value may replace. Private pages, as
    // allocators use, read as zero afterwards, and shared ones as they are, which is zero as well.
    let released = unsafe {
        madvise(
            first.wrapping_byte_add(before),
            len / page * page,
            Advice::LinuxDontNeed,
        )
    };
    // Pages that the system keeps, locked ones for instance, are zero all the same.
    let _ = released;
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "unmaps what `shared` mapped")]
        // SAFETY: the range belongs to this mapping, and all its users held a share of it.
        let unmapped = unsafe { munmap(self.start.as_ptr(), self.len) };
        debug_assert!(unmapped.is_ok(), "a mapping is a range of pages");
    }
}
