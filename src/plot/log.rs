//! Logs of training as curves.

use super::{Series, series_of};
use crate::tools::LogLine;

/// The curves of a log: the smoothed loss (`loss`), the learning rate (`lr`), outputs of the training
/// net (`train NAME`) and of the test nets (`test NAME`, with a number from the second net on).
pub fn read_log(text: &str) -> Vec<Series> {
    let mut all = Vec::new();
    let (mut iteration, mut net) = (None, 0usize);
    for line in text.lines() {
        let said = LogLine::read(line);
        iteration = said.iteration.or(iteration);
        net = said.test_net.unwrap_or(net);
        let Some(iteration) = iteration else { continue };
        let mut add = |name: &str, value: f64| {
            series_of(&mut all, name).points.push((iteration, value));
        };
        if let Some(loss) = said.loss {
            add("loss", loss);
        }
        if let Some(rate) = said.rate {
            add("lr", rate);
        }
        if let Some((name, value)) = said.train {
            add(&format!("train {name}"), value);
        }
        match said.test {
            Some((name, value)) if net > 0 => add(&format!("test {name} #{net}"), value),
            Some((name, value)) => add(&format!("test {name}"), value),
            None => {}
        }
    }
    all
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
        let wanted = wanted.map(|(name, points)| Series { points, ..Series::new(name) });
        assert_eq!(found[..5], wanted);
        assert_eq!(found[5].name, "test accuracy #1");
        assert!(found[5].points[0].1.is_nan());
    }
}
