//! Studies: variants of one net, each trained with several seeds, and what came of them in a table and
//! a picture. A study is a folder: `study.prototxt` (`StudyParameter`) names a solver and the variants,
//! which differ by the stages of the net and by fields of the solver. [`run`] trains, keeping every
//! run that has ended; [`report`] writes.

mod report;
mod run;
mod together;

use std::path::{Path, PathBuf};

use cortado_proto::caffe::{StudyParameter, StudyVariant};
use cortado_proto::def::read_text;
use cortado_proto::text;

use crate::tools::ToolError;

pub use report::{Report, Row};
pub use run::{Outcome, Run};

/// The name of a study's file.
pub const FILE: &str = "study.prototxt";

/// A study.
#[derive(Clone, Debug)]
pub struct Study {
    /// Its folder.
    pub folder: PathBuf,
    /// What it compares.
    pub param: StudyParameter,
    /// Whether it is the short form, which changes what `short` says.
    pub short: bool,
}

impl Study {
    /// Reads the study of a folder.
    ///
    /// # Errors
    /// There is none; all mistakes of its text; it has no variants, or some that can't be told apart.
    pub fn read(folder: &Path, short: bool) -> Result<Study, crate::Error> {
        let path = folder.join(FILE);
        let parsed = text::parse::<StudyParameter>(&read_text(&path)?)?;
        if let Some(unknown) = parsed.unknown.first() {
            return Err(ToolError(unknown.warning().to_string()).into());
        }
        let study = Study { folder: folder.to_owned(), param: parsed.message, short };
        study.check().map_err(|why| ToolError(format!("`{}`: {why}", path.display())))?;
        Ok(study)
    }

    fn check(&self) -> Result<(), String> {
        let names: Vec<&str> = self.param.variant.iter().map(StudyVariant::name).collect();
        if names.is_empty() {
            return Err("a study compares variants, there is no `variant`".to_owned());
        }
        for (i, name) in names.iter().enumerate() {
            let fits = |c: char| c.is_alphanumeric() || "_-.+".contains(c);
            if name.is_empty() || !name.chars().all(fits) {
                return Err(format!(
                    "a variant's name is of letters, digits and _ - . +, found `{name}`"
                ));
            }
            if names[..i].contains(name) {
                return Err(format!("two variants have the name `{name}`"));
            }
        }
        if self.seeds() < 1 {
            return Err(format!("`seeds` is at least 1, found {}", self.seeds()));
        }
        if let Some(size) = self.param.ensemble.filter(|&n| n < 2 || n > self.param.seeds()) {
            return Err(format!(
                "`ensemble` is from 2 to the number of seeds, {}; found {size}",
                self.param.seeds()
            ));
        }
        match &self.param.baseline {
            Some(name) if !names.contains(&name.as_str()) => Err(format!(
                "`baseline` is one of the variants {}, found `{name}`",
                names.join(", ")
            )),
            _ => Ok(()),
        }
    }

    /// Each variant is trained so often.
    pub fn seeds(&self) -> i32 {
        match (&self.param.short, self.short) {
            (Some(short), true) => short.seeds(),
            (None, true) => 1,
            _ => self.param.seeds(),
        }
    }

    /// How many nets are scored together, if enough are trained.
    pub fn ensemble(&self) -> Option<i32> {
        self.param.ensemble.filter(|&size| size <= self.seeds())
    }

    /// Where results go: the folder itself, in the short form `short` in it.
    pub fn results(&self) -> PathBuf {
        if self.short { self.folder.join("short") } else { self.folder.clone() }
    }

    /// Every variant with every seed.
    pub fn plan(&self) -> Vec<(&StudyVariant, i32)> {
        let seeds = || 1..=self.seeds();
        self.param.variant.iter().flat_map(|variant| seeds().map(move |s| (variant, s))).collect()
    }
}
