//! The codec of commands: a line in, a verb and its argument out.
//!
//! Two stages, since a command out of order is refused before its argument is read: [`split`]
//! names the verb, then the reader for that verb takes the argument apart. Nothing is copied but
//! addresses.

use crate::{Verb, reply};
use mail::{BodyKind, ForwardPath, Reply, ReversePath};

/// What a command cannot be read for; each kind has its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// No command of ours, or bytes that no command may have.
    Command,
    /// The argument.
    Argument,
    /// A parameter that we do not know.
    Parameter,
}

impl Malformed {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Command => reply::NO_COMMAND,
            Self::Argument => reply::BAD_ARGUMENT,
            Self::Parameter => reply::UNKNOWN_PARAMETER,
        }
    }
}

/// The words of the protocol. RFC 5321 §2.4: in any mixture of cases.
const VERBS: [(&str, Verb); 11] = [
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("QUIT", Verb::Quit),
    ("RSET", Verb::Rset),
    ("NOOP", Verb::Noop),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
];

/// Splits a line, without its CRLF, into a verb and the rest, without blanks around it.
///
/// RFC 5321 §4.1.1: white space before the CRLF is tolerated. Control bytes, a lone CR among them,
/// are not.
pub(crate) fn split(line: &[u8]) -> Result<(Verb, &str), Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed::Command)?;
    let text = text.trim_end_matches([' ', '\t']);
    if text.bytes().any(|byte| byte < b' ' || byte == 127) {
        return Err(Malformed::Command);
    }
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let known = VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    let (_, verb) = known.ok_or(Malformed::Command)?;
    Ok((*verb, rest.trim_start_matches(' ')))
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

/// RFC 5321 §4.1.1.6, .7: VRFY and EXPN have one.
pub(crate) fn some_argument(argument: &str) -> Result<(), Malformed> {
    if argument.is_empty() { Err(Malformed::Argument) } else { Ok(()) }
}

/// The argument of MAIL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MailArgument {
    pub(crate) reverse_path: ReversePath,
    /// SIZE= (RFC 1870 §6), in bytes.
    pub(crate) size: Option<u64>,
    /// BODY= (RFC 6152 §3).
    pub(crate) body: BodyKind,
}

/// RFC 5321 §4.1.1.2: `FROM:` reverse-path, then parameters.
pub(crate) fn mail(argument: &str) -> Result<MailArgument, Malformed> {
    let (path, parameters) = path_and_parameters(argument, "FROM:")?;
    let reverse_path = ReversePath::parse(path).map_err(|_| Malformed::Argument)?;
    let (mut size, mut body) = (None, None);
    for parameter in parameters.split_ascii_whitespace() {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        // RFC 5321 §4.1.1.11 leaves repetition open; whoever repeats one means two things.
        let fresh = if key.eq_ignore_ascii_case("SIZE") {
            size.replace(size_value(value)?).is_none()
        } else if key.eq_ignore_ascii_case("BODY") {
            body.replace(body_value(value)?).is_none()
        } else {
            return Err(Malformed::Parameter);
        };
        if !fresh {
            return Err(Malformed::Argument);
        }
    }
    Ok(MailArgument { reverse_path, size, body: body.unwrap_or_default() })
}

/// RFC 5321 §4.1.1.3: `TO:` forward-path, then parameters, of which we know none.
pub(crate) fn recipient(argument: &str) -> Result<ForwardPath, Malformed> {
    let (path, parameters) = path_and_parameters(argument, "TO:")?;
    let forward_path = ForwardPath::parse(path).map_err(|_| Malformed::Argument)?;
    if parameters.is_empty() { Ok(forward_path) } else { Err(Malformed::Parameter) }
}

/// RFC 1870 §6: 1 to 20 digits. What does not fit 64 bits is too big whatever it is.
fn size_value(value: &str) -> Result<u64, Malformed> {
    let good = (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    if good { Ok(value.parse().unwrap_or(u64::MAX)) } else { Err(Malformed::Argument) }
}

/// RFC 6152 §3.
fn body_value(value: &str) -> Result<BodyKind, Malformed> {
    if value.eq_ignore_ascii_case("7BIT") {
        Ok(BodyKind::SevenBit)
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Ok(BodyKind::EightBitMime)
    } else {
        Err(Malformed::Argument)
    }
}

/// Takes `FROM:<path> parameters` apart. Blanks behind the colon are tolerated, as everywhere.
fn path_and_parameters<'a>(
    argument: &'a str,
    keyword: &str,
) -> Result<(&'a str, &'a str), Malformed> {
    // SMTPUTF8 is not offered.
    if !argument.is_ascii() {
        return Err(Malformed::Argument);
    }
    let head = argument.get(..keyword.len()).ok_or(Malformed::Argument)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(Malformed::Argument);
    }
    let rest = argument[keyword.len()..].trim_start_matches(' ');
    let Some(path) = rest.strip_prefix('<') else {
        return bare_path(rest);
    };
    let end = path_end(path).ok_or(Malformed::Argument)?;
    let parameters = &path[end + 1..];
    if !parameters.is_empty() && !parameters.starts_with(' ') {
        return Err(Malformed::Argument);
    }
    Ok((&path[..end], parameters.trim_start_matches(' ')))
}

/// A path without its brackets, as old printers and scripts send it. Never the null path, which
/// is too easily sent by mistake.
fn bare_path(rest: &str) -> Result<(&str, &str), Malformed> {
    let (path, parameters) = rest.split_once(' ').unwrap_or((rest, ""));
    if path.is_empty() || path.contains(['<', '>', '"']) {
        return Err(Malformed::Argument);
    }
    Ok((path, parameters.trim_start_matches(' ')))
}

/// Where the closing bracket is; those in a quoted local-part are not it (RFC 5321 §4.1.2).
fn path_end(path: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
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
    }

    #[test]
    fn the_argument_of_mail_is_a_path_and_known_parameters() {
        let read = mail("from: <\"a > b\"@c> BODY=8bitmime size=00100").expect("well-formed");
        assert_eq!(read.reverse_path.to_string(), "\"a > b\"@c");
        assert_eq!((read.size, read.body), (Some(100), BodyKind::EightBitMime));
        assert_eq!(mail("FROM:<>").map(|read| read.reverse_path), Ok(ReversePath::Null));
        assert_eq!(mail("FROM:a@b").expect("bare").reverse_path.to_string(), "a@b");
        assert_eq!(mail("FROM:<a@b> SIZE=99999999999999999999").expect("big").size, Some(u64::MAX));
    }

    #[test]
    fn what_mail_does_not_take_is_named_by_kind() {
        for bad in [
            "",
            "FROM",
            "FROM:",
            "TO:<a@b>",
            "FROM:<a@b",
            "FROM:<a@b>x",
            "FROM:<a>",
            "FROM:a@b>",
            "FROM:<a@b> SIZE=",
            "FROM:<a@b> SIZE=-1",
            "FROM:<a@b> BODY=BINARY",
            "FROM:<a@b> SIZE=1 SIZE=2",
            "FRÖM:<a@b>",
            "FROM:<ä@b>",
            "FROM:<\"a@b>",
        ] {
            assert_eq!(mail(bad), Err(Malformed::Argument), "{bad}");
        }
        assert_eq!(mail("FROM:<a@b> RET=FULL"), Err(Malformed::Parameter));
        assert_eq!(recipient("TO:<a@b> NOTIFY=NEVER"), Err(Malformed::Parameter));
        assert_eq!(recipient("TO:<>"), Err(Malformed::Argument));
    }
}
