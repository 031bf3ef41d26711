//! Paths among the arguments of MAIL and RCPT.

use super::Malformed;
use mail::{AddressError, Domain, ForwardPath, ReversePath};

/// Takes `FROM:<path> parameters` apart. Blanks behind the colon are tolerated, as everywhere.
pub(super) fn path_and_parameters<'a>(
    argument: &'a str,
    keyword: &str,
) -> Result<(&'a str, &'a str), Malformed> {
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

/// Reads a reverse-path; what lacks its domain gets `origin`.
pub(super) fn reverse(text: &str, origin: Option<&Domain>) -> Result<ReversePath, Malformed> {
    completed(text, origin, ReversePath::parse)
}

/// Reads a forward-path; what lacks its domain gets `origin`, but `<postmaster>` lacks none.
pub(super) fn forward(text: &str, origin: Option<&Domain>) -> Result<ForwardPath, Malformed> {
    completed(text, origin, ForwardPath::parse)
}

fn completed<P>(
    text: &str,
    origin: Option<&Domain>,
    parse: fn(&str) -> Result<P, AddressError>,
) -> Result<P, Malformed> {
    let parsed = match (parse(text), origin) {
        (Err(AddressError::NoDomain), Some(origin)) => parse(&format!("{text}@{origin}")),
        (parsed, _) => parsed,
    };
    parsed.map_err(|_| Malformed::Argument)
}
