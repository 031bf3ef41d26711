//! What signals do. They concern the whole process, so this program has one test.

mod world;

use rustix::process::{Signal, getpid, kill_process};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn hangup_reloads_usr1_reopens_the_log_and_term_drains() {
    let reloads = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&reloads);
    let world = world::start(move || {
        seen.fetch_add(1, Ordering::SeqCst);
        Err("refused".into())
    });
    let send = |signal| kill_process(getpid(), signal).expect("to ourselves");
    // It listens, so the signals are heard.
    world.await_status(|status| status["state"] == "running");

    send(Signal::HUP);
    world.await_status(|status| status["problems"].as_array().is_some_and(|all| all.len() == 1));
    assert_eq!(reloads.load(Ordering::SeqCst), 1);

    let log = world.directory.path().join("log");
    std::fs::rename(&log, world.directory.path().join("log.1")).expect("it was written");
    send(Signal::USR1);
    // The writer looks up at least once a second.
    world.await_status(|_| log.exists());

    send(Signal::TERM);
    world.await_drain()(0);
    let (ended, directory) = world.join();
    assert_eq!(ended.failure, None);
    let log = std::fs::read_to_string(directory.path().join("log")).expect("a log");
    assert!(log.contains("draining: SIGTERM"), "{log}");
}
