//! Trace headers (RFC 5321 §4.4).

use crate::{Domain, Envelope, MessageId, Protocol, UnixTime};
use std::fmt::Write;
use std::net::IpAddr;

/// What is known of an encrypted session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version: `1.2` or `1.3`.
    pub version: Box<str>,
    /// The cipher suite by its IANA name: `TLS_AES_256_GCM_SHA384`.
    pub cipher: Box<str>,
    /// The name that the client asked for (SNI).
    pub server_name: Option<Box<str>>,
    /// The SHA-256 fingerprint of the certificate that the client showed.
    pub client_certificate: Option<[u8; 32]>,
}

/// What a Received field says beyond the envelope.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace<'a> {
    /// Our host name.
    pub hostname: &'a str,
    /// The client's name, where its address leads to it and it leads back.
    pub client_name: Option<&'a str>,
    /// The encryption of the session.
    pub tls: Option<&'a TlsFacts>,
    /// Say nothing of where an authenticated client is (`smtp.hide_client`).
    pub hide_client: bool,
}

/// The Received field that this relay puts in front of a message, with its line ends.
///
/// `for` is given only with a single recipient, so that nobody learns of blind copies (RFC 5321
/// §7.2). Lines stay under 998 bytes, since every name in it is bounded.
pub fn received(trace: &Trace<'_>, envelope: &Envelope, id: MessageId, now: UnixTime) -> Vec<u8> {
    let mut field = String::with_capacity(256);
    field.push_str("Received: ");
    let hidden = trace.hide_client && envelope.origin.user.is_some();
    if let Some(address) = envelope.origin.address().filter(|_| !hidden) {
        from(&mut field, &envelope.origin.hello, trace.client_name, address);
    }
    let _ = write!(field, "by {}", trace.hostname);
    if let Some(with) = with(envelope) {
        let _ = write!(field, " with {with}");
    }
    if let Some(tls) = trace.tls {
        let _ = write!(field, "\r\n\t(TLS {} {})", tls.version, tls.cipher);
    }
    let _ = write!(field, " id {id}");
    if let [only] = envelope.recipients.as_slice() {
        let _ = write!(field, "\r\n\tfor <{only}>");
    }
    let _ = write!(field, "; {}\r\n", now.rfc5322());
    field.into_bytes()
}

/// RFC 5321 §4.4, Extended-Domain: what the client called itself, then what we know.
fn from(field: &mut String, hello: &str, name: Option<&str>, address: IpAddr) {
    let literal = match address {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    };
    let hello = safe_name(hello);
    let _ = match name {
        Some(name) => write!(field, "from {hello} ({name} {literal})\r\n\t"),
        None => write!(field, "from {hello} ({literal})\r\n\t"),
    };
}

/// A client may call itself by any printable word; only a domain or a literal can stand in the
/// field without opening a comment or ending a clause.
fn safe_name(hello: &str) -> String {
    if hello.is_empty() {
        return "unknown".to_owned();
    }
    if hello.is_ascii() && Domain::parse(hello).is_ok() {
        return hello.to_owned();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    hello.chars().map(|c| if plain(c) { c } else { '?' }).collect()
}

/// The word behind `with`, of the IANA registry (RFC 3848, RFC 6531 §4.3). There are no words for
/// encrypted HELO, and none for what was made here.
fn with(envelope: &Envelope) -> Option<&'static str> {
    let origin = &envelope.origin;
    match origin.protocol {
        Protocol::Local => None,
        Protocol::Smtp => Some("SMTP"),
        Protocol::Esmtp => Some(match (envelope.utf8, origin.secured, origin.user.is_some()) {
            (false, false, false) => "ESMTP",
            (false, false, true) => "ESMTPA",
            (false, true, false) => "ESMTPS",
            (false, true, true) => "ESMTPSA",
            (true, false, false) => "UTF8SMTP",
            (true, false, true) => "UTF8SMTPA",
            (true, true, false) => "UTF8SMTPS",
            (true, true, true) => "UTF8SMTPSA",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ForwardPath, Origin, ReversePath};

    fn envelope(recipients: &[&str]) -> Envelope {
        let recipients = recipients.iter().map(|r| ForwardPath::parse(r).expect("good")).collect();
        let origin = Origin {
            client: Some("192.0.2.1:4000".parse().expect("an address")),
            hello: "client.example".into(),
            ..Origin::default()
        };
        Envelope::new(ReversePath::Null, recipients, origin)
    }

    fn field(trace: &Trace<'_>, envelope: &Envelope) -> String {
        let id = MessageId::new(0, 1, 2);
        let bytes = received(trace, envelope, id, UnixTime(0));
        String::from_utf8(bytes).expect("text").replace(&id.to_string(), "ID")
    }

    #[test]
    fn for_is_given_with_one_recipient_only() {
        let trace = Trace { hostname: "relay.example", ..Trace::default() };
        assert_eq!(
            field(&trace, &envelope(&["a@b.example"])),
            "Received: from client.example ([192.0.2.1])\r\n\
             \tby relay.example with ESMTP id ID\r\n\
             \tfor <a@b.example>; Thu, 1 Jan 1970 00:00:00 +0000\r\n"
        );
        assert!(!field(&trace, &envelope(&["a@b.example", "c@d.example"])).contains("for <"));
    }

    #[test]
    fn with_says_how_the_message_came() {
        let trace = Trace { hostname: "relay.example", ..Trace::default() };
        let cases = [
            (Protocol::Smtp, false, true, None, " with SMTP id"),
            (Protocol::Esmtp, false, false, Some("u"), " with ESMTPA id"),
            (Protocol::Esmtp, false, true, None, " with ESMTPS id"),
            (Protocol::Esmtp, false, true, Some("u"), " with ESMTPSA id"),
            (Protocol::Esmtp, true, false, None, " with UTF8SMTP id"),
            (Protocol::Esmtp, true, true, Some("u"), " with UTF8SMTPSA id"),
            (Protocol::Local, false, false, None, "by relay.example id"),
        ];
        for (protocol, utf8, secured, user, expected) in cases {
            let mut envelope = envelope(&[]);
            envelope.utf8 = utf8;
            let origin = &mut envelope.origin;
            (origin.protocol, origin.secured) = (protocol, secured);
            origin.user = user.map(Into::into);
            let field = field(&trace, &envelope);
            assert!(field.contains(expected), "{expected} in {field}");
        }
    }

    #[test]
    fn tls_stands_in_a_comment_and_the_client_has_its_name() {
        let tls = TlsFacts {
            version: "1.3".into(),
            cipher: "TLS_AES_128_GCM_SHA256".into(),
            ..TlsFacts::default()
        };
        let trace = Trace {
            hostname: "relay.example",
            client_name: Some("host.example"),
            tls: Some(&tls),
            hide_client: true,
        };
        let mut envelope = envelope(&[]);
        envelope.origin.secured = true;
        let text = field(&trace, &envelope);
        assert!(text.starts_with("Received: from client.example (host.example [192.0.2.1])\r\n"));
        assert!(
            text.contains(" with ESMTPS\r\n\t(TLS 1.3 TLS_AES_128_GCM_SHA256) id ID"),
            "{text}"
        );
        envelope.origin.user = Some("u".into());
        let hidden = field(&trace, &envelope);
        assert!(hidden.starts_with("Received: by relay.example with ESMTPSA"), "{hidden}");
    }

    #[test]
    fn no_name_in_a_hello_opens_a_comment_or_ends_the_field() {
        let trace = Trace { hostname: "relay.example", ..Trace::default() };
        for (hello, expected) in [
            ("", "unknown"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
            ("a(b;c", "a?b?c"),
            ("[127.0.0.1", "?127.0.0.1"),
            ("x\u{e9}", "x?"),
        ] {
            let mut envelope = envelope(&[]);
            envelope.origin.hello = hello.into();
            let text = field(&trace, &envelope);
            assert!(text.starts_with(&format!("Received: from {expected} ([")), "{text}");
        }
    }
}
