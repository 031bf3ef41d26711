//! An envelope as bytes: two bytes say what is there, then come the parts that are.
//!
//! Most envelopes have a client and one recipient and ask for nothing; they pay for nothing else.

use super::super::codec::{Decoder, Encoder, Malformed};
use mail::{
    BodyKind, Envelope, ForwardPath, Notify, Origin, Protocol, RecipientRequest, Returned,
    ReversePath, StatusRequest, UnixTime,
};
use std::net::{IpAddr, SocketAddr};

/// A text of an envelope is cut here; whoever made it was held to far less (ORCPT: 500 bytes).
const TEXT_BYTES_MAX: usize = 1024;

/// The first byte: what there is one of.
mod kinds {
    /// Bits 0 and 1: the body.
    pub(super) const BODY: u8 = 0x03;
    /// Bits 2 to 4: the protocol.
    pub(super) const PROTOCOL_SHIFT: u8 = 2;
    /// Bits 5 and 6: no client, IPv4, IPv6.
    pub(super) const CLIENT_SHIFT: u8 = 5;
}

/// The second byte: what there is or is not.
mod flags {
    pub(super) const UTF8: u8 = 1;
    pub(super) const SECURED: u8 = 2;
    pub(super) const TRUSTED: u8 = 4;
    pub(super) const USER: u8 = 8;
    pub(super) const REQUEST: u8 = 16;
    pub(super) const ALL: u8 = 31;
}

/// The first byte of a request.
mod request {
    pub(super) const FULL: u8 = 1;
    pub(super) const HEADERS: u8 = 2;
    pub(super) const ENVELOPE_ID: u8 = 4;
    pub(super) const ALL: u8 = 7;
}

/// The byte of one recipient's request.
mod wish {
    pub(super) const NOTIFY: u8 = 1;
    pub(super) const SUCCESS: u8 = 2;
    pub(super) const FAILURE: u8 = 4;
    pub(super) const DELAY: u8 = 8;
    pub(super) const ORIGINAL: u8 = 16;
    pub(super) const ALL: u8 = 31;
}

fn bit(is: bool, bit: u8) -> u8 {
    if is { bit } else { 0 }
}

/// At least the bytes that an envelope takes.
pub(in crate::spool) fn bytes_max(envelope: &Envelope) -> usize {
    /// Kinds, flags, a client, a time, and the counts of texts and lists.
    const FIXED: usize = 64;
    /// The longest path with its length (RFC 5321 §4.5.3.1: 64, 1 and 255 bytes).
    const PATH: usize = 324;
    let origin = &envelope.origin;
    let user = origin.user.as_ref().map_or(0, |user| user.len());
    let texts = origin.hello.len() + origin.listener.len() + origin.rule.len() + user;
    let asked = envelope.request.as_ref().map_or(0, |request| {
        let id = request.envelope_id.as_ref().map_or(0, |id| id.len());
        let wishes = request.recipients.iter();
        let originals = wishes.map(|one| 3 + one.original.as_ref().map_or(0, |text| text.len()));
        id + originals.sum::<usize>()
    });
    FIXED + texts + (envelope.recipients.len() + 1) * PATH + asked
}

pub(super) fn encode(out: &mut Encoder<'_>, envelope: &Envelope) {
    let Envelope { reverse_path, recipients, body, utf8, request, origin } = envelope;
    let Origin { client, hello, listener, rule, user, protocol, secured, trusted, arrived } =
        origin;
    let client_kind = match client {
        None => 0,
        Some(SocketAddr::V4(_)) => 1,
        Some(SocketAddr::V6(_)) => 2,
    };
    let client_kind = client_kind << kinds::CLIENT_SHIFT;
    out.u8(body_code(*body) | protocol_code(*protocol) << kinds::PROTOCOL_SHIFT | client_kind);
    out.u8(bit(*utf8, flags::UTF8)
        | bit(*secured, flags::SECURED)
        | bit(*trusted, flags::TRUSTED)
        | bit(user.is_some(), flags::USER)
        | bit(request.is_some(), flags::REQUEST));
    match client.map(|client| (client.ip(), client.port())) {
        None => {}
        Some((IpAddr::V4(address), port)) => {
            out.raw(&address.octets());
            out.u16(port);
        }
        Some((IpAddr::V6(address), port)) => {
            out.raw(&address.octets());
            out.u16(port);
        }
    }
    out.u64(arrived.0);
    for text in [Some(hello), Some(listener), Some(rule), user.as_ref()].into_iter().flatten() {
        out.text(text, TEXT_BYTES_MAX);
    }
    out.shown(reverse_path);
    out.count(recipients.len());
    for recipient in recipients {
        out.shown(recipient);
    }
    if let Some(request) = request {
        encode_request(out, request);
    }
}

fn encode_request(out: &mut Encoder<'_>, asked: &StatusRequest) {
    let StatusRequest { returned, envelope_id, recipients } = asked;
    let returned = match returned {
        None => 0,
        Some(Returned::Full) => request::FULL,
        Some(Returned::Headers) => request::HEADERS,
    };
    out.u8(returned | bit(envelope_id.is_some(), request::ENVELOPE_ID));
    if let Some(id) = envelope_id {
        out.text(id, TEXT_BYTES_MAX);
    }
    out.count(recipients.len());
    for RecipientRequest { notify, original } in recipients {
        let Notify { success, failure, delay } = notify.unwrap_or_default();
        out.u8(bit(notify.is_some(), wish::NOTIFY)
            | bit(success, wish::SUCCESS)
            | bit(failure, wish::FAILURE)
            | bit(delay, wish::DELAY)
            | bit(original.is_some(), wish::ORIGINAL));
        if let Some(original) = original {
            out.text(original, TEXT_BYTES_MAX);
        }
    }
}

pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Envelope, Malformed> {
    let kinds = decoder.u8()?;
    let flags = decoder.u8()?;
    if flags & !flags::ALL != 0 {
        return Err(Malformed);
    }
    let body = body_of(kinds & kinds::BODY)?;
    let protocol = protocol_of(kinds >> kinds::PROTOCOL_SHIFT & 7)?;
    let client = decode_client(decoder, kinds >> kinds::CLIENT_SHIFT)?;
    let arrived = UnixTime(decoder.u64()?);
    let hello = decoder.text()?.into();
    let listener = decoder.text()?.into();
    let rule = decoder.text()?.into();
    let user = if flags & flags::USER != 0 { Some(decoder.text()?.into()) } else { None };
    let reverse_path = ReversePath::parse(decoder.text()?).map_err(|_| Malformed)?;
    let count = decoder.count(2)?;
    let mut recipients = Vec::with_capacity(count);
    for _ in 0..count {
        recipients.push(ForwardPath::parse(decoder.text()?).map_err(|_| Malformed)?);
    }
    let asked = flags & flags::REQUEST != 0;
    let request = if asked { Some(Box::new(decode_request(decoder)?)) } else { None };
    let secured = flags & flags::SECURED != 0;
    let trusted = flags & flags::TRUSTED != 0;
    let origin =
        Origin { client, hello, listener, rule, user, protocol, secured, trusted, arrived };
    Ok(Envelope { reverse_path, recipients, body, utf8: flags & flags::UTF8 != 0, request, origin })
}

fn body_code(body: BodyKind) -> u8 {
    match body {
        BodyKind::SevenBit => 0,
        BodyKind::EightBitMime => 1,
    }
}

fn body_of(code: u8) -> Result<BodyKind, Malformed> {
    match code {
        0 => Ok(BodyKind::SevenBit),
        1 => Ok(BodyKind::EightBitMime),
        _ => Err(Malformed),
    }
}

fn protocol_code(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Smtp => 0,
        Protocol::Esmtp => 1,
        Protocol::Local => 2,
    }
}

fn protocol_of(code: u8) -> Result<Protocol, Malformed> {
    match code {
        0 => Ok(Protocol::Smtp),
        1 => Ok(Protocol::Esmtp),
        2 => Ok(Protocol::Local),
        _ => Err(Malformed),
    }
}

fn decode_client(decoder: &mut Decoder<'_>, kind: u8) -> Result<Option<SocketAddr>, Malformed> {
    let address: IpAddr = match kind {
        0 => return Ok(None),
        1 => <[u8; 4]>::try_from(decoder.raw(4)?).expect("four bytes").into(),
        2 => <[u8; 16]>::try_from(decoder.raw(16)?).expect("sixteen bytes").into(),
        _ => return Err(Malformed),
    };
    Ok(Some(SocketAddr::new(address, decoder.u16()?)))
}

fn decode_request(decoder: &mut Decoder<'_>) -> Result<StatusRequest, Malformed> {
    let asked = decoder.u8()?;
    let returned = match asked & (request::FULL | request::HEADERS) {
        0 => None,
        request::FULL => Some(Returned::Full),
        request::HEADERS => Some(Returned::Headers),
        _ => return Err(Malformed),
    };
    if asked & !request::ALL != 0 {
        return Err(Malformed);
    }
    let with_id = asked & request::ENVELOPE_ID != 0;
    let envelope_id = if with_id { Some(decoder.text()?.into()) } else { None };
    let count = decoder.count(1)?;
    let mut recipients = Vec::with_capacity(count);
    for _ in 0..count {
        recipients.push(decode_wish(decoder)?);
    }
    Ok(StatusRequest { returned, envelope_id, recipients })
}

fn decode_wish(decoder: &mut Decoder<'_>) -> Result<RecipientRequest, Malformed> {
    let wished = decoder.u8()?;
    if wished & !wish::ALL != 0 {
        return Err(Malformed);
    }
    let notify = Notify {
        success: wished & wish::SUCCESS != 0,
        failure: wished & wish::FAILURE != 0,
        delay: wished & wish::DELAY != 0,
    };
    let with_original = wished & wish::ORIGINAL != 0;
    let original = if with_original { Some(decoder.text()?.into()) } else { None };
    Ok(RecipientRequest { notify: (wished & wish::NOTIFY != 0).then_some(notify), original })
}
