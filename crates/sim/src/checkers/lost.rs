//! *Lost*: what got its 250 arrives at a next hop or is reported to its sender.

use crate::ledger::Ledger;

/// At the end, when all mail must have left: who was promised and got nothing.
pub(crate) fn judge(ledger: &Ledger) -> Vec<String> {
    let lost = ledger
        .promised()
        .filter(|pair| ledger.arrivals_of(*pair).is_empty() && !ledger.is_excused(*pair));
    lost.map(|(number, recipient)| {
        format!("message {number} for {recipient} got its 250 and is lost")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{promised, when};

    #[test]
    fn what_was_promised_must_arrive_or_be_reported() {
        assert!(judge(&promised().0)[0].contains("lost"));
        let (mut ledger, body) = promised();
        ledger.arrive((1, 0), &body, when(9));
        assert!(judge(&ledger).is_empty());
        let (mut ledger, _) = promised();
        ledger.report((1, 0), "x", when(9));
        assert!(judge(&ledger).is_empty());
    }

    #[test]
    fn what_an_operator_removed_need_not_arrive() {
        let (mut ledger, _) = promised();
        ledger.excuse((1, 0));
        assert!(judge(&ledger).is_empty());
    }
}
