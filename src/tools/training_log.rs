//! The log of a training as tables, as the original's `parse_log.py` writes them: of this program and
//! of the original.
//!
//! As there, a row has the learning rate known when its first value came, the first row that of the
//! second.

use std::path::{Path, PathBuf};

use cortado_proto::wire::write_file;
use jiff::civil::DateTime;

use super::ToolError;
use super::log_line::LogLine;

/// The rows of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the outputs, in the order in which they came first.
    pub outputs: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// The values of one displayed or tested iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which iteration.
    pub iteration: f64,
    /// Seconds since the start of the training.
    pub seconds: f64,
    /// The learning rate.
    pub rate: f64,
    /// Output and value.
    pub values: Vec<(String, f64)>,
}

/// Both tables of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingLog {
    /// What training showed.
    pub train: Table,
    /// What tests gave.
    pub test: Table,
}

impl TrainingLog {
    /// Reads a log. `year` is that of its last line: the lines name none.
    ///
    /// # Errors
    /// It holds no line of a training.
    pub fn parse(text: &str, year: i16) -> Result<TrainingLog, String> {
        let mut log = TrainingLog::default();
        let (mut iteration, mut rate) = (None, f64::NAN);
        let (mut year, mut start, mut last) = (year, None, None::<DateTime>);
        let crossings = crossings(text);
        year = year.saturating_sub(crossings);
        // A file may have been copied years after a 29 February.
        let has_day = |line: &str| time_of(line, 2000).is_some() == time_of(line, year).is_some();
        if crossings == 0 && !text.lines().all(has_day) {
            let leap = |year: &i16| jiff::civil::Date::new(*year, 2, 29).is_ok();
            year = (0..8).map(|back| year.saturating_sub(back)).find(leap).unwrap_or(year);
        }
        for line in text.lines() {
            let Some(mut time) = time_of(line, year) else { continue };
            if last.is_some_and(|last| time.month() < last.month()) {
                year = year.saturating_add(1);
                time = time_of(line, year).unwrap_or(time);
            }
            last = Some(time);
            if line.contains("Solving") {
                start.get_or_insert(time);
            }
            let said = LogLine::read(line);
            iteration = said.iteration.or(iteration);
            let Some(iteration) = iteration else { continue };
            rate = said.rate.unwrap_or(rate);
            let since = time.duration_since(*start.get_or_insert(time)).as_secs_f64();
            for (table, output) in [(&mut log.train, said.train), (&mut log.test, said.test)] {
                if let Some((name, value)) = output {
                    table.put(iteration, since, rate, name, value);
                }
            }
        }
        if log.train.rows.is_empty() && log.test.rows.is_empty() {
            return Err(
                "holds no `Train net output` and no `Test net output`: is it the log of a training?"
                    .to_owned(),
            );
        }
        log.train.mend_first_rate();
        log.test.mend_first_rate();
        Ok(log)
    }

    /// Reads the log `path` and writes `NAME.train` and `NAME.test` into `folder`, those that have
    /// rows. Their paths and numbers of rows.
    ///
    /// # Errors
    /// The log can't be read or is none, a file can't be written.
    pub fn convert(
        path: &Path,
        folder: &Path,
        delimiter: char,
    ) -> Result<Vec<(PathBuf, usize)>, ToolError> {
        let shown = path.display();
        let bytes = cortado_proto::read_file(path, u64::MAX)
            .map_err(|e| ToolError(format!("can't read `{shown}`: {e}")))?;
        let log = TrainingLog::parse(&String::from_utf8_lossy(&bytes), year_of(path))
            .map_err(|why| ToolError(format!("`{shown}` {why}")))?;
        let mut written = Vec::new();
        for (ending, table) in [("train", &log.train), ("test", &log.test)] {
            if !table.rows.is_empty() {
                let mut name = path.file_name().unwrap_or_default().to_os_string();
                name.push(format!(".{ending}"));
                let to = folder.join(name);
                write_file(&to, |out| {
                    std::io::Write::write_all(out, table.csv(delimiter).as_bytes())
                })
                .map_err(|e| ToolError(e.to_string()))?;
                written.push((to, table.rows.len()));
            }
        }
        Ok(written)
    }
}

impl Table {
    fn put(&mut self, iteration: f64, seconds: f64, rate: f64, name: &str, value: f64) {
        if !self.outputs.iter().any(|known| known == name) {
            self.outputs.push(name.to_owned());
        }
        // An output that is there already begins a new row: an iteration may be tested twice.
        let row = self.rows.last_mut().filter(|row| row.iteration == iteration);
        let pair = (name.to_owned(), value);
        match row.filter(|row| row.values.iter().all(|(known, _)| known != name)) {
            Some(row) => row.values.push(pair),
            None => self.rows.push(Row { iteration, seconds, rate, values: vec![pair] }),
        }
    }

    fn mend_first_rate(&mut self) {
        if let [first, second, ..] = &mut self.rows[..] {
            first.rate = second.rate;
        }
    }

    /// The table as text: `NumIters,Seconds,LearningRate,…`, lines ended as spreadsheets do.
    pub fn csv(&self, delimiter: char) -> String {
        let mut text = String::new();
        let mut line = |cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| quoted(cell, delimiter)).collect();
            text += &cells.join(&delimiter.to_string());
            text += "\r\n";
        };
        let head = ["NumIters", "Seconds", "LearningRate"].map(str::to_owned);
        line(head.into_iter().chain(self.outputs.clone()).collect());
        for row in &self.rows {
            let value = |name: &String| {
                let found = row.values.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| number(*value)).unwrap_or_default()
            };
            let head = [row.iteration, row.seconds, row.rate].map(number);
            line(head.into_iter().chain(self.outputs.iter().map(value)).collect());
        }
        text
    }
}

fn quoted(cell: &str, delimiter: char) -> String {
    match cell.contains([delimiter, '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

/// A number as Python prints it: the shortest text that reads back, `1.0`, `1e-05`.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// When a line was written: `I1122 19:13:44.828763 …` or, by newer loggers, `I20261122 …`.
fn time_of(line: &str, year: i16) -> Option<DateTime> {
    let mut words = line.split_whitespace();
    let day = words.next()?.strip_prefix(['I', 'W', 'E', 'F'])?;
    let time = words.next()?;
    let (year, day) = match day.len() {
        8 => (day.get(..4)?.parse().ok()?, day.get(4..)?),
        4 => (year, day),
        _ => return None,
    };
    let (hms, micros) = time.split_once('.').unwrap_or((time, "0"));
    let mut hms = hms.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (hms.next()??, hms.next()??, hms.next()??);
    let nanos = format!("{micros:0<9}").get(..9)?.parse().ok()?;
    let (month, day) = (day.get(..2)?.parse().ok()?, day.get(2..)?.parse().ok()?);
    DateTime::new(year, month, day, hour, minute, second, nanos).ok()
}

/// How often the month falls from one line to the next: so many new years.
fn crossings(text: &str) -> i16 {
    let months: Vec<i8> =
        text.lines().filter_map(|line| time_of(line, 2000)).map(|time| time.month()).collect();
    let years = months.windows(2).filter(|pair| pair[1] < pair[0]).count();
    i16::try_from(years).unwrap_or(i16::MAX)
}

fn year_of(path: &Path) -> i16 {
    let changed = std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let changed = changed.and_then(|time| jiff::Timestamp::try_from(time).ok());
    let zone = jiff::tz::TimeZone::system();
    changed.map_or(2000, |time| time.to_zoned(zone).year())
}
