//! The gradient checker, and the promises that every layer makes to the net.

use cortado_kernels::Write;
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{Gradients, SingleLayer, definition};
use crate::{LayerError, Phase, Registry, Rng, RngKey, Shape, Tensor};

/// How the values of a bottom are drawn.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// Standard normal.
    Normal,
    /// Uniform between two bounds.
    Uniform(f32, f32),
    /// Whole numbers below this: labels, indices.
    Whole(usize),
    /// All different, this far apart: for maxima.
    Distinct(f32),
    /// These, repeated.
    Given(&'static [f32]),
}

impl Values {
    fn draw(self, shape: &Shape, kinks: &[f32], distance: f32, rng: &mut Rng) -> Tensor {
        let count = shape.count();
        let mut tensor = Tensor::zeros(shape.clone());
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, rng.random_range(0..=i));
        }
        for (i, value) in tensor.data_mut().iter_mut().enumerate() {
            *value = loop {
                let drawn = match self {
                    Values::Normal => rng.sample::<f32, _>(StandardNormal),
                    Values::Uniform(low, high) => rng.random_range(low..high),
                    Values::Whole(n) => break rng.random_range(0..n) as f32,
                    Values::Distinct(gap) => break (order[i] as f32 - count as f32 / 2.0) * gap,
                    Values::Given(list) => break list[i % list.len()],
                };
                if kinks.iter().all(|kink| (drawn - kink).abs() > distance) {
                    break drawn;
                }
            };
        }
        tensor
    }
}

/// A gradient to check: finite differences of the forward pass, with the objective (a fixed random
/// combination of the elements of the tops) summed in f64, against the backward pass. The promises
/// of [`GradientCase::run`] are checked on the same values.
#[derive(Clone, Debug)]
pub struct GradientCase {
    /// What the case is about.
    pub name: &'static str,
    /// A prototxt with one layer.
    pub layer: &'static str,
    /// Shape and values of each bottom.
    pub bottoms: &'static [(&'static [usize], Values)],
    /// Values, repeated, of the layer's own parameters; zero where none are given.
    pub state: &'static [&'static [f32]],
    /// How many tops the objective counts: a mask or a copy of the probabilities passes nothing on.
    pub tops: usize,
    /// Phase.
    pub phase: Phase,
    /// Inputs keep away from these values, where the function has a kink.
    pub kinks: &'static [f32],
    /// Whether backward in place is, as in the original, not the gradient: only forward is compared.
    pub other_in_place: bool,
    /// Whether the diffs of the weights are by design another step than the gradient: differences are
    /// not compared for them.
    pub other_weights: bool,
    /// What part of the derivative backward gives, where the original gives half of it.
    pub part: f64,
    /// Step of the difference.
    pub step: f32,
    /// Allowed difference, relative to the larger of either value and a tenth of the blob's largest
    /// one (at least 0.01).
    pub tolerance: f64,
}

impl GradientCase {
    /// A case in TRAIN with step 1e-2 and tolerance 2e-3, no kinks.
    pub const fn new(
        name: &'static str,
        layer: &'static str,
        bottoms: &'static [(&'static [usize], Values)],
    ) -> GradientCase {
        GradientCase {
            name,
            layer,
            bottoms,
            state: &[],
            tops: usize::MAX,
            phase: Phase::Train,
            kinks: &[],
            other_in_place: false,
            other_weights: false,
            part: 1.0,
            step: 1e-2,
            tolerance: 2e-3,
        }
    }

    /// In TEST.
    pub const fn test(mut self) -> GradientCase {
        self.phase = Phase::Test;
        self
    }

    /// Inputs keep away from these values.
    pub const fn kinks(mut self, kinks: &'static [f32]) -> GradientCase {
        self.kinks = kinks;
        self
    }

    /// The layer's own parameters start with these values, repeated.
    pub const fn state(mut self, state: &'static [&'static [f32]]) -> GradientCase {
        self.state = state;
        self
    }

    /// Only the first so many tops count.
    pub const fn tops(mut self, tops: usize) -> GradientCase {
        self.tops = tops;
        self
    }

    /// In place, backward is not the gradient.
    pub const fn other_in_place(mut self) -> GradientCase {
        self.other_in_place = true;
        self
    }

    /// The diffs of the weights are not the gradient.
    pub const fn other_weights(mut self) -> GradientCase {
        self.other_weights = true;
        self
    }

    /// Backward gives this part of the derivative.
    pub const fn part(mut self, part: f64) -> GradientCase {
        self.part = part;
        self
    }

    /// With another step, and what it lets differ.
    pub const fn within(mut self, step: f32, tolerance: f64) -> GradientCase {
        (self.step, self.tolerance) = (step, tolerance);
        self
    }

    /// Checks every element of every bottom and weight that takes a gradient, and then that
    /// - a second pass gives the same bits, with or without a backward pass to follow;
    /// - diffs are added to where that is asked, and those not asked for change nothing in the rest;
    /// - backward reads only what the type declares;
    /// - in place, where the type allows it, everything is the same;
    /// - TEST leaves the layer's own parameters alone.
    pub fn run(&self, registry: &Registry) -> Result<(), String> {
        let result = Checked::new(self, registry).and_then(|mut checked| {
            checked.differences()?;
            checked.same_again()?;
            checked.added()?;
            checked.asked_for_alone()?;
            checked.in_place(registry)
        });
        result.map_err(|why| format!("{}: {why}", self.name))
    }

    /// The layer with its values drawn, and the generator that drew them.
    pub fn build(&self, registry: &Registry) -> Result<(SingleLayer, Rng), LayerError> {
        let mut rng = RngKey::at_start(7).stream(self.name);
        let mut draw = |(dims, values): &(&[usize], Values)| {
            values.draw(&Shape::new(dims), self.kinks, 2.0 * self.step, &mut rng)
        };
        let bottoms = self.bottoms.iter().map(&mut draw).collect();
        let mut single = SingleLayer::build(registry, self.layer, self.phase, bottoms)?;
        for (state, values) in single.state.iter_mut().zip(self.state) {
            let data = state.data_mut().iter_mut().enumerate();
            data.for_each(|(i, value)| *value = values[i % values.len()]);
        }
        Ok((single, rng))
    }
}

/// A case with the results of its first pass.
struct Checked<'a> {
    case: &'a GradientCase,
    single: SingleLayer,
    state: Vec<Tensor>,
    tops: Vec<Tensor>,
    top_diffs: Vec<Tensor>,
    gradients: Gradients,
    rng: Rng,
}

impl<'a> Checked<'a> {
    fn new(case: &'a GradientCase, registry: &Registry) -> Result<Checked<'a>, String> {
        let (mut single, mut rng) = case.build(registry).map_err(told)?;
        let state = single.state.clone();
        single.forward().map_err(told)?;
        if case.phase == Phase::Test && single.state != state {
            return Err("forward changed the layer's own parameters in TEST".to_owned());
        }
        let tops = single.tops.clone();
        let mut top_diffs = Vec::new();
        for (i, top) in tops.iter().enumerate() {
            let mut diff = Values::Normal.draw(top.shape(), &[], 0.0, &mut rng);
            if i >= case.tops {
                diff.data_mut().fill(0.0);
            }
            top_diffs.push(diff);
        }
        let gradients = single.backward(&top_diffs).map_err(told)?;
        Ok(Checked { case, single, state, tops, top_diffs, gradients, rng })
    }

    /// A forward pass from the state at the start.
    fn forward(&mut self) -> Result<(), String> {
        self.single.state.clone_from(&self.state);
        self.single.forward().map_err(told)
    }

    fn objective(&mut self) -> Result<f64, String> {
        self.forward()?;
        let tops = self.single.tops.iter().zip(&self.top_diffs);
        let pairs = tops.flat_map(|(top, diff)| top.data().iter().zip(diff.data()));
        // 0 times what is not counted is 0, even if that were infinite.
        let counted = pairs.filter(|&(_, &weight)| weight != 0.0);
        Ok(counted.map(|(&y, &weight)| f64::from(y) * f64::from(weight)).sum())
    }

    fn cell(&mut self, is_bottom: bool, i: usize, e: usize) -> &mut f32 {
        let list = if is_bottom { &mut self.single.bottoms } else { &mut self.single.weights };
        &mut list[i].data_mut()[e]
    }

    fn differences(&mut self) -> Result<(), String> {
        let step = self.case.step;
        let Gradients { bottoms, weights } = self.gradients.clone();
        let bottoms = bottoms.into_iter().enumerate().map(|(i, diff)| (true, i, diff));
        let weights = weights.into_iter().enumerate().map(|(i, diff)| (false, i, diff));
        let mut wrong = Vec::new();
        for (is_bottom, i, analytic) in bottoms.chain(weights) {
            let Some(analytic) = analytic.filter(|_| is_bottom || !self.case.other_weights) else {
                continue;
            };
            let mut numeric = Vec::with_capacity(analytic.data().len());
            for e in 0..analytic.data().len() {
                let before = *self.cell(is_bottom, i, e);
                *self.cell(is_bottom, i, e) = before + step;
                let high = self.objective()?;
                *self.cell(is_bottom, i, e) = before - step;
                let low = self.objective()?;
                *self.cell(is_bottom, i, e) = before;
                let width = f64::from(before + step) - f64::from(before - step);
                numeric.push(self.case.part * (high - low) / width);
            }
            let exact = analytic.data().iter().map(|&d| f64::from(d));
            let pairs: Vec<(f64, f64)> = exact.zip(numeric).collect();
            let largest = pairs.iter().fold(0f64, |m, &(a, b)| m.max(a.abs()).max(b.abs()));
            let least = (0.1 * largest).max(0.01);
            for (e, (exact, numeric)) in pairs.into_iter().enumerate() {
                let scale = exact.abs().max(numeric.abs()).max(least);
                // Written so that NaN counts as wrong.
                if !((exact - numeric).abs() <= self.case.tolerance * scale) {
                    let what = if is_bottom { "bottom" } else { "weight" };
                    wrong.push(format!("{what} {i}[{e}]: backward {exact}, numeric {numeric}"));
                }
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n    ");
        Err(format!("{} elements differ\n    {shown}", wrong.len()))
    }

    fn same_again(&mut self) -> Result<(), String> {
        for (backward, when) in [(false, "without a backward pass"), (true, "in a second pass")] {
            self.single.backward = backward;
            self.forward()?;
            if self.single.tops != self.tops {
                return Err(format!("forward gives other tops {when}"));
            }
        }
        let again = self.single.backward(&self.top_diffs).map_err(told)?;
        differing(&again, &self.gradients, 0.0, "a second pass")
    }

    fn added(&mut self) -> Result<(), String> {
        let mut into = self.single.zeros();
        let mut wanted = self.gradients.clone();
        let lists =
            [(&mut into.bottoms, &mut wanted.bottoms), (&mut into.weights, &mut wanted.weights)];
        for (into, wanted) in lists {
            for (into, wanted) in into.iter_mut().flatten().zip(wanted.iter_mut().flatten()) {
                let before = Values::Normal.draw(into.shape(), &[], 0.0, &mut self.rng);
                let sums = wanted.data_mut().iter_mut().zip(before.data());
                sums.for_each(|(wanted, before)| *wanted += before);
                *into = before;
            }
        }
        self.forward()?;
        self.single.backward_into(&self.top_diffs, &mut into, Write::Add).map_err(told)?;
        differing(&into, &wanted, 1e-5, "added to what was there")
    }

    fn asked_for_alone(&mut self) -> Result<(), String> {
        let (bottoms, weights) = (self.gradients.bottoms.len(), self.gradients.weights.len());
        for only in 0..bottoms + weights {
            let keep = |at: usize, list: &mut [Option<Tensor>]| {
                let others = list.iter_mut().enumerate().filter(|(i, _)| at + i != only);
                others.for_each(|(_, diff)| *diff = None);
            };
            let (mut into, mut wanted) = (self.single.zeros(), self.gradients.clone());
            for gradients in [&mut into, &mut wanted] {
                keep(0, &mut gradients.bottoms);
                keep(bottoms, &mut gradients.weights);
            }
            // Whatever was in a diff that is written is gone.
            let written = into.bottoms.iter_mut().flatten();
            written.for_each(|diff| diff.data_mut().fill(f32::NAN));
            self.forward()?;
            self.single.backward_into(&self.top_diffs, &mut into, Write::Set).map_err(told)?;
            differing(&into, &wanted, 0.0, "asked for alone")?;
        }
        Ok(())
    }

    fn in_place(&mut self, registry: &Registry) -> Result<(), String> {
        if !self.single.kind.in_place {
            return Ok(());
        }
        let mut def = definition(self.case.layer).map_err(told)?;
        def.top[0] = def.bottom[0].clone();
        let bottoms = self.single.bottoms.clone();
        self.single = SingleLayer::of(registry, &def, self.case.phase, bottoms).map_err(told)?;
        self.forward()?;
        let tops = |list: &[Tensor]| Gradients {
            bottoms: list.iter().cloned().map(Some).collect(),
            weights: Vec::new(),
        };
        differing(&tops(&self.single.tops), &tops(&self.tops), 1e-6, "in place, forward")?;
        if self.case.other_in_place {
            return Ok(());
        }
        let mut into = self.single.zeros();
        self.single.backward_into(&self.top_diffs, &mut into, Write::Set).map_err(told)?;
        differing(&into, &self.gradients, 1e-6, "in place, backward")?;
        // Only the weights are asked for: the diff of the top stays where it is.
        let (mut into, mut wanted) = (self.single.zeros(), self.gradients.clone());
        into.bottoms.fill(None);
        wanted.bottoms.fill(None);
        self.forward()?;
        self.single.backward_into(&self.top_diffs, &mut into, Write::Set).map_err(told)?;
        differing(&into, &wanted, 1e-6, "in place, weights alone")
    }
}

fn told(error: LayerError) -> String {
    format!("{:?}: {error}", error.at)
}

/// Says where `found` differs from `wanted` by more than `tolerance`, relative to the larger of 1
/// and the wanted value.
fn differing(
    found: &Gradients,
    wanted: &Gradients,
    tolerance: f32,
    how: &str,
) -> Result<(), String> {
    let lists =
        [("blob", &found.bottoms, &wanted.bottoms), ("weight", &found.weights, &wanted.weights)];
    for (what, found, wanted) in lists {
        for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            let (Some(found), Some(wanted)) = (found, wanted) else { continue };
            for (e, (&a, &b)) in found.data().iter().zip(wanted.data()).enumerate() {
                let near = a == b || (a - b).abs() <= tolerance * b.abs().max(1.0);
                if !near {
                    return Err(format!("{how}: {what} {i}[{e}] is {a} instead of {b}"));
                }
            }
        }
    }
    Ok(())
}
