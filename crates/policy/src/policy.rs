//! The verdicts.

use crate::client::{canonical, is_in};
use crate::domains::DomainSet;
use crate::{Options, self_test};
use ipnet::IpNet;
use mail::{EnhancedStatus, ForwardPath, Question, Reply, Verdict};
use std::net::IpAddr;

/// Whether the relay takes new messages at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// It does.
    #[default]
    Open,
    /// `limits.queue_messages` is reached.
    QueueFull,
    /// Less free space than `limits.spool_free`.
    DiskFull,
    /// It is shutting down.
    Draining,
    /// The spool has failed; the process is about to end.
    Stopped,
}

/// Why a client is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is in `relay.networks`.
    Network,
    /// It has authenticated.
    User,
    /// It showed a certificate of `relay.client_certificates`.
    Certificate,
}

impl Proof {
    /// The name of the rule, for log and `explain`.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Network => "relay.networks",
            Self::User => "auth.users",
            Self::Certificate => "relay.client_certificates",
        }
    }
}

/// Whether a reverse-path is the client's to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sender {
    /// Nobody asks: the client has not authenticated.
    #[default]
    Free,
    /// It belongs to the user.
    Own,
    /// It does not.
    Foreign,
}

/// What is known when a question is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The client's address, after any PROXY header.
    pub client: IpAddr,
    /// Why the client is trusted, if it is ([`Policy::is_trusted`], or by other proof).
    pub trusted: Option<Proof>,
    /// Whose the reverse-path of [`Question::Sender`] is.
    pub sender: Sender,
    /// Whether new messages are taken.
    pub admission: Admission,
    /// Sessions that this client has open, the asking one included.
    pub client_sessions: u32,
    /// Whether this connection exceeds `limits.connections_per_client`
    /// (what [`crate::RateLimiter::admit`] denied).
    pub client_connections_exceeded: bool,
}

/// The effective rules.
#[derive(Clone, Debug)]
pub struct Policy {
    options: Options,
    networks: Vec<IpNet>,
    exempt: Vec<IpNet>,
    domains: DomainSet,
}

const RELAY_DENIED: Reply = Reply::fixed(554, EnhancedStatus(5, 7, 1), "Relay access denied");
const NO_ROOM: Reply = Reply::fixed(452, EnhancedStatus(4, 3, 1), "No room, try again later");
const QUEUE_FULL: Reply = Reply::fixed(452, EnhancedStatus(4, 3, 1), "Queue full, try again later");
const SHUTTING_DOWN: Reply = Reply::fixed(421, EnhancedStatus(4, 3, 2), "Shutting down");
const NOT_YOURS: Reply = Reply::fixed(553, EnhancedStatus(5, 7, 1), "Sender address is not yours");
const TOO_MANY_SESSIONS: Reply =
    Reply::fixed(421, EnhancedStatus(4, 7, 0), "Too many sessions from your network");
/// The catalogue's rate reply is 450; before the greeting only 421 and 554 may be said (RFC 5321
/// §4.3.2 CONNECTION ESTABLISHMENT), and 554 would be for good.
const TOO_FAST: Reply =
    Reply::fixed(421, EnhancedStatus(4, 7, 1), "Too many connections, slow down");

impl Policy {
    /// Rules from what the operator wrote.
    pub fn new(options: Options) -> Self {
        Self {
            networks: options.networks.iter().copied().map(canonical).collect(),
            exempt: options.exempt.iter().copied().map(canonical).collect(),
            domains: DomainSet::new(&options.domains),
            options,
        }
    }

    /// What the operator wrote.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether `client` may send to anyone: it is in `relay.networks`.
    pub fn is_trusted(&self, client: IpAddr) -> bool {
        is_in(&self.networks, client)
    }

    /// Whether the holder of this certificate may send to anyone.
    pub fn trusts_certificate(&self, fingerprint: &[u8; 32]) -> bool {
        self.options.client_certificates.contains(fingerprint)
    }

    /// Whether per-client limits leave `client` alone: it is trusted or in `limits.exempt`.
    pub fn is_exempt(&self, client: IpAddr) -> bool {
        self.is_trusted(client) || is_in(&self.exempt, client)
    }

    /// The answer to a session's question. Each refusal has the reply to the letter.
    pub fn decide(&self, question: &Question, facts: &Facts) -> Verdict {
        match question {
            Question::Connect => self.decide_connect(facts),
            Question::Hello { name: _ } => accept("default"),
            Question::Sender { reverse_path: _, size: _ } => decide_sender(facts),
            Question::Recipient { reverse_path: _, forward_path } => {
                self.decide_recipient(forward_path, facts)
            }
            // Without a table of recipients there is nothing to tell.
            Question::Verify { text: _ } | Question::Expand { text: _ } => accept("default"),
        }
    }

    /// The relay's test of itself, run at start and at each reload: would it take a message from
    /// a foreign address to a foreign domain? Says from where to where and what to change.
    pub fn relays_for_stranger(&self) -> Option<String> {
        self_test::relays_for_stranger(self)
    }

    fn decide_connect(&self, facts: &Facts) -> Verdict {
        match facts.admission {
            Admission::Draining | Admission::Stopped => return refuse(SHUTTING_DOWN, "admission"),
            // A full queue or disk is said at MAIL: the client may only want to ask or to leave.
            Admission::Open | Admission::QueueFull | Admission::DiskFull => {}
        }
        if let Some(proof) = facts.trusted {
            return accept(proof.rule());
        }
        if self.is_exempt(facts.client) {
            return accept("limits.exempt");
        }
        let sessions_max = self.options.sessions_per_client;
        if sessions_max.is_some_and(|most| facts.client_sessions > most) {
            return refuse(TOO_MANY_SESSIONS, "limits.sessions_per_client");
        }
        let limited = self.options.connections_per_client.is_some();
        if limited && facts.client_connections_exceeded {
            return refuse(TOO_FAST, "limits.connections_per_client");
        }
        accept("default")
    }

    /// The relay rule: nothing else opens the relay. Only the final domain counts; what stands in
    /// a local-part (`user%other@ours`, `"user@other"@ours`) is the business of that domain's host.
    fn decide_recipient(&self, forward_path: &ForwardPath, facts: &Facts) -> Verdict {
        if let Some(proof) = facts.trusted {
            return accept(proof.rule());
        }
        match forward_path.domain() {
            // RFC 5321 §4.5.1: everybody may write to the postmaster.
            None => accept("postmaster"),
            Some(domain) if self.domains.contains(domain) => accept("relay.domains"),
            Some(_) => refuse(RELAY_DENIED, "relay"),
        }
    }
}

/// MAIL is where a new message is turned away: nothing has been sent for it yet.
fn decide_sender(facts: &Facts) -> Verdict {
    match facts.admission {
        Admission::Open if facts.sender == Sender::Foreign => refuse(NOT_YOURS, "auth.users"),
        Admission::Open => accept(facts.trusted.map_or("default", Proof::rule)),
        Admission::QueueFull => refuse(QUEUE_FULL, "limits.queue_messages"),
        Admission::DiskFull => refuse(NO_ROOM, "limits.spool_free"),
        Admission::Draining | Admission::Stopped => refuse(SHUTTING_DOWN, "admission"),
    }
}

fn accept(rule: &str) -> Verdict {
    Verdict::Accept { rule: rule.into() }
}

fn refuse(reply: Reply, rule: &str) -> Verdict {
    Verdict::Refuse { reply, rule: rule.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DomainPattern;
    use mail::ReversePath;
    use proptest::prelude::*;

    fn policy() -> Policy {
        Policy::new(Options {
            networks: vec!["10.0.0.0/8".parse().expect("a network")],
            domains: vec![
                DomainPattern::parse("ours.example").expect("a pattern"),
                DomainPattern::parse("*.ours.example").expect("a pattern"),
            ],
            exempt: vec!["192.0.2.0/24".parse().expect("a network")],
            sessions_per_client: Some(2),
            ..Options::default()
        })
    }

    fn facts(policy: &Policy, client: &str) -> Facts {
        let client = client.parse().expect(client);
        Facts {
            client,
            trusted: policy.is_trusted(client).then_some(Proof::Network),
            sender: Sender::Free,
            admission: Admission::Open,
            client_sessions: 1,
            client_connections_exceeded: false,
        }
    }

    fn recipient(text: &str) -> Question {
        Question::Recipient {
            reverse_path: ReversePath::Null,
            forward_path: ForwardPath::parse(text).expect(text),
        }
    }

    /// `rule` when accepted, `code status rule` when refused.
    fn shown(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Accept { rule } => rule.to_string(),
            Verdict::Refuse { reply, rule } => {
                format!("{} {} {rule}", reply.code, reply.status_or_class())
            }
            Verdict::Answer { reply } => reply.to_string(),
        }
    }

    #[test]
    fn a_user_sends_with_its_own_addresses_only() {
        let policy = Policy::new(Options::default());
        let question = Question::Sender { reverse_path: mail::ReversePath::Null, size: None };
        let sent_as = |sender| {
            let trusted = Some(Proof::User);
            policy.decide(&question, &Facts { trusted, sender, ..facts(&policy, "203.0.113.1") })
        };
        assert_eq!(sent_as(Sender::Own), accept("auth.users"));
        assert_eq!(sent_as(Sender::Foreign), refuse(NOT_YOURS, "auth.users"));
    }

    #[test]
    fn a_recipient_is_accepted_by_network_domain_or_postmaster_only() {
        let policy = policy();
        let cases = [
            ("10.1.2.3", "a@other.example", "relay.networks"),
            ("::ffff:10.1.2.3", "a@other.example", "relay.networks"),
            ("203.0.113.1", "a@ours.example", "relay.domains"),
            ("203.0.113.1", "a@OURS.example", "relay.domains"),
            ("203.0.113.1", "a@b.ours.example", "relay.domains"),
            ("203.0.113.1", "postmaster", "postmaster"),
            ("203.0.113.1", "postmaster@other.example", "554 5.7.1 relay"),
            ("203.0.113.1", "a@other.example", "554 5.7.1 relay"),
            ("203.0.113.1", "a@notours.example", "554 5.7.1 relay"),
            ("203.0.113.1", "a@ours.example.other.example", "554 5.7.1 relay"),
            ("203.0.113.1", "a@[192.0.2.1]", "554 5.7.1 relay"),
            ("203.0.113.1", "@ours.example:a@other.example", "554 5.7.1 relay"),
            ("203.0.113.1", "a%ours.example@other.example", "554 5.7.1 relay"),
            ("203.0.113.1", "\"a@ours.example\"@other.example", "554 5.7.1 relay"),
            ("203.0.113.1", "ours.example!a@other.example", "554 5.7.1 relay"),
            ("192.0.2.1", "a@other.example", "554 5.7.1 relay"),
        ];
        for (client, to, expected) in cases {
            let verdict = policy.decide(&recipient(to), &facts(&policy, client));
            assert_eq!(shown(&verdict), expected, "{client} to {to}");
        }
    }

    #[test]
    fn relay_denied_is_said_to_the_letter() {
        let policy = policy();
        let verdict = policy.decide(&recipient("a@other.example"), &facts(&policy, "203.0.113.1"));
        let Verdict::Refuse { reply, rule: _ } = verdict else { panic!("accepted") };
        assert_eq!(reply.to_string(), "554 5.7.1 Relay access denied");
    }

    #[test]
    fn a_message_begins_only_while_admission_is_open() {
        let policy = policy();
        let question = Question::Sender { reverse_path: ReversePath::Null, size: None };
        let cases = [
            (Admission::Open, "default"),
            (Admission::QueueFull, "452 4.3.1 limits.queue_messages"),
            (Admission::DiskFull, "452 4.3.1 limits.spool_free"),
            (Admission::Draining, "421 4.3.2 admission"),
            (Admission::Stopped, "421 4.3.2 admission"),
        ];
        for (admission, expected) in cases {
            let facts = Facts { admission, ..facts(&policy, "203.0.113.1") };
            assert_eq!(shown(&policy.decide(&question, &facts)), expected, "{admission:?}");
        }
        let trusted = Facts { admission: Admission::DiskFull, ..facts(&policy, "10.0.0.1") };
        assert_eq!(shown(&policy.decide(&question, &trusted)), "452 4.3.1 limits.spool_free");
    }

    #[test]
    fn a_strangers_connection_is_held_to_its_limits_and_others_are_not() {
        let policy = policy();
        let cases = [
            ("203.0.113.1", 2, false, "default"),
            ("203.0.113.1", 3, false, "421 4.7.0 limits.sessions_per_client"),
            ("203.0.113.1", 1, true, "421 4.7.1 limits.connections_per_client"),
            ("192.0.2.1", 3, true, "limits.exempt"),
            ("10.0.0.1", 3, true, "relay.networks"),
        ];
        for (client, client_sessions, client_connections_exceeded, expected) in cases {
            let facts =
                Facts { client_sessions, client_connections_exceeded, ..facts(&policy, client) };
            assert_eq!(shown(&policy.decide(&Question::Connect, &facts)), expected, "{client}");
        }
        let draining = Facts { admission: Admission::Draining, ..facts(&policy, "10.0.0.1") };
        let verdict = policy.decide(&Question::Connect, &draining);
        assert_eq!(shown(&verdict), "421 4.3.2 admission");
    }

    proptest! {
        #[test]
        fn no_stranger_reaches_a_domain_outside_the_list(
            client in any::<std::net::Ipv4Addr>(),
            local in "[a-z%!]{1,8}|\"[a-z@:%]{0,8}\"",
            domain in "([a-z]{1,4}\\.){0,3}(ours\\.example|example|xours\\.example|ours)\\.?",
            route in "(@[a-z]{1,3}\\.example:)?",
            sessions in 0u32..9,
        ) {
            let policy = policy();
            let client = IpAddr::from(client);
            prop_assume!(!policy.is_trusted(client));
            let text = format!("{route}{local}@{domain}");
            let Ok(path) = ForwardPath::parse(&text) else { return Ok(()) };
            let bare = domain.trim_end_matches('.');
            let listed = bare == "ours.example" || bare.ends_with(".ours.example");
            let facts = Facts { client_sessions: sessions, ..facts(&policy, &client.to_string()) };
            let question =
                Question::Recipient { reverse_path: ReversePath::Null, forward_path: path };
            let accepted =
                matches!(policy.decide(&question, &facts), Verdict::Accept { rule: _ });
            prop_assert_eq!(accepted, listed, "{} from {}", text, client);
        }
    }
}
