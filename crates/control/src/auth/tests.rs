//! Exchanges from a shard's end to the table and back.

use super::*;
use lookup::Authenticator;
use reactor::{Backend, Reactor};
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Runs `script` on a shard whose exchanges are answered from `source`.
fn on_a_shard(source: Source, script: impl AsyncFnOnce(Authenticator) + 'static) {
    let (exchanges, doorman) = exchanges(source, 2);
    let serve = reactor::start_thread("control", None, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, doorman.serve());
    });
    let options = reactor::Options { backend: Backend::Poll, ..reactor::Options::default() };
    let reactor = Reactor::new(&options).expect("epoll").0;
    let authenticator = exchanges.authenticator(&reactor);
    drop(exchanges);
    reactor.run(script(authenticator));
    reactor.shut_down();
    drop(reactor);
    drop(serve.expect("a thread").join());
}

fn scram_user(name: &str, password: &str) -> String {
    let keys = ScramKeys::of(password.as_bytes(), b"salt", NonZeroU32::new(4096).expect("no 0"));
    let (stored, server) = (STANDARD.encode(keys.stored), STANDARD.encode(keys.server));
    format!(
        "{name} SCRAM-SHA-256$4096:{}${stored}:{server} {name}@a.example\n",
        STANDARD.encode("salt")
    )
}

fn table() -> Source {
    let text = scram_user("ann", "secret") + &scram_user("bob", "public");
    Source::Table(Accounts::parse(&text).expect("good"))
}

fn name(answer: &AuthAnswer) -> Option<&str> {
    match answer {
        AuthAnswer::Accepted(account) => Some(&account.name),
        AuthAnswer::Challenge(_) | AuthAnswer::Refused | AuthAnswer::Unavailable(_) => None,
    }
}

fn challenge(answer: AuthAnswer) -> Challenge {
    match answer {
        AuthAnswer::Challenge(challenge) => challenge,
        AuthAnswer::Accepted(_) => panic!("accepted too early"),
        AuthAnswer::Refused => panic!("refused too early"),
        AuthAnswer::Unavailable(why) => panic!("unavailable: {why}"),
    }
}

#[test]
fn plain_takes_the_password_at_once_or_when_asked() {
    on_a_shard(table(), async |shard| {
        let plain = |message: &[u8]| shard.begin(Mechanism::Plain, Some(message.to_vec()), CLIENT);
        assert_eq!(name(&plain(b"\0ann\0secret").await), Some("ann"));
        assert_eq!(name(&plain(b"ann\0ann\0secret").await), Some("ann"));
        let refused: [&[u8]; 6] = [
            b"\0ann\0public",
            b"\0nobody\0secret",
            b"bob\0ann\0secret",
            b"ann\0secret",
            b"",
            b"\0ann\0secret\0",
        ];
        for message in refused {
            assert!(matches!(plain(message).await, AuthAnswer::Refused), "{message:?}");
        }
        let asked = challenge(shard.begin(Mechanism::Plain, None, CLIENT).await);
        assert_eq!(asked.bytes, b"");
        let answer = shard.resume(asked.resume, b"\0bob\0public".to_vec()).await;
        assert_eq!(name(&answer), Some("bob"));
    });
}

#[test]
fn login_asks_for_name_and_password() {
    on_a_shard(table(), async |shard| {
        let asked = challenge(shard.begin(Mechanism::Login, None, CLIENT).await);
        assert_eq!(asked.bytes, b"Username:");
        let asked = challenge(shard.resume(asked.resume, b"ann".to_vec()).await);
        assert_eq!(asked.bytes, b"Password:");
        assert_eq!(name(&shard.resume(asked.resume, b"secret".to_vec()).await), Some("ann"));
    });
}

#[test]
fn scram_proves_both_sides_to_each_other() {
    on_a_shard(table(), async |shard| {
        for (user, password, good) in
            [("ann", "secret", true), ("ann", "public", false), ("nobody", "secret", false)]
        {
            let first = format!("n={user},r=abc");
            let begin = Some(format!("n,,{first}").into_bytes());
            let asked = challenge(shard.begin(Mechanism::ScramSha256, begin, CLIENT).await);
            let server_first = String::from_utf8(asked.bytes).expect("ASCII");
            let nonce = server_first.split(',').next().expect("a nonce").to_owned();
            let salt = server_first.split(",s=").nth(1).and_then(|rest| rest.split(',').next());
            let salt = STANDARD.decode(salt.expect("a salt")).expect("base64");
            let without_proof = format!("c=biws,{nonce}");
            let signed = format!("{first},{server_first},{without_proof}");
            let proof = proof(password, &salt, &signed);
            let last = format!("{without_proof},p={}", STANDARD.encode(proof));
            let answer = shard.resume(asked.resume, last.into_bytes()).await;
            if !good {
                assert!(matches!(answer, AuthAnswer::Refused), "{user} {password}");
                continue;
            }
            let proven = challenge(answer);
            assert!(proven.bytes.starts_with(b"v="));
            assert_eq!(name(&shard.resume(proven.resume, Vec::new()).await), Some("ann"));
        }
    });
}

/// The client's proof (RFC 5802 §3).
fn proof(password: &str, salt: &[u8], signed: &str) -> Vec<u8> {
    let mut salted = [0; 32];
    let iterations = NonZeroU32::new(4096).expect("not zero");
    let algorithm = aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256;
    aws_lc_rs::pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
    let key = hmac_sha256(&salted, b"Client Key");
    let signature = hmac_sha256(&secret::sha256(&key), signed.as_bytes());
    key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect()
}

#[test]
fn without_dovecot_nobody_is_refused_for_good() {
    let socket = Source::Dovecot("/nowhere/auth".into());
    on_a_shard(socket, async |shard| {
        let answer = shard.begin(Mechanism::Plain, Some(b"\0a\0b".to_vec()), CLIENT).await;
        assert!(matches!(answer, AuthAnswer::Unavailable(_)));
        let answer = shard.begin(Mechanism::ScramSha256, None, CLIENT).await;
        assert!(matches!(answer, AuthAnswer::Refused), "it is not offered");
    });
}
