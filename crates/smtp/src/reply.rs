//! The catalogue: every reply that this relay gives of its own accord.
//!
//! Codes and enhanced codes are those of the interface page, which scripts may test; the texts are
//! for people. What policy refuses comes with a reply of its own.

use mail::{EnhancedStatus as Status, MessageId, Reply};
use std::borrow::Cow;

/// RSET, and MAIL once accepted.
pub(crate) const OK: Reply = Reply::fixed(250, Status(2, 0, 0), "Ok");
/// MAIL (RFC 3463: X.1.0 is about an address).
pub(crate) const SENDER_OK: Reply = Reply::fixed(250, Status(2, 1, 0), "Ok");
/// RCPT.
pub(crate) const RECIPIENT_OK: Reply = Reply::fixed(250, Status(2, 1, 5), "Ok");
/// DATA; RFC 2034 §4 gives 3yz no enhanced code.
pub(crate) const GO_AHEAD: Reply =
    Reply::plain(354, Cow::Borrowed("End data with <CR><LF>.<CR><LF>"));
/// QUIT.
pub(crate) const BYE: Reply = Reply::fixed(221, Status(2, 0, 0), "Bye");
/// VRFY and EXPN, which tell nothing (RFC 5321 §3.5.3, §7.3).
pub(crate) const NONCOMMITTAL: Reply =
    Reply::fixed(252, Status(2, 5, 2), "Send some mail, and see");
/// HELP.
pub(crate) const HELP: Reply =
    Reply::fixed(214, Status(2, 0, 0), "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY EXPN HELP QUIT");

/// The client kept silent for too long.
pub(crate) const TIMED_OUT: Reply = Reply::fixed(421, Status(4, 4, 2), "Timed out, closing");
/// We are draining.
pub(crate) const SHUTTING_DOWN: Reply =
    Reply::fixed(421, Status(4, 3, 2), "Shutting down, try again later");
/// A stranger has made too many errors.
pub(crate) const TOO_MANY_ERRORS: Reply =
    Reply::fixed(421, Status(4, 7, 0), "Too many errors, closing");

/// The write of a message failed.
pub(crate) const NOT_WRITTEN: Reply =
    Reply::fixed(451, Status(4, 3, 0), "Could not be written, try again later");
/// Disk or queue is full.
pub(crate) const NO_ROOM: Reply = Reply::fixed(452, Status(4, 3, 1), "No room, try again later");
/// RFC 5321 §4.5.3.1.10: 452, and the client sends the rest in another transaction.
pub(crate) const TOO_MANY_RECIPIENTS: Reply =
    Reply::fixed(452, Status(4, 5, 3), "Too many recipients");

/// No such command, or a line that cannot be one.
pub(crate) const NO_COMMAND: Reply = Reply::fixed(500, Status(5, 5, 2), "Command not recognized");
/// Only CRLF ends a command.
pub(crate) const BARE_NEWLINE: Reply =
    Reply::fixed(500, Status(5, 5, 2), "Command lines end with CR LF");
/// RFC 5321 §4.5.3.1.4.
pub(crate) const LINE_TOO_LONG: Reply = Reply::fixed(500, Status(5, 5, 2), "Line too long");
/// The argument of a known command cannot be read.
pub(crate) const BAD_ARGUMENT: Reply =
    Reply::fixed(501, Status(5, 5, 4), "Syntax error in the argument");
/// A command out of its order.
pub(crate) const BAD_SEQUENCE: Reply =
    Reply::fixed(503, Status(5, 5, 1), "Bad sequence of commands");
/// A stray CR, LF or NUL in a body.
pub(crate) const BARE_BYTE: Reply =
    Reply::fixed(550, Status(5, 5, 2), "Message contains a bare CR, a bare LF or a NUL");
/// `line_bytes` is set, and a line is longer.
pub(crate) const LONG_TEXT_LINE: Reply =
    Reply::fixed(550, Status(5, 6, 0), "Message contains a line that is too long");
/// SIZE= or the body is over `message_bytes`.
pub(crate) const TOO_BIG: Reply = Reply::fixed(552, Status(5, 3, 4), "Message too big");
/// DATA, and nobody to send it to.
pub(crate) const NO_RECIPIENTS: Reply = Reply::fixed(554, Status(5, 5, 1), "No valid recipients");
/// More Received fields than `hops`.
pub(crate) const TOO_MANY_HOPS: Reply =
    Reply::fixed(554, Status(5, 4, 6), "Too many hops, this looks like a loop");
/// RFC 5321 §4.1.1.11.
pub(crate) const UNKNOWN_PARAMETER: Reply =
    Reply::fixed(555, Status(5, 5, 4), "Parameter not recognized");

/// The greeting (RFC 5321 §4.3.1).
pub(crate) fn greeting(hostname: &str, banner: &str) -> Reply {
    Reply::plain(220, Cow::Owned(format!("{hostname} {banner}")))
}

/// The reply to HELO.
pub(crate) fn hello(hostname: &str) -> Reply {
    Reply::plain(250, Cow::Owned(hostname.to_owned()))
}

/// The reply to EHLO: our name, then an extension a line.
pub(crate) fn extended_hello(hostname: &str, message_bytes: u64) -> Reply {
    Reply::plain(
        250,
        Cow::Owned(format!(
            "{hostname}\nPIPELINING\nSIZE {message_bytes}\n8BITMIME\nENHANCEDSTATUSCODES"
        )),
    )
}

/// A message is ours now.
pub(crate) fn queued(id: MessageId) -> Reply {
    Reply {
        code: 250,
        status: Some(Status(2, 0, 0)),
        text: Cow::Owned(format!("Ok: queued as {id}")),
    }
}
