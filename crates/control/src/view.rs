//! What operators see of the queue, as JSON.

use crate::filter::state_word;
use queue::{Listed, ListedRecipient, Shown, Summary};
use serde_json::{Value, json};

/// A message in a list.
pub(crate) fn listed(message: &Listed) -> Value {
    json!({
        "id": message.id.to_string(),
        "accepted": message.accepted.rfc3339(),
        "bytes": message.bytes,
        "from": message.from,
        "state": state_word(message.state),
        "recipients": message.recipients.iter().map(recipient).collect::<Vec<_>>(),
    })
}

fn recipient(recipient: &ListedRecipient) -> Value {
    json!({
        "to": recipient.to,
        "hop": recipient.hop,
        "state": state_word(recipient.state),
        "attempts": recipient.attempts,
        "next": recipient.next.map(mail::UnixTime::rfc3339),
        "reason": recipient.reason,
    })
}

/// One message with all that is known of it.
pub(crate) fn shown(message: &Shown) -> Value {
    let mut value = listed(&message.listed);
    value["expires"] = message.expires.rfc3339().into();
    value["header"] = String::from_utf8_lossy(&message.header).into_owned().into();
    value["origin"] = message.envelope.as_ref().map_or(Value::Null, |envelope| {
        json!({
            "client": envelope.origin.client.map(|client| client.to_string()),
            "hello": envelope.origin.hello,
            "listener": envelope.origin.listener,
            "rule": envelope.origin.rule,
            "arrived": envelope.origin.arrived.rfc3339(),
        })
    });
    value
}

/// The sum of the shards' summaries.
pub(crate) fn summary(parts: &[Summary]) -> Value {
    let mut hops = std::collections::BTreeMap::new();
    for line in parts.iter().flat_map(|part| &part.hops) {
        let (recipients, ages) = hops.entry(&line.hop).or_insert((0, [0; 10]));
        *recipients += line.recipients;
        for (sum, count) in ages.iter_mut().zip(line.ages) {
            *sum += count;
        }
    }
    let mut hops: Vec<_> = hops.into_iter().collect();
    // Most first; among equals the order of the names stays.
    hops.sort_by_key(|(_, (recipients, _))| std::cmp::Reverse(*recipients));
    json!({
        "ages_minutes": Summary::AGES_MINUTES,
        "messages": parts.iter().map(|part| part.messages).sum::<u64>(),
        "active": parts.iter().map(|part| part.active).sum::<u64>(),
        "deferred": parts.iter().map(|part| part.deferred).sum::<u64>(),
        "held": parts.iter().map(|part| part.held).sum::<u64>(),
        "hops": hops.iter().map(hop_line).collect::<Vec<_>>(),
    })
}

fn hop_line((hop, (recipients, ages)): &(&mail::NextHop, (u64, [u64; 10]))) -> Value {
    json!({ "hop": hop.as_str(), "recipients": recipients, "ages": ages })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::NextHop;
    use queue::SummaryLine;

    #[test]
    fn summaries_of_shards_add_up_by_next_hop_most_first() {
        let line = |hop: &str, recipients| SummaryLine {
            hop: NextHop::new(hop),
            recipients,
            ages: [recipients; 10],
        };
        let part = |hops| Summary { messages: 2, active: 1, deferred: 1, held: 0, hops };
        let sum = summary(&[
            part(vec![line("mx://a", 1), line("mx://b", 5)]),
            part(vec![line("mx://a", 7)]),
        ]);
        assert_eq!(sum["messages"], 4);
        assert_eq!(sum["hops"][0]["hop"], "mx://a");
        assert_eq!(sum["hops"][0]["recipients"], 8);
        assert_eq!(sum["hops"][0]["ages"][9], 8);
        assert_eq!(sum["hops"][1]["recipients"], 5);
    }
}
