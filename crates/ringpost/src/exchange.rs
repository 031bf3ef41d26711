//! `queue export` and `queue import`: messages as files, from a running relay or from its spool.

use crate::cli::{Arguments, config_path};
use crate::exit::{Failure, code};
use crate::folder::{Folder, Writing, Written};
use crate::import::Target;
use crate::{operate, serve, startup};
use control::client::{ClientError, Method, call};
use control::transfer::{self, ExportFrame};
use queue::inspect::Spool;
use serde_json::json;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Where messages come from, or go to.
pub(crate) enum Place {
    /// The relay that answers at this socket.
    Running(PathBuf),
    /// A spool that no relay has, and the options of its queue.
    Spool(Box<queue::Options>),
}

/// Finds out whether a relay runs: with `spool` it must not.
pub(crate) fn place(arguments: &Arguments, spool: Option<&Path>) -> Result<Place, Failure> {
    if let Some(directory) = spool {
        let options = queue::Options { directory: directory.into(), ..queue::Options::default() };
        return Ok(Place::Spool(Box::new(options)));
    }
    let socket = operate::socket(arguments);
    let silent = match call(&socket, Method::GET, "/status", None) {
        Ok(_) => return Ok(Place::Running(socket)),
        Err(error @ ClientError::NotRunning { .. }) => error,
        Err(error) => return Err(operate::failure(&error)),
    };
    // A socket alone says whom to ask, not where the spool is.
    if arguments.socket.is_some() && arguments.config.is_none() {
        return Err(operate::failure(&silent));
    }
    let config = config::load(&config_path(arguments), startup::machine_name().as_deref());
    let config = config.map_err(|problems| {
        let refused = serve::refused(&problems);
        let text = format!("{silent}, or name its spool with --spool: {refused}");
        Failure::new(refused.code, text)
    })?;
    Ok(Place::Spool(Box::new(config.queue)))
}

pub(crate) fn spool_failure(error: &queue::OpenError) -> Failure {
    Failure::new(error.exit_code(), format!("spool: {error}"))
}

/// How often, and how many times, a lock is looked at that a dead process still has: the kernel
/// holds it until its last write has landed, for at most as long as a starting relay would wait.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS: u32 = 600;

/// Refuses a spool that a process has, and waits for what a dead one has left behind.
fn refuse_held(spool: &Spool, directory: &Path) -> Result<(), Failure> {
    for _ in 0..LOOKS {
        let Some(holder) = spool.holder() else { return Ok(()) };
        if Path::new("/proc").join(holder.to_string()).exists() {
            break;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    let Some(holder) = spool.holder() else { return Ok(()) };
    let text = format!(
        "process {holder} holds {}: name its control socket with --socket or --config, or stop it",
        directory.join("LOCK").display()
    );
    Err(Failure::new(code::TRY_AGAIN, text))
}

/// An export under way.
struct Exporting {
    folder: Folder,
    directory: PathBuf,
    writing: Option<Writing>,
    new: u64,
    again: u64,
    imported: u64,
    broken: u64,
    /// What ended it.
    failure: Option<Failure>,
}

/// `ringpost queue export DIR`.
///
/// # Errors
/// When no message can be reached, or the directory cannot be written.
pub fn export(
    arguments: &Arguments,
    directory: &Path,
    spool: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let place = place(arguments, spool)?;
    let folder = Folder::for_export(directory).map_err(|error| disk(directory, &error))?;
    let mut exporting = Exporting {
        folder,
        directory: directory.into(),
        writing: None,
        new: 0,
        again: 0,
        imported: 0,
        broken: 0,
        failure: None,
    };
    let ended = match &place {
        Place::Running(socket) => transfer::export(socket, &mut |frame| exporting.take(frame))
            .map_err(|error| operate::failure(&error)),
        Place::Spool(options) => exporting.read_spool(&options.directory),
    };
    let ended = exporting.failure.take().map_or(ended, Err);
    exporting.folder.sync().map_err(|error| disk(directory, &error))?;
    exporting.tell(arguments);
    ended?;
    let data = ExitCode::from(code::DATA);
    Ok(if exporting.broken > 0 { data } else { ExitCode::SUCCESS })
}

impl Exporting {
    /// Takes all messages of a spool that no relay has.
    fn read_spool(&mut self, directory: &Path) -> Result<(), Failure> {
        let spool = Spool::find(directory).map_err(|error| spool_failure(&error))?;
        refuse_held(&spool, directory)?;
        let mut export = spool.export();
        loop {
            let step = export.step().map_err(|error| spool_failure(&error))?;
            let frame = ExportFrame::from(step);
            let over = frame == ExportFrame::Over;
            if self.take(frame).is_break() || over {
                break;
            }
        }
        // One that has started meanwhile may have delivered, and removed, what was being read.
        refuse_held(&spool, directory)
    }

    fn take(&mut self, frame: ExportFrame) -> ControlFlow<()> {
        match self.try_take(frame) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(disk(&self.directory, &error));
                ControlFlow::Break(())
            }
        }
    }

    fn try_take(&mut self, frame: ExportFrame) -> io::Result<()> {
        match frame {
            ExportFrame::Message(words) => {
                let name = words["id"].as_str().unwrap_or_default().to_owned();
                // The name comes from another process: it must be no path.
                if name.parse::<mail::MessageId>().is_err() {
                    return Err(io::Error::other(format!("\"{name}\" is no message id")));
                }
                self.writing = Some(self.folder.begin(&name, words)?);
            }
            ExportFrame::Bytes(bytes) => {
                if let Some(writing) = &mut self.writing {
                    writing.write(&bytes)?;
                }
            }
            ExportFrame::Whole => {
                if let Some(writing) = self.writing.take() {
                    match self.folder.finish(writing)? {
                        Ok(Written::New) => self.new += 1,
                        Ok(Written::Again) => self.again += 1,
                        Ok(Written::Imported) => self.imported += 1,
                        Err(why) => self.fail(&why),
                    }
                }
            }
            ExportFrame::Broken { id, reason } => {
                if let Some(writing) = self.writing.take() {
                    self.folder.give_up(writing);
                }
                self.fail(&format!("{id}: {reason}"));
            }
            ExportFrame::Over | ExportFrame::Failed(_) => {}
        }
        Ok(())
    }

    fn fail(&mut self, why: &str) {
        eprintln!("ringpost: {why}");
        self.broken += 1;
    }

    fn tell(&self, arguments: &Arguments) {
        let Self { new, again, imported, broken, .. } = self;
        if arguments.json {
            let told = json!({
                "exported": new, "there_before": again, "imported_before": imported,
                "failed": broken, "directory": self.directory,
            });
            operate::say(&format!("{told}\n"));
            return;
        }
        let mut text = format!("exported {new} messages to {}", self.directory.display());
        for (count, what) in [
            (again, "were there before"),
            (imported, "were there, and have been imported elsewhere"),
            (broken, "could not be exported"),
        ] {
            if *count > 0 {
                text.push_str(&format!("; {count} {what}"));
            }
        }
        operate::say(&format!("{text}\n"));
    }
}

/// A failure of the disk that files are written to or read from.
pub(crate) fn disk(path: &Path, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => code::NOT_PERMITTED,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => code::USAGE,
        _ => code::IO,
    };
    Failure::new(code, format!("{}: {error}", path.display()))
}

/// `ringpost queue import DIR`.
///
/// # Errors
/// When no message can be given away, or the directory cannot be written.
pub fn import(
    arguments: &Arguments,
    directory: &Path,
    spool: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let folder = Folder::for_import(directory);
    let names = folder.names("json").map_err(|error| disk(directory, &error))?;
    let doubtful = folder.names("importing").map_err(|error| disk(directory, &error))?;
    let mut target = Target::open(place(arguments, spool)?)?;
    let ended = crate::import::all(arguments, &folder, &names, &mut target);
    target.close();
    let (imported, bad) = ended?;
    for name in &doubtful {
        eprintln!(
            "ringpost: {}: an import ended at this message, and may have taken it: look for it in \
             the queue, then rename the file to {name}.json to import it, or to {name}.imported",
            folder.file(name, "importing").display()
        );
    }
    let bad = bad + doubtful.len() as u64;
    let from = directory.display();
    operate::say(&match arguments.json {
        true => format!("{}\n", json!({ "imported": imported, "failed": bad })),
        false if bad > 0 => format!("imported {imported} messages from {from}; {bad} were not\n"),
        false => format!("imported {imported} messages from {from}\n"),
    });
    Ok(if bad > 0 { ExitCode::from(code::DATA) } else { ExitCode::SUCCESS })
}
