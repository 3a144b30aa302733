//! Records in files.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{LONGEST, Memory, Record};

/// A folder with a file for each interface, by its name, which only the user of the process may read.
///
/// Beside each file is an empty file `<name>.lock`, whose lock the owner of the record holds (flock(2)). The owner
/// releases it, or else the operating system does when the process ends in any way.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Records in the folder at `path`. The folder and its parents are made when the first record is opened.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Memory for Folder {
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Record>>> {
        let record = self.claim(name)?;
        Ok(record.map(|record| Box::new(record) as Box<dyn Record>))
    }
}

impl Folder {
    /// The record of an interface; `None` if somebody else owns it.
    fn claim(&self, name: &str) -> io::Result<Option<FileRecord>> {
        if !is_file_name(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name of a file")));
        }
        private(&mut DirBuilder::new()).recursive(true).create(&self.0)?;
        let file = |suffix: &str| self.0.join(format!("{name}{suffix}"));
        let lock = file(".lock");
        check_plain(&lock)?;
        // The contents of the lock file do not matter, and are not changed: it is empty.
        let lock = readable_by_owner(OpenOptions::new().write(true).create(true).truncate(false)).open(lock)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(FileRecord { path: file(""), draft: file(".new"), lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

struct FileRecord {
    path: PathBuf,
    /// The path of the file that is written first and then renamed to `path`.
    draft: PathBuf,
    lock: File,
}

impl Drop for FileRecord {
    /// Releases the lock. Closing the file is not enough: if another thread of this process is starting a program, the
    /// child process has a copy of the descriptor until it executes that program, and a lock belongs to all copies of
    /// its descriptor together.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "the lock of the record was not released");
        }
    }
}

impl Record for FileRecord {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !check_plain(&self.path)? {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {LONGEST} bytes")));
        }
        Ok(Some(bytes))
    }

    /// The file is not synchronised to the disk. After a loss of power it may be empty or the old one, and only an
    /// address is lost by that.
    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Removes the draft of a run that was killed while it wrote.
        match fs::remove_file(&self.draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut draft = readable_by_owner(OpenOptions::new().write(true).create_new(true)).open(&self.draft)?;
        draft.write_all(bytes)?;
        drop(draft);
        fs::rename(&self.draft, &self.path)
    }
}

/// Whether a name is a valid file name on every system: only letters, digits, `_` and `-`.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether a file exists. Anything but a regular file is an error and must not be opened: opening a pipe would wait for
/// its other end.
fn check_plain(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no plain file", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn private(builder: &mut DirBuilder) -> &mut DirBuilder {
    use std::os::unix::fs::DirBuilderExt as _;

    builder.mode(0o700)
}

#[cfg(not(unix))]
const fn private(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder
}

#[cfg(unix)]
fn readable_by_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    options.mode(0o600)
}

#[cfg(not(unix))]
const fn readable_by_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A folder that does not exist yet, and is removed when this is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            Self(std::env::temp_dir().join(format!("xila-memory-{}-{number}", std::process::id())))
        }

        fn memory(&self) -> Folder {
            Folder::new(self.0.join("state/xila-net"))
        }

        fn file(&self, name: &str) -> PathBuf {
            self.memory().0.join(name)
        }

        fn record(&self) -> Box<dyn Record> {
            self.memory().open("eth0").unwrap().expect("nobody has it")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_next_owner_reads_what_was_stored_last() {
        let scratch = Scratch::new();
        let mut record = scratch.record();
        assert_eq!(record.load().unwrap(), None);
        record.store(b"one").unwrap();
        record.store(b"two").unwrap();
        drop(record);
        assert_eq!(scratch.record().load().unwrap().as_deref(), Some(&b"two"[..]));
        assert!(!scratch.file("eth0.new").exists());
    }

    #[test]
    fn a_record_has_one_owner_at_a_time() {
        let scratch = Scratch::new();
        let record = scratch.record();
        assert!(scratch.memory().open("eth0").unwrap().is_none());
        assert!(scratch.memory().open("eth1").unwrap().is_some(), "another name is another record");
        drop(record);
        assert!(scratch.memory().open("eth0").unwrap().is_some());
    }

    /// A process that another thread has just forked has such a copy.
    #[test]
    fn a_record_is_free_when_its_owner_drops_it_although_a_copy_of_the_descriptor_is_open() {
        let scratch = Scratch::new();
        let record = scratch.memory().claim("eth0").unwrap().expect("nobody has it");
        let copy = record.lock.try_clone().unwrap();
        assert!(scratch.memory().open("eth0").unwrap().is_none());
        drop(record);
        assert!(scratch.memory().open("eth0").unwrap().is_some());
        drop(copy);
    }

    /// Many threads store records at once; each reads only what one of them has stored.
    #[test]
    fn threads_that_open_the_same_record_never_own_it_together() {
        let scratch = Scratch::new();
        let (owners, stored) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let (scratch, owners, stored) = (&scratch, &owners, &stored);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let Some(mut record) = scratch.memory().open("eth0").unwrap() else { continue };
                        assert_eq!(owners.fetch_add(1, Ordering::SeqCst), 0, "somebody else has it");
                        if let Some(bytes) = record.load().unwrap() {
                            assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
                        }
                        record.store(&[thread; 1000]).unwrap();
                        stored.fetch_add(1, Ordering::SeqCst);
                        owners.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(stored.load(Ordering::SeqCst) > 0);
        assert_eq!(scratch.record().load().unwrap().map(|bytes| bytes.len()), Some(1000));
    }

    #[test]
    fn too_long_files_and_directories_are_refused_and_a_file_can_be_replaced() {
        let scratch = Scratch::new();
        let mut record = scratch.record();
        fs::write(scratch.file("eth0"), vec![b'x'; LONGEST + 1]).unwrap();
        assert_eq!(record.load().unwrap_err().kind(), io::ErrorKind::InvalidData);
        record.store(b"one").unwrap();
        assert_eq!(record.load().unwrap().as_deref(), Some(&b"one"[..]));
        fs::write(scratch.file("eth0"), vec![b'x'; LONGEST]).unwrap();
        assert_eq!(record.load().unwrap().map(|bytes| bytes.len()), Some(LONGEST));
        fs::remove_file(scratch.file("eth0")).unwrap();
        fs::create_dir(scratch.file("eth0")).unwrap();
        assert_eq!(record.load().unwrap_err().kind(), io::ErrorKind::InvalidData);
        record.store(b"one").unwrap_err();
        drop(record);
        fs::remove_file(scratch.file("eth0.lock")).unwrap();
        fs::create_dir(scratch.file("eth0.lock")).unwrap();
        assert!(scratch.memory().open("eth0").is_err());
    }

    #[test]
    fn a_draft_of_a_killed_run_does_not_prevent_storing() {
        let scratch = Scratch::new();
        let mut record = scratch.record();
        fs::write(scratch.file("eth0.new"), b"hal").unwrap();
        assert_eq!(record.load().unwrap(), None);
        record.store(b"whole").unwrap();
        assert_eq!(record.load().unwrap().as_deref(), Some(&b"whole"[..]));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let scratch = Scratch::new();
        for name in ["", ".", "..", "../eth0", "a/b", "a.lock", "a\0"] {
            let error = scratch.memory().open(name).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let scratch = Scratch::new();
        scratch.record().store(b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
        assert_eq!(
            [&scratch.file("eth0"), &scratch.file("eth0.lock"), &scratch.memory().0].map(|path| mode(path)),
            [0; 3]
        );
    }

    /// Opening a pipe would wait for a writer.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_in_the_place_of_a_record_is_refused() {
        let scratch = Scratch::new();
        let mut record = scratch.record();
        let made = std::process::Command::new("mkfifo").arg(scratch.file("eth0")).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo is part of every system");
        assert_eq!(record.load().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
