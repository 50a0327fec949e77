//! Solver arithmetic: each rule takes weights `w`, their gradient `g` (already averaged, decayed
//! and clipped) and its history, element by element.

use crate::blocks::{BLOCK, for_each_task};
use crate::shared::Shared;
use crate::{Kernels, SrcDst, Write};

impl Kernels {
    /// v = momentum * v + rate * g; w -= v
    pub fn sgd(&self, w: &mut [f32], g: &[f32], hist: &mut [f32], rate: f32, momentum: f32) {
        self.update(w, g, [hist], move |w, g, [v]| {
            let v = momentum * v + rate * g;
            (w - v, [v])
        });
    }

    /// v' = momentum * v + rate * g; w -= (1 + momentum) * v' - momentum * v
    pub fn nesterov(&self, w: &mut [f32], g: &[f32], hist: &mut [f32], rate: f32, momentum: f32) {
        self.update(w, g, [hist], move |w, g, [before]| {
            let v = momentum * before + rate * g;
            (w - ((1.0 + momentum) * v - momentum * before), [v])
        });
    }

    /// h += g^2; w -= rate * g / (sqrt(h) + delta)
    pub fn adagrad(&self, w: &mut [f32], g: &[f32], hist: &mut [f32], rate: f32, delta: f32) {
        self.update(w, g, [hist], move |w, g, [h]| {
            let h = h + g * g;
            (w - rate * (g / (h.sqrt() + delta)), [h])
        });
    }

    /// h = decay * h + (1 - decay) * g^2; w -= rate * g / (sqrt(h) + delta)
    pub fn rmsprop(
        &self,
        w: &mut [f32],
        g: &[f32],
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
        g: &[f32],
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
        g: &[f32],
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

    /// g += decay * w
    pub fn regularize_l2(&self, g: &mut [f32], w: &[f32], decay: f32) {
        self.axpy(decay, w, g);
    }

    /// g += decay * sign(w), where 0 has no sign
    pub fn regularize_l1(&self, g: &mut [f32], w: &[f32], decay: f32) {
        self.map2(SrcDst::InPlace(g), w, Write::Set, move |g, w| {
            let sign = if w > 0.0 { 1.0 } else { 0.0 } - if w < 0.0 { 1.0 } else { 0.0 };
            g + decay * sign
        });
    }

    /// (w, history) = f(w, g, history) for every element.
    fn update<const N: usize>(
        &self,
        w: &mut [f32],
        g: &[f32],
        history: [&mut [f32]; N],
        f: impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N]) + Copy + Sync,
    ) {
        let len = w.len();
        assert!(g.len() == len && history.iter().all(|h| h.len() == len), "lengths differ");
        let (w, history) = (Shared::new(w), history.map(Shared::new));
        for_each_task(len.div_ceil(BLOCK), len, |task| {
            let at = task * BLOCK;
            let len = BLOCK.min(len - at);
            let g = &g[at..at + len];
            // SAFETY: every task has a block of its own.
            let w = unsafe { w.range(at, len) };
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
                        update_piece(&mut w[range.clone()], &g[range.clone()], &mut piece, f);
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
    g: &[f32],
    history: &mut [[f32; PIECE]; N],
    f: impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N]),
) {
    let mut moved = [0.0; PIECE];
    let mut slope = [0.0; PIECE];
    moved[..w.len()].copy_from_slice(w);
    slope[..w.len()].copy_from_slice(g);
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
