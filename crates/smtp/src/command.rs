//! The codec of commands: a line in, a verb and its argument out.
//!
//! Two stages, since a command out of order is refused before its argument is read: [`split`]
//! names the verb, then the reader for that verb takes the argument apart. Nothing is copied but
//! addresses.

mod envelope;
mod introduction;
mod path;
mod xtext;

pub(crate) use envelope::{Grammar, mail, recipient, status_request};
pub use introduction::Introduction;
pub(crate) use introduction::{ATTRIBUTES, introduction};

use crate::{Verb, reply};
use mail::Reply;

/// What a command cannot be read for; each kind has its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// No command of ours, or bytes that no command may have.
    Command,
    /// A command that others have.
    Unimplemented,
    /// The argument.
    Argument,
    /// A parameter that we do not know.
    Parameter,
    /// An address that needs SMTPUTF8, which was not said.
    NotAscii,
}

impl Malformed {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Command => reply::NO_COMMAND,
            Self::Unimplemented => reply::NOT_IMPLEMENTED,
            Self::Argument => reply::BAD_ARGUMENT,
            Self::Parameter => reply::UNKNOWN_PARAMETER,
            Self::NotAscii => reply::NOT_ASCII,
        }
    }
}

/// The words of the protocol. RFC 5321 §2.4: in any mixture of cases.
const VERBS: [(&str, Verb); 15] = [
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("STARTTLS", Verb::StartTls),
    ("AUTH", Verb::Auth),
    ("QUIT", Verb::Quit),
    ("RSET", Verb::Rset),
    ("NOOP", Verb::Noop),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
    ("XCLIENT", Verb::Xclient),
];

/// Commands that are known, and that we will never have (RFC 5321 §4.2.4: 502): of RFC 821, its
/// successors, and sendmail.
const UNIMPLEMENTED: [&str; 9] =
    ["SEND", "SOML", "SAML", "TURN", "ATRN", "ETRN", "BURL", "VERB", "XFORWARD"];

/// Splits a line, without its CRLF, into a verb and the rest, without blanks around it.
///
/// RFC 5321 §4.1.1: white space before the CRLF is tolerated. Control bytes, a lone CR among them,
/// are not, nor is what is not UTF-8.
pub(crate) fn split(line: &[u8]) -> Result<(Verb, &str), Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed::Command)?;
    let text = text.trim_end_matches([' ', '\t']);
    if text.bytes().any(|byte| byte < b' ' || byte == 127) {
        return Err(Malformed::Command);
    }
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let known = VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    match known {
        Some((_, verb)) => Ok((*verb, rest.trim_start_matches(' '))),
        None if UNIMPLEMENTED.iter().any(|name| name.eq_ignore_ascii_case(word)) => {
            Err(Malformed::Unimplemented)
        }
        None => Err(Malformed::Command),
    }
}

/// The name of HELO and EHLO.
///
/// RFC 5321 §4.1.1.1 wants a domain or an address literal; half the world gives neither, and the
/// name proves nothing, so that any printable word will do: policy may be stricter.
pub(crate) fn hello_name(argument: &str) -> Result<&str, Malformed> {
    let good =
        (1..=255).contains(&argument.len()) && argument.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(argument) } else { Err(Malformed::Argument) }
}

/// RFC 5321 §4.1.1.4, .5, .10: DATA, RSET and QUIT have no argument.
pub(crate) fn no_argument(argument: &str) -> Result<(), Malformed> {
    if argument.is_empty() { Ok(()) } else { Err(Malformed::Argument) }
}

/// RFC 5321 §4.1.1.6, .7: VRFY and EXPN have one. RFC 6531 §3.7.4.2 has them take SMTPUTF8 behind
/// it, which changes nothing for us.
pub(crate) fn asked_for(argument: &str) -> Result<&str, Malformed> {
    let text = match argument.rsplit_once(' ') {
        Some((text, last)) if last.eq_ignore_ascii_case("SMTPUTF8") => text.trim_end(),
        _ => argument,
    };
    if text.is_empty() { Err(Malformed::Argument) } else { Ok(text) }
}

/// The argument of BDAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// How many bytes follow the line.
    pub(crate) bytes: u64,
    /// Whether the message ends with them; `None` when that cannot be read.
    pub(crate) last: Option<bool>,
}

/// RFC 3030 §2: `BDAT size [LAST]`; `None` when nobody can say how many bytes follow.
pub(crate) fn chunk(argument: &str) -> Option<Chunk> {
    let (size, end) = argument.split_once(' ').unwrap_or((argument, ""));
    let digits = (1..=20).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_digit());
    let bytes = size.parse().ok().filter(|_| digits)?;
    let last = match end.trim_start_matches(' ') {
        "" => Some(false),
        end if end.eq_ignore_ascii_case("LAST") => Some(true),
        _ => None,
    };
    Some(Chunk { bytes, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_known_in_any_case_and_its_argument_trimmed() {
        assert_eq!(split(b"mAiL  FROM:<> \t "), Ok((Verb::Mail, "FROM:<>")));
        assert_eq!(split(b"QUIT"), Ok((Verb::Quit, "")));
        for bad in [&b""[..], b"MAI", b"MAILX", b"NOOP \0", b"NO\rOP", b"NOOP \xff", b" QUIT"] {
            assert_eq!(split(bad), Err(Malformed::Command), "{bad:?}");
        }
        assert_eq!(split(b"turn"), Err(Malformed::Unimplemented));
    }

    #[test]
    fn a_chunk_has_a_size_and_may_be_the_last() {
        let chunk_of = |bytes, last| Some(Chunk { bytes, last });
        assert_eq!(chunk("0"), chunk_of(0, Some(false)));
        assert_eq!(chunk("0100  last"), chunk_of(100, Some(true)));
        assert_eq!(chunk("5 FIRST"), chunk_of(5, None));
        for bad in ["", "LAST", "-1", "+1", "1x", "99999999999999999999", "000000000000000000001"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }

    #[test]
    fn vrfy_and_expn_ask_for_something() {
        assert_eq!(asked_for("ü@b SMTPUTF8"), Ok("ü@b"));
        assert_eq!(asked_for("SMTPUTF8"), Ok("SMTPUTF8"));
        assert_eq!(asked_for(""), Err(Malformed::Argument));
    }
}
