//! File systems in files: made, cloned as a power cut would leave them, mounted, broken.

use crate::ground::ROOM;
use crate::wait::until;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What the directories of cellars are called.
pub(crate) const CELLAR_PREFIX: &str = "cellar";

/// Room for every image; a sparse file, so that only what is written counts.
const CELLAR_BYTES: u64 = 8 << 30;

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// What lies between a loop device and its file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    None,
    Volatile,
}

/// Where programs are, those of administrators too.
pub(crate) fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Runs a program to its end.
pub(crate) fn attempt(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.env("PATH", search_path()).args(arguments).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The same; it must succeed. What it prints, without the last line's end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = attempt(program, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A path as an argument.
pub(crate) fn word(path: &Path) -> &str {
    path.to_str().expect("paths below target are UTF-8")
}

/// A file that holds a file system.
pub(crate) struct Image {
    pub(crate) kind: Kind,
    path: PathBuf,
}

impl Image {
    fn make(path: PathBuf, kind: Kind, bytes: u64) -> Self {
        let file = File::create_new(&path).expect("a file of a test's own");
        file.set_len(bytes).expect("a sparse file");
        let quiet: &[&str] = match kind {
            Kind::Ext4 | Kind::Btrfs => &["-q"],
            Kind::Xfs => &["-q", "-m", "reflink=1"],
        };
        let program = format!("mkfs.{}", kind.name());
        until(&format!("{program} makes a file system"), || {
            let output = attempt(&program, &[quiet, &[word(&path)]].concat());
            let errors = String::from_utf8_lossy(&output.stderr);
            // It looks at all loop devices, and the disk of another test may just have vanished.
            let passes = errors.contains("cannot check mount status");
            assert!(output.status.success() || passes, "{program}: {}\n{errors}", output.status);
            output.status.success()
        });
        Self { kind, path }
    }

    /// Mounts it at `place`, an existing directory.
    pub(crate) fn mount(&self, place: &Path) -> Mount {
        self.mount_by(place, Cache::None)
    }

    /// The same, by a device that keeps what is not flushed in a cache, and loses it when the file
    /// system below fails.
    pub(crate) fn mount_behind_cache(&self, place: &Path) -> Mount {
        self.mount_by(place, Cache::Volatile)
    }

    fn mount_by(&self, place: &Path, cache: Cache) -> Mount {
        let device = run("losetup", &["--find", "--show", word(&self.path)]);
        if cache == Cache::None {
            // Where the file cannot be read directly, the page cache lies between: slower, as true.
            drop(attempt("losetup", &["--direct-io=on", &device]));
        }
        let mounted = attempt("mount", &["-t", self.kind.name(), &device, word(place)]);
        // From here on the device goes when it is unmounted.
        run("losetup", &["--detach", &device]);
        let errors = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "mount {}: {errors}", self.path.display());
        Mount { place: place.to_owned(), device: Some(device) }
    }

    /// Waits until it is mounted nowhere, not even out of sight.
    pub(crate) fn until_unused(&self) {
        until(&format!("nobody uses {}", self.path.display()), || {
            run("losetup", &["--associated", word(&self.path)]).is_empty()
        });
    }

    /// Removes the file. What is mounted from it stays there until it is unmounted.
    pub(crate) fn remove(self) {
        std::fs::remove_file(&self.path).expect("our image");
    }
}

/// A mounted file system, unmounted when dropped.
pub(crate) struct Mount {
    place: PathBuf,
    device: Option<String>,
}

impl Mount {
    /// A file system in memory.
    pub(crate) fn memory(place: &Path) -> Self {
        run("mount", &["-t", "tmpfs", "-o", "size=256m", "none", word(place)]);
        Self { place: place.to_owned(), device: None }
    }

    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Unmounts it; all that was written is then in the image.
    pub(crate) fn release(mut self) {
        self.unmount();
    }

    /// Takes it out of the tree. Whoever has files open there goes on with them.
    pub(crate) fn detach(mut self) {
        let place = std::mem::take(&mut self.place);
        run("umount", &["--lazy", word(&place)]);
    }

    fn unmount(&mut self) {
        let place = std::mem::take(&mut self.place);
        // The last writes of a killed process may hold it for a moment.
        until(&format!("{} can be unmounted", place.display()), || {
            attempt("umount", &[word(&place)]).status.success()
        });
    }

    /// From here on the file system answers EIO, whatever it is asked.
    pub(crate) fn shut_down(&self) {
        run("xfs_io", &["-x", "-c", "shutdown", word(&self.place)]);
    }

    /// Lets writes hang until the result is dropped.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        run("fsfreeze", &["--freeze", word(&self.place)]);
        Frozen { mount: self }
    }

    /// Writes that the device has not answered.
    pub(crate) fn writes_in_flight(&self) -> u64 {
        let device = self.device.as_deref().and_then(|path| path.rsplit('/').next());
        let path = format!("/sys/block/{}/inflight", device.expect("it lies in an image"));
        let text = std::fs::read_to_string(path).expect("a loop device's counters");
        text.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("a count")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.place.as_os_str().is_empty() {
            return;
        }
        if std::thread::panicking() {
            drop(attempt("umount", &["--lazy", word(&self.place)]));
        } else {
            self.unmount();
        }
    }
}

/// A file system whose writes hang.
pub(crate) struct Frozen<'a> {
    mount: &'a Mount,
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        drop(attempt("fsfreeze", &["--unfreeze", word(&self.mount.place)]));
    }
}

/// An XFS that keeps images: a clone of a file in it is of one moment, whatever is written to it
/// meanwhile.
pub(crate) struct Cellar {
    mount: Option<Mount>,
    image: Image,
    directory: TempDir,
}

impl Cellar {
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix_in(CELLAR_PREFIX, ROOM);
        let directory = directory.expect("a directory under target");
        let place = directory.path().join("images");
        std::fs::create_dir(&place).expect("a directory");
        let image = Image::make(directory.path().join("cellar.img"), Kind::Xfs, CELLAR_BYTES);
        let mount = Some(image.mount(&place));
        Self { mount, image, directory }
    }

    pub(crate) fn mount(&self) -> &Mount {
        self.mount.as_ref().expect("mounted but within `power_cycle`")
    }

    /// A fresh file system of `bytes`.
    pub(crate) fn image(&self, name: &str, kind: Kind, bytes: u64) -> Image {
        Image::make(self.mount().place().join(name), kind, bytes)
    }

    /// What `image` holds in one moment between call and return: FICLONE waits for the writes that
    /// are under way, and lets others wait.
    pub(crate) fn clone_of(&self, image: &Image, name: &str) -> Image {
        let path = self.mount().place().join(name);
        run("cp", &["--reflink=always", word(&image.path), word(&path)]);
        Image { kind: image.kind, path }
    }

    /// Unmounts and mounts it.
    pub(crate) fn power_cycle(&mut self) {
        self.mount.take().expect("mounted").release();
        self.mount = Some(self.image.mount(&self.directory.path().join("images")));
    }
}
