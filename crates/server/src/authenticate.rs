//! AUTH, from the shard's side of it: exchanges are carried to whoever keeps accounts.

use crate::facts::Guest;
use crate::server::Shard;
use lookup::{AuthAnswer, Challenge, Mechanism, Resume};
use mail::{Event, EventKind, Field};
use policy::Proof;
use smtp::{AuthReply, Exchange};
use std::time::Duration;

/// How long the answer to a failure is held back, so that guessing takes its time.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// The exchange of one session.
#[derive(Default)]
pub(crate) struct Authentication {
    mechanism: Option<Mechanism>,
    /// Takes the client's next response.
    resume: Option<Resume>,
}

impl Authentication {
    /// Takes a turn; `None` when there is nothing to answer.
    pub(crate) async fn turn(
        &mut self,
        shard: &Shard,
        guest: &mut Guest,
        exchange: Exchange,
    ) -> Option<AuthReply> {
        let answer = match exchange {
            // Dropped, the exchange ends for whoever keeps it.
            Exchange::Cancel => {
                self.resume = None;
                return None;
            }
            Exchange::Begin { mechanism, initial } => {
                self.mechanism = Mechanism::parse(&mechanism);
                match (shard.authenticator(), self.mechanism) {
                    (Some(keeper), Some(mechanism)) => {
                        keeper.begin(mechanism, initial, guest.client.ip()).await
                    }
                    (None, _) | (_, None) => AuthAnswer::Refused,
                }
            }
            Exchange::Respond(response) => match (shard.authenticator(), self.resume.take()) {
                (Some(keeper), Some(resume)) => keeper.resume(resume, response).await,
                (None, _) | (_, None) => AuthAnswer::Refused,
            },
        };
        Some(self.judge(shard, guest, answer).await)
    }

    async fn judge(&mut self, shard: &Shard, guest: &mut Guest, answer: AuthAnswer) -> AuthReply {
        match answer {
            AuthAnswer::Challenge(Challenge { bytes, resume }) => {
                self.resume = Some(resume);
                AuthReply::Challenge(bytes)
            }
            AuthAnswer::Accepted(account) => {
                self.count(shard, "succeeded");
                let user = account.name.clone();
                guest.account = Some(Box::new(account));
                guest.trusted = Some(Proof::User);
                if shard.journal().hears(EventKind::AuthSucceeded) {
                    shard.journal().record(guest.sign(Event::new(EventKind::AuthSucceeded)));
                }
                AuthReply::Accepted { user }
            }
            AuthAnswer::Refused => self.refuse(shard, guest).await,
            AuthAnswer::Unavailable(why) => {
                self.count(shard, "unavailable");
                let event = guest.sign(Event::new(EventKind::AuthFailed));
                shard.journal().record(event.text(Field::Reason, why));
                AuthReply::Unavailable
            }
        }
    }

    async fn refuse(&self, shard: &Shard, guest: &Guest) -> AuthReply {
        self.count(shard, "failed");
        let event = guest.sign(Event::new(EventKind::AuthFailed));
        let mechanism = self.mechanism.map_or("unknown", Mechanism::name);
        shard.journal().record(event.text(Field::Reason, format!("{mechanism}: refused")));
        let too_often = shard.census.auth_failed(guest.client.ip(), &shard.reactor).await;
        shard.reactor.sleep(shard.now() + FAILURE_DELAY).await;
        if too_often { AuthReply::TooMany } else { AuthReply::Refused }
    }

    fn count(&self, shard: &Shard, result: &'static str) {
        shard.count_auth(self.mechanism.map_or("unknown", Mechanism::name), result);
    }
}
