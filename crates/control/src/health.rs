//! Whether the relay takes mail, and what has gone wrong lately.

use crate::clock;
use mail::UnixTime;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Problems that `status` shows.
const PROBLEMS_MAX: usize = 20;

/// A shard that publishes nothing for so long is stuck: it should once a second.
const SHARD_SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It takes mail.
    Running,
    /// It finishes what is under way.
    Draining,
    /// It drains because of this.
    Failed(String),
}

/// Something that went wrong, and what to do about it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    /// When.
    pub(crate) time: String,
    /// What.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

/// The state of the process, shared by the tasks of the control plane.
pub(crate) struct Health {
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// By shard: when it last published.
    heard: Vec<UnixTime>,
    problems: VecDeque<Problem>,
}

impl Health {
    /// All is well with `shards` shards as of now.
    pub(crate) fn new(shards: usize) -> Self {
        let state = State {
            stage: Stage::Running,
            heard: vec![clock::wall(); shards],
            problems: VecDeque::new(),
        };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the process does.
    pub(crate) fn stage(&self) -> Stage {
        self.state().stage.clone()
    }

    /// A drain begins. A failure that was noted before stays.
    pub(crate) fn drain(&self) {
        let mut state = self.state();
        if state.stage == Stage::Running {
            state.stage = Stage::Draining;
        }
    }

    /// The process must end because of `why`.
    pub(crate) fn fail(&self, why: &str) {
        self.state().stage = Stage::Failed(why.to_owned());
    }

    /// A shard has published.
    pub(crate) fn hear(&self, shard: usize) {
        self.state().heard[shard] = clock::wall();
    }

    /// How long each shard has been silent.
    pub(crate) fn silence(&self) -> Vec<Duration> {
        let now = clock::wall();
        self.state().heard.iter().map(|heard| now.since(*heard)).collect()
    }

    /// Whether every shard has turned lately.
    pub(crate) fn all_turn(&self) -> bool {
        self.silence().iter().all(|silence| *silence < SHARD_SILENCE_MAX)
    }

    /// Remembers a problem for `status`.
    pub(crate) fn note(&self, text: String, remedy: &'static str) {
        let mut state = self.state();
        if state.problems.len() == PROBLEMS_MAX {
            state.problems.pop_front();
        }
        state.problems.push_back(Problem { time: clock::wall().rfc3339(), text, remedy });
    }

    /// The latest problems, the oldest first.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.state().problems.iter().cloned().collect()
    }

    /// Why no mail is taken, if so: the body of `/readyz`.
    pub(crate) fn unready(&self) -> Option<String> {
        match self.stage() {
            Stage::Draining => return Some("draining".into()),
            Stage::Failed(why) => return Some(format!("failed: {why}")),
            Stage::Running => {}
        }
        let silence = self.silence();
        let stuck = silence.iter().position(|silence| *silence >= SHARD_SILENCE_MAX)?;
        Some(format!("shard {stuck} is silent for {} s", silence[stuck].as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_drains_or_has_failed_is_not_ready_and_says_why() {
        let health = Health::new(2);
        assert_eq!(health.unready(), None);
        health.drain();
        assert_eq!(health.unready().as_deref(), Some("draining"));
        health.fail("the disk");
        health.drain();
        assert_eq!(health.unready().as_deref(), Some("failed: the disk"));
    }

    #[test]
    fn a_silent_shard_is_named() {
        let health = Health::new(2);
        health.state().heard[1] = UnixTime(0);
        assert!(!health.all_turn());
        assert!(health.unready().expect("shard 1 is stuck").starts_with("shard 1 is silent"));
        health.hear(1);
        assert!(health.all_turn());
    }

    #[test]
    fn only_the_latest_problems_are_kept() {
        let health = Health::new(1);
        for number in 0..PROBLEMS_MAX + 5 {
            health.note(number.to_string(), "");
        }
        let problems = health.problems();
        assert_eq!(problems.len(), PROBLEMS_MAX);
        assert_eq!(problems[0].text, "5");
    }
}
