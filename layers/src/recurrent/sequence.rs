//! What RNN and LSTM share: their bottoms and tops, and the products with what comes in, for all
//! time steps at once.

use cortado_kernels::{Kernels, Trans, Write};
use cortado_proto::caffe::RecurrentParameter;

use crate::filler::or_zero;
use crate::{Backward, LayerDef, LayerError, Reshape, SetUp, Shape, View};

/// Sequences of T steps, N side by side.
pub(super) struct Sequence {
    param: RecurrentParameter,
    /// Rows of the input's weights, for each hidden number.
    gates: usize,
    /// Vectors that go from step to step: h, or h and c.
    states: usize,
    /// Whether bottom 2 is an input that is the same at every step.
    fixed: bool,
    /// Steps.
    pub t: usize,
    /// Sequences.
    pub n: usize,
    /// Numbers of an input, and of the fixed input.
    inputs: [usize; 2],
}

impl Sequence {
    pub fn build(def: &LayerDef, gates: usize, states: usize) -> Result<Sequence, LayerError> {
        let param = def.recurrent_param.clone().unwrap_or_default();
        if param.num_output() == 0 {
            let why = "`num_output` must be given and above 0";
            return Err(LayerError::field("recurrent_param.num_output", why));
        }
        let exposed = if param.expose_hidden() { states } else { 0 };
        let (bottoms, tops) = (def.bottom.len(), def.top.len());
        if !(2 + exposed..=3 + exposed).contains(&bottoms) || tops != 1 + exposed {
            let with = if exposed > 0 { "with" } else { "without" };
            let why = format!(
                "{with} `expose_hidden` it takes {} or {} bottoms and {} tops, found {bottoms} and {tops}",
                2 + exposed,
                3 + exposed,
                1 + exposed
            );
            return Err(LayerError::layer(why).help(
                "the bottoms are x, cont, a fixed input if any, and with `expose_hidden` the states",
            ));
        }
        let fixed = bottoms == 3 + exposed;
        Ok(Sequence { param, gates, states, fixed, t: 0, n: 0, inputs: [0; 2] })
    }

    pub fn hidden(&self) -> usize {
        self.param.num_output() as usize
    }

    /// Elements of one step of a state.
    pub fn step(&self) -> usize {
        self.n * self.hidden()
    }

    /// Where the bottoms that hold the states begin, if they are exposed.
    pub fn exposed(&self) -> Option<usize> {
        self.param.expose_hidden().then_some(2 + usize::from(self.fixed))
    }

    /// Number of the first parameter that is not of the inputs.
    pub fn own_params(&self) -> usize {
        2 + usize::from(self.fixed)
    }

    pub fn weight(&self, cx: &mut SetUp<'_>, shape: impl Into<Shape>) {
        cx.weight(shape, or_zero(&self.param.weight_filler));
    }

    pub fn bias(&self, cx: &mut SetUp<'_>, count: usize) {
        cx.weight([count], or_zero(&self.param.bias_filler));
    }

    /// Asks for the parameters of the inputs.
    pub fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        if x.len() < 2 {
            let why = format!("time steps x sequences x … are wanted, the bottom is {x}");
            return Err(LayerError::bottom(0, why));
        }
        let fixed = if self.fixed { cx.bottoms[2].get(1..) } else { None };
        self.inputs = [x.count_from(2), fixed.map_or(1, |dims| dims.iter().product())];
        let rows = self.gates * self.hidden();
        self.weight(cx, [rows, self.inputs[0]]);
        self.bias(cx, rows);
        if self.fixed {
            self.weight(cx, [rows, self.inputs[1]]);
        }
        Ok(())
    }

    /// Checks the bottoms and gives the tops their shapes.
    pub fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let wrong = |i: usize, wanted: &str| {
            Err(LayerError::bottom(
                i,
                format!("{wanted} is wanted, the bottom is {}", cx.bottoms[i]),
            ))
        };
        let x = &cx.bottoms[0];
        if x.len() < 2 || x.count_from(2) != self.inputs[0] || x.count_to(2) == 0 {
            return wrong(0, &format!("time steps x sequences x {} numbers", self.inputs[0]));
        }
        (self.t, self.n) = (x[0], x[1]);
        let (t, n, hidden) = (self.t, self.n, self.hidden());
        if cx.bottoms[1][..] != [t, n] {
            return wrong(1, &format!("cont, {t}x{n} as the steps and sequences of x,"));
        }
        if self.fixed {
            let fixed = &cx.bottoms[2];
            if fixed.first() != Some(&n) || fixed.count_from(1) != self.inputs[1] {
                let per = format!("{n} sequences x {} numbers", self.inputs[1]);
                return wrong(2, &per);
            }
        }
        for i in self.exposed().map_or(0..0, |first| first..first + self.states) {
            if cx.bottoms[i][..] != [1, n, hidden] {
                return wrong(i, &format!("a state of 1x{n}x{hidden}"));
            }
        }
        cx.top(0, [t, n, hidden]);
        (1..cx.tops.len()).for_each(|i| cx.top(i, [1, n, hidden]));
        Ok(())
    }

    /// out (T·N x gates·hidden) = x · Wᵀ + b, and what the fixed input adds.
    pub fn forward(
        &self,
        k: &Kernels,
        bottoms: &[Option<View<'_>>],
        weights: &[View<'_>],
        out: &mut [f32],
    ) -> Result<(), LayerError> {
        let data = |i: usize| bottoms[i].map_or(&[][..], |bottom| bottom.data);
        check_cont(data(1), self.n)?;
        let (n, rows) = (self.n, self.gates * self.hidden());
        let (first, others) = out.split_at_mut(n * rows);
        first.chunks_exact_mut(rows).for_each(|row| row.copy_from_slice(weights[1].data));
        if self.fixed {
            let (s, w) = (self.inputs[1], weights[2].data);
            k.gemm(Trans::No, Trans::Yes, n, rows, s, 1.0, data(2), w, 1.0, first);
        }
        others.chunks_exact_mut(n * rows).for_each(|step| step.copy_from_slice(first));
        let (d, w) = (self.inputs[0], weights[0].data);
        k.gemm(Trans::No, Trans::Yes, self.t * n, rows, d, 1.0, data(0), w, 1.0, out);
        Ok(())
    }

    /// Scratch that `backward` wants.
    pub fn scratch(&self) -> usize {
        if self.fixed { self.gates * self.step() } else { 0 }
    }

    /// From the diff of what `forward` made to those of inputs, weights and biases.
    pub fn backward(&self, cx: &mut Backward<'_>, dout: &[f32], scratch: &mut [f32]) {
        let k = cx.k;
        let (steps, n, rows) = (self.t * self.n, self.n, self.gates * self.hidden());
        if let Some(db) = &mut cx.weight_diffs[1] {
            k.sum_channels(steps, rows, 1, dout, db.data);
        }
        product_backward(cx, [0, 0], [steps, rows, self.inputs[0]], dout);
        let Some(sum) = scratch.get_mut(..self.scratch()).filter(|sum| !sum.is_empty()) else {
            return zero_states(cx, self.exposed());
        };
        sum.fill(0.0);
        dout.chunks_exact(n * rows).for_each(|step| k.axpy(1.0, step, sum));
        product_backward(cx, [2, 2], [n, rows, self.inputs[1]], sum);
        zero_states(cx, self.exposed());
    }
}

/// For y = x · Wᵀ of a bottom and a weight (their numbers) with y m x n and x m x k.
fn product_backward(
    cx: &mut Backward<'_>,
    [bottom, weight]: [usize; 2],
    [m, n, k]: [usize; 3],
    dy: &[f32],
) {
    let (x, w) = (cx.bottom(bottom).data, cx.weights[weight].data);
    if let Some(dw) = &mut cx.weight_diffs[weight] {
        cx.k.gemm(Trans::Yes, Trans::No, n, k, m, 1.0, dy, x, 1.0, dw.data);
    }
    if let Some(dx) = &mut cx.bottom_diffs[bottom] {
        let beta = if dx.write == Write::Add { 1.0 } else { 0.0 };
        cx.k.gemm(Trans::No, Trans::No, m, k, n, 1.0, dy, w, beta, dx.data);
    }
}

/// States that come in from outside are values: no gradient goes into them.
fn zero_states(cx: &mut Backward<'_>, first: Option<usize>) {
    let states = cx.bottom_diffs.iter_mut().skip(first.unwrap_or(usize::MAX)).flatten();
    states.filter(|diff| diff.write == Write::Set).for_each(|diff| diff.data.fill(0.0));
}

fn check_cont(cont: &[f32], sequences: usize) -> Result<(), LayerError> {
    let Some(at) = cont.iter().position(|cont| !cont.is_finite()) else { return Ok(()) };
    let why = format!(
        "cont is {} at step {} of sequence {}: 0 (a new sequence begins) or 1 is wanted",
        cont[at],
        at / sequences,
        at % sequences
    );
    Err(LayerError::bottom(1, why))
}

/// to = cont · from, a row per sequence; with cont 0 whatever `from` holds.
pub(super) fn keep(cont: &[f32], from: &[f32], to: &mut [f32]) {
    let hidden = to.len() / cont.len();
    for ((cont, from), to) in
        cont.iter().zip(from.chunks_exact(hidden)).zip(to.chunks_exact_mut(hidden))
    {
        match *cont {
            0.0 => to.fill(0.0),
            cont => to.iter_mut().zip(from).for_each(|(to, from)| *to = cont * from),
        }
    }
}

/// The state before the first step: the bottom's if states are exposed, else what the last pass left
/// (nothing, if it had another number of sequences).
pub(super) fn start<'a>(
    seq: &Sequence,
    bottoms: &[Option<View<'a>>],
    state: usize,
    carried: &'a mut Vec<f32>,
) -> &'a [f32] {
    match seq.exposed().and_then(|first| bottoms[first + state]) {
        Some(bottom) => bottom.data,
        None => {
            if carried.len() != seq.step() {
                *carried = vec![0.0; seq.step()];
            }
            carried
        }
    }
}

/// Multiply-adds: every matrix once per step and sequence, that of the fixed input (number 2, if
/// there are `plain + 1` parameters) once per sequence.
pub(super) fn macs(tops: &[Shape], params: &[Shape], plain: usize) -> u64 {
    let (steps, sequences) = (tops[0].count_to(2), tops[0][1]);
    let rows = |i: usize| if i == 2 && params.len() > plain { sequences } else { steps };
    let matrices = params.iter().enumerate().filter(|(_, shape)| shape.len() == 2);
    matrices.map(|(i, shape)| (rows(i) * shape.count()) as u64).sum()
}
