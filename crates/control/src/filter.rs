//! Which messages an operator means: in words, as JSON and as a query string.

use mail::MessageId;
use queue::{Filter, State};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A [`Filter`] in words: the body of `POST /queue/…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterWords {
    /// Message ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// A next hop's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<String>,
    /// A recipient, or a recipient's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The sender, or its domain; empty for the null reverse-path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `active`, `deferred` or `held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Accepted longer ago than this, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older: Option<u64>,
    /// Everything, when nothing else is asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// The query of `GET /queue`: conditions, all of which must hold, and how many messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListWords {
    hop: Option<String>,
    to: Option<String>,
    from: Option<String>,
    state: Option<String>,
    older: Option<u64>,
    /// At most so many; default 1,000.
    pub(crate) limit: Option<usize>,
}

impl ListWords {
    /// The filter that the words mean: everything when there are none.
    pub(crate) fn read(&self) -> Result<Filter, String> {
        let Self { hop, to, from, state, older, .. } = self.clone();
        FilterWords { hop, to, from, state, older, all: true, ids: Vec::new() }.read()
    }
}

impl FilterWords {
    /// The filter that the words mean.
    ///
    /// # Errors
    /// The word that means nothing, and what may stand there.
    pub fn read(&self) -> Result<Filter, String> {
        let id = |text: &String| -> Result<MessageId, String> {
            text.parse().map_err(|error| format!("\"{text}\": {error}"))
        };
        Ok(Filter {
            ids: self.ids.iter().map(id).collect::<Result<_, _>>()?,
            hop: self.hop.clone(),
            to: self.to.clone(),
            from: self.from.clone(),
            state: self.state.as_deref().map(state).transpose()?,
            older: self.older.map(Duration::from_secs),
            all: self.all,
        })
    }

    /// Whether no condition is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn state(text: &str) -> Result<State, String> {
    match text {
        "active" => Ok(State::Active),
        "deferred" => Ok(State::Deferred),
        "held" => Ok(State::Held),
        _ => Err(format!("\"{text}\": a state is active, deferred or held")),
    }
}

/// The word for a state.
pub(crate) fn state_word(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Deferred => "deferred",
        State::Held => "held",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_the_filter_that_they_mean() {
        let json = r#"{"ids":["0000000000000000"],"to":"b@example","state":"held","older":60}"#;
        let words: FilterWords = serde_json::from_str(json).expect("a filter");
        let filter = words.read().expect("good words");
        assert_eq!(filter.ids, [MessageId::new(0, 0, 0)]);
        assert_eq!(filter.to.as_deref(), Some("b@example"));
        assert_eq!(filter.state, Some(State::Held));
        assert_eq!(filter.older, Some(Duration::from_secs(60)));
        assert!(!filter.all);
    }

    #[test]
    fn a_word_that_means_nothing_is_named() {
        let bad = FilterWords { state: Some("asleep".into()), ..FilterWords::default() };
        assert!(bad.read().expect_err("no such state").contains("asleep"));
        let bad = FilterWords { ids: vec!["1".into()], ..FilterWords::default() };
        assert!(bad.read().expect_err("no id").contains("16 characters"));
        assert!(serde_json::from_str::<FilterWords>(r#"{"too":"x"}"#).is_err(), "a misspelt key");
    }
}
