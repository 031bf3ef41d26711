//! Micro-benchmarks: what one step of a message costs, with rivals where there are some.
//!
//! For: `cargo bench -p benches`, and the results recorded in `benches/RESULTS.md` with the machine
//! and the command. Never here: a test, a threshold that fails a build, code of the product.
//! Start reading at `benches/body.rs`. Whole relays are measured by `ringpost-load`.
#![forbid(unsafe_code)]
