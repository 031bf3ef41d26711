//! A look at the relay's metrics, as a collector would take it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// Metrics that tell a story at a glance.
const SHOWN: [&str; 8] = [
    "ringpost_messages_received_total",
    "ringpost_accept_seconds_count",
    "ringpost_accept_seconds_sum",
    "ringpost_spool_commit_messages_sum",
    "ringpost_spool_commit_messages_count",
    "ringpost_deliveries_total",
    "ringpost_outbound_sessions_total",
    "ringpost_queue_messages",
];

/// Some lines of what is at `address`, in the order of [`SHOWN`].
///
/// # Errors
/// When there is nothing to read.
pub(super) fn scrape(address: SocketAddr) -> io::Result<Vec<String>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.lines().next().is_some_and(|status| status.contains(" 200 ")) {
        return Err(io::Error::other(head.lines().next().unwrap_or("nothing").to_owned()));
    }
    Ok(SHOWN.iter().flat_map(|name| lines_of(body, name)).collect())
}

fn lines_of<'a>(body: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    body.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| line.to_owned())
    })
}
