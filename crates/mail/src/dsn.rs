//! Delivery status notifications (RFC 3461, 3462, 3464).

use crate::{Envelope, ForwardPath, MessageId, Reason, UnixTime};
use std::fmt::Write;

/// A recipient that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRecipient {
    /// Who.
    pub recipient: ForwardPath,
    /// Why.
    pub reason: Reason,
    /// The host that said so, where one did.
    pub host: Option<Box<str>>,
    /// When it was last tried.
    pub last_attempt: UnixTime,
}

/// A report of failure, before it is written out.
#[derive(Clone, Debug)]
pub struct FailureReport<'a> {
    /// Our host name.
    pub hostname: &'a str,
    /// The envelope of the message that failed.
    pub envelope: &'a Envelope,
    /// The report's own message id.
    pub id: MessageId,
    /// The id of the message that failed.
    pub failed_id: MessageId,
    /// Who did not get it; at least one.
    pub failed: &'a [FailedRecipient],
    /// The original's header block, or all of it; CRLF line ends, dot-stuffing removed.
    pub returned: &'a [u8],
    /// Whether `returned` is all of it.
    pub whole: bool,
    /// The report's date.
    pub now: UnixTime,
}

/// Composes the report in wire form with CRLF line ends.
///
/// It is not dot-stuffed: only lines of `returned` can begin with a dot, and the caller stuffs
/// those with the rest.
pub fn compose_failure(report: &FailureReport<'_>) -> Vec<u8> {
    let FailureReport { hostname, envelope, id, failed_id, failed, returned, whole, now } = *report;
    let boundary = format!("{id}.{}", now.seconds());
    let mut text = String::with_capacity(2048 + returned.len());
    let _ = write!(
        text,
        "From: Mail Delivery System <MAILER-DAEMON@{hostname}>\r\n\
         To: <{to}>\r\n\
         Subject: Undelivered Mail Returned to Sender\r\n\
         Date: {date}\r\n\
         Message-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n\r\n",
        to = envelope.reverse_path,
        date = now.rfc5322(),
    );
    explanation(&mut text, hostname, &boundary, failed);
    delivery_status(&mut text, hostname, &boundary, envelope, failed_id, failed);
    let kind = if whole { "message/rfc822" } else { "text/rfc822-headers" };
    let eight = if returned.is_ascii() { "7bit" } else { "8bit" };
    let _ = write!(
        text,
        "--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {eight}\r\n\r\n"
    );
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(returned);
    bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    bytes
}

/// The part for people.
fn explanation(text: &mut String, hostname: &str, boundary: &str, failed: &[FailedRecipient]) {
    let _ = write!(
        text,
        "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n\
         This is the mail relay {hostname}.\r\n\r\n\
         Your message could not be delivered to the recipients below.\r\n\
         The message, or its beginning, is attached.\r\n\r\n"
    );
    for one in failed {
        let _ = write!(text, "<{}>: {}\r\n", one.recipient, one_line(&one.reason.to_string()));
    }
    text.push_str("\r\n");
}

/// The part for programs (RFC 3464 §2).
fn delivery_status(
    text: &mut String,
    hostname: &str,
    boundary: &str,
    envelope: &Envelope,
    failed_id: MessageId,
    failed: &[FailedRecipient],
) {
    let _ = write!(
        text,
        "--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; {hostname}\r\n\
         X-Queue-ID: {failed_id}\r\n\
         Arrival-Date: {}\r\n",
        envelope.origin.arrived.rfc5322()
    );
    for one in failed {
        let _ = write!(
            text,
            "\r\nFinal-Recipient: rfc822; {}\r\nAction: failed\r\nStatus: {}\r\n",
            one.recipient,
            one.reason.status(true)
        );
        if let Some(host) = &one.host {
            let _ = write!(text, "Remote-MTA: dns; {}\r\n", one_line(host));
        }
        if let Reason::Peer(reply) = &one.reason {
            let _ = write!(text, "Diagnostic-Code: smtp; {}\r\n", one_line(&reply.to_string()));
        }
        let _ = write!(text, "Last-Attempt-Date: {}\r\n", one.last_attempt.rfc5322());
    }
    text.push_str("\r\n");
}

/// A peer's text on one line of at most 900 bytes: no line of a report passes 998 (RFC 5322
/// §2.1.1).
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if line.len() > 900 {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BodyKind, EnhancedStatus, Origin, Protocol, Reply, ReversePath};

    #[test]
    fn a_failure_report_names_recipient_action_status_and_reply() {
        let envelope = Envelope {
            reverse_path: ReversePath::parse("sender@example.org").expect("good"),
            recipients: vec![ForwardPath::parse("b@example.net").expect("good")],
            body: BodyKind::SevenBit,
            utf8: false,
            request: None,
            origin: Origin {
                client: None,
                hello: "".into(),
                listener: "".into(),
                rule: "".into(),
                protocol: Protocol::Esmtp,
                arrived: UnixTime(0),
                ..Origin::default()
            },
        };
        let failed = FailedRecipient {
            recipient: envelope.recipients[0].clone(),
            reason: Reason::Peer(Reply::fixed(550, EnhancedStatus(5, 1, 1), "No such\nuser")),
            host: Some("mx.example.net[192.0.2.1]:25".into()),
            last_attempt: UnixTime(0),
        };
        let report = compose_failure(&FailureReport {
            hostname: "relay.example",
            envelope: &envelope,
            id: MessageId::new(0, 1, 2),
            failed_id: MessageId::new(0, 1, 1),
            failed: &[failed],
            returned: b"Subject: hi\r\n",
            whole: false,
            now: UnixTime(0),
        });
        let report = String::from_utf8(report).expect("UTF-8");
        for line in [
            "To: <sender@example.org>",
            "Final-Recipient: rfc822; b@example.net",
            "Action: failed",
            "Status: 5.1.1",
            "Diagnostic-Code: smtp; 550 5.1.1 No such / user",
            "Subject: hi",
        ] {
            assert!(report.contains(&format!("{line}\r\n")), "{line} in\n{report}");
        }
        assert!(report.lines().all(|line| line.len() < 998));
    }
}
