//! Mutations: the search for a seed that finds one, and the replay of all.

use crate::fleet::{Fleet, run_caught, seconds};
use anyhow::{Result, bail};
use sim::{MUTATIONS, Mutation, Report};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Seeds found before a search ends: enough to see how rare they are.
const WANTED: u64 = 5;

/// The mutation of this name.
///
/// # Errors
/// When the binary cannot do it, or nobody knows it.
pub(crate) fn known(name: &str) -> Result<&'static str> {
    if !sim::choose(Some("probe")) {
        bail!("built without faults of our own: add `--features mutations` to cargo's command");
    }
    sim::choose(None);
    match MUTATIONS.iter().find(|mutation| mutation.name == name) {
        Some(mutation) => Ok(mutation.name),
        None => {
            let names: Vec<&str> = MUTATIONS.iter().map(|mutation| mutation.name).collect();
            bail!("no mutation is called {name}; there are: {}", names.join(", "))
        }
    }
}

/// Runs seeds with `mutation` until some have found it; prints them, and who did.
pub(crate) fn search(fleet: &Fleet, name: &'static str, seeds: Range<u64>) -> Result<bool> {
    quietly();
    let mutation = MUTATIONS.iter().find(|mutation| mutation.name == name);
    let mutation = mutation.expect("it is known");
    let (found, first) = (AtomicU64::new(0), seeds.start);
    let began = seconds();
    fleet.each(seeds, |seed| {
        let report = run_caught(seed, Some(name), None);
        if let Some(wrong) = finding(mutation, &report) {
            let good = run_caught(seed, None, None).wrongs.is_empty();
            let words = if good { "" } else { " (fails without it, too)" };
            println!("{name}: seed {seed}{words}: {wrong}");
            found.fetch_add(u64::from(good), Ordering::Relaxed);
        } else if let Some(wrong) = report.wrongs.first() {
            println!("{name}: seed {seed}, by another checker: {wrong}");
        }
        found.load(Ordering::Relaxed) < WANTED
    });
    let found = found.into_inner();
    println!("{name}: {found} found from seed {first} on, {:.1} s", seconds() - began);
    Ok(found > 0)
}

fn finding(mutation: &Mutation, report: &Report) -> Option<String> {
    let found = report.wrongs.iter().find(|wrong| mutation.finders.contains(&wrong.checker));
    found.map(|wrong| wrong.to_string().replace('\n', " "))
}

/// Replays every mutation from its seed on until it is found; whether all are, and only with them.
///
/// # Errors
/// When the binary cannot do it.
pub(crate) fn replay_all(fleet: &Fleet) -> Result<bool> {
    if !sim::choose(None) || known("").is_err_and(|error| error.to_string().contains("features")) {
        bail!("built without faults of our own: add `--features mutations` to cargo's command");
    }
    quietly();
    let began = seconds();
    let all_good = AtomicBool::new(true);
    let print = Mutex::new(());
    fleet.each(0..MUTATIONS.len() as u64, |index| {
        let (line, good) = replay(&MUTATIONS[index as usize]);
        let _one_at_a_time = print.lock();
        println!("{line}");
        all_good.fetch_and(good, Ordering::Relaxed);
        true
    });
    let good = all_good.into_inner();
    let words = if good { "all are found" } else { "NOT ALL ARE FOUND" };
    println!("{} mutations, {words}, {:.1} s", MUTATIONS.len(), seconds() - began);
    Ok(good)
}

/// Replays one; a line about it, and whether it is found, and only with it.
fn replay(mutation: &Mutation) -> (String, bool) {
    let began = seconds();
    let Mutation { name, seed, within, .. } = mutation;
    for seed in *seed..*seed + *within {
        let report = run_caught(seed, Some(name), None);
        let Some(wrong) = finding(mutation, &report) else { continue };
        let good = run_caught(seed, None, None).wrongs.is_empty();
        let words = if good { "found" } else { "FOUND WITHOUT IT, TOO" };
        let took = seconds() - began;
        return (format!("{name}: {words} by seed {seed} in {took:.1} s: {wrong}"), good);
    }
    let took = seconds() - began;
    (format!("{name}: NOT FOUND from seed {seed} on within {within} seeds, {took:.1} s"), false)
}

/// A mutated world panics now and then: that is a finding, not news.
fn quietly() {
    std::panic::set_hook(Box::new(|_| {}));
}
