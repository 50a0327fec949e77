//! Curves of training: logs (ours and the original's, which have one form), tables and readings of
//! probes → [`Series`] → [`Panel`] → SVG.

mod chart;
mod log;
mod panels;
mod table;

pub use chart::svg;
pub use log::read_log;
pub use panels::{Panel, panels_of_readings, panels_of_series};
pub use table::{read_csv, to_csv};

/// Values of one name over iterations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What it is: `train loss`, `test accuracy`.
    pub name: String,
    /// Iteration and value, in the order of the file.
    pub points: Vec<(f64, f64)>,
    /// Ranges around the line, the widest first: iteration, low end, high end.
    pub bands: Vec<Vec<(f64, f64, f64)>>,
}

impl Series {
    /// One that has no points yet.
    pub fn new(name: impl Into<String>) -> Series {
        Series { name: name.into(), ..Series::default() }
    }
}

/// The series of this name, made where it is not there yet.
fn series_of<'a>(all: &'a mut Vec<Series>, name: &str) -> &'a mut Series {
    let at = all.iter().position(|series| series.name == name).unwrap_or_else(|| {
        all.push(Series::new(name));
        all.len() - 1
    });
    &mut all[at]
}
