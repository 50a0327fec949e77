//! Nets of a variant scored together, by the mean of their probabilities.

use std::path::PathBuf;
use std::sync::Arc;

use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::caffe::StudyVariant;
use rayon::ThreadPool;

use super::{Outcome, Study};
use crate::files;
use crate::net::{Net, NetOptions, NetState};
use crate::tools::ToolError;
use crate::tools::ensemble::Ensemble;

impl Study {
    /// What the nets of a variant score together, one value for every `ensemble` seeds in a row of which no
    /// run diverged; nothing where the study asks for none.
    ///
    /// # Errors
    /// A net can't be scored.
    pub fn together(
        &self,
        variant: &StudyVariant,
        pool: &Arc<ThreadPool>,
    ) -> Result<Vec<f64>, crate::Error> {
        let Some(size) = self.ensemble() else { return Ok(Vec::new()) };
        let mut scores = Vec::new();
        for group in 0..self.seeds() / size {
            let seeds = group * size + 1..(group + 1) * size + 1;
            let mut done = true;
            for seed in seeds.clone() {
                done &= self.kept(variant, seed)?.is_some_and(|run| run.outcome == Outcome::Done);
            }
            if done {
                scores.push(self.score(variant, seeds, pool)?);
            }
        }
        Ok(scores)
    }

    fn score(
        &self,
        variant: &StudyVariant,
        seeds: std::ops::Range<i32>,
        pool: &Arc<ThreadPool>,
    ) -> Result<f64, crate::Error> {
        let (def, stages) = self.solver(variant, seeds.start)?;
        let near = def.source.as_ref().map(|source| PathBuf::from(&source.name));
        let named = def.param.test_net.first().or(def.param.net.as_ref());
        let Some(file) = named.map(|net| files::resolve(net, near.as_deref())) else {
            return Err(ToolError("nets that are scored together are files".to_owned()).into());
        };
        let mut options = NetOptions::new(Phase::Test);
        (options.gradients, options.pool) = (false, pool.clone());
        options.state = NetState { phase: Phase::Test, level: 0, stages };
        let members = seeds.map(|seed| {
            let mut net = Net::from_file(&file, &options)?;
            net.copy_from(self.file(variant, seed, "caffemodel"))?;
            Ok(net)
        });
        let members: Vec<Net> = members.collect::<Result<_, crate::Error>>()?;
        let mut ensemble = Ensemble::new(NetDef::read(&file)?, members, &options)?;
        let measure = self.param.measure();
        let batches = def.param.test_iter.first().copied().unwrap_or(0).max(1);
        let mut sum = 0.0;
        for _ in 0..batches {
            ensemble.forward()?;
            let value = ensemble.head().blob(measure).and_then(|blob| blob.data.first().copied());
            let missing = || ToolError(format!("nets scored together have no output `{measure}`"));
            sum += f64::from(value.ok_or_else(missing)?);
        }
        ensemble.close()?;
        Ok(sum / f64::from(batches))
    }
}
