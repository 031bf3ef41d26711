//! The `ringpost` program: one binary for the relay and for those who run it.
#![forbid(unsafe_code)]

use clap::Parser;
use ringpost::cli::Arguments;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes; whether they could be printed changes nothing.
            drop(error.print());
            let usage = ExitCode::from(ringpost::exit::code::USAGE);
            return if error.use_stderr() { usage } else { ExitCode::SUCCESS };
        }
    };
    match ringpost::cli::run(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("ringpost: {failure}");
            failure.exit()
        }
    }
}
