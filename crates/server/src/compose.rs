//! What is put in front of a message: its trace, and what a trusted client left out.

use crate::facts::Guest;
use mail::{Envelope, MessageId, Trace, UnixTime};
use smtp::{HeaderFacts, ServerOptions};
use std::fmt::Write;

/// The header block of a message in wire form: Received, and for a trusted client the Date and
/// Message-ID that it did not give (RFC 6409 §8.2 and §8.3).
pub(crate) fn header_block(
    options: &ServerOptions,
    guest: &Guest,
    envelope: &Envelope,
    header: &HeaderFacts,
    id: MessageId,
) -> Vec<u8> {
    let now = envelope.origin.arrived;
    let trace = Trace {
        hostname: &options.hostname,
        client_name: guest.name.as_deref(),
        tls: guest.tls.as_deref(),
        hide_client: options.hide_client,
    };
    let mut block = mail::received(&trace, envelope, id, now);
    if envelope.origin.trusted {
        block.extend_from_slice(missing(options, header, id, now).as_bytes());
    }
    block
}

fn missing(options: &ServerOptions, header: &HeaderFacts, id: MessageId, now: UnixTime) -> String {
    let mut fields = String::new();
    if !header.has_date {
        let _ = write!(fields, "Date: {}\r\n", now.rfc5322());
    }
    if !header.has_message_id {
        let _ = write!(fields, "Message-ID: <{id}@{}>\r\n", options.hostname);
    }
    fields
}

/// Whether the message cannot do without SMTPUTF8 onward: an address or its header is really other
/// than ASCII (RFC 6531 §3.2).
pub(crate) fn needs_utf8(envelope: &Envelope, header: &HeaderFacts) -> bool {
    let ascii = |text: &str| text.is_ascii();
    let addresses = ascii(&envelope.reverse_path.to_string())
        && envelope.recipients.iter().all(|path| ascii(&path.to_string()));
    envelope.utf8 && (header.non_ascii || !addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{ForwardPath, Origin, ReversePath};

    #[test]
    fn only_what_is_missing_is_added() {
        let options = ServerOptions { hostname: "relay.example".into(), ..Default::default() };
        let id = MessageId::new(0, 1, 2);
        let none = HeaderFacts::default();
        let both = missing(&options, &none, id, UnixTime(0));
        let expected =
            format!("Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <{id}@relay.example>\r\n");
        assert_eq!(both, expected);
        let whole = HeaderFacts { has_date: true, has_message_id: true, ..none };
        assert_eq!(missing(&options, &whole, id, UnixTime(0)), "");
    }

    #[test]
    fn utf8_is_needed_only_where_it_is_used() {
        let to = |text: &str| vec![ForwardPath::parse(text).expect("a path")];
        let envelope = |text: &str| {
            let envelope = Envelope::new(ReversePath::Null, to(text), Origin::default());
            Envelope { utf8: true, ..envelope }
        };
        let header = HeaderFacts { non_ascii: true, ..HeaderFacts::default() };
        let plain = envelope("a@b.example");
        assert!(!needs_utf8(&plain, &HeaderFacts::default()));
        assert!(needs_utf8(&plain, &header));
        assert!(!needs_utf8(&Envelope { utf8: false, ..plain }, &header));
    }
}
