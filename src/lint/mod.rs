//! Advice on nets, solvers and weights that load: what is probably not meant. One file per rule.

mod rules;
mod subject;

use std::sync::Arc;

use cortado_proto::text::Edits;
use cortado_proto::{Located, Place, Source};

pub use rules::unused_blocks;
pub use subject::{Subject, View, WeightLayer, Weights};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Advice; a matter of taste or of the paper.
    Hint,
    /// Probably not meant.
    Warning,
    /// Certainly wrong.
    Error,
}

impl Level {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Level::Hint => "hint",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One thing to look for.
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub cure: &'static str,
    /// Looks for it.
    pub check: fn(&Subject, &mut Found<'_>),
}

/// All rules.
pub static RULES: &[&Rule] = rules::ALL;

/// A change of the text that cannot make things worse.
#[derive(Clone, Debug)]
pub enum Fix {
    /// Give a field of a message this value.
    Set(Place, &'static str, String),
    /// Take a field away.
    Remove(Place, &'static str),
}

/// Something found.
#[derive(Clone)]
pub struct Finding {
    /// By which rule.
    pub rule: &'static Rule,
    /// How bad.
    pub level: Level,
    /// What.
    pub message: String,
    /// Where.
    pub place: Option<Located>,
    /// What `--fix` does about it; nothing for what needs a person.
    pub fixes: Vec<Fix>,
}

/// Where a rule puts what it finds.
pub struct Found<'a> {
    rule: &'static Rule,
    all: &'a mut Vec<Finding>,
}

impl Found<'_> {
    /// Adds a finding at a field of a message, or at the message itself.
    pub fn add(&mut self, level: Level, place: &Place, field: Option<&str>, message: String) {
        self.fixable(level, place, field, message, Vec::new());
    }

    /// Adds a finding that `--fix` cures.
    pub fn fixable(
        &mut self,
        level: Level,
        place: &Place,
        field: Option<&str>,
        message: String,
        fixes: Vec<Fix>,
    ) {
        let place = place.span_of(field);
        self.all.push(Finding { rule: self.rule, level, message, place, fixes });
    }
}

/// All that the rules find, in the order of the file.
pub fn lint(subject: &Subject) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for &rule in RULES {
        (rule.check)(subject, &mut Found { rule, all: &mut all });
    }
    // The rules see the net as it is upgraded; its text has other fields.
    let old = subject.written.as_ref().is_some_and(|net| !net.param.layers.is_empty());
    for finding in all.iter_mut().filter(|finding| old && !finding.fixes.is_empty()) {
        finding.fixes.clear();
        finding.message += " (an old form: run `cortado upgrade-net` first, --fix then does it)";
    }
    all.sort_by_key(|f| f.place.as_ref().map_or(0, |place| place.span.start));
    all
}

/// The text with everything fixed that can be.
pub fn fixed(source: &Arc<Source>, findings: &[Finding]) -> Option<String> {
    let mut edits = Edits::new(source);
    for fix in findings.iter().flat_map(|finding| &finding.fixes) {
        match fix {
            Fix::Set(place, path, value) => {
                edits.set(place, path, value);
            }
            Fix::Remove(place, path) => {
                place.field(path).iter().for_each(|place| edits.remove(place.field));
            }
        }
    }
    (!edits.is_empty()).then(|| edits.apply())
}
