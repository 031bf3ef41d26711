//! Many worlds at a time, one a thread.

use anyhow::Result;
use sim::{Checker, Report, Wrong, choose};
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Every so many seeds one is run twice: both runs must have the same hash.
const REPEAT: u64 = 25;

/// How many threads run, for how long, and what they do wrong on purpose.
pub(crate) struct Fleet {
    threads: usize,
    minutes: Option<u64>,
    /// What the code does wrong.
    pub(crate) mutation: Option<&'static str>,
}

/// What came of many runs.
#[derive(Default)]
struct Totals {
    runs: u64,
    failed: u64,
    promises: usize,
    arrivals: usize,
    crashes: usize,
}

thread_local! {
    /// The seed that runs, for the message of a panic.
    static RUNNING: Cell<Option<u64>> = const { Cell::new(None) };
}

impl Fleet {
    /// So many threads, or as many as there are cores.
    pub(crate) fn new(threads: Option<usize>, minutes: Option<u64>) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Self { threads: threads.unwrap_or_else(cores).max(1), minutes, mutation: None }
    }

    /// Runs all seeds, or as many as there is time for; whether none failed.
    pub(crate) fn run_all(&self, seeds: Range<u64>) -> bool {
        std::panic::set_hook(Box::new(|panic| {
            let seed = RUNNING.get().map_or("none".to_owned(), |seed| seed.to_string());
            eprintln!("seed {seed}: {panic}");
        }));
        let began = seconds();
        let totals = Mutex::new(Totals::default());
        self.each(seeds, |seed| {
            if self.minutes.is_some_and(|most| seconds() - began >= most as f64 * 60.0) {
                return false;
            }
            let report = run_checked(seed, self.mutation);
            tell(&report);
            let mut totals = totals.lock().expect("nobody panics while it is locked");
            totals.runs += 1;
            totals.failed += u64::from(!report.wrongs.is_empty());
            totals.promises += report.promises;
            totals.arrivals += report.arrivals;
            totals.crashes += report.crashes;
            true
        });
        let totals = totals.into_inner().expect("all threads have ended");
        self.sum_up(&totals, seconds() - began);
        totals.failed == 0
    }

    fn sum_up(&self, totals: &Totals, took: f64) {
        let Totals { runs, failed, promises, arrivals, crashes } = totals;
        let per_minute = *crashes as f64 * 60.0 / took.max(0.001) / self.threads as f64;
        println!(
            "{runs} seeds, {failed} failed; {promises} promises, {arrivals} arrivals, {crashes} \
             crashes in {took:.1} s: {per_minute:.0} crashes a minute and core"
        );
    }

    /// Gives each of `numbers` to some thread until one says that it is enough.
    pub(crate) fn each(&self, numbers: Range<u64>, run: impl Fn(u64) -> bool + Sync) {
        let next = AtomicU64::new(numbers.start);
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= numbers.end || !run(number) {
                            break;
                        }
                    }
                });
            }
        });
    }
}

/// Runs one seed, now and then twice.
fn run_checked(seed: u64, mutation: Option<&'static str>) -> Report {
    let mut report = run_caught(seed, mutation, None);
    if seed.is_multiple_of(REPEAT) {
        let again = run_caught(seed, mutation, None);
        if again.hash != report.hash {
            let what = "a second run gives other events".to_owned();
            report.wrongs.push(wrong(Checker::Repeat, what));
        }
    }
    report
}

/// Runs one seed; a panic is one more thing that is wrong.
pub(crate) fn run_caught(
    seed: u64,
    mutation: Option<&'static str>,
    watcher: Option<fn(&str)>,
) -> Report {
    RUNNING.set(Some(seed));
    choose(mutation);
    let run = catch_unwind(AssertUnwindSafe(|| sim::run(seed, watcher)));
    choose(None);
    RUNNING.set(None);
    run.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let wrongs = vec![wrong(Checker::Panic, text.unwrap_or("no words").to_owned())];
        Report { seed, hash: 0, promises: 0, arrivals: 0, crashes: 0, wrongs }
    })
}

fn wrong(checker: Checker, what: String) -> Wrong {
    Wrong { checker, at: Default::default(), what }
}

/// One line a failure, with the command to see it again.
fn tell(report: &Report) {
    let Some(first) = report.wrongs.first() else { return };
    let more = report.wrongs.len() - 1;
    let first = first.to_string().replace('\n', " ");
    let seed = report.seed;
    eprintln!("seed {seed}: {first} (and {more} more): cargo xtask sim --seed {seed} --log");
}

/// Runs one seed and prints what came of it; with its events when `log` says so.
pub(crate) fn run_aloud(seed: u64, mutation: Option<&'static str>, log: bool) -> Result<bool> {
    let watcher: Option<fn(&str)> = if log { Some(|line| println!("{line}")) } else { None };
    let report = run_caught(seed, mutation, watcher);
    let Report { hash, promises, arrivals, crashes, wrongs, .. } = &report;
    println!(
        "seed {seed}: {promises} promises, {arrivals} arrivals, {crashes} crashes, events \
         {hash:016x}"
    );
    wrongs.iter().for_each(|wrong| println!("{wrong}"));
    Ok(wrongs.is_empty())
}

/// Time for people; nothing in a world depends on it.
#[expect(clippy::disallowed_methods, reason = "how long to run is a question of real time")]
pub(crate) fn seconds() -> f64 {
    static BIRTH: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let birth = BIRTH.get_or_init(std::time::Instant::now);
    Duration::as_secs_f64(&birth.elapsed())
}
