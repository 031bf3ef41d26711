//! The users table: `name hash sender…`, one a line.

use super::secret::Secret;
use lookup::{Account, Mechanism};
use std::collections::BTreeMap;

/// A user that may authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) secret: Secret,
    pub(crate) account: Account,
}

/// All users, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: BTreeMap<Box<str>, User>,
}

impl Accounts {
    /// Reads a table: on each line a name, what is kept of the password, and the addresses that
    /// the user may send with (none: the name itself, if it is an address), separated by blanks.
    /// `#` begins a comment.
    ///
    /// # Errors
    /// Every line that makes no sense, with its number and what to write instead.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut users = BTreeMap::new();
        let mut wrong = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line.split_whitespace();
            let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { continue };
            match user(name, words) {
                Err(why) => wrong.push((number, format!("user {name}: {why}"))),
                Ok(user) => {
                    if users.insert(name.into(), user).is_some() {
                        wrong.push((number, format!("user {name} stands here twice")));
                    }
                }
            }
        }
        if wrong.is_empty() { Ok(Self { users }) } else { Err(wrong) }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// What some user has: a stand-in for users that do not exist.
    pub(crate) fn any_secret(&self) -> Option<Secret> {
        self.users.values().next().map(|user| user.secret.clone())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// What can be offered: SCRAM only when every user has keys for it, since a client that is
    /// offered it tries nothing else.
    pub(crate) fn mechanisms(&self) -> &'static [Mechanism] {
        let scram = |user: &User| matches!(user.secret, Secret::Scram(_));
        if !self.users.is_empty() && self.users.values().all(scram) {
            &Mechanism::ALL
        } else {
            &[Mechanism::Plain, Mechanism::Login]
        }
    }
}

fn user<'a>(name: &str, mut words: impl Iterator<Item = &'a str>) -> Result<User, &'static str> {
    let hash = words.next().ok_or("no hash; write `name hash address…`")?;
    let secret = Secret::parse(hash)?;
    let words = words.take_while(|word| !word.starts_with('#'));
    let mut senders: Vec<Box<str>> = words.map(Into::into).collect();
    if !senders.iter().all(|sender| is_sender(sender)) {
        return Err("what it may send with must be an address, `@domain` or `*`");
    }
    if senders.is_empty() && name.contains('@') {
        senders.push(name.into());
    }
    Ok(User { secret, account: Account { name: name.into(), senders: senders.into() } })
}

fn is_sender(text: &str) -> bool {
    text == "*" || text.rsplit_once('@').is_some_and(|(_, domain)| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGON: &str = "$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
    const SCRAM: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn a_table_says_who_may_send_as_whom() {
        let text = format!(
            "# users\nann {ARGON} ann@a.example @b.example # all of b\n\nbob@c.example {SCRAM}\n"
        );
        let accounts = Accounts::parse(&text).expect("good");
        assert_eq!(accounts.len(), 2);
        let ann = &accounts.find("ann").expect("a user").account;
        assert!(ann.owns("ann@a.example") && ann.owns("x@b.example") && !ann.owns("of@b"));
        assert!(accounts.find("bob@c.example").expect("a user").account.owns("bob@c.example"));
        assert!(accounts.find("Ann").is_none());
    }

    #[test]
    fn scram_is_offered_only_when_every_user_has_keys_for_it() {
        let of = |text: String| Accounts::parse(&text).expect("good").mechanisms().to_vec();
        assert_eq!(of(format!("a {SCRAM}\nb {SCRAM}")), Mechanism::ALL);
        assert_eq!(of(format!("a {SCRAM}\nb {ARGON}")), [Mechanism::Plain, Mechanism::Login]);
        assert_eq!(of(String::new()), [Mechanism::Plain, Mechanism::Login]);
    }

    #[test]
    fn every_wrong_line_is_named() {
        let text = format!("a\nb secret\nc {SCRAM} nobody\nd {SCRAM}\nd {SCRAM}");
        let lines: Vec<usize> =
            Accounts::parse(&text).expect_err("bad").into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 2, 3, 5]);
    }
}
