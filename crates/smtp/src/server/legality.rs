//! Which command may come when.

use crate::Verb;
use Phase::{Greeted, Mail, Ready, Rejected};

/// How far a session is, as far as the order of commands goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The greeting was a refusal.
    Rejected,
    /// Greeted; no HELO or EHLO yet.
    Greeted,
    /// Between transactions.
    Ready,
    /// MAIL was accepted.
    Mail,
}

/// One row a command.
const LEGAL: [(Verb, &[Phase]); 11] = [
    // RFC 5321 §4.1.4: EHLO may be issued later in a session; it clears all buffers as RSET does.
    (Verb::Ehlo, &[Greeted, Ready, Mail]),
    // RFC 5321 §4.1.1.1: as EHLO, by older clients.
    (Verb::Helo, &[Greeted, Ready, Mail]),
    // RFC 5321 §4.1.1.1: EHLO or HELO before a transaction; §4.1.4: no MAIL within one.
    (Verb::Mail, &[Ready]),
    // RFC 5321 §4.1.4: the order MAIL, RCPT, DATA; else 503.
    (Verb::Rcpt, &[Mail]),
    // RFC 5321 §4.1.1.4: 503 or 554 without MAIL or RCPT; without an accepted RCPT we say 554.
    (Verb::Data, &[Mail]),
    // RFC 5321 §4.1.4: NOOP, HELP, EXPN, VRFY and RSET at any time, or without initialization.
    (Verb::Rset, &[Greeted, Ready, Mail]),
    (Verb::Noop, &[Greeted, Ready, Mail]),
    (Verb::Help, &[Greeted, Ready, Mail]),
    (Verb::Vrfy, &[Greeted, Ready, Mail]),
    (Verb::Expn, &[Greeted, Ready, Mail]),
    // RFC 5321 §3.1: after a 554 greeting only QUIT is obeyed; §4.1.1.10: at any time.
    (Verb::Quit, &[Rejected, Greeted, Ready, Mail]),
];

/// Whether `verb` may come in `phase`.
pub(super) fn allows(verb: Verb, phase: Phase) -> bool {
    LEGAL.iter().any(|(known, phases)| *known == verb && phases.contains(&phase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quit_is_obeyed_after_a_refusal() {
        let obeyed: Vec<Verb> = LEGAL
            .iter()
            .map(|(verb, _)| *verb)
            .filter(|verb| allows(*verb, Phase::Rejected))
            .collect();
        assert_eq!(obeyed, [Verb::Quit]);
        assert!(!allows(Verb::EndOfData, Phase::Mail), "it is no command");
    }
}
