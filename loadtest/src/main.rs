//! The `ringpost-load` program.
#![forbid(unsafe_code)]

use clap::Parser;
use loadtest::cli::Arguments;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Wrong use of the command line (sysexits.h).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes; whether they could be printed changes nothing.
            drop(error.print());
            let usage = ExitCode::from(USAGE);
            return if error.use_stderr() { usage } else { ExitCode::SUCCESS };
        }
    };
    match loadtest::cli::run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ringpost-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
