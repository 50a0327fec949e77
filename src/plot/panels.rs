//! Which curves share a panel.

use super::{Series, series_of};
use crate::solver::Reading;

/// Curves with one pair of axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// What stands above it.
    pub name: String,
    /// Its curves.
    pub series: Vec<Series>,
}

impl Panel {
    /// A panel with its curves.
    pub fn new(name: impl Into<String>, series: Vec<Series>) -> Panel {
        Panel { name: name.into(), series }
    }
}

/// The curves of logs and tables: losses, scores, learning rates, the rest.
pub fn panels_of_series(all: Vec<Series>) -> Vec<Panel> {
    let mut panels = ["loss", "score", "learning rate", "other"].map(|n| Panel::new(n, Vec::new()));
    for series in all {
        let unit = series.points.iter().all(|p| !p.1.is_finite() || (0.0..=1.0).contains(&p.1));
        let panel = match () {
            () if series.name.ends_with("lr") => 2,
            () if series.name.contains("loss") => 0,
            () if unit => 1,
            () => 3,
        };
        panels[panel].series.push(series);
    }
    panels.into_iter().filter(|panel| !panel.series.is_empty()).collect()
}

/// The readings of probes: for each the distribution of its values, then all together what else was
/// read.
pub fn panels_of_readings(readings: &[Reading]) -> Vec<Panel> {
    let mut values: Vec<Series> = Vec::new();
    let mut means: Vec<Series> = Vec::new();
    let mut others: [(&str, Vec<Series>); 4] = [
        ("share of dead units", Vec::new()),
        ("gradient by the values (L2 norm)", Vec::new()),
        ("gradient by the weights (L2 norm)", Vec::new()),
        ("change of the weights / weights (L2 norms)", Vec::new()),
    ];
    for reading in readings {
        let at = reading.iter as f64;
        let [p5, p15, p50, p85, p95] = reading.percentiles;
        let series = series_of(&mut values, &reading.probe);
        series.points.push((at, p50));
        series.bands.resize(2, Vec::new());
        series.bands[0].push((at, p5, p95));
        series.bands[1].push((at, p15, p85));
        series_of(&mut means, &reading.probe).points.push((at, reading.mean));
        let numbers = [reading.dead, reading.gradient, reading.weight_gradient, reading.update];
        for ((_, list), number) in others.iter_mut().zip(numbers) {
            if let Some(number) = number {
                series_of(list, &reading.probe).points.push((at, number));
            }
        }
    }
    let distributions = values.into_iter().zip(means).map(|(mut median, mut mean)| {
        let name = format!("{}: 5, 15, 50, 85 and 95 % of the values lie below", median.name);
        median.name = format!("{} median", median.name);
        mean.name = format!("{} mean", mean.name);
        Panel::new(name, vec![median, mean])
    });
    let others = others.into_iter().map(|(name, list)| Panel::new(name, list));
    distributions.chain(others.filter(|panel| !panel.series.is_empty())).collect()
}
