//! What a line of a training's log says: of this program and of the original, since its first year.
//!
//! A line counts by what it holds, not by where it comes from, as for the original's `parse_log.py`.

/// A line of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogLine<'a> {
    /// `Iteration N`: what follows belongs to it.
    pub iteration: Option<f64>,
    /// `loss = X` behind it: the smoothed loss.
    pub loss: Option<f64>,
    /// `lr = X`.
    pub rate: Option<f64>,
    /// `Testing net (#N)`: the outputs that follow are of this test net.
    pub test_net: Option<usize>,
    /// `Train net output #0: name = X`.
    pub train: Option<(&'a str, f64)>,
    /// `Test net output #0: name = X`.
    pub test: Option<(&'a str, f64)>,
}

impl<'a> LogLine<'a> {
    /// Reads a line.
    pub fn read(line: &'a str) -> LogLine<'a> {
        let number = |mark| behind(line, mark).and_then(leading_number);
        LogLine {
            iteration: number("Iteration ").filter(|iteration| iteration.is_finite()),
            loss: behind(line, ", loss = ").and_then(value),
            rate: number("lr = "),
            test_net: number("Testing net (#").map(|net| net as usize),
            train: output(line, "Train net output #"),
            test: output(line, "Test net output #"),
        }
    }
}

fn behind<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.find(mark).map(|at| &line[at + mark.len()..])
}

fn leading_number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'));
    let token = &text[..end.unwrap_or(text.len())];
    // A full stop behind a number belongs to the sentence.
    token.parse().or_else(|_| token.trim_end_matches('.').parse()).ok()
}

/// Name and value of an output line: `Test net output #0: accuracy = 0.9`.
fn output<'a>(line: &'a str, mark: &str) -> Option<(&'a str, f64)> {
    let (_, rest) = behind(line, mark)?.split_once(": ")?;
    let (name, rest) = rest.split_once(" = ")?;
    Some((name, value(rest)?))
}

/// A value, which may be none: `nan`, `-inf`.
fn value(text: &str) -> Option<f64> {
    let word = text.split_whitespace().next()?;
    // Windows: `-1.#IND`, `1.#QNAN`, `1.#INF`.
    if let Some((sign, none)) = word.split_once("1.#") {
        let infinite = if sign == "-" { f64::NEG_INFINITY } else { f64::INFINITY };
        return Some(if none.starts_with("INF") { infinite } else { f64::NAN });
    }
    match word.trim_start_matches('-').get(..3) {
        Some("nan" | "inf") => word.trim_end_matches(',').parse().ok(),
        _ => leading_number(word),
    }
}
