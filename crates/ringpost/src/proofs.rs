//! What proves who we are and who users are: certificates, keys, the users table. Read at the
//! start, at each reload, and when the files change.

use config::{Config, ListenerSettings, PairSettings, TlsSettings, Users};
use control::{Accounts, Apply, Renewed, Source, Watch, WatchKind};
use server::Encryption;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use wire::{Identity, MinimumVersion, ServerTls};

/// The configuration in force, and the TLS that was made of it.
pub(crate) struct InForce {
    pub(crate) config: Arc<Config>,
    pub(crate) tls: Option<ServerTls>,
}

/// What the control plane's closures share.
pub(crate) type Shared = Rc<RefCell<InForce>>;

/// What new sessions encrypt with.
///
/// # Errors
/// What is wrong with the files, with the place of the key that names them.
pub(crate) fn tls(config: &Config) -> Result<Option<ServerTls>, String> {
    let Some(settings) = &config.tls else {
        return needs_certificate(config).map_or(Ok(None), Err);
    };
    let (standard, named) = identities(settings)?;
    let minimum = if settings.only_tls13 { MinimumVersion::Tls13 } else { MinimumVersion::Tls12 };
    let asks_clients = !config.policy.client_certificates.is_empty();
    Ok(Some(ServerTls::new(standard, named, minimum, asks_clients)))
}

/// A listener that must encrypt and has nothing to encrypt with would talk in the clear.
fn needs_certificate(config: &Config) -> Option<String> {
    let needs = |listener: &&ListenerSettings| {
        matches!(listener.options.encryption, Encryption::Required | Encryption::Implicit)
    };
    let listener = config.listeners.iter().find(needs)?;
    Some(format!(
        "{}: its sessions must be encrypted, and there is no certificate: write certificate and \
         key in [tls]",
        listener.place
    ))
}

type Named = Vec<(Vec<Box<str>>, Identity)>;

fn identities(settings: &TlsSettings) -> Result<(Identity, Named), String> {
    let standard = identity(&settings.standard)?;
    let named = settings.named.iter().map(|pair| Ok((pair.names.clone(), identity(pair)?)));
    Ok((standard, named.collect::<Result<Named, String>>()?))
}

fn identity(pair: &PairSettings) -> Result<Identity, String> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("{}: {}: {error}", pair.place, path.display()))
    };
    let (certificate, key) = (read(&pair.certificate)?, read(&pair.key)?);
    Identity::from_pem(&certificate, &key).map_err(|error| {
        format!("{}: {}, {}: {error}", pair.place, pair.certificate.display(), pair.key.display())
    })
}

/// Who knows the users.
///
/// # Errors
/// Every wrong line of the table.
pub(crate) fn users(config: &Config) -> Result<Source, String> {
    match &config.users {
        None => Ok(Source::Nobody),
        Some(Users::Dovecot(socket)) => Ok(Source::Dovecot(socket.clone())),
        Some(Users::Table(path)) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("auth.users: {}: {error}", path.display()))?;
            let accounts = Accounts::parse(&text).map_err(|wrong| {
                let line =
                    |(line, why): &(usize, String)| format!("{}:{line}: {why}", path.display());
                wrong.iter().map(line).collect::<Vec<_>>().join("; ")
            })?;
            Ok(Source::Table(accounts))
        }
    }
}

/// When each certificate ends, by name; `default` is the one for all other names.
fn ends(tls: &ServerTls) -> Vec<(String, i64)> {
    let end = |(name, identity): (Option<&str>, &Identity)| {
        Some((name.unwrap_or("default").to_owned(), identity.ends()?))
    };
    tls.identities().filter_map(end).collect()
}

/// What is read again when its files change.
pub(crate) fn watches(
    shared: &Shared,
    shards: usize,
    replace: impl Fn(Source) + 'static,
) -> Vec<Watch> {
    vec![watch_certificates(Rc::clone(shared), shards), watch_users(Rc::clone(shared), replace)]
}

fn watch_certificates(shared: Shared, shards: usize) -> Watch {
    let ends_now = shared.borrow().tls.as_ref().map(ends).unwrap_or_default();
    let files = Rc::clone(&shared);
    let paths = move || {
        let shared = files.borrow();
        let pairs =
            shared.config.tls.iter().flat_map(|tls| tls.named.iter().chain([&tls.standard]));
        pairs.flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]).collect()
    };
    let renew = move || {
        let mut shared = shared.borrow_mut();
        let Some(settings) = &shared.config.tls else { return Ok(Renewed::default()) };
        let (standard, named) = identities(settings)?;
        let fresh = shared.tls.as_ref().map(|tls| tls.renewed(standard, named));
        shared.tls.clone_from(&fresh);
        let ends = fresh.as_ref().map(ends).unwrap_or_default();
        Ok(Renewed { applies: (0..shards).map(|_| apply(fresh.clone())).collect(), ends })
    };
    Watch {
        name: "certificates".into(),
        kind: WatchKind::Certificate,
        paths: Box::new(paths),
        renew: Box::new(renew),
        ends: ends_now,
    }
}

fn apply(tls: Option<ServerTls>) -> Apply {
    Box::new(move |parts| parts.server.set_tls(tls))
}

fn watch_users(shared: Shared, replace: impl Fn(Source) + 'static) -> Watch {
    let files = Rc::clone(&shared);
    let paths = move || match &files.borrow().config.users {
        Some(Users::Table(path)) => vec![path.clone()],
        Some(Users::Dovecot(_)) | None => Vec::<PathBuf>::new(),
    };
    let renew = move || {
        replace(users(&shared.borrow().config)?);
        Ok(Renewed::default())
    };
    Watch {
        name: "auth.users".into(),
        kind: WatchKind::Table,
        paths: Box::new(paths),
        renew: Box::new(renew),
        ends: Vec::new(),
    }
}
