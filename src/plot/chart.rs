//! Panels of curves as a picture.

use std::fmt::Write;

use super::{Panel, Series};
use crate::draw::text::{FONTS, escaped, width};
use crate::solver::shown;

const WIDE: f64 = 860.0;
const TALL: f64 = 300.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 36.0;
/// Numbers beyond are as good as infinite: they have no place in a picture.
const FAR: f64 = 1e300;
const COLOURS: [&str; 12] = [
    "#2f6db3", "#d0602f", "#3d9155", "#8a5fb0", "#b8922a", "#3a9a9a", "#c24f78", "#6a6a6a",
    "#1d3f66", "#8a3a12", "#7fbf3f", "#e08fc0",
];

/// The picture of all panels, one below the other.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let all = || panels.iter().flat_map(|panel| &panel.series);
    let legend = all().map(|s| width(&s.name, 11.0, false)).fold(0.0, f64::max) + 40.0;
    let (w, h) = (LEFT + WIDE + legend, 30.0 + panels.len() as f64 * (TOP + TALL + BOTTOM));
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{w:.0}" height="{h:.0}" viewBox="0 0 {w:.0} {h:.0}" font-family="{FONTS}" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{LEFT}" y="22" font-size="14" font-weight="bold" fill="#222">{}</text>
"##,
        escaped(title)
    );
    // One axis of iterations for all, so that what lies below each other happened together.
    let along: Vec<f64> = panels.iter().flat_map(points).map(|p| p.0).collect();
    let x = range(along.iter().copied(), |_| 0.5);
    for (i, panel) in panels.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = draw(panel, x, 30.0 + i as f64 * (TOP + TALL + BOTTOM) + TOP, &mut out);
    }
    out + "</svg>\n"
}

/// All points of a panel that have a place.
fn points(panel: &Panel) -> impl Iterator<Item = (f64, f64)> {
    let ends = |s: &Series| -> Vec<(f64, f64)> {
        s.bands.iter().flatten().flat_map(|&(x, low, high)| [(x, low), (x, high)]).collect()
    };
    let all = panel.series.iter().flat_map(move |s| s.points.iter().copied().chain(ends(s)));
    all.filter(|&(x, y)| has_place(x, y))
}

/// The lowest and the highest; around a single value so much to either side.
fn range(values: impl Iterator<Item = f64> + Clone, margin: fn(f64) -> f64) -> (f64, f64) {
    let low = values.clone().fold(f64::MAX, f64::min);
    let high = values.fold(f64::MIN, f64::max);
    match (low < high, low <= high) {
        (true, _) => (low, high),
        (false, true) => {
            let margin = margin(low).max(low.abs() / 1000.0);
            (low - margin, high + margin)
        }
        (false, false) => (0.0, 1.0),
    }
}

fn draw(panel: &Panel, (x0, x1): (f64, f64), top: f64, out: &mut String) -> std::fmt::Result {
    let Panel { name, series: list } = panel;
    // A rate that stays is read at its own height.
    let around = |value: f64| if value == 0.0 { 0.5 } else { value.abs() / 2.0 };
    let values: Vec<f64> = points(panel).map(|p| p.1).collect();
    let (low, high) = range(values.iter().copied(), around);
    // Losses and rates over decades are read on a logarithmic scale.
    let log = low > 0.0 && high / low > 200.0;
    let (y0, y1) = match log {
        true => (low.log10(), high.log10()),
        false => (low - 0.03 * (high - low), high + 0.03 * (high - low)),
    };
    let scaled = |y: f64| if log { y.log10() } else { y };
    let px = |x: f64| LEFT + (x - x0) / (x1 - x0) * WIDE;
    let py = |y: f64| top + TALL - (y - y0) / (y1 - y0) * TALL;
    writeln!(
        out,
        r##"<text x="{LEFT}" y="{0:.1}" fill="#222" font-weight="bold">{1}</text><rect x="{LEFT}" y="{top}" width="{WIDE}" height="{TALL}" fill="none" stroke="#999"/>"##,
        top - 8.0,
        escaped(name)
    )?;
    for x in ticks(x0, x1, 8.0) {
        writeln!(
            out,
            r##"<path d="M{0:.1} {top}v{TALL}" stroke="#e4e4e4"/><text x="{0:.1}" y="{1:.1}" text-anchor="middle" fill="#444">{2}</text>"##,
            px(x),
            top + TALL + 16.0,
            shown(x)
        )?;
    }
    for y in if log { decades(y0, y1) } else { ticks(y0, y1, 6.0) } {
        let told = shown(if log { 10f64.powf(y) } else { y });
        writeln!(
            out,
            r##"<path d="M{LEFT} {0:.1}h{WIDE}" stroke="#e4e4e4"/><text x="{1:.1}" y="{2:.1}" text-anchor="end" fill="#444">{told}</text>"##,
            py(y),
            LEFT - 6.0,
            py(y) + 4.0
        )?;
    }
    for (i, series) in list.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        for band in &series.bands {
            let fits =
                |&&(x, low, high): &&(f64, f64, f64)| has_place(x, low) && has_place(x, high);
            let there = || band.iter().filter(fits);
            let up = there().map(|&(x, _, high)| (x, high));
            let back = there().rev().map(|&(x, low, _)| (x, low));
            let corners: Vec<String> =
                up.chain(back).map(|(x, y)| format!("{:.1} {:.1}", px(x), py(scaled(y)))).collect();
            if !corners.is_empty() {
                let outline = corners.join("L");
                writeln!(
                    out,
                    r##"<path class="band" d="M{outline}Z" fill="{colour}" fill-opacity="0.16"/>"##
                )?;
            }
        }
        let mut line = String::new();
        for stretch in stretches(&series.points) {
            let at = |&(x, y): &(f64, f64)| (px(x), py(scaled(y)));
            if let [point] = &stretch[..] {
                let (x, y) = at(point);
                writeln!(
                    out,
                    r##"<circle class="point" cx="{x:.1}" cy="{y:.1}" r="2" fill="{colour}"/>"##
                )?;
                continue;
            }
            for (pen, (x, y)) in
                "M".chars().chain(std::iter::repeat('L')).zip(stretch.iter().map(at))
            {
                write!(line, "{pen}{x:.1} {y:.1}")?;
            }
        }
        let at = top + 12.0 + 16.0 * i as f64;
        let right = LEFT + WIDE + 8.0;
        writeln!(
            out,
            r##"<path class="series" d="{line}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"/><path d="M{right} {0:.1}h16" stroke="{colour}" stroke-width="2.5"/><text x="{1:.1}" y="{2:.1}" fill="#222">{3}</text>"##,
            at - 4.0,
            right + 20.0,
            at,
            escaped(&series.name)
        )?;
    }
    Ok(())
}

/// The points between which a line is drawn. It breaks at a value without a place, and where iterations
/// begin again: a log of a run that was taken up.
fn stretches(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut all: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for &(x, y) in points {
        let there = has_place(x, y);
        let last = all.last().and_then(|stretch| stretch.last());
        if !there || last.is_some_and(|&(before, _)| x < before) {
            all.push(Vec::new());
        }
        if let Some(stretch) = all.last_mut().filter(|_| there) {
            stretch.push((x, y));
        }
    }
    all.retain(|stretch| !stretch.is_empty());
    all
}

fn has_place(x: f64, y: f64) -> bool {
    x.abs() < FAR && y.abs() < FAR
}

/// The logarithms of round numbers between two logarithms: 1, 2 and 5 of each decade where there are few.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let every = ((high - low) / 8.0).ceil().max(1.0) as usize;
    let parts: &[f64] = if high - low <= 4.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    (low.floor() as i32..=high.floor() as i32)
        .step_by(every)
        .flat_map(|decade| parts.iter().map(move |part| f64::from(decade) + part.log10()))
        .filter(|y| (low..=high + 1e-9).contains(y))
        .collect()
}

/// Round numbers between two, about so many.
fn ticks(low: f64, high: f64, about: f64) -> Vec<f64> {
    let rough = (high - low) / about;
    let unit = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * unit).find(|&s| s >= rough);
    let step = step.unwrap_or(10.0 * unit);
    let first = (low / step).ceil();
    (0..100)
        .map(|i| (first + f64::from(i)) * step)
        .take_while(|&x| x <= high + 1e-9 * step)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Panel, Series, stretches, svg};

    #[test]
    fn a_line_breaks_where_a_value_is_none_and_where_iterations_begin_again() {
        let nan = f64::NAN;
        let table = [
            (vec![], vec![]),
            (vec![(0.0, 1.0)], vec![1]),
            (vec![(0.0, 1.0), (1.0, 2.0), (1.0, 3.0)], vec![3]),
            (vec![(0.0, nan), (1.0, 2.0), (2.0, nan), (3.0, 1.0), (4.0, 1.0)], vec![1, 2]),
            (vec![(0.0, 1.0), (5.0, 2.0), (3.0, 3.0), (4.0, 3.0), (9.0, 3.0)], vec![2, 3]),
        ];
        for (points, wanted) in table {
            let lengths: Vec<usize> = stretches(&points).iter().map(Vec::len).collect();
            assert_eq!(lengths, wanted, "{points:?}");
        }
    }

    #[test]
    fn a_point_alone_is_a_dot() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 2.0)];
        let picture = svg("", &[Panel::new("", vec![Series { points, ..Series::new("loss") }])]);
        assert_eq!(picture.matches("<circle").count(), 1, "{picture}");
        let line = picture.split("class=\"series\" d=\"").nth(1).unwrap_or_default();
        assert_eq!(line.split('"').next().unwrap_or_default().matches('M').count(), 1, "{line}");
    }
}
