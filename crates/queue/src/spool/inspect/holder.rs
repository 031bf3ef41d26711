//! Who holds a lock, without touching it: the kernel lists locks in `/proc/locks`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process that holds the lock of the file at `path`; `None` when nobody does, or the kernel
/// does not tell.
pub(super) fn holder(path: &Path) -> Option<u32> {
    let file = std::fs::metadata(path).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let (major, minor) = (major(file.dev()), minor(file.dev()));
    find(&locks, (major, minor), file.ino())
}

/// Finds the holder in the kernel's list, whose lines are
/// `1: FLOCK  ADVISORY  WRITE 1234 08:01:4711 0 EOF`; a waiting lock has `->` behind its number.
fn find(locks: &str, device: (u64, u64), inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[_, "FLOCK", _, "WRITE", holder, place, ..] = words.as_slice() else { return None };
        let mut parts = place.split(':');
        let number = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
        let found = (number(parts.next())?, number(parts.next())?);
        let same = parts.next()?.parse() == Ok(inode);
        // A file system without a device of its own (btrfs, overlay) may show another one there.
        let here = found == device || device.0 == 0;
        (same && here).then(|| holder.parse().unwrap_or(0))
    })
}

/// As the C library packs device numbers.
fn major(device: u64) -> u64 {
    (device >> 8 & 0xfff) | (device >> 32 & !0xfff)
}

fn minor(device: u64) -> u64 {
    (device & 0xff) | (device >> 12 & !0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "1: POSIX  ADVISORY  WRITE 7 08:01:4711 0 EOF\n\
                         2: FLOCK  ADVISORY  WRITE 1234 08:01:4711 0 EOF\n\
                         2: -> FLOCK  ADVISORY  WRITE 99 08:01:4712 0 EOF\n";

    #[test]
    fn the_holder_of_a_lock_is_found_by_device_and_inode() {
        assert_eq!(find(LOCKS, (8, 1), 4711), Some(1234));
        assert_eq!(find(LOCKS, (8, 2), 4711), None, "another device");
        assert_eq!(find(LOCKS, (8, 1), 4712), None, "who waits does not hold");
        assert_eq!(find(LOCKS, (0, 33), 4711), Some(1234), "no device of its own");
    }

    #[test]
    fn device_numbers_are_unpacked_as_the_c_library_packs_them() {
        assert_eq!((major(0x0000_0000_0000_0801), minor(0x0000_0000_0000_0801)), (8, 1));
        assert_eq!((major(0x0000_0000_0010_0342), minor(0x0000_0000_0010_0342)), (3, 0x142));
    }
}
