//! How the learning rate changes: the original's seven policies (`GetLearningRate`), `plateau` of SSD,
//! `cosine` of ours, and what forks put around them: warm-up and a lower limit.

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
    /// min_lr + (base_lr − min_lr) · (1 − iter / max_iter)^power: depends on max_iter.
    Poly,
    /// base_lr / (1 + exp(−gamma · (iter − stepsize))).
    Sigmoid,
    /// base_lr · gamma^steps; a step when the shown loss has had no new minimum for
    /// plateau_winsize[steps] iterations.
    Plateau,
    /// min_lr + (base_lr − min_lr) · (1 + cos(π · iter / max_iter)) / 2. Loshchilov, Hutter 2017.
    Cosine,
}

/// The policies by the name that files give them.
pub const POLICIES: [(&str, LrPolicy); 9] = [
    ("fixed", LrPolicy::Fixed),
    ("step", LrPolicy::Step),
    ("exp", LrPolicy::Exp),
    ("inv", LrPolicy::Inv),
    ("multistep", LrPolicy::Multistep),
    ("poly", LrPolicy::Poly),
    ("sigmoid", LrPolicy::Sigmoid),
    ("plateau", LrPolicy::Plateau),
    ("cosine", LrPolicy::Cosine),
];

/// What policies that keep count remember; part of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Steps taken.
    pub step: i32,
    /// The lowest loss so far.
    pub minimum_loss: f32,
    /// The iteration of the last new minimum or step.
    pub last_event: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { step: 0, minimum_loss: 1e38, last_event: 0 }
    }
}

impl Pace {
    /// A look at the loss: whether it has stood still for the step's window.
    fn has_stalled(&mut self, param: &SolverParameter, iter: u64, loss: f32) -> bool {
        if loss < self.minimum_loss {
            (self.minimum_loss, self.last_event) = (loss, iter);
        }
        let window = param.plateau_winsize.get(self.step.max(0) as usize);
        window.is_some_and(|&window| iter - self.last_event.min(iter) >= window.max(0) as u64)
    }
}

impl LrPolicy {
    /// The policy of a name.
    pub fn named(name: &str) -> Option<LrPolicy> {
        POLICIES.iter().find(|(known, _)| *known == name).map(|&(_, policy)| policy)
    }

    /// The rate of iteration `iter`, after which the shown loss is `loss`.
    pub fn rate(self, param: &SolverParameter, iter: u64, loss: f32, pace: &mut Pace) -> f32 {
        let rate = warming(param, iter).unwrap_or_else(|| self.of(param, iter, loss, pace));
        match param.min_lr() {
            least if least > 0.0 => rate.max(f64::from(least)) as f32,
            _ => rate as f32,
        }
    }

    fn of(self, param: &SolverParameter, iter: u64, loss: f32, pace: &mut Pace) -> f64 {
        let (base, gamma) = (f64::from(param.base_lr()), f64::from(param.gamma()));
        let (iter_f, power) = (iter as f64, f64::from(param.power()));
        let (least, part) = (f64::from(param.min_lr()), iter_f / f64::from(param.max_iter()));
        match self {
            LrPolicy::Fixed => base,
            LrPolicy::Step => {
                pace.step = (iter / param.stepsize().max(1) as u64) as i32;
                base * gamma.powi(pace.step)
            }
            LrPolicy::Exp => base * gamma.powf(iter_f),
            LrPolicy::Inv => base * (1.0 + gamma * iter_f).powf(-power),
            LrPolicy::Multistep => {
                let next = param.stepvalue.get(pace.step.max(0) as usize);
                if next.is_some_and(|&at| i64::from(at) <= iter as i64) {
                    pace.step += 1;
                }
                base * gamma.powi(pace.step)
            }
            LrPolicy::Poly => (base - least) * (1.0 - part).powf(power) + least,
            LrPolicy::Sigmoid => {
                base / (1.0 + (-gamma * (iter_f - f64::from(param.stepsize()))).exp())
            }
            LrPolicy::Plateau => {
                if pace.has_stalled(param, iter, loss) {
                    (pace.step, pace.last_event) = (pace.step + 1, iter);
                }
                base * gamma.powi(pace.step)
            }
            LrPolicy::Cosine => {
                let turn = (std::f64::consts::PI * part.min(1.0)).cos();
                least + (base - least) * (1.0 + turn) / 2.0
            }
        }
    }
}

/// The rate while it rises to base_lr: with the square of the iterations up to `rampup_interval`
/// (NVCaffe), evenly up to `warmup_iter` (Intel).
fn warming(param: &SolverParameter, iter: u64) -> Option<f64> {
    let part = |of: i32| (i64::from(of) > iter as i64).then(|| iter as f64 / f64::from(of));
    let base = f64::from(param.base_lr());
    let rise = |from: f32, part: f64| f64::from(from) + (base - f64::from(from)) * part;
    part(param.rampup_interval())
        .map(|part| rise(param.rampup_lr(), part * part))
        .or_else(|| part(param.warmup_iter()).map(|part| rise(param.warmup_start_lr(), part)))
}
