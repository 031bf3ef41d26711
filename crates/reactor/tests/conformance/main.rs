//! One suite for the three kernels: what a task is promised, whatever lies below the reactor.
//!
//! Each promise is a function over a [`Bench`], which stands for one fresh reactor on one kernel.
//! Start reading at `bench.rs`; a new promise goes into the table of its module.

mod bench;
mod files;
mod pressure;
mod sockets;
mod tasks;
mod threads;

use bench::{Bench, Promise, World};
use reactor::Backend;
use reactor::sim::Faults;

/// Keeps each promise on a bench of its own, and names all those that were broken.
fn keep(promises: &[Promise], bench: impl Fn() -> Bench) {
    let mut broken = Vec::new();
    for (name, promise) in promises {
        // Shown only when the test fails or hangs.
        println!("{name}");
        let kept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let bench = bench();
            promise(&bench);
            bench.close();
        }));
        if kept.is_err() {
            broken.push(*name);
        }
    }
    assert!(broken.is_empty(), "broken promises: {broken:#?}");
}

#[test]
fn the_ring_keeps_the_promises_of_sockets() {
    keep(sockets::PROMISES, || Bench::real(Backend::Ring));
}

#[test]
fn the_ring_keeps_the_promises_under_pressure() {
    keep(pressure::PROMISES, || Bench::real(Backend::Ring));
}

#[test]
fn the_ring_keeps_the_promises_of_files() {
    keep(files::PROMISES, || Bench::real(Backend::Ring));
}

#[test]
fn the_ring_keeps_the_promises_of_tasks() {
    keep(tasks::PROMISES, || Bench::real(Backend::Ring));
}

#[test]
fn the_ring_keeps_the_promises_between_threads() {
    threads::keep_all(Backend::Ring);
}

#[test]
fn poll_keeps_the_promises_of_sockets() {
    keep(sockets::PROMISES, || Bench::real(Backend::Poll));
}

#[test]
fn poll_keeps_the_promises_under_pressure() {
    keep(pressure::PROMISES, || Bench::real(Backend::Poll));
}

#[test]
fn poll_keeps_the_promises_of_files() {
    keep(files::PROMISES, || Bench::real(Backend::Poll));
}

#[test]
fn poll_keeps_the_promises_of_tasks() {
    keep(tasks::PROMISES, || Bench::real(Backend::Poll));
}

#[test]
fn poll_keeps_the_promises_between_threads() {
    threads::keep_all(Backend::Poll);
}

/// All promises that a single thread can be given.
fn keep_in(world: World) {
    for promises in [sockets::PROMISES, pressure::PROMISES, files::PROMISES, tasks::PROMISES] {
        keep(promises, || Bench::simulated(&world));
    }
}

#[test]
fn a_world_without_faults_keeps_all_promises() {
    keep_in(World { seed: 1, faults: Faults::none() });
}

#[test]
fn a_world_with_a_tiny_queue_and_lost_races_keeps_all_promises() {
    for seed in 0..2 {
        let races = Faults { cancel_races: 0.9, multishot_end: 0.4, ..Faults::mild() };
        keep_in(World { seed, faults: Faults { queue_entries: 2, latency_tail: 0.01, ..races } });
    }
}

#[test]
fn a_world_with_delays_and_pieces_keeps_all_promises() {
    for seed in 0..4 {
        keep_in(World { seed, faults: Faults::mild() });
    }
}
