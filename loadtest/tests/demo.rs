//! The demonstration ends by itself, with everything delivered.

use std::process::Command;

#[test]
fn the_demonstration_delivers_everything_and_ends() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringpost-load"))
        .args(["demo", "--messages", "500", "--sessions", "10", "--within", "100"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{trouble}");
    for part in [
        "all delivered, whole and once: yes (500 of 500 whole",
        "C: MAIL FROM:",
        "S: 354",
        "ringpost_messages_received_total",
        "end to end",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}\n{trouble}");
    }
}

#[test]
fn a_target_elsewhere_is_refused_unless_it_is_owned() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringpost-load"))
        .args(["source", "192.0.2.1:25", "--messages", "1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(trouble.contains("--i-own-this-target"), "{trouble}");
}
