//! *Replies*: each command gets its own reply, in order; nobody relays for strangers.
//!
//! It reads along on the client's wire, and knows nothing of the session that talks there. The
//! enhanced codes tell commands apart: a 250 to RCPT is 2.1.5, one to the end of data 2.0.0.

use std::collections::VecDeque;

/// What a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Greeting,
    Hello,
    Sender,
    Recipient,
    /// RCPT to a domain that is not ours.
    Stranger,
    Data,
    EndOfData,
    Reset,
    Quit,
}

/// One connection to the relay, as it is read along.
pub(crate) struct Replies {
    awaited: VecDeque<Asked>,
    /// Of a reply that has not ended: its bytes so far.
    line: Vec<u8>,
    /// The relay has said 421: it may close, and say nothing more.
    over: bool,
    /// The ids that the relay gave.
    queued: Vec<String>,
}

impl Replies {
    /// A connection that was just made.
    pub(crate) fn new() -> Self {
        let awaited = VecDeque::from([Asked::Greeting]);
        Self { awaited, line: Vec::new(), over: false, queued: Vec::new() }
    }

    /// The client has sent commands, or the end of data.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        self.awaited.extend(lines.filter_map(what_is_asked));
    }

    /// The relay has sent these bytes; what is wrong with them.
    pub(crate) fn received(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut wrongs = Vec::new();
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                wrongs.extend(self.line_ended(&String::from_utf8_lossy(&line)));
            }
        }
        wrongs
    }

    /// The ids that the relay gave since the last call.
    pub(crate) fn take_queued(&mut self) -> Vec<String> {
        std::mem::take(&mut self.queued)
    }

    fn line_ended(&mut self, line: &str) -> Option<String> {
        if line.as_bytes().get(3) == Some(&b'-') {
            return None;
        }
        let reply = line.trim_end();
        if reply.starts_with("421") {
            // It may come at any time (RFC 5321 §3.8).
            self.over = true;
            self.awaited.pop_front();
            return None;
        }
        if self.over {
            return Some(format!("{reply:?} comes after 421"));
        }
        let Some(asked) = self.awaited.pop_front() else {
            return Some(format!("{reply:?} comes, and nothing was asked"));
        };
        if let (Asked::EndOfData, Some(id)) =
            (asked, reply.strip_prefix("250 2.0.0 Ok: queued as "))
        {
            self.queued.push(id.to_owned());
        }
        (!fits(asked, reply)).then(|| format!("{reply:?} answers {asked:?}"))
    }
}

fn what_is_asked(line: &[u8]) -> Option<Asked> {
    let has = |word: &str| line.get(..word.len()).is_some_and(|it| it == word.as_bytes());
    let stranger = || line.windows(17).any(|window| window == b"@stranger.example");
    Some(match line {
        b"" => return None,
        b"." => Asked::EndOfData,
        _ if has("BDAT") && line.ends_with(b" LAST") => Asked::EndOfData,
        _ if has("EHLO") || has("HELO") => Asked::Hello,
        _ if has("MAIL") => Asked::Sender,
        _ if has("RCPT") && stranger() => Asked::Stranger,
        _ if has("RCPT") => Asked::Recipient,
        _ if has("DATA") => Asked::Data,
        _ if has("QUIT") => Asked::Quit,
        _ => Asked::Reset,
    })
}

/// Whether `reply` can answer what was asked.
fn fits(asked: Asked, reply: &str) -> bool {
    let good = match asked {
        Asked::Greeting => reply.starts_with("220 "),
        Asked::Hello => reply.starts_with("250 "),
        Asked::Sender => reply.starts_with("250 2.1.0 "),
        Asked::Recipient => reply.starts_with("250 2.1.5 "),
        Asked::Stranger => false,
        Asked::Data => reply.starts_with("354 "),
        Asked::EndOfData => reply.starts_with("250 2.0.0 Ok: queued as "),
        Asked::Reset => reply.starts_with("250 2.0.0 "),
        Asked::Quit => return reply.starts_with("221 "),
    };
    good || reply.starts_with('4') || reply.starts_with('5')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(sent: &str, received: &str) -> Vec<String> {
        let mut replies = Replies::new();
        let mut wrongs = replies.received(b"220 relay.example ESMTP\r\n");
        replies.sent(sent.as_bytes());
        wrongs.extend(replies.received(received.as_bytes()));
        wrongs
    }

    #[test]
    fn replies_come_in_the_order_of_their_commands() {
        let sent = "MAIL FROM:<>\r\nRCPT TO:<a@mx.example>\r\nDATA\r\n";
        let right = "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End\r\n";
        assert!(wrongs(sent, right).is_empty());
        let swapped = "250 2.1.5 Ok\r\n250 2.1.0 Ok\r\n354 End\r\n";
        assert_eq!(wrongs(sent, swapped).len(), 2);
        let refused = "452 4.3.1 Full\r\n503 5.5.1 Bad\r\n503 5.5.1 Bad\r\n";
        assert!(wrongs(sent, refused).is_empty());
    }

    #[test]
    fn a_reply_needs_a_command() {
        assert_eq!(wrongs("", "250 2.0.0 Ok\r\n").len(), 1);
        assert!(wrongs("", "421 4.3.2 Shutting down\r\n").is_empty());
        assert_eq!(wrongs("RSET\r\n", "421 4.3.2 No\r\n250 2.0.0 Ok\r\n").len(), 1);
    }

    #[test]
    fn strangers_are_never_relayed_for() {
        let sent = "RCPT TO:<x@stranger.example>\r\n";
        assert_eq!(wrongs(sent, "250 2.1.5 Ok\r\n").len(), 1);
        assert!(wrongs(sent, "554 5.7.1 Relay access denied\r\n").is_empty());
    }

    #[test]
    fn the_ids_that_were_given_can_be_had_once() {
        let mut replies = Replies::new();
        replies.received(b"220 x\r\n");
        replies.sent(b".\r\n");
        assert!(replies.received(b"250 2.0.0 Ok: queued as X1\r\n").is_empty());
        assert_eq!(replies.take_queued(), ["X1"]);
        assert!(replies.take_queued().is_empty());
    }

    #[test]
    fn a_reply_of_many_lines_is_one() {
        assert!(wrongs("EHLO x\r\n", "250-relay\r\n250-SIZE 1\r\n250 8BITMIME\r\n").is_empty());
    }
}
