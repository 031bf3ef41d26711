//! XCLIENT: a trusted proxy says who the client is.
//!
//! Postfix's protocol (its XCLIENT_README): `NAME=value` pairs, values in xtext, `[UNAVAILABLE]`
//! and `[TEMPUNAVAIL]` for what is not known.

use super::{Malformed, xtext};
use mail::Protocol;
use std::net::IpAddr;

/// What XCLIENT said. `None`: nothing about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// ADDR: the client's address.
    pub address: Option<IpAddr>,
    /// PORT: the client's port.
    pub port: Option<u16>,
    /// NAME: the client's verified name; `Some(None)` when it has none.
    pub name: Option<Option<Box<str>>>,
    /// REVERSE_NAME: the name that its address leads to, verified or not.
    pub reverse_name: Option<Option<Box<str>>>,
    /// HELO: what it said in HELO or EHLO.
    pub hello: Option<Box<str>>,
    /// PROTO: SMTP or ESMTP.
    pub protocol: Option<Protocol>,
    /// LOGIN: who it authenticated as; `Some(None)` for nobody.
    pub login: Option<Option<Box<str>>>,
    /// DESTADDR: where it had connected to.
    pub destination_address: Option<IpAddr>,
    /// DESTPORT.
    pub destination_port: Option<u16>,
}

/// The attributes, as EHLO announces them.
pub(crate) const ATTRIBUTES: &str =
    "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME";

/// Reads the argument of XCLIENT: at least one pair.
pub(crate) fn introduction(argument: &str) -> Result<Introduction, Malformed> {
    let mut introduction = Introduction::default();
    if argument.is_empty() {
        return Err(Malformed::Argument);
    }
    for pair in argument.split_ascii_whitespace() {
        let (name, value) = pair.split_once('=').ok_or(Malformed::Argument)?;
        let value = value_of(value)?;
        set(&mut introduction, &name.to_ascii_uppercase(), value)?;
    }
    Ok(introduction)
}

/// The value of a pair; `None` when it is said to be unknown.
fn value_of(value: &str) -> Result<Option<Box<str>>, Malformed> {
    if value.eq_ignore_ascii_case("[UNAVAILABLE]") || value.eq_ignore_ascii_case("[TEMPUNAVAIL]") {
        return Ok(None);
    }
    let text = xtext::decode_text(value).ok_or(Malformed::Argument)?;
    let good = !text.is_empty() && text.len() <= 255 && !text.contains(' ');
    if good { Ok(Some(text.into())) } else { Err(Malformed::Argument) }
}

fn set(to: &mut Introduction, name: &str, value: Option<Box<str>>) -> Result<(), Malformed> {
    match (name, value) {
        ("NAME", value) => to.name = Some(value),
        ("REVERSE_NAME", value) => to.reverse_name = Some(value),
        ("LOGIN", value) => to.login = Some(value),
        ("ADDR", Some(value)) => to.address = Some(address(&value)?),
        ("PORT", Some(value)) => to.port = Some(port(&value)?),
        ("DESTADDR", Some(value)) => to.destination_address = Some(address(&value)?),
        ("DESTPORT", Some(value)) => to.destination_port = Some(port(&value)?),
        ("HELO", Some(value)) => {
            super::hello_name(&value)?;
            to.hello = Some(value);
        }
        ("PROTO", Some(value)) => to.protocol = Some(protocol(&value)?),
        // What is not known of these leaves them as they are.
        ("ADDR" | "PORT" | "DESTADDR" | "DESTPORT" | "HELO" | "PROTO", None) => {}
        _ => return Err(Malformed::Argument),
    }
    Ok(())
}

/// An address; IPv6 ones carry a tag, as in address literals (RFC 5321 §4.1.3).
fn address(text: &str) -> Result<IpAddr, Malformed> {
    let tagged = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    let text = if tagged { &text[5..] } else { text };
    text.parse().map_err(|_| Malformed::Argument)
}

fn port(text: &str) -> Result<u16, Malformed> {
    text.parse().map_err(|_| Malformed::Argument)
}

fn protocol(text: &str) -> Result<Protocol, Malformed> {
    match text.to_ascii_uppercase().as_str() {
        "SMTP" => Ok(Protocol::Smtp),
        "ESMTP" => Ok(Protocol::Esmtp),
        _ => Err(Malformed::Argument),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_introduction_says_who_the_client_is() {
        let read = introduction(
            "NAME=c.example addr=IPv6:2001:db8::1 PORT=42 PROTO=SMTP HELO=c LOGIN=[UNAVAILABLE] \
             DESTADDR=192.0.2.1 DESTPORT=25 REVERSE_NAME=[TEMPUNAVAIL]",
        );
        let expected = Introduction {
            address: Some("2001:db8::1".parse().expect("an address")),
            port: Some(42),
            name: Some(Some("c.example".into())),
            reverse_name: Some(None),
            hello: Some("c".into()),
            protocol: Some(Protocol::Smtp),
            login: Some(None),
            destination_address: Some("192.0.2.1".parse().expect("an address")),
            destination_port: Some(25),
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn what_is_no_introduction_is_refused() {
        for bad in [
            "",
            "NAME",
            "NAME=",
            "ADDR=c.example",
            "ADDR=192.0.2",
            "PORT=65536",
            "PROTO=LMTP",
            "FROB=1",
            "HELO=a+20b",
            "LOGIN=a+0D+0A",
            "NAME=a=b",
        ] {
            assert_eq!(introduction(bad), Err(Malformed::Argument), "{bad}");
        }
        assert_eq!(introduction("ADDR=[UNAVAILABLE]"), Ok(Introduction::default()));
    }
}
