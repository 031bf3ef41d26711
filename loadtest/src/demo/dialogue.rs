//! One message, sent slowly enough to be read.

use crate::clock;
use crate::stamp::Stamp;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the relay may take for a reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the message says.
const BODY: &str = "Hello, this is one of many.\r\n\
    It is safe on disk before you read \"250\".\r\n\
    \r\n\
    ..\r\n\
    (The line above is a dot; on the wire it is two.)\r\n";

/// Sends one message; gives its dialogue, and the run that its stamp names.
///
/// # Errors
/// When the connection fails, or the relay refuses.
pub(super) fn one_message(relay: SocketAddr) -> io::Result<(Vec<String>, u64)> {
    let mut dialogue = Dialogue::open(relay)?;
    dialogue.hear("220")?;
    let commands = [
        ("EHLO source.ringpost.test", "250"),
        ("MAIL FROM:<writer@source.ringpost.test>", "250"),
        ("RCPT TO:<reader@next.ringpost.test>", "250"),
        ("DATA", "354"),
    ];
    for (command, expected) in commands {
        dialogue.say(command)?;
        dialogue.hear(expected)?;
    }
    let run = reactor::random();
    dialogue.message(&message(run))?;
    dialogue.hear("250")?;
    dialogue.say("QUIT")?;
    dialogue.hear("221")?;
    Ok((dialogue.lines, run))
}

fn message(run: u64) -> Vec<u8> {
    // The sink sums what is on the wire.
    let checksum = crc32c::crc32c(BODY.as_bytes());
    let mut message = b"From: <writer@source.ringpost.test>\r\n\
        To: <reader@next.ringpost.test>\r\nSubject: one message\r\n"
        .to_vec();
    Stamp { run, number: 0, sent: clock::now(), checksum }.write_to(&mut message);
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(BODY.as_bytes());
    message
}

struct Dialogue {
    stream: BufReader<TcpStream>,
    lines: Vec<String>,
}

impl Dialogue {
    fn open(relay: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&relay, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), lines: Vec::new() })
    }

    fn say(&mut self, command: &str) -> io::Result<()> {
        self.lines.push(format!("C: {command}"));
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes())
    }

    /// Sends the message and its end; its header and one line of its body are shown.
    fn message(&mut self, message: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(message);
        let (header, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        self.lines.extend(header.lines().map(|line| format!("C: {line}")));
        self.lines.push("C:".into());
        let mut body_lines = body.lines();
        self.lines.extend(body_lines.next().map(|line| format!("C: {line}")));
        self.lines.push(format!("C: ({} more lines)", body_lines.count()));
        self.lines.push("C: .".into());
        self.stream.get_mut().write_all(&[message, b".\r\n"].concat())
    }

    /// Reads one reply; one that does not begin with `code` is an error.
    fn hear(&mut self, code: &str) -> io::Result<()> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            self.lines.push(format!("S: {line}"));
            if !line.starts_with(code) {
                return Err(io::Error::other(format!("instead of {code}: {line}")));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
