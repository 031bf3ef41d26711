//! The arguments of MAIL and RCPT: a path, then parameters.
//!
//! A parameter of an extension that this client was not offered is unknown to us, whatever it says
//! (RFC 5321 §4.1.1.11: 555).

use super::{Malformed, path, xtext};
use crate::server::{Extension, ExtensionSet};
use mail::{
    BodyKind, Domain, ForwardPath, Notify, RecipientRequest, Returned, ReversePath, StatusRequest,
};

/// What may be said in an envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar<'a> {
    /// The extensions in force.
    pub(crate) offered: ExtensionSet,
    /// Completes addresses without a domain.
    pub(crate) origin: Option<&'a Domain>,
    /// Whether addresses may have other than ASCII letters: MAIL said SMTPUTF8.
    pub(crate) utf8: bool,
}

/// The argument of MAIL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MailArgument {
    pub(crate) reverse_path: ReversePath,
    /// SIZE= (RFC 1870 §6), in bytes.
    pub(crate) size: Option<u64>,
    /// BODY= (RFC 6152 §3).
    pub(crate) body: BodyKind,
    /// SMTPUTF8 (RFC 6531 §3.4).
    pub(crate) utf8: bool,
    /// RET= (RFC 3461 §4.3).
    pub(crate) returned: Option<Returned>,
    /// ENVID= (RFC 3461 §4.4), as it was given.
    pub(crate) envelope_id: Option<Box<str>>,
}

/// RFC 5321 §4.1.1.2: `FROM:` reverse-path, then parameters.
pub(crate) fn mail(argument: &str, grammar: &Grammar<'_>) -> Result<MailArgument, Malformed> {
    let (path, parameters) = path::path_and_parameters(argument, "FROM:")?;
    let parameters = parameters_of(parameters, MAIL_PARAMETERS, grammar.offered)?;
    let one = |key| parameters.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let utf8 = match one("SMTPUTF8") {
        Some(Some(_)) => return Err(Malformed::Argument),
        given => given.is_some(),
    };
    if !utf8 && !path.is_ascii() {
        return Err(Malformed::NotAscii);
    }
    let size = one("SIZE").map(size_value).transpose()?;
    let body = one("BODY").map(body_value).transpose()?.unwrap_or_default();
    let returned = one("RET").map(returned_value).transpose()?;
    let envelope_id = one("ENVID").map(envelope_id_value).transpose()?;
    if let Some(value) = one("AUTH") {
        auth_value(value)?;
    }
    let reverse_path = path::reverse(path, grammar.origin)?;
    Ok(MailArgument { reverse_path, size, body, utf8, returned, envelope_id })
}

/// RFC 5321 §4.1.1.3: `TO:` forward-path, then parameters.
pub(crate) fn recipient(
    argument: &str,
    grammar: &Grammar<'_>,
) -> Result<(ForwardPath, RecipientRequest), Malformed> {
    let (path, parameters) = path::path_and_parameters(argument, "TO:")?;
    let parameters = parameters_of(parameters, RCPT_PARAMETERS, grammar.offered)?;
    let one = |key| parameters.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    if !grammar.utf8 && !argument.is_ascii() {
        return Err(Malformed::NotAscii);
    }
    let notify = one("NOTIFY").map(notify_value).transpose()?;
    let original = one("ORCPT").map(original_value).transpose()?;
    Ok((path::forward(path, grammar.origin)?, RecipientRequest { notify, original }))
}

/// What MAIL takes, and by which extension.
const MAIL_PARAMETERS: &[(&str, Extension)] = &[
    ("SIZE", Extension::Size),
    ("BODY", Extension::EightBitMime),
    ("SMTPUTF8", Extension::SmtpUtf8),
    ("RET", Extension::Dsn),
    ("ENVID", Extension::Dsn),
    ("AUTH", Extension::Auth),
];

/// What RCPT takes.
const RCPT_PARAMETERS: &[(&str, Extension)] =
    &[("NOTIFY", Extension::Dsn), ("ORCPT", Extension::Dsn)];

/// The parameters by their names in upper case. RFC 5321 §4.1.1.11 leaves repetition open; whoever
/// repeats one means two things.
fn parameters_of<'a>(
    text: &'a str,
    known: &'static [(&'static str, Extension)],
    offered: ExtensionSet,
) -> Result<Vec<(&'static str, Option<&'a str>)>, Malformed> {
    let mut found: Vec<(&'static str, Option<&'a str>)> = Vec::new();
    for parameter in text.split_ascii_whitespace() {
        let (key, value) = match parameter.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (parameter, None),
        };
        let (key, _) = known
            .iter()
            .find(|(name, by)| name.eq_ignore_ascii_case(key) && offered.contains(*by))
            .ok_or(Malformed::Parameter)?;
        if found.iter().any(|(twin, _)| twin == key) {
            return Err(Malformed::Argument);
        }
        found.push((key, value));
    }
    Ok(found)
}

/// RFC 1870 §6: 1 to 20 digits. What does not fit 64 bits is too big whatever it is.
fn size_value(value: Option<&str>) -> Result<u64, Malformed> {
    let value = value.ok_or(Malformed::Argument)?;
    let good = (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    if good { Ok(value.parse().unwrap_or(u64::MAX)) } else { Err(Malformed::Argument) }
}

/// RFC 6152 §3. BINARYMIME (RFC 3030 §3) is a value of an extension that we do not offer.
fn body_value(value: Option<&str>) -> Result<BodyKind, Malformed> {
    match value.map(str::to_ascii_uppercase).as_deref() {
        Some("7BIT") => Ok(BodyKind::SevenBit),
        Some("8BITMIME") => Ok(BodyKind::EightBitMime),
        Some("BINARYMIME") => Err(Malformed::Parameter),
        Some(_) | None => Err(Malformed::Argument),
    }
}

/// RFC 3461 §4.3.
fn returned_value(value: Option<&str>) -> Result<Returned, Malformed> {
    match value.map(str::to_ascii_uppercase).as_deref() {
        Some("FULL") => Ok(Returned::Full),
        Some("HDRS") => Ok(Returned::Headers),
        Some(_) | None => Err(Malformed::Argument),
    }
}

/// RFC 3461 §4.4: xtext of at most 100 characters that stands for printable ones.
fn envelope_id_value(value: Option<&str>) -> Result<Box<str>, Malformed> {
    let value = value.filter(|value| (1..=100).contains(&value.len()));
    let value = value.ok_or(Malformed::Argument)?;
    let decoded = xtext::decode(value).ok_or(Malformed::Argument)?;
    let printable = decoded.iter().all(|byte| (b' '..=b'~').contains(byte));
    if printable { Ok(value.into()) } else { Err(Malformed::Argument) }
}

/// RFC 3461 §4.1: NEVER alone, or a list of the others.
fn notify_value(value: Option<&str>) -> Result<Notify, Malformed> {
    let value = value.ok_or(Malformed::Argument)?;
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(notify);
    }
    for word in value.split(',') {
        let flag = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut notify.success,
            "FAILURE" => &mut notify.failure,
            "DELAY" => &mut notify.delay,
            _ => return Err(Malformed::Argument),
        };
        *flag = true;
    }
    Ok(notify)
}

/// RFC 3461 §4.2: an address type, `;`, and the address in xtext, in all at most 500 characters.
/// RFC 6533 §3 adds the type `utf-8`, whose address may have any letters once SMTPUTF8 was said.
fn original_value(value: Option<&str>) -> Result<Box<str>, Malformed> {
    let value = value.filter(|value| value.len() <= 500).ok_or(Malformed::Argument)?;
    let (kind, address) = value.split_once(';').ok_or(Malformed::Argument)?;
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let known_kind = !kind.is_empty() && kind.bytes().all(atom);
    let decoded = if kind.eq_ignore_ascii_case("utf-8") {
        let ascii: String = address.chars().filter(char::is_ascii).collect();
        xtext::decode_text(&ascii)
    } else {
        xtext::decode_text(address)
    };
    let good = known_kind && !address.is_empty() && decoded.is_some();
    if good { Ok(value.into()) } else { Err(Malformed::Argument) }
}

/// RFC 4954 §5: who is said to have submitted the message, in xtext. It is believed of nobody, so
/// that it need only be well-formed.
fn auth_value(value: Option<&str>) -> Result<(), Malformed> {
    let value = value.ok_or(Malformed::Argument)?;
    let identity = if value == "<>" { Some(String::new()) } else { xtext::decode_text(value) };
    identity.map(|_| ()).ok_or(Malformed::Argument)
}

/// What is asked for a whole envelope; `None` when nothing is, as nearly always. `requests` is
/// empty, or has one for each recipient.
pub(crate) fn status_request(
    returned: Option<Returned>,
    envelope_id: Option<Box<str>>,
    mut requests: Vec<RecipientRequest>,
    recipients: usize,
) -> Option<Box<StatusRequest>> {
    if returned.is_none() && envelope_id.is_none() && requests.is_empty() {
        return None;
    }
    requests.resize(recipients, RecipientRequest::default());
    Some(Box::new(StatusRequest { returned, envelope_id, recipients: requests }))
}

#[cfg(test)]
mod tests;
