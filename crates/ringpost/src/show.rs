//! Answers of the relay, for people.

use serde_json::Value;
use std::fmt::Write;

/// One JSON object a line: the elements of a list, or the value itself.
pub(crate) fn json_lines(value: &Value) -> String {
    let lists = ["messages", "destinations"];
    let list = value.as_array().or_else(|| lists.iter().find_map(|key| value[*key].as_array()));
    match list {
        Some(list) => list.iter().map(|element| format!("{element}\n")).collect(),
        None => format!("{value}\n"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// Names and values, one a line, what is inside indented.
pub(crate) fn status(value: &Value) -> String {
    let mut shown = String::new();
    tree(&mut shown, value, 0);
    shown
}

fn tree(shown: &mut String, value: &Value, depth: usize) {
    let Some(object) = value.as_object() else {
        let _ = writeln!(shown, "{:1$}{2}", "", depth * 2, text(value));
        return;
    };
    for (name, value) in object {
        let name = name.replace('_', " ");
        match value {
            Value::Object(_) => {
                let _ = writeln!(shown, "{:1$}{name}:", "", depth * 2);
                tree(shown, value, depth + 1);
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                let _ = writeln!(shown, "{:1$}{name}:", "", depth * 2);
                for element in list {
                    let _ = writeln!(shown, "{:1$}{2}", "", (depth + 1) * 2, one_line(element));
                }
            }
            Value::Array(list) => {
                let list: Vec<String> = list.iter().map(text).collect();
                let _ = writeln!(shown, "{:1$}{name:<18} {2}", "", depth * 2, list.join(" "));
            }
            value => {
                let _ = writeln!(shown, "{:1$}{name:<18} {2}", "", depth * 2, text(value));
            }
        }
    }
}

fn one_line(value: &Value) -> String {
    let Some(object) = value.as_object() else { return text(value) };
    let show = |(name, value): (&String, &Value)| match value {
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(" "),
        value if name == "name" => text(value),
        value => format!("{name}={}", text(value)),
    };
    object.iter().map(show).collect::<Vec<_>>().join("  ")
}

/// A message a block: the first line is the message, each further one a recipient.
pub(crate) fn list(value: &Value) -> String {
    let messages = value.as_array().or_else(|| value["messages"].as_array());
    let mut shown = String::new();
    for one in messages.into_iter().flatten() {
        heading(&mut shown, one);
    }
    if shown.is_empty() {
        shown.push_str("no messages\n");
    }
    shown
}

fn heading(shown: &mut String, one: &Value) {
    let _ = writeln!(
        shown,
        "{}  {}  {:>9}  {:<8}  <{}>",
        text(&one["id"]),
        text(&one["accepted"]),
        text(&one["bytes"]),
        text(&one["state"]),
        text(&one["from"])
    );
    for recipient in one["recipients"].as_array().into_iter().flatten() {
        let _ = write!(
            shown,
            "    <{}> via {}, {}, attempts {}",
            text(&recipient["to"]),
            text(&recipient["hop"]),
            text(&recipient["state"]),
            text(&recipient["attempts"])
        );
        if !recipient["next"].is_null() {
            let _ = write!(shown, ", next {}", text(&recipient["next"]));
        }
        if !recipient["reason"].is_null() {
            let _ = write!(shown, "\n        {}", text(&recipient["reason"]));
        }
        shown.push('\n');
    }
}

/// One message with its origin and header.
pub(crate) fn message(value: &Value) -> String {
    let mut shown = String::new();
    heading(&mut shown, value);
    let _ = writeln!(shown, "    given up {}", text(&value["expires"]));
    if value["origin"].is_object() {
        let _ = writeln!(shown, "    from {}", one_line(&value["origin"]));
    }
    let _ = write!(shown, "\n{}", text(&value["header"]).replace("\r\n", "\n"));
    shown
}

/// Ages by next hop, as Postfix's qshape.
pub(crate) fn summary(value: &Value) -> String {
    let mut shown = format!(
        "messages {}: active {}, deferred {}, held {}\n",
        text(&value["messages"]),
        text(&value["active"]),
        text(&value["deferred"]),
        text(&value["held"])
    );
    let _ = write!(shown, "{:>40} {:>8}", "minutes:", "all");
    for minutes in value["ages_minutes"].as_array().into_iter().flatten() {
        let _ = write!(shown, " {:>7}", text(minutes));
    }
    shown.push_str("   older\n");
    for hop in value["hops"].as_array().into_iter().flatten() {
        let _ = write!(shown, "{:>40} {:>8}", text(&hop["hop"]), text(&hop["recipients"]));
        for count in hop["ages"].as_array().into_iter().flatten() {
            let _ = write!(shown, " {:>7}", text(count));
        }
        shown.push('\n');
    }
    shown
}

/// A next hop a line.
pub(crate) fn destinations(value: &Value) -> String {
    let list = value.as_array().or_else(|| value["destinations"].as_array());
    let lines: String =
        list.into_iter().flatten().map(|one| format!("{}\n", one_line(one))).collect();
    if lines.is_empty() { "no destinations\n".into() } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_shows_each_message_with_its_recipients() {
        let shown = list(&json!([{
            "id": "0000000000000001", "accepted": "t", "bytes": 12, "state": "deferred",
            "from": "a@b",
            "recipients": [{"to": "c@d", "hop": "mx://d", "state": "deferred", "attempts": 2,
                            "next": "soon", "reason": "450 no"}],
        }]));
        for part in ["0000000000000001", "<a@b>", "<c@d> via mx://d", "attempts 2", "450 no"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert_eq!(list(&json!([])), "no messages\n");
    }

    #[test]
    fn json_is_one_object_a_line() {
        assert_eq!(json_lines(&json!([{"a": 1}, {"a": 2}])), "{\"a\":1}\n{\"a\":2}\n");
    }
}
