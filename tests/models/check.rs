//! Runs models under many schedules.

use std::env;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

// of the harness itself, so without points at which shuttle switches threads
use ::shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use ::shuttle::{Config, Runner};

use std::clock;

/// A model.
#[derive(Clone, Copy)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    /// What fails if a schedule is found that breaks it.
    pub(crate) shows: &'static str,
    /// Whether waits may end by themselves. If not, a wake-up that is lost is a deadlock.
    pub(crate) clock: bool,
    pub(crate) threads: fn(),
}

/// How many schedules each model runs under.
const SCHEDULES: usize = 20_000;

/// How often the priority of a thread changes.
const CHANGES: usize = 3;

/// Runs all models, or those whose names contain `ONLY`. `SCHEDULES` and `SEED` change what is
/// tried, and `SCHEDULE` repeats one that shuttle has printed.
pub(crate) fn all(models: &[Model]) -> ExitCode {
    let only = env::var("ONLY").unwrap_or_default();
    let schedules = number("SCHEDULES").unwrap_or(SCHEDULES);
    let seed = number("SEED").unwrap_or_else(|| {
        std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs())
    });
    println!("seed {seed}, {schedules} schedules of each model");
    let chosen: Vec<_> = models.iter().filter(|model| model.name.contains(&only)).collect();
    for model in &chosen {
        println!("{}: {}", model.name, model.shows);
        if let Ok(schedule) = env::var("SCHEDULE") {
            run(model, ReplayScheduler::new_from_encoded(&schedule));
            continue;
        }
        let half = schedules / 2;
        let random = run(model, RandomScheduler::new_from_seed(seed, half));
        let pct = run(model, PctScheduler::new_from_seed(seed, CHANGES, schedules - half));
        println!(
            "    {} schedules, {} switches of threads, {} ends of waits",
            random.schedules + pct.schedules,
            random.switches + pct.switches,
            random.ends + pct.ends
        );
    }
    if chosen.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// What was tried.
struct Tried {
    schedules: usize,
    switches: usize,
    ends: usize,
}

/// Runs a model under the schedules of one scheduler. Panics if one of them breaks it.
fn run(model: &Model, scheduler: impl Scheduler + 'static) -> Tried {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    // said in main.rs
    config.silence_warnings = true;
    let Model { clock: runs, threads, .. } = *model;
    let switches = Arc::new(Counter::default());
    let (counted, ends) = (Arc::clone(&switches), clock::ends());
    let schedules = Runner::new(scheduler, config).run(move || {
        clock::reset(runs);
        let is_done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let over = Arc::clone(&is_done);
        let time = ::shuttle::thread::spawn(move || {
            clock::run(|| over.load(std::sync::atomic::Ordering::SeqCst));
        });
        threads();
        is_done.store(true, std::sync::atomic::Ordering::SeqCst);
        time.join().expect("the clock does not panic");
        counted.add(::shuttle::current::context_switches());
    });
    Tried { schedules, switches: switches.sum(), ends: clock::ends() - ends }
}

/// A sum. Adding to it is no point at which shuttle switches threads.
#[derive(Default)]
struct Counter(::core::sync::atomic::AtomicUsize);

impl Counter {
    fn add(&self, more: usize) {
        self.0.fetch_add(more, ::core::sync::atomic::Ordering::Relaxed);
    }

    fn sum(&self) -> usize {
        self.0.load(::core::sync::atomic::Ordering::Relaxed)
    }
}
