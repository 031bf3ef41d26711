//! The envelope of a message as the file beside its `.eml` has it.
//!
//! Keys are only ever added, and unknown ones are passed over, so that an older version reads what
//! a newer one has written; `format` grows when that is no longer true.

use jiff::Timestamp;
use mail::{
    BodyKind, Envelope, ForwardPath, MessageId, Notify, Origin, Protocol, RecipientRequest,
    Returned, ReversePath, StatusRequest, UnixTime,
};
use queue::{Portable, Waiting};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format that is written, and the newest that is read.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Words {
    format: u32,
    id: String,
    accepted: String,
    from: String,
    recipients: Vec<RecipientWords>,
    #[serde(default)]
    body: BodyWord,
    #[serde(default)]
    utf8: bool,
    #[serde(default)]
    status_request: Option<RequestWords>,
    #[serde(default)]
    origin: OriginWords,
    /// Bytes of the `.eml`; without it any number is taken.
    #[serde(default)]
    bytes: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecipientWords {
    to: String,
    #[serde(default)]
    held: bool,
    #[serde(default)]
    attempts: u32,
    /// Not before this time; without it at once.
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    /// NOTIFY; an empty list is `NEVER`.
    #[serde(default)]
    notify: Option<Vec<NotifyWord>>,
    /// ORCPT.
    #[serde(default)]
    original: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RequestWords {
    #[serde(default)]
    returned: Option<ReturnedWord>,
    #[serde(default)]
    envelope_id: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct OriginWords {
    client: Option<String>,
    hello: String,
    listener: String,
    rule: String,
    user: Option<String>,
    protocol: ProtocolWord,
    secured: bool,
    trusted: bool,
    arrived: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
enum BodyWord {
    #[default]
    #[serde(rename = "7bit")]
    SevenBit,
    #[serde(rename = "8bitmime")]
    EightBitMime,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolWord {
    Smtp,
    #[default]
    Esmtp,
    Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NotifyWord {
    Success,
    Failure,
    Delay,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReturnedWord {
    Full,
    Headers,
}

/// The words for a message.
pub fn write(message: &Portable) -> Value {
    let Portable { id, accepted, envelope, waiting, bytes } = message;
    let request = envelope.request.as_deref();
    let asked = |index: usize| request.and_then(|request| request.recipients.get(index));
    let recipients = envelope.recipients.iter().zip(waiting).enumerate();
    let words = Words {
        format: FORMAT,
        id: id.to_string(),
        accepted: accepted.rfc3339(),
        from: envelope.reverse_path.to_string(),
        recipients: recipients
            .map(|(index, (to, waiting))| recipient_words(to, waiting, asked(index)))
            .collect(),
        body: match envelope.body {
            BodyKind::SevenBit => BodyWord::SevenBit,
            BodyKind::EightBitMime => BodyWord::EightBitMime,
        },
        utf8: envelope.utf8,
        status_request: request.map(|request| RequestWords {
            returned: request.returned.map(|returned| match returned {
                Returned::Full => ReturnedWord::Full,
                Returned::Headers => ReturnedWord::Headers,
            }),
            envelope_id: request.envelope_id.as_deref().map(str::to_owned),
        }),
        origin: origin_words(&envelope.origin),
        bytes: *bytes,
    };
    serde_json::to_value(words).expect("words of ours are JSON")
}

fn recipient_words(
    to: &ForwardPath,
    waiting: &Waiting,
    asked: Option<&RecipientRequest>,
) -> RecipientWords {
    let notify = asked.and_then(|asked| asked.notify).map(|notify| {
        let words = [
            (notify.success, NotifyWord::Success),
            (notify.failure, NotifyWord::Failure),
            (notify.delay, NotifyWord::Delay),
        ];
        words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect()
    });
    RecipientWords {
        to: to.to_string(),
        held: waiting.held,
        attempts: waiting.attempts,
        next: (waiting.next != UnixTime(0)).then(|| waiting.next.rfc3339()),
        reason: waiting.reason.as_deref().map(str::to_owned),
        notify,
        original: asked.and_then(|asked| asked.original.as_deref()).map(str::to_owned),
    }
}

fn origin_words(origin: &Origin) -> OriginWords {
    OriginWords {
        client: origin.client.map(|client| client.to_string()),
        hello: origin.hello.to_string(),
        listener: origin.listener.to_string(),
        rule: origin.rule.to_string(),
        user: origin.user.as_deref().map(str::to_owned),
        protocol: match origin.protocol {
            Protocol::Smtp => ProtocolWord::Smtp,
            Protocol::Esmtp => ProtocolWord::Esmtp,
            Protocol::Local => ProtocolWord::Local,
        },
        secured: origin.secured,
        trusted: origin.trusted,
        arrived: (origin.arrived != UnixTime(0)).then(|| origin.arrived.rfc3339()),
    }
}

/// The message that words mean.
///
/// # Errors
/// The first thing in them that means nothing.
pub fn read(value: &Value) -> Result<Portable, String> {
    // Before anything else is believed.
    let format = value["format"].as_u64().ok_or("there is no \"format\": is it an envelope?")?;
    if format > u64::from(FORMAT) {
        return Err(format!("it has format {format}, and this version reads up to {FORMAT}"));
    }
    let words = Words::deserialize(value).map_err(|error| error.to_string())?;
    let id: MessageId = words.id.parse().map_err(|error| format!("id: {error}"))?;
    let reverse_path = ReversePath::parse(&words.from)
        .map_err(|_| format!("from: \"{}\" is no address", words.from))?;
    let mut envelope = Envelope::new(reverse_path, Vec::new(), origin(&words.origin)?);
    envelope.body = match words.body {
        BodyWord::SevenBit => BodyKind::SevenBit,
        BodyWord::EightBitMime => BodyKind::EightBitMime,
    };
    envelope.utf8 = words.utf8;
    envelope.request = request(&words)?;
    let mut waiting = Vec::with_capacity(words.recipients.len());
    for recipient in &words.recipients {
        let to = ForwardPath::parse(&recipient.to)
            .map_err(|_| format!("recipients: \"{}\" is no address", recipient.to))?;
        envelope.recipients.push(to);
        waiting.push(Waiting {
            held: recipient.held,
            attempts: recipient.attempts,
            next: time("next", recipient.next.as_deref())?,
            reason: recipient.reason.as_deref().map(Box::from),
        });
    }
    let accepted = time("accepted", Some(&words.accepted))?;
    Ok(Portable { id, accepted, envelope, waiting, bytes: words.bytes })
}

/// What is asked about status notifications; nothing, when nobody asks for anything.
fn request(words: &Words) -> Result<Option<Box<StatusRequest>>, String> {
    let asks = |one: &RecipientWords| one.notify.is_some() || one.original.is_some();
    if words.status_request.is_none() && !words.recipients.iter().any(asks) {
        return Ok(None);
    }
    let mut request = StatusRequest::default();
    if let Some(RequestWords { returned, envelope_id }) = &words.status_request {
        request.returned = returned.map(|returned| match returned {
            ReturnedWord::Full => Returned::Full,
            ReturnedWord::Headers => Returned::Headers,
        });
        request.envelope_id = short("envelope_id", envelope_id.as_deref(), 100)?;
    }
    for recipient in &words.recipients {
        let notify = recipient.notify.as_ref().map(|words| Notify {
            success: words.contains(&NotifyWord::Success),
            failure: words.contains(&NotifyWord::Failure),
            delay: words.contains(&NotifyWord::Delay),
        });
        let original = short("original", recipient.original.as_deref(), 500)?;
        request.recipients.push(RecipientRequest { notify, original });
    }
    Ok(Some(Box::new(request)))
}

fn origin(words: &OriginWords) -> Result<Origin, String> {
    let client = words.client.as_deref().map(|text| {
        text.parse().map_err(|_| format!("origin.client: \"{text}\" is no address with a port"))
    });
    let text = |key, text: &str| short(key, Some(text), 1024).map(Option::unwrap_or_default);
    Ok(Origin {
        client: client.transpose()?,
        hello: text("origin.hello", &words.hello)?,
        listener: text("origin.listener", &words.listener)?,
        rule: text("origin.rule", &words.rule)?,
        user: short("origin.user", words.user.as_deref(), 1024)?,
        protocol: match words.protocol {
            ProtocolWord::Smtp => Protocol::Smtp,
            ProtocolWord::Esmtp => Protocol::Esmtp,
            ProtocolWord::Local => Protocol::Local,
        },
        secured: words.secured,
        trusted: words.trusted,
        arrived: time("origin.arrived", words.arrived.as_deref())?,
    })
}

/// A text of at most `bytes_max` bytes that no command or log line can be made of.
fn short(key: &str, text: Option<&str>, bytes_max: usize) -> Result<Option<Box<str>>, String> {
    match text {
        Some(text) if text.len() > bytes_max => {
            Err(format!("{key}: longer than {bytes_max} bytes"))
        }
        Some(text) if text.chars().any(char::is_control) => {
            Err(format!("{key}: has a control character"))
        }
        text => Ok(text.map(Box::from)),
    }
}

/// A time of RFC 3339; without one, zero.
fn time(key: &str, text: Option<&str>) -> Result<UnixTime, String> {
    let Some(text) = text else { return Ok(UnixTime(0)) };
    let time: Timestamp =
        text.parse().map_err(|_| format!("{key}: \"{text}\" is no time of RFC 3339"))?;
    let micros = u64::try_from(time.as_microsecond());
    micros.map(UnixTime).map_err(|_| format!("{key}: \"{text}\" is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message() -> Portable {
        let to = |text| ForwardPath::parse(text).expect("a path");
        let reverse_path = ReversePath::parse("ann@client.example").expect("a path");
        let origin = Origin {
            client: Some("192.0.2.7:4000".parse().expect("an address")),
            hello: "client.example".into(),
            listener: "mx".into(),
            rule: "relay.networks".into(),
            user: Some("ann".into()),
            protocol: Protocol::Smtp,
            secured: true,
            trusted: true,
            arrived: UnixTime(1_795_564_799_000_001),
        };
        let recipients = vec![to("bob@example.net"), to("postmaster")];
        let mut envelope = Envelope::new(reverse_path, recipients, origin);
        envelope.body = BodyKind::EightBitMime;
        envelope.utf8 = true;
        let notify = Some(Notify { success: true, failure: false, delay: true });
        envelope.request = Some(Box::new(StatusRequest {
            returned: Some(Returned::Headers),
            envelope_id: Some("QQ314159".into()),
            recipients: vec![
                RecipientRequest { notify, original: Some("rfc822;Bob@example.net".into()) },
                RecipientRequest { notify: Some(Notify::default()), original: None },
            ],
        }));
        let deferred = Waiting {
            held: false,
            attempts: 3,
            next: UnixTime(1_795_565_000_000_000),
            reason: Some("450 4.2.1 later".into()),
        };
        Portable {
            id: MessageId::new(1, 2, 3),
            accepted: UnixTime(1_795_564_799_999_999),
            envelope,
            waiting: vec![deferred, Waiting { held: true, ..Waiting::default() }],
            bytes: Some(4711),
        }
    }

    #[test]
    fn an_envelope_comes_back_as_it_was_written() {
        let message = message();
        let text = write(&message).to_string();
        let value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read(&value).expect("good words"), message);
    }

    #[test]
    fn what_a_newer_version_has_added_is_passed_over_and_a_newer_format_refused() {
        let mut value = write(&message());
        value["priority"] = "high".into();
        value["recipients"][0]["colour"] = 7.into();
        assert_eq!(read(&value).expect("more words"), message());
        value["format"] = 2.into();
        assert!(read(&value).expect_err("newer").contains("format 2"));
    }

    #[test]
    fn a_few_words_are_enough() {
        let value = json!({
            "format": 1, "id": "0000000000000000", "accepted": "2026-11-24T12:00:00Z", "from": "",
            "recipients": [{ "to": "a@example.org" }],
        });
        let message = read(&value).expect("enough");
        assert_eq!(message.envelope.reverse_path, ReversePath::Null);
        assert_eq!(message.waiting, [Waiting::default()]);
        assert_eq!(message.envelope.request, None);
        assert_eq!(message.accepted.rfc3339(), "2026-11-24T12:00:00.000000Z");
    }

    #[test]
    fn words_that_mean_nothing_are_named() {
        let cases = [
            ("/id", json!("short"), "id:"),
            ("/from", json!("no address"), "from:"),
            ("/recipients/0/to", json!("nobody"), "\"nobody\""),
            ("/recipients/0/next", json!("soon"), "next:"),
            ("/accepted", json!("1969-12-31T23:59:59Z"), "before 1970"),
            ("/origin/client", json!("here"), "origin.client:"),
            ("/origin/hello", json!("a\r\nb"), "origin.hello: has a control"),
            ("/origin/protocol", json!("uucp"), "uucp"),
            ("/status_request/envelope_id", json!("x".repeat(101)), "envelope_id:"),
        ];
        for (pointer, bad, word) in cases {
            let mut value = write(&message());
            *value.pointer_mut(pointer).expect("it is there") = bad;
            let why = read(&value).expect_err(pointer);
            assert!(why.contains(word), "{pointer}: {why}");
        }
        assert!(read(&json!({})).is_err());
    }
}
