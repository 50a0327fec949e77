//! How the learning rate changes: the original's seven policies (`GetLearningRate`).

use cortado_proto::caffe::SolverParameter;

/// A learning-rate policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LrPolicy {
    /// base_lr.
    Fixed,
    /// base_lr · gamma^⌊iter / stepsize⌋.
    Step,
    /// base_lr · gamma^iter.
    Exp,
    /// base_lr · (1 + gamma · iter)^−power.
    Inv,
    /// Like step, at the iterations given by stepvalue.
    Multistep,
    /// base_lr · (1 − iter / max_iter)^power: depends on max_iter.
    Poly,
    /// base_lr / (1 + exp(−gamma · (iter − stepsize))).
    Sigmoid,
}

/// The policies by the name that files give them.
pub const POLICIES: [(&str, LrPolicy); 7] = [
    ("fixed", LrPolicy::Fixed),
    ("step", LrPolicy::Step),
    ("exp", LrPolicy::Exp),
    ("inv", LrPolicy::Inv),
    ("multistep", LrPolicy::Multistep),
    ("poly", LrPolicy::Poly),
    ("sigmoid", LrPolicy::Sigmoid),
];

impl LrPolicy {
    /// The policy of a name.
    pub fn named(name: &str) -> Option<LrPolicy> {
        POLICIES.iter().find(|(known, _)| *known == name).map(|&(_, policy)| policy)
    }

    /// The rate of iteration `iter`. `step` counts the steps taken by the policies that keep count;
    /// it is part of a snapshot.
    pub fn rate(self, param: &SolverParameter, iter: u64, step: &mut i32) -> f32 {
        let (base, gamma) = (f64::from(param.base_lr()), f64::from(param.gamma()));
        let (iter_f, power) = (iter as f64, f64::from(param.power()));
        let rate = match self {
            LrPolicy::Fixed => base,
            LrPolicy::Step => {
                *step = (iter / param.stepsize().max(1) as u64) as i32;
                base * gamma.powi(*step)
            }
            LrPolicy::Exp => base * gamma.powf(iter_f),
            LrPolicy::Inv => base * (1.0 + gamma * iter_f).powf(-power),
            LrPolicy::Multistep => {
                let next = param.stepvalue.get((*step).max(0) as usize);
                if next.is_some_and(|&at| i64::from(at) <= iter as i64) {
                    *step += 1;
                }
                base * gamma.powi(*step)
            }
            LrPolicy::Poly => base * (1.0 - iter_f / f64::from(param.max_iter())).powf(power),
            LrPolicy::Sigmoid => {
                base / (1.0 + (-gamma * (iter_f - f64::from(param.stepsize()))).exp())
            }
        };
        rate as f32
    }
}
