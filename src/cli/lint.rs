//! `cortado lint`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cortado::lint::{self, Finding, Level, Subject, Weights};
use cortado_proto::def::read_text;
use cortado_proto::{Diagnostic, FileKind, Source, wire};
use serde::Serialize;
use serde_json::json;

use super::{Failure, check, log, say};

/// Look for what is probably not meant in nets, solvers and weights
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado lint train_val.prototxt solver.prototxt\n  \
                        cortado lint --fix my_nets/\n  \
                        cortado lint deploy.prototxt --weights net.caffemodel\n\n\
                        The exit code is 1 where errors or warnings are left, or a file does not \
                        load; hints do not count.")]
pub struct LintArgs {
    /// Nets and solvers (.prototxt), or folders of them
    #[arg(value_name = "FILE|DIR", required_unless_present = "rules")]
    paths: Vec<PathBuf>,
    /// Weights of the net, to be looked at too
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Change the files where that cannot do harm; the rest of the text stays as it is
    #[arg(long)]
    fix: bool,
    /// Print a JSON list of findings
    #[arg(long)]
    json: bool,
    /// Print the rules
    #[arg(long)]
    rules: bool,
}

#[derive(Serialize)]
struct Told {
    file: String,
    line: Option<u32>,
    column: Option<u32>,
    rule: &'static str,
    level: &'static str,
    message: String,
    why: &'static str,
    cure: &'static str,
    fixable: bool,
    fixed: bool,
}

/// Runs the command.
pub fn run(args: LintArgs) -> Result<(), Failure> {
    if args.rules {
        if args.json {
            let rules = lint::RULES
                .iter()
                .map(|rule| json!({ "rule": rule.name, "why": rule.why, "cure": rule.cure }));
            say(&json!(rules.collect::<Vec<_>>()).to_string());
            return Ok(());
        }
        for rule in lint::RULES {
            say(&format!("{}\n  why:  {}\n  cure: {}", rule.name, rule.why, rule.cure));
        }
        return Ok(());
    }
    let mut files = Vec::new();
    for path in &args.paths {
        match path.is_dir() {
            true => check::files_below(path, &mut files),
            false => files.push(path.clone()),
        }
    }
    if files.is_empty() {
        return Err(Failure::Input(
            "error: there is no .prototxt file in these folders".to_owned(),
        ));
    }
    let mut all: Vec<Told> = Vec::new();
    let mut broken: Vec<String> = Vec::new();
    for file in &files {
        match read_text(file) {
            Ok(source) => all.extend(findings(file, source, &args, &mut broken)?),
            Err(error) => all.push(not_loaded(file, &error.diagnostic())),
        }
    }
    if args.json {
        say(&serde_json::to_string(&all).map_err(|e| Failure::Input(e.to_string()))?);
    } else {
        all.iter().for_each(print);
    }
    let left =
        |level: Level| all.iter().filter(|told| told.level == level.word() && !told.fixed).count();
    let (errors, warnings, hints) = (left(Level::Error), left(Level::Warning), left(Level::Hint));
    let fixed = all.iter().filter(|told| told.fixed).count();
    let summary = format!("{errors} errors, {warnings} warnings, {hints} hints, {fixed} fixed");
    if !broken.is_empty() {
        log::plain(&summary);
        return Err(Failure::Input(broken.join("\n")));
    }
    match errors + warnings {
        0 => {
            log::plain(&summary);
            Ok(())
        }
        _ => Err(Failure::Input(format!("error: {summary}"))),
    }
}

/// A finding of no rule: the file is none for `check` either.
fn not_loaded(file: &Path, why: &Diagnostic) -> Told {
    let at = why.place.as_ref().map(|place| place.position());
    let (file, why) = (file.display().to_string(), &why.message);
    Told {
        message: format!("does not load: {why}; `cortado check {file}` tells all"),
        file,
        line: at.as_ref().map(|at| at.line),
        column: at.as_ref().map(|at| at.column),
        rule: "does-not-load",
        level: Level::Error.word(),
        why: "the rules look at what loads: in this file they may have seen a part, or nothing",
        cure: "what `cortado check` says of the file",
        fixable: false,
        fixed: false,
    }
}

/// What there is to say of a file, `source` being its text.
fn findings(
    file: &Path,
    source: Arc<Source>,
    args: &LintArgs,
    broken: &mut Vec<String>,
) -> Result<Vec<Told>, Failure> {
    let refused = check::refusal(file, &source).map(|why| not_loaded(file, &why));
    let Some(subject) = Subject::of_text(&source) else {
        // In a folder there may be anything; a file that was named is to be a net or a solver.
        let other = !matches!(FileKind::of(&source), FileKind::Net | FileKind::Solver);
        if refused.is_none() && other && args.paths.iter().any(|path| path == file) {
            let file = file.display();
            broken.push(format!("error: `{file}` is neither a net nor a solver"));
        }
        return Ok(refused.into_iter().collect());
    };
    let found = of_rules(file, source, subject, args, broken)?;
    Ok(refused.into_iter().chain(found).collect())
}

fn of_rules(
    file: &Path,
    source: Arc<Source>,
    mut subject: Subject,
    args: &LintArgs,
    broken: &mut Vec<String>,
) -> Result<Vec<Told>, Failure> {
    if let Some(weights) = &args.weights {
        subject = subject.with_weights(Weights::open(weights)?);
    }
    let found = lint::lint(&subject);
    let told = |finding: Finding, fixed: bool| {
        let at = finding.place.as_ref().map(|place| place.position());
        Told {
            file: file.display().to_string(),
            line: at.as_ref().map(|at| at.line),
            column: at.as_ref().map(|at| at.column),
            rule: finding.rule.name,
            level: finding.level.word(),
            message: finding.message,
            why: finding.rule.why,
            cure: finding.rule.cure,
            fixable: !finding.fixes.is_empty(),
            fixed,
        }
    };
    let as_it_is = |found: Vec<Finding>| found.into_iter().map(|f| told(f, false)).collect();
    let Some(text) = lint::fixed(&source, &found).filter(|_| args.fix) else {
        return Ok(as_it_is(found));
    };
    match replace(file, &source, &text) {
        Ok(now) => {
            let left = lint::lint(&Subject { weights: subject.weights, ..now });
            let stays = |f: &Finding| {
                left.iter().any(|l| (l.rule.name, &l.message) == (f.rule.name, &f.message))
            };
            let gone = found.into_iter().filter(|f| !f.fixes.is_empty() && !stays(f));
            let gone: Vec<Told> = gone.map(|f| told(f, true)).collect();
            Ok(gone.into_iter().chain(left.into_iter().map(|f| told(f, false))).collect())
        }
        Err(Failure::Input(why)) => {
            broken.push(why);
            Ok(as_it_is(found))
        }
        Err(usage) => Err(usage),
    }
}

/// Puts the fixed text in the place of the old one, where nothing is lost by that. Gives what the rules
/// see of it.
fn replace(file: &Path, old: &Source, new: &str) -> Result<Subject, Failure> {
    let stays =
        |why: &str| Failure::Input(format!("error: `{}` is left as it is: {why}", file.display()));
    if old.lossy() {
        return Err(stays(
            "it has bytes that are not UTF-8, which --fix would lose; convert it first, e.g. with \
             `iconv -f gbk -t utf-8`",
        ));
    }
    let Some(subject) = Subject::of_text(&Source::new(old.name.clone(), new)) else {
        return Err(stays("what --fix makes of it does not load; change it by hand"));
    };
    let failed =
        |e: std::io::Error| Failure::Input(format!("error: can't write `{}`: {e}", file.display()));
    // A link stays one, and what it leads to keeps its permissions.
    let place = file.canonicalize().map_err(failed)?;
    let permissions = std::fs::metadata(&place).map_err(failed)?.permissions();
    wire::write_file(&place, |out| out.write_all(new.as_bytes()))?;
    std::fs::set_permissions(&place, permissions).map_err(failed)?;
    Ok(subject)
}

fn print(told: &Told) {
    let at = match (told.line, told.column) {
        (Some(line), Some(column)) => format!(":{line}:{column}"),
        _ => String::new(),
    };
    let end = match (told.fixed, told.fixable) {
        (true, _) => " (fixed)",
        (false, true) => " (--fix does it)",
        _ => "",
    };
    say(&format!("{}{at}: {}: {} [{}]", told.file, told.level, told.message, told.rule));
    say(&format!("    why:  {}\n    cure: {}{end}", told.why, told.cure));
}

#[cfg(test)]
mod tests {
    use cortado_proto::Source;

    use super::{Failure, replace};

    #[test]
    fn a_text_that_does_not_load_is_not_written() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let file = folder.path().join("net.prototxt");
        let old = "layer { name: \"x\" }";
        std::fs::write(&file, old).unwrap_or_else(|e| panic!("{e}"));
        let result = replace(&file, &Source::new("net.prototxt", old), "layer { , }");
        let Err(Failure::Input(why)) = result else { panic!("it is written") };
        assert!(why.contains("net.prototxt` is left as it is"), "{why}");
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), old);
    }
}
