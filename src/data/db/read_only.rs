//! A LevelDB folder that stays as it is: the library replays logs and merges tables while it opens a
//! database, and all that it writes goes to files without names, which vanish with the program. It
//! passes over blocks that are damaged or can't be read as if nothing were there: they are noted here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use rusty_leveldb::env::{Env, FileLock, Logger, RandomAccess};
use rusty_leveldb::{FilterPolicy, Result, Status};

/// The folder, by the name that the library is given: it takes no path that isn't Unicode.
pub(super) const NAME: &str = "db";

pub(super) struct ReadOnly {
    folder: PathBuf,
    /// What was written, renamed or removed (`None`) since, by its name.
    changed: RefCell<BTreeMap<OsString, Option<Rc<File>>>>,
    damage: Damage,
}

/// What was passed over since this was asked last.
pub(super) type Damage = Rc<RefCell<Option<String>>>;

impl ReadOnly {
    pub(super) fn new(folder: &Path, damage: Damage) -> ReadOnly {
        ReadOnly { folder: folder.to_path_buf(), changed: RefCell::default(), damage }
    }

    fn find(&self, path: &Path) -> Result<Rc<File>> {
        let name = path.file_name().unwrap_or_default();
        let found = match self.changed.borrow().get(name) {
            Some(Some(file)) => Ok(file.clone()),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => {
                let file = File::open(self.folder.join(name));
                // Until 2012 tables had another ending, which the library does not know.
                let old = |_| File::open(self.folder.join(name).with_extension(OLD_TABLE));
                match Path::new(name).extension().is_some_and(|ending| ending == TABLE) {
                    true => file.or_else(old).map(Rc::new),
                    false => file.map(Rc::new),
                }
            }
        };
        found.map_err(|e| named(path, e))
    }

    fn note(&self, damage: String) {
        self.damage.borrow_mut().get_or_insert(damage);
    }

    fn change(&self, path: &Path, to: Option<Rc<File>>) {
        let name = path.file_name().unwrap_or_default().to_owned();
        self.changed.borrow_mut().insert(name, to);
    }
}

const TABLE: &str = "ldb";
const OLD_TABLE: &str = "sst";

fn named(path: &Path, e: io::Error) -> Status {
    let why = format!("`{}`: {e}", path.file_name().unwrap_or_default().display());
    Status { err: why, ..Status::from(e) }
}

/// A file read from a place of its own: clones of a file share theirs.
struct Reading(Rc<File>, usize);

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(self.1, buffer).map_err(io::Error::other)?;
        self.1 += read;
        Ok(read)
    }
}

/// A table; its blocks are held against their checksums.
struct Table {
    name: String,
    file: Rc<File>,
    damage: Damage,
}

impl RandomAccess for Table {
    fn read_at(&self, offset: usize, buffer: &mut [u8]) -> Result<usize> {
        let read = self.file.read_at(offset, buffer);
        let why = match &read {
            Err(e) => e.to_string(),
            Ok(read) if *read < buffer.len() => "it ends early".to_owned(),
            Ok(_) if buffer.ends_with(&TABLE_END) || is_whole(buffer) => return read,
            Ok(_) => "its checksum differs".to_owned(),
        };
        let why = format!("its table `{}` is damaged at byte {offset}: {why}", self.name);
        self.damage.borrow_mut().get_or_insert(why);
        read
    }
}

/// A table ends with the places of two blocks, in 40 bytes, and its sign.
fn is_table(file: &File) -> Result<bool> {
    let length = file.metadata()?.len() as usize;
    let mut end = [0; 48];
    if length < end.len() {
        return Ok(false);
    }
    file.read_at(length - end.len(), &mut end)?;
    let mut places = &end[..40];
    let mut number = || prost::encoding::decode_varint(&mut places).ok();
    let mut block = || number()?.checked_add(number()?).filter(|end| *end <= length as u64);
    Ok(end.ends_with(&TABLE_END) && block().is_some() && block().is_some())
}

/// Where the first record of a log begins that is not what was written. The last one may be cut off:
/// its writer died.
fn damaged_record(file: &File) -> Result<Option<usize>> {
    const BLOCK: usize = 1 << 15;
    // Checksum, length, kind.
    const HEAD: usize = 7;
    let length = file.metadata()?.len() as usize;
    let mut block = vec![0; BLOCK];
    for start in (0..length).step_by(BLOCK) {
        let read = file.read_at(start, &mut block)?;
        let (mut rest, mut at) = (&block[..read], start);
        while let Some((head, body)) = rest.split_first_chunk::<HEAD>() {
            let [a, b, c, d, low, high, kind] = *head;
            let size = usize::from(u16::from_le_bytes([low, high]));
            // Room that was set aside.
            if kind == 0 && size == 0 {
                break;
            }
            let Some((record, next)) = body.split_at_checked(size) else {
                return Ok((start + read < length || read == BLOCK).then_some(at));
            };
            let told = u32::from_le_bytes([a, b, c, d]);
            if unmasked(told) != crc32c::crc32c_append(crc32c::crc32c(&[kind]), record) {
                return Ok(Some(at));
            }
            (rest, at) = (next, at + HEAD + size);
        }
    }
    Ok(None)
}

/// Checksums of LevelDB are turned and moved.
fn unmasked(sum: u32) -> u32 {
    sum.wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// The last bytes of every table.
const TABLE_END: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

/// A block ends with its CRC-32C.
fn is_whole(block: &[u8]) -> bool {
    let Some((block, sum)) = block.split_last_chunk::<4>() else { return false };
    crc32c::crc32c(block) == unmasked(u32::from_le_bytes(*sum))
}

impl RandomAccess for Reading {
    fn read_at(&self, offset: usize, buffer: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

/// A file that only grows.
struct Writing(Rc<File>);

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Env for ReadOnly {
    fn open_sequential_file(&self, path: &Path) -> Result<Box<dyn Read>> {
        let file = self.find(path)?;
        let name = path.file_name().unwrap_or_default().display().to_string();
        let is_log = name.ends_with(".log") || name.starts_with("MANIFEST-");
        let damage = if is_log { damaged_record(&file) } else { Ok(None) };
        if let Some(at) = damage? {
            self.note(format!("its file `{name}` is damaged at byte {at}: what follows is lost"));
        }
        Ok(Box::new(Reading(file, 0)))
    }

    fn open_random_access_file(&self, path: &Path) -> Result<Box<dyn RandomAccess>> {
        let name = path.file_name().unwrap_or_default();
        let written = self.changed.borrow().contains_key(name);
        let file = self.find(path).inspect_err(|e| self.note(e.to_string()))?;
        if written {
            return Ok(Box::new(Reading(file, 0)));
        }
        let name = name.display().to_string();
        if !is_table(&file)? {
            self.note(format!("its table `{name}` is cut off or damaged: copy it anew"));
            return Err(named(path, io::ErrorKind::InvalidData.into()));
        }
        Ok(Box::new(Table { name, file, damage: self.damage.clone() }))
    }

    fn open_writable_file(&self, path: &Path) -> Result<Box<dyn Write>> {
        let aside = tempfile::tempfile().map_err(|e| {
            let folder = std::env::temp_dir();
            named(
                path,
                io::Error::new(
                    e.kind(),
                    format!("nothing can be set aside in `{}`: {e}", folder.display()),
                ),
            )
        })?;
        let file = Rc::new(aside);
        self.change(path, Some(file.clone()));
        Ok(Box::new(Writing(file)))
    }

    fn open_appendable_file(&self, path: &Path) -> Result<Box<dyn Write>> {
        match self.changed.borrow().get(path.file_name().unwrap_or_default()) {
            Some(Some(file)) => return Ok(Box::new(Writing(file.clone()))),
            // A log or manifest of the folder, to be gone on with: no record follows, and what is
            // noted in them is not read again.
            None if self.exists(path)? => return Ok(Box::new(io::sink())),
            _ => {}
        }
        self.open_writable_file(path)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        Ok(self.find(path).is_ok())
    }

    fn children(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let changed = self.changed.borrow();
        let entries = fs::read_dir(&self.folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let known = |name: OsString| match Path::new(&name).extension() {
            Some(ending) if ending == OLD_TABLE => Path::new(&name).with_extension(TABLE),
            _ => PathBuf::from(name),
        };
        let names = entries.map_err(|e| named(path, e))?.into_iter().map(|e| known(e.file_name()));
        let kept = names.filter(|name| !changed.contains_key(name.as_os_str()));
        let written = changed.iter().filter(|(_, file)| file.is_some());
        Ok(kept.chain(written.map(|(name, _)| PathBuf::from(name))).collect())
    }

    fn size_of(&self, path: &Path) -> Result<usize> {
        let about = self.find(path)?.metadata().map_err(|e| named(path, e))?;
        Ok(about.len() as usize)
    }

    fn delete(&self, path: &Path) -> Result<()> {
        self.find(path)?;
        self.change(path, None);
        Ok(())
    }

    fn mkdir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn rmdir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let file = self.find(from)?;
        self.change(from, None);
        self.change(to, Some(file));
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<FileLock> {
        Ok(FileLock { id: path.display().to_string() })
    }

    fn unlock(&self, _: FileLock) -> Result<()> {
        Ok(())
    }

    fn new_logger(&self, _: &Path) -> Result<Logger> {
        Ok(Logger::new(Box::new(io::sink())))
    }

    fn micros(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_micros() as u64
    }

    fn sleep_for(&self, micros: u32) {
        std::thread::sleep(Duration::from_micros(micros.into()));
    }
}

/// Filters are not read: they are blocks without a checksum, and say only what is not there. The library
/// takes the filter whose name is this or comes next, so none may come behind it.
pub(super) struct NoFilter;

impl FilterPolicy for NoFilter {
    fn name(&self) -> &'static str {
        "~~~~~~~~~~~~~~~~"
    }

    fn create_filter(&self, _: &[u8], _: &[usize]) -> Vec<u8> {
        // None at all is more than the library can read.
        vec![0]
    }

    fn key_may_match(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}
