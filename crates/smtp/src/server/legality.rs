//! Which command may come when.

use crate::Verb;
use Phase::{Chunking, Failed, Greeted, Mail, Ready, Rejected};

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
    /// A chunk was accepted, and another is awaited.
    Chunking,
    /// A chunk was refused.
    Failed,
}

/// One row a command.
const LEGAL: [(Verb, &[Phase]); 15] = [
    // RFC 5321 §4.1.4: EHLO may be issued later in a session; it clears all buffers as RSET does.
    (Verb::Ehlo, &[Greeted, Ready, Mail, Chunking, Failed]),
    // RFC 5321 §4.1.1.1: as EHLO, by older clients.
    (Verb::Helo, &[Greeted, Ready, Mail, Chunking, Failed]),
    // RFC 5321 §4.1.1.1: EHLO or HELO before a transaction; §4.1.4: no MAIL within one.
    (Verb::Mail, &[Ready]),
    // RFC 5321 §4.1.4: the order MAIL, RCPT, DATA; else 503.
    (Verb::Rcpt, &[Mail]),
    // RFC 5321 §4.1.1.4: 503 or 554 without MAIL or RCPT; without an accepted RCPT we say 554.
    // RFC 3030 §2: BDAT and DATA never in one transaction: 503.
    (Verb::Data, &[Mail]),
    // RFC 3030 §2: as DATA, and behind another chunk. Where it is not allowed, its bytes are
    // dropped.
    (Verb::Bdat, &[Mail, Chunking]),
    // RFC 5321 §4.1.4: NOOP, HELP, EXPN, VRFY and RSET at any time, or without initialization.
    // RFC 3030 §2: but only RSET makes an end of a failed chunk.
    (Verb::Rset, &[Greeted, Ready, Mail, Chunking, Failed]),
    (Verb::Noop, &[Greeted, Ready, Mail, Chunking]),
    (Verb::Help, &[Greeted, Ready, Mail, Chunking]),
    (Verb::Vrfy, &[Greeted, Ready, Mail, Chunking]),
    (Verb::Expn, &[Greeted, Ready, Mail, Chunking]),
    // RFC 3207 §4: any time between transactions.
    (Verb::StartTls, &[Greeted, Ready]),
    // RFC 4954 §4: behind EHLO, and not within a transaction.
    (Verb::Auth, &[Ready]),
    // As Postfix has it: not within a transaction.
    (Verb::Xclient, &[Greeted, Ready]),
    // RFC 5321 §3.1: after a 554 greeting only QUIT is obeyed; §4.1.1.10: at any time.
    (Verb::Quit, &[Rejected, Greeted, Ready, Mail, Chunking, Failed]),
];

/// Whether `verb` may come in `phase`.
pub(super) fn allows(verb: Verb, phase: Phase) -> bool {
    LEGAL.iter().any(|(known, phases)| *known == verb && phases.contains(&phase))
}

/// RFC 3207 §4: what may come before TLS where that is required.
pub(super) fn allows_in_the_clear(verb: Verb) -> bool {
    matches!(verb, Verb::Ehlo | Verb::Noop | Verb::StartTls | Verb::Quit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obeyed(phase: Phase) -> Vec<Verb> {
        LEGAL.iter().map(|(verb, _)| *verb).filter(|verb| allows(*verb, phase)).collect()
    }

    #[test]
    fn only_quit_is_obeyed_after_a_refusal() {
        assert_eq!(obeyed(Phase::Rejected), [Verb::Quit]);
        assert!(!allows(Verb::EndOfData, Phase::Mail), "it is no command");
    }

    #[test]
    fn only_a_new_beginning_or_the_end_is_obeyed_after_a_failed_chunk() {
        assert_eq!(obeyed(Phase::Failed), [Verb::Ehlo, Verb::Helo, Verb::Rset, Verb::Quit]);
    }
}
