//! How fast the scanner is on base64 lines: `cargo run --release -p scan --example speed`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "it measures itself, on the machine's own clock")]

use scan::{BodyScanner, Scanned};
use std::time::Instant;

fn main() {
    let line = [&[b'Q'; 76][..], b"\r\n"].concat();
    let chunk = line.repeat(64 * 1024 / line.len());
    let rounds = 100_000u32;
    let mut scanner = BodyScanner::new();
    let began = Instant::now();
    for _ in 0..rounds {
        assert_eq!(scanner.scan(&chunk), Scanned::More { body: chunk.len() });
    }
    let bytes = chunk.len() as f64 * f64::from(rounds);
    println!("{:.1} GB/s", bytes / began.elapsed().as_secs_f64() / 1e9);
}
