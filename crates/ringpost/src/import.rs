//! Messages out of files into a queue, one after the other.

use crate::cli::Arguments;
use crate::exchange::{Place, disk, spool_failure};
use crate::exit::{Failure, code};
use crate::folder::Folder;
use crate::operate;
use control::client::ClientError;
use control::{portable, transfer};
use mail::{Journal, MessageId, NextHop};
use queue::{ImportError, Lock, Portable, Queue};
use reactor::{Backend, Reactor};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long the last writes of a process that is dying may take.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a file that are read at a time.
const PIECE: usize = 64 << 10;

/// Nobody gives messages up while they are only carried about.
const NEVER: Duration = Duration::from_secs(1 << 40);

/// Who takes the messages.
pub(crate) enum Target {
    /// A running relay.
    Running(PathBuf),
    /// A spool that this process has locked.
    Spool(Box<Own>),
}

/// A queue of our own.
pub(crate) struct Own {
    reactor: Reactor,
    queue: Queue,
    _lock: Lock,
}

/// Why a message was not taken.
enum NotTaken {
    /// It is its own fault: the next one may be taken.
    Bad(String),
    /// The next one would not be taken either, and this one was not.
    Refused(Failure),
    /// Nobody knows whether it was taken.
    Doubtful(Failure),
}

impl Target {
    pub(crate) fn open(place: Place) -> Result<Self, Failure> {
        match place {
            Place::Running(socket) => Ok(Self::Running(socket)),
            Place::Spool(options) => Ok(Self::Spool(Box::new(Own::open(*options)?))),
        }
    }

    /// Lets go of a spool.
    pub(crate) fn close(self) {
        if let Self::Spool(own) = self {
            own.close();
        }
    }

    fn give(&self, message: &Portable, eml: File) -> Result<MessageId, NotTaken> {
        match self {
            Self::Running(socket) => {
                transfer::import(socket, message, Box::new(eml)).map_err(|error| refusal_of(&error))
            }
            Self::Spool(own) => own.give(message.clone(), eml),
        }
    }
}

fn refusal_of(error: &ClientError) -> NotTaken {
    let failure = operate::failure(error);
    match error {
        ClientError::Refused { status: 422, text } => NotTaken::Bad(text.clone()),
        ClientError::Refused { status: 504, .. } | ClientError::Broken { .. } => {
            NotTaken::Doubtful(failure)
        }
        ClientError::Refused { .. }
        | ClientError::NotRunning { .. }
        | ClientError::NotPermitted { .. } => NotTaken::Refused(failure),
    }
}

impl Own {
    fn open(mut options: queue::Options) -> Result<Self, Failure> {
        refuse_other_owner(&options.directory)?;
        options.retry.give_up = NEVER;
        options.retry.give_up_bounces = NEVER;
        let kernel = reactor::Options { backend: Backend::Poll, ..reactor::Options::default() };
        let (reactor, _) = Reactor::new(&kernel)
            .map_err(|error| Failure::new(code::OS, format!("the reactor: {error}")))?;
        let here = reactor.clone();
        let opened = reactor.run(async move {
            let journal = Journal::silent();
            let directory = options.directory.clone();
            let lock = Lock::take(&here, &directory, &journal, LOCK_PATIENCE).await?;
            let start = queue::Start {
                options: Rc::new(options),
                tenure: lock.shared(),
                shard: 0,
                shards: 1,
                // Nothing is sent from here, and the relay names next hops by itself.
                router: Rc::new(|_, _| NextHop::new("mx://invalid")),
                journal,
            };
            Ok::<_, queue::OpenError>((Queue::open(&here, start).await?, lock))
        });
        let (queue, lock) = opened.map_err(|error| spool_failure(&error))?;
        Ok(Self { reactor, queue, _lock: lock })
    }

    fn give(&self, message: Portable, eml: File) -> Result<MessageId, NotTaken> {
        let queue = self.queue.clone();
        let given = self.reactor.run(async move { carry(&queue, &message, eml).await });
        given.map_err(|error| match error {
            Carrying::Read(error) => NotTaken::Bad(error.to_string()),
            Carrying::Take(ImportError::Malformed(why)) => NotTaken::Bad(why),
            Carrying::Take(error @ ImportError::Full) => {
                NotTaken::Refused(Failure::new(code::TRY_AGAIN, error.to_string()))
            }
            Carrying::Take(error @ ImportError::Failed) => {
                NotTaken::Doubtful(Failure::new(code::IO, error.to_string()))
            }
        })
    }

    fn close(self) {
        let Self { reactor, queue, _lock: lock } = self;
        reactor.run(async move {
            queue.drain().await;
            drop(queue);
        });
        drop(lock);
        reactor.shut_down();
    }
}

/// What is in the way of one message.
enum Carrying {
    Read(io::Error),
    Take(ImportError),
}

async fn carry(queue: &Queue, message: &Portable, mut eml: File) -> Result<MessageId, Carrying> {
    let mut import = queue.import();
    let mut piece = vec![0; PIECE];
    loop {
        let count = eml.read(&mut piece).map_err(Carrying::Read)?;
        if count == 0 {
            return import.commit(message).await.map_err(Carrying::Take);
        }
        import.append(&piece[..count]).await.map_err(Carrying::Take)?;
    }
}

/// What root writes into the spool of another user, the relay could not write any more.
fn refuse_other_owner(directory: &Path) -> Result<(), Failure> {
    let user = rustix::process::geteuid().as_raw();
    match std::fs::metadata(directory) {
        Ok(found) if found.uid() != user => Err(Failure::new(
            code::NOT_PERMITTED,
            format!(
                "{} belongs to user {}: run this as that user",
                directory.display(),
                found.uid()
            ),
        )),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Imports these messages; how many were taken, and how many were bad.
pub(crate) fn all(
    arguments: &Arguments,
    folder: &Folder,
    names: &[String],
    target: &mut Target,
) -> Result<(u64, u64), Failure> {
    let (mut imported, mut bad) = (0, 0);
    for name in names {
        let path = folder.file(name, "json");
        let (message, eml) = match read(folder, name) {
            Ok(read) => read,
            Err(why) => {
                eprintln!("ringpost: {}: {why}", path.display());
                bad += 1;
                continue;
            }
        };
        let rename = |from, to| folder.rename(name, from, to).map_err(|error| disk(&path, &error));
        rename("json", "importing")?;
        match target.give(&message, eml) {
            Ok(id) => {
                rename("importing", "imported")?;
                imported += 1;
                tell(arguments, &message, id);
            }
            Err(NotTaken::Bad(why)) => {
                rename("importing", "json")?;
                eprintln!("ringpost: {}: {why}", path.display());
                bad += 1;
            }
            Err(NotTaken::Refused(failure)) => {
                rename("importing", "json")?;
                return Err(at(name, imported, &failure));
            }
            Err(NotTaken::Doubtful(failure)) => return Err(at(name, imported, &failure)),
        }
    }
    Ok((imported, bad))
}

fn at(name: &str, imported: u64, failure: &Failure) -> Failure {
    let text = format!("{name}: {failure} ({imported} messages were imported before it)");
    Failure::new(failure.code, text)
}

fn tell(arguments: &Arguments, message: &Portable, id: MessageId) {
    operate::say(&match arguments.json {
        true => format!("{}\n", json!({ "id": id.to_string(), "was": message.id.to_string() })),
        false => format!("{id} was {}\n", message.id),
    });
}

/// The envelope of a message and its file.
fn read(folder: &Folder, name: &str) -> Result<(Portable, File), String> {
    let text = std::fs::read(folder.file(name, "json")).map_err(|error| error.to_string())?;
    let words: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let message = portable::read(&words)?;
    let path = folder.file(name, "eml");
    let eml = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((message, eml))
}
