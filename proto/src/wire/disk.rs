//! Where files are written: the machine's disk, or one that a test makes up (full, failing, cut off).

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// What writing a file safely needs of a disk.
pub trait Disk: Send + Sync {
    /// A new, empty file.
    ///
    /// # Errors
    /// It can't be made.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of what had it.
    ///
    /// # Errors
    /// Nothing has changed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// It is still there, or never was.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns when the names in a directory are safe.
    ///
    /// # Errors
    /// They may not be.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// A file being written.
pub trait DiskFile: Write {
    /// Returns when the contents are safe.
    ///
    /// # Errors
    /// They may not be.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        // Systems that can't open or sync a directory keep its names safe in other ways.
        let Ok(directory) = File::open(path) else { return Ok(()) };
        match directory.sync_all() {
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                Ok(())
            }
            other => other,
        }
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}
