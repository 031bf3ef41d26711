//! The commands that ask a running relay.

use crate::cli::{Arguments, Filter, Queue, Selection, config_path};
use crate::exit::{Failure, code};
use crate::{exchange, show, startup};
use control::client::{ClientError, Method, call};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the relay listens unless something else is said.
const SOCKET: &str = "/run/ringpost/control.sock";

/// The socket: as given, or as the configuration has it when that is given, or the compiled-in one.
pub(crate) fn socket(arguments: &Arguments) -> PathBuf {
    if let Some(socket) = &arguments.socket {
        return socket.clone();
    }
    if arguments.config.is_none() {
        return SOCKET.into();
    }
    config::load(&config_path(arguments), startup::machine_name().as_deref())
        .map_or_else(|_| SOCKET.into(), |config| config.control_socket)
}

/// What the relay, or its silence, means for the process.
pub(crate) fn failure(error: &ClientError) -> Failure {
    Failure::new(error.exit_code(), error.to_string())
}

fn get(arguments: &Arguments, path: &str) -> Result<Value, Failure> {
    call(&socket(arguments), Method::GET, path, None).map_err(|error| failure(&error))
}

fn post(arguments: &Arguments, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    call(&socket(arguments), Method::POST, path, body).map_err(|error| failure(&error))
}

/// Prints `value` as one line of JSON each, or as `text` shows it.
fn print(arguments: &Arguments, value: &Value, text: impl Fn(&Value) -> String) -> ExitCode {
    say(&if arguments.json { show::json_lines(value) } else { text(value) });
    ExitCode::SUCCESS
}

/// Prints `text`. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn say(text: &str) {
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// `ringpost status`.
///
/// # Errors
/// When the relay does not answer.
pub fn status(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let status = get(arguments, "/status")?;
    Ok(print(arguments, &status, show::status))
}

/// `ringpost destination list`.
///
/// # Errors
/// When the relay does not answer.
pub fn destinations(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let destinations = get(arguments, "/destinations")?;
    Ok(print(arguments, &destinations, show::destinations))
}

/// `ringpost reload`.
///
/// # Errors
/// When the relay does not answer, or refuses the configuration.
pub fn reload(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let told = post(arguments, "/reload", None).map_err(|mut failure| {
        if failure.code == code::DATA {
            failure.code = code::CONFIGURATION;
        }
        failure
    })?;
    Ok(print(arguments, &told, |_| "reloaded\n".into()))
}

/// `ringpost drain`.
///
/// # Errors
/// When the relay does not answer.
pub fn drain(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let told = post(arguments, "/drain", None)?;
    Ok(print(arguments, &told, |_| "draining\n".into()))
}

/// `ringpost queue …`.
///
/// # Errors
/// When the relay does not answer, or what is asked makes no sense.
pub fn queue(arguments: &Arguments, command: &Queue) -> Result<ExitCode, Failure> {
    match command {
        Queue::List { filter, limit } => {
            let mut query = vec![format!("limit={limit}")];
            for (key, value) in words(filter)? {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                query.push(format!("{key}={}", escape(&value)));
            }
            let list = get(arguments, &format!("/queue?{}", query.join("&")))?;
            Ok(print(arguments, &list, show::list))
        }
        Queue::Show { id } => {
            let message = get(arguments, &format!("/queue/{}", escape(id)))?;
            Ok(print(arguments, &message, show::message))
        }
        Queue::Summary => {
            let summary = get(arguments, "/queue/summary")?;
            Ok(print(arguments, &summary, show::summary))
        }
        Queue::Export { directory, spool } => {
            exchange::export(arguments, directory, spool.as_deref())
        }
        Queue::Import { directory, spool } => {
            exchange::import(arguments, directory, spool.as_deref())
        }
        Queue::Flush(selection) => act(arguments, "flush", selection),
        Queue::Hold(selection) => act(arguments, "hold", selection),
        Queue::Release(selection) => act(arguments, "release", selection),
        Queue::Remove(selection) => act(arguments, "remove", selection),
    }
}

fn act(arguments: &Arguments, action: &str, selection: &Selection) -> Result<ExitCode, Failure> {
    let mut filter = words(&selection.filter)?;
    if !selection.ids.is_empty() {
        filter.insert("ids".into(), json!(selection.ids));
    }
    if filter.is_empty() && !selection.all {
        let text = format!("name messages by id or filter, or say: queue {action} --all");
        return Err(Failure::new(code::USAGE, text));
    }
    if selection.all {
        if action == "remove" && !selection.yes && !confirmed()? {
            return Ok(ExitCode::SUCCESS);
        }
        filter.insert("all".into(), true.into());
    }
    let told = post(arguments, &format!("/queue/{action}"), Some(&filter.into()))?;
    Ok(print(arguments, &told, |told| format!("{action}: {} messages\n", told["messages"])))
}

/// Asks before everything is removed.
fn confirmed() -> Result<bool, Failure> {
    eprint!("Remove all messages, without a report to anybody? Type yes: ");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_err() || line.is_empty() {
        return Err(Failure::new(code::USAGE, "nobody to ask: say --yes"));
    }
    Ok(line.trim() == "yes")
}

/// The filter in the words of the admin API.
fn words(filter: &Filter) -> Result<Map<String, Value>, Failure> {
    let mut words = Map::new();
    let texts = [("to", &filter.to), ("from", &filter.from), ("state", &filter.state)];
    for (key, text) in texts {
        if let Some(text) = text {
            words.insert(key.into(), text.as_str().into());
        }
    }
    if let Some(age) = &filter.older {
        let Some(older) = config::duration(age) else {
            let text = format!("--older {age}: write 30s, 5m, 4h or 5d");
            return Err(Failure::new(code::USAGE, text));
        };
        words.insert("older".into(), older.as_secs().into());
    }
    Ok(words)
}

/// Percent-encodes what a query or a path may not have (RFC 3986 §2.3).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte as char);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The addresses that the relay at `path` listens at, if one runs: for `check`.
pub(crate) fn listening(arguments: &Arguments, path: &Path) -> BTreeSet<SocketAddr> {
    let socket = arguments.socket.as_deref().unwrap_or(path);
    let Ok(status) = call(socket, Method::GET, "/status", None) else { return BTreeSet::new() };
    let mut addresses = BTreeSet::new();
    for listener in status["listeners"].as_array().into_iter().flatten() {
        let texts = listener["addresses"].as_array().into_iter().flatten();
        addresses.extend(texts.filter_map(|text| text.as_str()?.parse::<SocketAddr>().ok()));
    }
    addresses.extend(status["metrics"].as_str().and_then(|text| text.parse::<SocketAddr>().ok()));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_may_not_have_is_escaped() {
        assert_eq!(escape("a+b@example.org"), "a%2Bb%40example.org");
    }

    #[test]
    fn an_age_that_is_none_is_refused() {
        let filter = Filter { older: Some("5 days".into()), ..Filter::default() };
        assert_eq!(words(&filter).expect_err("no age").code, code::USAGE);
    }
}
