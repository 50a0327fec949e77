//! What came of a study: `results.md`, `results.json` and `curves.svg`.

use std::fmt::Write;
use std::path::PathBuf;

use cortado_proto::wire;
use serde_json::{Value, json};

use super::{Outcome, Run, Study};
use crate::plot::{Panel, Series, panels_of_readings, svg};
use crate::tools::ToolError;

/// Mean and standard deviation over the seeds, and how many seeds have a value.
type Spread = (f64, f64, usize);

/// The results of one variant.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The variant's name.
    pub name: &'a str,
    /// The figure from elsewhere.
    pub reference: &'a str,
    /// Its runs, by seed.
    pub runs: Vec<&'a Run>,
    /// Steps to the baseline's best.
    pub steps: Option<Spread>,
    /// What its nets score together, one value per group.
    pub together: &'a [f64],
}

/// All results.
#[derive(Debug)]
pub struct Report<'a> {
    study: &'a Study,
    /// One row per variant.
    pub rows: Vec<Row<'a>>,
    /// What the baseline's runs reached at best, in the mean.
    pub mark: Option<f64>,
}

fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let sd = if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
    (!values.is_empty()).then_some((mean, sd, values.len()))
}

fn percent(spread: Option<Spread>, of: usize) -> String {
    let Some((mean, sd, count)) = spread else { return "—".to_owned() };
    let some = if count < of { format!(" ({count} of {of})") } else { String::new() };
    format!("{:.2} ± {:.2}{some}", 100.0 * mean, 100.0 * sd)
}

fn steps(spread: Option<Spread>, of: usize) -> String {
    match spread {
        None => "not reached".to_owned(),
        Some((mean, sd, count)) if count == of => format!("{mean:.0} ± {sd:.0}"),
        Some((mean, _, count)) => format!("{mean:.0} ({count} of {of})"),
    }
}

impl Row<'_> {
    fn last(&self) -> Option<Spread> {
        spread(self.runs.iter().filter_map(|run| run.last()))
    }

    fn best(&self) -> Option<Spread> {
        spread(self.runs.iter().filter_map(|run| run.best()))
    }

    /// The mean over the seeds with the range of a deviation about it.
    fn curve(&self) -> Series {
        let mut series = Series { bands: vec![Vec::new()], ..Series::new(self.name) };
        let longest = self.runs.iter().max_by_key(|run| run.curve.len());
        for &(iter, _) in longest.map_or(&[][..], |run| &run.curve) {
            let at = |run: &&Run| run.curve.iter().find(|p| p.0 == iter).map(|p| p.1);
            if let Some((mean, sd, _)) = spread(self.runs.iter().filter_map(at)) {
                series.points.push((iter as f64, mean));
                series.bands[0].push((iter as f64, mean - sd, mean + sd));
            }
        }
        series
    }
}

impl<'a> Report<'a> {
    /// Puts the runs of a study into rows; `together` has, per variant, what its nets score together.
    pub fn new(study: &'a Study, runs: &'a [Run], together: &'a [Vec<f64>]) -> Report<'a> {
        let of = |name: &str| -> Vec<&'a Run> {
            runs.iter().filter(|run| run.variant == name).collect()
        };
        let mark = study.param.baseline.as_ref();
        let mark = mark.and_then(|name| spread(of(name).iter().filter_map(|run| run.best())));
        let mark = mark.map(|(mean, _, _)| mean);
        let rows = study.param.variant.iter().enumerate().map(|(i, variant)| {
            let runs = of(variant.name());
            let reached = |mark: f64| {
                spread(runs.iter().filter_map(|run| run.reached(mark)).map(|iter| iter as f64))
            };
            let (name, reference) = (variant.name(), variant.reference());
            let together = together.get(i).map_or(&[][..], Vec::as_slice);
            Row { name, reference, steps: mark.and_then(reached), together, runs }
        });
        Report { study, rows: rows.collect(), mark }
    }

    /// The table, with where it comes from.
    pub fn markdown(&self) -> String {
        let param = &self.study.param;
        let mut out = format!("# {}\n\n", param.title());
        let flag = if self.study.short { " --short" } else { "" };
        let runs = || self.rows.iter().flat_map(|row| &row.runs);
        let version = runs().map(|run| run.version.as_str()).next().unwrap_or_default();
        let date = runs().map(|run| run.date.as_str()).max().unwrap_or_default();
        let minutes = runs().map(|run| run.seconds).sum::<f64>() / 60.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "Written by `cortado study {}{flag}`, cortado {version}, {date}; random_seed 1 to {}; \
             {minutes:.1} minutes of training in all, on one thread each. Values are the test net's \
             `{}` in per cent, mean ± standard deviation over the seeds.\n",
            self.study.folder.display(),
            self.study.seeds(),
            param.measure()
        );
        let mut head = vec!["variant".to_owned(), "at the end".into(), "best".into()];
        if let Some(mark) = self.mark {
            head.push(format!("steps to {:.2}", 100.0 * mark));
        }
        let ensemble = self.study.ensemble();
        head.extend(ensemble.map(|size| format!("{size} nets together")));
        head.extend(param.reference.clone());
        let mut line = |cells: &[String]| {
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        line(&head);
        line(&vec!["---".to_owned(); head.len()]);
        for row in &self.rows {
            let count = row.runs.len();
            let mut cells =
                vec![row.name.to_owned(), percent(row.last(), count), percent(row.best(), count)];
            if self.mark.is_some() {
                cells.push(steps(row.steps, count));
            }
            if ensemble.is_some() {
                let scores = row.together;
                cells.push(percent(spread(scores.iter().copied()), scores.len()));
            }
            if param.reference.is_some() {
                cells.push(row.reference.to_owned());
            }
            line(&cells);
        }
        let lost = runs().filter(|run| run.outcome == Outcome::Diverged).count();
        if lost > 0 {
            let _ = writeln!(out, "\nDiverged, so without a value at the end: {lost} of the runs.");
        }
        if let (Some(name), Some(_)) = (&param.baseline, self.mark) {
            let _ = writeln!(
                out,
                "\nSteps: the first test at which a run is as good as the best of `{name}`, in the \
                 mean."
            );
        }
        if let Some(size) = ensemble {
            let times = match self.study.seeds() / size {
                1 => String::new(),
                groups => format!(", {groups} times with other seeds"),
            };
            let _ =
                writeln!(out, "\nTogether: the mean of the probabilities of {size} nets{times}.");
        }
        out + "\n![curves](curves.svg)\n"
    }

    /// Everything, for programs.
    pub fn json(&self) -> Value {
        let number = |spread: Option<Spread>| {
            spread.map(|(mean, sd, count)| json!({ "mean": mean, "sd": sd, "runs": count }))
        };
        let variants = self.rows.iter().map(|row| {
            json!({
                "variant": row.name, "end": number(row.last()), "best": number(row.best()),
                "steps_to_mark": number(row.steps), "reference": row.reference,
                "together": row.together, "runs": row.runs,
            })
        });
        let param = &self.study.param;
        json!({
            "title": param.title(), "measure": param.measure(), "baseline": param.baseline,
            "mark": self.mark, "seeds": self.study.seeds(), "short": self.study.short,
            "variants": variants.collect::<Vec<_>>(),
        })
    }

    /// The picture: the measure, then what the probes of the first seed read.
    pub fn picture(&self) -> String {
        let param = &self.study.param;
        let curves = self.rows.iter().map(Row::curve).collect();
        let name = format!("test {}, mean ± deviation over the seeds", param.measure());
        let mut panels = vec![Panel::new(name, curves)];
        let mut probed = Vec::new();
        for row in &self.rows {
            let Some(run) = row.runs.first() else { continue };
            let values = panels_of_readings(&run.readings).into_iter();
            // What was read beside the distributions stays in the files of the runs.
            let values = values.filter(|panel| panel.series.iter().any(|s| !s.bands.is_empty()));
            probed
                .extend(values.map(|p| Panel { name: format!("{} — {}", row.name, p.name), ..p }));
        }
        panels.extend(probed);
        svg(param.title(), &panels)
    }

    /// Writes the three files. Their paths.
    ///
    /// # Errors
    /// One can't be written.
    pub fn write(&self) -> Result<[PathBuf; 3], crate::Error> {
        let json = serde_json::to_string_pretty(&self.json());
        let json = json.map_err(|e| ToolError(e.to_string()))? + "\n";
        let folder = self.study.results();
        let files = [
            ("results.md", self.markdown()),
            ("results.json", json),
            ("curves.svg", self.picture()),
        ];
        for (name, text) in &files {
            wire::write_file(&folder.join(name), |out| out.write_all(text.as_bytes()))?;
        }
        Ok(files.map(|(name, _)| folder.join(name)))
    }
}
