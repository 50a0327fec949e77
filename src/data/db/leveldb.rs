//! LevelDB databases, read in the order of their keys.
//!
//! The library writes while it opens (it replays the log) and is bound to one thread. So it gets a
//! folder of its own, with links to the tables, and a thread that answers questions.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use cortado_layers::LayerError;
use rusty_leveldb::{DB, DBIterator, LdbIterator, Options, WriteBatch};
use tempfile::TempDir;

use super::{Payload, Record, SOURCE, Source};

/// The last bytes of every table.
const TABLE_END: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

/// Key and value.
type Pair = (Vec<u8>, Vec<u8>);

/// A database.
pub struct LevelDb {
    path: PathBuf,
    /// If they were counted. Else numbers past the last record begin anew.
    records: Option<u64>,
    ask: Sender<Vec<u64>>,
    answers: Receiver<Result<Vec<Pair>, String>>,
}

impl LevelDb {
    /// Opens the folder `path`. With `count` all keys are read at once.
    pub fn open(path: &Path, count: bool) -> Result<LevelDb, LayerError> {
        let failed = |why: String| failed(path, &why);
        let folder = links(path).map_err(failed)?;
        let (ask, questions) = channel::<Vec<u64>>();
        let (answer, answers) = channel();
        let (opened, ready) = channel();
        let run = move || {
            let mut walk = match Walk::open(folder, count) {
                Ok(walk) => walk,
                Err(why) => return opened.send(Err(why)).unwrap_or_default(),
            };
            let mut told = opened.send(Ok(walk.records)).is_ok();
            while told && let Ok(numbers) = questions.recv() {
                told = answer.send(walk.read(&numbers)).is_ok();
            }
        };
        let thread = std::thread::Builder::new().name("LevelDB".to_owned()).spawn(run);
        thread.map_err(|e| failed(format!("can't start a thread: {e}")))?;
        let records = ready.recv().unwrap_or_else(|_| Err(BROKEN.to_owned())).map_err(failed)?;
        Ok(LevelDb { path: path.to_path_buf(), records, ask, answers })
    }
}

const BROKEN: &str = "the thread that reads it broke down";

fn failed(path: &Path, why: &str) -> LayerError {
    let why = format!("can't read the LevelDB database `{}`: {why}", path.display());
    LayerError::field(SOURCE, why)
}

impl Source for LevelDb {
    fn records(&self) -> u64 {
        self.records.unwrap_or(u64::MAX)
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let answer = match self.ask.send(numbers.to_vec()) {
            Ok(()) => self.answers.recv().unwrap_or_else(|_| Err(BROKEN.to_owned())),
            Err(_) => Err(BROKEN.to_owned()),
        };
        let found = answer.map_err(|why| failed(&self.path, &why))?;
        let record = |(&index, (key, value)): (&u64, Pair)| Record {
            index,
            key,
            payload: Payload::Datum(value),
        };
        Ok(numbers.iter().zip(found).map(record).collect())
    }
}

/// A walk over the records.
struct Walk {
    db: DB,
    iter: DBIterator,
    /// Number of the record the iterator is at.
    at: u64,
    /// Once the end was seen.
    records: Option<u64>,
    /// All of them, if they were counted.
    keys: Vec<Vec<u8>>,
    /// Goes when the walk goes.
    _folder: TempDir,
}

impl Walk {
    fn open(folder: TempDir, count: bool) -> Result<Walk, String> {
        let options = Options { create_if_missing: false, ..Options::default() };
        let mut db = DB::open(folder.path(), options).map_err(|e| e.to_string())?;
        let mut iter = db.new_iter().map_err(|e| e.to_string())?;
        iter.seek_to_first();
        if !iter.valid() {
            return Err("it holds no records".to_owned());
        }
        let mut walk = Walk { db, iter, at: 0, records: None, keys: Vec::new(), _folder: folder };
        while count && let Some((key, _)) = walk.iter.current() {
            walk.keys.push(key.to_vec());
            walk.records = Some(walk.keys.len() as u64);
            walk.iter.advance();
        }
        Ok(walk)
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Pair>, String> {
        let pair = |&number: &u64| {
            let found = match self.keys.get(number as usize) {
                Some(key) => self.db.get(key).map(|value| (key.clone(), value.to_vec())),
                None => self.go_to(number),
            };
            found.ok_or_else(|| format!("record {number} is damaged or not there"))
        };
        numbers.iter().map(pair).collect()
    }

    fn go_to(&mut self, number: u64) -> Option<Pair> {
        loop {
            let target = self.records.map_or(number, |records| number % records);
            if self.at > target {
                self.iter.seek_to_first();
                self.at = 0;
            }
            while self.at < target && self.iter.advance() {
                self.at += 1;
            }
            if self.at == target {
                return self.iter.current().map(|(key, value)| (key.to_vec(), value.to_vec()));
            }
            // The end: from now on it is known.
            self.records = Some(self.at + 1);
            self.iter.seek_to_first();
            self.at = 0;
        }
    }
}

/// A folder like `path`: the tables linked, what the library writes to copied.
fn links(path: &Path) -> Result<TempDir, String> {
    let folder = tempfile::Builder::new().prefix("cortado-leveldb-").tempdir();
    let folder = folder.map_err(|e| format!("can't make a temporary folder: {e}"))?;
    let entries = fs::read_dir(path).map_err(|e| e.to_string())?;
    for entry in entries {
        let entry = entry.map_err(|e| e.to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (from, to) = (entry.path(), folder.path().join(&name));
        let done = if name.ends_with(".ldb") || name.ends_with(".sst") {
            if !is_whole(&from).map_err(|e| format!("`{name}`: {e}"))? {
                return Err(format!("its table `{name}` is cut off or damaged: copy it anew"));
            }
            link(&from, &to)
        } else if name == "CURRENT" || name.starts_with("MANIFEST-") || name.ends_with(".log") {
            fs::read(&from).and_then(|bytes| fs::write(&to, bytes))
        } else {
            Ok(())
        };
        done.map_err(|e| format!("`{name}`: {e}"))?;
    }
    Ok(folder)
}

fn is_whole(table: &Path) -> std::io::Result<bool> {
    let mut file = File::open(table)?;
    let mut end = [0; 8];
    if file.metadata()?.len() < end.len() as u64 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-(end.len() as i64)))?;
    file.read_exact(&mut end)?;
    Ok(end == TABLE_END)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to).map(drop)
}

/// A database being written.
pub(super) struct NewLevelDb(DB);

impl NewLevelDb {
    /// Begins a database in an empty folder.
    pub fn create(folder: &Path) -> Result<NewLevelDb, String> {
        let options = Options { create_if_missing: true, ..Options::default() };
        DB::open(folder, options).map(NewLevelDb).map_err(|e| e.to_string())
    }
}

impl super::new::Write for NewLevelDb {
    fn write(&mut self, pairs: &[Pair]) -> Result<(), String> {
        let mut batch = WriteBatch::default();
        pairs.iter().for_each(|(key, value)| batch.put(key, value));
        self.0.write(batch, false).map_err(|e| e.to_string())
    }

    fn close(mut self: Box<Self>) -> Result<(), String> {
        self.0.flush().and_then(|()| self.0.close()).map_err(|e| e.to_string())
    }
}
