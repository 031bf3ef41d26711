//! `ringpost serve`.

use crate::cli::{Arguments, Serve, config_path};
use crate::exit::{Failure, code};
use crate::relay::{Origin, Relay};
use crate::startup;
use config::Config;
use std::path::Path;
use std::process::ExitCode;

/// Runs the relay until it is told to stop.
///
/// # Errors
/// Whatever keeps it from running, with its exit code.
pub fn serve(arguments: &Arguments, options: &Serve) -> Result<ExitCode, Failure> {
    let machine = startup::machine_name();
    let origin = if options.trial {
        let text = trial_text(options.next.as_deref(), arguments)?;
        eprint!("{}", explanation(options.next.as_deref()));
        Origin::Text { name: "the trial's configuration".into(), text, machine }
    } else {
        Origin::File { path: config_path(arguments), machine }
    };
    let config = origin.load().map_err(|problems| refused(&problems))?;
    let relay = Relay::start(config, origin)?;
    relay.run(|| println!("ringpost ready"))
}

/// A configuration that was refused, all errors at once.
pub(crate) fn refused(problems: &config::Problems) -> Failure {
    Failure::new(code::CONFIGURATION, format!("the configuration is refused\n\n{problems}"))
}

/// The configuration of a trial: loopback only, everything in this directory, one next hop.
fn trial_text(next: Option<&str>, arguments: &Arguments) -> Result<String, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::of_io("this directory", &error))?;
    let hostname = startup::machine_name().unwrap_or_else(|| "ringpost.localdomain".into());
    let socket = arguments.socket.clone().unwrap_or_else(|| here.join("ringpost-control.sock"));
    let via = next.map_or_else(|| "hold".to_owned(), |next| format!("smtp://{next}"));
    let quote = |path: &Path| toml_string(&path.to_string_lossy());
    Ok(format!(
        "hostname = {hostname}\nspool = {spool}\n\
         [[listener]]\nname = \"trial\"\naddress = \"127.0.0.1:2525\"\n\
         [relay]\nnetworks = [\"127.0.0.0/8\"]\n\
         [[route]]\nto = [\"*\"]\nvia = {via}\n\
         [control]\nsocket = {socket}\ngroup = \"off\"\n",
        hostname = toml_string(&hostname),
        spool = quote(&here.join("ringpost-spool")),
        via = toml_string(&via),
        socket = quote(&socket),
    ))
}

/// A TOML basic string.
fn toml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn explanation(next: Option<&str>) -> String {
    let goes = match next {
        Some(next) => format!("Everything is delivered to {next}, whatever its recipients."),
        None => "Nothing is delivered: messages are held (name a next hop with --next).".into(),
    };
    format!(
        "This is a trial of ringpost.\n\
         - It accepts mail from this machine only, at 127.0.0.1:2525.\n\
         - {goes}\n\
         - Messages are kept in ./ringpost-spool; they are there at the next start.\n\
         - ringpost --socket ./ringpost-control.sock status | queue list | drain\n\
         - Metrics: http://127.0.0.1:9465/metrics\n"
    )
}

/// The shortest way to a relay from a configuration that was loaded before: for tests and the
/// demonstration.
///
/// # Errors
/// As [`Relay::start`].
pub fn start(config: Config, text: String) -> Result<Relay, Failure> {
    let machine = Some(config.hostname.clone());
    Relay::start(config, Origin::Text { name: "a text".into(), text, machine })
}
