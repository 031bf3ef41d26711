//! The command line.

use crate::demo;
use crate::sink::{self, Sink};
use crate::source::{self, Source};
use crate::target;
use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Loads a mail relay, and takes what it delivers.
#[derive(Parser, Debug)]
#[command(name = "ringpost-load", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show a relay at work: source, relay and sink in one process; ends by itself
    #[command(after_help = "Example:\n  ringpost-load demo --messages 50000 --size 1024")]
    Demo(demo::Options),
    /// Send messages to a relay, and say how long it took them
    #[command(
        after_help = "Example: 1,000 messages a second for a minute, latency by schedule\n  \
        ringpost-load source 127.0.0.1:2525 --messages 60000 --rate 1000"
    )]
    Source(SourceArguments),
    /// Receive messages as a next hop
    #[command(after_help = "Example: a tenth of the recipients unknown, everything checked\n  \
        ringpost-load sink 127.0.0.1:2600 --verify --refuse 0.1:\"550 5.1.1 no\" \
        --until-messages 9000")]
    Sink(SinkArguments),
}

#[derive(Args, Debug)]
struct SourceArguments {
    #[command(flatten)]
    options: source::Options,
    /// Send to a target that is not on this machine
    #[arg(long)]
    i_own_this_target: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct SinkArguments {
    #[command(flatten)]
    options: sink::Options,
    /// End after so many seconds. Without this and --until-messages it ends with the next line
    /// from a terminal, else when it is killed
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// Does what the arguments say; whether everything went as it should.
///
/// # Errors
/// What kept it from being done.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    match &arguments.command {
        Command::Demo(options) => demo::run(options),
        Command::Source(arguments) => send(arguments),
        Command::Sink(arguments) => receive(arguments),
    }
}

fn send(arguments: &SourceArguments) -> anyhow::Result<bool> {
    let options = &arguments.options;
    if !arguments.i_own_this_target && !target::may_be_loaded(options.target) {
        bail!(
            "{} is not on this machine: a load generator may only be pointed at what is yours; \
             if it is, say --i-own-this-target",
            options.target
        );
    }
    let source = Source::start(options.clone(), None).context("start the source")?;
    let summary = source.finish().context("the source")?;
    if arguments.json {
        print(&summary.json().to_string())?;
    } else {
        print(summary.to_string().trim_end())?;
    }
    Ok(summary.is_complete())
}

fn receive(arguments: &SinkArguments) -> anyhow::Result<bool> {
    let (enough, told) = mpsc::channel();
    let by_line = arguments.seconds.is_none()
        && arguments.options.until_messages.is_none()
        && std::io::stdin().is_terminal();
    if by_line {
        let enough = enough.clone();
        let read = move || {
            // A line, the end of input or an error: each is a reason to end.
            drop(std::io::stdin().read_line(&mut String::new()));
            let _ = enough.send(());
        };
        reactor::start_thread("input", None, read).context("start a thread")?;
    }
    let sink = Sink::start(arguments.options.clone(), Some(enough))
        .with_context(|| format!("listen at {}", arguments.options.address))?;
    let hint = if by_line { "; press Enter to end" } else { "" };
    eprintln!("listening at {}{hint}", sink.address());
    match arguments.seconds {
        Some(seconds) => match told.recv_timeout(Duration::from_secs(seconds)) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        },
        None => drop(told.recv()),
    }
    let summary = sink.stop().context("the sink")?;
    if arguments.json {
        print(&summary.json().to_string())?;
    } else {
        print(summary.to_string().trim_end())?;
    }
    Ok(true)
}

/// A reader that has gone away is no reason to panic.
fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output")
}
