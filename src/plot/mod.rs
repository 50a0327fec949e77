//! Curves of training: logs (ours and the original's, which have one form) and tables → [`Series`] → SVG.

mod chart;
mod log;
mod table;

pub use chart::svg;
pub use log::read_log;
pub use table::{read_csv, to_csv};

/// Values of one name over iterations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What it is: `train loss`, `test accuracy`.
    pub name: String,
    /// Iteration and value, in the order of the file.
    pub points: Vec<(f64, f64)>,
}

/// The series of this name, made where it is not there yet.
fn series_of<'a>(all: &'a mut Vec<Series>, name: &str) -> &'a mut Series {
    let at = all.iter().position(|series| series.name == name).unwrap_or_else(|| {
        all.push(Series { name: name.to_owned(), points: Vec::new() });
        all.len() - 1
    });
    &mut all[at]
}
