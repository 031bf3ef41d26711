//! The `privacy` words, which are sendmail's.

/// What is kept from strangers and asked of them. Every word only tightens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// `novrfy`: VRFY answers nobody.
    pub vrfy_off: bool,
    /// `noexpn`: EXPN is refused.
    pub expn_off: bool,
    /// `noverb`: VERB is refused, which it is in any case.
    pub verb_off: bool,
    /// `needmailhelo`: MAIL wants HELO or EHLO first, which it does in any case.
    pub mail_needs_hello: bool,
    /// `needexpnhelo`: so does EXPN.
    pub expn_needs_hello: bool,
    /// `needvrfyhelo`: so does VRFY.
    pub vrfy_needs_hello: bool,
}

impl Privacy {
    /// `goaway`: all of it.
    pub const GO_AWAY: Self = Self {
        vrfy_off: true,
        expn_off: true,
        verb_off: true,
        mail_needs_hello: true,
        expn_needs_hello: true,
        vrfy_needs_hello: true,
    };

    /// Adds what a word says; `false` when it is no such word.
    pub fn add(&mut self, word: &str) -> bool {
        match word.to_ascii_lowercase().as_str() {
            "goaway" => *self = Self::GO_AWAY,
            "novrfy" => self.vrfy_off = true,
            "noexpn" => self.expn_off = true,
            "noverb" => self.verb_off = true,
            "needmailhelo" => self.mail_needs_hello = true,
            "needexpnhelo" => self.expn_needs_hello = true,
            "needvrfyhelo" => self.vrfy_needs_hello = true,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_together_are_goaway() {
        let mut privacy = Privacy::default();
        for word in ["novrfy", "noexpn", "NOVERB", "needmailhelo", "needexpnhelo", "needvrfyhelo"] {
            assert_ne!(privacy, Privacy::GO_AWAY, "before {word}");
            assert!(privacy.add(word), "{word}");
        }
        assert_eq!(privacy, Privacy::GO_AWAY);
        assert!(!privacy.add("noetrn"));
    }
}
