//! LevelDB databases, read in the order of their keys.
//!
//! The library writes while it opens (it replays the log) and is bound to one thread. So it sees the
//! folder through `ReadOnly`, and a thread of its own answers questions.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};

use cortado_layers::LayerError;
use rusty_leveldb::{DB, DBIterator, LdbIterator, Options, WriteBatch};

use super::read_only::{Damage, NAME, NoFilter, ReadOnly};
use super::{Payload, Record, SOURCE, Source};

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
        let folder = path.to_path_buf();
        let (ask, questions) = channel::<Vec<u64>>();
        let (answer, answers) = channel();
        let (opened, ready) = channel();
        let run = move || {
            let mut walk = match Walk::open(&folder, count) {
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
    damage: Damage,
}

/// Of the log, in memory: as much as the original keeps there.
const LOG_BYTES: usize = 256 << 20;
/// Open at a time, as in the original.
const TABLES: usize = 100;

impl Walk {
    fn open(folder: &Path, count: bool) -> Result<Walk, String> {
        let damage = Damage::default();
        let options = Options {
            create_if_missing: false,
            filter_policy: Rc::new(Box::new(NoFilter)),
            write_buffer_size: LOG_BYTES,
            max_open_files: TABLES,
            env: Rc::new(Box::new(ReadOnly::new(folder, damage.clone()))),
            ..Options::default()
        };
        // What was passed over says more than what came of it.
        let told = |e: rusty_leveldb::Status| match e.err.contains("missing live files") {
            true => "one of its tables is missing: copy it anew".to_owned(),
            false => e.to_string(),
        };
        let why = |e: rusty_leveldb::Status| damage.take().unwrap_or_else(|| told(e));
        let mut db = DB::open(NAME, options).map_err(why)?;
        let mut iter = db.new_iter().map_err(why)?;
        iter.seek_to_first();
        let empty = !iter.valid();
        let mut walk = Walk { db, iter, at: 0, records: None, keys: Vec::new(), damage };
        while count && let Some((key, _)) = walk.iter.current() {
            walk.keys.push(key.to_vec());
            walk.records = Some(walk.keys.len() as u64);
            walk.iter.advance();
        }
        match walk.damage.take() {
            Some(why) => Err(why),
            None if empty => Err("it holds no records".to_owned()),
            None => Ok(walk),
        }
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Pair>, String> {
        let pair = |&number: &u64| {
            let found = match self.keys.get(number as usize) {
                Some(key) => self.db.get(key).map(|value| (key.clone(), value.to_vec())),
                None => self.go_to(number),
            };
            found.ok_or_else(|| format!("record {number} is damaged or not there"))
        };
        let found: Result<Vec<Pair>, String> = numbers.iter().map(pair).collect();
        let Some(why) = self.damage.take() else { return found };
        // Records were passed over, so that the count is wrong: another try begins anew.
        self.records = (!self.keys.is_empty()).then_some(self.keys.len() as u64);
        self.iter.seek_to_first();
        self.at = 0;
        Err(why)
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
