//! Curves as tables: the iteration in the first column, one series per further column.

use std::collections::HashMap;

use super::Series;

/// What may stand between two cells: the first of them in the heading does.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// The curves of a table with a heading; empty and unreadable fields are left out.
pub fn read_csv(text: &str) -> Vec<Series> {
    let mut lines = text.lines();
    let Some(heading) = lines.next() else { return Vec::new() };
    let delimiter = heading.chars().find(|c| DELIMITERS.contains(c)).unwrap_or(',');
    let names = heading.split(delimiter).skip(1).map(str::trim);
    let mut all: Vec<Series> = names.map(Series::new).collect();
    for line in lines {
        let mut fields = line.split(delimiter).map(str::trim);
        let iteration = fields.next().and_then(|field| field.parse().ok());
        let Some(iteration) = iteration.filter(|n: &f64| n.is_finite()) else { continue };
        for (series, field) in all.iter_mut().zip(fields) {
            if let Ok(value) = field.parse() {
                series.points.push((iteration, value));
            }
        }
    }
    all.retain(|series| !series.points.is_empty());
    all
}

/// The curves as a table.
pub fn to_csv(all: &[Series]) -> String {
    // 0 and -0 are one iteration.
    let key = |iteration: f64| (iteration + 0.0).to_bits();
    let points = all.iter().flat_map(|series| &series.points);
    let mut iterations: Vec<f64> = points.map(|p| p.0 + 0.0).collect();
    iterations.sort_by(f64::total_cmp);
    iterations.dedup();
    // A run that went on from a snapshot says some iterations twice: the last one holds.
    let column = |series: &Series| -> HashMap<u64, f64> {
        series.points.iter().map(|&(iteration, value)| (key(iteration), value)).collect()
    };
    let columns: Vec<_> = all.iter().map(column).collect();
    let names: Vec<String> = all.iter().map(|series| cell(&series.name)).collect();
    let mut out = format!("iteration,{}\n", names.join(","));
    for iteration in iterations {
        out += &iteration.to_string();
        for column in &columns {
            let value = column.get(&key(iteration));
            out.push(',');
            out += &value.map(f64::to_string).unwrap_or_default();
        }
        out.push('\n');
    }
    out
}

/// A name without what parts cells and lines.
fn cell(name: &str) -> String {
    name.replace(',', ";").replace(['\n', '\r'], " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Series, read_csv, to_csv};

    #[test]
    fn tables_come_back_as_they_went() {
        let all = vec![
            Series { points: vec![(0.0, 1.5), (10.0, -2.0)], ..Series::new("a") },
            Series { points: vec![(5.0, 1e-9)], ..Series::new("b") },
        ];
        let text = to_csv(&all);
        assert_eq!(text, "iteration,a,b\n0,1.5,\n5,,0.000000001\n10,-2,\n");
        assert_eq!(read_csv(&text), all);
        for delimiter in [";", "\t", "|"] {
            assert_eq!(read_csv(&text.replace(',', delimiter)), all, "{delimiter:?}");
        }
    }
}
