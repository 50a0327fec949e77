//! Runs the steps. For each the memory of what is written is taken out, the memory of what is read
//! is lent, the kernel is called, and the memory is put back.

use std::mem::take;

use cortado_kernels::{AlignedVec, kernels};
use cortado_layers::{Layout, View, ViewMut};

use super::Plan;
use super::images::Images;
use super::slots::Home;
use super::step::{Place, Step, Work};
use super::work::{self, Lent, Outside};
use crate::net::build::layer_phase;
use crate::net::exec::Lender;
use crate::net::{Net, NetError, Short, Storage, threads};

impl Net {
    /// A planned pass; `watch` is told after each step.
    pub(in crate::net) fn forward_planned(
        &mut self,
        watch: &mut (dyn FnMut(usize) + Send),
    ) -> Result<f64, NetError> {
        let Some(mut plan) = self.plan.take() else { return self.forward_layers() };
        if let Err(error) = self.prepare(&mut plan) {
            plan.prepared = false;
            self.plan = Some(plan);
            return Err(error);
        }
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
        self.pulse.rest();
        self.passes += 1;
        result
    }

    /// Gives the net's memory that the plan uses its size, and the rest back: nobody shall read an
    /// old value.
    fn prepare(&mut self, plan: &mut Plan) -> Result<(), NetError> {
        if self.filled == 0 && plan.prepared {
            return Ok(());
        }
        self.filled = 0;
        plan.prepared = true;
        let used = self.used_storages(plan);
        self.size_storages(|storage| used[storage])
    }

    fn run_step(&mut self, plan: &mut Plan, at: usize) -> Result<(), NetError> {
        let Plan { steps, buffers, homes, memory, arenas, .. } = plan;
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
            let outside = Outside::Net(&self.storages);
            let lent = Lent { buffers, homes, memory, outside };
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
                        phase: layer_phase(&self.nodes[*node].def, self.state.phase),
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
                Work::Images(images, arena) => {
                    let len = |place: &Place| buffers[place.buffer].len;
                    let reads: Short<&[f32]> = step.srcs.iter().map(|p| lent.data(p)).collect();
                    let writes = (step.dsts.iter().zip(&mut taken))
                        .map(|(place, (_, memory))| &mut memory.slice()[..len(place)])
                        .collect();
                    images.run(&mut arenas[*arena], &reads, writes);
                    Ok(())
                }
                _ => {
                    let mut dsts: Short<(Home, &mut [f32])> =
                        taken.iter_mut().map(|(home, memory)| (*home, memory.slice())).collect();
                    work::perform(kernels(), &lent, step, &mut dsts);
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

impl Images {
    /// Runs all images: `reads` and `writes` are the memory outside.
    fn run(&self, arenas: &mut [Vec<AlignedVec>], reads: &[&[f32]], writes: Short<&mut [f32]>) {
        let len = |i: usize| self.buffers[i].len;
        let mut writes: Short<_> = (writes.into_iter().enumerate())
            .map(|(i, memory)| memory.chunks_exact_mut(len(reads.len() + i)))
            .collect();
        let mut items: Vec<(usize, Short<&mut [f32]>)> = Vec::new();
        loop {
            let next: Short<&mut [f32]> = writes.iter_mut().filter_map(Iterator::next).collect();
            if next.is_empty() {
                break;
            }
            items.push((items.len(), next));
        }
        cortado_kernels::deal(arenas, items, |memory, (i, mut writes)| {
            let reads: Short<&[f32]> =
                reads.iter().enumerate().map(|(j, data)| &data[i * len(j)..][..len(j)]).collect();
            self.steps.iter().for_each(|step| self.step(step, memory, &reads, &mut writes));
        });
    }

    fn step(
        &self,
        step: &Step,
        memory: &mut [AlignedVec],
        reads: &[&[f32]],
        writes: &mut [&mut [f32]],
    ) {
        enum Taken<'a> {
            Slot(AlignedVec),
            Outside(&'a mut [f32]),
        }
        let mut taken: Short<(Home, Taken)> = Short::new();
        for place in &step.dsts {
            let home = self.homes[place.buffer];
            if taken.iter().all(|(other, _)| *other != home) {
                let data = match home {
                    Home::Storage(i) => Taken::Outside(take(&mut writes[i - reads.len()])),
                    Home::Slot(i) => Taken::Slot(take(&mut memory[i])),
                };
                taken.push((home, data));
            }
        }
        {
            let outside = Outside::Images(reads, writes);
            let lent = Lent { buffers: &self.buffers, homes: &self.homes, memory, outside };
            let mut dsts: Short<(Home, &mut [f32])> = (taken.iter_mut())
                .map(|(home, data)| match data {
                    Taken::Slot(data) => (*home, &mut data[..]),
                    Taken::Outside(data) => (*home, &mut data[..]),
                })
                .collect();
            work::perform(kernels(), &lent, step, &mut dsts);
        }
        for (home, data) in taken {
            match (home, data) {
                (Home::Slot(i), Taken::Slot(data)) => memory[i] = data,
                (Home::Storage(i), Taken::Outside(data)) => writes[i - reads.len()] = data,
                _ => unreachable!("memory goes back where it was taken"),
            }
        }
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
