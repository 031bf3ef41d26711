//! How each blow falls.

use crate::plan::{Blow, Mood, NameMood, Wrongness};
use crate::run::Run;
use crate::yard::{CLIENTS, MX, SMART};
use reactor::FileSystemKind;
use reactor::sim::{Ailment, Call, Rot};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a blow waits for its moment.
const AIM: Duration = Duration::from_secs(30);

/// How soon after its start a relay may be struck in a storm: some of it falls into recovery.
const STORM_PAUSE: Duration = Duration::from_secs(2);

/// How far a batch reaches: what rots in a record may cost all of it.
const BATCH_BYTES: usize = 256 << 10;

impl Run {
    /// Lets a blow fall.
    pub(crate) fn suffer(&mut self, blow: Blow) {
        self.yard.world.note(&format!("blow: {blow:?}"));
        match blow {
            Blow::Kill => {
                self.aim();
                self.relay.look();
                self.relay.kill();
            }
            Blow::Power => {
                self.aim();
                self.relay.look();
                self.relay.lose_power();
            }
            Blow::Storm(crashes) => self.storm(crashes),
            Blow::Drain => self.relay.drain(),
            Blow::Stop(time) => {
                self.relay.drain();
                self.yard.world.run(|| false, time);
            }
            Blow::Clock(by) => self.relay.host.step_clock(by),
            Blow::ClockBack(by) => self.relay.host.step_clock_back(by),
            Blow::WrongClock(wrong, time) => self.start_with_wrong_clock(wrong, time),
            Blow::NextHop => self.restart_next_hop(),
            Blow::Mood => self.yard.mood.set(self.yard.draw(Mood::draw)),
            Blow::Names => self.yard.names.set(self.yard.draw(NameMood::draw)),
            Blow::Full(time) => self.fill_disk(time),
            Blow::Broken(time) => self.break_disk(time),
            Blow::Ail(call, times) => self.ail(call, times),
            Blow::Vanish(time) => self.vanish(time),
            Blow::Rot(count) => self.rot(count),
            Blow::Part(time) => self.part(time),
            Blow::Operate(operator) => self.relay.operate(operator),
        }
    }

    /// Mostly waits until a body has just been sent to the relay or by it: then a crash meets
    /// commits and outcomes on their way to the disk.
    fn aim(&self) {
        if self.yard.hits(0.25) {
            return;
        }
        let moves = || self.yard.ledger.borrow().moves();
        let before = moves();
        self.yard.world.run(|| moves() != before, AIM);
        let most = self.yard.plan.faults.write_time.end * 4;
        self.yard.world.run(|| false, self.yard.time(&(Duration::ZERO..most)));
    }

    fn storm(&mut self, crashes: u64) {
        for _ in 0..crashes {
            if !self.relay.is_running() {
                self.relay.start();
            }
            self.yard.world.run(|| false, self.yard.time(&(Duration::ZERO..STORM_PAUSE)));
            if self.yard.hits(0.5) {
                self.relay.kill();
            } else {
                self.relay.lose_power();
            }
        }
    }

    /// 1970, or ten years ahead, as at boot; somebody sets the clock right while the relay runs.
    fn start_with_wrong_clock(&mut self, wrong: Wrongness, time: Duration) {
        self.relay.kill();
        let right = self.yard.world.wall_clock();
        self.relay.host.set_clock(match wrong {
            Wrongness::Empty => Duration::from_secs(60),
            Wrongness::Ahead => right + Duration::from_secs(10 * 365 * 24 * 3600),
        });
        self.relay.start();
        self.pass_for(time);
        self.relay.host.set_clock(self.yard.world.wall_clock());
    }

    fn restart_next_hop(&mut self) {
        let index = self.yard.below(3) as usize;
        self.hops[index].kill();
        let pause = self.yard.time(&(Duration::ZERO..Duration::from_secs(60)));
        self.pass_for(pause);
        self.hops[index].start();
    }

    fn fill_disk(&mut self, time: Duration) {
        if self.yard.hits(0.5) {
            self.relay.host.fill_disk(self.yard.plan.disk_bytes);
        } else {
            self.relay.host.set_quota(0);
        }
        self.pass_for(time);
        self.relay.host.fill_disk(0);
        self.relay.host.set_quota(u64::MAX);
    }

    fn break_disk(&mut self, time: Duration) {
        self.mark_disk();
        self.relay.host.break_disk(true);
        self.pass_for(time);
        self.relay.host.break_disk(false);
    }

    /// Whatever the spool finds from now on may be the disk's doing.
    fn mark_disk(&self) {
        let damage = &mut self.yard.watch.borrow_mut().damage;
        damage.unread = true;
        damage.lied = true;
    }

    fn ail(&mut self, call: Call, times: u64) {
        let lies = matches!(call, Call::Sync | Call::SyncDirectory);
        let damage = &mut self.yard.watch.borrow_mut().damage;
        damage.unread = true;
        damage.lied |= lies;
        self.relay.host.ail(Ailment { calls: vec![call], times, ..Ailment::default() });
    }

    /// What is open when a mount goes stays broken: the relay must end, and be started again.
    fn vanish(&mut self, time: Duration) {
        if self.yard.plan.disk_kind == FileSystemKind::Memory {
            return;
        }
        self.mark_disk();
        self.relay.host.vanish_disk();
        self.pass_for(time);
        self.relay.kill();
        self.relay.host.return_disk();
    }

    fn part(&mut self, time: Duration) {
        let others = [CLIENTS, SMART, MX[0], MX[1]];
        let other = others[self.yard.below(others.len() as u64) as usize];
        let (ours, theirs) = (&self.relay.host, self.yard.world.host(other));
        match self.yard.below(3) {
            0 => self.yard.world.cut(ours, &theirs, time),
            1 => self.yard.world.cut(&theirs, ours, time),
            _ => self.yard.world.partition(ours, &theirs, time),
        }
    }

    /// Flips bits in sealed segments. Whom it hurts need not arrive,
    /// but nothing may be sent damaged, and nobody else may suffer.
    fn rot(&mut self, count: usize) {
        let sealed = sealed(self.relay.host.files());
        let pick = |path: &Path| sealed.iter().any(|one| one == path);
        let rotten = self.relay.host.rot(pick, 0..u64::MAX, count);
        for Rot { path, offset, .. } in rotten {
            let bytes = self.relay.host.read(&path).expect("it has just rotten");
            self.yard.hurt(&bytes, offset as usize, BATCH_BYTES);
            let file = path.display().to_string();
            self.yard.world.note(&format!("{file} rots at byte {offset}"));
            self.yard.watch.borrow_mut().damage.rotten.insert(file);
        }
    }
}

/// The segments of each log but the last two: one is written, and the next may be prepared.
fn sealed(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut by_log: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("segment-") {
            let log = path.parent().unwrap_or(Path::new("")).to_owned();
            by_log.entry(log).or_default().push(path);
        }
    }
    for segments in by_log.values_mut() {
        segments.sort();
        segments.truncate(segments.len().saturating_sub(2));
    }
    by_log.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segments_of_a_log_are_not_sealed() {
        let files = ["LOCK", "log-00/segment-00000003", "log-00/segment-00000002"];
        let files = files.iter().chain(&["log-00/segment-00000001", "log-01/segment-00000001"]);
        let sealed = sealed(files.map(|name| Path::new("a").join(name)).collect());
        assert_eq!(sealed, [PathBuf::from("a/log-00/segment-00000001")]);
    }
}
