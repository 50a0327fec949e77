//! What a step does with the memory that it is lent: which kernel, with which operands.

use cortado_kernels::{
    Act as KernelAct, Add, AlignedVec, ConvAlgo, Epilogue, Kernels, Source, SrcDst, Write, kernels,
};
use cortado_layers::{Act, Layout, PoolKind, Prim, Shape, View};

use super::Buffer;
use super::slots::Home;
use super::step::{Form, Place, Step, Weights, Work};
use crate::net::{Short, Storage};

/// What lies outside of a plan's slots.
#[derive(Clone, Copy)]
pub(super) enum Outside<'a> {
    /// The net's memory.
    Net(&'a [Storage]),
    /// Parts of the memory of the steps around: what is read, then what is written.
    Images(&'a [&'a [f32]], &'a [&'a mut [f32]]),
}

/// The memory that is not taken.
pub(super) struct Lent<'a> {
    pub buffers: &'a [Buffer],
    pub homes: &'a [Home],
    pub memory: &'a [AlignedVec],
    pub outside: Outside<'a>,
}

impl<'a> Lent<'a> {
    pub fn data(&self, place: &Place) -> &'a [f32] {
        let len = self.buffers[place.buffer].len;
        match self.homes[place.buffer] {
            Home::Storage(i) => match self.outside {
                Outside::Net(storages) => &storages[i].data[..len],
                Outside::Images(reads, _) if i < reads.len() => reads[i],
                Outside::Images(reads, writes) => &writes[i - reads.len()][..len],
            },
            Home::Slot(i) => &self.memory[i][..len],
        }
    }

    pub fn view<'p>(&self, place: &'p Place) -> View<'p>
    where
        'a: 'p,
    {
        View { shape: &place.shape, layout: Layout::Nchw, data: self.data(place) }
    }

    /// From the source of a pointwise step to its destination, which may be the same memory.
    fn src_dst<'d>(&self, step: &Step, dst: &'d mut [f32]) -> SrcDst<'d>
    where
        'a: 'd,
    {
        match self.homes[step.srcs[0].buffer] == self.homes[step.dsts[0].buffer] {
            true => SrcDst::InPlace(dst),
            false => SrcDst::Apart(self.data(&step.srcs[0]), dst),
        }
    }
}

/// Runs a step that is no layer: `dsts` is what each place is written to, or nothing where an earlier
/// one is in the same memory.
pub(super) fn perform(k: &Kernels, lent: &Lent<'_>, step: &Step, dsts: &mut [(Home, &mut [f32])]) {
    if !matches!(step.work, Work::Copy) {
        let (_, dst) = &mut dsts[0];
        let len = lent.buffers[step.dsts[0].buffer].len;
        return run(k, lent, step, &mut dst[..len]);
    }
    for (src, dst) in step.srcs.iter().zip(&step.dsts) {
        let home = lent.homes[dst.buffer];
        if let Some((_, to)) = dsts.iter_mut().find(|(other, _)| *other == home) {
            copy(lent, src, dst, &mut to[..lent.buffers[dst.buffer].len]);
        }
    }
}

fn copy(lent: &Lent<'_>, src: &Place, dst: &Place, to: &mut [f32]) {
    let data = lent.data(src);
    match dst.form {
        Form::Plain => to.copy_from_slice(data),
        _ => kernels().copy_blocked(src.read(data), dst.write(to)),
    }
}

/// Runs a step that is no layer and no copy.
fn run(k: &Kernels, lent: &Lent<'_>, step: &Step, dst: &mut [f32]) {
    let to = &step.dsts[0];
    match &step.work {
        Work::ToBlocked => {
            let of = to.write(dst).of;
            k.to_blocked(lent.data(&step.srcs[0]), of, dst);
        }
        Work::ToPlain => {
            let from = &step.srcs[0];
            k.from_blocked(from.read(lent.data(from)), from.shape[1], dst);
        }
        Work::Product { prim, weights, bias } => {
            product(k, lent, step, prim, weights, bias.as_deref(), dst);
        }
        Work::Prim(prim) if to.form == Form::Plain => plain(k, lent, step, prim, dst),
        Work::Prim(prim) => blocked(k, lent, step, prim, dst),
        Work::Layer(_) | Work::Copy | Work::Images(..) => {}
    }
}

fn product(
    k: &Kernels,
    lent: &Lent<'_>,
    step: &Step,
    prim: &Prim,
    weights: &Weights,
    bias: Option<&[f32]>,
    dst: &mut [f32],
) {
    let (from, to) = (&step.srcs[0], &step.dsts[0]);
    let src = lent.data(from);
    match (prim, weights) {
        (Prim::Conv(g), Weights::Blocked(packed, _)) => {
            let src = match from.form {
                Form::Plain => Source::Planes(src),
                _ => Source::Blocked(from.read(src)),
            };
            let add = step
                .add
                .as_ref()
                .map_or(Add::Nothing, |place| Add::Blob(place.read(lent.data(place))));
            let epilogue = Epilogue { bias, add, act: kernel_act(&step.act) };
            k.conv_blocked(g, src, packed, epilogue, to.write(dst));
        }
        (Prim::Conv(g), Weights::Plain(packed)) => {
            k.conv_forward(g, src, &packed.0, Some(&packed.1), bias, &mut *dst);
            finish(k, lent, step, dst);
        }
        (Prim::Deconv(g), Weights::Reversed(weights)) => {
            k.conv_backward_data(g, src, weights, bias, Write::Set, ConvAlgo::Direct, &mut *dst);
            finish(k, lent, step, dst);
        }
        (Prim::Gemm { m, .. }, Weights::Fc(packed)) if step.add.is_none() => {
            k.fc(*m, src, packed, bias, kernel_act(&step.act), dst);
        }
        (Prim::Gemm { m, .. }, Weights::Fc(packed)) => {
            k.fc(*m, src, packed, bias, KernelAct::None, dst);
            finish(k, lent, step, dst);
        }
        _ => unreachable!("weights are packed for the product"),
    }
}

/// What ends a step in row-major order.
fn finish(k: &Kernels, lent: &Lent<'_>, step: &Step, dst: &mut [f32]) {
    if let Some(add) = &step.add {
        k.axpy(1.0, lent.data(add), dst);
    }
    if let Some(act) = &step.act {
        plain_act(k, act, &step.dsts[0].shape, SrcDst::InPlace(dst));
    }
}

fn plain_act(k: &Kernels, act: &Act, shape: &Shape, io: SrcDst<'_>) {
    match act {
        Act::Relu(slope) => k.relu_forward(io, *slope),
        Act::PRelu(slopes) => {
            let (outer, c, inner) = shape.around(1);
            k.prelu_forward(outer, c, inner, io, slopes);
        }
        &Act::Clip(low, high) => {
            k.map(io, move |x| {
                if x < low {
                    low
                } else if x > high {
                    high
                } else {
                    x
                }
            });
        }
        Act::Sigmoid => k.sigmoid(io),
        Act::TanH => k.tanh(io),
        _ => unreachable!("a new activation needs a kernel here"),
    }
}

fn kernel_act(act: &Option<Act>) -> KernelAct<'_> {
    match act {
        None => KernelAct::None,
        Some(Act::Relu(slope)) => KernelAct::Relu(*slope),
        Some(Act::PRelu(slopes)) => KernelAct::PRelu(slopes),
        Some(Act::Clip(low, high)) => KernelAct::Clip(*low, *high),
        Some(Act::Sigmoid) => KernelAct::Sigmoid,
        Some(Act::TanH) => KernelAct::TanH,
        Some(_) => unreachable!("a new activation needs a kernel here"),
    }
}

/// Items in row-major order that rules have joined from several.
fn plain(k: &Kernels, lent: &Lent<'_>, step: &Step, prim: &Prim, dst: &mut [f32]) {
    match prim {
        Prim::Affine(affine) => {
            let (outer, c, inner) = step.dsts[0].shape.around(1);
            let io = lent.src_dst(step, dst);
            k.affine_channels(outer, c, inner, io, &affine.scale, Some(&affine.shift));
        }
        Prim::Add { coeffs } => {
            let srcs: Short<&[f32]> = step.srcs.iter().map(|place| lent.data(place)).collect();
            k.eltwise_sum(&srcs, coeffs, dst);
        }
        _ => unreachable!("others run as layers"),
    }
    finish(k, lent, step, dst);
}

fn blocked(k: &Kernels, lent: &Lent<'_>, step: &Step, prim: &Prim, dst: &mut [f32]) {
    let to = &step.dsts[0];
    let of = to.write(dst).of;
    let from = &step.srcs[0];
    let operands = || -> Short<&[f32]> { step.srcs.iter().map(|p| lent.data(p)).collect() };
    let act = kernel_act(&step.act);
    match prim {
        Prim::Affine(affine) => {
            let io = lent.src_dst(step, dst);
            return k.affine_blocked(of, io, Some(&affine.scale), Some(&affine.shift), act);
        }
        Prim::Act(own) => {
            let own = Some(own.clone());
            return k.affine_blocked(of, lent.src_dst(step, dst), None, None, kernel_act(&own));
        }
        // Halos are zero and stay so.
        Prim::Add { coeffs } => k.eltwise_sum(&operands(), coeffs, dst),
        Prim::Mul => k.eltwise_prod(&operands(), dst),
        Prim::Max => k.eltwise_max(&operands(), dst, None),
        Prim::Pool(g, PoolKind::Max) => {
            k.max_pool_blocked(g, from.read(lent.data(from)), to.write(dst));
        }
        Prim::Pool(g, PoolKind::Average) => {
            k.ave_pool_blocked(g, from.read(lent.data(from)), to.write(dst));
        }
        &Prim::Lrn { size, alpha, beta, k: base } => {
            k.lrn_blocked(of, size, alpha, beta, base, lent.data(from), dst);
        }
        _ => unreachable!("others run in row-major order"),
    }
    if step.act.is_some() {
        k.affine_blocked(of, SrcDst::InPlace(dst), None, None, act);
    }
}
