//! Logs of training, as Caffe writes them since its first year.

use super::{Series, series_of};

/// The curves of a log: the smoothed loss (`loss`), the learning rate (`lr`), outputs of the training
/// net (`train NAME`) and of the test nets (`test NAME`, with a number from the second net on).
pub fn read_log(text: &str) -> Vec<Series> {
    let mut all = Vec::new();
    let (mut iteration, mut net) = (None, 0usize);
    for line in text.lines() {
        // `I1122 19:13:44.828763   512 solver.cpp:218] Iteration …`
        let said = line.split_once("] ").map_or(line, |(_, said)| said).trim();
        if let Some(rest) = said.strip_prefix("Iteration ") {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let Ok(number) = rest[..digits].parse::<f64>() else { continue };
            iteration = Some(number);
            let mut add = |name: &str, field: &str| {
                if let Some(value) = after(&rest[digits..], field) {
                    series_of(&mut all, name).points.push((number, value));
                }
            };
            add("loss", ", loss = ");
            add("lr", ", lr = ");
            if let Some((_, index)) = rest.split_once("Testing net (#") {
                net = index.trim_end_matches(')').parse().unwrap_or(0);
            }
            continue;
        }
        let outputs = [("train", "Train net output #"), ("test", "Test net output #")];
        for (phase, head) in outputs {
            let Some(rest) = said.strip_prefix(head) else { continue };
            let Some((_, rest)) = rest.split_once(": ") else { continue };
            let (Some((name, _)), Some(iteration)) = (rest.split_once(" = "), iteration) else {
                continue;
            };
            let Some(value) = after(rest, " = ") else { continue };
            let name = match (phase, net) {
                ("test", 1..) => format!("test {name} #{net}"),
                _ => format!("{phase} {name}"),
            };
            series_of(&mut all, &name).points.push((iteration, value));
        }
    }
    all
}

/// The number that follows a piece of text.
fn after(text: &str, piece: &str) -> Option<f64> {
    let rest = text.split_once(piece)?.1;
    rest.split([' ', ',', '(']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Series, read_log};

    #[test]
    fn both_forms_of_the_original_are_read() {
        let text = "\
I0914 10:00:00.000001  77 solver.cpp:337] Iteration 0, Testing net (#0)
I0914 10:00:01.000001  77 solver.cpp:404]     Test net output #0: accuracy = 0.1
I0914 10:00:01.000001  77 solver.cpp:404]     Test net output #1: loss = 2.4 (* 1 = 2.4 loss)
I0914 10:00:02.000001  77 solver.cpp:228] Iteration 0, loss = 2.5
I0914 10:00:02.000001  77 solver.cpp:244]     Train net output #0: loss = 2.6 (* 1 = 2.6 loss)
I0914 10:00:02.000001  77 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0914 10:00:09.000001  77 solver.cpp:218] Iteration 100 (12.3 iter/s, 8.1s/100 iters), loss = 1e-05
I0914 10:00:09.000001  77 solver.cpp:337] Iteration 100, Testing net (#1)
I0914 10:00:09.000001  77 solver.cpp:404]     Test net output #0: accuracy = nan
something else";
        let wanted = [
            ("test accuracy", vec![(0.0, 0.1)]),
            ("test loss", vec![(0.0, 2.4)]),
            ("loss", vec![(0.0, 2.5), (100.0, 1e-5)]),
            ("train loss", vec![(0.0, 2.6)]),
            ("lr", vec![(0.0, 0.01)]),
        ];
        let found = read_log(text);
        let wanted = wanted.map(|(name, points)| Series { name: name.to_owned(), points });
        assert_eq!(found[..5], wanted);
        assert_eq!(found[5].name, "test accuracy #1");
        assert!(found[5].points[0].1.is_nan());
    }
}
