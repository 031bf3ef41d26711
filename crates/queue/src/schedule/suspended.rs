//! Which destinations an operator has suspended: a value, and its text in `SPOOL/state/suspended`.

use crate::filter::names;
use mail::NextHop;
use std::collections::BTreeSet;

/// Which destinations an operator means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destinations {
    /// All of them, those of later messages too.
    All,
    /// One: the name of its next hop, or what stands behind `://` in it.
    Named(String),
}

/// The destinations that are left alone until an operator resumes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspended {
    /// Whether all are but those in `names`, and not only those.
    all: bool,
    names: BTreeSet<String>,
}

/// The first line of the text; the number is the version of what follows.
const FORMAT: &str = "ringpost suspended 1";

/// Why the text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A newer version has written it.
    TooNew(u32),
    /// It is no such text.
    Unreadable,
}

impl Suspended {
    /// Whether nothing is suspended.
    pub fn is_empty(&self) -> bool {
        !self.all && self.names.is_empty()
    }

    /// Whether `hop` is.
    pub fn covers(&self, hop: &NextHop) -> bool {
        // Mostly there is nothing to compare with.
        let named = self.names.iter().any(|name| names(name, hop.as_str()));
        self.all != named
    }

    pub(crate) fn suspend(&mut self, which: &Destinations) {
        self.change(which, true);
    }

    pub(crate) fn resume(&mut self, which: &Destinations) {
        self.change(which, false);
    }

    fn change(&mut self, which: &Destinations, suspended: bool) {
        match which {
            Destinations::All => *self = Self { all: suspended, names: BTreeSet::new() },
            Destinations::Named(name) if suspended == self.all => {
                // An exception less. It may have been written in the other form.
                self.names.retain(|other| !names(other, name) && !names(name, other));
            }
            Destinations::Named(name) => {
                self.names.insert(name.clone());
            }
        }
    }

    /// As it is kept in the file.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        if self.all {
            text.push_str("all\n");
        }
        let word = if self.all { "but" } else { "destination" };
        for name in &self.names {
            text.push_str(&format!("{word} {name}\n"));
        }
        text
    }

    /// Reads what [`encode`](Self::encode) has written.
    pub(crate) fn decode(text: &str) -> Result<Self, DecodeError> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        if first != FORMAT {
            let version = first.strip_prefix("ringpost suspended ").and_then(|n| n.parse().ok());
            return Err(version.map_or(DecodeError::Unreadable, DecodeError::TooNew));
        }
        let mut read = Self::default();
        for line in lines {
            match line.split_once(' ') {
                None if line == "all" => read.all = true,
                Some(("but" | "destination", name)) if !name.is_empty() => {
                    read.names.insert(name.to_owned());
                }
                _ => return Err(DecodeError::Unreadable),
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(suspended: &Suspended, name: &str) -> bool {
        suspended.covers(&NextHop::new(name))
    }

    fn named(name: &str) -> Destinations {
        Destinations::Named(name.to_owned())
    }

    #[test]
    fn one_destination_is_suspended_and_resumed_by_either_form_of_its_name() {
        let mut suspended = Suspended::default();
        suspended.suspend(&named("example.org"));
        assert!(covers(&suspended, "mx://example.org"));
        assert!(!covers(&suspended, "mx://example.com"));
        suspended.resume(&named("mx://example.org"));
        assert!(suspended.is_empty());
        suspended.suspend(&named("mx://example.org"));
        suspended.resume(&named("example.org"));
        assert!(suspended.is_empty());
    }

    #[test]
    fn all_but_one_may_be_suspended() {
        let mut suspended = Suspended::default();
        suspended.suspend(&named("example.com"));
        suspended.suspend(&Destinations::All);
        assert!(covers(&suspended, "mx://example.org") && covers(&suspended, "discard"));
        suspended.resume(&named("example.org"));
        assert!(!covers(&suspended, "mx://example.org") && covers(&suspended, "discard"));
        suspended.suspend(&named("mx://example.org"));
        assert!(covers(&suspended, "mx://example.org"));
        suspended.resume(&Destinations::All);
        assert!(suspended.is_empty());
    }

    #[test]
    fn the_text_is_read_as_it_was_written() {
        let mut suspended = Suspended::default();
        for step in 0..3 {
            assert_eq!(Suspended::decode(&suspended.encode()), Ok(suspended.clone()), "{step}");
            if step == 1 {
                suspended.suspend(&Destinations::All);
                suspended.resume(&named("smtp://[::1]:25"));
            }
            suspended.suspend(&named("example.org"));
        }
        let newer = Suspended::decode("ringpost suspended 2\nmore");
        assert_eq!(newer, Err(DecodeError::TooNew(2)));
        for text in ["", "ringpost", "ringpost suspended 1\nnonsense", "\0\0"] {
            assert_eq!(Suspended::decode(text), Err(DecodeError::Unreadable), "{text:?}");
        }
    }
}
