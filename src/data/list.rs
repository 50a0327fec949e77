//! Text files that name pictures and their classes, one a line.

/// Path, with `root` before it, and label of each line.
///
/// # Errors
/// A line is something else (named), or there is none.
pub fn entries(text: &str, root: &str) -> Result<Vec<(String, i32)>, String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let parts = line.rsplit_once(' ');
        let entry = parts.and_then(|(path, label)| Some((path.trim_end(), label.parse().ok()?)));
        let Some((path, label)) = entry else {
            let number = number + 1;
            return Err(format!(
                "has `{line}` on line {number}; a path, a space and a whole number are wanted"
            ));
        };
        found.push((format!("{root}{path}"), label));
    }
    if found.is_empty() { Err("names no pictures".to_owned()) } else { Ok(found) }
}
