//! The codec of replies (RFC 5321 §4.2), as lenient as it can be without guessing.
//!
//! A bare LF ends a line too, and the text may be anything: many servers are sloppy there, and
//! nothing hangs on it. The code and the mark behind it must be right.

use mail::{EnhancedStatus, Reply};

/// A reply longer than this is none: RFC 5321 §4.5.3.1.5 gives 512 bytes to a line, and the
/// longest EHLO replies and policy texts in use have a few thousand.
const REPLY_BYTES_MAX: usize = 16 << 10;

/// So much of a line's text is kept. A reply goes into the spool, the log and a DSN, for each of
/// perhaps a thousand recipients.
const LINE_CHARS_MAX: usize = 512;

/// Further lines are dropped once there is this much text.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// What stands at the beginning of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a reply.
    Partial,
    /// A reply, and how many bytes it takes.
    Reply(Reply, usize),
    /// No reply.
    Garbage,
}

/// Reads the reply at the beginning of `input`.
pub(super) fn parse(input: &[u8]) -> Parsed {
    let mut reply: Option<Reply> = None;
    let mut consumed = 0;
    while let Some(line) = scan::first_line(&input[consumed..]) {
        let text = &input[consumed..consumed + line.length];
        consumed += line.consumed;
        let Some((code, last, text)) = split(text) else { return Parsed::Garbage };
        if consumed > REPLY_BYTES_MAX {
            return Parsed::Garbage;
        }
        match &mut reply {
            None => reply = Some(first_line_of_reply(code, &text)),
            Some(reply) if reply.code == code => add_line(reply, &text),
            // RFC 5321 §4.2.1: every line has the same code.
            Some(_) => return Parsed::Garbage,
        }
        if last {
            return Parsed::Reply(reply.expect("a line was just added"), consumed);
        }
    }
    if input.len() > REPLY_BYTES_MAX { Parsed::Garbage } else { Parsed::Partial }
}

/// A line: its code, whether it is the last, its text without control bytes.
fn split(line: &[u8]) -> Option<(u16, bool, String)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code: u16 = match code {
        [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
            code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))
        }
        _ => return None,
    };
    let (last, text) = match rest {
        [] => (true, rest),
        [b' ', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return None,
    };
    let text = String::from_utf8_lossy(text);
    let printable = |c: char| if c.is_control() { '?' } else { c };
    Some((code, last, text.chars().take(LINE_CHARS_MAX).map(printable).collect()))
}

fn first_line_of_reply(code: u16, text: &str) -> Reply {
    let (status, text) = without_status(code, text);
    Reply { code, status, text: text.to_owned().into() }
}

fn add_line(reply: &mut Reply, text: &str) {
    let (status, text) = without_status(reply.code, text);
    // Where lines disagree, the first one speaks for all.
    reply.status = reply.status.or(status);
    if reply.text.len() > TEXT_BYTES_MAX {
        return;
    }
    let all = reply.text.to_mut();
    all.push('\n');
    all.push_str(text);
}

/// RFC 2034 §4: the class of an enhanced status is that of the code; anything else is text.
fn without_status(code: u16, text: &str) -> (Option<EnhancedStatus>, &str) {
    match EnhancedStatus::parse_prefix(text) {
        Some((status, rest)) if u16::from(status.0) == code / 100 => (Some(status), rest),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(input: &str) -> Reply {
        match parse(input.as_bytes()) {
            Parsed::Reply(reply, consumed) => {
                assert_eq!(consumed, input.len(), "{input:?}");
                reply
            }
            other => panic!("{input:?}: {other:?}"),
        }
    }

    #[test]
    fn replies_of_one_and_many_lines_are_read() {
        assert_eq!(reply("250 2.1.0 Ok\r\n"), Reply::fixed(250, EnhancedStatus(2, 1, 0), "Ok"));
        assert_eq!(
            reply("550-5.1.1 No such\r\n550 5.1.1 user\r\n"),
            Reply::fixed(550, EnhancedStatus(5, 1, 1), "No such\nuser")
        );
        assert_eq!(reply("250\r\n"), Reply::plain(250, "".into()));
        assert_eq!(reply("250 4.1.0 x\n"), Reply::plain(250, "4.1.0 x".into()));
        assert_eq!(reply("220 a\tb\x07\r\n").text, "a?b?");
    }

    #[test]
    fn what_is_no_reply_is_garbage() {
        for garbage in [
            "\r\n",
            "25\r\n",
            "hello\r\n",
            "150 x\r\n",
            "650 x\r\n",
            "250_x\r\n",
            "250-a\r\n251 b\r\n",
        ] {
            assert_eq!(parse(garbage.as_bytes()), Parsed::Garbage, "{garbage:?}");
        }
        for partial in ["", "250", "250 ok\r", "250-a\r\n", "250-a\r\n250"] {
            assert_eq!(parse(partial.as_bytes()), Parsed::Partial, "{partial:?}");
        }
    }

    #[test]
    fn what_is_kept_of_a_reply_is_bounded() {
        let line = format!("550 {}\r\n", "é".repeat(2000));
        assert_eq!(reply(&line).text.chars().count(), LINE_CHARS_MAX);
        let many = format!("{}550 last\r\n", "550-some words\r\n".repeat(1000));
        assert!((TEXT_BYTES_MAX..TEXT_BYTES_MAX + 20).contains(&reply(&many).text.len()));
    }

    #[test]
    fn a_reply_without_end_is_garbage_before_it_fills_memory() {
        assert_eq!(parse(&vec![b'2'; REPLY_BYTES_MAX + 1]), Parsed::Garbage);
        assert_eq!(parse("250-x\r\n".repeat(REPLY_BYTES_MAX).as_bytes()), Parsed::Garbage);
    }
}
