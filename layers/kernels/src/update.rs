//! Solver arithmetic: each rule takes weights `w`, their gradient `g` and its history, element by
//! element, in one sweep over memory that averages, clips and decays as well.

use crate::Kernels;
use crate::blocks::{BLOCK, for_each_task};
use crate::shared::Shared;

/// What pulls weights towards zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Decay {
    /// Nothing.
    #[default]
    None,
    /// g += decay * w
    L2(f32),
    /// g += decay * sign(w), where 0 has no sign
    L1(f32),
    /// w *= factor, before the rule
    Weights(f32),
}

/// A gradient as the backward pass has left it. Behind a rule it is the one that the step was made from.
#[derive(Debug)]
pub struct Gradient<'a> {
    /// One number per weight.
    pub values: &'a mut [f32],
    /// What they are multiplied with first.
    pub scale: f32,
    /// What comes next.
    pub decay: Decay,
}

impl<'a> From<&'a mut [f32]> for Gradient<'a> {
    fn from(values: &'a mut [f32]) -> Gradient<'a> {
        Gradient { values, scale: 1.0, decay: Decay::None }
    }
}

impl Kernels {
    /// v = momentum * v + rate * g; w -= v
    pub fn sgd(&self, w: &mut [f32], g: Gradient<'_>, hist: &mut [f32], rate: f32, momentum: f32) {
        self.update(w, g, [hist], move |w, g, [v]| {
            let v = momentum * v + rate * g;
            (w - v, [v])
        });
    }

    /// v' = momentum * v + rate * g; w -= (1 + momentum) * v' - momentum * v
    pub fn nesterov(
        &self,
        w: &mut [f32],
        g: Gradient<'_>,
        hist: &mut [f32],
        rate: f32,
        momentum: f32,
    ) {
        self.update(w, g, [hist], move |w, g, [before]| {
            let v = momentum * before + rate * g;
            (w - ((1.0 + momentum) * v - momentum * before), [v])
        });
    }

    /// h += g^2; w -= rate * g / (sqrt(h) + delta)
    pub fn adagrad(&self, w: &mut [f32], g: Gradient<'_>, hist: &mut [f32], rate: f32, delta: f32) {
        self.update(w, g, [hist], move |w, g, [h]| {
            let h = h + g * g;
            (w - rate * (g / (h.sqrt() + delta)), [h])
        });
    }

    /// h = decay * h + (1 - decay) * g^2; w -= rate * g / (sqrt(h) + delta)
    pub fn rmsprop(
        &self,
        w: &mut [f32],
        g: Gradient<'_>,
        hist: &mut [f32],
        rate: f32,
        rms_decay: f32,
        delta: f32,
    ) {
        self.update(w, g, [hist], move |w, g, [h]| {
            let h = rms_decay * h + (1.0 - rms_decay) * (g * g);
            (w - rate * (g / (h.sqrt() + delta)), [h])
        });
    }

    /// hg = m * hg + (1 - m) * g^2; u = g * sqrt((hu + delta) / (hg + delta));
    /// hu = m * hu + (1 - m) * u^2; w -= rate * u
    #[allow(clippy::too_many_arguments)]
    pub fn adadelta(
        &self,
        w: &mut [f32],
        g: Gradient<'_>,
        hist_g: &mut [f32],
        hist_u: &mut [f32],
        rate: f32,
        momentum: f32,
        delta: f32,
    ) {
        self.update(w, g, [hist_g, hist_u], move |w, g, [hg, hu]| {
            let hg = momentum * hg + (1.0 - momentum) * (g * g);
            let u = g * ((hu + delta) / (hg + delta)).sqrt();
            let hu = momentum * hu + (1.0 - momentum) * (u * u);
            (w - rate * u, [hg, hu])
        });
    }

    /// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    /// w -= rate_corrected * m / (sqrt(v) + delta)
    #[allow(clippy::too_many_arguments)]
    pub fn adam(
        &self,
        w: &mut [f32],
        g: Gradient<'_>,
        m: &mut [f32],
        v: &mut [f32],
        rate_corrected: f32,
        beta1: f32,
        beta2: f32,
        delta: f32,
    ) {
        self.update(w, g, [m, v], move |w, g, [m, v]| {
            let m = beta1 * m + (1.0 - beta1) * g;
            let v = beta2 * v + (1.0 - beta2) * (g * g);
            (w - rate_corrected * (m / (v.sqrt() + delta)), [m, v])
        });
    }

    /// (w, history) = f(w, g, history) for every element.
    fn update<const N: usize>(
        &self,
        w: &mut [f32],
        g: Gradient<'_>,
        history: [&mut [f32]; N],
        f: impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N]) + Copy + Sync,
    ) {
        let len = w.len();
        let Gradient { values: g, scale, decay } = g;
        assert!(g.len() == len && history.iter().all(|h| h.len() == len), "lengths differ");
        let (w, g, history) = (Shared::new(w), Shared::new(g), history.map(Shared::new));
        for_each_task(len.div_ceil(BLOCK), len, |task| {
            let at = task * BLOCK;
            let len = BLOCK.min(len - at);
            // SAFETY: every task has a block of its own.
            let (w, g) = unsafe { (w.range(at, len), g.range(at, len)) };
            // SAFETY: as above; the histories are slices of their own.
            let mut history = history.each_ref().map(|h| unsafe { h.range(at, len) });
            self.vectorize(
                #[inline(always)]
                || {
                    for at in (0..len).step_by(PIECE) {
                        let range = at..(at + PIECE).min(len);
                        let mut piece = [[0.0; PIECE]; N];
                        for (piece, h) in piece.iter_mut().zip(&history) {
                            piece[..range.len()].copy_from_slice(&h[range.clone()]);
                        }
                        let (w, g) = (&mut w[range.clone()], &mut g[range.clone()]);
                        update_piece(w, g, (scale, decay), &mut piece, f);
                        for (piece, h) in piece.iter().zip(&mut history) {
                            h[range.clone()].copy_from_slice(&piece[..range.len()]);
                        }
                    }
                },
            );
        });
    }
}

/// Elements whose history is copied aside at once: the compiler then sees that nothing overlaps,
/// whatever the number of histories.
const PIECE: usize = 64;

#[inline(always)]
fn update_piece<const N: usize>(
    w: &mut [f32],
    g: &mut [f32],
    (scale, decay): (f32, Decay),
    history: &mut [[f32; PIECE]; N],
    f: impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N]),
) {
    let mut moved = [0.0; PIECE];
    let mut slope = [0.0; PIECE];
    moved[..w.len()].copy_from_slice(w);
    slope[..w.len()].copy_from_slice(g);
    if (scale, decay) != (1.0, Decay::None) {
        slope.iter_mut().for_each(|g| *g *= scale);
        let pairs = slope.iter_mut().zip(&mut moved);
        match decay {
            Decay::None => {}
            Decay::L2(decay) => pairs.for_each(|(g, w)| *g += decay * *w),
            Decay::L1(decay) => pairs.for_each(|(g, w)| *g += decay * sign(*w)),
            Decay::Weights(factor) => moved.iter_mut().for_each(|w| *w *= factor),
        }
        g.copy_from_slice(&slope[..g.len()]);
    }
    for i in 0..PIECE {
        let mut h = [0.0; N];
        for n in 0..N {
            h[n] = history[n][i];
        }
        (moved[i], h) = f(moved[i], slope[i], h);
        for n in 0..N {
            history[n][i] = h[n];
        }
    }
    w.copy_from_slice(&moved[..w.len()]);
}

#[inline(always)]
fn sign(x: f32) -> f32 {
    (if x > 0.0 { 1.0 } else { 0.0 }) - if x < 0.0 { 1.0 } else { 0.0 }
}
