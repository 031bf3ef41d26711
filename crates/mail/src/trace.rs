//! Trace headers (RFC 5321 §4.4).

use crate::{Envelope, MessageId, Protocol, UnixTime};
use std::fmt::Write;

/// The Received field that this relay puts in front of a message, with its line ends.
///
/// `for` is given only with a single recipient, so that nobody learns of blind copies (RFC 5321
/// §7.2). Lines stay under 998 bytes, since every name in it is bounded.
pub fn received(hostname: &str, envelope: &Envelope, id: MessageId, now: UnixTime) -> Vec<u8> {
    let mut field = String::with_capacity(256);
    field.push_str("Received: ");
    if let Some(address) = envelope.origin.address() {
        let literal = match address {
            std::net::IpAddr::V4(v4) => format!("[{v4}]"),
            std::net::IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
        };
        let hello =
            if envelope.origin.hello.is_empty() { "unknown" } else { &envelope.origin.hello };
        let _ = write!(field, "from {hello} ({literal})\r\n\t");
    }
    let with = match envelope.origin.protocol {
        Protocol::Smtp => " with SMTP",
        Protocol::Esmtp => " with ESMTP",
        Protocol::Local => "",
    };
    let _ = write!(field, "by {hostname}{with} id {id}");
    if let [only] = envelope.recipients.as_slice() {
        let _ = write!(field, "\r\n\tfor <{only}>");
    }
    let _ = write!(field, "; {}\r\n", now.rfc5322());
    field.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BodyKind, ForwardPath, Origin, ReversePath};

    fn envelope(recipients: &[&str]) -> Envelope {
        Envelope {
            reverse_path: ReversePath::Null,
            recipients: recipients.iter().map(|r| ForwardPath::parse(r).expect("good")).collect(),
            body: BodyKind::SevenBit,
            utf8: false,
            request: None,
            origin: Origin {
                client: Some("192.0.2.1:4000".parse().expect("an address")),
                hello: "client.example".into(),
                listener: "mx".into(),
                rule: "relay.domains".into(),
                protocol: Protocol::Esmtp,
                arrived: UnixTime(0),
                ..Origin::default()
            },
        }
    }

    #[test]
    fn for_is_given_with_one_recipient_only() {
        let id = MessageId::new(0, 1, 2);
        let one = received("relay.example", &envelope(&["a@b.example"]), id, UnixTime(0));
        assert_eq!(
            String::from_utf8(one).expect("ASCII"),
            format!(
                "Received: from client.example ([192.0.2.1])\r\n\
                 \tby relay.example with ESMTP id {id}\r\n\
                 \tfor <a@b.example>; Thu, 1 Jan 1970 00:00:00 +0000\r\n"
            )
        );
        let two =
            received("relay.example", &envelope(&["a@b.example", "c@d.example"]), id, UnixTime(0));
        assert!(!String::from_utf8(two).expect("ASCII").contains("for <"));
    }
}
