//! A look at the relay's metrics, as a collector would take it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// How long the relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// Looks before it is taken as it is.
const LOOKS_MAX: u32 = 50;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

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

/// Some lines of what is at `address`, in the order of [`SHOWN`], once they count `delivered`
/// recipients or will not: the relay's shards tell their numbers once a second.
///
/// # Errors
/// When there is nothing to read.
pub(super) fn scrape(address: SocketAddr, delivered: u64) -> io::Result<Vec<String>> {
    // A channel on which nothing ever comes: its receiver can wait.
    let (_silent, pause) = mpsc::channel::<()>();
    let mut body = get(address)?;
    for _ in 0..LOOKS_MAX {
        if deliveries(&body) >= delivered {
            break;
        }
        let _ = pause.recv_timeout(PAUSE);
        body = get(address)?;
    }
    Ok(SHOWN.iter().flat_map(|name| lines_of(&body, name)).collect())
}

/// The body of the page.
fn get(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.lines().next().is_some_and(|status| status.contains(" 200 ")) {
        return Err(io::Error::other(head.lines().next().unwrap_or("nothing").to_owned()));
    }
    Ok(body.to_owned())
}

/// Recipients that the relay has counted as delivered.
fn deliveries(body: &str) -> u64 {
    lines_of(body, "ringpost_deliveries_total")
        .filter(|line| line.contains("outcome=\"delivered\""))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum::<f64>() as u64
}

fn lines_of<'a>(body: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    body.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| line.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_summed_over_their_labels() {
        let body = "# TYPE ringpost_deliveries_total counter\n\
            ringpost_deliveries_total{outcome=\"delivered\",provider=\"a\"} 3\n\
            ringpost_deliveries_total{outcome=\"deferred\",provider=\"a\"} 5\n\
            ringpost_deliveries_total{outcome=\"delivered\",provider=\"b\"} 4\n";
        assert_eq!(deliveries(body), 7);
        assert_eq!(lines_of(body, "ringpost_deliveries").count(), 0);
    }
}
