//! Runs seeds, and says which fail and how to see them again.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::cell::Cell;
use std::ops::Range;
use std::process::ExitCode;

/// Every so many seeds one is run twice: both runs must have the same hash.
const REPEAT: u64 = 25;

/// Runs the relay in simulated worlds.
#[derive(Parser)]
struct Arguments {
    /// Runs these seeds, the last not included.
    #[arg(long, value_name = "FROM..TO", default_value = "0..500", value_parser = read_range)]
    seeds: Range<u64>,
    /// Runs this seed and prints its events.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Goes on with further seeds for so many minutes.
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
}

fn read_range(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("write FROM..TO, such as 0..500")?;
    let range = from.parse()?..to.parse()?;
    if range.is_empty() {
        bail!("no seed lies in {text}");
    }
    Ok(range)
}

thread_local! {
    /// The seed that runs, for the message of a panic.
    static RUNNING: Cell<u64> = const { Cell::new(0) };
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        say_how_to_replay(RUNNING.get());
    }));
    let good = match arguments.seed {
        Some(seed) => run_aloud(seed),
        None => run_all(arguments.seeds, arguments.minutes),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say_how_to_replay(seed: u64) {
    eprintln!("seed {seed} fails: cargo run --release -p sim -- --seed {seed}");
}

fn run_aloud(seed: u64) -> bool {
    RUNNING.set(seed);
    let report = sim::run(seed, Some(|line| println!("{line}")));
    println!("{report:#?}");
    report.wrongs.is_empty()
}

fn run_all(seeds: Range<u64>, minutes: Option<u64>) -> bool {
    let began = monotonic_seconds();
    let mut totals = (0, 0, 0, 0);
    let mut seed = seeds.start;
    loop {
        let out_of_time = minutes.is_none_or(|most| monotonic_seconds() - began >= most * 60);
        if seed >= seeds.end && out_of_time {
            break;
        }
        let report = run_one(seed);
        totals.0 += 1;
        totals.1 += usize::from(!report.wrongs.is_empty());
        totals.2 += report.promises;
        totals.3 += report.arrivals;
        seed += 1;
    }
    let (runs, failed, promises, arrivals) = totals;
    println!("{runs} seeds, {failed} failed; {promises} promises, {arrivals} arrivals");
    failed == 0
}

fn run_one(seed: u64) -> sim::Report {
    RUNNING.set(seed);
    let mut report = sim::run(seed, None);
    if seed.is_multiple_of(REPEAT) {
        let again = sim::run(seed, None);
        if again.hash != report.hash {
            report.wrongs.push("the same seed gives other events at a second run".to_owned());
        }
    }
    if !report.wrongs.is_empty() {
        say_how_to_replay(seed);
        report.wrongs.iter().for_each(|wrong| eprintln!("  {wrong}"));
    }
    report
}

/// Time for people; nothing in a world depends on it.
#[allow(clippy::disallowed_methods, reason = "how long to run is a question of real time")]
fn monotonic_seconds() -> u64 {
    thread_local! {
        static BIRTH: std::time::Instant = std::time::Instant::now();
    }
    BIRTH.with(|birth| birth.elapsed().as_secs())
}
