//! `cortado study`.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use cortado::net::threads;
use cortado::solver::shown;
use cortado::study::{Report, Run, Study};

use super::log::{self, Progress};
use super::{Failure, say};

/// Train all variants of a study with several seeds and write what came of them
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado study models/bn/fig1\n  \
                        cortado study models/bn/place --short\n\n\
                        Runs that have ended are kept in DIR/runs: broken off, the same command goes on. \
                        Writes results.md, results.json and curves.svg into DIR (--short: into DIR/short).")]
pub struct StudyArgs {
    /// The folder of the study, with its study.prototxt
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The short form, which says whether everything works
    #[arg(long)]
    short: bool,
    /// Runs at the same time, each on one thread; 0 for one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    jobs: usize,
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: StudyArgs) -> Result<(), Failure> {
    let study = Study::read(&args.folder, args.short)?;
    let plan = study.plan();
    let mut runs: Vec<Option<Run>> = Vec::new();
    for &(variant, seed) in &plan {
        runs.push(study.kept(variant, seed)?);
    }
    let due: Vec<usize> = (0..plan.len()).filter(|&i| runs[i].is_none()).collect();
    log::plain(&format!("{} runs, {} of them kept", plan.len(), plan.len() - due.len()));
    let progress = Progress::new(plan.len() as u64, "runs");
    progress.start_at((plan.len() - due.len()) as u64);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = if args.jobs == 0 { cores } else { args.jobs };
    let pool = threads::try_pool(jobs).map_err(|why| Failure::Input(format!("error: {why}")))?;
    let next = AtomicUsize::new(0);
    let (ended, failed) = (Mutex::new(Vec::new()), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(due.len()) {
            scope.spawn(|| {
                let pool = threads::pool(1);
                while let Some(&i) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (variant, seed) = plan[i];
                    let name = format!("{} seed {seed}", variant.name());
                    let all = plan.len() - due.len();
                    let tell = |done: u64, of: u64| {
                        if done.is_multiple_of(100) {
                            let runs = ended.lock().map_or(0, |ended| ended.len());
                            progress.set((all + runs) as u64, format!("{name}: {done}/{of}"));
                        }
                    };
                    match study.train(variant, seed, pool.clone(), &tell) {
                        Ok(run) => {
                            let best = run.best().map_or("—".to_owned(), shown);
                            let seconds = run.seconds;
                            log::plain(&format!("{name}: best {best}, {seconds:.0} s"));
                            if let Ok(mut ended) = ended.lock() {
                                ended.push((i, run));
                            }
                        }
                        Err(error) => {
                            if let Ok(mut failed) = failed.lock() {
                                failed.get_or_insert(error);
                            }
                            next.store(due.len(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    drop(progress);
    if let Ok(Some(error)) = failed.into_inner() {
        return Err(error.into());
    }
    for (i, run) in ended.into_inner().unwrap_or_default() {
        runs[i] = Some(run);
    }
    let runs: Vec<Run> = runs.into_iter().flatten().collect();
    let together = study.param.variant.iter().map(|variant| study.together(variant, &pool));
    let together: Vec<Vec<f64>> = together.collect::<Result<_, _>>()?;
    let report = Report::new(&study, &runs, &together);
    let written = report.write()?;
    match args.json {
        true => say(&report.json().to_string()),
        false => say(&report.markdown()),
    }
    written.iter().for_each(|path| log::plain(&format!("written: {}", path.display())));
    Ok(())
}
