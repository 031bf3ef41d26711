//! The command line.

use crate::exit::Failure;
use crate::{check, operate, serve, spool};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A mail relay for the edge of a network.
#[derive(Debug, Parser)]
#[command(name = "ringpost", version, max_term_width = 100)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The control socket of the running relay.
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// One JSON object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the relay in the foreground. Example: ringpost serve --trial --next 127.0.0.1:2600
    Serve(Serve),
    /// Check the configuration and everything it names: every error at once.
    Check {
        /// Show the effective configuration with the origin of each value.
        #[arg(long)]
        print: bool,
    },
    /// What the running relay is and does.
    Status,
    /// Messages that await delivery.
    #[command(subcommand)]
    Queue(Queue),
    /// Next hops: windows, sessions, back-off.
    #[command(subcommand)]
    Destination(Destination),
    /// A spool, looked at from outside: nothing in it is changed.
    #[command(subcommand)]
    Spool(Spool),
    /// Take the configuration over, all or nothing.
    Reload,
    /// Stop accepting, finish what is under way, end.
    Drain,
    /// Print docs/configuration.md.
    #[command(hide = true)]
    Documentation,
}

/// `ringpost serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Try it: 127.0.0.1:2525 for loopback clients, spool and control socket in this directory.
    #[arg(long)]
    pub trial: bool,
    /// With --trial: deliver to this next hop only; without it everything is held.
    #[arg(long, value_name = "HOST:PORT", requires = "trial")]
    pub next: Option<String>,
}

/// `ringpost queue …`.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Messages, the oldest first. Example: ringpost queue list --to example.org --state deferred
    List {
        /// Which.
        #[command(flatten)]
        filter: Filter,
        /// At most so many.
        #[arg(long, default_value_t = 1000, value_name = "N")]
        limit: usize,
    },
    /// One message: envelope, recipients, attempts.
    Show {
        /// Its id.
        id: String,
    },
    /// Ages by destination.
    Summary,
    /// Write all messages to DIR: NAME.eml, and its envelope as NAME.json. Asks the running relay,
    /// or reads the spool of one that does not run; the queue stays as it is.
    Export {
        /// Where to.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Read this spool, which no relay may have.
        #[arg(long, value_name = "DIR")]
        spool: Option<PathBuf>,
    },
    /// Take the messages in DIR, each under a new id; NAME.json becomes NAME.imported.
    Import {
        /// Where from.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Write to this spool, which no relay may have.
        #[arg(long, value_name = "DIR")]
        spool: Option<PathBuf>,
    },
    /// Try now, and end the back-off of their destinations.
    Flush(Selection),
    /// Do not try until released.
    Hold(Selection),
    /// Try again what was held.
    Release(Selection),
    /// Forget, without a report to the sender.
    Remove(Selection),
}

/// `ringpost destination …`.
#[derive(Debug, Subcommand)]
pub enum Destination {
    /// All next hops with mail or sessions.
    List,
}

/// `ringpost spool …`.
#[derive(Debug, Subcommand)]
pub enum Spool {
    /// Verify every record: what is live, dead, damaged. Exit 65 when something is damaged, 74 when
    /// something cannot be read, 78 when another version wrote it.
    Check {
        /// The spool.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print every record in order.
    Dump {
        /// The spool.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Only what is about this message, and whether and why it is live.
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// Only the message itself, as a mail program reads it.
        #[arg(long, requires = "id")]
        body: bool,
    },
}

/// Which messages.
#[derive(Debug, Default, Args)]
pub struct Filter {
    /// A recipient, or a recipient's domain.
    #[arg(long, value_name = "D")]
    pub to: Option<String>,
    /// The reverse-path.
    #[arg(long, value_name = "A")]
    pub from: Option<String>,
    /// active, deferred or held.
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,
    /// Older than this: 1h, 2d.
    #[arg(long, value_name = "AGE")]
    pub older: Option<String>,
}

/// Ids, or a filter, or all.
#[derive(Debug, Args)]
pub struct Selection {
    /// Message ids.
    pub ids: Vec<String>,
    /// Which, by what they are.
    #[command(flatten)]
    pub filter: Filter,
    /// All messages.
    #[arg(long)]
    pub all: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and a text for the operator.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Serve(options) => serve::serve(arguments, options),
        Command::Check { print } => check::check(arguments, *print),
        Command::Status => operate::status(arguments),
        Command::Queue(command) => operate::queue(arguments, command),
        Command::Destination(Destination::List) => operate::destinations(arguments),
        Command::Spool(command) => spool::spool(arguments, command),
        Command::Reload => operate::reload(arguments),
        Command::Drain => operate::drain(arguments),
        Command::Documentation => {
            print!("{}", config::document());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The configuration's path.
pub(crate) fn config_path(arguments: &Arguments) -> PathBuf {
    arguments.config.clone().unwrap_or_else(|| "/etc/ringpost/ringpost.toml".into())
}
