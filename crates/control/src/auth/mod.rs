//! Who a client is: exchanges of the shards, carried on here.
//!
//! PLAIN, LOGIN and SCRAM-SHA-256 by a users table, or whatever Dovecot says. What takes long on
//! purpose (password hashes) runs on at most `runtime.workers` threads at a time.

mod accounts;
mod dovecot;
mod scram;
mod secret;

pub use accounts::Accounts;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dovecot::{Exchange, Said};
use lookup::{Account, AuthAnswer, AuthBack, AuthRequest, Challenge, Mechanism, Offered};
use scram::{Challenged, First};
use secret::{ScramKeys, Secret, hmac_sha256};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Exchanges that wait to be looked at; further ones are answered as unavailable.
const WAITING_MAX: usize = 1024;

/// How long a client may think about a challenge.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long Dovecot may think about an answer: it delays failures itself by some seconds.
const DOVECOT_PATIENCE: Duration = Duration::from_secs(30);

/// Who knows the users.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// Nobody: AUTH is not offered.
    #[default]
    Nobody,
    /// A table (`auth.users = "table:…"`).
    Table(Accounts),
    /// Dovecot, over its auth socket.
    Dovecot(PathBuf),
}

/// The shards' end: clone it, send it to any thread.
#[derive(Clone)]
pub struct Exchanges {
    sender: mpsc::Sender<AuthRequest>,
    offered: Offered,
}

/// The control plane's end.
pub struct Doorman {
    receiver: mpsc::Receiver<AuthRequest>,
    keeper: Keeper,
}

/// Answers by what is known of users. Cloning shares it.
#[derive(Clone)]
struct Keeper {
    source: Arc<RwLock<Known>>,
    offered: Offered,
    workers: Arc<Semaphore>,
    /// Makes up keys for users that do not exist, the same ones each time.
    pepper: [u8; 32],
}

#[derive(Clone)]
enum Known {
    Nobody,
    Table(Arc<Accounts>),
    Dovecot(Arc<PathBuf>),
}

/// Both ends. `workers` password hashes at most are computed at a time.
pub fn exchanges(source: Source, workers: usize) -> (Exchanges, Doorman) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let offered = Offered::default();
    let keeper = Keeper {
        source: Arc::new(RwLock::new(Known::Nobody)),
        offered: offered.clone(),
        workers: Arc::new(Semaphore::new(workers.max(1))),
        pepper: random(),
    };
    keeper.replace(source);
    (Exchanges { sender, offered }, Doorman { receiver, keeper })
}

impl Exchanges {
    /// What a shard is given.
    pub fn authenticator(&self, reactor: &reactor::Reactor) -> lookup::Authenticator {
        let sender = self.sender.clone();
        // One that finds no room is dropped, and says so to the client.
        let requests = move |request| drop(sender.try_send(request));
        lookup::Authenticator::new(reactor, self.offered.clone(), Arc::new(requests))
    }
}

impl Doorman {
    /// What replaces the source: a changed table, another configuration.
    pub fn replacer(&self) -> impl Fn(Source) + Clone + Send + 'static {
        let keeper = self.keeper.clone();
        move |source| keeper.replace(source)
    }

    /// Answers until all shards are gone. To be run within a `LocalSet`.
    pub(crate) async fn serve(mut self) {
        while let Some(request) = self.receiver.recv().await {
            tokio::task::spawn_local(self.keeper.clone().exchange(request));
        }
    }
}

impl Keeper {
    fn replace(&self, source: Source) {
        let known = match source {
            Source::Nobody => {
                self.offered.set(&[]);
                Known::Nobody
            }
            Source::Table(accounts) => {
                self.offered.set(accounts.mechanisms());
                Known::Table(Arc::new(accounts))
            }
            Source::Dovecot(socket) => {
                self.offered.set(&[Mechanism::Plain, Mechanism::Login]);
                Known::Dovecot(Arc::new(socket))
            }
        };
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    async fn exchange(self, request: AuthRequest) {
        let known = self.source.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Known::Nobody => request.back.send(AuthAnswer::Refused),
            Known::Dovecot(socket) => {
                let patience = tokio::time::timeout(DOVECOT_PATIENCE, Exchange::begin(&socket));
                match patience.await {
                    Ok(Ok(exchange)) => ask_dovecot(exchange, request).await,
                    Ok(Err(why)) => request.back.send(AuthAnswer::Unavailable(why.into())),
                    Err(_) => {
                        request.back.send(AuthAnswer::Unavailable("Dovecot is silent".into()))
                    }
                }
            }
            Known::Table(accounts) => self.ask_table(&accounts, request).await,
        }
    }

    async fn ask_table(&self, accounts: &Accounts, request: AuthRequest) {
        let AuthRequest { mechanism, initial, back, .. } = request;
        match mechanism {
            Mechanism::Plain => {
                let Some((message, back)) = given(initial, b"", back).await else { return };
                match plain(&message) {
                    Some((user, password)) => self.check(accounts, &user, password, back).await,
                    None => back.send(AuthAnswer::Refused),
                }
            }
            Mechanism::Login => {
                let Some((user, back)) = given(initial, b"Username:", back).await else { return };
                let Some((password, back)) = given(None, b"Password:", back).await else { return };
                match String::from_utf8(user) {
                    Ok(user) => self.check(accounts, &user, password, back).await,
                    Err(_) => back.send(AuthAnswer::Refused),
                }
            }
            Mechanism::ScramSha256 => {
                let Some((message, back)) = given(initial, b"", back).await else { return };
                self.scram(accounts, &message, back).await;
            }
        }
    }

    /// Judges a password, on a thread of its own. A user that does not exist takes as long.
    async fn check(&self, accounts: &Accounts, name: &str, password: Vec<u8>, back: AuthBack) {
        let found = accounts.find(name);
        let account = found.map(|user| user.account.clone());
        let secret = found.map_or_else(|| accounts.stand_in(self), |user| user.secret.clone());
        let permit = Arc::clone(&self.workers).acquire_owned().await.expect("never closed");
        let verify = move || {
            let good = secret.verify(&password);
            drop(permit);
            good
        };
        let good = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        back.send(match account.filter(|_| good) {
            Some(account) => AuthAnswer::Accepted(account),
            None => AuthAnswer::Refused,
        });
    }

    async fn scram(&self, accounts: &Accounts, message: &[u8], back: AuthBack) {
        let Some(first) = First::parse(message) else { return back.send(AuthAnswer::Refused) };
        let user = accounts.find(&first.user);
        let keys = user.and_then(|user| match &user.secret {
            Secret::Scram(keys) => Some(keys.clone()),
            Secret::Argon2(_) => None,
        });
        let known = keys.is_some();
        let keys = keys.unwrap_or_else(|| self.made_up(&first.user));
        let account = user.map(|user| user.account.clone()).unwrap_or_default();
        let ours = STANDARD.encode(&random::<18>()[..]);
        let (challenge, challenged) = first.challenge(keys, known, &ours);
        self.finish_scram(challenged, challenge, account, back).await;
    }

    async fn finish_scram(
        &self,
        challenged: Challenged,
        challenge: Vec<u8>,
        account: Account,
        back: AuthBack,
    ) {
        let Some((last, back)) = challenged_with(challenge, back).await else { return };
        let Some(proof) = challenged.finish(&last) else { return back.send(AuthAnswer::Refused) };
        // RFC 4954 §4: the server's last word travels as a challenge that the client answers with
        // nothing.
        let Some((_, back)) = challenged_with(proof, back).await else { return };
        back.send(AuthAnswer::Accepted(account));
    }

    /// Keys for a user that does not exist: the same salt at each try, so that nobody learns who
    /// exists (RFC 5802 §9 leaves that to us).
    fn made_up(&self, user: &str) -> ScramKeys {
        let salt = hmac_sha256(&self.pepper, user.as_bytes());
        ScramKeys {
            iterations: NonZeroU32::new(4096).expect("not zero"),
            salt: salt[..16].into(),
            stored: random(),
            server: random(),
        }
    }
}

impl Accounts {
    /// A secret that nobody knows, of the kind that a user here has.
    fn stand_in(&self, keeper: &Keeper) -> Secret {
        let any = self.any_secret();
        any.unwrap_or_else(|| Secret::Scram(keeper.made_up("")))
    }
}

/// The message that the client gave at once, or gives when it is asked with `prompt`.
async fn given(
    initial: Option<Vec<u8>>,
    prompt: &[u8],
    back: AuthBack,
) -> Option<(Vec<u8>, AuthBack)> {
    match initial {
        Some(message) => Some((message, back)),
        None => challenged_with(prompt.to_vec(), back).await,
    }
}

/// Sends a challenge and waits for what the client makes of it; `None` when it has gone.
async fn challenged_with(bytes: Vec<u8>, back: AuthBack) -> Option<(Vec<u8>, AuthBack)> {
    let (sender, answer) = oneshot::channel();
    let resume = Box::new(move |response: Vec<u8>, back: AuthBack| {
        // Whoever waited has lost patience; `back` says that nobody answered.
        drop(sender.send((response, back)));
    });
    back.send(AuthAnswer::Challenge(Challenge { bytes, resume }));
    tokio::time::timeout(CLIENT_PATIENCE, answer).await.ok()?.ok()
}

async fn ask_dovecot(mut exchange: Exchange, request: AuthRequest) {
    let AuthRequest { mechanism, initial, client, mut back } = request;
    let mut response = initial;
    let mut first = true;
    loop {
        let step = async {
            match (&response, first) {
                (initial, true) => exchange.start(mechanism, initial.as_deref(), client).await,
                (response, false) => exchange.go_on(response.as_deref().unwrap_or(b"")).await,
            }
        };
        let said = tokio::time::timeout(DOVECOT_PATIENCE, step).await;
        first = false;
        match said.unwrap_or_else(|_| Said::Unavailable("Dovecot is silent".to_owned())) {
            Said::Challenge(challenge) => match challenged_with(challenge, back).await {
                Some((answer, next)) => (response, back) = (Some(answer), next),
                None => return,
            },
            Said::Accepted(user) => return back.send(AuthAnswer::Accepted(named(user))),
            Said::Refused => return back.send(AuthAnswer::Refused),
            Said::Unavailable(why) => return back.send(AuthAnswer::Unavailable(why.into())),
        }
    }
}

/// A user of Dovecot's may send with its own name, which is an address there as a rule.
fn named(user: String) -> Account {
    let own: Vec<Box<str>> = if user.contains('@') { vec![user.as_str().into()] } else { vec![] };
    Account { name: user.into(), senders: own.into() }
}

/// `authorize NUL user NUL password` (RFC 4616); nobody may act as somebody else.
fn plain(message: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut parts = message.splitn(3, |byte| *byte == 0);
    let (authorize, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let sane = !user.is_empty() && !password.contains(&0);
    (sane && (authorize.is_empty() || authorize == user)).then_some(())?;
    Some((String::from_utf8(user.to_vec()).ok()?, password.to_vec()))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the kernel has randomness");
    bytes
}

#[cfg(test)]
mod tests;
