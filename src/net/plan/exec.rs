//! Runs the steps. For each the memory of what is written is taken out, the memory of what is read
//! is lent, the kernel is called, and the memory is put back.

use std::mem::take;

use cortado_kernels::kernels;
use cortado_kernels::{
    Act as KernelAct, Add, AlignedVec, ConvAlgo, Epilogue, Kernels, Source, SrcDst, Write,
};
use cortado_layers::{Act, Layout, PoolKind, Prim, Shape, View, ViewMut};

use super::slots::Home;
use super::step::{Form, Place, Step, Weights, Work};
use super::{Buffer, Plan};
use crate::net::exec::Lender;
use crate::net::{Net, NetError, Short, Storage, threads};

impl Net {
    /// A planned pass; `watch` is told after each step.
    pub(in crate::net) fn forward_planned(
        &mut self,
        watch: &mut (dyn FnMut(usize) + Send),
    ) -> Result<f64, NetError> {
        let Some(mut plan) = self.plan.take() else { return self.forward_layers() };
        self.prepare(&mut plan);
        let pool = self.pool.clone();
        let result = threads::pass(&pool, || {
            for at in 0..plan.steps.len() {
                self.run_step(&mut plan, at)?;
                watch(at);
            }
            let loss: f64 = (0..plan.end).map(|i| self.loss_of(i)).sum();
            Ok(loss + self.run_layers(plan.end..self.nodes.len())?)
        });
        self.plan = Some(plan);
        self.passes += 1;
        result
    }

    /// Gives the net's memory that the plan uses its size, and the rest back: nobody shall read an
    /// old value.
    fn prepare(&mut self, plan: &mut Plan) {
        if self.filled == 0 && plan.prepared {
            return;
        }
        self.filled = 0;
        plan.prepared = true;
        let used = self.used_storages(plan);
        self.size_storages(|storage| used[storage]);
    }

    fn run_step(&mut self, plan: &mut Plan, at: usize) -> Result<(), NetError> {
        let Plan { steps, buffers, homes, memory, .. } = plan;
        let step = &steps[at];
        let mut taken: Short<(Home, Memory)> = Short::new();
        for place in &step.dsts {
            let home = homes[place.buffer];
            // Parts of one concatenation are written by one step as well.
            if taken.iter().all(|(other, _)| *other != home) {
                taken.push((home, Memory::take(home, memory, &mut self.storages)));
            }
        }
        let result = {
            let lent = Lent { buffers, homes, memory, storages: &self.storages };
            match &step.work {
                Work::Layer(node) => {
                    let bottoms: Short<Option<View>> =
                        step.srcs.iter().map(|place| Some(lent.view(place))).collect();
                    let mut tops: Short<ViewMut> = (step.dsts.iter().zip(&mut taken))
                        .map(|(place, (_, memory))| ViewMut {
                            shape: &place.shape,
                            layout: Layout::Nchw,
                            data: &mut memory.slice()[..buffers[place.buffer].len],
                        })
                        .collect();
                    let mut lender = Lender {
                        phase: self.state.phase,
                        key: cortado_layers::RngKey {
                            seed: self.seed,
                            pass: self.passes,
                            replica: 0,
                        },
                        store: &mut self.store,
                        cache: &mut self.cache,
                        scratch: &mut self.scratch,
                    };
                    lender.forward(&mut self.nodes[*node], &bottoms, &mut tops)
                }
                Work::Copy => {
                    for (src, dst) in step.srcs.iter().zip(&step.dsts) {
                        let home = homes[dst.buffer];
                        let Some((_, to)) = taken.iter_mut().find(|(other, _)| *other == home)
                        else {
                            continue;
                        };
                        copy(&lent, src, dst, &mut to.slice()[..buffers[dst.buffer].len]);
                    }
                    Ok(())
                }
                _ => {
                    let place = &step.dsts[0];
                    let dst = &mut taken[0].1.slice()[..buffers[place.buffer].len];
                    run(kernels(), &lent, step, dst);
                    Ok(())
                }
            }
        };
        for (home, data) in taken {
            data.put_back(home, memory, &mut self.storages);
        }
        result
    }
}

/// Memory that is taken out to be written.
enum Memory {
    Storage(Vec<f32>),
    Slot(AlignedVec),
}

impl Memory {
    fn take(home: Home, memory: &mut [AlignedVec], storages: &mut [Storage]) -> Memory {
        match home {
            Home::Storage(i) => Memory::Storage(take(&mut storages[i].data)),
            Home::Slot(i) => Memory::Slot(take(&mut memory[i])),
        }
    }

    fn put_back(self, home: Home, memory: &mut [AlignedVec], storages: &mut [Storage]) {
        match (home, self) {
            (Home::Storage(i), Memory::Storage(data)) => storages[i].data = data,
            (Home::Slot(i), Memory::Slot(data)) => memory[i] = data,
            _ => unreachable!("memory goes back where it was taken"),
        }
    }

    fn slice(&mut self) -> &mut [f32] {
        match self {
            Memory::Storage(data) => data,
            Memory::Slot(data) => data,
        }
    }
}

/// The memory that is not taken.
struct Lent<'a> {
    buffers: &'a [Buffer],
    homes: &'a [Home],
    memory: &'a [AlignedVec],
    storages: &'a [Storage],
}

impl<'a> Lent<'a> {
    fn data(&self, place: &Place) -> &'a [f32] {
        let len = self.buffers[place.buffer].len;
        match self.homes[place.buffer] {
            Home::Storage(i) => &self.storages[i].data[..len],
            Home::Slot(i) => &self.memory[i][..len],
        }
    }

    fn view<'p>(&self, place: &'p Place) -> View<'p>
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
        Work::Layer(_) | Work::Copy => {}
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
            k.conv_forward(g, src, &packed.0, Some(&packed.1), bias, dst);
            finish(k, lent, step, dst);
        }
        (Prim::Deconv(g), Weights::Reversed(weights)) => {
            k.conv_backward_data(g, src, weights, bias, Write::Set, ConvAlgo::Direct, dst);
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
