//! Readings on the disk: a table (`.csv`) or one JSON object per line (`.jsonl`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use cortado_proto::wire;
use serde_json::{Map, Value};

use super::probe::Reading;
use super::shown;

const COLUMNS: [&str; 13] = [
    "iteration",
    "probe",
    "mean",
    "std",
    "p5",
    "p15",
    "p50",
    "p85",
    "p95",
    "dead",
    "gradient",
    "weight_gradient",
    "update",
];

/// A file that readings are appended to.
#[derive(Debug)]
pub struct ProbeFile {
    out: File,
    json: bool,
}

impl ProbeFile {
    /// Opens the file for a run that goes on after `done` iterations: what is in it of those stays,
    /// everything else goes.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn open(path: &Path, done: u64) -> io::Result<ProbeFile> {
        let json = path.extension().is_some_and(|ending| ending == "jsonl");
        let before = match done {
            0 => Vec::new(),
            _ => read_readings(&std::fs::read_to_string(path).unwrap_or_default()),
        };
        let head = if json { String::new() } else { COLUMNS.join(",") + "\n" };
        let kept = before.iter().filter(|reading| reading.iter < done);
        let text = head + &kept.map(|reading| line(reading, json)).collect::<String>();
        wire::write_file(path, |out| out.write_all(text.as_bytes())).map_err(io::Error::other)?;
        Ok(ProbeFile { out: OpenOptions::new().append(true).open(path)?, json })
    }

    /// Appends readings.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&mut self, readings: &[Reading]) -> io::Result<()> {
        let lines: String = readings.iter().map(|reading| line(reading, self.json)).collect();
        self.out.write_all(lines.as_bytes())
    }
}

fn numbers(reading: &Reading) -> [Option<f64>; 11] {
    let [p5, p15, p50, p85, p95] = reading.percentiles.map(Some);
    let Reading { mean, std, dead, gradient, weight_gradient, update, .. } = *reading;
    [Some(mean), Some(std), p5, p15, p50, p85, p95, dead, gradient, weight_gradient, update]
}

fn line(reading: &Reading, json: bool) -> String {
    let numbers = numbers(reading);
    if json {
        let mut object = Map::new();
        object.insert(COLUMNS[0].to_owned(), reading.iter.into());
        object.insert(COLUMNS[1].to_owned(), reading.probe.as_str().into());
        for (name, number) in COLUMNS[2..].iter().zip(numbers) {
            // Numbers that are none are null.
            let rounded = number.and_then(|number| shown(number).parse::<f64>().ok());
            object.insert((*name).to_owned(), rounded.map_or(Value::Null, Value::from));
        }
        return format!("{}\n", Value::Object(object));
    }
    let cells = numbers.map(|number| number.map(shown).unwrap_or_default());
    let probe = reading.probe.replace([',', '\n', '\r'], ";");
    format!("{},{},{}\n", reading.iter, probe, cells.join(","))
}

/// The readings of a file's text, in either form; lines that are none are passed over, so of any other
/// text there are none.
pub fn read_readings(text: &str) -> Vec<Reading> {
    text.lines()
        .filter_map(|line| if line.starts_with('{') { from_json(line) } else { from_csv(line) })
        .collect()
}

fn from_csv(line: &str) -> Option<Reading> {
    let cells: Vec<&str> = line.split(',').collect();
    let [iter, probe, numbers @ ..] = &cells[..] else { return None };
    let numbers: Vec<Option<f64>> = numbers.iter().map(|cell| cell.parse().ok()).collect();
    reading(iter.parse().ok()?, probe, &numbers)
}

fn from_json(line: &str) -> Option<Reading> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let numbers: Vec<Option<f64>> =
        COLUMNS[2..].iter().map(|name| object.get(*name).and_then(Value::as_f64)).collect();
    reading(object.get(COLUMNS[0])?.as_u64()?, object.get(COLUMNS[1])?.as_str()?, &numbers)
}

fn reading(iter: u64, probe: &str, numbers: &[Option<f64>]) -> Option<Reading> {
    let &[mean, std, p5, p15, p50, p85, p95, dead, gradient, weight_gradient, update] = numbers
    else {
        return None;
    };
    let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Some(Reading {
        iter,
        probe: probe.to_owned(),
        mean: number(mean),
        std: number(std),
        percentiles: [p5, p15, p50, p85, p95].map(number),
        dead,
        gradient,
        weight_gradient,
        update,
    })
}
