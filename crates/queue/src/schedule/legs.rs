//! The legs of a message's recipients, in little room: nearly all messages have one recipient.

use std::ops::{Deref, DerefMut};

/// One number for each recipient.
pub(super) struct Legs {
    /// The only one's.
    one: u32,
    /// In its place, when there is not exactly one.
    many: Option<Box<Box<[u32]>>>,
}

impl Legs {
    pub(super) fn new(legs: Vec<u32>) -> Self {
        match legs.as_slice() {
            [one] => Self { one: *one, many: None },
            _ => Self { one: 0, many: Some(Box::new(legs.into_boxed_slice())) },
        }
    }
}

impl Deref for Legs {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match &self.many {
            Some(many) => many,
            None => std::slice::from_ref(&self.one),
        }
    }
}

impl DerefMut for Legs {
    fn deref_mut(&mut self) -> &mut [u32] {
        match &mut self.many {
            Some(many) => many,
            None => std::slice::from_mut(&mut self.one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_one_or_many_are_what_they_were_made_of() {
        for legs in [vec![], vec![7], vec![7, 8], vec![1; 1000]] {
            let mut kept = Legs::new(legs.clone());
            assert_eq!(&*kept, legs.as_slice());
            kept.iter_mut().for_each(|leg| *leg += 1);
            assert!(kept.iter().zip(&legs).all(|(after, before)| *after == before + 1));
        }
    }
}
