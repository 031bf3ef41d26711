//! The dialogues of `dialogues/server`, each whole, byte by byte, and cut at every offset; with
//! `@set whole` only whole, where it matters what comes together; with `@set apart` what is said
//! and what is done may interleave in any way.
//!
//! `DIALOGUE=NAME` in the environment plays that one only.
//!
//! Settings and effects: see `receiver.rs`.
//! Events: `closed`, `timeout [WITHIN]`, `shutdown`, `drain`, `stress`, `waited SECONDS`.

use crate::dialogue::Dialogue;
use crate::receiver::receiver;
use crate::stage::{self, Cut, Side, Subject, Transcript};
use mail::MessageId;
use smtp::{ServerSession, Step};

#[test]
fn every_dialogue_goes_as_written_however_it_is_cut() {
    let dialogues = Dialogue::all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues/server"));
    assert!(dialogues.len() >= 25, "only {} dialogues", dialogues.len());
    for dialogue in &dialogues {
        if std::env::var("DIALOGUE").is_ok_and(|only| only != dialogue.name) {
            continue;
        }
        let play = |cut| stage::play(dialogue, Side::Server, &mut receiver(dialogue), cut);
        play(Cut::Whole);
        if dialogue.values("whole").next().is_some() {
            continue;
        }
        play(Cut::Bytes);
        (1..stage::input_bytes(dialogue, Side::Server)).for_each(|at| play(Cut::At(at)));
    }
}

#[test]
fn replies_to_a_pipelined_group_are_sent_together() {
    let mut receiver = receiver(&Dialogue::parse("group", ""));
    let mut transmits = Vec::new();
    for group in [
        "EHLO c.example\r\n",
        "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n",
        "text\r\n.\r\nRSET\r\nQUIT\r\n",
    ] {
        receiver.run(&mut Transcript::default());
        receiver.session.receive(group.as_bytes());
        let mut count = 0;
        while let step = receiver.session.step()
            && !matches!(step, Step::Receive { .. } | Step::Close)
        {
            match step {
                Step::Transmit => {
                    count += 1;
                    let output = receiver.session.take_output();
                    receiver.session.sent(output);
                }
                Step::Decide(question) => {
                    let verdict = receiver.decide(&question);
                    receiver.session.answer(verdict);
                }
                Step::Commit(_) => receiver.session.committed(Ok(MessageId::new(0, 1, 1))),
                Step::Body(_) | Step::Discard | Step::Receive { .. } | Step::Close => {}
                Step::Secure | Step::Authenticate(_) | Step::Introduce(_) => panic!("not offered"),
            }
        }
        transmits.push(count);
    }
    assert_eq!(transmits, [1, 1, 1]);
}

#[test]
fn a_session_is_small_and_idle_between_transactions() {
    assert!(size_of::<ServerSession>() <= 1024, "{} bytes", size_of::<ServerSession>());
    let mut receiver = receiver(&Dialogue::parse("idle", ""));
    assert!(!receiver.session.is_idle(), "not greeted yet");
    let mut steps = |bytes: &str| {
        receiver.run(&mut Transcript::default());
        receiver.session.receive(bytes.as_bytes());
        receiver.run(&mut Transcript::default());
        receiver.session.is_idle()
    };
    assert!(steps("EHLO c\r\n"));
    assert!(!steps("MAIL FROM:<a@b>\r\n"));
    assert!(steps("RSET\r\n"));
    assert!(!steps("NOO"), "half a command is buffered");
}

#[test]
fn replies_are_counted_by_verb_and_code() {
    let mut receiver = receiver(&Dialogue::parse("count", ""));
    receiver.run(&mut Transcript::default());
    for line in ["HELO c\r\n", "RCPT TO:<a@b>\r\n", "RCPT TO:<a@b>\r\n"] {
        receiver.session.receive(line.as_bytes());
        receiver.run(&mut Transcript::default());
    }
    use smtp::Verb;
    assert_eq!(
        receiver.session.take_replies(),
        [(Verb::Connect, 220, 1), (Verb::Helo, 250, 1), (Verb::Rcpt, 503, 2)]
    );
    assert!(receiver.session.take_replies().is_empty());
}
