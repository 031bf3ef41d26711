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
/// STARTTLS (RFC 3207 §4).
pub(crate) const START_TLS: Reply = Reply::fixed(220, Status(2, 0, 0), "Ready to start TLS");
/// AUTH (RFC 4954 §6).
pub(crate) const AUTHENTICATED: Reply =
    Reply::fixed(235, Status(2, 7, 0), "Authentication successful");
/// QUIT.
pub(crate) const BYE: Reply = Reply::fixed(221, Status(2, 0, 0), "Bye");
/// VRFY and EXPN, which tell nothing (RFC 5321 §3.5.3, §7.3).
pub(crate) const NONCOMMITTAL: Reply =
    Reply::fixed(252, Status(2, 5, 2), "Send some mail, and see");
/// HELP.
pub(crate) const HELP: Reply = Reply::fixed(
    214,
    Status(2, 0, 0),
    "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP",
);

/// The client kept silent for too long.
pub(crate) const TIMED_OUT: Reply = Reply::fixed(421, Status(4, 4, 2), "Timed out, closing");
/// We are draining.
pub(crate) const SHUTTING_DOWN: Reply =
    Reply::fixed(421, Status(4, 3, 2), "Shutting down, try again later");
/// A stranger has made too many errors.
pub(crate) const TOO_MANY_ERRORS: Reply =
    Reply::fixed(421, Status(4, 7, 0), "Too many errors, closing");

/// A client has failed to authenticate too often.
pub(crate) const TOO_MANY_FAILURES: Reply =
    Reply::fixed(421, Status(4, 7, 0), "Too many failed authentications, closing");

/// Nobody can say whether the client is who it says (RFC 4954 §6).
pub(crate) const AUTH_UNAVAILABLE: Reply =
    Reply::fixed(454, Status(4, 7, 0), "Authentication is not available at present");
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
/// RFC 4954 §4.
pub(crate) const AUTH_LINE_TOO_LONG: Reply =
    Reply::fixed(500, Status(5, 5, 6), "Authentication exchange line is too long");
/// The argument of a known command cannot be read.
pub(crate) const BAD_ARGUMENT: Reply =
    Reply::fixed(501, Status(5, 5, 4), "Syntax error in the argument");
/// `*` in a SASL exchange (RFC 4954 §4).
pub(crate) const AUTH_CANCELLED: Reply =
    Reply::fixed(501, Status(5, 7, 0), "Authentication cancelled");
/// A turn of a SASL exchange that is not base64 (RFC 4954 §4).
pub(crate) const NOT_BASE64: Reply = Reply::fixed(501, Status(5, 5, 2), "This is not base64");
/// A command that others have (RFC 5321 §4.2.4).
pub(crate) const NOT_IMPLEMENTED: Reply =
    Reply::fixed(502, Status(5, 5, 1), "Command not implemented");
/// EXPN under `noexpn`, as sendmail has it.
pub(crate) const NOT_ALLOWED: Reply = Reply::fixed(502, Status(5, 7, 0), "Not allowed here");
/// A command out of its order.
pub(crate) const BAD_SEQUENCE: Reply =
    Reply::fixed(503, Status(5, 5, 1), "Bad sequence of commands");
/// A SASL mechanism that is not announced (RFC 4954 §4).
pub(crate) const NO_MECHANISM: Reply =
    Reply::fixed(504, Status(5, 5, 4), "Mechanism not supported");
/// RFC 3207 §4.
pub(crate) const TLS_NEEDED: Reply =
    Reply::fixed(530, Status(5, 7, 0), "Must issue a STARTTLS command first");
/// RFC 4954 §6.
pub(crate) const AUTH_NEEDED: Reply = Reply::fixed(530, Status(5, 7, 0), "Authentication required");
/// RFC 4954 §6.
pub(crate) const AUTH_FAILED: Reply =
    Reply::fixed(535, Status(5, 7, 8), "Authentication credentials invalid");
/// A stray CR, LF or NUL in a body.
pub(crate) const BARE_BYTE: Reply =
    Reply::fixed(550, Status(5, 5, 2), "Message contains a bare CR, a bare LF or a NUL");
/// `line_bytes` is set, and a line is longer.
pub(crate) const LONG_TEXT_LINE: Reply =
    Reply::fixed(550, Status(5, 6, 0), "Message contains a line that is too long");
/// SIZE= or the body is over `message_bytes`.
pub(crate) const TOO_BIG: Reply = Reply::fixed(552, Status(5, 3, 4), "Message too big");
/// RFC 6531 §3.5: an address of other letters, and no SMTPUTF8 with MAIL.
pub(crate) const NOT_ASCII: Reply =
    Reply::fixed(553, Status(5, 6, 7), "This address needs SMTPUTF8");
/// RFC 6532 §3: SMTPUTF8 was said, and the header is not UTF-8.
pub(crate) const NOT_UTF8: Reply =
    Reply::fixed(554, Status(5, 6, 0), "The message header is not UTF-8");
/// The client has not waited for its turn (RFC 2920 §3.1, RFC 5321 §4.3.1).
pub(crate) const OUT_OF_TURN: Reply =
    Reply::fixed(554, Status(5, 5, 0), "You talk out of turn, closing");
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
pub(crate) fn extended_hello(hostname: &str, extensions: &[String]) -> Reply {
    Reply::plain(250, Cow::Owned(format!("{hostname}\n{}", extensions.join("\n"))))
}

/// A chunk that is not the last one (RFC 3030 §2).
pub(crate) fn chunk_taken(bytes: u64) -> Reply {
    let text = Cow::Owned(format!("{bytes} octets received"));
    Reply { code: 250, status: Some(Status(2, 0, 0)), text }
}

/// A turn of a SASL exchange (RFC 4954 §4): base64, or nothing.
pub(crate) fn challenge(base64: String) -> Reply {
    Reply::plain(334, Cow::Owned(base64))
}

/// A message is ours now.
pub(crate) fn queued(id: MessageId) -> Reply {
    Reply {
        code: 250,
        status: Some(Status(2, 0, 0)),
        text: Cow::Owned(format!("Ok: queued as {id}")),
    }
}
