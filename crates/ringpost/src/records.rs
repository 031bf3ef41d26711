//! Records of a spool, for people and as JSON.

use mail::UnixTime;
use queue::inspect::{ChangeSeen, Life, MessageSeen, RecipientLife, Run, Says, Seen, StandingSeen};
use serde_json::{Value, json};
use std::fmt::Write;

/// One record as JSON.
pub(crate) fn json(seen: &Seen) -> Value {
    let mut value = json!({
        "log": seen.log, "file": seen.file, "offset": seen.offset, "bytes": seen.bytes,
        "sequence": seen.sequence, "torn": seen.torn, "body": seen.body.as_ref().map(run_json),
    });
    match &seen.says {
        Says::Message(message) => {
            value["kind"] = "message".into();
            value["id"] = message.id.to_string().into();
            value["message"] = message_json(message);
        }
        Says::Chunk(id) => {
            value["kind"] = "chunk".into();
            value["id"] = id.to_string().into();
        }
        Says::Outcomes { id, segment, changes, report } => {
            value["kind"] = "outcomes".into();
            value["id"] = id.to_string().into();
            value["segment"] = segment.as_str().into();
            value["changes"] = changes.iter().map(change_json).collect();
            value["report"] = report.as_ref().map(|report| message_json(report)).into();
        }
        Says::Damaged(id) => {
            value["kind"] = "damaged".into();
            value["id"] = id.map(|id| id.to_string()).into();
        }
    }
    value
}

fn run_json(run: &Run) -> Value {
    json!({ "file": run.file, "offset": run.offset, "bytes": run.bytes, "whole": run.whole })
}

fn message_json(message: &MessageSeen) -> Value {
    let envelope = &message.envelope;
    let portable = queue::Portable {
        id: message.id,
        accepted: message.accepted,
        envelope: envelope.clone(),
        waiting: vec![queue::Waiting::default(); envelope.recipients.len()],
        bytes: None,
    };
    // The envelope in the words of an export; how its recipients stood is told beside it.
    let words = control::portable::write(&portable);
    let to: Vec<String> = envelope.recipients.iter().map(ToString::to_string).collect();
    json!({
        "id": message.id.to_string(), "accepted": message.accepted.rfc3339(),
        "from": envelope.reverse_path.to_string(), "to": to, "body": words["body"],
        "utf8": envelope.utf8, "status_request": words["status_request"],
        "origin": words["origin"], "size": message.size, "stuffed_lines": message.stuffed_lines,
        "header_bytes": message.header_bytes,
        "chunks": message.chunks.iter().map(run_json).collect::<Vec<_>>(),
        "standings": message.standings.iter().map(standing_json).collect::<Vec<_>>(),
    })
}

fn standing_json(standing: &StandingSeen) -> Value {
    let StandingSeen { done, held, attempts, next, reason } = standing;
    let next = (*next != UnixTime(0)).then(|| next.rfc3339());
    json!({ "done": done, "held": held, "attempts": attempts, "next": next, "reason": reason })
}

fn change_json(change: &ChangeSeen) -> Value {
    json!({
        "recipient": change.recipient, "change": change.what,
        "next": change.next.map(UnixTime::rfc3339), "attempts": change.attempts,
        "reason": change.reason, "standing": change.standing.as_ref().map(standing_json),
    })
}

/// One record, for people: where it lies, then what it says.
pub(crate) fn text(seen: &Seen) -> String {
    let mut shown = format!("log-{:02}/{} at {}", seen.log, seen.file, seen.offset);
    let torn = if seen.torn { ", torn" } else { "" };
    let _ = write!(shown, "  batch {}{torn}  ", seen.sequence);
    match &seen.says {
        Says::Message(message) => {
            let _ = writeln!(shown, "message {}, {} bytes", message.id, seen.bytes);
            message_text(&mut shown, message);
        }
        Says::Chunk(id) => {
            let _ = writeln!(shown, "chunk of {id}, {} bytes", seen.bytes);
        }
        Says::Outcomes { id, segment, changes, report } => {
            let _ = writeln!(shown, "outcomes of {id} in {segment}, {} bytes", seen.bytes);
            for change in changes {
                let _ = writeln!(shown, "    recipient {}: {}", change.recipient, words(change));
            }
            if let Some(report) = report {
                let _ = writeln!(shown, "    with report {}", report.id);
                message_text(&mut shown, report);
            }
        }
        Says::Damaged(id) => {
            let id = id.map_or_else(String::new, |id| format!(", perhaps of {id}"));
            let _ = writeln!(shown, "DAMAGED{id}");
        }
    }
    if let Some(run) = &seen.body {
        let state = if run.whole == Some(false) { ", DAMAGED" } else { "" };
        let _ = writeln!(shown, "    body at {}, {} bytes{state}", run.offset, run.bytes);
    }
    shown
}

fn message_text(shown: &mut String, message: &MessageSeen) {
    let envelope = &message.envelope;
    let _ = writeln!(
        shown,
        "    accepted {}, {} bytes with {} of header, {} lines stuffed",
        message.accepted.rfc3339(),
        message.size,
        message.header_bytes,
        message.stuffed_lines
    );
    let _ = writeln!(shown, "    from <{}>", envelope.reverse_path);
    for (index, to) in envelope.recipients.iter().enumerate() {
        let standing = message.standings.get(index).map(stands);
        let standing = standing.map_or_else(String::new, |standing| format!(": {standing}"));
        let _ = writeln!(shown, "    to <{to}>{standing}");
    }
    let origin = &envelope.origin;
    let client = origin.client.map_or_else(|| "here".to_owned(), |client| client.to_string());
    let _ = writeln!(
        shown,
        "    came from {client} ({}) by {}, rule {}",
        origin.hello, origin.listener, origin.rule
    );
    for run in &message.chunks {
        let _ = writeln!(shown, "    chunk in {} at {}, {} bytes", run.file, run.offset, run.bytes);
    }
}

fn words(change: &ChangeSeen) -> String {
    let mut words = change.what.to_owned();
    if let Some(standing) = &change.standing {
        let _ = write!(words, " {}", stands(standing));
    }
    if let Some(next) = change.next {
        let _ = write!(words, " until {}", next.rfc3339());
    }
    if let Some(attempts) = change.attempts {
        let _ = write!(words, ", attempts {attempts}");
    }
    if let Some(reason) = &change.reason {
        let _ = write!(words, ": {reason}");
    }
    words
}

fn stands(standing: &StandingSeen) -> String {
    let StandingSeen { done, held, attempts, next, reason } = standing;
    let mut words = match (done, held) {
        (true, _) => return "over".into(),
        (false, true) => "held".to_owned(),
        (false, false) if *next == UnixTime(0) => "due at once".to_owned(),
        (false, false) => format!("due {}", next.rfc3339()),
    };
    let _ = write!(words, ", attempts {attempts}");
    if let Some(reason) = reason {
        let _ = write!(words, ": {reason}");
    }
    words
}

/// Why a message is live or not, as JSON.
pub(crate) fn life_json(life: &Life) -> Value {
    let recipients = life.recipients.iter().map(|one| {
        let mut value = standing_json(&one.standing);
        value["to"] = one.to.as_str().into();
        value["last"] = one.last.as_ref().map_or(
            Value::Null,
            |last| json!({ "change": last.change.what, "file": last.file, "offset": last.offset }),
        );
        value
    });
    json!({
        "kind": "life", "id": life.id.to_string(), "known": !life.recipients.is_empty(),
        "live": life.is_live(), "recipients": recipients.collect::<Vec<_>>(),
    })
}

/// Why a message is live or not, for people.
pub(crate) fn life_text(life: &Life) -> String {
    let mut shown = match (life.recipients.is_empty(), life.is_live()) {
        (true, _) => return format!("{}: no record of it is in this spool\n", life.id),
        (false, true) => format!("{} is live\n", life.id),
        (false, false) => format!("{} is over: no recipient is left\n", life.id),
    };
    for RecipientLife { to, standing, last } in &life.recipients {
        let why = last.as_ref().map_or_else(
            || "nothing has been recorded of it".to_owned(),
            |last| format!("last {} ({} at {})", last.change.what, last.file, last.offset),
        );
        let _ = writeln!(shown, "    <{to}>: {}; {why}", stands(standing));
    }
    shown
}
