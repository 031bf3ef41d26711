//! `spool check` and `spool dump`: a spool looked at from outside.

use crate::cli::{Arguments, Spool as Command};
use crate::exchange::spool_failure;
use crate::exit::{Failure, code};
use crate::{operate, records};
use mail::MessageId;
use queue::ExportStep;
use queue::inspect::{Cost, Damage, FORMAT, FileKind, FileReport, LogReport, Says, Spool};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// `ringpost spool …`.
///
/// # Errors
/// When the directory is no spool, or cannot be read.
pub fn spool(arguments: &Arguments, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check { directory } => check(arguments, directory),
        Command::Dump { directory, id: None, .. } => dump(arguments, directory, None),
        Command::Dump { directory, id: Some(id), body } => {
            let id = id
                .parse()
                .map_err(|error| Failure::new(code::DATA, format!("\"{id}\": {error}")))?;
            if *body { print_body(directory, id) } else { dump(arguments, directory, Some(id)) }
        }
    }
}

fn find(directory: &Path) -> Result<Spool, Failure> {
    let spool = Spool::find(directory).map_err(|error| spool_failure(&error))?;
    if let Some(holder) = spool.holder() {
        eprintln!(
            "ringpost: process {holder} holds {}: this is how it was for a moment",
            directory.join("LOCK").display()
        );
    }
    Ok(spool)
}

/// Sums over all logs.
#[derive(Default)]
struct Summary {
    logs: u64,
    files: u64,
    batches: u64,
    records: u64,
    live_messages: u64,
    live_recipients: u64,
    live_bytes: u64,
    dead_bytes: u64,
    torn_batches: u64,
    damaged: u64,
    unreadable: u64,
    other_version: u64,
}

fn check(arguments: &Arguments, directory: &Path) -> Result<ExitCode, Failure> {
    let spool = find(directory)?;
    let mut sum = Summary::default();
    for log in spool.logs() {
        match spool.examine(*log) {
            Ok(report) => {
                sum.add(&report);
                let shown = report.files.iter().map(|file| match arguments.json {
                    true => format!("{}\n", file_json(&report, file)),
                    false => file_text(file),
                });
                let files: String = shown.collect();
                let head = match arguments.json {
                    true => String::new(),
                    false => format!("{}\n", report.directory.display()),
                };
                operate::say(&format!("{head}{files}"));
            }
            Err(error) => {
                eprintln!("ringpost: {}", spool_failure(&error));
                sum.unreadable += 1;
            }
        }
    }
    for name in spool.strangers() {
        eprintln!("ringpost: {} is not of a spool", directory.join(name).display());
    }
    operate::say(&if arguments.json { format!("{}\n", sum.json()) } else { sum.text() });
    Ok(ExitCode::from(sum.code()))
}

impl Summary {
    fn add(&mut self, report: &LogReport) {
        self.logs += 1;
        self.live_messages += report.live_messages;
        self.live_recipients += report.live_recipients;
        for file in &report.files {
            self.files += u64::from(file.kind != FileKind::Foreign);
            self.batches += file.batches;
            self.records += file.records;
            self.live_bytes += file.live_bytes;
            self.dead_bytes += file.dead_bytes;
            self.torn_batches += file.torn_batches;
            let whole = matches!(file.kind, FileKind::Headless | FileKind::Misplaced);
            self.damaged += file.damage.len() as u64 + u64::from(whole);
            self.unreadable += u64::from(file.is_unreadable());
            self.other_version += u64::from(matches!(file.kind, FileKind::Version(_)));
        }
    }

    /// What scripts ask for (sysexits.h): what could not be read says more than what is damaged.
    fn code(&self) -> u8 {
        match self {
            Self { unreadable: 1.., .. } => code::IO,
            Self { other_version: 1.., .. } => code::CONFIGURATION,
            Self { damaged: 1.., .. } => code::DATA,
            _ => 0,
        }
    }

    fn json(&self) -> Value {
        json!({ "summary": {
            "format": FORMAT, "logs": self.logs, "files": self.files, "batches": self.batches,
            "records": self.records, "live_messages": self.live_messages,
            "live_recipients": self.live_recipients, "live_bytes": self.live_bytes,
            "dead_bytes": self.dead_bytes, "torn_batches": self.torn_batches,
            "damaged": self.damaged, "unreadable": self.unreadable,
            "other_version": self.other_version,
        } })
    }

    fn text(&self) -> String {
        let verdict = match self.code() {
            code::IO => format!("{} files could not be read", self.unreadable),
            code::CONFIGURATION => {
                format!("{} files are of another version than {FORMAT}", self.other_version)
            }
            code::DATA => format!("{} places are damaged", self.damaged),
            _ => "clean".to_owned(),
        };
        format!(
            "{} logs, {} files, {} batches, {} records: {} live messages for {} recipients in {} \
             bytes, {} dead bytes, {} torn batches\n{verdict}\n",
            self.logs,
            self.files,
            self.batches,
            self.records,
            self.live_messages,
            self.live_recipients,
            self.live_bytes,
            self.dead_bytes,
            self.torn_batches
        )
    }
}

/// A word for what a file is.
fn kind(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::Sealed => "sealed",
        FileKind::Ended => "ended",
        FileKind::Open => "unsealed",
        FileKind::Spare => "spare",
        FileKind::Unfinished => "unfinished",
        FileKind::Headless => "headless",
        FileKind::Misplaced => "misplaced",
        FileKind::Version(_) => "other version",
        FileKind::Unreadable(_) => "unreadable",
        FileKind::Foreign => "foreign",
    }
}

/// What is to be said about the kinds that have no records.
fn remark(kind: &FileKind) -> Option<String> {
    Some(match kind {
        FileKind::Sealed | FileKind::Ended | FileKind::Open | FileKind::Spare => return None,
        FileKind::Unfinished => "was never written to; the next start removes it".into(),
        FileKind::Headless => "its header does not verify, and batches lie behind it".into(),
        FileKind::Misplaced => "its header is of another log or segment".into(),
        FileKind::Version(found) => format!("it has format {found}; this version reads {FORMAT}"),
        FileKind::Unreadable(why) => why.clone(),
        FileKind::Foreign => "not of a spool; it is left alone".into(),
    })
}

fn file_json(report: &LogReport, file: &FileReport) -> Value {
    let damage = |damage: &Damage| {
        let (cost, id) = cost(damage.cost);
        json!({ "offset": damage.offset, "reason": damage.reason, "cost": cost, "id": id })
    };
    json!({
        "log": report.number, "directory": report.directory, "file": file.name,
        "kind": kind(&file.kind), "remark": remark(&file.kind), "start": file.start,
        "file_bytes": file.file_bytes, "batches": file.batches, "records": file.records,
        "live_messages": file.live_messages, "live_bytes": file.live_bytes,
        "dead_bytes": file.dead_bytes, "torn_batches": file.torn_batches,
        "torn_at": file.torn_at, "damage": file.damage.iter().map(damage).collect::<Vec<_>>(),
    })
}

/// A word for a cost, and the message.
fn cost(cost: Cost) -> (&'static str, Option<String>) {
    match cost {
        Cost::Nothing => ("nothing", None),
        Cost::Message(id) => ("message", Some(id.to_string())),
        Cost::Perhaps(id) => ("perhaps", Some(id.to_string())),
        Cost::Unknown => ("unknown", None),
    }
}

fn file_text(file: &FileReport) -> String {
    let name = format!("  {:<18} {:<10}", file.name, kind(&file.kind));
    if let Some(remark) = remark(&file.kind) {
        return format!("{name} {} bytes: {remark}\n", file.file_bytes);
    }
    if file.kind == FileKind::Spare {
        return format!("{name} {} bytes\n", file.file_bytes);
    }
    let mut text = format!(
        "{name} start {}, {} batches, {} records: {} live messages, {} bytes live, {} dead\n",
        file.start,
        file.batches,
        file.records,
        file.live_messages,
        file.live_bytes,
        file.dead_bytes
    );
    for damage in &file.damage {
        let costs = match damage.cost {
            Cost::Nothing => "costs nothing that is needed".to_owned(),
            Cost::Message(id) => format!("costs message {id}"),
            Cost::Perhaps(id) => format!("may cost message {id}"),
            Cost::Unknown => "what it costs is not known".to_owned(),
        };
        text.push_str(&format!("    at byte {}: {}; {costs}\n", damage.offset, damage.reason));
    }
    if let Some(at) = file.torn_at {
        text.push_str(&format!(
            "    torn tail from byte {at}: {} batches that nobody was promised\n",
            file.torn_batches
        ));
    }
    text
}

fn dump(
    arguments: &Arguments,
    directory: &Path,
    id: Option<MessageId>,
) -> Result<ExitCode, Failure> {
    let spool = find(directory)?;
    let wanted = |log: &&u16| id.is_none_or(|id| id.log() == **log);
    let (mut damaged, mut worst) = (false, 0);
    for log in spool.logs().iter().filter(wanted) {
        let unreadable = spool.dump(*log, &mut |seen| {
            if id.is_some_and(|id| !seen.is_about(id)) {
                return;
            }
            damaged |= matches!(seen.says, Says::Damaged(_)) && !seen.torn;
            operate::say(&match arguments.json {
                true => format!("{}\n", records::json(seen)),
                false => records::text(seen),
            });
        });
        for error in unreadable.map_err(|error| spool_failure(&error))? {
            eprintln!("ringpost: {}", spool_failure(&error));
            worst = error.exit_code();
        }
    }
    if let Some(id) = id {
        let life = spool.life(id).map_err(|error| spool_failure(&error))?;
        operate::say(&match arguments.json {
            true => format!("{}\n", records::life_json(&life)),
            false => records::life_text(&life),
        });
    }
    let data = if damaged { code::DATA } else { 0 };
    Ok(ExitCode::from(if worst > 0 { worst } else { data }))
}

/// The bytes of a message, live or not, as far as they can be read.
fn print_body(directory: &Path, id: MessageId) -> Result<ExitCode, Failure> {
    let spool = find(directory)?;
    let mut export = spool.export_one(id).map_err(|error| spool_failure(&error))?;
    let mut output = std::io::stdout().lock();
    let mut found = false;
    loop {
        match export.step().map_err(|error| spool_failure(&error))? {
            ExportStep::Message(_) => found = true,
            ExportStep::Bytes(bytes) => {
                // A reader that has seen enough is no failure.
                if output.write_all(&bytes).is_err() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            ExportStep::Broken { reason, .. } => {
                return Err(Failure::new(code::DATA, format!("{id}: {reason}")));
            }
            ExportStep::Whole => {}
            ExportStep::Over if found => return Ok(ExitCode::SUCCESS),
            ExportStep::Over => {
                let text = format!("{id}: no record of it is in this spool");
                return Err(Failure::new(code::DATA, text));
            }
        }
    }
}
