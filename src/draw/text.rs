//! Texts in pictures: how wide they are about to be, and how markup wants them.

/// Fonts of about the same widths, the widest first; boxes are made for them.
pub const FONTS: &str = "DejaVu Sans, Verdana, Segoe UI, Helvetica, Arial, sans-serif";

/// Width of a text in these fonts, rather too large than too small.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '|' | '\'' | '.' | ',' | ':' | ';' | '!' | ' ' => 0.33,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | 'I' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '→' | '×' | '…' => 0.97,
        'A'..='Z' => 0.73,
        c if c.is_ascii() => 0.64,
        _ => 1.0,
    };
    let bold = if bold { 1.1 } else { 1.0 };
    text.chars().map(em).sum::<f64>() * size * bold
}

/// A text of at most so many characters; the middle goes, as names differ at their ends.
pub fn shortened(text: &str, most: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= most {
        return text.to_owned();
    }
    let head = (most - 1) / 2;
    let tail = most - 1 - head;
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

/// A text as XML and HTML want it; control characters, which XML forbids, become U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// `25.6 M`: three digits.
pub fn count(value: usize) -> String {
    let (unit, size) = match value {
        1_000_000_000.. => (" G", 1e9),
        1_000_000.. => (" M", 1e6),
        1_000.. => (" k", 1e3),
        _ => return value.to_string(),
    };
    let value = value as f64 / size;
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$}{unit}")
}

/// `1×64×56×56`.
pub fn shape(dims: &[usize]) -> String {
    let axes: Vec<String> = dims.iter().map(usize::to_string).collect();
    if axes.is_empty() { "scalar".to_owned() } else { axes.join("×") }
}
